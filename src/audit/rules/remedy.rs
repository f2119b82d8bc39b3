//! The fix for a misplacement. Its commands come from the targets of the processes, its words from what started the job.

use std::collections::{BTreeMap, BTreeSet};

use crate::audit::PlacedProcess;
use crate::audit::finding::{NOTE_SEPARATOR, Remedy};
use crate::audit::rules::launcher_words::{has_used_option, words_of};
use crate::audit::rules::{Group, RuleContext};
use crate::audit::target::{MemoryBinding, Obstacle, Target};
use crate::machine::Topology;
use crate::units::{CpuSet, Pid, node_list};
use crate::words::{ObstacleKind, Role};

/// The fix where only a scheduler or an administrator can act.
pub(crate) const CPUSET_FIRST: &str =
    "change the cpuset first (see cpuset-excludes-gpu): it does not allow the right nodes";

/// The note of a fix that changes a memory policy.
pub(crate) const POLICY_STAYS: &str =
    "the memory policy of a running process cannot be changed from outside";

/// Binds a group to its targets: at the next start, and now.
pub(crate) fn bind(context: &RuleContext, group: &Group) -> Remedy {
    if let Some(remedy) = without_target(context, group) {
        return remedy;
    }
    Remedy {
        text: start(context, group),
        commands: taskset_lines(group.processes()),
        note: "memory that is already allocated stays where it is".to_owned(),
    }
}

/// Binds a group to its targets and moves its pages there.
pub(crate) fn bind_and_move(context: &RuleContext, group: &Group) -> Remedy {
    if let Some(remedy) = without_target(context, group) {
        return remedy;
    }
    let targets = || group.iter().filter_map(|placed| placed.target.as_ref());
    if targets().all(|target| target.memory_nodes.is_empty()) {
        return Remedy::in_words(
            "bind it to the nearest node that has memory, which is unknown here",
        );
    }
    let not_bound: Vec<&PlacedProcess> = group
        .iter()
        .filter(|placed| placed.cpu.bound() != Some(true))
        .collect();
    let mut commands = taskset_lines(&not_bound);
    commands.extend(migrate_lines(group));
    Remedy {
        text: text_for_memory(context, group),
        commands,
        note: memory_notes(group).join(NOTE_SEPARATOR),
    }
}

/// The fix where the target is impossible or unknown.
fn without_target(context: &RuleContext, group: &Group) -> Option<Remedy> {
    if context.is_blocked_by_cpuset(group.first()) {
        return Some(Remedy::in_words(CPUSET_FIRST));
    }
    group.iter().all(|placed| placed.target.is_none()).then(|| {
        Remedy::in_words(
            "bind it to the CPUs of its GPU's node, which is unknown here: set it with --gpu-node or --topology",
        )
    })
}

/// What to do so that the memory is on the right nodes.
fn text_for_memory(context: &RuleContext, group: &Group) -> String {
    if let Some(Obstacle::FreeMemory { .. }) = obstacle(group, ObstacleKind::FreeMemory) {
        return "free memory on that node first, or start the job with less memory (fewer workers, a smaller cache)"
            .to_owned();
    }
    if let Some(Obstacle::Chosen(policy, _)) = obstacle(group, ObstacleKind::ChosenMemory) {
        return format!(
            "leave it, if the policy {policy} is intended; otherwise start it without this policy"
        );
    }
    start(context, group)
}

/// The first obstacle of this kind that a process of the group has.
fn obstacle<'a>(group: &Group<'a>, kind: ObstacleKind) -> Option<&'a Obstacle> {
    let targets = group.iter().filter_map(|placed| placed.target.as_ref());
    let mut obstacles = targets.flat_map(|target| &target.obstacles);
    obstacles.find(|obstacle| obstacle.kind() == kind)
}

/// What keeps pages of the group from their target, each once.
fn memory_notes(group: &Group) -> Vec<String> {
    let mut notes = Vec::new();
    for placed in group.iter() {
        for obstacle in placed.target.iter().flat_map(|target| &target.obstacles) {
            let is_of_memory = !matches!(
                obstacle.kind(),
                ObstacleKind::Cpuset | ObstacleKind::SeveralNodes
            );
            let note = obstacle.to_string();
            if is_of_memory && !notes.contains(&note) {
                notes.push(note);
            }
        }
    }
    notes
}

