//! AMD and Intel: which processes use a GPU according to KFD, or else to `fdinfo` of their DRM files.
//!
//! No driver lists the users of such a GPU. This follows the kernel's kfd_process.c and Documentation/gpu/drm-usage-stats.rst.
//! It was tested on trees made by hand only, not on a machine with such a GPU.

use std::collections::{BTreeMap, BTreeSet};

use crate::jobs::{ProcessTree, Step};
use crate::machine::{Gpu, Partition, Reason};
use crate::units::{Bytes, PciAddress, Pid, ranges};
use crate::words::Evidence;

/// A client of a device's driver: the device and its `drm-client-id`. Duplicated and inherited descriptors have the same.
pub(crate) type ClientId = (PciAddress, Option<u64>);

/// What a client did on its device.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientUse {
    /// Whether an engine was busy for it.
    pub(crate) has_run: bool,
    /// Device memory that it has.
    pub(crate) memory: Bytes,
}

/// What a process has open of the drivers of AMD's and Intel's GPUs.
#[derive(Debug, Default)]
pub(crate) struct OpenDrivers {
    /// Whether `/dev/kfd` is open; `None` where the open files could not be listed.
    pub(crate) kfd: Option<bool>,
    pub(crate) clients: BTreeMap<ClientId, ClientUse>,
    /// Whether all of it is known.
    pub(crate) is_complete: bool,
}

/// The facts that decide which processes use these GPUs.
pub(crate) struct DrmFacts<'a> {
    pub(crate) tree: &'a ProcessTree,
    pub(crate) open: BTreeMap<Pid, OpenDrivers>,
    kfd: Kfd,
}

/// KFD's answers. KFD lists host PIDs: in a container, none or another process has such a PID.
#[derive(Debug, Default)]
struct Kfd {
    /// The GPUs, by KFD's ids, of the processes that exist here and have `/dev/kfd` open, as far as can be seen. If another
    /// process of the same PID has it open too, the two cannot be distinguished.
    confirmed: BTreeMap<Pid, BTreeSet<u32>>,
    /// The GPUs of all other PIDs.
    foreign: BTreeMap<Pid, BTreeSet<u32>>,
    /// What could not be read, and why.
    unread: Vec<String>,
}

/// KFD's processes, each with the ids of its GPUs.
pub(crate) type KfdProcesses = Result<BTreeMap<Pid, Result<BTreeSet<u32>, Reason>>, Reason>;

impl<'a> DrmFacts<'a> {
    pub(crate) fn new(
        tree: &'a ProcessTree,
        open: BTreeMap<Pid, OpenDrivers>,
        kfd: KfdProcesses,
    ) -> Self {
        let kfd = Kfd::new(tree, &open, kfd);
        Self { tree, open, kfd }
    }

    /// Adds the users of these GPUs. Returns for each GPU, by index, why there may be more users than were found.
    pub(crate) fn add_users(&self, gpus: &mut [Gpu]) -> BTreeMap<u32, String> {
        let by_fdinfo = self.gpus_by_fdinfo();
        let mut incomplete = BTreeMap::new();
        for gpu in gpus {
            let (Some(drm), Some(address)) = (&gpu.drm, gpu.address) else {
                continue;
            };
            for (pid, addresses) in &by_fdinfo {
                // KFD's word counts more than fdinfo.
                let has_kfd = !drm.kfd_ids.is_empty() && self.kfd.confirmed.contains_key(pid);
                if addresses.contains(&address) && !has_kfd {
                    gpu.users.insert(*pid, Evidence::Drm);
                }
            }
            let by_kfd = self.kfd.confirmed.iter();
            let by_kfd = by_kfd.filter(|(_, ids)| !ids.is_disjoint(&drm.kfd_ids));
            for (pid, ids) in by_kfd.clone() {
                let used = drm.partitions.iter().filter(|of| ids.contains(&of.kfd_id));
                let used: BTreeSet<Partition> = used.copied().collect();
                if !used.is_empty() {
                    gpu.partition_users.insert(*pid, used);
                }
            }
            gpu.users
                .extend(by_kfd.map(|(pid, _)| (*pid, Evidence::Kfd)));
            if let Some(why) = self.why_incomplete(gpu) {
                incomplete.insert(gpu.index, why);
            }
        }
        incomplete
    }

