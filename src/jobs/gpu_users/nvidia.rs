//! NVIDIA: which entries of NVML's lists are right, and which processes use a GPU where NVML lists none.

use std::collections::{BTreeMap, BTreeSet};

use crate::jobs::serves_gpus;
use crate::machine::{Context, Environment, Fact, Gap, Gpu, Reason};
use crate::units::Pid;
use crate::words::Evidence;

/// How often a process has files of NVIDIA's driver open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DriverFiles {
    /// All of them.
    pub(crate) total: usize,
    /// `/dev/nvidiaN`, by N.
    pub(crate) by_minor: BTreeMap<u32, usize>,
}

impl DriverFiles {
    /// The minor number of the GPU that the process uses; `None` where that is not clear. A CUDA process opens each
    /// `/dev/nvidiaN` that it may, and that of its context far more often. Observed: 23 times against 7 (3 where the GPU is
    /// masked), and 3 or 7 on each without a context.
    fn clear_minor(&self) -> Option<u32> {
        const LEAST: usize = 10;
        let (minor, most) = self.by_minor.iter().max_by_key(|(_, count)| **count)?;
        let others = self.by_minor.iter().filter(|(other, _)| *other != minor);
        let next = others.map(|(_, count)| *count).max().unwrap_or(0);
        (*most >= LEAST && *most >= 2 * next).then_some(*minor)
    }
}

/// The processes that NVML lists.
pub(crate) fn listed(gpus: &[Gpu]) -> BTreeSet<Pid> {
    let contexts = gpus.iter().flat_map(|gpu| gpu.contexts.iter().flatten());
    contexts.map(|context| context.pid).collect()
}

/// Sets the contexts of PIDs apart that belong to another PID namespace: here, another process has that PID.
pub(crate) fn remove_foreign<'a>(
    gpus: &mut [Gpu],
    foreign: &'a BTreeSet<Pid>,
) -> impl Iterator<Item = Gap> + use<'a> {
    for gpu in gpus.iter_mut() {
        let Some(contexts) = &mut gpu.contexts else {
            continue;
        };
        let is_foreign = |context: &Context| foreign.contains(&context.pid);
        gpu.foreign
            .extend(contexts.iter().filter(|context| is_foreign(context)));
        contexts.retain(|context| !is_foreign(context));
    }
    foreign.iter().map(|pid| Gap {
        pid: Some(*pid),
        fact: Fact::Process,
        reason: Reason::Failed(
            "NVML lists this PID, but the process has no NVIDIA device open: the PID is from another PID namespace"
                .into(),
        ),
    })
}

/// The places in `gpus` of the GPUs that may be in use although NVML lists no process that is visible here.
pub(crate) fn unlisted(gpus: &[Gpu], is_visible: impl Fn(Pid) -> bool) -> BTreeSet<usize> {
    let is_unlisted = |gpu: &Gpu| match &gpu.contexts {
        _ if gpu.drm.is_some() => false,
        None => true,
        Some(contexts) => {
            let may_be_used = gpu.is_in_use() || gpu.memory_used.is_none();
            may_be_used && !contexts.iter().any(|context| is_visible(context.pid))
        }
    };
    let places = gpus.iter().enumerate();
    let unlisted = places.filter(|(_, gpu)| is_unlisted(gpu));
    unlisted.map(|(at, _)| at).collect()
}

/// A process that NVML does not list.
pub(crate) struct Candidate<'a> {
    pub(crate) name: &'a str,
    pub(crate) parent: Pid,
    pub(crate) files: DriverFiles,
    /// `None` until it is read: only that of processes for which [`Candidate::needs_environment`] is.
    pub(crate) environment: Option<Environment>,
}

