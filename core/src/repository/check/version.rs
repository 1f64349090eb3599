//! The tags of versions: each names a content that no other number names.

use std::collections::{BTreeSet, HashMap};

use git2::Oid;

use super::{CheckError, Checker, Refs, Subject};
use crate::name::ServiceName;
use crate::store::commit;
use crate::store::objects::{EntryKind, Objects};
use crate::version::Version;

impl Checker<'_> {
    pub(super) fn versions(&mut self, refs: &Refs) -> Result<(), CheckError> {
        self.checked.insert(Subject::Versions, refs.tags.len());
        let published: BTreeSet<Oid> = self.histories.values().flatten().copied().collect();
        let objects = Objects::new(self.repository)?;
        let mut numbered: HashMap<(ServiceName, Oid), Version> = HashMap::new();
        for ((service, version), id) in &refs.tags {
            let what = format!("refs/tags/{service}/{version}");
            match self.version(&objects, service, version, *id, &published) {
                Ok(content) => {
                    let key = (service.clone(), content);
                    if let Some(other) = numbered.get(&key) {
                        let message =
                            format!("its content is version {other} too; one number is enough");
                        self.error(Subject::Versions, what, message);
                    } else {
                        numbered.insert(key, version.clone());
                    }
                }
                Err(message) => self.error(Subject::Versions, what, message),
            }
        }
        Ok(())
    }

    /// The content that a version names; or what is wrong with its tag.
    fn version(
        &self,
        objects: &Objects<'_>,
        service: &ServiceName,
        version: &Version,
        id: Oid,
        published: &BTreeSet<Oid>,
    ) -> Result<Oid, String> {
        let found = commit::find_tagged(self.repository, id)
            .map_err(|error| format!("its object {id} cannot be read: {error}"))?;
        let Some((object, commit)) = found else {
            return Err("it points at no commit".to_owned());
        };
        // A light tag has no name of its own; the log of pushes says who made it.
        let called = object.as_tag().map(|tag| String::from_utf8_lossy(tag.name_bytes()));
        if let Some(called) = called.filter(|called| *called != format!("{service}/{version}")) {
            return Err(format!("its tag object is called {called:?}"));
        }
        let tree = commit.tree_id();
        let commit = commit.id();
        if !published.contains(&commit) && !self.archived.contains(&commit) {
            return Err(format!("commit {commit} is in the history of no group"));
        }
        match objects.find(tree, &format!("services/{service}")) {
            Ok(Some(entry)) if entry.kind == EntryKind::Folder => Ok(entry.id),
            Ok(_) => Err(format!("commit {commit} has no service {service}")),
            Err(error) => Err(format!("its content cannot be read: {error}")),
        }
    }
}
