//! More processes than the CPUs that they may share, where their node has more CPUs than these.
//!
//! Why it costs: they wait for each other: single-CPU masks, or all workers of a rank stacked on a few CPUs, make data
//! loading slower than no binding would.
//!
//! What it cannot know: which of them are busy. As many workers as CPUs are not too many, and processes that have whole
//! nodes are node-crowded's business.
//!
//! What to do: give them the whole node's CPUs, or start fewer workers.

use std::collections::BTreeMap;

use crate::audit::PlacedProcess;
use crate::audit::finding::{Evidence, Remedy, Severity, Value};
use crate::audit::rules::remedy::{bind, cpus_of};
use crate::audit::rules::words::{each, who};
use crate::audit::rules::{Rule, RuleContext, Violation};
use crate::jobs::attribution::Role;
use crate::units::{CpuSet, NodeSet};

pub(crate) const RULE: Rule = Rule {
    name: "cpus-crowded",
    severity: Severity::Warning,
    text: include_str!("cpus_crowded.rs"),
    check,
};

/// Those that may run on the very same CPUs.
struct Sharing<'a> {
    cpus: CpuSet,
    processes: Vec<&'a PlacedProcess>,
}

fn check(context: &RuleContext) -> Vec<Violation> {
    if !context.topology.is_whole() {
        return Vec::new();
    }
    let mut by_nodes: BTreeMap<&NodeSet, Vec<Sharing>> = BTreeMap::new();
    for sharing in by_cpus(context)
        .into_iter()
        .filter(|of| is_crowded(context, of))
    {
        let nodes = &sharing.processes[0].local_nodes;
        by_nodes.entry(nodes).or_default().push(sharing);
    }
    let groups = by_nodes.into_values();
    groups.map(|crowded| broken(context, &crowded)).collect()
}

/// The processes by the online CPUs on which they may run.
fn by_cpus<'a>(context: &RuleContext<'a>) -> Vec<Sharing<'a>> {
    let mut found: BTreeMap<String, Sharing> = BTreeMap::new();
    let with_gpu = context.judged().filter(|of| !of.membership.gpus.is_empty());
    for audited in with_gpu {
        let allowed = audited.cpu.affinity.iter().flat_map(CpuSet::iter);
        let online = allowed.filter(|cpu| context.topology.node_of(*cpu).is_some());
        let cpus: CpuSet = online.collect();
        let sharing = found.entry(cpus.to_string()).or_insert_with(|| Sharing {
            cpus,
            processes: Vec::new(),
        });
        sharing.processes.push(audited);
    }
    found
        .into_values()
        .filter(|of| !of.cpus.is_empty())
        .collect()
}

fn is_crowded(context: &RuleContext, sharing: &Sharing) -> bool {
    let cpus = sharing.cpus.iter().count();
    let of_role = |role| {
        let processes = sharing.processes.iter();
        processes
            .filter(|of| of.membership.role == Some(role))
            .count()
    };
    let (trainers, workers) = (of_role(Role::Trainer), of_role(Role::Worker));
    // A trainer has more threads to run than one CPU can.
    let is_single = cpus == 1 && trainers > 0;
    let has_whole_nodes =
        sharing.cpus == cpus_of(&context.topology.nodes_of(&sharing.cpus), context.topology);
    (workers > cpus || trainers > cpus || is_single) && !has_whole_nodes
}

fn broken(context: &RuleContext, crowded: &[Sharing]) -> Violation {
    let processes: Vec<&PlacedProcess> =
        crowded.iter().flat_map(|of| of.processes.clone()).collect();
    let cpus: CpuSet = crowded.iter().flat_map(|of| of.cpus.iter()).collect();
    let count = cpus.iter().count();
    let word = if count == 1 { "CPU" } else { "CPUs" };
    let fullest = crowded.iter().max_by_key(|of| of.processes.len());
    let fullest = fullest.map_or((0, 0), |of| (of.processes.len(), of.cpus.iter().count()));
    let stacked = match crowded.len() {
        1 => String::new(),
        _ if fullest.1 == 1 => format!(", up to {} of them the same one", fullest.0),
        _ => format!(", up to {} of them the same {}", fullest.0, fullest.1),
    };
    Violation::by(
        &processes,
        format!(
            "{} {} {count} {word} ({cpus}){stacked}",
            who(&processes),
            each(&processes, "may run on no more than", "share no more than"),
        ),
        Evidence::from([
            ("processes", Value::Count(processes.len())),
            ("cpu_count", Value::Count(count)),
            ("affinity", Value::Cpus(cpus.clone())),
            ("most_processes_sharing", Value::Count(fullest.0)),
        ]),
        remedy(context, &processes, &cpus),
    )
}

fn remedy(context: &RuleContext, processes: &[&PlacedProcess], cpus: &CpuSet) -> Remedy {
    let given = processes[0].process.cpuset.as_ref();
    if given.is_some_and(|given| given.cpus.iter().all(|cpu| cpus.contains(cpu))) {
        return Remedy::in_words(
            "the control group has no more: start fewer workers, or ask for more CPUs (Slurm: --cpus-per-task)",
        );
    }
    Remedy {
        text: "undo what binds them so tightly (OMP_PROC_BIND, GOMP_CPU_AFFINITY, KMP_AFFINITY, a worker_init_fn, taskset), \
                or start fewer workers"
            .to_owned(),
        ..bind(context, processes)
    }
}
