//! The same cells, one row for each change: for forms that sort and filter the rows themselves.

use crate::compare::{Diff, ProcessChange};
use crate::print::Terminal;
use crate::print::diff::{COLUMNS, ChangeRow, cells, pids};

/// A table with one row for each process of either audit.
#[derive(Debug)]
pub(crate) struct UnfoldedChanges<'a> {
    /// The columns that have something in a row.
    pub(crate) headers: Vec<&'static str>,
    /// The worst change first.
    pub(crate) rows: Vec<UnfoldedChange<'a>>,
}

/// A row: a change with a cell for each header.
#[derive(Debug)]
pub(crate) struct UnfoldedChange<'a> {
    /// The change.
    pub(crate) change: &'a ProcessChange<'a>,
    /// Made harmless.
    pub(crate) cells: Vec<String>,
}

impl<'a> UnfoldedChanges<'a> {
    /// The table of all changes.
    pub(crate) fn of(diff: &'a Diff<'a>) -> Self {
        // No cell is broken into lines.
        let terminal = Terminal {
            width: u16::MAX,
            color: false,
        };
        let rows = diff.processes.iter().map(|change| {
            let mut row = ChangeRow {
                group: vec![change],
                cells: cells(change, &terminal),
                pids: String::new(),
            };
            row.pids = pids(&row);
            row
        });
        let rows: Vec<ChangeRow> = rows.collect();
        let is_used = |cell: fn(&ChangeRow) -> String| rows.iter().any(|row| !cell(row).is_empty());
        let columns: Vec<_> = COLUMNS.iter().filter(|(.., cell)| is_used(*cell)).collect();
        let filled = rows.iter().map(|row| UnfoldedChange {
            change: row.group[0],
            cells: columns.iter().map(|(.., cell)| cell(row)).collect(),
        });
        Self {
            headers: columns.iter().map(|(header, ..)| *header).collect(),
            rows: filled.collect(),
        }
    }
}
