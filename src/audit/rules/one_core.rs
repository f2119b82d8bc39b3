//! A whole job on one core: the part of cpus-crowded that is an error.

use crate::audit::PlacedProcess;
use crate::audit::finding::Severity;
use crate::audit::rules::{RuleContext, Violation};
use crate::units::{Cpu, CpuSet, Pid};

/// So many processes of a trainer, besides itself, are more than one core can be meant for.
const PROCESSES_OF_A_TRAINER: usize = 3;

/// Whether these CPUs are one core, and a trainer with several of its processes or a whole job has no others, although their
/// cpuset allows more. `false` if unknown.
pub(crate) fn has_whole_job(
    context: &RuleContext,
    cpus: &CpuSet,
    processes: &[&PlacedProcess],
) -> bool {
    let is_held = |placed: &&PlacedProcess| allows_more(context, placed, cpus);
    if !is_one_core(context, cpus) || !processes.iter().all(is_held) {
        return false;
    }
    let is_inside = |of: &PlacedProcess| {
        let pid = of.process.pid;
        processes.iter().any(|other| other.process.pid == pid)
    };
    let with = |trainers: &[Pid]| {
        let judged = context.judged();
        let of_job =
            judged.filter(|of| of.membership.trainer.is_some_and(|t| trainers.contains(&t)));
        let (inside, outside): (Vec<_>, Vec<_>) = of_job.partition(|of| is_inside(of));
        (inside.len(), outside.len())
    };
    let trainers = context.trainers().filter(|trainer| is_inside(trainer));
    let mut alone = trainers.map(|trainer| with(&[trainer.process.pid]));
    let is_crowd = |(inside, outside): (usize, usize)| {
        inside > PROCESSES_OF_A_TRAINER || (inside > 1 && outside == 0)
    };
    let jobs = context.jobs();
    alone.any(is_crowd)
        || jobs.iter().any(|job| {
            let (inside, outside) = with(&job.pids());
            inside > 1 && outside == 0
        })
}

/// Whether these CPUs are hardware threads of one core, or one CPU.
fn is_one_core(context: &RuleContext, cpus: &CpuSet) -> bool {
    let mut all = cpus.iter();
    let Some(first) = all.next() else {
        return false;
    };
    let siblings = context.machine.cpus.siblings.get(&first);
    let is_sibling = |cpu: Cpu| siblings.is_some_and(|of| of.contains(cpu));
    all.all(is_sibling)
}

/// Whether the cpuset allows CPUs of other cores. Where the cpuset is not known, another process of the same control group shows
/// it.
fn allows_more(context: &RuleContext, placed: &PlacedProcess, cpus: &CpuSet) -> bool {
    let siblings = cpus.iter().next();
    let siblings = siblings.and_then(|first| context.machine.cpus.siblings.get(&first));
    let is_other = |cpu: Cpu| {
        let is_same_core = siblings.is_some_and(|of| of.contains(cpu));
        !cpus.contains(cpu) && !is_same_core && context.machine.topology.node_of(cpu).is_some()
    };
    if let Some(cpuset) = &placed.process.cpuset {
        return cpuset.cpus.iter().any(is_other);
    }
    let groups = placed.process.groups.as_ref();
    let all = context.machine.processes.iter();
    let of_group = all.filter(|of| groups.is_some() && of.process.groups.as_ref() == groups);
    let masks = of_group.filter_map(|of| of.cpu.affinity.as_ref());
    masks.flat_map(CpuSet::iter).any(is_other)
}

/// The violation as an error, with what else is known.
pub(crate) fn as_error(violation: Violation) -> Violation {
    Violation {
        severity: Some(Severity::Error),
        message: format!("{}, although the cpuset allows more", violation.message),
        ..violation
    }
}
