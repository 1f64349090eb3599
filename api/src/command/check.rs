//! `refgate check`: whether a configuration repository is what it should be.
//!
//! Asks no control plane: it reads the repository itself, beside a running one or without.

use std::path::PathBuf;

use clap::Args;
use refgate_core::diagnostic::Severity;
use refgate_core::repository::check::{self, Report};
use serde_json::Value;

use super::failure::{self, Failure};
use crate::output::table::Table;
use crate::output::{Format, Output, text};

/// Flags of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Data directory whose configuration is checked
    #[arg(long, value_name = "DIR", default_value = "./refgate-data")]
    data_dir: PathBuf,
    /// Repository to check, such as a backup, in the place of a data directory's
    #[arg(long, value_name = "PATH", conflicts_with = "data_dir")]
    repository: Option<PathBuf>,
    /// What the report looks like
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value = "table")]
    output: Format,
}

impl CheckArgs {
    /// Checks, and gives the exit code: 0 for a sound repository.
    pub(crate) fn run(self, output: impl FnOnce(Format) -> Output) -> u8 {
        let format = self.output;
        match self.check(&mut output(format)) {
            Ok(true) => failure::DONE,
            Ok(false) => failure::FAILED,
            Err(failure) => failure::report(Err(failure)),
        }
    }

    fn check(self, out: &mut Output) -> Result<bool, Failure> {
        let path = self.repository.unwrap_or_else(|| self.data_dir.join("config.git"));
        let report = check::check(&path).map_err(Failure::program)?;
        match out.format() {
            Format::Json | Format::Yaml => {
                out.document(&serde_json::to_value(&report).unwrap_or(Value::Null))?;
            }
            Format::Name => {
                let mut names: Vec<_> = report.findings.iter().map(|found| &found.what).collect();
                names.dedup();
                names.into_iter().try_for_each(|name| out.line(name))?;
            }
            Format::Table => {
                table(&report, out)?;
                let place = path.display();
                let errors: usize = report.checks.iter().map(|check| check.errors).sum();
                let errors = u64::try_from(errors).unwrap_or(u64::MAX);
                out.note(match report.sound {
                    true => format!("{place}: sound"),
                    false => format!("{place}: not sound, {}", text::count(errors, "error")),
                })?;
            }
        }
        Ok(report.sound)
    }
}

fn table(report: &Report, out: &mut Output) -> Result<(), Failure> {
    let mut table = Table::new(["CHECK", "CHECKED", "ERRORS", "WARNINGS"]);
    for check in &report.checks {
        table.row([
            check.subject.as_str().to_owned(),
            check.checked.map_or_else(|| "-".to_owned(), |checked| checked.to_string()),
            check.errors.to_string(),
            check.warnings.to_string(),
        ]);
    }
    out.table(&table)?;
    for finding in &report.findings {
        let severity = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let hint = finding.hint.as_ref().map_or_else(String::new, |hint| format!(" ({hint})"));
        out.line(format!("{severity}: {}: {}{hint}", finding.what, finding.message))?;
    }
    Ok(())
}
