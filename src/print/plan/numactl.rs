//! A script that starts each rank with numactl, for a program that is started without a launcher.

use std::fmt::Write;

use super::words::{NO_DEVICES, comments, loaders_note, numactl_options, visible_devices};
use crate::document::{Document, PlanDocument};

pub(super) fn launcher(plan: &PlanDocument, map: &Document) -> String {
    let mut out = "#!/bin/sh\n".to_owned();
    out += &comments(plan);
    out += loaders_note(plan);
    out += "# Save it as launch.sh, then: sh launch.sh python train.py\n";
    let world = plan.ranks.len();
    let _ = writeln!(out, "export WORLD_SIZE={world} LOCAL_WORLD_SIZE={world}");
    out +=
        "export MASTER_ADDR=\"${MASTER_ADDR:-127.0.0.1}\" MASTER_PORT=\"${MASTER_PORT:-29500}\"\n";
    match visible_devices(plan, map) {
        // Another value could give a rank a GPU of another node.
        Some(devices) => {
            let _ = writeln!(out, "export CUDA_VISIBLE_DEVICES={devices}");
        }
        None => out += NO_DEVICES,
    }
    out += "pids=\n";
    out += "trap 'kill $pids 2>/dev/null' INT TERM\n";
    for rank in &plan.ranks {
        let (number, options) = (rank.rank, numactl_options(rank));
        let _ = writeln!(
            out,
            "RANK={number} LOCAL_RANK={number} numactl {options} -- \"$@\" & pids=\"$pids $!\" # GPU {}",
            rank.gpu
        );
    }
    out += "status=0\nfor pid in $pids; do wait \"$pid\" || status=$?; done\nexit $status\n";
    out
}
