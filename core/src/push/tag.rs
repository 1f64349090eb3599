//! What is asked before a tag becomes a version.

use git2::{ObjectType, Oid};

use super::{Check, Finding, Rule, Update};
use crate::change::version::check_pushed;
use crate::config;
use crate::error::Error;
use crate::name::{CommitId, ContentId, ServiceName};
use crate::store::objects::EntryKind;
use crate::store::{commit, refs};
use crate::version::Version;

impl Check<'_, '_> {
    pub(super) fn version(
        &mut self,
        update: &Update,
        service: &ServiceName,
        version: &Version,
        new: Oid,
    ) -> Result<(), Error> {
        let taken = refs::resolve(self.desk.git, &refs::tag_ref(service, version))?;
        if taken.is_some() || update.old.is_some() {
            self.refuse(update, Rule::VersionMoved(service.clone(), version.clone()));
            return Ok(());
        }
        // A tag of a tag, or of something else, is no version.
        let Some((object, commit)) = commit::find_tagged(self.desk.git, new)? else {
            self.refuse(update, Rule::NoTagOfCommit);
            return Ok(());
        };
        let own_name = object
            .as_tag()
            .filter(|_| object.kind() == Some(ObjectType::Tag))
            .map(|tag| String::from_utf8_lossy(tag.name_bytes()).into_owned());
        if let Some(own_name) = own_name.filter(|name| *name != format!("{service}/{version}")) {
            self.refuse(update, Rule::OtherName(own_name));
        }
        if !self.arrived.contains(&commit.id()) && !self.desk.index.knows(CommitId(commit.id()))? {
            self.refuse(update, Rule::NotInHistory);
        }
        let folder = self.desk.objects.find(commit.tree_id(), &format!("services/{service}"))?;
        let Some(folder) = folder.filter(|entry| entry.kind == EntryKind::Folder) else {
            self.refuse(update, Rule::NoService(service.clone()));
            return Ok(());
        };
        let content = ContentId(folder.id);
        // A commit that another one followed in the same push may be unfinished; a version stays.
        let errors = config::content_errors(&self.desk.objects, service, content)?;
        if !errors.is_empty() {
            return self.documents(update, commit.tree_id(), errors, Some(CommitId(commit.id())));
        }
        let numbered = self.desk.index.version_of(service, content)?.map(|row| row.version);
        let in_this_push = self.versions.get(&(service.clone(), content)).cloned();
        match numbered.or(in_this_push) {
            Some(number) => {
                let service = service.clone();
                let error = Error::ContentAlreadyVersioned { service, version: number };
                self.findings.push(Finding::refused(update, error));
            }
            None => match check_pushed(self.desk, service, content, version) {
                Ok(()) => {
                    self.versions.insert((service.clone(), content), version.clone());
                }
                Err(error @ Error::ConcurrentUpdate { .. }) => {
                    self.findings.push(Finding::refused(update, error));
                }
                Err(error) => return Err(error),
            },
        }
        Ok(())
    }
}
