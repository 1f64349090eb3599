//! The group-owned objects of a group: consumers, certificates, global rules.
//!
//! They are loaded like services, in proportion to what changed, and apart from them: an object at
//! fault is left out and told, and every service stays.

use std::collections::BTreeSet;
use std::sync::Arc;

use git2::Oid;

use super::read::read_document;
use super::survey;
use crate::diagnostic::{Code, Diagnostic};
use crate::document::{Certificate, Consumer, GlobalRule, Group, Sni};
use crate::json::join;
use crate::name::{CertificateName, ConsumerName, RuleName};
use crate::object::{ObjectKind, ObjectName};
use crate::store::StoreError;
use crate::store::objects::{Difference, Entry, EntryKind, Objects};

/// The sound objects of a group. Copies share what is the same in them.
#[derive(Debug, Clone, Default)]
pub struct GroupObjects {
    sound: rpds::RedBlackTreeMapSync<ObjectName, Arc<ObjectConfig>>,
    /// Which object has what only one of the group can have.
    taken: rpds::HashTrieMapSync<(Identity, String), ObjectName>,
    /// The folders that were read, when every entry had its place.
    folders: Option<ObjectFolders>,
    /// Objects that were left out, to be read again.
    faulty: BTreeSet<ObjectName>,
}

/// The folders of the objects in a group's tree, in the order of [`ObjectKind::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ObjectFolders([Option<Oid>; ObjectKind::ALL.len()]);

/// What makes a text one that a group can have only once.
type Identity = &'static str;

const SNI: Identity = "SNI";

/// A name, as file systems see it that do not tell case apart.
const FILE_NAME: Identity = "file name";

/// One object.
#[derive(Debug)]
struct ObjectConfig {
    document: ObjectDocument,
    file: Oid,
    uses_variables: bool,
    identities: Vec<(String, Identity, String)>,
}

#[derive(Debug)]
enum ObjectDocument {
    Consumer(Consumer),
    Certificate(Certificate),
    GlobalRule(GlobalRule),
}

impl GroupObjects {
    /// The consumers, by name.
    pub fn consumers(&self) -> impl Iterator<Item = (&ConsumerName, &Consumer)> {
        self.sound.iter().filter_map(|(name, object)| match (name, &object.document) {
            (ObjectName::Consumer(name), ObjectDocument::Consumer(document)) => {
                Some((name, document))
            }
            _ => None,
        })
    }

    /// The certificates, by name.
    pub fn certificates(&self) -> impl Iterator<Item = (&CertificateName, &Certificate)> {
        self.sound.iter().filter_map(|(name, object)| match (name, &object.document) {
            (ObjectName::Certificate(name), ObjectDocument::Certificate(document)) => {
                Some((name, document))
            }
            _ => None,
        })
    }

    /// A certificate.
    #[must_use]
    pub fn certificate(&self, name: &CertificateName) -> Option<&Certificate> {
        match &self.sound.get(&ObjectName::Certificate(name.clone()))?.document {
            ObjectDocument::Certificate(document) => Some(document),
            _ => None,
        }
    }

    /// Forgets where the objects were read.
    pub(super) fn forget_folders(&mut self) {
        self.folders = None;
    }

    /// Whether these are the names of the certificates in such folders.
    pub(super) fn has_same_certificates(&self, folders: ObjectFolders) -> bool {
        let kind = ObjectKind::Certificate;
        self.folders.is_some_and(|own| own.of(kind) == folders.of(kind))
    }

    /// Whether the tree has a certificate of this name, sound or not.
    pub(crate) fn has_certificate(&self, name: &CertificateName) -> bool {
        let name = ObjectName::Certificate(name.clone());
        self.sound.contains_key(&name) || self.faulty.contains(&name)
    }

    /// The certificates that are in the tree and have a fault, by name.
    pub fn faulty_certificates(&self) -> impl Iterator<Item = &CertificateName> {
        self.faulty.iter().filter_map(|name| match name {
            ObjectName::Certificate(name) => Some(name),
            _ => None,
        })
    }

