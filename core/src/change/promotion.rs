//! Sync: bringing a version of a service onto another group's branch.

use git2::Oid;
use serde_json::{Map, Value};

use super::arrival;
use super::draft::{Draft, NewTag, Way};
use super::plan::Gate;
use super::{OutcomeKind, Precondition, ServiceOutcome, Sync, SyncSource};
use crate::config::{check_runtime, runtime_path};
use crate::content::{Place, document_at, files_below, read_json};
use crate::diagnostic::{Code, Diagnostic};
use crate::error::{Conflict, Error};
use crate::event::Event;
use crate::merge::{self, Content, OnConflict, Settled};
use crate::name::{CommitId, ContentId, GroupName, ServiceName};
use crate::repository::{Desk, Head, of_group};
use crate::store::objects::{Edits, EntryKind};
use crate::version::Version;

/// How many places are named to somebody who settled one that is none.
const TOLD: usize = 5;

/// A version on its way into a group.
struct Incoming {
    service: ServiceName,
    version: Version,
    /// The commit that the version names.
    commit: CommitId,
    content: ContentId,
    /// The group it comes from, when it comes from one, and its tree.
    from: Option<(GroupName, Oid)>,
    /// The tag that it gets on the way.
    tag: Option<NewTag>,
}

/// What a version on its way meant for the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Brought {
    /// The target has this very content.
    Same,
    /// The target was edited by hand, and keeps what it has.
    Kept,
    /// The content of the target is another one now.
    Changed,
}

impl Brought {
    fn outcome(self) -> OutcomeKind {
        match self {
            Self::Same | Self::Kept => OutcomeKind::AlreadyCurrent,
            Self::Changed => OutcomeKind::Promoted,
        }
    }
}

pub(super) fn sync(
    desk: &Desk<'_>,
    target: &GroupName,
    head: Head,
    sync: &Sync,
    condition: &Precondition,
) -> Result<Draft, Error> {
    match &sync.services[..] {
        [] => {
            let reason = "no service is named to be synced".to_owned();
            return Err(Error::Malformed { reason });
        }
        [(service, _)] => super::service::check(desk, target, head, service, condition)?,
        several => condition.is_of_one(several.len(), "services")?,
    }
    let incoming = sync
        .services
        .iter()
        .map(|(service, source)| find_source(desk, service, source))
        .collect::<Result<Vec<_>, _>>()?;
    let titles: Vec<String> =
        incoming.iter().map(|version| format!("{} {}", version.service, version.version)).collect();
    let mut event =
        Event::new("version.promoted", format!("sync {} to {target}", titles.join(", ")));
    if let [version] = &incoming[..] {
        event = event.about(&version.service).with_version(&version.version);
    }
    let from = |version: &Incoming| version.from.as_ref().map(|(group, _)| group.clone());
    let source = incoming.first().and_then(from);
    let source =
        source.filter(|group| incoming.iter().all(|one| from(one).as_ref() == Some(group)));
    event = event.picked(source.as_ref(), incoming.iter().map(|version| version.commit));
    let mut draft = Draft::new(event);
    draft.way = Way::Version;
    let mut clashes = Vec::new();
    let mut all_there = true;
    for version in incoming {
        check_came_from(desk, target, head, &version, &mut draft)?;
        let brought = bring(desk, target, head, &version, sync, &mut draft, &mut clashes)?;
        all_there &= brought == Brought::Same;
        draft.services.push(ServiceOutcome {
            service: version.service,
            version: version.version,
            outcome: Some(brought.outcome()),
        });
        draft.tags.extend(version.tag);
    }
    if let Some(closed) = draft.gates.iter().find(|gate| !gate.passed) {
        return Err(Error::PromotionGate { reason: closed.message.clone() });
    }
    let version = titles.join(", ");
    // A sync that is repeated finds everything done: there is nothing to settle any more.
    if !all_there {
        check_settled(target, &version, &sync.settled, &clashes)?;
    }
    let left = |clash: &Conflict| {
        let winner = merge::winner(&sync.settled, sync.on_conflict, &clash.file, &clash.pointer);
        winner == OnConflict::Abort
    };
    let conflicts: Vec<_> = clashes.into_iter().filter(left).collect();
    if !conflicts.is_empty() {
        return Err(Error::PromotionConflict { group: target.clone(), version, conflicts });
    }
    Ok(draft)
}

