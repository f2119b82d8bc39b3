//! The rows of the table, a column at a time; like workers folded into one row.

use std::collections::{BTreeMap, BTreeSet};

use comfy_table::{Cell, Color, ColumnConstraint, Width};

use super::terminal::{Terminal, harmless};
use crate::audit::attribution::{GpuSource, Role};
use crate::audit::memory::PagePlace;
use crate::audit::verdict::Verdict;
use crate::audit::{Audited, Report};
use crate::model::cpus::ranges;
use crate::model::memory::{Bytes, Mode};
use crate::model::process::Process;
use crate::model::topology::{NodeSet, node_list};

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
    gpus: String,
    gpu_node: String,
    mig: String,
    cpu_node: String,
    cpus: String,
    binding: String,
    memory_nodes: Vec<u32>,
    verdict: String,
    user: String,
    job: String,
}

/// A column of the table. It is left out where no row has anything for it.
struct Column {
    header: &'static str,
    room: Room,
    cell: fn(&Row) -> String,
}

/// How a column behaves where room is short.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Room {
    /// It is never left out, and no cell of it is broken over two lines.
    Whole,
    /// Its cells may be broken between words; the greater the number, the sooner it is left out.
    Words(u8),
    /// Only from this width of the terminal on.
    Wide(u16),
}

const VERDICT: &str = "VERDICT";

const COLUMNS: &[Column] = &[
    column("GPU", Room::Words(0), |row| row.cells.gpus.clone()),
    column("ROLE", Room::Whole, |row| row.role()),
    column("PID", Room::Whole, |row| pids(&row.people)),
    column("INNER PID", Room::Words(5), |row| inner_pids(&row.people)),
    column("USER", Room::Wide(130), |row| row.cells.user.clone()),
    column("RANK", Room::Words(4), |row| row.cells.rank.clone()),
    column("GPU NODE", Room::Words(3), |row| row.cells.gpu_node.clone()),
    column("MIG", Room::Words(1), |row| row.cells.mig.clone()),
    column("CPU NODE", Room::Words(0), |row| row.cells.cpu_node.clone()),
    column("CPUS", Room::Words(1), |row| row.cells.cpus.clone()),
    column("MEM BINDING", Room::Words(2), |row| {
        row.cells.binding.clone()
    }),
    column("MEMORY BY NODE", Room::Whole, |row| memory(&row.people)),
    column(VERDICT, Room::Whole, |row| row.cells.verdict.clone()),
    column("NAME", Room::Wide(130), |row| {
        row.each(|of| Some(harmless(&of.process.name)))
    }),
    column("TASK", Room::Wide(180), |row| row.each(task)),
    column("KNOWN BY", Room::Wide(170), |row| row.each(known_by)),
    column("JOB", Room::Wide(130), |row| row.cells.job.clone()),
    column("KINDS OF MEMORY", Room::Wide(130), |row| kinds(&row.people)),
];

const fn column(header: &'static str, room: Room, cell: fn(&Row) -> String) -> Column {
    Column { header, room, cell }
}

impl Column {
    /// The least width that the room allows: of the longest word, else of the longest line.
    fn least(&self, rows: &[Row]) -> u16 {
        let longest = |text: &str, split: fn(char) -> bool| {
            let parts = text.split(split).map(|part| part.chars().count());
            parts.max().unwrap_or(0)
        };
        let split = match self.room {
            Room::Whole => |letter| letter == '\n',
            Room::Words(_) | Room::Wide(_) => char::is_whitespace,
        };
        let cells = rows.iter().map(|row| longest(&(self.cell)(row), split));
        let header = longest(self.header, char::is_whitespace);
        u16::try_from(cells.max().unwrap_or(0).max(header)).unwrap_or(u16::MAX)
    }
}