    /// The GPUs whose engines were busy for a process or, if none was, of which it has more memory than an idle client.
    fn gpus_by_fdinfo(&self) -> BTreeMap<Pid, BTreeSet<PciAddress>> {
        /// Page tables are in device memory too, on each GPU that was opened. A guess: nothing was measured.
        const PAGE_TABLES: Bytes = Bytes(1 << 20);
        let with_clients = self
            .open
            .iter()
            .filter(|(_, open)| !open.clients.is_empty());
        let inherited = self.inherited_clients();
        let gpus_of = |(pid, open): (&Pid, &OpenDrivers)| {
            let own = open.clients.iter();
            let own = own.filter(|(id, _)| !inherited.contains(&(*pid, *id)));
            let (mut busy, mut memory) = (BTreeSet::new(), BTreeMap::new());
            for ((address, _), client) in own {
                if client.has_run {
                    busy.insert(*address);
                }
                let sum: &mut Bytes = memory.entry(*address).or_default();
                *sum = sum.checked_add(client.memory).unwrap_or(Bytes(u64::MAX));
            }
            if busy.is_empty() {
                memory.retain(|_, size| *size > PAGE_TABLES);
                busy.extend(memory.into_keys());
            }
            (*pid, busy)
        };
        with_clients.map(gpus_of).collect()
    }

    /// The clients that a process has because an ancestor has them: a forked worker inherits the open files of its trainer.
    fn inherited_clients(&self) -> BTreeSet<(Pid, &ClientId)> {
        let mut inherited = BTreeSet::new();
        // How many of the processes above have it.
        let mut above: BTreeMap<&ClientId, usize> = BTreeMap::new();
        self.tree.walk_down(|pid, step| {
            for id in self
                .open
                .get(&pid)
                .iter()
                .flat_map(|open| open.clients.keys())
            {
                let count = above.entry(id).or_default();
                match step {
                    Step::Enter => {
                        if *count > 0 {
                            inherited.insert((pid, id));
                        }
                        *count += 1;
                    }
                    Step::Leave => *count = count.saturating_sub(1),
                }
            }
        });
        inherited
    }

    /// `None` where nothing suggests that there are more users of this GPU than were found.
    fn why_incomplete(&self, gpu: &Gpu) -> Option<String> {
        let mut reasons = self.kfd.why_incomplete(&gpu.drm.as_ref()?.kfd_ids);
        if !gpu.is_seen_unused() {
            reasons.extend(self.unknown_processes());
        }
        let unexplained = gpu
            .in_use()
            .filter(|_| gpu.users.is_empty() && reasons.is_empty());
        reasons.extend(unexplained.map(|used| Reason::InUseByHidden(used).to_string()));
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    /// The processes about which neither KFD nor their open files say everything.
    fn unknown_processes(&self) -> Option<String> {
        let unknown = self
            .open
            .iter()
            .filter(|(pid, open)| !open.is_complete && !self.kfd.confirmed.contains_key(pid));
        let unknown: Vec<&OpenDrivers> = unknown.map(|(_, open)| open).collect();
        let processes = match unknown.len() {
            0 => return None,
            1 => "1 process uses".to_owned(),
            several => format!("{several} processes use"),
        };
        let why = if unknown.iter().any(|open| open.kfd.is_none()) {
            "permission denied in /proc/PID/fd; run as root"
        } else {
            "the driver reports no use in fdinfo"
        };
        Some(format!("it is unknown whether {processes} this GPU: {why}"))
    }
}

impl Kfd {
    fn new(tree: &ProcessTree, open: &BTreeMap<Pid, OpenDrivers>, processes: KfdProcesses) -> Self {
        let mut kfd = Self::default();
        let processes = processes.unwrap_or_else(|reason| {
            kfd.unread
                .push(format!("KFD's list of processes: {reason}"));
            BTreeMap::new()
        });
        for (pid, gpus) in processes {
            let is_without_kfd = open.get(&pid).is_some_and(|open| open.kfd == Some(false));
            match gpus {
                Err(reason) => kfd
                    .unread
                    .push(format!("KFD's GPUs of process {pid}: {reason}")),
                // The process opened /dev/kfd and did nothing else.
                Ok(gpus) if gpus.is_empty() => {}
                Ok(gpus) if !tree.contains(pid) || is_without_kfd => {
                    kfd.foreign.insert(pid, gpus);
                }
                Ok(gpus) => drop(kfd.confirmed.insert(pid, gpus)),
            }
        }
        kfd
    }

    /// Why there may be more users of a GPU with these ids.
    fn why_incomplete(&self, ids: &BTreeSet<u32>) -> Vec<String> {
        if ids.is_empty() {
            return Vec::new();
        }
        let foreign = self.foreign.iter().filter(|(_, of)| !of.is_disjoint(ids));
        let foreign = ranges(foreign.map(|(pid, _)| pid.0));
        let foreign = (!foreign.is_empty()).then(|| {
            format!(
                "KFD lists host PID {foreign}, which does not exist here or has no /dev/kfd open: the process ended, or is \
                 in another PID namespace"
            )
        });
        foreign
            .into_iter()
            .chain(self.unread.iter().cloned())
            .collect()
    }
}