impl Candidate<'_> {
    /// Whether its open files do not decide which GPU it uses. Programs that serve or monitor GPUs open all of them and use
    /// none.
    pub(crate) fn needs_environment(&self, gpus: &[Gpu]) -> bool {
        self.files.total > 0 && !serves_gpus(self.name) && self.by_files(gpus).is_none()
    }

    fn by_files(&self, gpus: &[Gpu]) -> Option<usize> {
        let minor = self.files.clear_minor()?;
        gpus.iter().position(|gpu| gpu.minor == Some(minor))
    }

    /// The place of the GPU that it uses.
    fn gpu(&self, gpus: &[Gpu]) -> Option<(usize, Evidence)> {
        let by_environment = || {
            let index = gpu_of_environment(self.environment.as_ref()?, gpus)?;
            let at = gpus.iter().position(|gpu| gpu.index == index)?;
            Some((at, Evidence::Environ))
        };
        let by_files = self.by_files(gpus).map(|at| (at, Evidence::Fd));
        by_files.or_else(by_environment)
    }
}

/// Adds the users of the `unlisted` GPUs. On each GPU only the strongest evidence counts.
pub(crate) fn add_users(
    gpus: &mut [Gpu],
    unlisted: &BTreeSet<usize>,
    candidates: &BTreeMap<Pid, Candidate>,
) {
    let found = candidates
        .iter()
        .filter_map(|(pid, candidate)| Some((*pid, candidate.gpu(gpus)?)));
    let found: BTreeMap<Pid, (usize, Evidence)> = found.collect();
    for (pid, (at, evidence)) in &found {
        // A forked worker inherits open files and environment of its trainer. The trainer of a launcher with weaker
        // evidence is not such a worker.
        let parent = candidates.get(pid).map(|candidate| candidate.parent);
        let parent = parent.filter(|parent| parent != pid);
        let of_parent = parent.and_then(|parent| found.get(&parent));
        let is_inherited = of_parent.is_some_and(|(other, of)| other == at && of <= evidence);
        if unlisted.contains(at) && !is_inherited {
            gpus[*at].users.insert(*pid, *evidence);
        }
    }
    for gpu in gpus {
        let strongest = gpu.users.values().copied().min();
        gpu.users.retain(|_, evidence| Some(*evidence) == strongest);
    }
}

/// The processes that have a GPU open that is none of these, with the minor numbers. A GPU whose minor number is unknown may
/// be any of them.
pub(crate) fn with_unlisted_gpus<'a>(
    gpus: &[Gpu],
    files: impl IntoIterator<Item = (Pid, &'a DriverFiles)>,
) -> BTreeMap<Pid, BTreeSet<u32>> {
    let nvidia = gpus.iter().filter(|gpu| gpu.drm.is_none());
    let known: BTreeSet<u32> = nvidia.clone().filter_map(|gpu| gpu.minor).collect();
    let without_minor = nvidia.filter(|gpu| gpu.minor.is_none()).count();
    let others = files.into_iter().map(|(pid, files)| {
        let minors = files.by_minor.keys().copied();
        let others: BTreeSet<u32> = minors.filter(|minor| !known.contains(minor)).collect();
        (pid, others)
    });
    let others: BTreeMap<Pid, BTreeSet<u32>> =
        others.filter(|(_, minors)| !minors.is_empty()).collect();
    let minors: BTreeSet<&u32> = others.values().flatten().collect();
    if minors.len() > without_minor {
        others
    } else {
        BTreeMap::new()
    }
}

/// The index of the GPU that the environment names. A process that sees one GPU uses it; of several, LOCAL_RANK chooses
/// one. With torchrun's --virtual-local-rank, LOCAL_RANK is 0 in all processes, and each sees one GPU. `None` where the
/// variables name no GPU, or one that does not exist.
pub(crate) fn gpu_of_environment(environment: &Environment, gpus: &[Gpu]) -> Option<u32> {
    let local_rank = || usize::try_from(environment.device_rank()?).ok();
    let Some(visible) = &environment.visible_devices else {
        let is_numbered = gpus.iter().all(|gpu| !gpu.is_left_out);
        return Some(gpus.get(local_rank()?).filter(|_| is_numbered)?.index);
    };
    let names: Vec<&str> = visible.split(',').map(str::trim).collect();
    let name = match names.as_slice() {
        [one] => one,
        several => several.get(local_rank()?)?,
    };
    // CUDA numbers GPUs of one kind by PCI address, as NVML does. Where NVML leaves one out, CUDA may count it or not.
    if gpus.iter().any(|gpu| gpu.is_left_out) && name.parse::<usize>().is_ok() {
        return None;
    }
    if let Ok(at) = name.parse::<usize>() {
        return Some(gpus.get(at)?.index);
    }
    let mut named = gpus.iter().filter(|gpu| is_name_of(name, gpu));
    let gpu = named.next()?;
    named.next().is_none().then_some(gpu.index)
}