/// The columns for which there is room, those that matter least left out first.
fn fitting(rows: &[Row], terminal: &Terminal) -> Vec<&'static Column> {
    let is_wide =
        |column: &Column| matches!(column.room, Room::Wide(from) if from > terminal.width);
    let says = |column: &Column| rows.iter().any(|row| !(column.cell)(row).is_empty());
    let columns = COLUMNS
        .iter()
        .filter(|column| !is_wide(column) && says(column));
    let mut columns: Vec<&Column> = columns.collect();
    let needs = |columns: &[&Column]| {
        let widths = columns
            .iter()
            .map(|column| u32::from(column.least(rows) + terminal.padding()));
        widths.sum::<u32>()
    };
    while needs(&columns) > u32::from(terminal.width) {
        let least_wanted =
            columns
                .iter()
                .enumerate()
                .filter_map(|(at, column)| match column.room {
                    Room::Whole => None,
                    Room::Words(rank) => Some((u16::from(rank), at)),
                    Room::Wide(from) => Some((from, at)),
                });
        match least_wanted.max() {
            Some((_, at)) => drop(columns.remove(at)),
            None => break,
        }
    }
    columns
}

/// The table of these processes. `all` gives each a row of its own.
pub fn rows(group: &[&Audited], all: bool, report: &Report, terminal: &Terminal) -> String {
    let rows = folded(group, all, report);
    let columns = fitting(&rows, terminal);
    let headers: Vec<&str> = columns.iter().map(|column| column.header).collect();
    let mut table = terminal.table(&headers);
    for row in &rows {
        table.add_row(columns.iter().map(|column| {
            let cell = Cell::new((column.cell)(row));
            match color(row.people[0].verdict) {
                Some(color) if column.header == VERDICT => cell.fg(color),
                _ => cell,
            }
        }));
    }
    for (drawn, column) in table.column_iter_mut().zip(columns) {
        let least = column.least(&rows) + terminal.padding();
        drawn.set_constraint(match column.room {
            Room::Whole => ColumnConstraint::Absolute(Width::Fixed(least)),
            _ => ColumnConstraint::LowerBoundary(Width::Fixed(least)),
        });
    }
    table.trim_fmt() + "\n"
}

fn folded<'a>(group: &[&'a Audited], all: bool, report: &Report) -> Vec<Row<'a>> {
    let mut rows: Vec<Row> = Vec::new();
    for audited in group {
        let cells = cells(audited, report);
        // A trainer stands for itself: each has a rank and a GPU of its own.
        let folds = !all && audited.part.role != Some(Role::Trainer);
        let like = |row: &&mut Row| {
            row.cells == cells && row.people[0].part.trainer == audited.part.trainer
        };
        match rows.iter_mut().find(like) {
            Some(row) if folds => row.people.push(audited),
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

    /// What is told of one after another, each once.
    fn each(&self, tell: fn(&Audited) -> Option<String>) -> String {
        let told: BTreeSet<String> = self.people.iter().filter_map(|of| tell(of)).collect();
        told.into_iter().collect::<Vec<_>>().join(", ")
    }
}

fn cells(audited: &Audited, report: &Report) -> Cells {
    let process = &audited.process;
    let pages = audited.memory.pages.as_ref();
    let role = audited.part.role.map(|role| role.to_string());
    let judged_on = match audited.part.role {
        Some(Role::Launcher) => "-".to_owned(),
        _ if audited.part.gpus.is_empty() => "-".to_owned(),
        _ => or_unknown(node_list(&audited.home_nodes)),
    };
    // It is told by its environment alone for which GPU.
    let is_hint = audited.part.gpu_source == Some(GpuSource::Environ);
    let mark = if is_hint { "?" } else { "" };
    Cells {
        role: role.map_or_else(|| "process".to_owned(), |role| format!("{role}{mark}")),
        job: job(audited),
        rank: rank(process),
        gpus: ranges(audited.part.gpus.iter().copied()),
        gpu_node: judged_on,
        mig: mig(audited),
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
        user: match process.uid {
            None => "?".to_owned(),
            Some(uid) => report
                .users
                .get(&uid)
                .map_or(uid.to_string(), |name| harmless(name)),
        },
    }
}

/// The MIG instances that it works for, in nvidia-smi's words.
fn mig(audited: &Audited) -> String {
    let instances = audited.part.instances.iter();
    let told: Vec<String> = instances
        .map(|(_, instance)| instance.to_string())
        .collect();
    told.join(", ")
}

fn task(audited: &Audited) -> Option<String> {
    let task = audited.part.task?;
    Some(format!("{} {}", task.framework, task.name))
}

fn known_by(audited: &Audited) -> Option<String> {
    audited.part.attribution.map(|how| how.to_string())
}

/// For whom it runs: Slurm's job, Kubernetes' pod, the container by as many digits as `docker ps` shows.
fn job(audited: &Audited) -> String {
    const SHOWN: usize = 12;
    let slurm = audited.job.as_ref().map(|job| format!("Slurm {job}"));
    let pod = audited.pod.as_ref().map(|pod| format!("pod {pod}"));
    let container = audited
        .container
        .as_ref()
        .map(|id| format!("container {}", &id[..SHOWN]));
    let told: Vec<String> = [slurm, pod, container].into_iter().flatten().collect();
    told.join(", ")
}

/// Their PIDs in their own namespace, where that is another one than ours.
fn inner_pids(people: &[&Audited]) -> String {
    let pids = people
        .iter()
        .filter_map(|audited| audited.process.inner_pids.last());
    shortened(pids.copied().collect())
}

/// `-` where it has none, `?` where that could not be read.
fn rank(process: &Process) -> String {
    let Some(environment) = &process.environment else {
        return "?".to_owned();
    };
    let rank = environment.rank.or(environment.local_rank);
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
        mode => format!(
            "{} {}",
            harmless(&mode.to_string()),
            list(&pages.policy.nodes)
        ),
    }
}

