//! `refgate validate`: check files without writing anything.
//!
//! Without a group the files are judged here, by the code that judges a push, and no control plane
//! is asked. With one they are laid over what the group has, which the control plane knows.

use std::borrow::Cow;

use clap::Args;
use refgate_core::checkout::{self, Checkout};
use refgate_core::diagnostic::{Diagnostic, Severity, report};
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
use crate::output::{Format, Output, text};

/// Flags of `validate`.
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// A clone or a directory laid out like one, a file of it, or a service in one file; `-` reads
    /// standard input
    #[arg(value_name = "FILE|DIR")]
    path: Source,
    /// Check the group as it would be with these files; asks the control plane
    #[arg(short = 'g', long = "group", value_name = "GROUP")]
    group: Option<GroupName>,
}

impl Run for ValidateArgs {
    fn run(self, session: &mut Session) -> Result<Ending, Failure> {
        if let Some(group) = &self.group {
            let files = self.files()?;
            return self.ask(session, group, files);
        }
        match &self.path {
            Source::Path(path) if path.is_dir() => {
                let checkout = Checkout::read(path).map_err(Failure::program)?;
                if checkout.is_clone() || !tree::has_yaml(path)? {
                    let folder = tree::shown_folder(path);
                    return self.of_checkout(&checkout, folder, None, &mut session.output);
                }
            }
            Source::Path(path) => {
                if let Some((root, place)) = tree::around(path) {
                    let checkout = Checkout::read(&root).map_err(Failure::program)?;
                    let given = path.display().to_string();
                    let folder = given.strip_suffix(&place).map(str::to_owned);
                    let folder = folder.unwrap_or_else(|| tree::shown_folder(&root));
                    return self.of_checkout(&checkout, folder, Some(&place), &mut session.output);
                }
            }
            Source::Stdin => {}
        }
        let files = self.files()?;
        self.of_files(&files, &mut session.output)
    }
}

/// How many findings people are shown.
const MOST: usize = 50;

impl ValidateArgs {
    /// Judges a directory as a push of it would be judged; of a file of it, what is about the file.
    fn of_checkout(
        &self,
        checkout: &Checkout,
        folder: String,
        file: Option<&str>,
        out: &mut Output,
    ) -> Result<Ending, Failure> {
        if checkout.is_empty() {
            return Err(input::unfit(&self.path, "there is no document in this directory").into());
        }
        let mut findings = checkout.validate(None).map_err(Failure::program)?;
        findings.retain(|finding| file.is_none_or(|file| finding.file == file));
        let checked = if file.is_some() { 1 } else { checkout.documents().count() };
        let text = |file: &str| checkout.text(file).map(Cow::Borrowed);
        let verdict = Verdict { findings, checked, folder };
        verdict.show(out, text)
    }

    /// Judges documents as a group of their own.
    fn of_files(&self, files: &Files, out: &mut Output) -> Result<Ending, Failure> {
        let findings = checkout::validate_documents(files).map_err(Failure::program)?;
        // A file of a tree is told by the name that it was given by.
        let folder = match &self.path {
            Source::Path(path) if path.is_dir() => tree::shown_folder(path),
            Source::Path(path) => {
                let given = path.display().to_string();
                let place = tree::place(path);
                place.and_then(|place| given.strip_suffix(&place)).unwrap_or_default().to_owned()
            }
            Source::Stdin => String::new(),
        };
        let verdict = Verdict { findings, checked: files.len(), folder };
        verdict.show(out, |file| text_of(files, file).map(Cow::Borrowed))
    }

    /// Asks the control plane about documents laid over a group.
    fn ask(
        &self,
        session: &mut Session,
        group: &GroupName,
        mut files: Files,
    ) -> Result<Ending, Failure> {
        if !self.is_tree() {
            remove_what_is_gone(&session.client, group, &mut files)?;
        }
        let texts = files.clone();
        let checked = files.values().filter(|file| !file.is_null()).count();
        let mut body = tree::body(files);
        if let Value::Object(body) = &mut body {
            body.insert("group".to_owned(), json!(group));
        }
        let options = WriteOptions::default();
        let answer = session.client.post(&Endpoint::validate(), &body, &options)?;
        let out = &mut session.output;
        let answered: Answered = view::read(&answer.body)?;
        match out.format() {
            Format::Json | Format::Yaml => out.document(&answer.body)?,
            Format::Name => names(answered.diagnostics.iter().map(|found| &*found.file), out)?,
            Format::Table => {
                for finding in &answered.diagnostics {
                    for line in finding.lines(text_of(&texts, &finding.file)) {
                        out.line(line)?;
                    }
                }
                let is = |severity: &str| {
                    answered.diagnostics.iter().filter(|found| found.severity == severity).count()
                };
                out.note(summary(checked, answered.valid, is("error"), is("warning")))?;
            }
        }
        Ok(if answered.valid { Ending::Done } else { Ending::Failed })
    }

