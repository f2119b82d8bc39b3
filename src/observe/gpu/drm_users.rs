//! Who works on the GPUs of AMD and Intel: KFD's word first, then what `fdinfo` tells of the DRM files that processes have
//! open.
//!
//! No driver lists the users of such a GPU, and no machine with one was seen: this follows the kernel's kfd_process.c and
//! Documentation/gpu/drm-usage-stats.rst, and is tested on made-up trees alone.

use std::collections::{BTreeMap, BTreeSet};

use crate::jobs::process_tree::ProcessTree;
use crate::machine::gap::{Fact, Gap, Reason};
use crate::machine::gpu::{Evidence, Gpu};
use crate::observe::gpu::fdinfo::{DrmClient, parse_fdinfo};
use crate::observe::gpu::kfd;
use crate::observe::process::fd::{KFD_FILE, parse_drm_file};
use crate::observe::process::open_files;
use crate::observe::process::pool::{Readers, lock};
use crate::observe::process::stat::Stat;
use crate::observe::root::Root;
use crate::units::{Bytes, PciAddress, Pid, ranges};

/// Looks for those that work on these GPUs. `recorded` is what a recording says of why it is not known who uses some, by
/// their index: it has nothing of the processes for which that is so.
pub fn find(
    readers: &Readers,
    gpus: &mut [Gpu],
    stats: &BTreeMap<Pid, Stat>,
    recorded: &BTreeMap<u32, String>,
    gaps: &mut Vec<Gap>,
) {
    // Nobody's files are looked through where there is no such GPU.
    if gpus.iter().all(|gpu| gpu.drm.is_none()) {
        return;
    }
    let opened = read_opened(readers, gpus, stats);
    let by_kfd = ask_kfd(readers.root(), stats, &opened);
    let by_drm = ask_drm(stats, &opened);
    for gpu in gpus {
        let (Some(drm), Some(address)) = (&gpu.drm, gpu.address) else {
            continue;
        };
        let is_here = |ids: &BTreeSet<u32>| !ids.is_disjoint(&drm.kfd_ids);
        for (pid, addresses) in &by_drm {
            // Where KFD tells of a process, it is believed.
            let is_told = !drm.kfd_ids.is_empty() && by_kfd.believed.contains_key(pid);
            if addresses.contains(&address) && !is_told {
                gpu.users.insert(*pid, Evidence::Drm);
            }
        }
        for (pid, _) in by_kfd.believed.iter().filter(|(_, ids)| is_here(ids)) {
            gpu.users.insert(*pid, Evidence::Kfd);
        }
        let seen = why_not_all(gpu, &by_kfd, &opened);
        let reason = recorded.get(&gpu.index).cloned().or(seen);
        gaps.extend(reason.map(|reason| Gap {
            pid: None,
            fact: Fact::GpuProcesses(gpu.index),
            reason: Reason::Failed(reason),
        }));
    }
}