/// Whether this is the UUID of one of the GPU's MIG devices, or the beginning of the GPU's UUID. Drivers before 470 name a
/// MIG device `MIG-GPU-…/1/0`.
fn is_name_of(name: &str, gpu: &Gpu) -> bool {
    let mut mig_devices = gpu.mig_devices.iter();
    let uuid = gpu.uuid.as_deref().unwrap_or_default();
    let start = name.strip_prefix("MIG-").unwrap_or(name);
    let start = start.split('/').next().unwrap_or_default();
    let is_uuid = start.starts_with("GPU-") && start != "GPU-" && uuid.starts_with(start);
    is_uuid || mig_devices.any(|device| device.uuid.as_deref() == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{Rank, Ranks};

    #[test]
    fn the_gpu_of_the_context_is_clearly_open_most_often() {
        let minor = |counts: &[usize]| {
            let files = DriverFiles {
                total: 3,
                by_minor: (0..).zip(counts.iter().copied()).collect(),
            };
            files.clear_minor()
        };
        // Observed on four H200 with driver 580: trainers, a trainer with masked GPUs, launchers, MPS client and server.
        assert_eq!(minor(&[7, 7, 23, 7]), Some(2));
        assert_eq!(minor(&[3, 23]), Some(1));
        assert_eq!(minor(&[7, 7, 7, 7]), None);
        assert_eq!(minor(&[3]), None);
        assert_eq!(minor(&[19, 7]), Some(0));
        assert_eq!(minor(&[20, 20]), None);
        assert_eq!(minor(&[]), None);
    }

    fn named_gpu(visible: Option<&str>, local_rank: Option<u32>) -> Option<u32> {
        let gpus = [(0, "GPU-aa11"), (1, "GPU-aa22"), (2, "GPU-bb33")];
        let gpus = gpus.map(|(index, uuid)| Gpu {
            index,
            uuid: Some(uuid.into()),
            ..Gpu::default()
        });
        let environment = Environment {
            visible_devices: visible.map(Into::into),
            ranks: Ranks {
                local_rank: local_rank.map(|number| Rank::by("LOCAL_RANK", number)),
                ..Ranks::default()
            },
            ..Environment::default()
        };
        gpu_of_environment(&environment, &gpus)
    }

    #[test]
    fn the_environment_names_a_gpu_by_index_or_uuid() {
        assert_eq!(named_gpu(Some("2"), None), Some(2));
        assert_eq!(named_gpu(Some("GPU-aa2"), None), Some(1));
        assert_eq!(named_gpu(Some("MIG-GPU-bb33/1/0"), None), Some(2));
        // --virtual-local-rank
        assert_eq!(named_gpu(Some("1"), Some(0)), Some(1));
        assert_eq!(named_gpu(Some("2,0"), Some(1)), Some(0));
        assert_eq!(named_gpu(None, Some(1)), Some(1));
    }

    #[test]
    fn an_ambiguous_environment_names_no_gpu() {
        for (visible, local_rank) in [
            (None, None),
            (None, Some(3)),
            (Some(""), Some(0)),
            (Some("0,1"), None),
            (Some("0,1"), Some(2)),
            (Some("GPU-aa"), None),
            (Some("GPU-"), None),
            (Some("NoDevFiles"), Some(0)),
            (Some("7"), None),
            (Some("-1"), None),
        ] {
            let gpu = named_gpu(visible, local_rank);
            assert_eq!(gpu, None, "{visible:?} {local_rank:?}");
        }
    }
}
