//! A wrapper that binds the rank that it starts.

use std::fmt::Write;

use super::words::{LOCAL_RANK, comments, visible_devices};
use crate::document::PlanDocument;
use crate::units::node_list;

pub(super) fn wrapper(plan: &PlanDocument) -> String {
    let mut out = "#!/bin/sh\n".to_owned();
    out += &comments(plan);
    out += "# Save it as bind.sh, chmod +x bind.sh, and put it before the program of each rank:\n";
    out += "#   torchrun --no-python ./bind.sh python train.py\n";
    out += "#   srun ./bind.sh python train.py\n";
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
    if let Some(devices) = visible_devices(plan) {
        let _ = writeln!(
            out,
            "# Rank N uses device N of this list, unless the job has its own."
        );
        let _ = writeln!(
            out,
            "export CUDA_VISIBLE_DEVICES=\"${{CUDA_VISIBLE_DEVICES:-{devices}}}\""
        );
    }
    out += "exec numactl --physcpubind=\"$cpus\" --membind=\"$memory\" -- \"$@\"\n";
    out
}
