//! Python that binds a rank and its loaders, where the launcher cannot.

use std::fmt::Write;

use super::words::{FIRST_TOUCH, LOCAL_RANK, comments};
use crate::document::PlanDocument;

pub(super) fn functions(plan: &PlanDocument) -> String {
    let mut out = comments(plan);
    out += "# Call bind() first of all, before torch is imported: threads that exist already stay where they are.\n";
    out += "# DataLoader(..., worker_init_fn=bind_worker) binds the loaders.\n";
    out += FIRST_TOUCH;
    out += "import os\n\n";
    out += "# By local rank: the CPUs of the rank, and those of its loaders.\nPLAN = {\n";
    for rank in &plan.ranks {
        let (number, cpus, workers) = (rank.rank, &rank.cpus, &rank.worker_cpus);
        let _ = writeln!(
            out,
            "    {number}: (\"{cpus}\", \"{workers}\"),  # GPU {}",
            rank.gpu
        );
    }
    let names = LOCAL_RANK.map(|name| format!("    \"{name}\",\n")).concat();
    let _ = write!(
        out,
        "}}\n# The variable that has the local rank, by launcher.\nRANKS = (\n{names})\n\n\n"
    );
    out += r#"def _bind(part):
    rank = next(int(os.environ[name]) for name in RANKS if name in os.environ)
    ranges = PLAN[rank][part].split(",")
    pairs = [(r.split("-")[0], r.split("-")[-1]) for r in ranges]
    os.sched_setaffinity(0, {cpu for first, last in pairs for cpu in range(int(first), int(last) + 1)})


def bind():
    _bind(0)


def bind_worker(worker_id):
    _bind(1)
"#;
    out
}
