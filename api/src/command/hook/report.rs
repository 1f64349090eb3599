//! `refgate hook post-receive`: what came of a push, in people's words.

use std::env;
use std::time::{Duration, Instant};

use refgate_core::name::{CommitId, GroupName};
use refgate_core::push::{Outcome, Touched, outcomes};

use super::{HookError, Setting, say, updates};
use crate::client::Client;
use crate::client::endpoint::Endpoint;
use crate::client::view::{self, Convergence};
use crate::output::text::instance;

/// How long the gateways have to serve what was pushed before the pusher is told where it stands.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// What of one push is told by name.
const MOST: usize = 10;

pub(super) fn run() -> Result<bool, HookError> {
    let setting = Setting::from_environment()?;
    let outcomes = outcomes(&setting.repository, &updates()?)?;
    let server = Server::from_environment();
    let deadline = Instant::now() + PATIENCE;
    for outcome in &outcomes {
        match outcome {
            Outcome::Version { service, version } => {
                say(&format!("{service} {version} is a version now"));
            }
            Outcome::Group { group, created, commit, revision, touched } => {
                let id: String = commit.to_string().chars().take(10).collect();
                let begins = if *created { "begins" } else { "is" };
                say(&format!("{group} {begins} at revision {revision} ({id})"));
                for line in touched.iter().take(MOST).map(words) {
                    say(&format!("  {line}"));
                }
                if let Some(more) = touched.len().checked_sub(MOST).filter(|more| *more > 0) {
                    say(&format!("  and {more} more"));
                }
                if let Some(server) = &server {
                    server.tell_who_serves(group, *commit, deadline);
                }
            }
        }
    }
    if let Some(server) = server.filter(|_| !outcomes.is_empty()) {
        say(&format!("see {}{}", server.address.trim_end_matches('/'), page(&outcomes)));
    }
    Ok(true)
}

/// The page of the dashboard where all of it is to be seen.
fn page(outcomes: &[Outcome]) -> String {
    let commits = outcomes.iter().filter_map(|outcome| match outcome {
        Outcome::Group { group, commit, .. } => Some(format!("/groups/{group}/commits/{commit}")),
        Outcome::Version { .. } => None,
    });
    let mut commits = commits.take(2);
    match (commits.next(), commits.next()) {
        (Some(only), None) => only,
        (Some(_), Some(_)) => "/history".to_owned(),
        (None, _) => "/".to_owned(),
    }
}

fn words(touched: &Touched) -> String {
    match touched {
        Touched::Added(service) => format!("{service} was added"),
        Touched::Removed(service) => format!("{service} was removed"),
        Touched::Changed(service, None) => format!("{service} changed (no version yet)"),
        Touched::Changed(service, Some(version)) => format!("{service} is at {version}"),
        Touched::Runtime(service) => format!("the runtime of {service} changed"),
        Touched::File(path) => format!("{path} changed"),
    }
}

/// The control plane that the push came through.
pub(super) struct Server {
    address: String,
    client: Client,
}

impl Server {
    /// Nothing for a push by path or ssh.
    pub(super) fn from_environment() -> Option<Self> {
        let address = env::var("REFGATE_SERVER").ok()?;
        let token = env::var("REFGATE_HOOK_TOKEN").ok()?.parse().ok()?;
        let client = Client::new(address.parse().ok()?, Some(token));
        Some(Self { address, client })
    }

    /// Says which gateways serve the commit, and which do not yet. That nobody can be asked is not
    /// worth a word: the push has come to pass.
    pub(super) fn tell_who_serves(&self, group: &GroupName, commit: CommitId, deadline: Instant) {
        let wait = deadline.saturating_duration_since(Instant::now());
        let endpoint = Endpoint::convergence(group, &commit, wait);
        let Ok(answer) = self.client.get(&endpoint) else { return };
        let Ok(convergence) = view::read::<Convergence>(&answer.body) else { return };
        let Convergence { applied, total, pending, .. } = convergence;
        say(&match (total, applied) {
            (0, _) => "  no gateway of this group is running".to_owned(),
            (1, 1) => "  its gateway serves it".to_owned(),
            (total, applied) if applied == total => format!("  all {total} gateways serve it"),
            (total, applied) => {
                let names: Vec<String> = pending.iter().map(instance).collect();
                let names = names.join(", ");
                format!("  {applied} of {total} gateways serve it so far, not yet: {names}")
            }
        });
    }
}
