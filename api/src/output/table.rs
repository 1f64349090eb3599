//! Rows and columns, for a terminal or for a pipe.
//!
//! A terminal has a width, and no name is ever broken to fit it: which columns give way, and how,
//! is decided in [`layout`]; here the result is drawn.

mod layout;

use std::iter::repeat_n;

use self::layout::{Layout, Need};
use super::text;

/// Where a table is going.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Ruled, and fitted into the columns of a terminal.
    Terminal {
        /// Columns of the terminal.
        width: usize,
    },
    /// Columns aligned with spaces, one line per row, whatever the width.
    Plain,
}

/// A column, and what becomes of it where a terminal has little room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    name: String,
    room: Room,
}

/// The room that a column wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    /// All of it, in one line.
    Whole,
    /// As much as its longest word.
    Words,
    /// The same, or none.
    Spare,
}

impl Column {
    /// Names and numbers, which always stand in one line.
    pub fn whole(name: impl Into<String>) -> Self {
        Self { name: name.into(), room: Room::Whole }
    }

    /// Text and lists, which may go on in a next line wherever there is a space.
    pub fn words(name: impl Into<String>) -> Self {
        Self { name: name.into(), room: Room::Words }
    }

    /// Text that is left out where there is no room for it. Of several, the first goes first.
    pub fn spare(name: impl Into<String>) -> Self {
        Self { name: name.into(), room: Room::Spare }
    }
}

impl From<&str> for Column {
    fn from(name: &str) -> Self {
        Self::whole(name)
    }
}

/// A table before it is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
    continues: bool,
}

impl Table {
    /// A table with these columns and no rows.
    #[must_use]
    pub fn new<C: Into<Column>>(columns: impl IntoIterator<Item = C>) -> Self {
        let columns = columns.into_iter().map(Into::into).collect();
        Self { columns, rows: Vec::new(), continues: false }
    }

    /// A table of two columns without a header, for the fields of one object.
    #[must_use]
    pub fn fields() -> Self {
        Self { columns: Vec::new(), rows: Vec::new(), continues: false }
    }

    /// The same, of which the columns that a terminal has no room for follow in another table
    /// below, beside the first column again.
    #[must_use]
    pub fn continued(mut self) -> Self {
        self.continues = true;
        self
    }

