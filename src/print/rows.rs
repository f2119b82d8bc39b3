//! The rows of the table, one column at a time. Workers with equal cells share a row.

mod unfolded;

use std::collections::{BTreeMap, BTreeSet};

use comfy_table::Color;

use crate::document::{Document, ProcessEntry};
use crate::print::age::age;
use crate::print::{
    ColumnRoom, Filled, Terminal, binding, color, cpus, draw, harmless, known, or_unknown, role,
    shortened, verdict,
};
use crate::units::{Bytes, NodeBytes, NodeId, NodeSet, Pid, node_list, percent_of_one, ranges};
use crate::words::{Evidence, MemoryKind, Role, Word};

pub(crate) use unfolded::{UnfoldedRow, UnfoldedTable};

/// A row.
struct Row<'a> {
    group: Vec<&'a ProcessEntry>,
    /// All but PIDs and sizes. Processes with equal cells share a row.
    cells: Cells,
    /// The age of the first process.
    age: String,
}

#[derive(PartialEq, Eq)]
struct Cells {
    role: String,
    rank: String,
    gpus: String,
    gpu_node: String,
    mig: String,
    partition: String,
    cpu_node: String,
    cpus: String,
    binding: String,
    memory_nodes: Vec<NodeId>,
    verdict: String,
    user: String,
    job: String,
}

/// A column of the table. It is left out where no row has anything for it.
struct Column {
    header: &'static str,
    room: ColumnRoom,
    cell: fn(&Row) -> String,
}

const VERDICT: &str = "VERDICT";

const COLUMNS: &[Column] = &[
    column("GPU", ColumnRoom::Words(0), |row| row.cells.gpus.clone()),
    column("ROLE", ColumnRoom::Whole, |row| row.role()),
    column("PID", ColumnRoom::Whole, |row| pids(&row.group)),
    column("INNER PID", ColumnRoom::Words(5), |row| {
        inner_pids(&row.group)
    }),
    column("USER", ColumnRoom::Wide(130), |row| row.cells.user.clone()),
    column("AGE", ColumnRoom::Wide(130), |row| row.age.clone()),
    column("RANK", ColumnRoom::Words(4), |row| row.cells.rank.clone()),
    column("GPU NODE", ColumnRoom::Words(0), |row| {
        row.cells.gpu_node.clone()
    }),
    column("MIG", ColumnRoom::Words(1), |row| row.cells.mig.clone()),
    column("PARTITION", ColumnRoom::Words(1), |row| {
        row.cells.partition.clone()
    }),
    column("CPU NODE", ColumnRoom::Short(0), |row| {
        cpu_nodes(&row.group).unwrap_or_else(|| row.cells.cpu_node.clone())
    }),
    column("CPUS", ColumnRoom::Words(1), |row| row.cells.cpus.clone()),
    column("MEM BINDING", ColumnRoom::Words(3), |row| {
        row.cells.binding.clone()
    }),
    column("MEMORY BY NODE", ColumnRoom::Whole, |row| {
        memory(&row.group)
    }),
    column(VERDICT, ColumnRoom::Whole, |row| row.cells.verdict.clone()),
    column("NAME", ColumnRoom::Wide(130), |row| {
        row.each(|of| Some(harmless(&of.name)))
    }),
    column("TASK", ColumnRoom::Wide(180), |row| row.each(task)),
    column("KNOWN BY", ColumnRoom::Wide(170), |row| row.each(known_by)),
    column("JOB", ColumnRoom::Wide(130), |row| row.cells.job.clone()),
    column("KINDS OF MEMORY", ColumnRoom::Wide(130), |row| {
        kinds(&row.group)
    }),
];

const fn column(header: &'static str, room: ColumnRoom, cell: fn(&Row) -> String) -> Column {
    Column { header, room, cell }
}

/// The table of these processes. `all` gives each its own row.
pub(crate) fn rows(
    group: &[&ProcessEntry],
    all: bool,
    document: &Document,
    terminal: &Terminal,
) -> String {
    draw(columns(group, all, document).1.into_iter(), terminal)
}

