//! Who begot whom, and what a command line tells of a process's part in a job.

use std::collections::{BTreeMap, BTreeSet};

use crate::units::Pid;

/// The tree of processes.
#[derive(Debug, Default)]
pub struct ProcessTree {
    parent: BTreeMap<Pid, Pid>,
    children: BTreeMap<Pid, Vec<Pid>>,
}

impl ProcessTree {
    /// From (process, parent) pairs.
    pub fn new(pairs: impl IntoIterator<Item = (Pid, Pid)>) -> Self {
        let mut family = Self::default();
        for (pid, ppid) in pairs {
            family.parent.insert(pid, ppid);
            family.children.entry(ppid).or_default().push(pid);
        }
        family
    }

    /// The ancestors of `pid` that are known themselves, nearest first.
    pub fn ancestors(&self, pid: Pid) -> Vec<Pid> {
        // A recorded tree may claim a circle.
        let mut seen = BTreeSet::from([pid]);
        let mut above = Vec::new();
        let mut at = pid;
        while let Some(parent) = self.parent.get(&at) {
            if !self.parent.contains_key(parent) || !seen.insert(*parent) {
                break;
            }
            above.push(*parent);
            at = *parent;
        }
        above
    }

    /// All that any of `pids` descends from, as far as it is known; each is looked at once.
    pub fn above(&self, pids: impl IntoIterator<Item = Pid>) -> BTreeSet<Pid> {
        let parent = |pid: Pid| {
            let parent = self.parent.get(&pid)?;
            self.parent.contains_key(parent).then_some(*parent)
        };
        let mut above = BTreeSet::new();
        for pid in pids {
            let mut at = parent(pid);
            while let Some(ancestor) = at.filter(|pid| above.insert(*pid)) {
                at = parent(ancestor);
            }
        }
        above
    }

    /// The children of `pid`.
    pub fn children(&self, pid: Pid) -> &[Pid] {
        self.children.get(&pid).map_or(&[], Vec::as_slice)
    }

    /// All that descends from any of `roots`, with the roots that are known.
    pub fn with_descendants(&self, roots: impl IntoIterator<Item = Pid>) -> BTreeSet<Pid> {
        let mut found = BTreeSet::new();
        let mut open: Vec<Pid> = roots.into_iter().collect();
        while let Some(pid) = open.pop() {
            if self.parent.contains_key(&pid) && found.insert(pid) {
                open.extend(self.children(pid));
            }
        }
        found
    }
}

/// Whether this is the command line of Python's fork server. The workers that it forks keep it, so
/// one whose parent has the very same is a worker.
pub fn is_forkserver(command: &[String]) -> bool {
    command
        .iter()
        .any(|argument| argument.starts_with("from multiprocessing.forkserver import"))
}

/// PyTorch's name for a process that loads data, from 2.5 on.
pub const DATA_LOADER: &str = "pt_data_worker";

/// The last word of a process that Python's multiprocessing spawned.
pub const SPAWNED: &str = "--multiprocessing-fork";

/// Whether this is a process that another one made to work for it, by PyTorch's name for data loaders or by what Python's
/// multiprocessing starts.
pub fn is_made_to_work(name: &str, command: &[String]) -> bool {
    let is_spawned = command.iter().any(|word| word == SPAWNED);
    name == DATA_LOADER || is_spawned || is_forkserver(command)
}

/// Whether this is a program that holds GPUs open to serve or to watch others, by its name as the kernel cuts it: MPS,
/// monitors, displays.
pub fn serves_gpus(name: &str) -> bool {
    const SERVERS: &[&str] = &[
        "nvidia-cuda-mps",
        "nvidia-persiste",
        "nvidia-powerd",
        "nvidia-smi",
        "nvidia-device-p",
        "nv-hostengine",
        "nv-fabricmanage",
        "dcgm-exporter",
        "dcgmi",
        "nvitop",
        "nvitop-exporter",
        "nvtop",
        "gpustat",
        "rocm-smi",
        "amd-smi",
        "amdgpu_top",
        "radeontop",
        "intel_gpu_top",
        "xpu-smi",
        "xpumd",
        "btop",
        "X",
        "Xorg",
        "Xwayland",
        "sway",
        "weston",
        "gnome-shell",
        "kwin_wayland",
        "kwin_x11",
    ];
    SERVERS.contains(&name)
}

/// Whether a job ends below this process: it is a session, a service manager or a container
/// runtime that would start anything, and no launcher of this job.
pub fn bounds_job(name: &str, command: &[String]) -> bool {
    /// As the kernel cuts them, to 15 bytes.
    const RUNS_ANYTHING: &[&str] = &[
        "systemd",
        "init",
        "tini",
        "dumb-init",
        "docker-init",
        "catatonit",
        "containerd-shim",
        "containerd",
        "dockerd",
        "conmon",
        "runc",
        "crun",
        "kubelet",
        "slurmd",
        "slurmstepd",
        "cron",
        "crond",
        "atd",
        "login",
        "su",
        "sudo",
        "sshd",
        "sshd-session",
        "screen",
        "SCREEN",
        "tmux: server",
    ];
    const SHELLS: &[&str] = &["bash", "sh", "dash", "zsh", "fish", "ksh", "csh", "tcsh"];
    // A shell that runs a script is a part of the job, one that a person types into is not.
    let has_script = || command.iter().skip(1).any(|word| !word.starts_with('-'));
    RUNS_ANYTHING.contains(&name) || (SHELLS.contains(&name) && !has_script())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family(pairs: &[(u32, u32)]) -> ProcessTree {
        ProcessTree::new(pairs.iter().map(|(pid, ppid)| (Pid(*pid), Pid(*ppid))))
    }

    #[test]
    fn climbs_to_the_last_known_ancestor() {
        let family = family(&[(30, 20), (20, 10), (10, 1)]);
        assert_eq!(family.ancestors(Pid(30)), [Pid(20), Pid(10)]);
        assert_eq!(family.above([Pid(30), Pid(20)]), [10, 20].map(Pid).into());
        assert_eq!(
            family.with_descendants([Pid(20), Pid(99)]),
            [20, 30].map(Pid).into()
        );
    }

    #[test]
    fn ends_in_a_circle() {
        let family = family(&[(10, 20), (20, 10)]);
        assert_eq!(family.ancestors(Pid(10)), [Pid(20)]);
        assert_eq!(family.above([Pid(10)]), [10, 20].map(Pid).into());
        assert_eq!(family.with_descendants([Pid(10)]), [10, 20].map(Pid).into());
    }

    #[test]
    fn a_shell_with_a_script_is_a_launcher() {
        let words = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
        assert!(bounds_job("bash", &words("-bash")));
        assert!(bounds_job("bash", &words("bash -i")));
        assert!(!bounds_job("bash", &words("bash run.sh")));
        assert!(!bounds_job("pt_elastic", &words("torchrun train.py")));
    }
}
