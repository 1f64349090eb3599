//! Which of the services that were read anew stand, and which are at fault for what they claim.
//!
//! What was claimed before comes first: by services that did not change, by those that changed
//! elsewhere, and by those that are at fault and go on in their last good form. Of two that come
//! together the later by name is at fault. One that is goes on in its last good form too, whose claims
//! may be in the way of others: so it is asked again until nobody else falls.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::conflict::{Claims, held};
use super::pair::Found;
use crate::config::ServiceConfig;
use crate::diagnostic::Diagnostic;
use crate::name::ServiceName;

/// The claims of all, those of `sound` services and of the last good forms of `faulty` ones put to
/// those that are there. A service that ties passes from the sound to the faulty.
pub(crate) fn settle(
    there: &Claims,
    sound: &mut BTreeMap<ServiceName, Arc<ServiceConfig>>,
    faulty: &mut BTreeSet<ServiceName>,
    last_good: impl Fn(&ServiceName) -> Option<Arc<ServiceConfig>>,
    findings: &mut Vec<Diagnostic>,
) -> Claims {
    loop {
        let mut claims = there.clone();
        for kept in faulty.iter().filter_map(&last_good) {
            claims.keep(&kept);
        }
        let mut tied = BTreeSet::new();
        let mut coming: Vec<Coming<'_>> =
            sound.values().map(|new| Coming::of(new, &last_good)).collect();
        for held in [true, false] {
            for service in coming.iter_mut().filter(|service| !service.found.ties()) {
                if !service.enter(&mut claims, held) {
                    claims.withdraw(service.new);
                    tied.insert(service.new.name.clone());
                }
            }
        }
        let told: Vec<_> =
            coming.into_iter().flat_map(|service| service.found.findings()).collect();
        sound.retain(|name, _| !tied.contains(name));
        let has_claims = |name| last_good(name).is_some_and(|last| !last.claims.is_empty());
        let again = tied.iter().any(has_claims);
        faulty.append(&mut tied);
        if !again {
            findings.extend(told);
            return claims;
        }
        findings.extend(told.into_iter().filter(Diagnostic::is_error));
    }
}

/// A service that comes, beside what it was.
struct Coming<'s> {
    new: &'s Arc<ServiceConfig>,
    old: Option<Arc<ServiceConfig>>,
    /// Which of its claims it had before.
    held: Vec<bool>,
    found: Found,
}

impl<'s> Coming<'s> {
    fn of(
        new: &'s Arc<ServiceConfig>,
        last_good: impl Fn(&ServiceName) -> Option<Arc<ServiceConfig>>,
    ) -> Self {
        let old = last_good(&new.name);
        Self { new, held: held(new, old.as_deref()), old, found: Found::default() }
    }

    /// Enters the claims that it had, or those that it had not; says whether they tie with none.
    fn enter(&mut self, claims: &mut Claims, held: bool) -> bool {
        let indexes =
            (0..).zip(&self.held).filter(|(_, own)| **own == held).map(|(index, _)| index);
        claims.enter(self.new, indexes, self.old.as_deref(), &mut self.found)
    }
}