    /// Whether the path is a tree of a group, or a file of one.
    fn is_tree(&self) -> bool {
        matches!(&self.path, Source::Path(path) if path.is_dir() || tree::place(path).is_some())
    }

    fn files(&self) -> Result<Files, Failure> {
        if let Source::Path(path) = &self.path {
            // JSON goes as the text that it is: repeated keys and broken syntax are told as
            // findings, all of them, beside the others.
            if path.is_dir() {
                return Ok(tree::directory(path, true)?);
            }
            if let Some(place) = tree::place(path) {
                let document = tree::file(&self.path, true)?;
                return Ok([(place, document)].into());
            }
        }
        let services = whole_services(&self.path)?;
        let files: Files = services.iter().flat_map(|(name, whole)| whole.files(name)).collect();
        if files.is_empty() {
            return Err(input::unfit(&self.path, "there is no document in it").into());
        }
        Ok(files)
    }
}

/// What the control plane says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answered {
    valid: bool,
    diagnostics: Vec<Finding>,
}

/// What was found here.
struct Verdict {
    findings: Vec<Diagnostic>,
    /// How many files were judged.
    checked: usize,
    /// What stands before the paths in the tree, for people to open the files by.
    folder: String,
}

impl Verdict {
    /// Shows the findings; `text` gives the text of a file, by its path in the tree.
    fn show<'t>(
        self,
        out: &mut Output,
        text: impl Fn(&str) -> Option<Cow<'t, [u8]>>,
    ) -> Result<Ending, Failure> {
        let errors = self.findings.iter().filter(|finding| finding.is_error()).count();
        let valid = errors == 0;
        match out.format() {
            Format::Json | Format::Yaml => {
                let placed = self.findings.iter().map(|finding| {
                    let mut told = json!(finding);
                    let place =
                        text(&finding.file).and_then(|text| report::position(finding, &text));
                    told["line"] = json!(place.map(|place| place.line));
                    told["column"] = json!(place.map(|place| place.column));
                    told
                });
                let placed: Vec<Value> = placed.collect();
                out.document(&json!({"valid": valid, "diagnostics": placed}))?;
            }
            Format::Name => names(self.findings.iter().map(|finding| &*finding.file), out)?,
            Format::Table => {
                let folder = &*self.folder;
                let is_warning = |found: &&Diagnostic| found.severity == Severity::Warning;
                let warnings = self.findings.iter().filter(is_warning).count();
                let placed = self.findings.into_iter().map(|mut finding| {
                    finding.file.insert_str(0, folder);
                    finding
                });
                let placed: Vec<Diagnostic> = placed.collect();
                let lines = report::report(&placed, MOST, |file| {
                    text(file.strip_prefix(folder).unwrap_or(file))
                });
                lines.iter().try_for_each(|line| out.line(line))?;
                out.note(summary(self.checked, valid, errors, warnings))?;
            }
        }
        Ok(if valid { Ending::Done } else { Ending::Failed })
    }
}

/// The text of a JSON file among those that were read.
fn text_of<'f>(files: &'f Files, file: &str) -> Option<&'f [u8]> {
    files.get(file)?.as_str().map(str::as_bytes)
}

fn names<'f>(files: impl Iterator<Item = &'f str>, out: &mut Output) -> Result<(), Failure> {
    let mut files: Vec<_> = files.collect();
    files.dedup();
    Ok(files.iter().try_for_each(|file| out.line(file))?)
}

/// `12 files: valid, 1 warning`.
fn summary(checked: usize, valid: bool, errors: usize, warnings: usize) -> String {
    let count = |number, noun| text::count(u64::try_from(number).unwrap_or(u64::MAX), noun);
    let verdict = if valid { "valid".to_owned() } else { count(errors, "error") };
    let warnings =
        if warnings == 0 { String::new() } else { format!(", {}", count(warnings, "warning")) };
    format!("{}: {verdict}{warnings}", count(checked, "file"))
}

#[cfg(test)]
mod tests;
