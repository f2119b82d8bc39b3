//! `cpuset-excludes-gpu`: a process's control group leaves it no CPU, or no memory, on its GPU's nodes. It did not choose
//! that, and no binding of its own can mend it: whoever made the group can, the scheduler or the administrator.

use super::super::finding::Severity;
use super::{Broken, Rule, Scene, gpu_of, lacks_cpus, on_nodes, subject};
use crate::audit::Audited;
use crate::model::topology::NodeSet;

pub(super) const RULE: Rule = Rule {
    name: "cpuset-excludes-gpu",
    severity: Severity::Error,
    check,
};

fn check<'a>(scene: &Scene<'a>) -> Vec<Broken<'a>> {
    let is_broken = |audited: &Audited| !audited.part.gpus.is_empty() && scene.is_walled(audited);
    let groups = scene.groups(is_broken).into_iter();
    let broken = groups.map(|group| {
        let local = &group[0].local_nodes;
        let given = |of: fn(&Audited) -> Option<&NodeSet>| {
            let nodes = group.iter().filter_map(|audited| of(audited));
            on_nodes(&nodes.flatten().copied().collect())
        };
        let mut lacking = Vec::new();
        if group.iter().any(|audited| lacks_cpus(audited)) {
            let cpus = given(|audited| audited.cpu.cpuset_nodes.as_ref());
            lacking.push(format!("CPUs of {cpus} alone"));
        }
        if group.iter().any(|audited| scene.lacks_memory(audited)) {
            let mems = given(|audited| audited.memory.mems_allowed.as_ref());
            lacking.push(format!("memory of {mems} alone"));
        }
        Broken {
            gpu: gpu_of(&group),
            message: format!(
                "{} in a control group whose cpuset leaves {}",
                subject(&group),
                lacking.join(" and "),
            ),
            remedy: format!(
                "only who made the group can: {} must be in its cpuset. Slurm: --gres-flags=enforce-binding; \
                 Kubernetes: the topology manager's policy single-numa-node with static CPU and memory managers; else \
                 cpuset.cpus and cpuset.mems of the group",
                on_nodes(local),
            ),
            group,
        }
    });
    broken.collect()
}