    /// The global rules, by name.
    pub fn global_rules(&self) -> impl Iterator<Item = (&RuleName, &GlobalRule)> {
        self.sound.iter().filter_map(|(name, object)| match (name, &object.document) {
            (ObjectName::GlobalRule(name), ObjectDocument::GlobalRule(document)) => {
                Some((name, document))
            }
            _ => None,
        })
    }
}

impl ObjectFolders {
    pub(super) fn set(&mut self, kind: ObjectKind, folder: Oid) {
        self.0[kind as usize] = Some(folder);
    }

    fn of(self, kind: ObjectKind) -> Option<Oid> {
        self.0[kind as usize]
    }
}

/// Loads the objects, going on from those of a configuration loaded before.
pub(super) fn load(
    objects: &Objects<'_>,
    now: ObjectFolders,
    group: &Group,
    previous: Option<(&GroupObjects, &Group)>,
    findings: &mut Vec<Diagnostic>,
) -> Result<GroupObjects, StoreError> {
    let same_variables = previous.is_some_and(|(_, before)| before.variables == group.variables);
    let old = previous.map(|(objects, _)| objects);
    // Entries without a place are findings each time, so that they are looked for each time.
    let basis = old.filter(|before| before.folders.is_some());
    let mut loaded = basis.cloned().unwrap_or_default();
    let before = loaded.folders.unwrap_or_default();
    let mut changed = std::mem::take(&mut loaded.faulty);
    if !same_variables {
        let users = loaded.sound.iter().filter(|(_, object)| object.uses_variables);
        changed.extend(users.map(|(name, _)| name.clone()));
    }
    let known = findings.len();
    for kind in ObjectKind::ALL {
        for difference in objects.differences(before.of(kind), now.of(kind))? {
            changed.extend(name_of(kind, difference, findings));
        }
    }
    loaded.folders = (findings.len() == known).then_some(now);
    for name in &changed {
        loaded.withdraw(name);
    }
    let mut listings = Vec::new();
    for kind in ObjectKind::ALL {
        listings.push((kind, objects.listing(now.of(kind), changed.len())?));
    }
    for name in changed {
        let listing = listings.iter().find(|(kind, _)| *kind == name.kind());
        let Some((_, listing)) = listing else { continue };
        let entry = listing.find(&format!("{}.json", name.as_str()))?;
        let Some(file) = entry.filter(|entry| entry.kind == EntryKind::File) else { continue };
        let kept = old
            .and_then(|old| old.sound.get(&name))
            .filter(|kept| kept.file == file.id && (same_variables || !kept.uses_variables));
        let object = match kept {
            Some(kept) => Some(Arc::clone(kept)),
            None => read(objects, &name, file.id, group, findings)?.map(Arc::new),
        };
        let entered = object.is_some_and(|object| loaded.enter(&name, object, findings));
        if !entered {
            loaded.faulty.insert(name);
        }
    }
    Ok(loaded)
}

/// The object that an entry of a folder is, or was.
fn name_of(
    kind: ObjectKind,
    difference: Difference,
    findings: &mut Vec<Diagnostic>,
) -> Option<ObjectName> {
    let Difference { name, new, .. } = difference;
    let Some((entry_kind, id)) = new else {
        return kind.named(name.strip_suffix(".json")?).ok();
    };
    let entry = Entry { name, kind: entry_kind, id };
    let folder = kind.folder();
    match kind {
        ObjectKind::Consumer => {
            survey::document_name(folder, &entry, findings).map(ObjectName::Consumer)
        }
        ObjectKind::Certificate => {
            survey::document_name(folder, &entry, findings).map(ObjectName::Certificate)
        }
        ObjectKind::GlobalRule => {
            survey::document_name(folder, &entry, findings).map(ObjectName::GlobalRule)
        }
    }
}

