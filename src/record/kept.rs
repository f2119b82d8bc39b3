//! The processes whose files a recording keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use crate::machine::{Fact, Gpu, Machine, Reason};
use crate::units::Pid;
use crate::words::Evidence;

/// The processes whose files are kept. Files of other processes do not leave the machine.
#[derive(Debug)]
pub(crate) struct RecordedFiles {
    processes: BTreeSet<Pid>,
    /// Those confirmed by KFD. KFD uses PIDs of the host, so an equal PID here may be another process.
    by_kfd: BTreeSet<Pid>,
}

impl RecordedFiles {
    /// The files of the selected processes.
    pub(crate) fn of(machine: &Machine) -> Self {
        let users = machine.gpus.iter().flat_map(|gpu| &gpu.users);
        let by_kfd = users.filter(|(_, evidence)| **evidence == Evidence::Kfd);
        let processes = machine.processes.iter().map(|process| process.pid);
        // Of these there is little more than `stat`.
        let ended = machine.gaps.iter().filter(|gap| {
            gap.fact == Fact::Process && matches!(gap.reason, Reason::Zombie | Reason::Ending)
        });
        let ended = ended.filter_map(|gap| gap.pid);
        // Of these only the name and the open device files were read.
        let device_users = machine.device_users.iter().map(|user| user.pid);
        Self {
            processes: processes.chain(ended).chain(device_users).collect(),
            by_kfd: by_kfd.map(|(pid, _)| *pid).collect(),
        }
    }

    /// Whether a file belongs to one of the processes, or to the machine.
    pub(crate) fn has(&self, path: &Path) -> bool {
        let is_ours = |pid: &Pid| self.processes.contains(pid);
        let of_kfd = number_below(KFD_PROCESSES, path);
        process_of(path).is_none_or(|pid| is_ours(&pid))
            && of_kfd.is_none_or(|pid| is_ours(&pid) && self.by_kfd.contains(&pid))
    }
}

const KFD_PROCESSES: &str = "sys/class/kfd/kfd/proc";

/// The process of a file: 12 of `proc/12/…`.
pub(crate) fn process_of(path: &Path) -> Option<Pid> {
    number_below("proc", path)
}

fn number_below(folder: &str, path: &Path) -> Option<Pid> {
    let rest = path.strip_prefix(folder).ok()?;
    let name = rest.components().map(Component::as_os_str).next()?;
    name.to_str()?.parse().ok().map(Pid)
}

/// Why the users of some GPUs are unknown, by GPU index, where open files showed it: those files are not kept.
pub(crate) fn unseen(machine: &Machine) -> BTreeMap<u32, String> {
    let is_by_files = |gpu: &&Gpu| gpu.drm.is_some() || !gpu.users.is_empty();
    let others = machine.gpus.iter().filter(is_by_files);
    let others: BTreeSet<u32> = others.map(|gpu| gpu.index).collect();
    let unseen = machine.gaps.iter().filter_map(|gap| match gap.fact {
        Fact::GpuProcesses(index) if others.contains(&index) => {
            Some((index, gap.reason.to_string()))
        }
        _ => None,
    });
    unseen.collect()
}

/// Why processes show that a GPU exists that no source lists, by PID. Their open files are not kept.
pub(crate) fn unlisted_gpus(machine: &Machine) -> BTreeMap<u32, String> {
    let unlisted = machine.gaps.iter();
    let unlisted = unlisted.filter(|gap| gap.fact == Fact::UnlistedGpu);
    unlisted
        .filter_map(|gap| Some((gap.pid?.0, gap.reason.to_string())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::DeviceUser;

    #[test]
    fn users_of_accelerators_are_kept() {
        let user = DeviceUser {
            pid: Pid(7),
            name: String::new(),
            files: vec!["/dev/davinci0".to_owned()],
        };
        let machine = Machine {
            device_users: vec![user],
            ..Machine::default()
        };
        let kept = RecordedFiles::of(&machine);
        assert!(kept.has(Path::new("proc/7/fd/4")) && !kept.has(Path::new("proc/8/fd/4")));
    }

    #[test]
    fn nothing_of_other_processes_is_kept() {
        let kept = RecordedFiles {
            processes: [7, 8].map(Pid).into(),
            by_kfd: [7, 9].map(Pid).into(),
        };
        for path in [
            "proc/7/fd/4",
            "proc/8/fdinfo/4",
            "proc/sys/kernel/osrelease",
            "sys/class/kfd/kfd/proc/7/queues/0/gpuid",
            "sys/class/kfd/kfd/topology/nodes/9/gpu_id",
            "sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/drm/renderD128",
        ] {
            assert!(kept.has(Path::new(path)), "{path}");
        }
        for path in [
            "proc/9/fd/4",
            "proc/9/fdinfo/4",
            "sys/class/kfd/kfd/proc/8/queues/0/gpuid",
            "sys/class/kfd/kfd/proc/9/vram_49391",
            "sys/class/kfd/kfd/proc/10",
        ] {
            assert!(!kept.has(Path::new(path)), "{path}");
        }
    }
}
