//! Rows and columns, for a terminal or for a pipe.

use std::io::IsTerminal;

use comfy_table::{ContentArrangement, presets};

/// Where a table is going.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Ruled, and folded to the width of the terminal.
    Terminal,
    /// Columns aligned with spaces, one line per row, whatever the width.
    Plain,
}

/// A table before it is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns and no rows.
    #[must_use]
    pub fn new<S: Into<String>>(header: impl IntoIterator<Item = S>) -> Self {
        Self { header: header.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// A table of two columns without a header, for the fields of one object.
    #[must_use]
    pub fn fields() -> Self {
        Self { header: Vec::new(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) -> &mut Self {
        let cells = cells.into_iter().map(|cell| super::text::printable(&cell.into()).into_owned());
        self.rows.push(cells.collect());
        self
    }

    /// Adds a field that has a value.
    pub fn field(&mut self, name: &str, value: impl Into<String>) -> &mut Self {
        let value = value.into();
        if value.is_empty() { self } else { self.row([name.to_owned(), value]) }
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Takes out the columns that say nothing in any row.
    #[must_use]
    pub fn without_empty_columns(mut self) -> Self {
        let used: Vec<bool> = (0..self.header.len())
            .map(|column| {
                self.rows.iter().any(|row| row.get(column).is_some_and(|cell| !cell.is_empty()))
            })
            .collect();
        let keep = |cells: &mut Vec<String>| {
            let mut column = 0;
            cells.retain(|_| {
                column += 1;
                used.get(column - 1).copied().unwrap_or(true)
            });
        };
        keep(&mut self.header);
        self.rows.iter_mut().for_each(keep);
        self
    }

    /// The table as text, without a line break at the end.
    #[must_use]
    pub fn render(&self, style: Style) -> String {
        let mut table = comfy_table::Table::new();
        // Where standard output goes elsewhere, the terminal is behind standard error.
        if !std::io::stdout().is_terminal() {
            table.use_stderr();
        }
        match style {
            Style::Terminal if !self.header.is_empty() => {
                table.load_style(presets::UTF8_FULL_CONDENSED.with_rounded_corners());
                table.set_content_arrangement(ContentArrangement::Dynamic);
            }
            Style::Terminal => {
                table.load_style(presets::NOTHING);
                table.set_content_arrangement(ContentArrangement::Dynamic);
            }
            Style::Plain => {
                table.load_style(presets::NOTHING);
                table.set_content_arrangement(ContentArrangement::Disabled);
                table.force_no_tty();
            }
        }
        if !self.header.is_empty() {
            table.set_header(&self.header);
        }
        for row in &self.rows {
            table.add_row(row);
        }
        if style == Style::Plain || self.header.is_empty() {
            // Ragged on the right, flush on the left: what `awk` and people expect.
            for column in table.column_iter_mut() {
                column.set_padding((0, 2));
            }
        }
        table.trim_fmt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new(["SERVICE", "VERSION", "REASON"]);
        table.row(["httpbin", "1.0.0", ""]).row(["a", "No Version", ""]);
        table
    }

    #[test]
    fn plain_text_is_aligned_and_unruled() {
        assert_eq!(
            sample().without_empty_columns().render(Style::Plain),
            "SERVICE  VERSION\nhttpbin  1.0.0\na        No Version"
        );
    }

    #[test]
    fn plain_text_does_not_fold() {
        let mut table = Table::new(["A", "B"]);
        table.row(["x".repeat(300), "y".repeat(300)]);
        assert_eq!(table.render(Style::Plain).lines().count(), 2);
    }

    #[test]
    fn a_terminal_gets_rules() {
        let drawn = sample().render(Style::Terminal);
        assert!(drawn.starts_with('╭') && drawn.ends_with('╯'), "{drawn}");
        assert!(drawn.contains("│ httpbin ┆ 1.0.0"), "{drawn}");
    }

    #[test]
    fn fields_stand_beside_their_names() {
        let mut table = Table::fields();
        table.field("name", "uat").field("description", "").field("revision", "3");
        assert_eq!(table.render(Style::Plain), "name      uat\nrevision  3");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let mut table = Table::new(["A"]);
        table.row(["red \u{1b}[31m\r\nend"]);
        assert_eq!(table.render(Style::Plain), "A\nred \\u{1b}[31m\\r\\nend");
    }
}
