//! The cpuset of a process allows no CPUs, or no memory, of the NUMA node of its GPU.
//!
//! Why it costs: as for cpu-remote and memory-remote. No binding by the process itself can fix it.
//!
//! What it cannot know: who created the control group, and why. If /sys/fs/cgroup is not visible, only the memory nodes
//! are known.
//!
//! What to do: ask the scheduler or the administrator. Only they can give the job CPUs and memory of the nodes that its
//! GPUs are attached to.

use crate::audit::PlacedProcess;
use crate::audit::finding::{Evidence, Remedy, Severity, Value};
use crate::audit::rules::{Group, Rule, RuleContext, Violation, node_names};
use crate::units::NodeSet;

pub(crate) const RULE: Rule = Rule {
    name: "cpuset-excludes-gpu",
    severity: Severity::Error,
    text: include_str!("cpuset_excludes_gpu.rs"),
    check,
};

fn check(context: &RuleContext) -> Vec<Violation> {
    let is_broken = |placed: &PlacedProcess| {
        !placed.membership.gpus.is_empty() && context.is_blocked_by_cpuset(placed)
    };
    // Each job has a cpuset of its own, and a fix of its own.
    let owner = |placed: &PlacedProcess| {
        let names = &placed.names;
        let (job, pod) = (names.slurm_job.clone(), names.pod.clone());
        (job, pod, names.container.clone())
    };
    let groups = context.groups_by(is_broken, owner);
    let violations = groups.iter().map(|group| {
        let nodes = |of: fn(&PlacedProcess) -> Option<&NodeSet>| -> NodeSet {
            group.iter().filter_map(of).flatten().copied().collect()
        };
        let cpus = nodes(|placed| placed.cpu.cpuset_nodes.as_ref());
        let memory = nodes(|placed| placed.memory.mems_allowed.as_ref());
        let mut allowed = Vec::new();
        if group.iter().any(PlacedProcess::cpuset_excludes_cpus) {
            allowed.push(format!("only CPUs of {}", node_names(&cpus)));
        }
        if group.iter().any(|of| context.cpuset_excludes_memory(of)) {
            allowed.push(format!("only memory of {}", node_names(&memory)));
        }
        let message = format!(
            "{}, but the cpuset of {} allows {}",
            group.gpus_attached(),
            group.names(),
            allowed.join(" and ")
        );
        let evidence = Evidence::from([
            ("home_nodes", Value::Nodes(group.home_nodes())),
            ("cpuset_nodes", Value::Nodes(cpus)),
            ("mems_allowed", Value::Nodes(memory)),
        ]);
        Violation::by(group, message, evidence, remedy(group))
    });
    violations.collect()
}

/// In the words of what created the control group.
fn remedy(group: &Group) -> Remedy {
    let placed = group.first();
    let local: NodeSet = group
        .parts()
        .iter()
        .flat_map(|part| part.local_nodes().clone())
        .collect();
    let how = match (&placed.names.slurm_job, &placed.names.pod) {
        (Some(job), _) => {
            format!("request CPUs there for Slurm job {job} (sbatch --gres-flags=enforce-binding)")
        }
        (None, Some(_)) => "Kubernetes does this with the kubelet's topology manager policy single-numa-node and its \
                            static CPU and memory managers"
            .to_owned(),
        (None, None) if placed.names.container.is_some() => {
            "start the container with --cpuset-cpus and --cpuset-mems of that node".to_owned()
        }
        (None, None) => "set cpuset.cpus and cpuset.mems of the control group".to_owned(),
    };
    Remedy::in_words(format!(
        "the cpuset must allow {}: {how}",
        node_names(&local)
    ))
}
