//! What would mend a misplacement, made for the way in which the job was started.

use std::collections::BTreeMap;

use crate::audit::PlacedProcess;
use crate::audit::finding::Remedy;
use crate::audit::rules::context::{RuleContext, pids_of};
use crate::audit::rules::words::on_nodes;
use crate::jobs::attribution::Role;
use crate::machine::binding_request::BindTo;
use crate::machine::topology::Topology;
use crate::units::{Cpu, CpuSet, NodeSet, node_list};

/// How to bring a group to its local nodes: at its next start, and now.
pub(crate) fn bind(context: &RuleContext, group: &[&PlacedProcess]) -> Remedy {
    if context.is_walled(group[0]) {
        return Remedy::in_words("no binding of its own can: see cpuset-excludes-gpu");
    }
    if group[0].local_nodes.is_empty() {
        return Remedy::in_words("bind it to all CPUs of its GPU's node, which is not known");
    }
    Remedy {
        text: start(context, first(group)),
        commands: taskset(context, group),
        note: "what is in memory already stays where it is".to_owned(),
    }
}

/// The same, and its pages with it.
pub(crate) fn bind_and_move(
    context: &RuleContext,
    group: &[&PlacedProcess],
    from: &NodeSet,
) -> Remedy {
    let local = &group[0].local_nodes;
    if context.is_walled(group[0]) {
        return bind(context, group);
    }
    if !context.has_memory(local) {
        let verb = if local.len() == 1 { "has" } else { "have" };
        return Remedy::in_words(format!(
            "{} {verb} no memory: nothing can be nearer than the nearest node that has some",
            on_nodes(local)
        ));
    }
    let pages = of_each(
        group,
        &format!("migratepages $pid {} {}", node_list(from), node_list(local)),
    );
    let is_loose = |of: &&PlacedProcess| of.cpu.bound != Some(true);
    let loose: Vec<&PlacedProcess> = group.iter().copied().filter(is_loose).collect();
    let mut commands = taskset(context, &loose);
    commands.push(pages);
    Remedy {
        text: start(context, first(group)),
        commands,
        note: "pinned pages do not move".to_owned(),
    }
}

/// Who is to be started so: workers come after their trainers.
fn first<'a>(group: &[&'a PlacedProcess]) -> &'a PlacedProcess {
    let trainer = |of: &&&PlacedProcess| of.membership.role == Some(Role::Trainer);
    group.iter().find(trainer).unwrap_or(&group[0])
}

/// How to start it, in the words of what started it.
fn start(context: &RuleContext, audited: &PlacedProcess) -> String {
    let local = &audited.local_nodes;
    let trainer = audited
        .membership
        .trainer
        .and_then(|pid| context.process(pid));
    let is_worker = audited.membership.role == Some(Role::Worker);
    if is_worker && trainer.is_some_and(|trainer| trainer.cpu.bound == Some(true)) {
        return "its trainer is bound right, and workers inherit that: find what binds or frees them (a worker_init_fn, \
                OMP_PROC_BIND, KMP_AFFINITY)"
            .to_owned();
    }
    let above = context.launchers(audited);
    let own = std::iter::once(audited).chain(above.iter().copied());
    let frameworks: Vec<&str> = own
        .filter_map(|of| of.membership.task)
        .map(|task| task.framework)
        .collect();
    let is = |name: &str| frameworks.contains(&name);
    let has_agent = above.iter().any(|of| {
        of.membership
            .task
            .is_some_and(|task| task.name == "torchrun agent")
    });
    // Who asked for it already, and did not get it, is not helped by asking again.
    let asks = context.asks(audited);
    let by_framework = !asks.iter().any(|ask| ask.to == BindTo::GpuNode);
    if is("vLLM") && by_framework {
        return "start vLLM with --numa-bind (CPUs and memory)".to_owned();
    }
    if is("SGLang") && by_framework {
        return "start SGLang with --numa-node and each GPU's node (CPUs and memory)".to_owned();
    }
    if has_agent && by_framework {
        return "start it with torchrun --numa-binding=node (PyTorch 2.9 and later; binds CPUs alone, before memory is touched)".to_owned();
    }
    if is("Accelerate") && by_framework {
        return "start it with accelerate launch --enable_cpu_affinity (binds CPUs alone)"
            .to_owned();
    }
    let with = by_hand(context, local);
    if is_worker {
        return format!("start its trainer with {with}: workers inherit that");
    }
    match (audited.membership.gpus.as_slice(), above.is_empty()) {
        ([_, ..], false) => {
            format!("start this rank alone with {with} (a launcher would pass it on to all ranks)")
        }
        _ => format!("start it with {with}"),
    }
}

/// The words to put before a command.
pub(crate) fn by_hand(context: &RuleContext, local: &NodeSet) -> String {
    match context.has_memory(local) {
        true => format!("numactl --cpunodebind={0} --membind={0}", node_list(local)),
        // numactl refuses a node without memory.
        false => format!("taskset -c {}", cpus_of(local, context.topology)),
    }
}

/// Every thread of each process onto the local CPUs that its cpuset has: a line for those of each cpuset.
fn taskset(context: &RuleContext, group: &[&PlacedProcess]) -> Vec<String> {
    let Some(first) = group.first() else {
        return Vec::new();
    };
    let local = cpus_of(&first.local_nodes, context.topology);
    let mut by_cpus: BTreeMap<String, Vec<&PlacedProcess>> = BTreeMap::new();
    for audited in group {
        let given = audited.process.cpuset.as_ref().map(|cpuset| &cpuset.cpus);
        let is_given = |cpu: &Cpu| given.is_none_or(|given| given.contains(*cpu));
        let cpus: CpuSet = local.iter().filter(is_given).collect();
        by_cpus.entry(cpus.to_string()).or_default().push(audited);
    }
    // One that is given none of them stays where it is.
    let lines = by_cpus.iter().filter(|(cpus, _)| !cpus.is_empty());
    let lines = lines.map(|(cpus, of)| of_each(of, &format!("taskset -a -p -c {cpus} $pid")));
    lines.collect()
}

/// One line that runs a command for each process.
fn of_each(group: &[&PlacedProcess], command: &str) -> String {
    let pids: Vec<String> = pids_of(group).iter().map(ToString::to_string).collect();
    match pids.as_slice() {
        [pid] => command.replace("$pid", pid),
        pids => format!("for pid in {}; do {command}; done", pids.join(" ")),
    }
}

/// The CPUs of these nodes, as `taskset -c` takes them.
pub(crate) fn cpus_of(nodes: &NodeSet, topology: &Topology) -> CpuSet {
    let nodes = nodes.iter().filter_map(|id| topology.nodes().get(id));
    nodes
        .flat_map(|node| node.cpus.iter().flat_map(CpuSet::iter))
        .collect()
}
