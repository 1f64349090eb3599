//! What a run met, counted: a model that never comes to a conflict proves nothing about conflicts.

use std::collections::BTreeMap;

use refgate_core::merge::OnConflict;

use super::merge::Clash;
use super::{Done, Refusal, Step, Tree};

/// How often each thing was met.
#[derive(Debug, Clone, Default)]
pub(super) struct Coverage(BTreeMap<String, usize>);

/// Conflicts that a run has to meet with every `on_conflict`: what, and what both sides did to it.
const CONFLICTS: [(&str, &str); 15] = [
    ("file", "delete/edit"),
    ("file", "edit/delete"),
    ("value", "edit/edit"),
    ("value", "add/add"),
    ("set", "edit/edit"),
    ("set", "add/add"),
    ("label", "edit/edit"),
    ("label", "delete/edit"),
    ("label", "edit/delete"),
    ("label", "add/add"),
    ("header", "edit/edit"),
    ("header", "delete/edit"),
    ("header", "edit/delete"),
    ("header", "add/add"),
    ("any", "of several services"),
];

/// What else a run has to meet.
const OTHERS: [&str; 25] = [
    "sync: promoted",
    "sync: already_current",
    "sync: the target keeps what it has",
    "joined: file",
    "joined: set",
    "joined: headers",
    "sync of several: done",
    "sync of several: promotion_conflict",
    "sync of several: promotion_gate",
    "sync of several: validation_failed",
    "sync to several: some done, some refused",
    "sync: version_required",
    "sync: version_mismatch",
    "sync: version_taken",
    "sync: promotion_gate",
    "variable missing",
    "tag: content_already_versioned",
    "edit: direct_edit_refused",
    "edit: validation_failed",
    "edit: of what a runtime-only group owns",
    "service rollback: rolled_back",
    "service rollback: not_found",
    "service rollback: in a runtime-only group",
    "group rollback: done",
    "group rollback: a service disappears",
];

impl Coverage {
    pub(super) fn count(&mut self, what: impl Into<String>) {
        *self.0.entry(what.into()).or_default() += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (what, times) in &other.0 {
            *self.0.entry(what.clone()).or_default() += times;
        }
    }

    /// A step and what came of it, with what both sides changed differently.
    pub(super) fn step(&mut self, step: &Step, outcome: &Result<Done, Refusal>, clashes: &[Clash]) {
        match step {
            Step::Sync(_, items, _, on_conflict) => {
                let code = outcome.as_ref().map_or_else(|code| *code, |_| "done");
                self.count(format!("sync: {code}"));
                if items.len() > 1 {
                    self.count(format!("sync of several: {code}"));
                }
                for (_, _, word) in outcome.iter().flat_map(|done| &done.services) {
                    self.count(format!("sync: {word}"));
                }
                // A conflict counts when it decided what came of the sync.
                if outcome.is_ok() || *outcome == Err("promotion_conflict") {
                    self.conflicts(items.len(), *on_conflict, clashes);
                }
            }
            Step::Tag(..) => self.plain("tag", outcome),
            Step::RollbackService(..) => {
                self.plain("service rollback", outcome);
                for (_, _, word) in outcome.iter().flat_map(|done| &done.services) {
                    self.count(format!("service rollback: {word}"));
                }
            }
            Step::RollbackGroup(..) => self.plain("group rollback", outcome),
            Step::Push(..) => self.count("push"),
            _ => self.plain("edit", outcome),
        }
    }

    fn plain(&mut self, what: &str, outcome: &Result<Done, Refusal>) {
        let word = match outcome {
            Ok(done) if done.changed => "done",
            Ok(_) => "unchanged",
            Err(code) => code,
        };
        self.count(format!("{what}: {word}"));
    }

    fn conflicts(&mut self, services: usize, on_conflict: OnConflict, clashes: &[Clash]) {
        for Clash { thing, how, .. } in clashes {
            self.count(conflict(on_conflict, thing, how));
        }
        if services > 1 && !clashes.is_empty() {
            self.count(conflict(on_conflict, "any", "of several services"));
        }
    }

    pub(super) fn group_rolled_back(&mut self, before: &Tree, now: &Tree) {
        if before.services.keys().any(|service| !now.services.contains_key(service)) {
            self.count("group rollback: a service disappears");
        }
    }

    /// Fails with everything that was met less often than `least` times.
    pub(super) fn require(&self, least: usize) {
        let conflicts = [OnConflict::Abort, OnConflict::Theirs, OnConflict::Ours]
            .into_iter()
            .flat_map(|side| CONFLICTS.map(|(thing, how)| conflict(side, thing, how)));
        let needed = conflicts.chain(OTHERS.map(str::to_owned));
        let rare: Vec<String> = needed
            .filter_map(|what| {
                let times = self.0.get(&what).copied().unwrap_or_default();
                (times < least).then(|| format!("{what}: {times}"))
            })
            .collect();
        assert!(rare.is_empty(), "met less than {least} times: {rare:#?}\nof {:#?}", self.0);
    }
}

fn conflict(on_conflict: OnConflict, thing: &str, how: &str) -> String {
    format!("conflict, {on_conflict:?}: {thing} {how}")
}
