//! More processes share a CPU mask than it has CPUs, while their node has more CPUs.
//!
//! Why it costs: the processes wait for each other. Masks of a single CPU, or all workers of a rank on a few CPUs, make
//! data loading slower than no binding at all.
//!
//! What it cannot know: which of the processes are busy. One worker for each CPU is accepted. For processes that may use
//! whole nodes see node-crowded.
//!
//! What to do: let the processes use all CPUs of the node, or start fewer workers.

use std::collections::BTreeMap;

use crate::audit::PlacedProcess;
use crate::audit::finding::{Evidence, Remedy, Severity, Value};
use crate::audit::rules::{
    Group, Rule, RuleContext, Violation, bind, binding_variables, in_parentheses, words_of,
};
use crate::units::{CpuSet, NodeSet};
use crate::words::Role;

pub(crate) const RULE: Rule = Rule {
    name: "cpus-crowded",
    severity: Severity::Warning,
    text: include_str!("cpus_crowded.rs"),
    check,
};

/// The processes that have exactly this CPU mask.
struct SharedMask<'a> {
    cpus: CpuSet,
    processes: Vec<&'a PlacedProcess>,
}

impl SharedMask<'_> {
    fn cpu_count(&self) -> usize {
        self.cpus.iter().count()
    }
}

fn check(context: &RuleContext) -> Vec<Violation> {
    if !context.machine.topology.is_whole() {
        return Vec::new();
    }
    let mut by_local_nodes: BTreeMap<&NodeSet, Vec<SharedMask>> = BTreeMap::new();
    for mask in shared_masks(context) {
        if is_crowded(context, &mask) {
            let local = &mask.processes[0].local_nodes;
            by_local_nodes.entry(local).or_default().push(mask);
        }
    }
    by_local_nodes
        .values()
        .filter_map(|masks| violation(context, masks))
        .collect()
}

/// All masks of online CPUs, with the processes that have them.
fn shared_masks<'a>(context: &RuleContext<'a>) -> Vec<SharedMask<'a>> {
    let mut masks: BTreeMap<String, SharedMask> = BTreeMap::new();
    let with_gpu = context
        .judged()
        .filter(|placed| !placed.membership.gpus.is_empty());
    for placed in with_gpu {
        let allowed = placed.cpu.affinity.iter().flat_map(CpuSet::iter);
        let cpus: CpuSet = allowed
            .filter(|cpu| context.machine.topology.node_of(*cpu).is_some())
            .collect();
        if !cpus.is_empty() {
            let mask = masks.entry(cpus.to_string()).or_insert(SharedMask {
                cpus,
                processes: Vec::new(),
            });
            mask.processes.push(placed);
        }
    }
    masks.into_values().collect()
}

fn is_crowded(context: &RuleContext, mask: &SharedMask) -> bool {
    let count = |role| {
        let has_role = |placed: &&&PlacedProcess| placed.membership.role == Some(role);
        mask.processes.iter().filter(has_role).count()
    };
    let (cpus, trainers, workers) = (mask.cpu_count(), count(Role::Trainer), count(Role::Worker));
    // A trainer has more busy threads than one CPU can run.
    let is_one_cpu = cpus == 1 && trainers > 0;
    let topology = context.machine.topology;
    let has_whole_nodes = mask.cpus == topology.cpus_of(&topology.nodes_of(&mask.cpus));
    (workers > cpus || trainers > cpus || is_one_cpu) && !has_whole_nodes
}

fn violation(context: &RuleContext, masks: &[SharedMask]) -> Option<Violation> {
    let processes = masks.iter().flat_map(|mask| mask.processes.clone());
    let group = Group::new(processes.collect())?;
    let cpus: CpuSet = masks.iter().flat_map(|mask| mask.cpus.iter()).collect();
    let count = cpus.iter().count();
    let fullest = masks.iter().max_by_key(|mask| mask.processes.len())?;
    let most = fullest.processes.len();
    let most_share = match (masks.len(), fullest.cpu_count()) {
        (1, _) => String::new(),
        (_, 1) => format!("; up to {most} of them share one CPU"),
        (_, several) => format!("; up to {most} of them share the same {several} CPUs"),
    };
    let message = format!(
        "{} {} {}{most_share}",
        group.names(),
        group.agree("may run on only", "share only"),
        if count == 1 {
            format!("one CPU (CPU {cpus})")
        } else {
            format!("{count} CPUs ({cpus})")
        },
    );
    let evidence = Evidence::from([
        ("processes", Value::Count(group.len())),
        ("cpu_count", Value::Count(count)),
        ("affinity", Value::Cpus(cpus.clone())),
        ("most_processes_sharing", Value::Count(most)),
    ]);
    let remedy = remedy(context, &group, &cpus);
    Some(Violation::by(&group, message, evidence, remedy))
}

fn remedy(context: &RuleContext, group: &Group, cpus: &CpuSet) -> Remedy {
    let cpuset = group.first().process.cpuset.as_ref();
    if cpuset.is_some_and(|cpuset| cpuset.cpus.iter().all(|cpu| cpus.contains(cpu))) {
        let words = words_of(context, group.first()).map_or("", |words| words.more_cpus);
        let how = in_parentheses((!words.is_empty()).then(|| words.to_owned()));
        return Remedy::in_words(format!(
            "start fewer workers, or request more CPUs{how}: the cpuset has no more CPUs"
        ));
    }
    let variables = binding_variables(group);
    // A program can also set a variable itself: that does not show in its environ.
    let text = if variables.is_empty() {
        "remove the setting that restricts the CPUs (OMP_PROC_BIND, GOMP_CPU_AFFINITY, KMP_AFFINITY, a worker_init_fn, \
         taskset), or start fewer workers"
            .to_owned()
    } else {
        format!(
            "unset {}, which {} set in the environment of the job, or start fewer workers",
            variables.join(" and "),
            if variables.len() == 1 { "is" } else { "are" }
        )
    };
    Remedy {
        text,
        ..bind(context, group)
    }
}
