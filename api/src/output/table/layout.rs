//! Which columns of a table stand beside each other on a terminal, and how wide.
//!
//! Columns give way in this order: those of words go on in a next line while they read well, spare
//! ones are left out, those of words become as narrow as their longest word. Then either the table is
//! continued in another one below, or its rows are told one by one. A word is never broken.

use crate::output::text;

/// Spaces and rules of a column, and the rule at the end.
const RULES: usize = 3;

/// What a column needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Need {
    /// Width at which every cell stands in one line.
    pub(super) whole: usize,
    /// Width below which a word would be broken.
    pub(super) least: usize,
    /// Whether the table may go without it.
    pub(super) is_spare: bool,
    /// Cells that may be folded, the header among them.
    pub(super) cells: Vec<String>,
}

/// Columns by their index, with their widths.
pub(super) type Layout = Vec<(usize, usize)>;

/// Words are not pressed into less than this while they can go elsewhere: out, or into a next table.
const COMFORT: usize = 16;

/// The tables that columns fit into, one below the other; `None` where there are none.
pub(super) fn fit(needs: &[Need], width: usize, continues: bool) -> Option<Vec<Layout>> {
    let room = |columns: usize| width.saturating_sub(columns * RULES + 1);
    let mut shown: Vec<(usize, &Need)> = needs.iter().enumerate().collect();
    while sum(&shown, Need::comfort) > room(shown.len())
        && let Some(spare) = shown.iter().position(|(_, need)| need.is_spare)
    {
        shown.remove(spare);
    }
    if sum(&shown, Need::least) <= room(shown.len()) {
        return Some(vec![widths(&shown, room(shown.len()))]);
    }
    let (key, rest) = shown.split_first().filter(|(_, rest)| continues && !rest.is_empty())?;
    let mut tables = Vec::new();
    let mut columns = vec![*key];
    for column in rest {
        columns.push(*column);
        if sum(&columns, Need::comfort) <= room(columns.len()) {
            continue;
        }
        columns.pop();
        if columns.len() > 1 {
            tables.push(widths(&columns, room(columns.len())));
        }
        columns = vec![*key, *column];
        if sum(&columns, Need::least) > room(columns.len()) {
            return None;
        }
    }
    tables.push(widths(&columns, room(columns.len())));
    Some(tables)
}

fn sum(columns: &[(usize, &Need)], of: fn(&Need) -> usize) -> usize {
    columns.iter().map(|(_, need)| of(need)).sum()
}

/// The widths of columns that fit: none is narrowed while a wider one can be.
fn widths(columns: &[(usize, &Need)], room: usize) -> Layout {
    let floor = if sum(columns, Need::comfort) <= room { Need::comfort } else { Need::least };
    let mut least: Vec<usize> = columns.iter().map(|(_, need)| floor(need)).collect();
    let mut most: Vec<usize> = columns.iter().map(|(_, need)| need.whole).collect();
    loop {
        let at = |level: usize| -> Vec<usize> {
            least.iter().zip(&most).map(|(least, most)| level.clamp(*least, *most)).collect()
        };
        let highest = most.iter().copied().max().unwrap_or(0);
        let fits = |level: &usize| at(*level).iter().sum::<usize>() <= room;
        let given = at((0..=highest).rev().find(fits).unwrap_or(0));
        // Words leave room at the ends of their lines, which others can use.
        let taken: Vec<usize> =
            columns.iter().zip(&given).map(|((_, need), given)| need.taken(*given)).collect();
        if taken == given {
            return columns.iter().zip(taken).map(|((index, _), width)| (*index, width)).collect();
        }
        for ((least, most), (taken, given)) in
            least.iter_mut().zip(&mut most).zip(taken.into_iter().zip(given))
        {
            if taken < given {
                (*least, *most) = (taken, taken);
            }
        }
    }
}

impl Need {
    fn least(&self) -> usize {
        self.least
    }

    /// The least width at which the column reads well.
    fn comfort(&self) -> usize {
        self.least.max(self.whole.min(COMFORT))
    }

    /// The width that the cells take of what they are given.
    fn taken(&self, given: usize) -> usize {
        if given >= self.whole {
            return given;
        }
        let lines = self.cells.iter().flat_map(|cell| text::folded(cell, given));
        lines.map(|line| text::width(&line)).max().unwrap_or(given)
    }
}
