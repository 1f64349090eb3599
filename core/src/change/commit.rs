//! Several files in one commit.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Precondition;
use super::draft::{Draft, TreeChange};
use crate::content::{Place, lay_over};
use crate::error::Error;
use crate::event::Event;
use crate::name::GroupName;
use crate::object::ObjectKind;
use crate::repository::{Desk, Head};

pub(super) fn commit(
    desk: &Desk<'_>,
    group: &GroupName,
    head: Head,
    files: &BTreeMap<String, Value>,
    message: Option<&str>,
    condition: &Precondition,
) -> Result<Draft, Error> {
    super::group::check(group, Some(head), condition)?;
    let places: Vec<Option<Place>> = files.keys().map(|path| Place::of(path)).collect();
    let services: BTreeSet<_> = places.iter().flatten().filter_map(Place::service).collect();
    let kind = kind(&places);
    let subject = message
        .map(str::trim)
        .filter(|message| !message.is_empty())
        .map_or_else(|| format!("change {} files in {group}", files.len()), str::to_owned);
    let mut event = Event::new(&kind, subject);
    if services.len() == 1 {
        event = services.into_iter().fold(event, Event::about);
    }
    let mut draft = Draft::new(event);
    let tree = lay_over(&desk.objects, Some(head.tree), files, false, &mut draft.findings)?;
    draft.change = TreeChange::Whole(tree);
    Ok(draft)
}

/// The kind of event that fits all the files best.
fn kind(places: &[Option<Place>]) -> String {
    if let Some(object) = object_kind(places) {
        return format!("{}.updated", object.event());
    }
    let all = |test: fn(&Place) -> bool| places.iter().flatten().all(test);
    let kind = if all(|place| matches!(place, Place::Runtime(_))) {
        "runtime.updated"
    } else if all(|place| place.service().is_none()) {
        "group.updated"
    } else {
        "service.updated"
    };
    kind.to_owned()
}

/// The kind of object that all the files are, if they are of one.
fn object_kind(places: &[Option<Place>]) -> Option<ObjectKind> {
    let mut kinds = places.iter().flatten().map(|place| match place {
        Place::Object(name) => Some(name.kind()),
        _ => None,
    });
    let first = kinds.next()??;
    kinds.all(|kind| kind == Some(first)).then_some(first)
}
