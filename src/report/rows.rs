//! The rows of the table, a column at a time; like workers folded into one row.

use std::collections::BTreeMap;

use comfy_table::{Cell, Color, ColumnConstraint};

use super::terminal::{Terminal, harmless};
use crate::audit::Audited;
use crate::audit::attribution::Role;
use crate::audit::memory::PagePlace;
use crate::audit::verdict::Verdict;
use crate::model::cpus::ranges;
use crate::model::memory::{Bytes, Mode};
use crate::model::process::Process;
use crate::model::topology::{NodeSet, node_list};

/// A column of the table.
struct Column {
    header: &'static str,
    /// The terminal's width from which on there is room for it.
    from_width: u16,
    /// Whether its cells are never broken over two lines.
    whole: bool,
    cell: fn(&Row) -> Cell,
}

const fn column(
    header: &'static str,
    from_width: u16,
    whole: bool,
    cell: fn(&Row) -> Cell,
) -> Column {
    Column {
        header,
        from_width,
        whole,
        cell,
    }
}

const COLUMNS: &[Column] = &[
    column("ROLE", 0, true, |row| Cell::new(row.role())),
    column("PID", 0, true, |row| Cell::new(pids(&row.people))),
    column("RANK", 76, false, |row| Cell::new(&row.cells.rank)),
    column("GPU NODE", 76, false, |row| Cell::new(&row.cells.gpu_node)),
    column("CPU NODE", 0, false, |row| Cell::new(&row.cells.cpu_node)),
    column("CPUS", 58, false, |row| Cell::new(&row.cells.cpus)),
    column("MEM BINDING", 58, false, |row| {
        Cell::new(&row.cells.binding)
    }),
    column("MEMORY BY NODE", 0, true, |row| {
        Cell::new(memory(&row.people))
    }),
    column("VERDICT", 0, true, |row| {
        verdict_cell(row.people[0].verdict, &row.cells.verdict)
    }),
    column("NAME", 130, false, |row| Cell::new(&row.cells.name)),
    column("KINDS OF MEMORY", 130, false, |row| {
        Cell::new(kinds(&row.people))
    }),
];

/// What a row shows.
struct Row<'a> {
    people: Vec<&'a Audited>,
    /// All but PIDs and sizes. Processes with equal cells fold into one row.
    cells: Cells,
}

#[derive(PartialEq, Eq)]
struct Cells {
    role: String,
    rank: String,
    gpu_node: String,
    cpu_node: String,
    cpus: String,
    binding: String,
    memory_nodes: Vec<u32>,
    verdict: String,
    name: String,
}

/// The table of these processes. `all` gives each a row of its own.
pub fn rows(group: &[&Audited], all: bool, terminal: &Terminal) -> String {
    let columns = COLUMNS
        .iter()
        .filter(|column| column.from_width <= terminal.width);
    let columns: Vec<&Column> = columns.collect();
    let headers: Vec<&str> = columns.iter().map(|column| column.header).collect();
    let mut table = terminal.table(&headers);
    for row in folded(group, all) {
        table.add_row(columns.iter().map(|column| (column.cell)(&row)));
    }
    for (drawn, column) in table.column_iter_mut().zip(columns) {
        if column.whole {
            drawn.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    table.trim_fmt() + "\n"
}

fn folded<'a>(group: &[&'a Audited], all: bool) -> Vec<Row<'a>> {
    let mut rows: Vec<Row> = Vec::new();
    for audited in group {
        let cells = cells(audited);
        // A trainer stands for itself: each has a rank and a GPU of its own.
        let folds = !all && audited.part.role != Some(Role::Trainer);
        match rows.last_mut() {
            Some(row) if folds && row.cells == cells => row.people.push(audited),
            _ => rows.push(Row {
                people: vec![audited],
                cells,
            }),
        }
    }
    rows
}

impl Row<'_> {
    fn role(&self) -> String {
        match self.people.len() {
            1 => self.cells.role.clone(),
            several => format!("{} ×{several}", self.cells.role),
        }
    }
}

fn cells(audited: &Audited) -> Cells {
    let process = &audited.process;
    let pages = audited.memory.pages.as_ref();
    let role = audited.part.role.map(|role| role.to_string());
    let judged_on = match audited.part.role {
        Some(Role::Launcher) => "-".to_owned(),
        _ if audited.part.gpus.is_empty() => "-".to_owned(),
        _ => or_unknown(node_list(&audited.home_nodes)),
    };
    Cells {
        role: role.unwrap_or_else(|| "process".to_owned()),
        rank: rank(process),
        gpu_node: judged_on,
        cpu_node: audited.cpu.node.map_or("?".into(), |node| node.to_string()),
        cpus: cpus(audited),
        binding: binding(audited),
        memory_nodes: pages
            .map(|pages| pages.by_node.keys().map(|node| node.0).collect())
            .unwrap_or_default(),
        verdict: match audited.verdict {
            None => "-".to_owned(),
            Some(Verdict::Mismatch) => "MISMATCH".to_owned(),
            Some(verdict) => verdict.to_string(),
        },
        name: harmless(&process.name),
    }
}

