//! The same cells, one row for each process: for forms that sort and filter the rows themselves.

use crate::document::{Document, ProcessEntry};
use crate::print::rows::{COLUMNS, folded};

/// A table with one row for each process.
#[derive(Debug)]
pub(crate) struct UnfoldedTable<'a> {
    /// The columns that have something in a row.
    pub(crate) headers: Vec<&'static str>,
    /// In the order of the processes.
    pub(crate) rows: Vec<UnfoldedRow<'a>>,
}

/// A row: a process with a cell for each header. The lines of a cell are separated.
#[derive(Debug)]
pub(crate) struct UnfoldedRow<'a> {
    /// The process.
    pub(crate) process: &'a ProcessEntry,
    /// Made harmless.
    pub(crate) cells: Vec<String>,
}

impl<'a> UnfoldedTable<'a> {
    /// The table of these processes.
    pub(crate) fn of(processes: &[&'a ProcessEntry], document: &Document) -> Self {
        let rows = folded(processes, true, document);
        let is_used =
            |cell: fn(&super::Row) -> String| rows.iter().any(|row| !cell(row).is_empty());
        let columns: Vec<_> = COLUMNS
            .iter()
            .filter(|column| is_used(column.cell))
            .collect();
        let filled = rows.iter().map(|row| UnfoldedRow {
            process: row.group[0],
            cells: columns.iter().map(|column| (column.cell)(row)).collect(),
        });
        Self {
            headers: columns.iter().map(|column| column.header).collect(),
            rows: filled.collect(),
        }
    }
}