/// Why others than those that were found may work on this GPU; `None` where nothing speaks for it.
fn why_not_all(gpu: &Gpu, by_kfd: &KfdWord, opened: &BTreeMap<Pid, Opened>) -> Option<String> {
    let drm = gpu.drm.as_ref()?;
    let mut reasons = Vec::new();
    let strangers = by_kfd.strangers.iter();
    let strangers = strangers.filter(|(_, ids)| !ids.is_disjoint(&drm.kfd_ids));
    let strangers = ranges(strangers.map(|(pid, _)| pid.0));
    if !strangers.is_empty() {
        reasons.push(format!(
            "KFD names the host's PID {strangers}, and here that is nobody or has no {KFD_FILE} open: it ended, or is in \
             another PID namespace"
        ));
    }
    if !drm.kfd_ids.is_empty() {
        reasons.extend(by_kfd.unread.iter().cloned());
    }
    let is_untold =
        |(pid, opened): &(&Pid, &Opened)| !opened.is_whole && !by_kfd.believed.contains_key(pid);
    let untold: Vec<&Opened> = opened.iter().filter(is_untold).map(|(_, of)| of).collect();
    if !untold.is_empty() && !gpu.is_seen_unused() {
        let whom = match untold.len() {
            1 => "1 process uses".to_owned(),
            several => format!("{several} processes use"),
        };
        let why = match untold.iter().any(|opened| opened.kfd.is_none()) {
            true => "permission denied in /proc/PID/fd; run as root",
            false => "the driver does not tell in fdinfo",
        };
        reasons.push(format!("whether {whom} it cannot be seen: {why}"));
    }
    let used = gpu.in_use().filter(|_| gpu.users.is_empty());
    if let Some(used) = used.filter(|_| reasons.is_empty()) {
        reasons.push(format!(
            "{used} in use by processes that are not visible here: another PID namespace; run on the host or with \
             the host's PID namespace"
        ));
    }
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// A client of a device's driver: descriptors of the same are one, duplicated or inherited.
type ClientId = (PciAddress, Option<u64>);

/// What a process has open of the drivers of such GPUs.
#[derive(Debug, Default)]
struct Opened {
    /// Whether `/dev/kfd` is among it; `None` where that may not be seen.
    kfd: Option<bool>,
    clients: BTreeMap<ClientId, DrmClient>,
    /// Whether that is all of it.
    is_whole: bool,
}

fn read_opened(
    readers: &Readers,
    gpus: &[Gpu],
    stats: &BTreeMap<Pid, Stat>,
) -> BTreeMap<Pid, Opened> {
    let drm = gpus.iter().filter_map(|gpu| gpu.drm.as_ref());
    let nodes: BTreeSet<String> = drm.flat_map(|drm| &drm.nodes).cloned().collect();
    let of_users = stats.iter().filter(|(_, stat)| !stat.is_of_kernel());
    let pids: Vec<Pid> = of_users.map(|(pid, _)| *pid).collect();
    // Of one that did not answer it is not known.
    let opened = readers.each(pids, move |root, pid, opened| {
        let of_process = read_opened_by(root, pid, &nodes);
        *lock(opened) = of_process;
    });
    let opened = opened.into_iter();
    opened.map(|(pid, opened)| (pid, opened.found)).collect()
}

fn read_opened_by(root: &Root, pid: Pid, nodes: &BTreeSet<String>) -> Opened {
    let (mut has_kfd, mut files) = (false, Vec::new());
    let listed = open_files::each_open_file(root, pid, |fd, target| {
        has_kfd |= target == KFD_FILE;
        if let Some(name) = parse_drm_file(target) {
            files.push((fd.to_owned(), name.to_owned()));
        }
    });
    match listed {
        Ok(()) => {}
        // It ended; or it is a recorded one, of which nothing is kept that is no business of an audit.
        Err(Reason::Absent | Reason::Gone) => {
            return Opened {
                is_whole: true,
                ..Opened::default()
            };
        }
        Err(_) => return Opened::default(),
    }
    let mut opened = Opened {
        kfd: Some(has_kfd),
        is_whole: true,
        ..Opened::default()
    };
    for (fd, name) in &files {
        let text = root.read(&format!("proc/{pid}/fdinfo/{fd}"));
        match text.and_then(|text| Ok(parse_fdinfo(&text)?)) {
            // It was closed meanwhile.
            Err(Reason::Absent | Reason::Gone) if root.is_live() => {}
            Ok(
                client @ DrmClient {
                    address: Some(address),
                    ..
                },
            ) if client.reports_work() => {
                opened.clients.insert((address, client.id), client);
            }
            // NVIDIA's driver may be silent here: NVML tells of its GPUs.
            Ok(_) if !nodes.contains(name) => {}
            _ => opened.is_whole = false,
        }
    }
    opened
}

/// What KFD says, as far as it can be.
#[derive(Debug, Default)]
struct KfdWord {
    /// On which GPUs, by KFD's numbers, processes work that are here and have `/dev/kfd` open.
    believed: BTreeMap<Pid, BTreeSet<u32>>,
    /// The same of those for which that is not so: KFD's numbers are those of the host, and in a container nobody's or
    /// another's. Where somebody else of that number has `/dev/kfd` open too, nothing tells.
    strangers: BTreeMap<Pid, BTreeSet<u32>>,
    /// What could not be read of it, and why.
    unread: Vec<String>,
}

fn ask_kfd(root: &Root, stats: &BTreeMap<Pid, Stat>, opened: &BTreeMap<Pid, Opened>) -> KfdWord {
    let mut word = KfdWord::default();
    let processes = kfd::read_processes(root).unwrap_or_else(|reason| {
        word.unread
            .push(format!("KFD's list of processes: {reason}"));
        BTreeMap::new()
    });
    for (pid, gpus) in processes {
        let is_without_kfd = opened.get(&pid).is_some_and(|own| own.kfd == Some(false));
        match gpus {
            Err(reason) => word
                .unread
                .push(format!("what KFD has of process {pid}: {reason}")),
            // It opened /dev/kfd, and that was all.
            Ok(gpus) if gpus.is_empty() => {}
            Ok(gpus) if !stats.contains_key(&pid) || is_without_kfd => {
                word.strangers.insert(pid, gpus);
            }
            Ok(gpus) => {
                word.believed.insert(pid, gpus);
            }
        }
    }
    word
}

/// On which GPUs each process works: those whose engines were busy for it or, where none was, those of whose memory it
/// has more than a client has that does nothing.
fn ask_drm(
    stats: &BTreeMap<Pid, Stat>,
    opened: &BTreeMap<Pid, Opened>,
) -> BTreeMap<Pid, BTreeSet<PciAddress>> {
    /// Page tables lie in the device's memory too, on every GPU that was opened. A guess: nothing was measured.
    const PAGE_TABLES: Bytes = Bytes(1 << 20);
    let family = ProcessTree::new(stats.iter().map(|(pid, stat)| (*pid, stat.ppid)));
    let clients = |pid: &Pid| opened.get(pid).map(|opened| &opened.clients);
    let mut working = BTreeMap::new();
    for (pid, of) in opened.iter().filter(|(_, of)| !of.clients.is_empty()) {
        // A forked worker has inherited its trainer's files.
        let above = family.ancestors(*pid);
        let inherited: BTreeSet<&ClientId> = above
            .iter()
            .filter_map(clients)
            .flat_map(BTreeMap::keys)
            .collect();
        let own = of.clients.iter().filter(|(id, _)| !inherited.contains(id));
        let (mut busy, mut memory) = (BTreeSet::new(), BTreeMap::new());
        for ((address, _), client) in own {
            if client.has_run == Some(true) {
                busy.insert(*address);
            }
            let sizes: &mut Bytes = memory.entry(*address).or_default();
            let size = client.device_memory.unwrap_or_default();
            *sizes = sizes.checked_add(size).unwrap_or(Bytes(u64::MAX));
        }
        if busy.is_empty() {
            memory.retain(|_, size| *size > PAGE_TABLES);
            busy.extend(memory.into_keys());
        }
        working.insert(*pid, busy);
    }
    working
}
