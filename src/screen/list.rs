//! The rows of the processes: those of the audit's table, filtered and sorted, with their columns as wide as there is room.

use std::collections::BTreeMap;

use ratatui::text::Line;

use crate::document::{Document, ProcessEntry};
use crate::print::columns::fitting;
use crate::print::table::groups;
use crate::print::{ColumnRoom, Filled, Terminal, harmless, rows};
use crate::screen::activity::activity;
use crate::screen::order::Order;
use crate::units::Pid;

/// What is shown of the processes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    /// Whether each process has its own row.
    pub(crate) all: bool,
    /// The text that a process has to contain; empty for all processes.
    pub(crate) filter: String,
    /// `None` for the order of the audit.
    pub(crate) order: Option<Order>,
}

/// The rows, from the first one to the last.
#[derive(Debug, Clone, Default)]
pub(crate) struct List {
    pub(crate) columns: Vec<ListColumn>,
    pub(crate) rows: Vec<ListRow>,
    /// The lines of the headers.
    pub(crate) header_height: u16,
    /// All columns that have something, also those for which there is no room.
    pub(crate) headers: Vec<&'static str>,
}

/// A column that is shown.
#[derive(Debug, Clone)]
pub(crate) struct ListColumn {
    pub(crate) header: &'static str,
    /// The header broken into lines.
    pub(crate) lines: Vec<String>,
    pub(crate) width: u16,
}

/// A row.
#[derive(Debug, Clone)]
pub(crate) enum ListRow {
    /// The heading of the rows that follow.
    Heading(&'static str),
    /// Processes that share a row.
    Processes(ProcessRow),
}

/// A row of processes.
#[derive(Debug, Clone)]
pub(crate) struct ProcessRow {
    /// Their places in the document.
    pub(crate) members: Vec<usize>,
    /// The lines of each cell that is shown.
    pub(crate) cells: Vec<Vec<String>>,
}

impl ListRow {
    /// In lines.
    pub(crate) fn height(&self) -> usize {
        match self {
            Self::Heading(_) => 1,
            Self::Processes(row) => row.cells.iter().map(Vec::len).max().unwrap_or(1).max(1),
        }
    }

    /// The first process of the row.
    pub(crate) fn first(&self) -> Option<usize> {
        match self {
            Self::Heading(_) => None,
            Self::Processes(row) => row.members.first().copied(),
        }
    }
}

impl List {
    /// The columns left of the rows, for marks.
    pub(crate) const GUTTER: u16 = 2;
    /// Blanks between two columns.
    pub(crate) const PADDING: u16 = 1;

    /// The rows in this width.
    pub(crate) fn of(document: &Document, choice: &Choice, width: u16) -> Self {
        let processes = document.processes().iter().zip(0..);
        let places: BTreeMap<Pid, usize> = processes.map(|(of, at)| (of.pid, at)).collect();
        let mut groups: Vec<Group> = groups(document.processes())
            .into_iter()
            .filter_map(|(heading, all)| Group::of(heading, all, document, choice))
            .collect();
        for group in &mut groups {
            group.sort(choice.order);
        }
        let (mut columns, mut order) = (Vec::new(), Vec::new());
        for group in groups {
            if !group.heading.is_empty() {
                order.push(Err(group.heading));
            }
            order.extend(group.members.into_iter().map(Ok));
            join(&mut columns, group.columns);
        }
        let used = columns.iter().filter(|column| is_used(column));
        let headers = used.map(|column| column.header).collect();
        let fitted = fitting(columns.into_iter(), width + Self::PADDING, Self::PADDING);
        let widths = widths(&fitted, width);
        let mut at = 0;
        let rows = order.into_iter().map(|row| match row {
            Err(heading) => ListRow::Heading(heading),
            Ok(members) => {
                let cells = fitted.iter().zip(&widths);
                let cells = cells.map(|((column, _), width)| lines(column, at, *width));
                let cells = cells.collect();
                at += 1;
                let members = members.iter();
                let members = members.filter_map(|of| places.get(&of.pid).copied());
                ListRow::Processes(ProcessRow {
                    members: members.collect(),
                    cells,
                })
            }
        });
        let rows = rows.collect();
        let columns = fitted.iter().zip(&widths).map(|((column, _), width)| {
            let lines = broken(column.header, *width);
            ListColumn {
                header: column.header,
                lines,
                width: *width,
            }
        });
        let columns: Vec<ListColumn> = columns.collect();
        let height = columns.iter().map(|column| column.lines.len()).max();
        Self {
            header_height: u16::try_from(height.unwrap_or(1)).unwrap_or(u16::MAX),
            columns,
            rows,
            headers,
        }
    }
}

/// Rows with a heading.
struct Group<'a> {
    heading: &'static str,
    members: Vec<Vec<&'a ProcessEntry>>,
    columns: Vec<Filled>,
}