/// The processes of each row, and the columns with a cell for each row.
pub(crate) fn columns<'a>(
    group: &[&'a ProcessEntry],
    all: bool,
    document: &Document,
) -> (Vec<Vec<&'a ProcessEntry>>, Vec<Filled>) {
    let rows = folded(group, all, document);
    let columns = COLUMNS.iter().map(|column| {
        let colors = rows.iter().map(|row| match column.header {
            VERDICT => color(row.group[0].verdict.as_ref()),
            _ => None,
        });
        let colors: Vec<Option<Color>> = colors.collect();
        Filled {
            header: column.header,
            room: column.room,
            cells: rows.iter().map(column.cell).collect(),
            colors,
        }
    });
    let columns = columns.collect();
    (rows.into_iter().map(|row| row.group).collect(), columns)
}

fn folded<'a>(group: &[&'a ProcessEntry], all: bool, document: &Document) -> Vec<Row<'a>> {
    let without_environment = document.pids_without("environ");
    let gpus = document.topology.gpus.iter();
    let partitioned = gpus.filter(|gpu| !gpu.partitions.is_empty());
    let partitioned: BTreeSet<u32> = partitioned.map(|gpu| gpu.index).collect();
    let mut rows: Vec<Row> = Vec::new();
    for process in group {
        let cells = cells(process, &without_environment, &partitioned);
        // Each trainer has its own row: it has its own rank and GPU.
        let folds = !all && !process.is(Role::Trainer);
        let is_like =
            |row: &&mut Row| row.cells == cells && row.group[0].trainer_pid == process.trainer_pid;
        match rows.iter_mut().find(is_like) {
            Some(row) if folds => row.group.push(process),
            _ => rows.push(Row {
                group: vec![process],
                cells,
                age: age(process, &document.host).unwrap_or_default(),
            }),
        }
    }
    rows
}

impl Row<'_> {
    fn role(&self) -> String {
        match self.group.len() {
            1 => self.cells.role.clone(),
            several => format!("{} ×{several}", self.cells.role),
        }
    }

    /// A text of each process, every text once.
    fn each(&self, text: fn(&ProcessEntry) -> Option<String>) -> String {
        let texts: BTreeSet<String> = self.group.iter().filter_map(|of| text(of)).collect();
        texts.into_iter().collect::<Vec<_>>().join(", ")
    }
}

fn cells(
    process: &ProcessEntry,
    without_environment: &BTreeSet<Pid>,
    partitioned: &BTreeSet<u32>,
) -> Cells {
    let is_judged_by_gpu = !process.is(Role::Launcher) && !process.gpus.is_empty();
    // Only its environment says which GPU it uses.
    let is_hint = matches!(&process.gpu_source, Some(source) if *source == Evidence::Environ);
    let mark = if is_hint { "?" } else { "" };
    let by_node = process.memory.by_node_bytes.as_ref();
    Cells {
        role: role(process) + mark,
        job: job(process),
        rank: match process.rank.or(process.local_rank) {
            Some(rank) => rank.to_string(),
            None if without_environment.contains(&process.pid) => "?".to_owned(),
            None => "-".to_owned(),
        },
        gpus: ranges(process.gpus.iter().copied()),
        gpu_node: if is_judged_by_gpu {
            or_unknown(node_list(&process.home_nodes))
        } else {
            "-".to_owned()
        },
        mig: mig(process),
        partition: partition(process, partitioned),
        cpu_node: known(process.cpu.node.as_ref()),
        cpus: cpus(process.cpu.affinity.as_ref(), &process.cpu.affinity_nodes),
        binding: binding(&process.memory),
        memory_nodes: by_node.map_or_else(Vec::new, |nodes| nodes.keys().copied().collect()),
        verdict: verdict(process.verdict.as_ref()),
        user: process.user.as_deref().map_or("?".to_owned(), harmless),
    }
}

