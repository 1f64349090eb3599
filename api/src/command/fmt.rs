//! `refgate fmt`: write documents the way the API writes them.
//!
//! Asks no control plane. What canonical form is, and which files must be left as they are so that
//! nothing of them is lost, is decided by [`refgate_core::checkout::format`].

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use refgate_core::checkout::Checkout;
use refgate_core::checkout::format::{Format as Form, format};
use refgate_core::diagnostic::report;

use super::failure::{self, Failure};
use super::input::{self, InputError, Source};
use super::tree;
use crate::output::{Format, Output, text};

/// Flags of `fmt`.
#[derive(Debug, Args)]
pub struct FmtArgs {
    /// Clones or directories laid out like one, and files of them; `-` reads standard input and
    /// writes to standard output
    #[arg(value_name = "FILE|DIR", default_value = ".")]
    paths: Vec<Source>,
    /// Write nothing; list the files that are not in canonical form and end with 1 if there are any
    #[arg(long)]
    check: bool,
    /// Where in the tree the document on standard input has its place, such as
    /// services/httpbin/routes/get.json
    #[arg(long, value_name = "PATH")]
    stdin_path: Option<PathBuf>,
}

/// What was done so far.
#[derive(Default)]
struct Done {
    seen: u64,
    changed: u64,
    failed: u64,
}

impl FmtArgs {
    /// Formats, and gives the exit code: 1 when a file was left or, with `--check`, is not canonical.
    pub(crate) fn run(self, output: impl FnOnce(Format) -> Output) -> u8 {
        match self.format(&mut output(Format::Table)) {
            Ok(true) => failure::DONE,
            Ok(false) => failure::FAILED,
            Err(failure) => failure::report(Err(failure)),
        }
    }

    fn format(&self, out: &mut Output) -> Result<bool, Failure> {
        if self.paths.contains(&Source::Stdin) {
            return self.standard_input(out);
        }
        if self.stdin_path.is_some() {
            return Err(Failure::Usage("--stdin-path goes with the path -".to_owned()));
        }
        let mut done = Done::default();
        for source in &self.paths {
            let Source::Path(path) = source else { continue };
            if path.is_dir() {
                self.directory(path, &mut done, out)?;
            } else {
                self.file(source, path, &mut done, out)?;
            }
        }
        let files = text::count(done.seen, "file");
        let Done { changed, failed, .. } = done;
        let verb = if self.check { "not in canonical form" } else { "formatted" };
        let left = if failed == 0 { String::new() } else { format!(", {failed} left as they are") };
        out.note(format!("{files}: {changed} {verb}{left}"))?;
        Ok(failed == 0 && !(self.check && changed > 0))
    }

    fn directory(&self, path: &Path, done: &mut Done, out: &mut Output) -> Result<(), Failure> {
        let checkout = Checkout::read(path).map_err(Failure::program)?;
        let folder = tree::shown_folder(path);
        for place in checkout.documents() {
            let shown = format!("{folder}{place}");
            match checkout.text(place) {
                Some(text) => self.one(&path.join(place), &shown, place, text, done, out)?,
                None => {
                    done.seen += 1;
                    done.failed += 1;
                    out.note(format!("error: {shown}: the file is larger than 1 MiB"))?;
                }
            }
        }
        Ok(())
    }

    fn file(
        &self,
        source: &Source,
        path: &Path,
        done: &mut Done,
        out: &mut Output,
    ) -> Result<(), Failure> {
        let unreadable = |error| InputError::Read { name: source.to_string(), source: error };
        if fs::symlink_metadata(path).map_err(unreadable)?.is_symlink() {
            return Err(input::unfit(source, "a symbolic link, which no tree has").into());
        }
        let place = self.place(source, path)?;
        let text = fs::read(path).map_err(unreadable)?;
        self.one(path, &source.to_string(), &place, &text, done, out)
    }

    /// The path in the tree of a file that is given alone.
    fn place(&self, source: &Source, path: &Path) -> Result<String, Failure> {
        let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let place = tree::place(&whole).filter(|place| {
            let is_json = input::Format::of_path(path) == Some(input::Format::Json);
            is_json && format(place, b"{}").is_some()
        });
        place.ok_or_else(|| {
            let reason = "this is no place of a group's tree, such as \
                          services/httpbin/routes/get.json";
            input::unfit(source, reason).into()
        })
    }

    /// Formats one file; `place` is its path in the tree.
    fn one(
        &self,
        path: &Path,
        shown: &str,
        place: &str,
        text: &[u8],
        done: &mut Done,
        out: &mut Output,
    ) -> Result<(), Failure> {
        done.seen += 1;
        match format(place, text) {
            None | Some(Form::Canonical) => {}
            Some(Form::Changed(canonical)) => {
                if !self.check
                    && let Err(error) = replace(path, &canonical)
                {
                    done.failed += 1;
                    out.note(format!("error: {shown}: cannot be written: {error}"))?;
                    return Ok(());
                }
                done.changed += 1;
                out.line(shown)?;
            }
            Some(Form::Unclear(findings)) => {
                done.failed += 1;
                tell(findings, shown, text, out)?;
            }
        }
        Ok(())
    }

    fn standard_input(&self, out: &mut Output) -> Result<bool, Failure> {
        let source = Source::Stdin;
        let (Some(path), [_]) = (&self.stdin_path, &self.paths[..]) else {
            let usage = "standard input is formatted alone, and --stdin-path says where it belongs";
            return Err(Failure::Usage(usage.to_owned()));
        };
        let place = self.place(&Source::Path(path.clone()), path)?;
        let mut text = Vec::new();
        let read = io::stdin().lock().read_to_end(&mut text);
        read.map_err(|error| InputError::Read { name: source.to_string(), source: error })?;
        let (canonical, same) = match format(&place, &text) {
            None | Some(Form::Canonical) => (text, true),
            Some(Form::Changed(canonical)) => (canonical, false),
            Some(Form::Unclear(findings)) => {
                tell(findings, &path.display().to_string(), &text, out)?;
                return Ok(false);
            }
        };
        if !self.check {
            out.text(&String::from_utf8_lossy(&canonical))?;
        }
        Ok(same || !self.check)
    }
}

/// Says why a file is left as it is.
fn tell(
    findings: Vec<refgate_core::diagnostic::Diagnostic>,
    shown: &str,
    text: &[u8],
    out: &mut Output,
) -> io::Result<()> {
    for mut finding in findings {
        finding.file = shown.to_owned();
        report::lines(&finding, Some(text)).iter().try_for_each(|line| out.note(line))?;
    }
    Ok(())
}

/// Puts another text in the place of a file's: all of it, or nothing.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".refgate-").tempfile_in(folder)?;
    file.write_all(text)?;
    file.as_file().set_permissions(fs::metadata(path)?.permissions())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests;
