//! The pieces that stand on many pages, each drawn in one way: versions, live states, times, commits,
//! events, pages of a list.

use std::fmt;
use std::ops::Range;

use askama::Template;
use askama::filters::HtmlSafe;
use jiff::Timestamp;
use refgate_core::config::Live;
use refgate_core::name::{CommitId, GroupName, Revision, ServiceName};
use refgate_core::version::Version;
use refgate_core::view::{EventView, VersionState};

use super::PAGE;

/// A version wherever one stands.
#[derive(Template)]
#[template(
    source = r#"<span class="version{% if changed %} is-changed{% endif %}{% if none %} is-none{% endif %}" data-version="{{ number }}">{% if none %}No Version{% else %}{{ number }}{% endif %}{% if changed %} + changes{% endif %}</span>"#,
    ext = "html"
)]
pub(super) struct Badge {
    number: String,
    changed: bool,
    none: bool,
}

impl HtmlSafe for Badge {}

impl Badge {
    /// The badge of what a group has.
    pub(super) fn of(state: &VersionState) -> Self {
        let number = state.version.as_ref().or(state.based_on.as_ref());
        Self {
            number: number.map(ToString::to_string).unwrap_or_default(),
            changed: state.version.is_none() && state.modified,
            none: number.is_none(),
        }
    }

    /// The badge of a version.
    pub(super) fn version(version: &Version) -> Self {
        Self { number: version.to_string(), changed: false, none: false }
    }

    /// The badge of a version whose number was told as text.
    pub(super) fn text(number: &str) -> Self {
        Self { number: number.to_owned(), changed: false, none: false }
    }
}

/// Whether a service takes requests, and why not.
#[derive(Template)]
#[template(
    source = r#"<span class="state is-{{ tone }}" data-reason="{{ reason }}">{{ words }}</span>"#,
    ext = "html"
)]
pub(super) struct LiveState {
    tone: &'static str,
    reason: &'static str,
    words: &'static str,
}

impl HtmlSafe for LiveState {}

impl LiveState {
    pub(super) fn of(live: Live) -> Self {
        let (tone, reason, words) = match live {
            Live::Live => ("good", "live", "Live"),
            Live::Disabled => ("off", "disabled", "Disabled"),
            Live::NoRoutes => ("off", "no_routes", "No routes"),
            Live::NoNodes => ("off", "no_nodes", "No nodes"),
            Live::Invalid => ("bad", "invalid", "Not valid"),
            Live::Damaged => ("bad", "damaged", "Damaged"),
        };
        Self { tone, reason, words }
    }
}

/// Why a service takes no requests, and what to do; nothing when it does.
pub(super) fn remedy(live: Live) -> Option<&'static str> {
    match live {
        Live::Live => None,
        Live::Disabled => Some("It is switched off in this group. Switch it on under Hosts."),
        Live::NoRoutes => Some("It has no enabled route. Add one under Routes."),
        Live::NoNodes => {
            Some("An upstream that a route uses has no node here. Add one under Upstreams.")
        }
        Live::Invalid => {
            Some("Its documents are not valid. Gateways keep the last good form of it.")
        }
        Live::Damaged => {
            Some("An object of the repository cannot be read. Gateways keep what they serve.")
        }
    }
}

/// A time: how long ago, and exactly when one points at it.
pub(super) struct When(pub(super) Timestamp);

impl When {
    /// The time itself, for pages that are read as a record.
    pub(super) fn exact(&self) -> String {
        self.0.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
    }
}

impl HtmlSafe for When {}
impl askama::FastWritable for When {
    fn write_into(&self, out: &mut dyn fmt::Write, _: &dyn askama::Values) -> askama::Result<()> {
        write!(out, "{self}").map_err(Into::into)
    }
}

impl fmt::Display for When {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = self.exact();
        let machine = self.0.strftime("%Y-%m-%dT%H:%M:%SZ");
        let ago = ago(self.0, Timestamp::now());
        write!(out, r#"<time datetime="{machine}" title="{exact}">{ago}</time>"#)
    }
}

/// How long ago, for people.
fn ago(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(then.as_second());
    let (number, unit) = match seconds {
        ..45 => return "just now".to_owned(),
        45..3_570 => ((seconds + 30) / 60, "minute"),
        3_570..84_600 => ((seconds + 1_800) / 3_600, "hour"),
        84_600..5_184_000 => ((seconds + 43_200) / 86_400, "day"),
        _ => return then.strftime("%Y-%m-%d").to_string(),
    };
    format!("{number} {unit}{} ago", if number == 1 { "" } else { "s" })
}

