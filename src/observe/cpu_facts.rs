//! Isolated CPUs, and the hardware threads of one core.

use crate::machine::{Core, CpuFacts, Fact, Gaps, Process, Reason, Topology, in_order};
use crate::observe::nodes::read_package;
use crate::observe::read::read_as;
use crate::observe::root::Root;
use crate::units::{Cpu, CpuSet, parse_cpu_list};

const CPUS: &str = "sys/devices/system/cpu";

/// Processes with more CPUs than this are not on one core.
const MOST_THREADS_OF_A_CORE: usize = 8;

pub(crate) fn read_cpu_facts(root: &Root, processes: &[Process], gaps: &mut Gaps) -> CpuFacts {
    let isolated = match read_as(root, &format!("{CPUS}/isolated"), parse_cpu_list) {
        // The kernel has the file since 4.2.
        Err(Reason::Absent) => Some(CpuSet::default()),
        isolated => gaps.value_or_note(None, Fact::IsolatedCpus, isolated),
    };
    let mut facts = CpuFacts {
        isolated,
        ..CpuFacts::default()
    };
    let masks = processes.iter().filter_map(|of| of.affinity.as_ref());
    let small = masks.filter(|mask| mask.iter().nth(MOST_THREADS_OF_A_CORE).is_none());
    for first in small.filter_map(|mask| mask.iter().next()) {
        if !facts.siblings.contains_key(&first)
            && let Some(siblings) = siblings(root, first)
        {
            facts.siblings.insert(first, siblings);
        }
    }
    facts
}

/// All cores, in order; `None` where the core, the socket or the node of a CPU is unknown.
pub(crate) fn read_cores(root: &Root, topology: &Topology) -> Option<Vec<Core>> {
    if !topology.is_whole() {
        return None;
    }
    let online = topology.cpus_of(&topology.cpu_bearing());
    let mut cores = Vec::new();
    let mut seen = CpuSet::default();
    for cpu in online.iter() {
        if seen.contains(cpu) {
            continue;
        }
        let siblings = siblings(root, cpu)?;
        let is_own = |of: &Cpu| online.contains(*of) && !seen.contains(*of);
        let cpus: CpuSet = siblings.iter().filter(is_own).collect();
        if !cpus.contains(cpu) {
            return None;
        }
        cpus.iter().for_each(|cpu| seen.insert(cpu));
        cores.push(Core {
            package: read_package(root, cpu)?,
            node: topology.node_of(cpu)?,
            cpus,
        });
    }
    Some(in_order(cores))
}

/// `None` where it is unknown: then only one CPU is taken for one core.
fn siblings(root: &Root, Cpu(cpu): Cpu) -> Option<CpuSet> {
    let file = format!("{CPUS}/cpu{cpu}/topology/thread_siblings_list");
    read_as(root, &file, parse_cpu_list).ok()
}
