//! What people and scripts see: tables on a terminal, plain aligned text in a pipe, JSON exactly
//! as the API answered.
//!
//! Answers go to standard output; everything about the request itself (warnings, hints, refusals)
//! to standard error, so that a pipe carries answers alone. Nothing here talks to the server.

pub mod changes;
pub mod problem;
pub mod table;
#[cfg(test)]
pub(crate) mod testing;
pub mod text;
pub mod write;

use std::io::{self, IsTerminal, Write};

use serde_json::Value;

use self::table::{Style, Table};
use crate::client::problem::Finding;

/// What answers look like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A table for people
    #[default]
    Table,
    /// The answer of the API, as it came
    Json,
    /// Names alone, one per line; of a write, the commit
    Name,
}

/// Where answers and messages go.
pub struct Output {
    format: Format,
    style: Style,
    answers: Box<dyn Write>,
    messages: Box<dyn Write>,
}

impl Output {
    /// Standard output and standard error of this process.
    #[must_use]
    pub fn standard(format: Format) -> Self {
        let style = if io::stdout().is_terminal() { Style::Terminal } else { Style::Plain };
        Self::new(format, style, Box::new(io::stdout()), Box::new(io::stderr()))
    }

    /// Any two places to write to.
    #[must_use]
    pub fn new(
        format: Format,
        style: Style,
        answers: Box<dyn Write>,
        messages: Box<dyn Write>,
    ) -> Self {
        Self { format, style, answers, messages }
    }

    /// What answers look like.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// One line of an answer.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn line(&mut self, line: impl AsRef<str>) -> io::Result<()> {
        writeln!(self.answers, "{}", text::printable(line.as_ref()))
    }

    /// A text as it is, for another program to read.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn text(&mut self, text: &str) -> io::Result<()> {
        self.answers.write_all(text.as_bytes())
    }

    /// An answer of the API, as it came.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn json(&mut self, body: &Value) -> io::Result<()> {
        writeln!(self.answers, "{body:#}")
    }

    /// A table; one without rows prints nothing.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn table(&mut self, table: &Table) -> io::Result<()> {
        if table.is_empty() {
            return Ok(());
        }
        writeln!(self.answers, "{}", table.render(self.style))
    }

    /// A list in the format asked for; `name` says what stands for an item under `-o name`.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn list<T>(
        &mut self,
        body: &Value,
        items: &[T],
        name: impl Fn(&T) -> String,
        table: impl FnOnce(&[T]) -> Table,
        empty: &str,
    ) -> io::Result<()> {
        match self.format {
            Format::Json => self.json(body),
            Format::Name => items.iter().try_for_each(|item| self.line(name(item))),
            Format::Table if items.is_empty() => self.note(empty),
            Format::Table => self.table(&table(items)),
        }
    }

    /// Something to know, beside the answer.
    ///
    /// # Errors
    /// When standard error cannot be written.
    pub fn note(&mut self, message: impl AsRef<str>) -> io::Result<()> {
        writeln!(self.messages, "{}", text::printable(message.as_ref()))
    }

    /// Findings that did not stop the request.
    ///
    /// # Errors
    /// When standard error cannot be written.
    pub fn warnings(&mut self, warnings: &[Finding]) -> io::Result<()> {
        warnings.iter().try_for_each(|warning| self.note(format!("warning: {warning}")))
    }

    /// Where messages go, for what has a form of its own.
    pub fn messages(&mut self) -> &mut dyn Write {
        &mut self.messages
    }
}

impl std::fmt::Debug for Output {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Output")
            .field("format", &self.format)
            .field("style", &self.style)
            .finish_non_exhaustive()
    }
}
