//! The index beside the repository, compared row by row with what the repository gives.

use std::path::Path;

use super::{Checker, Refs, Subject};
use crate::diagnostic::Severity;
use crate::index::audit::{self, Audit, Read};
use crate::name::GroupName;
use crate::store::StoreError;

const ANEW: Option<&str> = Some("refgate reindex makes it anew");

impl Checker<'_> {
    pub(super) fn index(&mut self, path: &Path, refs: &Refs) {
        let result = match audit::open(path) {
            Ok(Read::Open(index)) => self.rows(&index, refs),
            Ok(Read::Absent) => {
                self.index_warning("there is none; the next start makes it");
                Ok(())
            }
            Ok(Read::OtherLayout) => {
                let message = "it is of another version of refgate; the next start makes it anew";
                self.index_warning(message);
                Ok(())
            }
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            let message = error.to_string();
            self.find(Subject::Index, Severity::Error, "config.index", message, ANEW);
        }
    }

    fn rows(&mut self, index: &Audit, refs: &Refs) -> Result<(), StoreError> {
        let there = |group: &str| {
            group.parse().is_ok_and(|group: GroupName| refs.groups.contains_key(&group))
        };
        let compared = index.compare(self.repository, there)?;
        self.checked.insert(Subject::Index, compared.rows);
        for (table, message) in compared.differences {
            let what = format!("config.index, {table}");
            self.find(Subject::Index, Severity::Error, what, message, ANEW);
        }
        for (what, error) in compared.unreadable {
            self.index_warning(format!("{what}: not compared, as it cannot be read: {error}"));
        }
        Ok(())
    }

    fn index_warning(&mut self, message: impl Into<String>) {
        self.find(Subject::Index, Severity::Warning, "config.index", message, None);
    }
}
