//! The words that findings are made of.

use crate::audit::PlacedProcess;
use crate::audit::rules::context::{gpus_of, is_bound_off, lacks_cpus};
use crate::jobs::attribution::Role;
use crate::units::{NodeSet, node_list, ranges};

/// `node 1`, `nodes 0-1`
pub(crate) fn on_nodes(nodes: &NodeSet) -> String {
    let word = if nodes.len() == 1 { "node" } else { "nodes" };
    format!("{word} {}", node_list(nodes))
}

/// `GPU 0 hangs on node 0`, `GPUs 0-3 hang on node 0`
pub(crate) fn gpus_hang_on(gpus: &[u32], home: &NodeSet) -> String {
    let list = ranges(gpus.iter().copied());
    match gpus.len() {
        1 if home.is_empty() => format!("the node of GPU {list} is not known"),
        _ if home.is_empty() => format!("the nodes of GPUs {list} are not known"),
        1 => format!("GPU {list} hangs on {}", on_nodes(home)),
        _ => format!("GPUs {list} hang on {}", on_nodes(home)),
    }
}

/// `GPU 0 hangs on node 0, trainer 254 and 4 workers` or, without a GPU, `process 250 runs on node 1 and`.
pub(crate) fn subject(group: &[&PlacedProcess]) -> String {
    let first = group[0];
    match gpus_of(group).as_slice() {
        [] => format!(
            "{} runs on {} and",
            who(group),
            on_nodes(&first.local_nodes)
        ),
        gpus => format!("{}, {}", gpus_hang_on(gpus, &first.home_nodes), who(group)),
    }
}

/// `trainer 254 and 4 workers`
pub(crate) fn who(group: &[&PlacedProcess]) -> String {
    let of_role = |role| {
        group
            .iter()
            .filter(move |audited| audited.membership.role == role)
    };
    let mut words = Vec::new();
    for (role, one, several) in [
        (Some(Role::Trainer), "trainer", "trainers"),
        (Some(Role::Worker), "worker", "workers"),
        (None, "process", "processes"),
    ] {
        let pids: Vec<_> = of_role(role).map(|audited| audited.process.pid).collect();
        match pids.as_slice() {
            [] => {}
            [pid] => words.push(format!("{one} {pid}")),
            pids => words.push(format!("{} {several}", pids.len())),
        }
    }
    words.join(" and ")
}

/// `one` of one, else `several`.
pub(crate) fn each(
    group: &[&PlacedProcess],
    one: &'static str,
    several: &'static str,
) -> &'static str {
    match group {
        [_] => one,
        _ => several,
    }
}

/// Whether they were put where they are, off their local nodes: `bound there`, or merely there now. `told` is where they
/// spent their CPU time, where somebody looked for a while.
pub(crate) fn held(group: &[&PlacedProcess], told: Option<String>) -> String {
    let bound = group.iter().copied().filter(|of| is_bound_off(of));
    let bound: Vec<&PlacedProcess> = bound.collect();
    held_or_seen(group.len(), bound.len(), bound_by(&bound), told)
}

/// The same of `all`, of which some are bound, in these words.
pub(crate) fn held_or_seen(all: usize, bound: usize, by: &str, told: Option<String>) -> String {
    if bound == 0 {
        let ran = told.as_deref().unwrap_or("last ran there");
        let them = if all == 1 { "it" } else { "them" };
        return format!("{ran}, and nothing holds {them} there");
    }
    if bound == all {
        return by.to_owned();
    }
    let told = told.map_or(String::new(), |told| format!("; {told}"));
    format!("{bound} of {all} {by}{told}")
}

/// Whether they chose it, or were given nothing else, as far as that is known.
fn bound_by(group: &[&PlacedProcess]) -> &'static str {
    let is_known = |audited: &&PlacedProcess| audited.cpu.cpuset_nodes.is_some();
    match group.iter().any(|audited| lacks_cpus(audited)) {
        true => "bound there: the control group leaves nothing else",
        false if group.iter().all(is_known) => {
            "bound there by choice: the control group leaves more"
        }
        false => "bound there",
    }
}
