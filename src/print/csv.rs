//! CSV: one row for each process.

use std::io::{self, Write};

use ::csv::Writer;

use crate::document::{Document, ProcessEntry};
use crate::print::harmless;
use crate::units::{NodeId, NodeSet, node_list, ranges};

/// A column: its header, and its cell for a process. An empty cell is unknown, or does not apply.
type CsvColumn = (&'static str, fn(&ProcessEntry) -> String);

const COLUMNS: &[CsvColumn] = &[
    ("pid", |of| of.pid.to_string()),
    ("ppid", |of| of.ppid.to_string()),
    ("started_at", |of| optional(&of.started_at)),
    ("name", |of| text(&of.name)),
    ("command", |of| optional(&of.command)),
    ("user", |of| optional(&of.user)),
    ("role", |of| optional(&of.role)),
    ("gpus", |of| ranges(of.gpus.iter().copied())),
    ("gpu_source", |of| optional(&of.gpu_source)),
    ("trainer_pid", |of| optional(&of.trainer_pid)),
    ("attribution", |of| optional(&of.attribution)),
    ("rank", |of| optional(&of.rank)),
    ("local_rank", |of| optional(&of.local_rank)),
    ("container", |of| optional(&of.container)),
    ("job", |of| optional(&of.job)),
    ("pod", |of| optional(&of.pod)),
    ("framework", |of| optional(&of.framework)),
    ("task", |of| optional(&of.task)),
    ("home_nodes", |of| node_list(&of.home_nodes)),
    ("local_nodes", |of| node_list(&of.local_nodes)),
    ("cpu_node", |of| optional(&of.cpu.node)),
    ("affinity", |of| optional(&of.cpu.affinity)),
    ("affinity_nodes", |of| node_list(&of.cpu.affinity_nodes)),
    ("bound", |of| optional(&of.cpu.bound)),
    ("threads", |of| {
        let threads = of.cpu.threads.as_ref();
        optional(&threads.map(|threads| threads.total))
    }),
    ("threads_astray", |of| optional(&of.astray())),
    ("cpu_verdict", |of| optional(&of.cpu.verdict)),
    ("memory_node", |of| optional(&of.memory.node)),
    ("memory_policy", |of| optional(&of.memory.policy)),
    ("policy_nodes", |of| nodes(&of.memory.policy_nodes)),
    ("mems_allowed", |of| nodes(&of.memory.mems_allowed)),
    ("memory_bytes", |of| {
        optional(&of.memory.total().map(|total| total.0))
    }),
    ("local_fraction", |of| optional(&of.memory.local_fraction)),
    ("exact", |of| optional(&of.memory.exact)),
    ("error", |of| optional(&of.memory.error)),
    ("memory_verdict", |of| optional(&of.memory.verdict)),
    ("verdict", |of| optional(&of.verdict)),
    ("findings", |of| text(&of.findings.join(" "))),
];

/// Writes a header and a row for each process. Behind the fixed columns each node of the machine has one for the bytes of
/// working memory there.
///
/// # Errors
/// Those of writing.
pub(crate) fn processes(document: &Document, out: impl Write) -> io::Result<()> {
    let mut writer = Writer::from_writer(out);
    let nodes = document.topology.nodes.iter().map(|node| node.id);
    let nodes: Vec<NodeId> = nodes.collect();
    let headers = COLUMNS.iter().map(|(header, _)| (*header).to_owned());
    let of_nodes = nodes.iter().map(|node| format!("node_{node}_bytes"));
    writer.write_record(headers.chain(of_nodes))?;
    for process in document.processes() {
        let cells = COLUMNS.iter().map(|(_, cell)| cell(process));
        let by_node = process.memory.by_node_bytes.as_ref();
        let of_nodes = nodes.iter().map(|node| {
            let bytes = by_node.map(|by_node| by_node.get(node).map_or(0, |bytes| bytes.0));
            optional(&bytes)
        });
        writer.write_record(cells.chain(of_nodes))?;
    }
    writer.flush()
}

fn optional(value: &Option<impl ToString>) -> String {
    value
        .as_ref()
        .map_or_else(String::new, |value| text(&value.to_string()))
}

fn nodes(nodes: &Option<NodeSet>) -> String {
    nodes.as_ref().map_or_else(String::new, node_list)
}

/// Text that cannot act on a terminal and that a spreadsheet does not take for a formula: one that begins like a formula gets
/// an apostrophe in front, which spreadsheets hide.
fn text(text: &str) -> String {
    let text = harmless(text);
    let first = text.trim_start().chars().next();
    if first.is_some_and(|first| matches!(first, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠'))
    {
        format!("'{text}")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_neither_a_formula_nor_an_escape_sequence() {
        assert_eq!(text("python3"), "python3");
        for evil in ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "＝1"] {
            assert_eq!(text(evil), format!("'{evil}"));
        }
        assert_eq!(text("\t=1"), "\\t=1");
        assert_eq!(text("a\u{1b}[31m\r\n"), "a\\u{1b}[31m\\r\\n");
    }
}