/// Reads an object; nothing comes back when anything is wrong with it.
fn read(
    objects: &Objects<'_>,
    name: &ObjectName,
    file: Oid,
    group: &Group,
    findings: &mut Vec<Diagnostic>,
) -> Result<Option<ObjectConfig>, StoreError> {
    let before = findings.len();
    let path = name.path();
    let mut identities = Vec::new();
    let read = match name {
        ObjectName::Consumer(_) => read_document::<Consumer>(
            objects, &path, file, group, findings,
        )?
        .map(|(consumer, uses)| {
            identities = consumer.identities();
            // Other kinds of names have lower case only.
            identities.push((String::new(), FILE_NAME, name.as_str().to_lowercase()));
            (ObjectDocument::Consumer(consumer), uses)
        }),
        ObjectName::Certificate(_) => read_document::<Certificate>(
            objects, &path, file, group, findings,
        )?
        .map(|(certificate, uses)| {
            let snis = certificate.snis.iter().enumerate();
            let sni = |(index, sni): (usize, &Sni)| {
                (join("/snis", &index.to_string()), SNI, sni.host().to_string())
            };
            identities = snis.map(sni).collect();
            (ObjectDocument::Certificate(certificate), uses)
        }),
        ObjectName::GlobalRule(_) => {
            read_document::<GlobalRule>(objects, &path, file, group, findings)?
                .map(|(rule, uses)| (ObjectDocument::GlobalRule(rule), uses))
        }
    };
    let sound = findings.len() == before;
    Ok(read.filter(|_| sound).map(|(document, uses_variables)| ObjectConfig {
        document,
        file,
        uses_variables,
        identities,
    }))
}

impl GroupObjects {
    fn withdraw(&mut self, name: &ObjectName) {
        let Some(object) = self.sound.get(name).map(Arc::clone) else { return };
        for (_, identity, text) in &object.identities {
            self.taken.remove_mut(&(*identity, text.clone()));
        }
        self.sound.remove_mut(name);
    }

    /// Enters an object, unless it has what another one has already: then it is reported, and the
    /// other one stays. Of two that come together the later by name is at fault.
    fn enter(
        &mut self,
        name: &ObjectName,
        object: Arc<ObjectConfig>,
        findings: &mut Vec<Diagnostic>,
    ) -> bool {
        let known = findings.len();
        let mut own = BTreeSet::new();
        for (pointer, identity, text) in &object.identities {
            let holder = self.taken.get(&(*identity, text.clone()));
            let holder = holder.or((!own.insert((*identity, text))).then_some(name));
            if let Some(holder) = holder {
                findings.push(taken(name, holder, pointer, identity, text));
            }
        }
        if findings.len() > known {
            return false;
        }
        for (_, identity, text) in &object.identities {
            self.taken.insert_mut((*identity, text.clone()), name.clone());
        }
        self.sound.insert_mut(name.clone(), object);
        true
    }
}

fn taken(
    name: &ObjectName,
    holder: &ObjectName,
    pointer: &str,
    identity: Identity,
    text: &str,
) -> Diagnostic {
    let (code, message, hint) = if identity == SNI {
        let (kind, one, other) = (name.kind().noun(), holder.as_str(), name.as_str());
        let message = format!("{kind}s {one} and {other} are both for the SNI {text:?}");
        (Code::SniConflict, message, "keep it in one of them")
    } else if identity == FILE_NAME {
        let message =
            format!("consumers {} and {} differ only in case", holder.as_str(), name.as_str());
        (Code::BadName, message, "on some computers their files are one file: rename one of them")
    } else {
        let message = if name == holder {
            format!("{name} has the same {identity} twice")
        } else {
            let (one, other) = (holder.as_str(), name.as_str());
            format!("consumers {one} and {other} have the same {identity}")
        };
        (
            Code::CredentialConflict,
            message,
            "a request must be one consumer's: give them different ones",
        )
    };
    Diagnostic::error(name.path(), pointer, code, message).with_hint(hint)
}
