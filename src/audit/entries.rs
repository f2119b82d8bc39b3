//! Fills the document: each of its types is made here of what was observed and judged.

pub(crate) mod machine;
pub(crate) mod process;
pub(crate) mod threads;

use crate::audit::hint::{Circumstances, hint};
use crate::document::window::seconds;
use crate::document::{GapEntry, SettingsEntry, WindowEntry};
use crate::machine::{Counters, Fact, Gap, KernelSettings, Reason, Window};

pub(crate) fn settings(kernel: KernelSettings) -> SettingsEntry {
    SettingsEntry {
        numa_balancing: kernel.numa_balancing,
        zone_reclaim_mode: kernel.zone_reclaim_mode,
    }
}

pub(crate) fn gap(gap: &Gap, around: &Circumstances) -> GapEntry {
    let (gpu, tid) = match gap.fact {
        Fact::GpuProcesses(gpu)
        | Fact::GpuHomeNode(gpu)
        | Fact::GpuFilePlace(gpu)
        | Fact::GpuMemoryNode(gpu)
        | Fact::GpuDetail(gpu, _) => (Some(gpu), None),
        Fact::Thread(tid) => (None, Some(tid)),
        _ => (None, None),
    };
    GapEntry {
        pid: gap.pid,
        what: gap.fact.to_string(),
        kind: gap.fact.kind().into(),
        reason: gap.reason.to_string(),
        hint: hint(gap, around).map(str::to_owned),
        gpu,
        tid,
        leaves_open: gap.fact.leaves_open(),
        in_use_bytes: match gap.reason {
            Reason::InUseByHidden(used) => Some(used),
            _ => None,
        },
    }
}

/// Why a process that has a listed PID is not the listed one.
pub(crate) const FOREIGN: &str = "the PID is from another PID namespace";

/// Why a process that the driver lists could not be looked at.
pub(crate) fn why_unseen(reason: &Reason) -> String {
    match reason {
        Reason::Absent => "there is no such process here".to_owned(),
        reason => reason.to_string(),
    }
}

pub(crate) fn window(window: &Window) -> WindowEntry {
    let named = |counters: &Counters| {
        let counters = counters.iter();
        counters
            .map(|(name, count)| ((*name).to_owned(), *count))
            .collect()
    };
    let nodes = window.node_counters.iter();
    WindowEntry {
        seconds: seconds(window.length),
        asked_seconds: seconds(window.asked),
        looks: window.looks,
        node_counters: nodes
            .map(|(node, counters)| (*node, named(counters)))
            .collect(),
        vmstat: named(&window.vmstat),
    }
}