/// Whatever is settled must be a conflict: a place that is misspelt would be decided by `on_conflict`.
fn check_settled(
    target: &GroupName,
    version: &str,
    settled: &Settled,
    clashes: &[Conflict],
) -> Result<(), Error> {
    let is_at = |(file, pointer): &&(String, String)| {
        clashes.iter().any(|clash| clash.file == *file && clash.pointer == *pointer)
    };
    let told = clashes.iter().take(TOLD).map(|clash| format!("{}#{}", clash.file, clash.pointer));
    let places = told.collect::<Vec<_>>().join(", ");
    let hint = match clashes.len() {
        0 => "leave it out: this sync has no conflicts".to_owned(),
        1..=TOLD => format!("conflicts are at {places}"),
        more => format!("conflicts are at {places} and {} more places", more - TOLD),
    };
    let unknown = settled.keys().filter(|place| !is_at(place)).map(|(file, pointer)| {
        let message = format!("{version} and {target} have no conflict here that could be settled");
        Diagnostic::error(file, pointer, Code::BadValue, message).with_hint(&hint)
    });
    match unknown.collect::<Vec<_>>() {
        unknown if unknown.is_empty() => Ok(()),
        unknown => Err(Error::NothingToSettle(unknown)),
    }
}

/// Whether what shall come is there at all, wherever it goes.
pub(super) fn check_source(
    desk: &Desk<'_>,
    service: &ServiceName,
    source: &SyncSource,
) -> Result<(), Error> {
    match source {
        SyncSource::Version(version) => {
            super::version::existing(desk, service, version)?;
        }
        SyncSource::Group { group, .. } => of_group(group, || {
            let found = super::service::content(desk, desk.head(group)?.tree, service)?;
            found.map(drop).ok_or_else(|| Error::no_service(group, service))
        })?,
    }
    Ok(())
}

/// Step 1: what shall come, and by which number.
fn find_source(
    desk: &Desk<'_>,
    service: &ServiceName,
    source: &SyncSource,
) -> Result<Incoming, Error> {
    match source {
        SyncSource::Version(version) => {
            let (version, commit, content) = super::version::existing(desk, service, version)?;
            let service = service.clone();
            Ok(Incoming { service, version, commit, content, from: None, tag: None })
        }
        SyncSource::Group { group, version } => of_group(group, || {
            let head = desk.head(group)?;
            let content = super::service::content(desk, head.tree, service)?
                .ok_or_else(|| Error::no_service(group, service))?;
            let given: Option<Version> =
                version.as_deref().map(str::parse).transpose().map_err(Error::BadVersion)?;
            let (version, commit, tag) = match (desk.index.version_of(service, content)?, given) {
                (Some(row), Some(given)) if given != row.version => {
                    return Err(Error::VersionMismatch {
                        service: service.clone(),
                        version: row.version,
                        given,
                    });
                }
                (Some(row), _) => (row.version, row.commit, None),
                (None, Some(given)) => {
                    let tag =
                        super::version::new_tag(desk, service, content, given, head.commit, None)?;
                    (tag.version.clone(), head.commit, Some(tag))
                }
                (None, None) => {
                    return Err(Error::VersionRequired {
                        service: service.clone(),
                        group: group.clone(),
                    });
                }
            };
            let from = Some((group.clone(), head.tree));
            Ok(Incoming { service: service.clone(), version, commit, content, from, tag })
        }),
    }
}

/// The gate `promotion.from`: the content must have run in one of the groups before the target.
fn check_came_from(
    desk: &Desk<'_>,
    target: &GroupName,
    head: Head,
    version: &Incoming,
    draft: &mut Draft,
) -> Result<(), Error> {
    let loaded = desk.loaded(target, head)?;
    let allowed = &loaded.config.group.promotion.from;
    let ran_in = arrival::came_from(desk, allowed, &version.service, version.content)?;
    let title = format!("{} {}", version.service, version.version);
    let message = match ran_in {
        _ if allowed.is_empty() => format!("{target} takes versions from any group"),
        Some(group) => format!("{title} has run in {group}"),
        None => arrival::closed(target, allowed, &title),
    };
    let passed = allowed.is_empty() || ran_in.is_some();
    draft.gates.push(Gate { gate: "promotion.from".to_owned(), passed, message });
    Ok(())
}

/// Steps 2 and 3: the content, merged where the target was edited by hand, and a first runtime.
fn bring(
    desk: &Desk<'_>,
    target: &GroupName,
    head: Head,
    version: &Incoming,
    sync: &Sync,
    draft: &mut Draft,
    clashes: &mut Vec<Conflict>,
) -> Result<Brought, Error> {
    let service = &version.service;
    let folder = format!("services/{service}");
    let given = sync.runtime.as_ref();
    let current = super::service::content(desk, head.tree, service)?;
    if current == Some(version.content) {
        keep_runtime(desk, target, head, service, given, draft)?;
        return Ok(Brought::Same);
    }
    let base = desk.index.based_on(target, service)?.map(|row| row.content);
    let result = match current {
        None => {
            draft.created = true;
            version.content.0
        }
        Some(current) if base == Some(current) => version.content.0,
        Some(current) => {
            let (merged, found) =
                merge_contents(desk, service, base, current, version.content, sync)?;
            clashes.extend(found);
            merged
        }
    };
    if current == Some(ContentId(result)) {
        keep_runtime(desk, target, head, service, given, draft)?;
        return Ok(Brought::Kept);
    }
    draft.edits().insert(folder, Some((EntryKind::Folder, result)));
    first_runtime(desk, target, head, version, given, draft)?;
    Ok(Brought::Changed)
}

