//! A process's control group leaves it no CPU, or no memory, on its GPU's nodes.
//!
//! Why it costs: as cpu-remote and memory-remote do, and no binding of the process's own can mend it.
//!
//! What it cannot know: who made the group, and why. Where /sys/fs/cgroup is not to be seen, only memory is told.
//!
//! What to do: only the scheduler or the administrator can mend it: the job must be given CPUs and memory of the nodes on
//! which its GPUs hang.

use crate::audit::PlacedProcess;
use crate::audit::finding::{Evidence, Remedy, Severity, Value};
use crate::audit::rules::context::lacks_cpus;
use crate::audit::rules::words::{each, on_nodes, subject};
use crate::audit::rules::{Rule, RuleContext, Violation};
use crate::units::NodeSet;

pub(crate) const RULE: Rule = Rule {
    name: "cpuset-excludes-gpu",
    severity: Severity::Error,
    text: include_str!("cpuset_excludes_gpu.rs"),
    check,
};

fn check(context: &RuleContext) -> Vec<Violation> {
    let is_broken =
        |audited: &PlacedProcess| !audited.membership.gpus.is_empty() && context.is_walled(audited);
    // Who can mend it for one job cannot for another.
    let made_for = |audited: &PlacedProcess| {
        let PlacedProcess {
            job,
            pod,
            container,
            ..
        } = audited;
        (job.clone(), pod.clone(), container.clone())
    };
    let groups = context.groups_by(is_broken, made_for);
    let broken = groups.into_iter().map(|group| {
        let given = |of: fn(&PlacedProcess) -> Option<&NodeSet>| -> NodeSet {
            let nodes = group.iter().filter_map(|audited| of(audited));
            nodes.flatten().copied().collect()
        };
        let cpus = given(|audited| audited.cpu.cpuset_nodes.as_ref());
        let mems = given(|audited| audited.memory.mems_allowed.as_ref());
        let mut lacking = Vec::new();
        if group.iter().any(|audited| lacks_cpus(audited)) {
            lacking.push(format!("only CPUs of {}", on_nodes(&cpus)));
        }
        if group.iter().any(|audited| context.lacks_memory(audited)) {
            lacking.push(format!("only memory of {}", on_nodes(&mems)));
        }
        Violation::by(
            &group,
            format!(
                "{} {} in a control group whose cpuset leaves {}",
                subject(&group),
                each(&group, "is", "are"),
                lacking.join(" and ")
            ),
            Evidence::from([
                ("home_nodes", Value::Nodes(group[0].home_nodes.clone())),
                ("cpuset_nodes", Value::Nodes(cpus)),
                ("mems_allowed", Value::Nodes(mems)),
            ]),
            remedy(group[0]),
        )
    });
    broken.collect()
}

/// In the words of whoever gave it the group.
fn remedy(audited: &PlacedProcess) -> Remedy {
    let nodes = on_nodes(&audited.local_nodes);
    let by = match (&audited.job, &audited.pod) {
        (Some(job), _) => format!("Slurm's job {job} needs CPUs there: sbatch --gres-flags=enforce-binding"),
        (None, Some(_)) => "Kubernetes gives them with kubelet's topology manager policy single-numa-node, and its static CPU and memory managers".to_owned(),
        (None, None) if audited.container.is_some() => "start the container with --cpuset-cpus and --cpuset-mems of that node".to_owned(),
        (None, None) => "cpuset.cpus and cpuset.mems of the group".to_owned(),
    };
    Remedy::in_words(format!(
        "only who made the group can: its cpuset must have {nodes}; {by}"
    ))
}
