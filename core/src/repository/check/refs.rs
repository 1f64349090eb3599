//! The refs: of which kind each is, and that what it names can be followed.

use std::collections::BTreeMap;
use std::path::Path;

use git2::Oid;

use super::{CheckError, Checker, Subject};
use crate::diagnostic::Severity;
use crate::name::{GroupName, ServiceName};
use crate::store::{StoreError, commit, stale};
use crate::version::Version;

/// The refs by kind.
#[derive(Default)]
pub(super) struct Refs {
    pub(super) groups: BTreeMap<GroupName, Oid>,
    pub(super) tags: BTreeMap<(ServiceName, Version), Oid>,
    pub(super) archives: Vec<(String, Oid)>,
}

impl Checker<'_> {
    pub(super) fn refs(&mut self, path: &Path) -> Result<Refs, CheckError> {
        let mut refs = Refs::default();
        let mut count = 0;
        for reference in self.repository.references()? {
            count += 1;
            let reference = match reference {
                Ok(reference) => reference,
                Err(error) => {
                    self.error(Subject::Refs, "a ref", error.message());
                    continue;
                }
            };
            let name = String::from_utf8_lossy(reference.name_bytes()).into_owned();
            let Some(id) = reference.target() else {
                self.error(Subject::Refs, name, "the ref names another ref, not an object");
                continue;
            };
            self.sort_in(&mut refs, name, id);
        }
        self.checked.insert(Subject::Refs, count);
        for (group, head) in &refs.groups {
            let history = self.history(group.branch(), *head);
            self.histories.insert(group.clone(), history);
        }
        for (name, tip) in &refs.archives {
            let history = self.history(name.clone(), *tip);
            self.archived.extend(history);
        }
        for lock in stale::old_locks(path).map_err(StoreError::from)? {
            self.find(
                Subject::Refs,
                Severity::Warning,
                lock.display().to_string(),
                "a lock that nobody seems to hold any more",
                Some(
                    "the next start of refgate takes it away; so may you when no git process runs",
                ),
            );
        }
        Ok(refs)
    }

    /// Puts a ref where it belongs, or says that it belongs nowhere.
    fn sort_in(&mut self, refs: &mut Refs, name: String, id: Oid) {
        let hint = Some("refgate ignores it; git update-ref -d takes it away");
        if let Some(group) = name.strip_prefix("refs/heads/") {
            match group.parse() {
                Ok(group) => {
                    refs.groups.insert(group, id);
                }
                Err(error) => {
                    let message = format!("no group can have this name: {error}");
                    self.find(Subject::Refs, Severity::Error, name, message, hint);
                }
            }
        } else if let Some(tag) = name.strip_prefix("refs/tags/") {
            let parts = tag.split_once('/').map(|(service, number)| {
                (service.parse::<ServiceName>(), number.parse::<Version>())
            });
            if let Some((Ok(service), Ok(version))) = parts {
                refs.tags.insert((service, version), id);
            } else {
                let message = "the tag is no version: it is not called SERVICE/NUMBER";
                self.find(Subject::Refs, Severity::Error, name, message, hint);
            }
        } else if name.strip_prefix("refs/archive/").is_some_and(|rest| rest.contains('/')) {
            refs.archives.push((name, id));
        } else if !name.starts_with("refs/refgate/") {
            let message = "the ref is of no kind that belongs to a configuration";
            self.find(Subject::Refs, Severity::Error, name, message, hint);
        }
    }

    /// The first-parent history of a commit, oldest first; where it breaks off, a finding.
    fn history(&mut self, name: String, head: Oid) -> Vec<Oid> {
        let mut history = Vec::new();
        let mut next = Some(head);
        while let Some(id) = next {
            match commit::find(self.repository, id) {
                Ok(commit) => {
                    history.push(id);
                    next = commit.parent_ids().next();
                }
                Err(error) => {
                    let message = match history.is_empty() {
                        true => format!("it is at {id}: {error}"),
                        false => format!("its history breaks off at {id}: {error}"),
                    };
                    self.error(Subject::Refs, name, message);
                    break;
                }
            }
        }
        history.reverse();
        history
    }
}
