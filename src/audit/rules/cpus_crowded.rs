//! More processes share a CPU mask than it has CPUs, while their node has more CPUs. All of them are at risk at best. It is an
//! error if a trainer and three or more of its processes, or a whole job, may run on one core only and their cpuset allows
//! more.
//!
//! Why it costs: the processes wait for each other. Masks of a single CPU, or all workers of a rank on a few CPUs, make
//! data loading slower than no binding at all.
//!
//! What it cannot know: which of the processes are busy. A trainer with one worker for each CPU is accepted. For processes that
//! may use whole nodes see node-crowded.
//!
//! What to do: let the processes use all CPUs of the node, or start fewer workers.

use std::collections::BTreeMap;

use crate::audit::PlacedProcess;
use crate::audit::finding::{Evidence, Remedy, Severity, Value};
use crate::audit::place::{SharedMask, crowded_masks};
use crate::audit::rules::{
    Group, Rule, RuleContext, Violation, bind, binding_variables, in_parentheses, one_core,
    words_of,
};
use crate::units::{CpuSet, NodeSet};

pub(crate) const RULE: Rule = Rule {
    name: "cpus-crowded",
    severity: Severity::Warning,
    text: include_str!("cpus_crowded.rs"),
    check,
};

/// The processes that have exactly this CPU mask.
struct CrowdedMask<'a> {
    cpus: CpuSet,
    processes: Vec<&'a PlacedProcess>,
}

impl CrowdedMask<'_> {
    fn cpu_count(&self) -> usize {
        self.cpus.iter().count()
    }
}

fn check(context: &RuleContext) -> Vec<Violation> {
    let machine = context.machine;
    let (mut errors, mut warnings) = (Vec::new(), BTreeMap::new());
    for SharedMask { cpus, members } in crowded_masks(machine.processes, machine.topology) {
        let processes: Vec<&PlacedProcess> = members
            .into_iter()
            .map(|index| &machine.processes[index])
            .collect();
        let mask = CrowdedMask { cpus, processes };
        if one_core::has_whole_job(context, &mask.cpus, &mask.processes) {
            errors.push(mask);
        } else {
            let local: &NodeSet = &mask.processes[0].local_nodes;
            warnings.entry(local).or_insert_with(Vec::new).push(mask);
        }
    }
    let errors = errors.iter().filter_map(|mask| {
        let violation = violation(context, std::slice::from_ref(mask))?;
        Some(one_core::as_error(violation))
    });
    let warnings = warnings.values();
    errors
        .chain(warnings.filter_map(|masks| violation(context, masks)))
        .collect()
}

fn violation(context: &RuleContext, masks: &[CrowdedMask]) -> Option<Violation> {
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