/// The PIDs of a row, shortened where they are many.
fn pids(people: &[&Audited]) -> String {
    shortened(people.iter().map(|audited| audited.process.pid.0).collect())
}

fn shortened(pids: Vec<u32>) -> String {
    const READABLE: usize = 13;
    let list = ranges(pids.iter().copied());
    match pids.as_slice() {
        [first, .., last] if list.len() > READABLE => format!("{first}…{last}"),
        _ => list,
    }
}

/// The working memory by node: shares, and the sizes; of several processes the largest. An estimate is marked `~`.
fn memory(people: &[&Audited]) -> String {
    let pages: Vec<&PagePlace> = people
        .iter()
        .filter_map(|a| a.memory.pages.as_ref())
        .collect();
    if pages.len() < people.len() {
        return "?".to_owned();
    }
    let all: Bytes = pages
        .iter()
        .flat_map(|pages| pages.by_node.values())
        .copied()
        .sum();
    let nodes: NodeSet = pages
        .iter()
        .flat_map(|pages| pages.by_node.keys())
        .copied()
        .collect();
    let at_most = if people.len() > 1 { "≤" } else { "" };
    let is_estimate = pages.iter().any(|pages| pages.estimate.is_some());
    let about = if is_estimate { "~" } else { "" };
    let told = nodes.iter().map(|node| {
        let sizes = pages
            .iter()
            .filter_map(|pages| pages.by_node.get(node))
            .copied();
        let here: Bytes = sizes.clone().sum();
        let largest = sizes.max().unwrap_or_default();
        format!("{node}: {about}{} {at_most}{largest}", here.percent_of(all))
    });
    let told: Vec<String> = told.collect();
    if told.is_empty() {
        "none".to_owned()
    } else {
        told.join("\n")
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

fn color(verdict: Option<Verdict>) -> Option<Color> {
    Some(match verdict? {
        Verdict::Ok | Verdict::SingleNode => Color::Green,
        Verdict::AtRisk => Color::Yellow,
        Verdict::Unknown => Color::Magenta,
        Verdict::Mismatch => Color::Red,
    })
}
