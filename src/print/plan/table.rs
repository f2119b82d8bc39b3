//! The plan as a table.

use crate::document::PlanDocument;
use crate::print::{Terminal, cell, harmless};
use crate::units::{CpuSet, node_list};

pub(super) fn table(plan: &PlanDocument, terminal: &Terminal) -> String {
    let host = plan
        .hostname
        .as_deref()
        .map_or("this machine".to_owned(), harmless);
    let (count, loaders) = (plan.ranks.len(), plan.workers);
    let mut head = format!(
        "Plan for {host}: {count} {}",
        if count == 1 { "rank" } else { "ranks" }
    );
    if loaders > 0 {
        head += &format!(", {loaders} loader processes each");
    }
    head += if plan.exclusive {
        ", each with cores of its own"
    } else {
        ", the ranks of a node share its CPUs"
    };
    let mut out = terminal.wrap("", &head, 2);
    let mut drawn = terminal.table(&["RANK", "GPU", "NODE", "CPUS", "MEMORY NODES", "LOADER CPUS"]);
    for rank in &plan.ranks {
        let node = rank
            .node
            .map_or("several".to_owned(), |node| node.to_string());
        let cells = [
            rank.rank.to_string(),
            rank.gpu.to_string(),
            node,
            cpus(&rank.cpus),
            node_list(&rank.memory_nodes),
            cpus(&rank.worker_cpus),
        ];
        drawn.add_row(cells.map(|text| cell(&text)));
    }
    out += &format!("\n{}\n", drawn.trim_fmt());
    for note in &plan.notes {
        out += &terminal.wrap("", &format!("note: {}", harmless(note)), 2);
    }
    out
}

/// `0-23,48-71 (48)`
fn cpus(cpus: &CpuSet) -> String {
    format!("{cpus} ({})", cpus.iter().count())
}
