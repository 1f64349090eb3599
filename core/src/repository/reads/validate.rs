//! What files would be found to be, without writing them.

use std::collections::BTreeMap;

use git2::Oid;
use serde_json::Value;

use super::{Desk, empty_object, of_group};
use crate::config;
use crate::content::{lay_over, warnings_of_change};
use crate::diagnostic::Diagnostic;
use crate::error::Error;
use crate::name::{CommitId, GroupName};
use crate::repository::Repository;

impl Repository {
    /// What a commit of these files would find, laid over the head of `group`: every error, and the
    /// warnings that involve them. Without a group they are laid over nothing but an empty
    /// `group.json`.
    ///
    /// # Errors
    /// When there is no such group, or the repository cannot be read.
    pub fn validate(
        &self,
        group: Option<&GroupName>,
        files: &BTreeMap<String, Value>,
    ) -> Result<Vec<Diagnostic>, Error> {
        self.shared.read(|desk| match group {
            Some(group) => of_group(group, || {
                let head = desk.head(group)?;
                let loaded = desk.loaded(group, head)?;
                findings(desk, group, head.tree, Some(&loaded.config), files)
            }),
            None => {
                let name = "validate".parse().expect("a well-formed name");
                let seed = BTreeMap::from([("group.json".to_owned(), empty_object())]);
                let tree = lay_over(&desk.objects, None, &seed, false, &mut Vec::new())?;
                findings(desk, &name, tree, None, files)
            }
        })
    }
}

fn findings(
    desk: &Desk<'_>,
    group: &GroupName,
    tree: Oid,
    previous: Option<&config::GroupConfig>,
    files: &BTreeMap<String, Value>,
) -> Result<Vec<Diagnostic>, Error> {
    let mut findings = Vec::new();
    let before = tree;
    let tree = lay_over(&desk.objects, Some(before), files, true, &mut findings)?;
    // What would be committed here; it is not, so that there is no commit to name.
    let commit = CommitId(Oid::ZERO_SHA1);
    let loaded = config::load(&desk.objects, group, commit, tree, previous)?;
    let warnings = warnings_of_change(&desk.objects, Some(before), tree, &loaded.diagnostics)?;
    findings.extend(warnings.into_iter().cloned());
    findings.extend(loaded.diagnostics.into_iter().filter(Diagnostic::is_error));
    findings.sort();
    Ok(findings)
}
