//! The processes, GPUs and gaps that the audit is asked about.

use std::collections::{BTreeMap, BTreeSet};

use crate::jobs::{Membership, ProcessTree, WantedJob};
use crate::machine::{Fact, Gap, Gpu, Process};
use crate::units::Pid;
use crate::words::Role;

/// Which processes are judged and shown; all of a machine's by default.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    /// Only processes that work for one of these GPUs, by index.
    pub(crate) gpus: Option<BTreeSet<u32>>,
    /// The typed names of GPUs that are not known, where it is unknown whether they exist.
    pub(crate) unknown_gpus: Vec<String>,
    /// Only processes of this user.
    pub(crate) uid: Option<u32>,
    /// Only processes of this job.
    pub(crate) job: Option<WantedJob>,
}

impl Scope {
    /// Whether only processes of one user or of one job are asked about: not all processes of any GPU.
    pub(crate) fn is_of_some(&self) -> bool {
        self.uid.is_some() || self.job.is_some()
    }

    /// The processes to show. Launchers are shown with the trainers that they started, and helpers with their launchers.
    pub(crate) fn processes(
        &self,
        tree: &ProcessTree,
        processes: &[Process],
        memberships: &BTreeMap<Pid, Membership>,
        named: &[Pid],
    ) -> BTreeSet<Pid> {
        let members = self.job.as_ref().map(|job| job.members(tree, processes));
        let below_named = tree.with_descendants(named.iter().copied());
        let uses_gpu = |pid: Pid, wanted: &BTreeSet<u32>| {
            let gpus = memberships.get(&pid).map(|of| &of.gpus);
            gpus.is_some_and(|gpus| gpus.iter().any(|gpu| wanted.contains(gpu)))
        };
        let matches = |process: &&Process| {
            let pid = process.pid;
            // A process whose user is unknown is shown.
            let is_of_user = |uid| process.uid.is_none_or(|owner| owner == uid);
            self.gpus.as_ref().is_none_or(|gpus| uses_gpu(pid, gpus))
                && self.uid.is_none_or(is_of_user)
                && members.as_ref().is_none_or(|of| of.contains(&pid))
                && (named.is_empty() || below_named.contains(&pid))
        };
        let mut shown: BTreeSet<Pid> = processes.iter().filter(matches).map(|p| p.pid).collect();
        let is_of_jobs = self.gpus.is_some() || self.job.is_some();
        if named.is_empty() && is_of_jobs && self.uid.is_none() {
            shown.extend(launchers_and_helpers(tree, memberships, &shown));
        }
        shown
    }

    /// The GPUs that are asked about, by index: if processes or a job are named, those that the shown processes work for.
    pub(crate) fn gpus(
        &self,
        shown: &BTreeSet<Pid>,
        memberships: &BTreeMap<Pid, Membership>,
        gpus: &[&Gpu],
        named: &[Pid],
    ) -> BTreeSet<u32> {
        let shown = shown.iter().filter_map(|pid| memberships.get(pid));
        match &self.gpus {
            Some(wanted) => wanted.clone(),
            None if named.is_empty() && self.job.is_none() => {
                gpus.iter().map(|gpu| gpu.index).collect()
            }
            None => shown.flat_map(|of| of.gpus.iter().copied()).collect(),
        }
    }

    /// Whether a gap concerns what is asked about: the processes `shown` and the GPUs `asked`.
    pub(crate) fn concerns(
        &self,
        gap: &Gap,
        shown: &BTreeSet<Pid>,
        asked: &BTreeSet<u32>,
        gpus: &[&Gpu],
        named: &[Pid],
    ) -> bool {
        match (&gap.fact, gap.pid) {
            // Named processes are judged without a device, and a named GPU is none of these.
            (Fact::DeviceProcesses(_), _) => named.is_empty() && self.gpus.is_none(),
            // On a machine without GPUs, a missing driver hides nothing about named processes.
            (Fact::Driver, _) if !named.is_empty() => !gpus.is_empty(),
            // NVIDIA's driver reports nothing about other vendors' GPUs.
            (Fact::Driver, _) => {
                let is_asked = |gpu: &&Gpu| gpu.drm.is_none() && asked.contains(&gpu.index);
                asked.is_empty() || gpus.iter().any(is_asked)
            }
            // Any of them may be of the job.
            (Fact::GpuProcesses(_), _) if self.is_of_job_anywhere() => true,
            (
                Fact::GpuProcesses(gpu)
                | Fact::GpuHomeNode(gpu)
                | Fact::GpuFilePlace(gpu)
                | Fact::GpuMemoryNode(gpu)
                | Fact::GpuDetail(gpu, _),
                _,
            ) => asked.contains(gpu),
            (Fact::TypedGpu(_), _) => true,
            // A GPU that was asked for is not this one.
            (Fact::UnlistedGpu, pid) if named.is_empty() => {
                self.gpus.is_none() || pid.is_some_and(|pid| shown.contains(&pid))
            }
            // Of a process that is not visible, only its GPUs are known.
            (Fact::Process, Some(pid)) => {
                let used = gpus.iter().filter(|gpu| gpu.used_by(pid).is_some());
                let used: Vec<u32> = used.map(|gpu| gpu.index).collect();
                used.is_empty()
                    || self.is_of_job_anywhere()
                    || used.iter().any(|gpu| asked.contains(gpu))
            }
            (_, Some(pid)) => shown.contains(&pid),
            (_, None) => true,
        }
    }
}

impl Scope {
    /// Whether the processes of a job are asked about, on any GPU.
    fn is_of_job_anywhere(&self) -> bool {
        self.job.is_some() && self.gpus.is_none()
    }
}

/// The ancestors of the shown trainers in their jobs, and the launchers' own helpers.
fn launchers_and_helpers(
    tree: &ProcessTree,
    memberships: &BTreeMap<Pid, Membership>,
    shown: &BTreeSet<Pid>,
) -> BTreeSet<Pid> {
    let membership = |pid: &Pid| memberships.get(pid);
    let has_role = |pid: &Pid, role| membership(pid).is_some_and(|of| of.role == Some(role));
    let trainers = shown.iter().filter(|pid| has_role(pid, Role::Trainer));
    let mut found = tree.above(trainers.copied());
    found.retain(|pid| membership(pid).is_some_and(|of| of.role.is_some()));
    let children = found.iter().flat_map(|pid| tree.children(*pid));
    let is_helper_without_trainer = |pid: &&Pid| {
        has_role(pid, Role::Helper) && membership(pid).is_some_and(|of| of.trainer.is_none())
    };
    let helpers: Vec<Pid> = children
        .filter(is_helper_without_trainer)
        .copied()
        .collect();
    found.extend(helpers);
    found
}