/// `-` where it has none, `?` where that could not be read.
fn rank(process: &Process) -> String {
    let Some(ranks) = process.ranks else {
        return "?".to_owned();
    };
    let rank = ranks.global.or(ranks.local);
    rank.map_or("-".to_owned(), |rank| rank.to_string())
}

fn or_unknown(text: String) -> String {
    if text.is_empty() {
        "?".to_owned()
    } else {
        text
    }
}

/// The CPUs on which the main thread may run; a list too long to be read as the nodes it lies on.
fn cpus(audited: &Audited) -> String {
    const READABLE: usize = 17;
    let Some(affinity) = &audited.cpu.affinity else {
        return "?".to_owned();
    };
    let list = affinity.to_string();
    if list.len() <= READABLE {
        return list;
    }
    format!(
        "{} on {}",
        affinity.iter().count(),
        node_list(&audited.cpu.affinity_nodes)
    )
}

/// As the post has it, `[0, 1]`: the nodes that memory may come from, and the policy that says so.
fn binding(audited: &Audited) -> String {
    let list = |nodes: &NodeSet| {
        let nodes: Vec<String> = nodes.iter().map(|node| node.to_string()).collect();
        format!("[{}]", nodes.join(", "))
    };
    let allowed = audited.memory.mems_allowed.as_ref().map(list);
    let allowed = || allowed.clone().unwrap_or_else(|| "?".to_owned());
    let Some(pages) = &audited.memory.pages else {
        // Within these, whatever the policy says.
        return format!("? {}", allowed());
    };
    match &pages.policy.mode {
        Mode::Default => allowed(),
        Mode::Local => format!("local {}", allowed()),
        mode if pages.policy.truncated => format!("{mode} [?]"),
        mode => format!("{mode} {}", list(&pages.policy.nodes)),
    }
}

/// The PIDs of a row, shortened where they are many.
fn pids(people: &[&Audited]) -> String {
    const READABLE: usize = 13;
    let list = ranges(people.iter().map(|audited| audited.process.pid.0));
    match people {
        [first, .., last] if list.len() > READABLE => {
            format!("{}…{}", first.process.pid, last.process.pid)
        }
        _ => list,
    }
}

/// The working memory by node: shares, and the sizes; of several processes the largest.
fn memory(people: &[&Audited]) -> String {
    let pages: Vec<&PagePlace> = people
        .iter()
        .filter_map(|a| a.memory.pages.as_ref())
        .collect();
    if pages.len() < people.len() {
        return "?".to_owned();
    }
    let all: u64 = pages
        .iter()
        .flat_map(|pages| pages.by_node.values())
        .map(|b| b.0)
        .sum();
    let nodes: NodeSet = pages
        .iter()
        .flat_map(|pages| pages.by_node.keys())
        .copied()
        .collect();
    let at_most = if people.len() > 1 { "≤" } else { "" };
    let told = nodes.iter().map(|node| {
        let sizes = pages.iter().filter_map(|pages| pages.by_node.get(node));
        let here: u64 = sizes.clone().map(|bytes| bytes.0).sum();
        let largest = sizes.max().copied().unwrap_or_default();
        let share = percent(here, all);
        format!("{node}: {share} {at_most}{largest}")
    });
    let told: Vec<String> = told.collect();
    if told.is_empty() {
        "none".to_owned()
    } else {
        told.join("\n")
    }
}

/// Whole percents; what is not quite nothing or all does not read as if it were.
fn percent(part: u64, all: u64) -> String {
    let share = part as f64 * 100.0 / all as f64;
    match share {
        _ if part > 0 && share < 1.0 => "<1%".to_owned(),
        _ if part < all && share > 99.0 => ">99%".to_owned(),
        _ => format!("{share:.0}%"),
    }
}

fn kinds(people: &[&Audited]) -> String {
    let pages: Vec<&PagePlace> = people
        .iter()
        .filter_map(|a| a.memory.pages.as_ref())
        .collect();
    let mut largest: BTreeMap<_, Bytes> = BTreeMap::new();
    for (kind, by_node) in pages.iter().flat_map(|pages| &pages.by_kind) {
        let size = largest.entry(*kind).or_default();
        *size = (*size).max(by_node.values().copied().sum());
    }
    let told = largest.iter().map(|(kind, size)| format!("{kind} {size}"));
    told.collect::<Vec<_>>().join(", ")
}

fn verdict_cell(verdict: Option<Verdict>, text: &str) -> Cell {
    let cell = Cell::new(text);
    match verdict {
        None => cell,
        Some(Verdict::Ok | Verdict::SingleNode) => cell.fg(Color::Green),
        Some(Verdict::AtRisk) => cell.fg(Color::Yellow),
        Some(Verdict::Unknown) => cell.fg(Color::Magenta),
        Some(Verdict::Mismatch) => cell.fg(Color::Red),
    }
}
