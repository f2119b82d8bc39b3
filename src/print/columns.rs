//! Tables that leave out columns where room is short.

use comfy_table::{Color, ColumnConstraint, Width};

use crate::print::{Terminal, cell};

/// A column with its cells.
pub(crate) struct Filled {
    pub(crate) header: &'static str,
    pub(crate) room: ColumnRoom,
    /// From the first row to the last.
    pub(crate) cells: Vec<String>,
    /// The colour of each cell.
    pub(crate) colors: Vec<Option<Color>>,
}

/// How a column behaves on a narrow terminal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ColumnRoom {
    /// It is never left out, and its cells are never broken into two lines.
    Whole,
    /// Its cells may be broken between words. The greater the number, the sooner it is left out.
    Words(u8),
    /// The same, but its cells are never broken.
    Short(u8),
    /// It is shown from this width of the terminal on.
    Wide(u16),
}

/// Longer words than this are cut (see `cell`): a hostile one cannot make the sums of widths overflow.
const WIDEST: u16 = 4096;

impl Filled {
    /// The least width: that of the longest word, or of the longest line where lines are never broken.
    fn least(&self) -> u16 {
        let longest = |text: &str, split: fn(char) -> bool| {
            let parts = text.split(split).map(|part| part.chars().count());
            parts.max().unwrap_or(0)
        };
        let split = match self.room {
            ColumnRoom::Whole | ColumnRoom::Short(_) => |letter| letter == '\n',
            ColumnRoom::Words(_) | ColumnRoom::Wide(_) => char::is_whitespace,
        };
        let cells = self.cells.iter().map(|cell| longest(cell, split));
        let header = longest(self.header, char::is_whitespace);
        u16::try_from(cells.max().unwrap_or(0).max(header))
            .unwrap_or(u16::MAX)
            .min(WIDEST)
    }

    fn is_used(&self) -> bool {
        self.cells.iter().any(|cell| !cell.is_empty())
    }
}

/// The table of the columns that are not empty and fit. The least important ones are left out first.
pub(crate) fn draw(columns: impl Iterator<Item = Filled>, terminal: &Terminal) -> String {
    let columns = fitting(columns, terminal.width, terminal.padding());
    let headers: Vec<&str> = columns.iter().map(|(column, _)| column.header).collect();
    let mut table = terminal.table(&headers);
    let rows = columns.first().map_or(0, |(column, _)| column.cells.len());
    for row in 0..rows {
        table.add_row(columns.iter().map(|(column, _)| {
            let cell = cell(&column.cells[row]);
            match column.colors.get(row).copied().flatten() {
                Some(color) => cell.fg(color),
                None => cell,
            }
        }));
    }
    for (drawn, (column, least)) in table.column_iter_mut().zip(&columns) {
        let least = least + terminal.padding();
        drawn.set_constraint(match column.room {
            ColumnRoom::Whole => ColumnConstraint::Absolute(Width::Fixed(least)),
            _ => ColumnConstraint::LowerBoundary(Width::Fixed(least)),
        });
    }
    table.trim_fmt() + "\n"
}

/// The columns that are drawn in this width, each with its least width. `padding` blanks are between two columns.
pub(crate) fn fitting(
    columns: impl Iterator<Item = Filled>,
    width: u16,
    padding: u16,
) -> Vec<(Filled, u16)> {
    let is_wide = |column: &Filled| matches!(column.room, ColumnRoom::Wide(from) if from > width);
    let columns = columns.filter(|column| !is_wide(column) && column.is_used());
    let measured = columns.map(|column| {
        let least = column.least();
        (column, least)
    });
    let mut columns: Vec<(Filled, u16)> = measured.collect();
    let padding = u32::from(padding);
    let needs = |columns: &[(Filled, u16)]| {
        let widths = columns.iter().map(|(_, least)| u32::from(*least) + padding);
        widths.sum::<u32>()
    };
    while needs(&columns) > u32::from(width) {
        let least_wanted = columns
            .iter()
            .enumerate()
            .filter_map(|(at, (column, _))| match column.room {
                ColumnRoom::Whole => None,
                ColumnRoom::Words(rank) | ColumnRoom::Short(rank) => Some((u16::from(rank), at)),
                ColumnRoom::Wide(from) => Some((from, at)),
            });
        match least_wanted.max() {
            Some((_, at)) => drop(columns.remove(at)),
            None => break,
        }
    }
    columns
}