impl<'a> Group<'a> {
    /// `None` where the filter leaves nothing.
    fn of(
        heading: &'static str,
        mut processes: Vec<&'a ProcessEntry>,
        document: &Document,
        choice: &Choice,
    ) -> Option<Self> {
        processes.retain(|process| contains(process, &choice.filter));
        if processes.is_empty() {
            return None;
        }
        let (members, mut columns) = rows::columns(&processes, choice.all, document);
        let place = columns
            .iter()
            .position(|column| column.header == "CPU NODE");
        let place = place.map_or(columns.len(), |place| place + 1);
        let seconds = document.window.as_ref().map(|window| window.seconds);
        columns.splice(place..place, activity(&members, seconds));
        Some(Self {
            heading,
            members,
            columns,
        })
    }

    fn sort(&mut self, order: Option<Order>) {
        let Some(order) = order else { return };
        let mut columns = self.columns.iter();
        let cells = columns.find(|column| column.header == order.header);
        let Some(cells) = cells.map(|column| column.cells.clone()) else {
            return;
        };
        let mut places: Vec<usize> = (0..self.members.len()).collect();
        places.sort_by(|one, other| {
            let row = |at: usize| (self.members[at][0], cells[at].as_str());
            order.compare(row(*one), row(*other))
        });
        self.members = places.iter().map(|at| self.members[*at].clone()).collect();
        for column in &mut self.columns {
            column.cells = places.iter().map(|at| column.cells[*at].clone()).collect();
            column.colors = places.iter().map(|at| column.colors[*at]).collect();
        }
    }
}

/// Whether a process has this text anywhere, in small or capital letters.
fn contains(process: &ProcessEntry, text: &str) -> bool {
    let text = text.to_lowercase();
    let has = |field: &str| harmless(field).to_lowercase().contains(&text);
    let words = [
        process.role.as_ref().map(|word| word.as_str()),
        process.verdict.as_ref().map(|word| word.as_str()),
    ];
    let texts = [
        Some(&process.name),
        process.command.as_ref(),
        process.user.as_ref(),
        process.job.as_ref(),
        process.container.as_ref(),
        process.pod.as_ref(),
        process.pod_name.as_ref(),
        process.framework.as_ref(),
        process.task.as_ref(),
    ];
    let gpus = process.gpus.iter().map(|gpu| format!("gpu {gpu}"));
    text.is_empty()
        || has(&process.pid.to_string())
        || texts.into_iter().flatten().any(|field| has(field))
        || words.into_iter().flatten().any(has)
        || process.findings.iter().any(|rule| has(rule))
        || gpus.into_iter().any(|gpu| has(&gpu))
}

/// Adds the rows of further columns, which are the same columns.
fn join(columns: &mut Vec<Filled>, more: Vec<Filled>) {
    if columns.is_empty() {
        *columns = more;
        return;
    }
    for (column, more) in columns.iter_mut().zip(more) {
        column.cells.extend(more.cells);
        column.colors.extend(more.colors);
    }
}

fn is_used(column: &Filled) -> bool {
    column.cells.iter().any(|cell| !cell.is_empty())
}

/// The columns get their least widths, and what is left goes to those that need more, from left to right.
fn widths(columns: &[(Filled, u16)], width: u16) -> Vec<u16> {
    let padding = List::PADDING;
    let needed: u16 = columns.iter().map(|(_, least)| least + padding).sum();
    let mut left = (width + padding).saturating_sub(needed);
    let widths = columns.iter().map(|(column, least)| {
        let cells = column.cells.iter().flat_map(|cell| cell.split('\n'));
        let longest = cells.map(|line| Line::from(line).width()).max();
        let natural = longest.unwrap_or(0).max(column.header.len());
        let natural = u16::try_from(natural).unwrap_or(u16::MAX);
        let more = natural.saturating_sub(*least).min(left);
        left -= more;
        least + more
    });
    widths.collect()
}

/// The lines of a cell.
fn lines(column: &Filled, at: usize, width: u16) -> Vec<String> {
    let text = column.cells.get(at).map_or("", String::as_str);
    let breaks = matches!(column.room, ColumnRoom::Words(_) | ColumnRoom::Wide(_));
    let lines = text.split('\n').flat_map(|line| match breaks {
        true => broken(line, width),
        false => vec![line.to_owned()],
    });
    lines.collect()
}

/// A text in lines of this width, broken between words.
fn broken(text: &str, width: u16) -> Vec<String> {
    let narrow = Terminal {
        width,
        color: false,
    };
    let text = narrow.wrap("", text, 0);
    text.lines().map(str::to_owned).collect()
}
