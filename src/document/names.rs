//! The names of nodes, GPUs and processes in sentences.

use crate::units::{NodeSet, Pid, node_list, ranges};
use crate::words::Role;

/// `node 1`, `nodes 0-1`
pub(crate) fn node_names(nodes: &NodeSet) -> String {
    let noun = if nodes.len() == 1 { "node" } else { "nodes" };
    format!("{noun} {}", node_list(nodes))
}

/// `GPU 0`, `GPUs 0-3`
pub(crate) fn gpu_names(gpus: &[u32]) -> String {
    let noun = if gpus.len() == 1 { "GPU" } else { "GPUs" };
    format!("{noun} {}", ranges(gpus.iter().copied()))
}

/// `trainer 254 and 4 workers`, `process 250`
pub(crate) fn process_names(
    processes: impl Iterator<Item = (Option<Role>, Pid)> + Clone,
) -> String {
    let mut names = Vec::new();
    for (role, one, several) in [
        (Some(Role::Trainer), "trainer", "trainers"),
        (Some(Role::Worker), "worker", "workers"),
        (None, "process", "processes"),
    ] {
        let of_role = processes.clone().filter(|(of, _)| *of == role);
        let pids: Vec<Pid> = of_role.map(|(_, pid)| pid).collect();
        match pids.as_slice() {
            [] => {}
            [pid] => names.push(format!("{one} {pid}")),
            pids => names.push(format!("{} {several}", pids.len())),
        }
    }
    names.join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::NodeId;

    fn nodes(ids: &[u32]) -> NodeSet {
        ids.iter().copied().map(NodeId).collect()
    }

    #[test]
    fn nouns_agree_with_the_number() {
        assert_eq!(node_names(&nodes(&[1])), "node 1");
        assert_eq!(node_names(&nodes(&[0, 1, 3])), "nodes 0-1,3");
        assert_eq!(gpu_names(&[2]), "GPU 2");
        assert_eq!(gpu_names(&[0, 1, 2, 5]), "GPUs 0-2,5");
    }

    #[test]
    fn one_process_is_named_and_several_are_counted() {
        let names = |processes: &[(Option<Role>, u32)]| {
            let processes = processes.iter().map(|(role, pid)| (*role, Pid(*pid)));
            process_names(processes)
        };
        let (trainer, worker) = (Some(Role::Trainer), Some(Role::Worker));
        assert_eq!(names(&[(trainer, 254)]), "trainer 254");
        assert_eq!(names(&[(worker, 9), (worker, 10)]), "2 workers");
        assert_eq!(
            names(&[(worker, 9), (trainer, 254), (worker, 10)]),
            "trainer 254 and 2 workers"
        );
        assert_eq!(names(&[(None, 250)]), "process 250");
    }
}
