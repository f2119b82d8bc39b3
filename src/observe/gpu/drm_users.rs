//! Reads what decides which processes use AMD's and Intel's GPUs: their open files, `fdinfo` and KFD.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use crate::jobs::ProcessTree;
use crate::jobs::gpu_users::drm::{ClientUse, DrmFacts, OpenDrivers};
use crate::machine::{Fact, Gap, Gpu, Reason};
use crate::observe::deadline::Deadline;
use crate::observe::gpu::{DrmClient, kfd, parse_fdinfo};
use crate::observe::process::{KFD_FILE, Readers, lock, open_files, parse_drm_file};
use crate::observe::root::Root;
use crate::units::Pid;

/// Finds the users of these GPUs among the processes of `tree`. `recorded`: why the users of a GPU, by index, were not all
/// known when a recording was made. It has no files of the processes that caused this.
pub(crate) fn find(
    readers: &Readers,
    gpus: &mut [Gpu],
    tree: &ProcessTree,
    recorded: &BTreeMap<u32, String>,
    gaps: &mut Vec<Gap>,
) {
    // No open files are read on a machine without such a GPU.
    if gpus.iter().all(|gpu| gpu.drm.is_none()) {
        return;
    }
    let open = read_open(readers, gpus, tree);
    let facts = DrmFacts::new(tree, open, kfd::read_processes(readers.root()));
    let mut incomplete = facts.add_users(gpus);
    let with_drm = gpus
        .iter()
        .filter(|gpu| gpu.drm.is_some() && gpu.address.is_some());
    gaps.extend(with_drm.filter_map(|gpu| {
        let found = incomplete.remove(&gpu.index);
        let reason = recorded.get(&gpu.index).cloned().or(found)?;
        Some(Gap {
            pid: None,
            fact: Fact::GpuProcesses(gpu.index),
            reason: Reason::Failed(reason),
        })
    }));
}

fn read_open(readers: &Readers, gpus: &[Gpu], tree: &ProcessTree) -> BTreeMap<Pid, OpenDrivers> {
    let drm = gpus.iter().filter_map(|gpu| gpu.drm.as_ref());
    let nodes: BTreeSet<String> = drm.flat_map(|drm| &drm.nodes).cloned().collect();
    let pids: Vec<Pid> = tree.pairs().map(|(pid, _)| pid).collect();
    // The default is right for a process that did not answer: nothing is known of it.
    let open = readers.each_in_share(pids, move |root, pid, until, open| {
        let of_process = read_open_by(root, pid, until, &nodes);
        *lock(open) = of_process;
    });
    open.into_iter()
        .map(|(pid, open)| (pid, open.found))
        .collect()
}

fn read_open_by(root: &Root, pid: Pid, until: Deadline, nodes: &BTreeSet<String>) -> OpenDrivers {
    let (mut has_kfd, mut files) = (false, Vec::new());
    let listed = open_files::each_open_file(root, pid, until, |fd, target| {
        let (is_kfd, drm) = (target == KFD_FILE, parse_drm_file(target));
        has_kfd |= is_kfd;
        files.extend(drm.map(|name| (fd.to_owned(), name.to_owned())));
        ControlFlow::Continue(is_kfd || drm.is_some())
    });
    // Clients count in this order.
    files.sort_unstable();
    let mut open = OpenDrivers {
        is_complete: true,
        ..OpenDrivers::default()
    };
    match listed {
        Ok(()) => open.kfd = Some(has_kfd),
        // The process ended; or it was recorded, and a recording keeps no other open files.
        Err(Reason::Absent | Reason::Gone) => return open,
        Err(_) => return OpenDrivers::default(),
    }
    for (fd, name) in &files {
        if until.is_over() {
            return OpenDrivers::default();
        }
        let text = root.read(&format!("{}/fdinfo/{fd}", root.process_folder(pid)));
        match text.and_then(|text| Ok(parse_fdinfo(&text)?)) {
            // The file was closed since the listing.
            Err(Reason::Absent | Reason::Gone) if root.is_live() => {}
            Ok(
                client @ DrmClient {
                    address: Some(address),
                    ..
                },
            ) if client.reports_work() => {
                let client_use = ClientUse {
                    has_run: client.has_run == Some(true),
                    memory: client.device_memory.unwrap_or_default(),
                };
                open.clients.insert((address, client.id), client_use);
            }
            // NVIDIA's driver may report nothing here: NVML lists the users of its GPUs.
            Ok(_) if !nodes.contains(name) => {}
            _ => open.is_complete = false,
        }
    }
    open
}
