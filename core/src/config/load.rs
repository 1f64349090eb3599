//! Loading: what the tree holds, what of it is still the same, and what must be read anew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use git2::Oid;

use super::object::{self, ObjectFolders};
use super::read::{fits, read_document, read_group, read_service};
use super::survey;
use super::{
    Basis, Folders, GroupConfig, GroupParts, Loaded, Services, runtime_path, service_path,
};
use crate::content::SchemaName;
use crate::diagnostic::{Code, Diagnostic};
use crate::document::{Group, Runtime};
use crate::name::{CommitId, GroupName, ServiceName};
use crate::object::ObjectKind;
use crate::store::StoreError;
use crate::store::objects::{Difference, Entry, EntryKind, Listing, Objects};
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
        group_file: None,
        object_folders: ObjectFolders::default(),
    };
    let (folders, extras) = loader.survey(tree, previous)?;
    loader.finish(name, commit, folders, extras, previous)
}

struct Loader<'o, 'r> {
    objects: &'o Objects<'r>,
    findings: Vec<Diagnostic>,
    group_file: Option<Oid>,
    object_folders: ObjectFolders,
}

/// The two places of a service in a group's tree.
#[derive(Debug, Clone, Copy, Default)]
struct Places {
    content: Option<Oid>,
    runtime: Option<Oid>,
}

impl Places {
    /// Where a service is in the folders of services and runtimes.
    fn of(
        service: &ServiceName,
        services: &Listing<'_, '_>,
        runtimes: &Listing<'_, '_>,
    ) -> Result<Self, StoreError> {
        let content = services.find(service.as_str())?;
        let runtime = runtimes.find(&format!("{service}.json"))?;
        let id = |entry: Option<Entry>, kind| {
            entry.filter(|entry| entry.kind == kind).map(|entry| entry.id)
        };
        Ok(Self { content: id(content, EntryKind::Folder), runtime: id(runtime, EntryKind::File) })
    }
}

impl Loader<'_, '_> {
    /// Looks at the top of the tree; everything without a place in it is a finding.
    fn survey(
        &mut self,
        tree: Oid,
        previous: Option<&GroupConfig>,
    ) -> Result<(Folders, Option<Vec<Oid>>), StoreError> {
        let mut folders = Folders::default();
        let mut extras = Vec::new();
        for entry in self.objects.tree(tree)? {
            match (entry.name.as_str(), entry.kind) {
                ("group.json", EntryKind::File) => self.group_file = Some(entry.id),
                ("README.md" | ".editorconfig", EntryKind::File)
                | ("schema", EntryKind::Folder) => extras.push(entry),
                ("services", EntryKind::Folder) => folders.services = Some(entry.id),
                ("runtime", EntryKind::Folder) => folders.runtime = Some(entry.id),
                (name, EntryKind::Folder) if let Some(kind) = ObjectKind::of_folder(name) => {
                    self.object_folders.set(kind, entry.id);
                }
                _ => survey::unexpected(&entry.name, &entry, &mut self.findings),
            }
        }
        if self.group_file.is_none() {
            let finding =
                Diagnostic::error("group.json", "", Code::MissingFile, "the file is missing");
            self.findings.push(finding.with_hint("an empty object, {}, is a valid group.json"));
        }
        Ok((folders, self.extras(&extras, previous)?))
    }

    /// Looks at what is there for people and their editors, where it is not as it was. What is at
    /// fault is looked at each time.
    fn extras(
        &mut self,
        extras: &[Entry],
        previous: Option<&GroupConfig>,
    ) -> Result<Option<Vec<Oid>>, StoreError> {
        let ids = Some(extras.iter().map(|entry| entry.id).collect());
        if previous.is_some_and(|before| before.basis.extras == ids) {
            return Ok(ids);
        }
        let known = self.findings.len();
        for entry in extras {
            if entry.kind == EntryKind::Folder {
                self.schemas(&entry.name, entry.id)?;
            } else {
                fits(self.objects, &entry.name, entry.id, &mut self.findings)?;
            }
        }
        Ok(ids.filter(|_| self.findings.len() == known))
    }

