//! Loading: what the tree holds, what of it is still the same, and what must be read anew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use git2::Oid;

use super::read::{read_document, read_group, read_service};
use super::survey::{self, SchemaName};
use super::{GroupConfig, Loaded, runtime_path};
use crate::diagnostic::{Code, Diagnostic};
use crate::document::{Group, Reader, Runtime};
use crate::name::{CommitId, GroupName, ServiceName};
use crate::store::StoreError;
use crate::store::objects::{EntryKind, Objects};
use crate::validate;

/// Loads the group from its tree, reusing what did not change since `previous`.
pub(crate) fn load(
    objects: &Objects<'_>,
    name: &GroupName,
    commit: CommitId,
    tree: Oid,
    previous: Option<&GroupConfig>,
) -> Result<Loaded, StoreError> {
    let mut loader = Loader {
        objects,
        findings: Vec::new(),
        services: Vec::new(),
        runtimes: BTreeMap::new(),
        group_file: None,
    };
    loader.survey(tree)?;
    loader.finish(name, commit, previous)
}

struct Loader<'o, 'r> {
    objects: &'o Objects<'r>,
    findings: Vec<Diagnostic>,
    services: Vec<(ServiceName, Oid)>,
    runtimes: BTreeMap<ServiceName, Oid>,
    group_file: Option<Oid>,
}

impl Loader<'_, '_> {
    /// Lists what the tree holds; everything without a place in it is a finding.
    fn survey(&mut self, tree: Oid) -> Result<(), StoreError> {
        for entry in self.objects.tree(tree)? {
            match (entry.name.as_str(), entry.kind) {
                ("group.json", EntryKind::File) => self.group_file = Some(entry.id),
                ("README.md" | ".editorconfig", EntryKind::File) => {}
                ("services", EntryKind::Folder) => self.survey_services(entry.id)?,
                ("runtime", EntryKind::Folder) => self.survey_runtimes(entry.id)?,
                ("schema", EntryKind::Folder) => {
                    for file in self.objects.tree(entry.id)? {
                        survey::document_name::<SchemaName>("schema", &file, &mut self.findings);
                    }
                }
                _ => survey::unexpected(&entry.name, &entry, &mut self.findings),
            }
        }
        if self.group_file.is_none() {
            let finding =
                Diagnostic::error("group.json", "", Code::MissingFile, "the file is missing");
            self.findings.push(finding.with_hint("an empty object, {}, is a valid group.json"));
        }
        Ok(())
    }

    fn survey_services(&mut self, folder: Oid) -> Result<(), StoreError> {
        for entry in self.objects.tree(folder)? {
            let path = format!("services/{}", entry.name);
            match entry.name.parse() {
                Ok(name) if entry.kind == EntryKind::Folder => self.services.push((name, entry.id)),
                Ok(_) => survey::unexpected(&path, &entry, &mut self.findings),
                Err(error) => survey::bad_name(&path, &error, &mut self.findings),
            }
        }
        Ok(())
    }

    fn survey_runtimes(&mut self, folder: Oid) -> Result<(), StoreError> {
        for entry in self.objects.tree(folder)? {
            if let Some(name) = survey::document_name("runtime", &entry, &mut self.findings) {
                self.runtimes.insert(name, entry.id);
            }
        }
        Ok(())
    }

    fn finish(
        mut self,
        name: &GroupName,
        commit: CommitId,
        previous: Option<&GroupConfig>,
    ) -> Result<Loaded, StoreError> {
        let (group, group_faulty) = self.group(name, previous)?;
        let same_variables =
            previous.is_some_and(|before| before.group.variables == group.variables);
        let mut services = BTreeMap::new();
        let mut faulty = BTreeSet::new();
        let mut fresh = BTreeSet::new();
        for (service, content) in std::mem::take(&mut self.services) {
            let runtime_file = self.runtimes.remove(&service);
            let kept = previous.and_then(|before| before.services.get(&service)).filter(|kept| {
                kept.content.0 == content
                    && kept.runtime_file == runtime_file
                    && (same_variables || !kept.uses_variables)
            });
            if let Some(kept) = kept {
                services.insert(service, Arc::clone(kept));
                continue;
            }
            let read = read_service(
                self.objects,
                &service,
                content,
                runtime_file,
                &group,
                &mut self.findings,
            )?;
            if let Some(config) = read {
                self.findings.extend(config.warnings.iter().cloned());
                fresh.insert(service.clone());
                services.insert(service, Arc::new(config));
            } else {
                faulty.insert(service);
            }
        }
        for (service, file) in std::mem::take(&mut self.runtimes) {
            self.stray_runtime(&service, file, &group)?;
        }
        for conflict in validate::conflicts(&services, &fresh, previous.is_none()) {
            if let Some(service) = conflict.at_fault {
                services.remove(&service);
                faulty.insert(service);
            }
            self.findings.push(conflict.diagnostic);
        }
        self.findings.sort();
        self.findings.dedup();
        let config = GroupConfig {
            name: name.clone(),
            commit,
            group,
            services,
            group_file: self.group_file,
        };
        Ok(Loaded { config, diagnostics: self.findings, faulty, group_faulty })
    }

    fn group(
        &mut self,
        name: &GroupName,
        previous: Option<&GroupConfig>,
    ) -> Result<(Arc<Group>, bool), StoreError> {
        if let Some(before) = previous
            && before.group_file.is_some()
            && before.group_file == self.group_file
        {
            return Ok((Arc::clone(&before.group), false));
        }
        let read = match self.group_file {
            Some(id) => read_group(self.objects, name, id, &mut self.findings)?,
            None => None,
        };
        Ok(match read {
            Some(group) => (Arc::new(group), false),
            None => {
                // A later load must not take the old document for the new file's.
                self.group_file = None;
                let kept = previous.map(|before| Arc::clone(&before.group));
                (kept.unwrap_or_else(|| Arc::new(Group::empty())), true)
            }
        })
    }

    /// A runtime may wait for its service, but it is read like any other.
    fn stray_runtime(
        &mut self,
        service: &ServiceName,
        file: Oid,
        group: &Group,
    ) -> Result<(), StoreError> {
        let path = runtime_path(service);
        let read = read_document::<Runtime>(self.objects, &path, file, group, &mut self.findings)?;
        if let Some((runtime, _)) = read {
            runtime.check(&mut Reader::new(&path, &mut self.findings));
            let message = format!("the group has no service {service} yet");
            self.findings.push(
                Diagnostic::error(path, "", Code::UnexpectedFile, message)
                    .with_hint("it takes effect once the service is there")
                    .warning(),
            );
        }
        Ok(())
    }
}
