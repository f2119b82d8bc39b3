//! What of a machine was asked for.

use std::collections::{BTreeMap, BTreeSet};

use crate::audit::PlacedProcess;
use crate::audit::place::home::GpuPlace;
use crate::jobs::attribution;
use crate::jobs::attribution::{Membership, Role};
use crate::machine::gap::{Fact, Gap};
use crate::machine::process::Process;
use crate::units::Pid;

/// Which processes are judged and shown; all of a machine's by default.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Only those that work for one of these GPUs, by index.
    pub gpus: Option<BTreeSet<u32>>,
    /// Only those of this user.
    pub uid: Option<u32>,
}

impl Scope {
    /// The processes to show. A launcher is there for what it launched, a helper for whom it helps.
    pub(crate) fn processes(
        &self,
        processes: &[Process],
        parts: &BTreeMap<Pid, Membership>,
        named: &[Pid],
    ) -> BTreeSet<Pid> {
        let family = attribution::family(processes);
        let below_named = family.with_descendants(named.iter().copied());
        let matches = |process: &&Process| {
            let part = parts.get(&process.pid);
            let on_gpu = |wanted: &BTreeSet<u32>| {
                part.is_some_and(|part| part.gpus.iter().any(|gpu| wanted.contains(gpu)))
            };
            self.gpus.as_ref().is_none_or(on_gpu)
                && self
                    .uid
                    .is_none_or(|uid| process.uid.is_none_or(|owner| owner == uid))
                && (named.is_empty() || below_named.contains(&process.pid))
        };
        let mut shown: BTreeSet<Pid> = processes.iter().filter(matches).map(|p| p.pid).collect();
        if named.is_empty() && self.gpus.is_some() && self.uid.is_none() {
            let is_trainer = |pid: &&Pid| {
                let part = parts.get(pid);
                part.is_some_and(|part| part.role == Some(Role::Trainer))
            };
            let launchers = family.above(shown.iter().filter(is_trainer).copied());
            let helpers = launchers.iter().flat_map(|pid| family.children(*pid));
            let is_helper = |pid: &&Pid| {
                let part = parts.get(pid);
                part.is_some_and(|part| part.role == Some(Role::Helper) && part.trainer.is_none())
            };
            shown.extend(helpers.filter(is_helper));
            shown.extend(launchers);
        }
        shown
    }

    /// The GPUs that were asked for, by index; where processes were named, those that they work for.
    pub(crate) fn gpus(
        &self,
        processes: &[PlacedProcess],
        gpus: &[GpuPlace],
        named: &[Pid],
    ) -> BTreeSet<u32> {
        let all = || gpus.iter().map(|place| place.gpu.index).collect();
        let in_use = || {
            processes
                .iter()
                .flat_map(|of| of.membership.gpus.clone())
                .collect()
        };
        match &self.gpus {
            Some(wanted) => wanted.clone(),
            None if named.is_empty() => all(),
            None => in_use(),
        }
    }
}

/// Whether a gap is one of something that was asked for.
pub(crate) fn is_missed(
    gap: &Gap,
    shown: &BTreeSet<Pid>,
    asked: &BTreeSet<u32>,
    gpus: &[GpuPlace],
    named: &[Pid],
) -> bool {
    match (&gap.fact, gap.pid) {
        // Where no GPU is involved, nothing is hidden by a driver that is not there.
        (Fact::Driver, _) if !named.is_empty() => !gpus.is_empty(),
        // NVIDIA's driver tells nothing of others' GPUs.
        (Fact::Driver, _) => {
            let mut places = gpus.iter();
            let is_nvidias = |place: &GpuPlace| place.gpu.drm.is_none();
            asked.is_empty()
                || places.any(|place| asked.contains(&place.gpu.index) && is_nvidias(place))
        }
        (Fact::GpuProcesses(gpu) | Fact::GpuHomeNode(gpu) | Fact::GpuMemoryNode(gpu), _) => {
            asked.contains(gpu)
        }
        // Of a process that cannot be seen it is only known on which GPUs it is.
        (Fact::Process, Some(pid)) => {
            let mut own = gpus
                .iter()
                .filter(|place| place.used_by(pid).is_some())
                .peekable();
            own.peek().is_none() || own.any(|place| asked.contains(&place.gpu.index))
        }
        (_, Some(pid)) => shown.contains(&pid),
        (_, None) => true,
    }
}