/// The process of a group whose start matters most: a trainer, as workers inherit its binding.
fn to_start<'a>(group: &Group<'a>) -> &'a PlacedProcess {
    group
        .iter()
        .find(|placed| placed.membership.role == Some(Role::Trainer))
        .unwrap_or(group.first())
}

/// How to start the processes so that they are bound.
fn start(context: &RuleContext, group: &Group) -> String {
    let placed = to_start(group);
    let how = how_to_start(context, group, placed);
    let variables = binding_variables(group);
    if variables.is_empty() {
        how
    } else {
        format!(
            "unset {} in the environment of the job (it binds threads to CPUs), and {how}",
            variables.join(" and ")
        )
    }
}

/// The variables in the environment of the processes that bind their threads to CPUs. They are not the cause where a process
/// may run on as many CPUs as its target or its cpuset has.
pub(crate) fn binding_variables(group: &Group) -> Vec<&'static str> {
    let is_bound = |placed: &&PlacedProcess| {
        let count = |cpus: &CpuSet| cpus.iter().count();
        let cpuset = placed.process.cpuset.as_ref().map(|cpuset| &cpuset.cpus);
        let target = placed.target.as_ref().map(|target| &target.cpus);
        let is_less_than =
            |few: &CpuSet, many: Option<&CpuSet>| many.is_none_or(|many| count(few) < count(many));
        let affinity = placed.cpu.affinity.as_ref();
        affinity.is_some_and(|few| is_less_than(few, target) && is_less_than(few, cpuset))
    };
    let environments = group
        .iter()
        .filter(is_bound)
        .filter_map(|placed| placed.process.environment.as_ref());
    let variables = environments.flat_map(|environment| environment.openmp_binding());
    let names: BTreeSet<&str> = variables.map(|(name, _)| name).collect();
    // OMP_PLACES alone binds nothing.
    let names = names.into_iter().filter(|name| *name != "OMP_PLACES");
    names.collect()
}

fn how_to_start(context: &RuleContext, group: &Group, placed: &PlacedProcess) -> String {
    let is_worker = placed.membership.role == Some(Role::Worker);
    let trainer = context.trainer_of(placed);
    if is_worker && trainer.is_some_and(|trainer| trainer.cpu.bound() == Some(true)) {
        return "find what rebinds workers (worker_init_fn, OMP_PROC_BIND, KMP_AFFINITY): their trainer is bound correctly"
            .to_owned();
    }
    if !has_used_option(context, placed)
        && let Some(words) = words_of(context, placed)
    {
        return with_nodes(words.bind, context, placed);
    }
    let numactl = by_hand(context, group);
    let has_gpu = !placed.membership.gpus.is_empty();
    let has_launcher = context.launchers(placed).next().is_some();
    let is_one_place = group.parts().len() == 1;
    if is_worker {
        format!("start the trainer with {numactl} (workers inherit the binding)")
    } else if has_gpu && (has_launcher || !is_one_place) {
        let rank = if is_one_place {
            "only this rank"
        } else {
            "each rank"
        };
        format!(
            "start {rank} with {numactl} (a launcher would pass the binding on to all its ranks)"
        )
    } else {
        format!("start it with {numactl}")
    }
}

/// The words with the nodes of the job's ranks in place of `NODES`, where these are known.
fn with_nodes(words: &str, context: &RuleContext, placed: &PlacedProcess) -> String {
    match nodes_by_local_rank(context, placed) {
        Some(nodes) if words.contains(":NODES") => {
            let (option, _) = words.split_once(" (NODES:").unwrap_or((words, ""));
            option.replace(":NODES", &format!(":{nodes}"))
        }
        _ => words.to_owned(),
    }
}

/// The node of each local rank of a job in their order: `0,0,1,1`. `None` where a rank is missing or has several nodes.
fn nodes_by_local_rank(context: &RuleContext, placed: &PlacedProcess) -> Option<String> {
    let job = context.job(placed)?;
    let mut nodes = BTreeMap::new();
    for rank in job.iter() {
        let local_rank = rank.membership.ranks.local_rank?;
        let mut of_rank = rank.local_nodes.iter();
        let (Some(node), None) = (of_rank.next(), of_rank.next()) else {
            return None;
        };
        nodes.insert(local_rank.number, node.to_string());
    }
    let is_whole = (0..).zip(nodes.keys()).all(|(at, rank)| at == *rank);
    let nodes: Vec<String> = nodes.into_values().collect();
    (is_whole && nodes.len() == job.len()).then(|| nodes.join(","))
}

