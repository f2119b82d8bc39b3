//! What would mend a misplacement, made for the way in which the job was started.

use super::Audited;
use super::finding::Remedy;
use super::scene::{Scene, pids_of};
use crate::model::cpus::CpuSet;
use crate::model::topology::{NodeSet, Topology, node_list};

/// How to bring a group to its local nodes: at its next start, and now.
pub(super) fn bind(scene: &Scene, group: &[&Audited]) -> Remedy {
    if scene.is_walled(group[0]) {
        return Remedy::in_words("no binding of its own can: see cpuset-excludes-gpu");
    }
    Remedy {
        words: start(scene, group[0]),
        commands: vec![taskset(scene, group)],
        but: "what is in memory already stays where it is".to_owned(),
    }
}

/// The same, and its pages with it.
pub(super) fn bind_and_move(scene: &Scene, group: &[&Audited], from: &NodeSet) -> Remedy {
    let local = &group[0].local_nodes;
    if scene.is_walled(group[0]) {
        return bind(scene, group);
    }
    if !scene.has_memory(local) {
        let nodes = node_list(local);
        return Remedy::in_words(format!(
            "node {nodes} has no memory of its own: nothing can be nearer than its nearest"
        ));
    }
    let pages = of_each(
        group,
        &format!("migratepages $pid {} {}", node_list(from), node_list(local)),
    );
    Remedy {
        words: start(scene, group[0]),
        commands: vec![taskset(scene, group), pages],
        but: "pinned pages do not move".to_owned(),
    }
}

/// How to start it, in the words of what started it.
fn start(scene: &Scene, audited: &Audited) -> String {
    let local = &audited.local_nodes;
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
    if is("vLLM") {
        return "start vLLM with --numa-bind (CPUs and memory)".to_owned();
    }
    if is("SGLang") {
        return "start SGLang with --numa-node and each GPU's node (CPUs and memory)".to_owned();
    }
    if has_agent {
        return "start it with torchrun --numa-binding=node (PyTorch 2.9 and later; binds CPUs alone, before memory is touched)".to_owned();
    }
    if is("Accelerate") {
        return "start it with accelerate launch --enable_cpu_affinity (binds CPUs alone)"
            .to_owned();
    }
    let with = match scene.has_memory(local) {
        true => format!("numactl --cpunodebind={0} --membind={0}", node_list(local)),
        // numactl refuses a node without memory.
        false => format!("taskset -c {}", cpus_of(local, scene.topology)),
    };
    match (audited.part.gpus.as_slice(), above.is_empty()) {
        ([_, ..], false) => {
            format!("start this rank alone with {with} (a launcher would pass it on to all ranks)")
        }
        _ => format!("start it with {with}"),
    }
}

/// Every thread of each process onto the local CPUs that its cpuset has.
fn taskset(scene: &Scene, group: &[&Audited]) -> String {
    let mut cpus = cpus_of(&group[0].local_nodes, scene.topology);
    if let Some(cpuset) = &group[0].process.cpuset {
        cpus = cpus
            .iter()
            .filter(|cpu| cpuset.cpus.contains(*cpu))
            .collect();
    }
    of_each(group, &format!("taskset -a -p -c {cpus} $pid"))
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
pub(super) fn cpus_of(nodes: &NodeSet, topology: &Topology) -> CpuSet {
    let nodes = nodes.iter().filter_map(|id| topology.nodes().get(id));
    nodes
        .flat_map(|node| node.cpus.iter().flat_map(CpuSet::iter))
        .collect()
}
