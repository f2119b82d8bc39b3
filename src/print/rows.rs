//! The rows of the table, a column at a time; like workers folded into one row.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use comfy_table::Color;

use crate::audit::place::memory::PagePlace;
use crate::audit::place::verdict::Verdict;
use crate::audit::{PlacedProcess, Report};
use crate::jobs::attribution::Role;
use crate::machine::evidence::Evidence;
use crate::machine::memory::Mode;
use crate::machine::process::Process;
use crate::machine::window::CpuTime;
use crate::print::age::age;
use crate::print::cells::{bracketed, cpus, or_unknown};
use crate::print::columns::{Filled, Room, draw};
use crate::print::terminal::{Terminal, harmless};
use crate::units::{Bytes, NodeId, NodeSet, node_list, percent_of_time, ranges};

/// What a row shows.
struct Row<'a> {
    people: Vec<&'a PlacedProcess>,
    /// All but PIDs and sizes. Processes with equal cells fold into one row.
    cells: Cells,
    /// Since when the first of them is there.
    age: String,
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

const VERDICT: &str = "VERDICT";

const COLUMNS: &[Column] = &[
    column("GPU", Room::Words(0), |row| row.cells.gpus.clone()),
    column("ROLE", Room::Whole, |row| row.role()),
    column("PID", Room::Whole, |row| pids(&row.people)),
    column("INNER PID", Room::Words(5), |row| inner_pids(&row.people)),
    column("USER", Room::Wide(130), |row| row.cells.user.clone()),
    column("AGE", Room::Wide(130), |row| row.age.clone()),
    column("RANK", Room::Words(4), |row| row.cells.rank.clone()),
    column("GPU NODE", Room::Words(0), |row| row.cells.gpu_node.clone()),
    column("MIG", Room::Words(1), |row| row.cells.mig.clone()),
    column("CPU NODE", Room::Short(0), |row| {
        cpu_nodes(&row.people).unwrap_or_else(|| row.cells.cpu_node.clone())
    }),
    column("CPUS", Room::Words(1), |row| row.cells.cpus.clone()),
    column("MEM BINDING", Room::Words(3), |row| {
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

/// The table of these processes. `all` gives each a row of its own.
pub fn rows(group: &[&PlacedProcess], all: bool, report: &Report, terminal: &Terminal) -> String {
    let rows = folded(group, all, report);
    let columns = COLUMNS.iter().map(|column| {
        let color = |row: &Row| match column.header {
            VERDICT => color(row.people[0].verdict),
            _ => None,
        };
        Filled {
            header: column.header,
            room: column.room,
            cells: rows.iter().map(column.cell).collect(),
            colors: rows.iter().map(color).collect(),
        }
    });
    draw(columns, terminal)
}

fn folded<'a>(group: &[&'a PlacedProcess], all: bool, report: &Report) -> Vec<Row<'a>> {
    let mut rows: Vec<Row> = Vec::new();
    for audited in group {
        let cells = cells(audited, report);
        // A trainer stands for itself: each has a rank and a GPU of its own.
        let folds = !all && audited.membership.role != Some(Role::Trainer);
        let like = |row: &&mut Row| {
            row.cells == cells && row.people[0].membership.trainer == audited.membership.trainer
        };
        match rows.iter_mut().find(like) {
            Some(row) if folds => row.people.push(audited),
            _ => rows.push(Row {
                people: vec![audited],
                cells,
                age: age(&audited.process, &report.host).unwrap_or_default(),
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
    fn each(&self, tell: fn(&PlacedProcess) -> Option<String>) -> String {
        let told: BTreeSet<String> = self.people.iter().filter_map(|of| tell(of)).collect();
        told.into_iter().collect::<Vec<_>>().join(", ")
    }
}

fn cells(audited: &PlacedProcess, report: &Report) -> Cells {
    let process = &audited.process;
    let pages = audited.memory.pages.as_ref();
    let role = audited.membership.role.map(|role| role.to_string());
    let judged_on = match audited.membership.role {
        Some(Role::Launcher) => "-".to_owned(),
        _ if audited.membership.gpus.is_empty() => "-".to_owned(),
        _ => or_unknown(node_list(&audited.home_nodes)),
    };
    // It is told by its environment alone for which GPU.
    let is_hint = audited.membership.gpu_source == Some(Evidence::Environ);
    let mark = if is_hint { "?" } else { "" };
    Cells {
        role: role.map_or_else(|| "process".to_owned(), |role| format!("{role}{mark}")),
        job: job(audited),
        rank: rank(process),
        gpus: ranges(audited.membership.gpus.iter().copied()),
        gpu_node: judged_on,
        mig: mig(audited),
        cpu_node: audited.cpu.node.map_or("?".into(), |node| node.to_string()),
        cpus: cpus(audited.cpu.affinity.as_ref(), &audited.cpu.affinity_nodes),
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

/// Where they spent CPU time while they were watched, the node with most first: its share, if there are several. `None`
/// where they used none, and where nobody looked for longer than a moment.
fn cpu_nodes(people: &[&PlacedProcess]) -> Option<String> {
    let mut all = CpuTime::default();
    people
        .iter()
        .filter_map(|audited| audited.cpu_time())
        .for_each(|time| all.add_all(time));
    let mut by_node: Vec<(NodeId, Duration)> = all.iter().collect();
    by_node.sort_by_key(|(_, time)| Reverse(*time));
    match by_node.as_slice() {
        [] => None,
        [(node, _)] => Some(node.to_string()),
        several => {
            let total = all.total();
            let told = several.iter();
            let told =
                told.map(|(node, time)| format!("{node}: {}", percent_of_time(*time, total)));
            Some(told.collect::<Vec<_>>().join("\n"))
        }
    }
}

/// The MIG instances that it works for, in nvidia-smi's words.
fn mig(audited: &PlacedProcess) -> String {
    let instances = audited.membership.instances.iter();
    let told: Vec<String> = instances
        .map(|(_, instance)| instance.to_string())
        .collect();
    told.join(", ")
}

fn task(audited: &PlacedProcess) -> Option<String> {
    let task = audited.membership.task?;
    Some(format!("{} {}", task.framework, task.name))
}

fn known_by(audited: &PlacedProcess) -> Option<String> {
    audited.membership.attribution.map(|how| how.to_string())
}

/// For whom it runs: Slurm's job, Kubernetes' pod, the container by as many digits as `docker ps` shows.
fn job(audited: &PlacedProcess) -> String {
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
fn inner_pids(people: &[&PlacedProcess]) -> String {
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

/// `[0, 1]`, `bind [0]`: the nodes that memory may come from, and the policy that says so.
fn binding(audited: &PlacedProcess) -> String {
    let allowed = audited.memory.mems_allowed.as_ref();
    let allowed = || allowed.map_or("?".to_owned(), bracketed);
    let Some(pages) = &audited.memory.pages else {
        // Within these, whatever the policy says.
        return format!("? {}", allowed());
    };
    match &pages.policy.mode {
        Mode::Default => allowed(),
        Mode::Local => format!("local {}", allowed()),
        mode if pages.policy.truncated => format!("{} [?]", harmless(&mode.to_string())),
        mode => format!(
            "{} {}",
            harmless(&mode.to_string()),
            bracketed(&pages.policy.nodes)
        ),
    }
}

/// The PIDs of a row, shortened where they are many.
fn pids(people: &[&PlacedProcess]) -> String {
    shortened(people.iter().map(|audited| audited.process.pid.0).collect())
}

pub(crate) fn shortened(pids: Vec<u32>) -> String {
    const READABLE: usize = 13;
    let list = ranges(pids.iter().copied());
    match pids.as_slice() {
        [first, .., last] if list.len() > READABLE => format!("{first}…{last}"),
        _ => list,
    }
}

/// The working memory by node: shares, and the sizes; of several processes the largest. An estimate is marked `~`.
fn memory(people: &[&PlacedProcess]) -> String {
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

fn kinds(people: &[&PlacedProcess]) -> String {
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

pub(crate) fn color(verdict: Option<Verdict>) -> Option<Color> {
    Some(match verdict? {
        Verdict::Ok | Verdict::SingleNode => Color::Green,
        Verdict::AtRisk => Color::Yellow,
        Verdict::Unknown => Color::Magenta,
        Verdict::Mismatch => Color::Red,
    })
}