    /// Adds a row.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) -> &mut Self {
        let cells = cells.into_iter().map(|cell| text::printable(&cell.into()).into_owned());
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
        let says = |column: usize| self.rows.iter().any(|row| !cell(row, column).is_empty());
        let used: Vec<bool> = (0..self.columns.len()).map(says).collect();
        let mut keep = used.iter();
        self.columns.retain(|_| keep.next().copied().unwrap_or(true));
        for row in &mut self.rows {
            let mut keep = used.iter();
            row.retain(|_| keep.next().copied().unwrap_or(true));
        }
        self
    }

    /// The table as text, without a line break at the end.
    #[must_use]
    pub fn render(&self, style: Style) -> String {
        let lines = match style {
            Style::Plain => self.plain(),
            Style::Terminal { width } if self.columns.is_empty() => fields(&self.rows, width),
            Style::Terminal { width } => self.fitted(width),
        };
        lines.join("\n")
    }

    /// Ragged on the right, flush on the left: what `awk` and people expect.
    fn plain(&self) -> Vec<String> {
        let header: Vec<String> = self.columns.iter().map(|column| column.name.clone()).collect();
        let header = Some(header).filter(|header| !header.is_empty());
        let rows: Vec<&Vec<String>> = header.iter().chain(&self.rows).collect();
        let columns = rows.iter().map(|row| row.len()).max().unwrap_or(0);
        let width = |column: usize| rows.iter().map(|row| text::width(cell(row, column))).max();
        let widths: Vec<usize> = (0..columns).filter_map(width).collect();
        let line = |row: &&Vec<String>| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| padded(cell, *width));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        rows.iter().map(line).collect()
    }

    fn fitted(&self, width: usize) -> Vec<String> {
        let needs: Vec<Need> = self.columns.iter().enumerate().map(|one| self.need(one)).collect();
        match layout::fit(&needs, width, self.continues) {
            Some(layouts) => layouts.iter().flat_map(|layout| self.ruled(layout)).collect(),
            None => self.one_by_one(width),
        }
    }

    fn need(&self, (index, column): (usize, &Column)) -> Need {
        let cells = || self.rows.iter().map(|row| cell(row, index)).chain([column.name.as_str()]);
        let whole = cells().map(text::width).max().unwrap_or(0);
        let words = cells().flat_map(|cell| cell.split(' '));
        let word = words.map(text::width).max().unwrap_or(0);
        Need {
            whole,
            least: if column.room == Room::Whole { whole } else { word },
            is_spare: column.room == Room::Spare,
            cells: match column.room {
                Room::Whole => Vec::new(),
                Room::Words | Room::Spare => cells().map(str::to_owned).collect(),
            },
        }
    }

    fn ruled(&self, layout: &Layout) -> Vec<String> {
        let rule = |left: &str, line: &str, cross: &str, right: &str| {
            let lines = layout.iter().map(|(_, width)| repeat_n(line, width + 2).collect());
            format!("{left}{}{right}", lines.collect::<Vec<String>>().join(cross))
        };
        let mut lines = vec![rule("╭", "─", "┬", "╮")];
        let header: Vec<String> = self.columns.iter().map(|column| column.name.clone()).collect();
        lines.extend(ruled_row(&header, layout));
        lines.push(rule("╞", "═", "╪", "╡"));
        lines.extend(self.rows.iter().flat_map(|row| ruled_row(row, layout)));
        lines.push(rule("╰", "─", "┴", "╯"));
        lines
    }

    /// Where not even two columns fit beside each other, each row is told by its fields.
    fn one_by_one(&self, width: usize) -> Vec<String> {
        let mut lines = Vec::new();
        for row in &self.rows {
            if !lines.is_empty() {
                lines.push(String::new());
            }
            let named = self.columns.iter().zip(row).filter(|(_, cell)| !cell.is_empty());
            let named = named.map(|(column, cell)| vec![column.name.clone(), cell.clone()]);
            lines.extend(fields(&named.collect::<Vec<_>>(), width));
        }
        lines
    }
}

/// The lines of one row between rules.
fn ruled_row(row: &[String], layout: &Layout) -> Vec<String> {
    let folded = |(column, width): &(usize, usize)| text::folded(cell(row, *column), *width);
    let cells: Vec<Vec<String>> = layout.iter().map(folded).collect();
    let height = cells.iter().map(Vec::len).max().unwrap_or(0);
    let line = |at: usize| {
        let parts = cells.iter().zip(layout).map(|(cell, (_, width))| {
            let part = cell.get(at).map(String::as_str).unwrap_or_default();
            format!(" {} ", padded(part, *width))
        });
        format!("│{}│", parts.collect::<Vec<_>>().join("┆"))
    };
    (0..height).map(line).collect()
}

/// Names and values; a value goes on below itself.
fn fields(rows: &[Vec<String>], width: usize) -> Vec<String> {
    let name = |row: &Vec<String>| text::width(cell(row, 0));
    let names = rows.iter().map(name).max().unwrap_or(0) + 2;
    let mut lines = Vec::new();
    for row in rows {
        let mut name = cell(row, 0);
        for part in text::folded(cell(row, 1), width.saturating_sub(names)) {
            lines.push(format!("{}{part}", padded(name, names)).trim_end().to_owned());
            name = "";
        }
    }
    lines
}

fn cell(row: &[String], column: usize) -> &str {
    row.get(column).map(String::as_str).unwrap_or_default()
}

fn padded(cell: &str, width: usize) -> String {
    let rest = width.saturating_sub(text::width(cell));
    format!("{cell}{}", " ".repeat(rest))
}

#[cfg(test)]
mod tests;