/// With --for the nodes on which the processes used CPU time, the largest share first. `None` where they used none, and
/// without --for.
fn cpu_nodes(group: &[&ProcessEntry]) -> Option<String> {
    let mut by_node: BTreeMap<NodeId, f64> = BTreeMap::new();
    let windows = group.iter().filter_map(|of| of.cpu.window.as_ref());
    for (node, seconds) in windows.flat_map(|window| &window.cpu_seconds_by_node) {
        *by_node.entry(*node).or_default() += seconds;
    }
    let total: f64 = by_node.values().sum();
    let mut by_node: Vec<(NodeId, f64)> = by_node.into_iter().collect();
    by_node.sort_by(|one, other| other.1.total_cmp(&one.1));
    match by_node.as_slice() {
        [] => None,
        [(node, _)] => Some(node.to_string()),
        several => {
            let shown = several.len().min(MOST_LINES);
            let shares = several[..shown].iter();
            let shares = shares
                .map(|(node, seconds)| format!("{node}: {}", percent_of_one(seconds / total)));
            let rest = several.len() - shown;
            let rest = (rest > 0).then(|| format!("{rest} nodes more"));
            Some(shares.chain(rest).collect::<Vec<_>>().join("\n"))
        }
    }
}

/// The MIG instances that it works for, in nvidia-smi's words.
fn mig(process: &ProcessEntry) -> String {
    let instances = process.mig_instances.iter().map(|instance| {
        let gpu = instance.gpu_instance_id;
        match instance.compute_instance_id {
            Some(compute) => format!("GI {gpu} CI {compute}"),
            None => format!("GI {gpu}"),
        }
    });
    instances.collect::<Vec<_>>().join(", ")
}

/// The partitions of AMD's GPUs that it works for: `3`, of several GPUs `0: 3; 1: 0-7`. `?` where they are unknown.
fn partition(process: &ProcessEntry, partitioned: &BTreeSet<u32>) -> String {
    let mut by_gpu: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for of in &process.gpu_partitions {
        by_gpu.entry(of.gpu).or_default().insert(of.partition);
    }
    let unknown = process.gpus.iter().filter(|gpu| partitioned.contains(gpu));
    for gpu in unknown {
        by_gpu.entry(*gpu).or_default();
    }
    let list = |numbers: &BTreeSet<u32>| or_unknown(ranges(numbers.iter().copied()));
    match process.gpus.as_slice() {
        [_] => by_gpu.values().map(list).collect(),
        _ => {
            let texts = by_gpu.iter();
            let texts = texts.map(|(gpu, numbers)| format!("{gpu}: {}", list(numbers)));
            texts.collect::<Vec<_>>().join("; ")
        }
    }
}

fn task(process: &ProcessEntry) -> Option<String> {
    let (framework, task) = (process.framework.as_ref()?, process.task.as_ref()?);
    Some(harmless(&format!("{framework} {task}")))
}

fn known_by(process: &ProcessEntry) -> Option<String> {
    let attribution = process.attribution.as_ref();
    attribution.map(|how| harmless(how.as_str()))
}

/// Slurm's job, those of other schedulers, Kubernetes' pod, and of the container's ID as many digits as `docker ps` shows.
fn job(process: &ProcessEntry) -> String {
    const SHOWN: usize = 12;
    let slurm = process.job.as_ref().map(|job| format!("Slurm {job}"));
    let others = process.scheduler_jobs.iter();
    let others = others.filter(|of| of.scheduler != "Slurm" || process.job.is_none());
    let others = others.map(|of| format!("{} {}", of.scheduler, of.id));
    let pod = process.pod_name.as_ref().or(process.pod.as_ref());
    let pod = pod.map(|pod| format!("pod {pod}"));
    let container = process.container.as_ref().map(|id| {
        let shown: String = id.chars().take(SHOWN).collect();
        format!("container {shown}")
    });
    let texts: Vec<String> = slurm
        .into_iter()
        .chain(others)
        .chain(pod)
        .chain(container)
        .collect();
    harmless(&texts.join(", "))
}

/// The PIDs in the processes' own namespace, where that differs from the observer's.
fn inner_pids(group: &[&ProcessEntry]) -> String {
    let pids = group.iter().filter_map(|of| of.inner_pids.last());
    shortened(pids.copied().collect())
}

