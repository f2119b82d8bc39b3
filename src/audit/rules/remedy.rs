//! What would mend a misplacement, made for the way in which the job was started.

use std::collections::BTreeMap;

use crate::audit::Audited;
use crate::audit::finding::Remedy;
use crate::audit::rules::scene::{Scene, pids_of};
use crate::audit::rules::words::on_nodes;
use crate::jobs::attribution::Role;
use crate::machine::binding_request::Bound;
use crate::machine::topology::Topology;
use crate::units::{Cpu, CpuSet, NodeSet, node_list};

/// How to bring a group to its local nodes: at its next start, and now.
pub(crate) fn bind(scene: &Scene, group: &[&Audited]) -> Remedy {
    if scene.is_walled(group[0]) {
        return Remedy::in_words("no binding of its own can: see cpuset-excludes-gpu");
    }
    if group[0].local_nodes.is_empty() {
        return Remedy::in_words("bind it to all CPUs of its GPU's node, which is not known");
    }
    Remedy {
        words: start(scene, first(group)),
        commands: taskset(scene, group),
        but: "what is in memory already stays where it is".to_owned(),
    }
}

/// The same, and its pages with it.
pub(crate) fn bind_and_move(scene: &Scene, group: &[&Audited], from: &NodeSet) -> Remedy {
    let local = &group[0].local_nodes;
    if scene.is_walled(group[0]) {
        return bind(scene, group);
    }
    if !scene.has_memory(local) {
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
    let is_loose = |of: &&Audited| of.cpu.bound != Some(true);
    let loose: Vec<&Audited> = group.iter().copied().filter(is_loose).collect();
    let mut commands = taskset(scene, &loose);
    commands.push(pages);
    Remedy {
        words: start(scene, first(group)),
        commands,
        but: "pinned pages do not move".to_owned(),
    }
}

/// Who is to be started so: workers come after their trainers.
fn first<'a>(group: &[&'a Audited]) -> &'a Audited {
    let trainer = |of: &&&Audited| of.part.role == Some(Role::Trainer);
    group.iter().find(trainer).unwrap_or(&group[0])
}

/// How to start it, in the words of what started it.
fn start(scene: &Scene, audited: &Audited) -> String {
    let local = &audited.local_nodes;
    let trainer = audited.part.trainer.and_then(|pid| scene.process(pid));
    let is_worker = audited.part.role == Some(Role::Worker);
    if is_worker && trainer.is_some_and(|trainer| trainer.cpu.bound == Some(true)) {
        return "its trainer is bound right, and workers inherit that: find what binds or frees them (a worker_init_fn, \
                OMP_PROC_BIND, KMP_AFFINITY)"
            .to_owned();
    }
    let above = scene.launchers(audited);
    let own = std::iter::once(audited).chain(above.iter().copied());
    let frameworks: Vec<&str> = own
        .filter_map(|of| of.part.task)
        .map(|task| task.framework)
        .collect();
    let is = |name: &str| frameworks.contains(&name);
    let has_agent = above.iter().any(|of| {
        of.part
            .task
            .is_some_and(|task| task.name == "torchrun agent")
    });
    // Who asked for it already, and did not get it, is not helped by asking again.
    let asks = scene.asks(audited);
    let by_framework = !asks.iter().any(|ask| ask.to == Bound::GpuNode);
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
    let with = by_hand(scene, local);
    if is_worker {
        return format!("start its trainer with {with}: workers inherit that");
    }
    match (audited.part.gpus.as_slice(), above.is_empty()) {
        ([_, ..], false) => {
            format!("start this rank alone with {with} (a launcher would pass it on to all ranks)")
        }
        _ => format!("start it with {with}"),
    }
}

/// The words to put before a command.
pub(crate) fn by_hand(scene: &Scene, local: &NodeSet) -> String {
    match scene.has_memory(local) {
        true => format!("numactl --cpunodebind={0} --membind={0}", node_list(local)),
        // numactl refuses a node without memory.
        false => format!("taskset -c {}", cpus_of(local, scene.topology)),
    }
}

/// Every thread of each process onto the local CPUs that its cpuset has: a line for those of each cpuset.
fn taskset(scene: &Scene, group: &[&Audited]) -> Vec<String> {
    let Some(first) = group.first() else {
        return Vec::new();
    };
    let local = cpus_of(&first.local_nodes, scene.topology);
    let mut by_cpus: BTreeMap<String, Vec<&Audited>> = BTreeMap::new();
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
fn of_each(group: &[&Audited], command: &str) -> String {
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