/// The command to put before the command line of each process of a group, to bind it to its target.
pub(crate) fn by_hand(context: &RuleContext, group: &Group) -> String {
    let parts = group.parts();
    let topology = context.machine.topology;
    let lines = parts.iter().filter_map(|part| {
        let placed = part.first();
        Some(numactl(placed, placed.target.as_ref()?, topology))
    });
    let lines: BTreeSet<String> = lines.collect();
    let mut lines = lines.into_iter();
    match (lines.next(), lines.next()) {
        (Some(line), None) => line,
        _ => "numactl --cpunodebind=NODE --membind=NODE, where NODE is the node of its GPU"
            .to_owned(),
    }
}

fn numactl(placed: &PlacedProcess, target: &Target, topology: &Topology) -> String {
    let local = topology.cpus_of(&placed.local_nodes);
    let nodes = node_list(&target.memory_nodes);
    let memory = match target.memory_binding {
        _ if target.memory_nodes.is_empty() => return format!("taskset -c {}", target.cpus),
        MemoryBinding::Possible => format!(" --membind={nodes}"),
        MemoryBinding::TooSmall if target.memory_nodes.len() == 1 => {
            format!(" --preferred={nodes}")
        }
        MemoryBinding::TooSmall | MemoryBinding::Chosen => String::new(),
    };
    if local == target.cpus {
        let cpu_nodes = node_list(&placed.local_nodes);
        format!("numactl --cpunodebind={cpu_nodes}{memory}")
    } else {
        format!("numactl --physcpubind={}{memory}", target.cpus)
    }
}

/// Moves every thread of each process to the CPUs of its target. One line for the processes with the same target; none for
/// those whose target has no CPU.
fn taskset_lines(processes: &[&PlacedProcess]) -> Vec<String> {
    let mut by_cpus: BTreeMap<String, Vec<&PlacedProcess>> = BTreeMap::new();
    for placed in processes {
        let cpus = placed.target.as_ref().map(|target| &target.cpus);
        if let Some(cpus) = cpus.filter(|cpus| !cpus.is_empty()) {
            by_cpus.entry(cpus.to_string()).or_default().push(placed);
        }
    }
    let commands = by_cpus.into_iter();
    lines(commands.map(|(cpus, of)| (format!("taskset -a -p -c {cpus} $pid"), of)))
}

/// Moves the pages of each process that can move to its target.
fn migrate_lines(group: &Group) -> Vec<String> {
    let mut by_move: BTreeMap<(String, String), Vec<&PlacedProcess>> = BTreeMap::new();
    for placed in group.iter() {
        let target = placed.target.as_ref();
        if let Some(target) = target.filter(|target| !target.pages_from.is_empty()) {
            let from = node_list(&target.pages_from);
            let to = node_list(&target.memory_nodes);
            by_move.entry((from, to)).or_default().push(placed);
        }
    }
    let commands = by_move.into_iter();
    lines(commands.map(|((from, to), of)| (format!("migratepages $pid {from} {to}"), of)))
}

/// The lines for these commands and processes, by the first process of each.
fn lines<'a>(commands: impl Iterator<Item = (String, Vec<&'a PlacedProcess>)>) -> Vec<String> {
    let mut commands: Vec<(String, Vec<&PlacedProcess>)> = commands.collect();
    commands.sort_by_key(|(_, of)| of.first().map(|placed| placed.process.pid));
    let lines = commands.iter();
    lines
        .map(|(command, processes)| for_each(processes, command))
        .collect()
}

/// One shell line that runs a command for each process. The command has `$pid`.
fn for_each(processes: &[&PlacedProcess], command: &str) -> String {
    let pids: Vec<Pid> = processes.iter().map(|placed| placed.process.pid).collect();
    if let [pid] = pids.as_slice() {
        return command.replace("$pid", &pid.to_string());
    }
    let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
    format!("for pid in {}; do {command}; done", pids.join(" "))
}
