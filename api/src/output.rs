//! What people and scripts see: tables on a terminal, plain aligned text in a pipe, JSON or YAML
//! exactly as the API answered.
//!
//! Answers go to standard output; everything about the request itself (warnings, hints, refusals)
//! to standard error, so that a pipe carries answers alone. Nothing here talks to the server.
//! Colours, questions and progress are for terminals alone: [`paint`], [`Output::ask`],
//! [`progress`].

pub mod changes;
pub mod paint;
pub mod problem;
pub mod progress;
pub mod table;
#[cfg(test)]
pub(crate) mod testing;
pub mod text;
pub mod write;
pub mod yaml;

use std::io::{self, IsTerminal, Write};

use console::Term;
use serde_json::Value;

use self::paint::Colour;
use self::table::{Style, Table};
use crate::client::problem::Finding;

/// What answers look like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A table for people; on a narrow terminal without what can be spared of it
    #[default]
    Table,
    /// The answer of the API, as it came
    Json,
    /// The same as YAML
    Yaml,
    /// Names alone, one per line; of a write, the commit
    Name,
}

impl Format {
    /// Whether the answer is shown whole, for a program to read.
    #[must_use]
    pub fn is_document(self) -> bool {
        matches!(self, Self::Json | Self::Yaml)
    }
}

/// Reads one line that somebody types.
pub type Typed = Box<dyn FnMut() -> io::Result<String>>;

/// Where answers and messages go.
pub struct Output {
    format: Format,
    style: Style,
    style_of_messages: Style,
    answers: Box<dyn Write>,
    messages: Box<dyn Write>,
    coloured: bool,
    typed: Option<Typed>,
}

impl Output {
    /// Standard output and standard error of this process.
    #[must_use]
    pub fn standard(format: Format) -> Self {
        let terminal = io::stdout().is_terminal();
        let style = |terminal: &Term| match terminal.is_term() {
            true => Style::Terminal { width: columns(terminal) },
            false => Style::Plain,
        };
        let (answers, messages) = (Box::new(io::stdout()), Box::new(io::stderr()));
        let mut output = Self::new(format, style(&Term::stdout()), answers, messages);
        output.style_of_messages = style(&Term::stderr());
        let output = if terminal && paint::wanted() { output.coloured() } else { output };
        // The question stands on standard error: both have to be in front of somebody.
        match io::stdin().is_terminal() && io::stderr().is_terminal() {
            true => output.asking(Box::new(|| {
                let mut line = String::new();
                io::stdin().read_line(&mut line)?;
                Ok(line)
            })),
            false => output,
        }
    }

    /// Any two places to write to.
    #[must_use]
    pub fn new(
        format: Format,
        style: Style,
        answers: Box<dyn Write>,
        messages: Box<dyn Write>,
    ) -> Self {
        let style_of_messages = style;
        Self { format, style, style_of_messages, answers, messages, coloured: false, typed: None }
    }

    /// The same with colours.
    #[must_use]
    pub fn coloured(mut self) -> Self {
        self.coloured = true;
        self
    }

    /// The same with somebody who can be asked.
    #[must_use]
    pub fn asking(mut self, typed: Typed) -> Self {
        self.typed = Some(typed);
        self
    }

    /// Whether somebody is there who can be asked.
    #[must_use]
    pub fn can_ask(&self) -> bool {
        self.typed.is_some()
    }

    /// Asks a question that is answered with yes or no. Anything but yes is no; so is silence.
    ///
    /// # Errors
    /// When the terminal can be neither written nor read.
    pub fn ask(&mut self, question: &str) -> io::Result<bool> {
        let Some(typed) = &mut self.typed else { return Ok(false) };
        write!(self.messages, "{} [y/N] ", text::printable(question))?;
        self.messages.flush()?;
        let answer = typed()?.trim().to_lowercase();
        Ok(answer == "y" || answer == "yes")
    }

    /// What answers look like.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// Columns that a line of an answer has room in; in a pipe as many as it wants.
    #[must_use]
    pub fn width(&self) -> usize {
        match self.style {
            Style::Terminal { width } => width,
            Style::Plain => usize::MAX,
        }
    }

    /// One line of an answer.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn line(&mut self, line: impl AsRef<str>) -> io::Result<()> {
        writeln!(self.answers, "{}", text::printable(line.as_ref()))
    }

    /// One line of an answer that means good, bad or changed.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn painted(&mut self, colour: Option<Colour>, line: &str) -> io::Result<()> {
        match colour.filter(|_| self.coloured) {
            Some(colour) => writeln!(self.answers, "{}", colour.paint(&text::printable(line))),
            None => self.line(line),
        }
    }

    /// A sentence of an answer.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn sentence(&mut self, colour: Option<Colour>, sentence: &str) -> io::Result<()> {
        let sentence = folded(sentence, self.style);
        sentence.lines().try_for_each(|line| self.painted(colour, line))
    }

    /// A text as it is, for another program to read.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn text(&mut self, text: &str) -> io::Result<()> {
        self.answers.write_all(text.as_bytes())
    }

    /// An answer of the API, as it came: as YAML where that is asked for, else as JSON.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn document(&mut self, body: &Value) -> io::Result<()> {
        match self.format {
            Format::Yaml => self.answers.write_all(yaml::render(body).as_bytes()),
            _ => writeln!(self.answers, "{body:#}"),
        }
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
            Format::Json | Format::Yaml => self.document(body),
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
        writeln!(self.messages, "{}", folded(message.as_ref(), self.style_of_messages))
    }

    /// The same in one line, for what is copied from there.
    ///
    /// # Errors
    /// When standard error cannot be written.
    pub fn note_to_copy(&mut self, message: impl AsRef<str>) -> io::Result<()> {
        writeln!(self.messages, "{}", text::printable(message.as_ref()))
    }

    /// Whether somebody reads the messages on a terminal.
    #[must_use]
    pub fn messages_are_read(&self) -> bool {
        matches!(self.style_of_messages, Style::Terminal { .. })
    }

    /// A table beside the answer.
    ///
    /// # Errors
    /// When standard error cannot be written.
    pub fn note_table(&mut self, table: &Table) -> io::Result<()> {
        writeln!(self.messages, "{}", table.render(self.style_of_messages))
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

/// A text of others, in as many lines as a terminal needs for it.
fn folded(text: &str, style: Style) -> String {
    let text = text::printable(text);
    match style {
        Style::Terminal { width } => text::paragraph(&text, width),
        Style::Plain => text.into_owned(),
    }
}

/// The columns of a terminal; 80 for one that does not know them.
fn columns(terminal: &Term) -> usize {
    let known = terminal.size_checked().map(|(_, columns)| usize::from(columns));
    known.filter(|columns| *columns > 0).unwrap_or(80)
}

impl std::fmt::Debug for Output {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Output")
            .field("format", &self.format)
            .field("style", &self.style)
            .finish_non_exhaustive()
    }
}