/// The first letters of a commit's id, with a link to its page.
#[derive(Template)]
#[template(
    source = r#"<a class="commit" href="{{ self.href() }}" title="{{ commit }}">{{ short }}</a>"#,
    ext = "html"
)]
pub(super) struct CommitLink {
    group: GroupName,
    commit: CommitId,
    short: String,
}

impl HtmlSafe for CommitLink {}

impl CommitLink {
    pub(super) fn new(group: &GroupName, commit: CommitId) -> Self {
        Self { group: group.clone(), commit, short: short(commit) }
    }

    /// The address of its page.
    pub(super) fn href(&self) -> String {
        format!("/groups/{}/commits/{}", self.group, self.commit)
    }
}

/// The first letters of a commit's id.
pub(super) fn short(commit: CommitId) -> String {
    commit.to_string().chars().take(8).collect()
}

/// An event as a row of a history.
pub(super) struct EventRow {
    pub(super) commit: CommitLink,
    pub(super) group: GroupName,
    pub(super) revision: Revision,
    pub(super) at: When,
    /// What it did, up to the version that it names.
    pub(super) subject: String,
    /// And from there on.
    pub(super) rest: String,
    pub(super) event: String,
    pub(super) actor: String,
    pub(super) author: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) service: Option<String>,
    pub(super) version: Option<Badge>,
}

impl EventRow {
    pub(super) fn of(event: EventView) -> Self {
        let (subject, rest) = match &event.version {
            Some(version) => match event.subject.split_once(version.as_str()) {
                Some((before, after)) => (before.trim_end().to_owned(), after.to_owned()),
                None => (event.subject, String::new()),
            },
            None => (event.subject, String::new()),
        };
        Self {
            commit: CommitLink::new(&event.group, event.commit),
            revision: event.revision,
            at: When(event.at),
            version: event.version.as_deref().map(Badge::text),
            author: Some(event.author).filter(|author| *author != event.actor),
            group: event.group,
            subject,
            rest,
            event: event.event,
            actor: event.actor,
            reason: event.reason,
            service: event.service,
        }
    }
}

/// Where a list goes on.
#[derive(Template)]
#[template(path = "parts/pager.html")]
pub(super) struct Pager {
    /// The address up to the number of the page.
    base: String,
    /// The page, the first being 0.
    page: usize,
    first: usize,
    last: usize,
    total: usize,
}

impl HtmlSafe for Pager {}

impl Pager {
    /// Of a list of which `total` rows are there, at a page of [`PAGE`] rows.
    pub(super) fn new(base: String, page: usize, total: usize) -> Self {
        Self::sized(base, page, PAGE, total)
    }

    /// The same, at a page of `size` rows.
    pub(super) fn sized(base: String, page: usize, size: usize, total: usize) -> Self {
        let first = page.saturating_mul(size);
        Self::spanning(base, page, first..first.saturating_add(size).min(total), total)
    }

    /// The same, at a page that has these rows.
    pub(super) fn spanning(base: String, page: usize, rows: Range<usize>, total: usize) -> Self {
        Self { base, page, first: rows.start + 1, last: rows.end, total }
    }

    fn is_needed(&self) -> bool {
        self.page > 0 || self.has_more()
    }

    fn has_more(&self) -> bool {
        self.last < self.total
    }
}

/// The address of a service's pages in a group.
pub(super) fn service_path(group: &GroupName, service: &ServiceName) -> String {
    format!("/groups/{group}/services/{service}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_people_say_them() {
        let at = |second| Timestamp::from_second(second).expect("in range");
        let table = [
            (0, "just now"),
            (-5, "just now"),
            (60, "1 minute ago"),
            (600, "10 minutes ago"),
            (3_569, "59 minutes ago"),
            (3_570, "1 hour ago"),
            (84_599, "23 hours ago"),
            (84_600, "1 day ago"),
            (3 * 3600, "3 hours ago"),
            (2 * 86_400, "2 days ago"),
        ];
        for (seconds, words) in table {
            assert_eq!(ago(at(1_700_000_000 - seconds), at(1_700_000_000)), words);
        }
        assert_eq!(ago(at(1_600_000_000), at(1_700_000_000)), "2020-09-13");
    }
}