/// Gives a service that the target knows nothing of yet its runtime; one that is there stays.
fn first_runtime(
    desk: &Desk<'_>,
    target: &GroupName,
    head: Head,
    version: &Incoming,
    given: Option<&Value>,
    draft: &mut Draft,
) -> Result<(), Error> {
    let path = runtime_path(&version.service);
    if desk.objects.find(head.tree, &path)?.is_some() {
        return keep_runtime(desk, target, head, &version.service, given, draft);
    }
    if let Some(given) = given {
        return draft.put(desk, &path, given);
    }
    // A version by its number comes from where it was made.
    let source_tree = match &version.from {
        Some((_, tree)) => *tree,
        None => desk.tree_of(version.commit)?,
    };
    let Some((_, source)) = document_at(&desk.objects, source_tree, &path)? else { return Ok(()) };
    let mut upstreams = source.get("upstreams").cloned().unwrap_or(Value::Object(Map::new()));
    for upstream in upstreams.as_object_mut().into_iter().flat_map(Map::values_mut) {
        if let Some(settings) = upstream.as_object_mut() {
            settings.shift_remove("nodes");
        }
    }
    draft.put(desk, &path, &Value::Object(Map::from_iter([("upstreams".to_owned(), upstreams)])))
}

/// Tells who gave a runtime that it is not taken, and what is wrong with it all the same.
fn keep_runtime(
    desk: &Desk<'_>,
    target: &GroupName,
    head: Head,
    service: &ServiceName,
    given: Option<&Value>,
    draft: &mut Draft,
) -> Result<(), Error> {
    let Some(given) = given else { return Ok(()) };
    let loaded = desk.loaded(target, head)?;
    check_runtime(service, given, &loaded.config.group, &mut draft.findings);
    let message = format!("{target} has a runtime for {service} already; it stays as it is");
    let finding = Diagnostic::error(runtime_path(service), "", Code::RuntimeKept, message);
    draft.findings.push(finding.with_hint("change it on its own").warning());
    Ok(())
}

/// The tree of the three-way merge by meaning, with clashes settled as the sync says.
fn merge_contents(
    desk: &Desk<'_>,
    service: &ServiceName,
    base: Option<ContentId>,
    ours: ContentId,
    theirs: ContentId,
    sync: &Sync,
) -> Result<(Oid, Vec<Conflict>), Error> {
    let prefix = format!("services/{service}");
    let read = |content: Option<ContentId>| -> Result<Content, Error> {
        let Some(content) = content else { return Ok(Content::new()) };
        let files = files_below(&desk.objects, content.0, &prefix)?;
        files
            .into_iter()
            .map(|(path, id)| {
                let json = read_json(&desk.objects, id)?;
                let json = Place::of(&path).map_or(json.clone(), |place| place.expand(&json));
                Ok((path, json))
            })
            .collect()
    };
    let (base, ours_read, theirs_read) = (read(base)?, read(Some(ours))?, read(Some(theirs))?);
    let (merged, clashes) =
        merge::merge(&base, &ours_read, &theirs_read, sync.on_conflict, &sync.settled);
    // A merge that comes to what one side has is that side, to the byte.
    let tree = if merged == theirs_read {
        theirs.0
    } else if merged == ours_read {
        ours.0
    } else {
        let mut edits = Edits::new();
        for (path, json) in &merged {
            let relative = path.strip_prefix(&prefix).unwrap_or(path).trim_start_matches('/');
            let bytes = Place::of(path)
                .map_or_else(|| crate::json::to_text(json).into_bytes(), |place| place.bytes(json));
            let blob = desk.objects.make_blob(&bytes)?;
            edits.insert(relative.to_owned(), Some((EntryKind::File, blob)));
        }
        desk.objects.edit(None, &edits)?
    };
    let or_null = |value: Option<Value>| value.unwrap_or(Value::Null);
    let conflicts = clashes.into_iter().map(|clash| Conflict {
        service: service.clone(),
        file: clash.file,
        pointer: clash.pointer,
        base: or_null(clash.base),
        ours: or_null(clash.ours),
        theirs: or_null(clash.theirs),
    });
    Ok((tree, conflicts.collect()))
}