    fn schemas(&mut self, folder: &str, id: Oid) -> Result<(), StoreError> {
        let mut names: BTreeMap<String, String> = BTreeMap::new();
        for file in self.objects.tree(id)? {
            let path = format!("{folder}/{}", file.name);
            let name = survey::document_name::<SchemaName>(folder, &file, &mut self.findings);
            if name.is_none() || !fits(self.objects, &path, file.id, &mut self.findings)? {
                continue;
            }
            if let Some(other) = names.insert(file.name.to_lowercase(), file.name) {
                let message = format!("{folder}/{other} differs from it only in case");
                let hint = "on some computers they are one file: rename one of them";
                let finding = Diagnostic::error(path, "", Code::BadName, message);
                self.findings.push(finding.with_hint(hint));
            }
        }
        Ok(())
    }

    /// The services with an entry that is not the same as before, each with both its places; says
    /// whether every entry has its place.
    fn changed(
        &mut self,
        before: Folders,
        now: Folders,
    ) -> Result<(BTreeMap<ServiceName, Places>, bool), StoreError> {
        let known = self.findings.len();
        let mut changed: BTreeMap<ServiceName, Places> = BTreeMap::new();
        for change in self.objects.differences(before.services, now.services)? {
            if let Some(name) = self.service_folder(change)? {
                changed.entry(name).or_default();
            }
        }
        for Difference { name, new, .. } in self.objects.differences(before.runtime, now.runtime)? {
            let entry = new.map(|(kind, id)| Entry { name: name.clone(), kind, id });
            let service = match &entry {
                Some(entry) => survey::document_name("runtime", entry, &mut self.findings),
                None => name.strip_suffix(".json").and_then(|stem| stem.parse().ok()),
            };
            if let Some(service) = service {
                changed.entry(service).or_default();
            }
        }
        Ok((changed, self.findings.len() == known))
    }

    fn service_folder(&mut self, change: Difference) -> Result<Option<ServiceName>, StoreError> {
        let path = format!("services/{}", change.name);
        Ok(match (change.name.parse(), change.new) {
            (Ok(name), None | Some((EntryKind::Folder, _))) => Some(name),
            (Ok(_), Some((kind, id))) => {
                let entry = Entry { name: change.name, kind, id };
                survey::unexpected(&path, &entry, &mut self.findings);
                None
            }
            (Err(error), Some(_)) => {
                survey::bad_name(&path, &error, &mut self.findings);
                None
            }
            (Err(_), None) => None,
        })
    }