fn pids(group: &[&ProcessEntry]) -> String {
    shortened(group.iter().map(|of| of.pid.0).collect())
}

/// The working memory by node: shares and sizes; of several processes the largest size. `~` marks an estimate.
fn memory(group: &[&ProcessEntry]) -> String {
    let known: Option<Vec<&NodeBytes>> = group
        .iter()
        .map(|of| of.memory.by_node_bytes.as_ref())
        .collect();
    let Some(known) = known else {
        return "?".to_owned();
    };
    let all: Bytes = known.iter().flat_map(|of| of.values()).copied().sum();
    let nodes: NodeSet = known.iter().flat_map(|of| of.keys()).copied().collect();
    let at_most = if group.len() > 1 { "≤" } else { "" };
    let is_estimate = group.iter().any(|of| of.memory.is_estimate());
    let about = if is_estimate { "~" } else { "" };
    let lines = nodes.iter().map(|node| {
        let sizes = known.iter().filter_map(|of| of.get(node)).copied();
        let here: Bytes = sizes.clone().sum();
        let largest = sizes.max().unwrap_or_default();
        format!("{node}: {about}{} {at_most}{largest}", here.percent_of(all))
    });
    let sum = |node: &NodeId| known.iter().filter_map(|of| of.get(node)).copied().sum();
    let sizes: Vec<Bytes> = nodes.iter().map(sum).collect();
    let mut lines = largest(lines.collect(), &sizes, |rest| {
        format!("{about}{}", rest.percent_of(all))
    });
    lines.extend(swap(group));
    if lines.is_empty() {
        return "none".to_owned();
    }
    lines.join("\n")
}

/// `swap: 24 GiB`, the largest of the group. Less than a process's memory varies by is left out.
fn swap(group: &[&ProcessEntry]) -> Option<String> {
    const WORTH_A_LINE: Bytes = Bytes(16 << 20);
    let largest = group.iter().filter_map(|of| of.memory.swap_bytes).max()?;
    let at_most = if group.len() > 1 { "≤" } else { "" };
    (largest >= WORTH_A_LINE).then(|| format!("swap: {at_most}{largest}"))
}
/// A cell has no more lines than these for nodes: a machine may have hundreds of nodes.
const MOST_LINES: usize = 8;

/// The lines of the nodes with most memory, in their order; the last one sums the other nodes up.
fn largest(lines: Vec<String>, sizes: &[Bytes], share: impl Fn(Bytes) -> String) -> Vec<String> {
    if lines.len() <= MOST_LINES {
        return lines;
    }
    let mut by_size: Vec<(Bytes, usize)> = sizes.iter().copied().zip(0..).collect();
    by_size.sort_unstable_by(|one, other| other.cmp(one));
    let rest = by_size.split_off(MOST_LINES - 1);
    let mut shown: Vec<usize> = by_size.into_iter().map(|(_, at)| at).collect();
    shown.sort_unstable();
    let mut lines: Vec<String> = shown.into_iter().map(|at| lines[at].clone()).collect();
    let elsewhere: Bytes = rest.iter().map(|(size, _)| *size).sum();
    lines.push(format!("{} nodes: {}", rest.len(), share(elsewhere)));
    lines
}

/// The largest size of each kind of memory, in the order of the kinds; unknown kinds come last.
fn kinds(group: &[&ProcessEntry]) -> String {
    let kinds = group.iter().filter_map(|of| of.memory.by_kind.as_ref());
    let mut largest: BTreeMap<(bool, Option<MemoryKind>, &Word<MemoryKind>), Bytes> =
        BTreeMap::new();
    for (kind, by_node) in kinds.flatten() {
        let order = (kind.known().is_none(), kind.known(), kind);
        let size = largest.entry(order).or_default();
        *size = (*size).max(by_node.values().copied().sum());
    }
    let texts = largest
        .iter()
        .map(|((.., kind), size)| format!("{} {size}", harmless(kind.as_str())));
    texts.collect::<Vec<_>>().join(", ")
}
