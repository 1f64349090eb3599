//! A page as what a terminal would show: the commands of its `console` blocks and what they are
//! said to print.
//!
//! - A line that begins with `$ ` is a command; one that ends in `\` goes on in the next line.
//! - What follows is what it prints. A line `...` stands for any lines, `...` in a line for any text.
//!   Where nothing follows, anything may be printed. A commit or a day or a time stands for any other.
//! - A command must succeed, unless the page goes on with `echo $?`.
//! - `^C` ends the last `refgate` that was started to serve.
//!
//! Running is done by [`super::session`].

use super::read;

/// A page with commands.
#[derive(Debug)]
pub(super) struct Page {
    /// Its path in the workspace.
    pub(super) path: String,
    /// What it shows, from top to bottom.
    pub(super) steps: Vec<Step>,
}

/// One thing that is shown.
#[derive(Debug)]
pub(super) enum Step {
    /// A command, and what it prints.
    Command {
        /// The number of its line, from 1.
        line: usize,
        /// The command, with its line breaks.
        text: String,
        /// The lines that it is said to print; none: whatever they are.
        prints: Vec<String>,
    },
    /// The program that serves is ended from its keyboard.
    Interrupt {
        /// The number of its line, from 1.
        line: usize,
    },
}

impl Step {
    /// The number of its line, from 1.
    pub(super) fn line(&self) -> usize {
        match self {
            Self::Command { line, .. } | Self::Interrupt { line } => *line,
        }
    }

    /// A command without line breaks, without what only makes a script wait or not be asked, and
    /// without the comment at its end.
    pub(super) fn words(self) -> Option<String> {
        let Self::Command { text, .. } = self else { return None };
        let text = text.split(" # ").next().unwrap_or_default();
        let words =
            text.split_whitespace().filter(|word| !["\\", "--wait", "--yes"].contains(word));
        Some(words.collect::<Vec<_>>().join(" "))
    }
}

impl Page {
    /// Reads a page of the workspace.
    pub(super) fn read(path: &str) -> anyhow::Result<Self> {
        let text = read(path)?;
        let mut steps = Vec::new();
        // The end that the block's fence must have; none outside a block.
        let mut fence = None;
        let mut shown = false;
        let mut goes_on = false;
        for (line, content) in (1..).zip(text.lines()) {
            let indented = content.trim_start();
            let Some(indent) = fence else {
                if indented.starts_with("```") {
                    fence = Some(content.len() - indented.len());
                    shown = indented == "```console";
                }
                continue;
            };
            if indented == "```" {
                anyhow::ensure!(!goes_on, "{path}:{line}: the command above goes on nowhere");
                fence = None;
                continue;
            }
            if !shown {
                continue;
            }
            let content = content.get(indent..).unwrap_or_default();
            if goes_on {
                if let Some(Step::Command { text, .. }) = steps.last_mut() {
                    text.push('\n');
                    text.push_str(content);
                }
                goes_on = content.ends_with('\\');
            } else if let Some(command) = content.strip_prefix("$ ") {
                steps.push(Step::Command { line, text: command.to_owned(), prints: Vec::new() });
                goes_on = command.ends_with('\\');
            } else if content == "^C" {
                steps.push(Step::Interrupt { line });
            } else if let Some(Step::Command { prints, .. }) = steps.last_mut() {
                prints.push(content.to_owned());
            } else {
                anyhow::bail!("{path}:{line}: this is printed by no command");
            }
        }
        anyhow::ensure!(!steps.is_empty(), "{path} shows no command");
        Ok(Self { path: path.to_owned(), steps })
    }
}

/// Whether what was printed is what the page shows. Space counts as one blank, as widths of columns
/// depend on what is in them.
pub(super) fn agrees(shown: &[String], printed: &str) -> bool {
    let shown: Vec<String> = shown.iter().map(|line| plain(line)).collect();
    let printed: Vec<String> = printed.lines().map(plain).collect();
    // Empty lines at the ends say nothing.
    fits(trimmed(&shown), trimmed(&printed))
}

/// The line with single blanks, and without what is another one each time.
fn plain(line: &str) -> String {
    let words = line.split_whitespace().map(|word| {
        let shape: String =
            word.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        if ["0000-00-00", "00:00:00Z", "0000-00-00T00:00:00Z"].contains(&shape.as_str()) {
            return shape;
        }
        let runs = word.split_inclusive(|c: char| !c.is_ascii_alphanumeric()).map(|run| {
            let bare = run.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
            let commit = bare.len() >= 7
                && bare.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
            if commit { run.replacen(bare, "commit", 1) } else { run.to_owned() }
        });
        runs.collect()
    });
    words.collect::<Vec<_>>().join(" ")
}

fn trimmed(lines: &[String]) -> &[String] {
    let first = lines.iter().position(|line| !line.is_empty()).unwrap_or(lines.len());
    let last = lines.iter().rposition(|line| !line.is_empty()).map_or(first, |last| last + 1);
    lines.get(first..last).unwrap_or_default()
}

/// Whether lines that are shown, some of which stand for any number of lines, are those printed.
fn fits(shown: &[String], printed: &[String]) -> bool {
    let Some((first, rest)) = shown.split_first() else { return printed.is_empty() };
    if first == "..." {
        return (0..=printed.len()).any(|skip| fits(rest, &printed[skip..]));
    }
    let parts: Vec<&str> = first.split("...").collect();
    printed.split_first().is_some_and(|(line, others)| like(&parts, line) && fits(rest, others))
}

/// Whether a line is these parts with any text between them.
fn like(parts: &[&str], line: &str) -> bool {
    let [first, middle @ .., last] = parts else { return parts == [line] };
    let Some(mut rest) = line.strip_prefix(first).and_then(|rest| rest.strip_suffix(last)) else {
        return false;
    };
    middle.iter().all(|part| match rest.split_once(part) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

#[test]
fn what_is_printed_is_compared_with_what_is_shown() {
    let agrees = |shown: &str, printed: &str| {
        agrees(&shown.lines().map(str::to_owned).collect::<Vec<_>>(), printed)
    };
    for (shown, printed) in [
        ("a\nb", "a\nb\n"),
        ("a  b", "a b   \n\n"),
        ("a\n...\nd", "a\nb\nc\nd\n"),
        ("a\n...", "a\n"),
        ("...", ""),
        ("at ... by ...: done", "at 12:00 by jane: done"),
        ("(revision 2, commit 7cb11565)", "(revision 2, commit 0123456789abcdef)"),
        ("7 2026-01-31 12:00:00Z jane", "7 2027-02-03 00:10:20Z jane"),
    ] {
        assert!(agrees(shown, printed), "{shown:?} {printed:?}");
    }
    for (shown, printed) in [
        ("a", "a\nb"),
        ("a\nb", "a"),
        ("a\n...\nd", "a\nb\nc\n"),
        ("at ... by jane", "at 12:00 by ana"),
        ("served by 1 of 1", "served by 0 of 1"),
        ("(revision 2, commit 7cb11565)", "(revision 3, commit 7cb11565)"),
        ("7 2026-01-31 jane", "8 2026-01-31 jane"),
    ] {
        assert!(!agrees(shown, printed), "{shown:?} {printed:?}");
    }
}
