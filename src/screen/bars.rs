//! A line for each node: its GPUs, the CPU time that is used there, and the memory of the processes, that of its own GPUs and
//! that of others.

use std::collections::{BTreeMap, BTreeSet};

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::document::{Document, GpuEntry, ProcessEntry};
use crate::screen::look::Look;
use crate::screen::state::State;
use crate::units::{Bytes, NodeId};
use crate::words::{Verdict, Word};

/// What is known of a node.
#[derive(Debug, Default)]
struct NodeUse<'a> {
    gpus: Vec<&'a GpuEntry>,
    /// Seconds since the last answer.
    cpu_seconds: f64,
    local: Bytes,
    /// Of processes that should have their memory elsewhere.
    foreign: Bytes,
}

/// How many lines there are.
pub(crate) fn lines(state: &State) -> usize {
    state.document().map_or(0, |document| uses(document).len())
}

/// The lines, the last one with how many there are more where there are more than `most`.
pub(crate) fn bars(document: &Document, width: u16, most: usize, look: Look) -> Vec<Line<'static>> {
    let uses = uses(document);
    let shown = match uses.len() > most {
        true => most.saturating_sub(1),
        false => most,
    };
    let largest = uses
        .values()
        .map(|of| of.local.0.saturating_add(of.foreign.0))
        .max();
    let texts: Vec<Row> = uses
        .iter()
        .take(shown)
        .map(|(node, of)| Row::of(*node, of, document, look))
        .collect();
    let gpu_width = texts.iter().map(|row| row.gpus_width()).max().unwrap_or(0);
    let cpu_width = texts.iter().map(|row| row.cpu.len()).max().unwrap_or(0);
    let size_width = texts.iter().map(|row| row.sizes.len()).max().unwrap_or(0);
    let name_width = texts.iter().map(|row| row.name.len()).max().unwrap_or(0);
    let used = name_width + gpu_width + cpu_width + size_width + 8;
    let bar = usize::from(width).saturating_sub(used).min(40);
    let mut lines: Vec<Line> = Vec::new();
    for (row, of) in texts.into_iter().zip(uses.values()) {
        let gap = gpu_width - row.gpus_width();
        let mut spans = vec![Span::raw(format!("{:name_width$}  ", row.name))];
        spans.extend(row.gpus);
        spans.push(Span::raw(format!("{:gap$}  {:>cpu_width$}  ", "", row.cpu)));
        spans.extend(bar_of(of, largest.unwrap_or(0), bar, look));
        spans.push(Span::raw(format!("  {}", row.sizes)));
        lines.push(Line::from(spans));
    }
    if uses.len() > shown {
        lines.push(Line::styled(
            format!("{} nodes more", uses.len() - shown),
            look.quiet(),
        ));
    }
    lines
}

/// The nodes with GPUs or processes.
fn uses(document: &Document) -> BTreeMap<NodeId, NodeUse<'_>> {
    let mut uses: BTreeMap<NodeId, NodeUse> = BTreeMap::new();
    let known: BTreeSet<NodeId> = document.topology.nodes.iter().map(|node| node.id).collect();
    for gpu in &document.topology.gpus {
        for node in &gpu.home_nodes {
            uses.entry(*node).or_default().gpus.push(gpu);
        }
    }
    for process in document.processes() {
        let window = process.cpu.window.iter();
        for (node, seconds) in window.flat_map(|window| &window.cpu_seconds_by_node) {
            uses.entry(*node).or_default().cpu_seconds += seconds;
        }
        let gpus = document.topology.gpus.iter();
        let own = gpus.filter(|gpu| process.gpus.contains(&gpu.index));
        let local = process.nodes_of_local_memory(own);
        let is_local = |node: &NodeId| local.is_empty() || local.contains(node);
        for (node, size) in process.memory.by_node_bytes.iter().flatten() {
            let of = uses.entry(*node).or_default();
            let sum = if is_local(node) {
                &mut of.local
            } else {
                &mut of.foreign
            };
            *sum = Bytes(sum.0.saturating_add(size.0));
        }
    }
    uses.retain(|node, _| known.is_empty() || known.contains(node));
    uses
}

struct Row {
    name: String,
    gpus: Vec<Span<'static>>,
    cpu: String,
    sizes: String,
}

impl Row {
    fn of(node: NodeId, of: &NodeUse, document: &Document, look: Look) -> Self {
        let seconds = document.window.as_ref().map(|window| window.seconds);
        let cpu = match seconds {
            Some(seconds) if seconds > 0.0 => {
                format!("CPU {:.0}%", of.cpu_seconds / seconds * 100.0)
            }
            _ => String::new(),
        };
        let sizes = match (of.local.0, of.foreign.0) {
            (0, 0) => "no memory".to_owned(),
            (_, 0) => of.local.to_string(),
            _ => format!(
                "{}, {} away from its GPU",
                Bytes(of.local.0.saturating_add(of.foreign.0)),
                of.foreign
            ),
        };
        Self {
            name: format!("node {node}"),
            gpus: gpus(&of.gpus, document.processes(), look),
            cpu,
            sizes,
        }
    }

    fn gpus_width(&self) -> usize {
        self.gpus.iter().map(Span::width).sum()
    }
}

/// `GPU 0 1! 2!`: those with a mismatch have an exclamation mark, those at risk or unknown a question mark.
fn gpus(gpus: &[&GpuEntry], processes: &[ProcessEntry], look: Look) -> Vec<Span<'static>> {
    const MOST: usize = 16;
    let mut spans = Vec::new();
    if !gpus.is_empty() {
        spans.push(Span::raw("GPU"));
    }
    for gpu in gpus.iter().take(MOST) {
        let users = processes.iter().filter(|of| of.gpus.contains(&gpu.index));
        let worst: Option<Verdict> = users.filter_map(|of| of.verdict.as_ref()?.known()).max();
        let mark = match worst {
            Some(Verdict::Mismatch) => "!",
            Some(Verdict::AtRisk | Verdict::Unknown) => "?",
            _ => "",
        };
        let style = match worst {
            Some(verdict) => look.verdict(Some(&Word::from(verdict))),
            None => look.quiet(),
        };
        spans.push(Span::raw(" "));
        spans.push(Span::styled(format!("{}{mark}", gpu.index), style));
    }
    if gpus.len() > MOST {
        spans.push(Span::raw(format!(" +{}", gpus.len() - MOST)));
    }
    spans
}

fn bar_of(of: &NodeUse, largest: u64, width: usize, look: Look) -> Vec<Span<'static>> {
    const LEAST: usize = 5;
    if width < LEAST || largest == 0 {
        return Vec::new();
    }
    let cells = |size: Bytes| {
        let share = size.0 as f64 / largest as f64 * width as f64;
        // What is there is seen.
        (share.round() as usize)
            .max(usize::from(size.0 > 0))
            .min(width)
    };
    let foreign = cells(of.foreign);
    let local = cells(of.local).min(width - foreign);
    vec![
        Span::styled("█".repeat(local), look.share(true)),
        Span::styled("▒".repeat(foreign), look.share(false)),
        Span::styled(" ".repeat(width - local - foreign), Style::new()),
    ]
}