    fn finish(
        mut self,
        name: &GroupName,
        commit: CommitId,
        folders: Folders,
        extras: Option<Vec<Oid>>,
        previous: Option<&GroupConfig>,
    ) -> Result<Loaded, StoreError> {
        let (group, group_faulty) = self.group(name, previous)?;
        // Entries without a place are findings each time, so that they are looked for each time.
        let basis = previous.filter(|before| before.basis.folders.is_some());
        let group_changed = previous
            .map(|before| GroupParts::that_differ(&before.group, &group))
            .unwrap_or_default();
        let before = basis.and_then(|before| before.basis.folders).unwrap_or_default();
        let mut users = basis.map(|before| before.certificate_users.clone()).unwrap_or_default();
        let (mut changed, all_placed) = self.changed(before, folders)?;
        let mut services = basis.map(|before| before.services.clone()).unwrap_or_default();
        let mut claims = basis.map(|before| before.claims.clone()).unwrap_or_default();
        if let Some(before) = basis {
            let again = before.basis.faulty.iter().cloned();
            changed.extend(again.map(|service| (service, Places::default())));
            if group_changed != GroupParts::default() {
                let users = services.values().filter(|service| service.takes.meet(group_changed));
                changed.extend(users.map(|user| (user.name.clone(), Places::default())));
            }
        }
        let contents = self.objects.listing(folders.services, changed.len())?;
        let runtimes = self.objects.listing(folders.runtime, changed.len())?;
        let objects_before = previous.map(|before| (&before.objects, &*before.group));
        let objects = object::load(
            self.objects,
            self.object_folders,
            &group,
            objects_before,
            &mut self.findings,
        )?;
        for (service, places) in &mut changed {
            *places = Places::of(service, &contents, &runtimes)?;
        }
        let mut faulty = BTreeSet::new();
        // A certificate can go while the services that use it stay as they are.
        let same_certificates = previous
            .is_some_and(|before| before.objects.has_same_certificates(self.object_folders));
        for service in users.iter().filter(|_| !same_certificates) {
            let Some(config) = services.get(service) else { continue };
            let named = config.runtime.client_certificates();
            if !changed.contains_key(service)
                && !validate::certificate_references(service, named, &objects, &mut self.findings)
            {
                faulty.insert(service.clone());
            }
        }
        let known_changed: Option<BTreeSet<ServiceName>> =
            basis.map(|_| changed.keys().chain(&faulty).cloned().collect());
        for service in changed.keys().chain(&faulty) {
            let old = [services.get(service), basis.and_then(|before| before.kept.get(service))];
            for old in old.into_iter().flatten() {
                claims.withdraw(old);
            }
            services.remove_mut(service);
            users.remove_mut(service);
        }
        let last_good = |service: &ServiceName| previous?.last_good(service).map(Arc::clone);
        let mut sound = BTreeMap::new();
        for (service, places) in changed {
            let Some(content) = places.content else {
                if let Some(file) = places.runtime {
                    self.stray_runtime(&service, file, &group)?;
                }
                continue;
            };
            // What was loaded before is still good where only the folders around it changed.
            let known = previous.and_then(|before| before.services.get(&service)).filter(|known| {
                known.content.0 == content
                    && known.runtime_file == places.runtime
                    && !known.takes.meet(group_changed)
            });
            let read = match known {
                Some(known) => {
                    let named = known.runtime.client_certificates();
                    let findings = &mut self.findings;
                    validate::certificate_references(&service, named, &objects, findings)
                        .then(|| Arc::clone(known))
                }
                None => read_service(
                    self.objects,
                    &service,
                    content,
                    places.runtime,
                    (&group, &objects),
                    &mut self.findings,
                )?
                .map(Arc::new),
            };
            match read {
                Some(config) => drop(sound.insert(service, config)),
                None => {
                    faulty.insert(service);
                }
            }
        }
        claims = validate::settle(&claims, &mut sound, &mut faulty, last_good, &mut self.findings);
        for (service, config) in sound {
            self.findings.extend(config.warnings.iter().cloned());
            if config.runtime.client_certificates().next().is_some() {
                users.insert_mut(service.clone());
            }
            services.insert_mut(service, config);
        }
        let kept = faulty.iter().filter_map(|name| Some((name.clone(), last_good(name)?)));
        let kept: Services = kept.collect();
        self.findings.sort();
        self.findings.dedup();
        let group_file_in_use = match group_faulty {
            true => previous.and_then(|before| before.basis.group_file_in_use),
            false => self.group_file,
        };
        let basis = Basis {
            group_file: self.group_file,
            group_file_in_use,
            folders: all_placed.then_some(folders),
            faulty: faulty.clone(),
            extras,
        };
        let name = name.clone();
        let certificate_users = users;
        let config = GroupConfig {
            name,
            commit,
            group,
            services,
            objects,
            basis,
            claims,
            kept,
            certificate_users,
        };
        Ok(Loaded {
            config,
            diagnostics: self.findings,
            faulty,
            changed: known_changed,
            group_faulty,
        })
    }

    fn group(
        &mut self,
        name: &GroupName,
        previous: Option<&GroupConfig>,
    ) -> Result<(Arc<Group>, bool), StoreError> {
        if let Some(before) = previous
            && before.basis.group_file.is_some()
            && before.basis.group_file == self.group_file
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
        if read.is_some() {
            let message = format!("the group has no service {service} yet");
            self.findings.push(
                Diagnostic::error(path, "", Code::UnexpectedFile, message)
                    .with_hint("it takes effect once the service is there")
                    .involving([service_path(service)])
                    .warning(),
            );
        }
        Ok(())
    }
}
