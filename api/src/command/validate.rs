//! `refgate validate`: check files without writing anything.

use clap::Args;
use refgate_core::name::GroupName;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Run;
use super::apply::{remove_what_is_gone, whole_services};
use super::failure::Failure;
use super::input::{self, Source};
use super::session::Session;
use super::tree::{self, Files};
use crate::client::WriteOptions;
use crate::client::endpoint::Endpoint;
use crate::client::problem::Finding;
use crate::client::view;
use crate::output::write::Ending;
use crate::output::{Format, text};

/// Flags of `validate`.
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// A service in one file, a file of a repository tree, or a directory laid out like one; `-`
    /// reads standard input
    #[arg(value_name = "FILE|DIR")]
    path: Source,
    /// Check the group as it would be with these files
    #[arg(short = 'g', long = "group", value_name = "GROUP")]
    group: Option<GroupName>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Verdict {
    valid: bool,
    diagnostics: Vec<Finding>,
}

impl Run for ValidateArgs {
    fn run(self, session: &mut Session) -> Result<Ending, Failure> {
        let files = self.files(session)?;
        let checked = u64::try_from(files.values().filter(|file| !file.is_null()).count());
        let mut body = tree::body(files);
        if let (Value::Object(body), Some(group)) = (&mut body, &self.group) {
            body.insert("group".to_owned(), json!(group));
        }
        let options = WriteOptions::default();
        let answer = session.client.post(&Endpoint::validate(), &body, &options)?;
        let out = &mut session.output;
        let verdict: Verdict = view::read(&answer.body)?;
        let ending = if verdict.valid { Ending::Done } else { Ending::Failed };
        match out.format() {
            Format::Json => out.json(&answer.body)?,
            Format::Name => {
                let mut files: Vec<_> =
                    verdict.diagnostics.iter().map(|finding| finding.file.as_str()).collect();
                files.dedup();
                files.iter().try_for_each(|file| out.line(file))?;
            }
            Format::Table => {
                for finding in &verdict.diagnostics {
                    out.line(format!("{}: {finding}", finding.severity))?;
                }
                let errors = count(&verdict.diagnostics, "error");
                let checked = text::count(checked.unwrap_or(u64::MAX), "file");
                out.note(match verdict.valid {
                    true => format!("{checked}: valid"),
                    false => format!("{checked}: {}", text::count(errors, "error")),
                })?;
            }
        }
        Ok(ending)
    }
}

fn count(findings: &[Finding], severity: &str) -> u64 {
    let found = findings.iter().filter(|finding| finding.severity == severity).count();
    u64::try_from(found).unwrap_or(u64::MAX)
}

impl ValidateArgs {
    fn files(&self, session: &Session) -> Result<Files, Failure> {
        if let Source::Path(path) = &self.path {
            // JSON goes as the text that it is: the server tells repeated keys and broken syntax
            // as findings, all of them, beside the others.
            if path.is_dir() {
                return Ok(tree::directory(path, true)?);
            }
            if let Some(place) = tree::place(path) {
                let document = tree::file(&self.path, true)?;
                return Ok([(place, document)].into());
            }
        }
        let services = whole_services(&self.path)?;
        let mut files: Files =
            services.iter().flat_map(|(name, whole)| whole.files(name)).collect();
        if let Some(group) = &self.group {
            remove_what_is_gone(&session.client, group, &mut files)?;
        }
        if files.is_empty() {
            return Err(input::unfit(&self.path, "there is no document in it").into());
        }
        Ok(files)
    }
}
