//! A wrapper that binds the rank that it starts.

use std::fmt::Write;

use super::words::{LOCAL_RANK, NO_DEVICES, comments, loaders_note, visible_devices};
use crate::document::{Document, PlanDocument};
use crate::units::node_list;

pub(super) fn wrapper(plan: &PlanDocument, map: &Document) -> String {
    let mut out = "#!/bin/sh\n".to_owned();
    out += &comments(plan);
    out += loaders_note(plan);
    out += "# Save it as bind.sh, chmod +x bind.sh, and put it before the program of each rank:\n";
    out += "#   torchrun --no-python ./bind.sh python train.py\n";
    // Without it srun may have bound the task already, and numactl refuses CPUs outside of that.
    out += "#   srun --cpu-bind=none ./bind.sh python train.py\n";
    out += "#   mpirun --bind-to none ./bind.sh python train.py\n";
    let rank = LOCAL_RANK.iter().rev();
    let rank = rank.fold(String::new(), |rest, name| format!("${{{name}:-{rest}}}"));
    let _ = writeln!(out, "rank={rank}");
    out += "case $rank in\n";
    for rank in &plan.ranks {
        let (number, gpu, cpus) = (rank.rank, rank.gpu, &rank.cpus);
        let memory = node_list(&rank.memory_nodes);
        let _ = writeln!(out, "{number}) cpus={cpus} memory={memory} ;; # GPU {gpu}");
    }
    out += "*) echo \"bind.sh: no rank \\\"$rank\\\" in the plan\" >&2; exit 1 ;;\nesac\n";
    out += &devices(plan, map);
    out += "exec numactl --physcpubind=\"$cpus\" --membind=\"$memory\" -- \"$@\"\n";
    out
}

/// The lines that give rank N the GPU of its line. A value that the job has already may give it another one.
fn devices(plan: &PlanDocument, map: &Document) -> String {
    let Some(devices) = visible_devices(plan, map) else {
        return NO_DEVICES.to_owned();
    };
    let indexes = plan.ranks.iter().map(|rank| rank.gpu.to_string());
    let indexes = indexes.collect::<Vec<_>>().join(",");
    format!(
        "# Rank N uses device N of this list, unless the job has its own.\n\
         devices={devices}\n\
         case ${{CUDA_VISIBLE_DEVICES:=$devices}} in\n\
         \"$devices\" | {indexes}) ;;\n\
         *) echo \"bind.sh: CUDA_VISIBLE_DEVICES is $CUDA_VISIBLE_DEVICES: is rank $rank on its GPU of the plan?\" >&2 ;;\n\
         esac\n\
         export CUDA_VISIBLE_DEVICES\n"
    )
}
