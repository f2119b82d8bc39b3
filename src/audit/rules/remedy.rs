//! The fix for a misplacement, in the words of what started the job.

use std::collections::BTreeMap;

use crate::audit::PlacedProcess;
use crate::audit::finding::Remedy;
use crate::audit::rules::{Group, RuleContext};
use crate::machine::{BindTo, Topology};
use crate::units::{Cpu, CpuSet, NodeSet, Pid, node_list};
use crate::words::Role;

/// The fix where only a scheduler or an administrator can act.
pub(crate) const CPUSET_FIRST: &str =
    "change the cpuset first (see cpuset-excludes-gpu): it does not allow the right nodes";

/// The note of a fix that changes a memory policy.
pub(crate) const POLICY_STAYS: &str =
    "the memory policy of a running process cannot be changed from outside";

/// Binds a group to its local nodes: at the next start, and now.
pub(crate) fn bind(context: &RuleContext, group: &Group) -> Remedy {
    if context.is_blocked_by_cpuset(group.first()) {
        return Remedy::in_words(CPUSET_FIRST);
    }
    if group.local_nodes().is_empty() {
        return Remedy::in_words(
            "bind it to the CPUs of its GPU's node, which is unknown here: set it with --gpu-node or --topology",
        );
    }
    Remedy {
        text: start(context, to_start(group)),
        commands: taskset_lines(context, group.processes()),
        note: "memory that is already allocated stays where it is".to_owned(),
    }
}

/// Binds a group to its local nodes and moves its pages there from the nodes `from`.
pub(crate) fn bind_and_move(context: &RuleContext, group: &Group, from: &NodeSet) -> Remedy {
    let local = group.local_memory_nodes();
    if context.is_blocked_by_cpuset(group.first()) {
        return Remedy::in_words(CPUSET_FIRST);
    }
    let not_bound: Vec<&PlacedProcess> = group
        .iter()
        .filter(|placed| placed.cpu.bound() != Some(true))
        .collect();
    let mut commands = taskset_lines(context, &not_bound);
    commands.push(for_each(
        group.processes(),
        &format!("migratepages $pid {} {}", node_list(from), node_list(local)),
    ));
    Remedy {
        text: start(context, to_start(group)),
        commands,
        note: "pinned pages do not move".to_owned(),
    }
}

/// The process of a group whose start matters most: a trainer, as workers inherit its binding.
fn to_start<'a>(group: &Group<'a>) -> &'a PlacedProcess {
    group
        .iter()
        .find(|placed| placed.membership.role == Some(Role::Trainer))
        .unwrap_or(group.first())
}

/// How to start a process so that it is bound.
fn start(context: &RuleContext, placed: &PlacedProcess) -> String {
    let is_worker = placed.membership.role == Some(Role::Worker);
    let trainer = context.trainer_of(placed);
    if is_worker && trainer.is_some_and(|trainer| trainer.cpu.bound() == Some(true)) {
        return "find what rebinds workers (worker_init_fn, OMP_PROC_BIND, KMP_AFFINITY): their trainer is bound correctly"
            .to_owned();
    }
    if let Some(words) = start_by_framework(context, placed) {
        return words.to_owned();
    }
    let numactl = by_hand(context, placed);
    let has_gpu = !placed.membership.gpus.is_empty();
    let has_launcher = !context.launchers(placed).is_empty();
    if is_worker {
        format!("start the trainer with {numactl} (workers inherit the binding)")
    } else if has_gpu && has_launcher {
        format!(
            "start only this rank with {numactl} (a launcher would pass the binding on to all its ranks)"
        )
    } else {
        format!("start it with {numactl}")
    }
}

/// The option of the framework that binds each rank. `None` if there is none, or if it was used already without effect.
fn start_by_framework(context: &RuleContext, placed: &PlacedProcess) -> Option<&'static str> {
    let requests = context.binding_requests(placed);
    if requests.iter().any(|request| request.to == BindTo::GpuNode) {
        return None;
    }
    let launchers = context.launchers(placed);
    let is_started_by = |name: &str| {
        let task = |of: &PlacedProcess| of.membership.task.is_some_and(|of| of.framework == name);
        task(placed) || launchers.iter().any(|launcher| task(launcher))
    };
    let has_torchrun = launchers.iter().any(|launcher| {
        let task = launcher.membership.task;
        task.is_some_and(|task| task.name == "torchrun agent")
    });
    if is_started_by("vLLM") {
        Some("start vLLM with --numa-bind (binds CPUs and memory)")
    } else if is_started_by("SGLang") {
        Some("start SGLang with --numa-node and the node of each GPU (binds CPUs and memory)")
    } else if has_torchrun {
        Some(
            "start it with torchrun --numa-binding=node (PyTorch 2.9+; binds CPUs only, before memory is touched)",
        )
    } else if is_started_by("Accelerate") {
        Some("start it with accelerate launch --enable_cpu_affinity (binds CPUs only)")
    } else {
        None
    }
}

/// The command to put before the command line of a process, to bind it to its local nodes.
pub(crate) fn by_hand(context: &RuleContext, placed: &PlacedProcess) -> String {
    let (nodes, memory) = (&placed.local_nodes, &placed.local_memory_nodes);
    if memory.is_empty() {
        // numactl refuses to bind memory to a node without memory.
        let cpus = cpus_of(nodes, context.machine.topology);
        format!("taskset -c {cpus}")
    } else {
        let (nodes, memory) = (node_list(nodes), node_list(memory));
        format!("numactl --cpunodebind={nodes} --membind={memory}")
    }
}

/// Moves every thread of each process to the local CPUs that its cpuset allows. One line for the processes that may
/// have the same CPUs; none for those whose cpuset allows no local CPU.
fn taskset_lines(context: &RuleContext, processes: &[&PlacedProcess]) -> Vec<String> {
    let mut by_cpus: BTreeMap<String, Vec<&PlacedProcess>> = BTreeMap::new();
    for placed in processes {
        let cpuset = placed.process.cpuset.as_ref().map(|cpuset| &cpuset.cpus);
        let is_allowed = |cpu: &Cpu| cpuset.is_none_or(|allowed| allowed.contains(*cpu));
        let local = cpus_of(&placed.local_nodes, context.machine.topology);
        let cpus: CpuSet = local.iter().filter(is_allowed).collect();
        if !cpus.is_empty() {
            by_cpus.entry(cpus.to_string()).or_default().push(placed);
        }
    }
    by_cpus
        .iter()
        .map(|(cpus, of)| for_each(of, &format!("taskset -a -p -c {cpus} $pid")))
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

/// All CPUs of these nodes.
pub(crate) fn cpus_of(nodes: &NodeSet, topology: &Topology) -> CpuSet {
    nodes
        .iter()
        .filter_map(|id| topology.nodes().get(id)?.cpus.as_ref())
        .flat_map(CpuSet::iter)
        .collect()
}
