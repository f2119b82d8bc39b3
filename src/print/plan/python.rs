//! Python that binds a rank and its loaders, where the launcher cannot.

use std::fmt::Write;

use super::words::{FIRST_TOUCH, LOCAL_RANK, comments};
use crate::document::PlanDocument;

pub(super) fn functions(plan: &PlanDocument) -> String {
    // Python looks for this in the first two lines, and takes `coding: 8 ranks` of the next line for it otherwise.
    let mut out = "# -*- coding: utf-8 -*-\n".to_owned();
    out += &comments(plan);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Tool;

    fn plan_for(host: &str) -> PlanDocument {
        PlanDocument {
            schema_version: crate::document::PLAN_SCHEMA_VERSION,
            tool: Tool::this(),
            hostname: Some(host.to_owned()),
            workers: 0,
            exclusive: false,
            reserved_cpus: Default::default(),
            ranks: Vec::new(),
            notes: Vec::new(),
        }
    }

    #[test]
    fn a_host_name_does_not_change_the_encoding() {
        // With it `import` runs what stands behind: in UTF-7 that is a line of its own.
        for host in ["x coding:utf-7 +AAo-print(1)+ACM-", "vim: set x:", ""] {
            let text = functions(&plan_for(host));
            let second = text.lines().nth(1).unwrap();
            assert!(
                second.starts_with("# Made by numa-audit plan: "),
                "{second}"
            );
        }
        let text = functions(&plan_for("coding"));
        let lines: Vec<&str> = text.lines().take(2).collect();
        assert_eq!(lines[0], "# -*- coding: utf-8 -*-");
        assert!(lines[1].contains(" for coding: "), "{text}");
    }
}
