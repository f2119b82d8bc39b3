//! CPU time and moves since the last answer.

use crate::document::{CpuWindowEntry, ProcessEntry};
use crate::print::{ColumnRoom, Filled};

/// The columns that only a screen has: CPU time as a share of one CPU, and moves between nodes, since the last answer.
pub(crate) fn activity(members: &[Vec<&ProcessEntry>], seconds: Option<f64>) -> [Filled; 2] {
    let windows = |row: &[&ProcessEntry]| -> Vec<CpuWindowEntry> {
        row.iter().filter_map(|of| of.cpu.window.clone()).collect()
    };
    let share = |row: &Vec<&ProcessEntry>| {
        let windows = windows(row);
        let used = windows
            .iter()
            .flat_map(|of| of.cpu_seconds_by_node.values());
        let used = used.fold(0.0, |sum, time| sum + time);
        match seconds {
            Some(seconds) if seconds > 0.0 && !windows.is_empty() => {
                format!("{:.0}%", used / seconds * 100.0)
            }
            Some(_) => "?".to_owned(),
            None => String::new(),
        }
    };
    let moves = |row: &Vec<&ProcessEntry>| {
        let windows = windows(row);
        let moves = windows.iter().map(|of| of.migrations);
        match (seconds, windows.is_empty()) {
            (None, _) => String::new(),
            (Some(_), true) => "?".to_owned(),
            (Some(_), false) => moves.fold(0, u64::saturating_add).to_string(),
        }
    };
    let column = |header, room, cells: Vec<String>| Filled {
        header,
        room,
        colors: vec![None; cells.len()],
        cells,
    };
    [
        column(
            "CPU",
            ColumnRoom::Short(2),
            members.iter().map(share).collect(),
        ),
        column(
            "MOVES",
            ColumnRoom::Short(2),
            members.iter().map(moves).collect(),
        ),
    ]
}
