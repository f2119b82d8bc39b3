//! One process with its threads, its memory by node and kind, and its findings.

use std::collections::BTreeSet;

use ratatui::text::{Line, Span};

use crate::document::{Document, Finding, ProcessEntry, ThreadEntry};
use crate::print::age::age;
use crate::print::{binding, cpus, harmless, known, or_unknown, verdict};
use crate::screen::changes::{ProcessKey, name};
use crate::screen::explained::{told, wrapped};
use crate::screen::look::Look;
use crate::screen::state::State;
use crate::units::{Bytes, NodeBytes, NodeId, node_list};

/// The title and the lines of this process.
pub(crate) fn process(state: &State, key: ProcessKey, look: Look) -> (String, Vec<Line<'static>>) {
    let (Some(process), Some(audited)) = (state.process(key), &state.audited) else {
        let text = "The process has ended, or is no longer among those that are shown.";
        return (format!("process {}", key.0), vec![Line::raw(text)]);
    };
    let document = &audited.document;
    let width = state.size.0;
    let title = format!("{}: {}", name(process), verdict(process.verdict.as_ref()));
    let mut lines = about(process, document, width);
    lines.extend(cpu(process, document, width, look));
    lines.extend(memory(process, width, look));
    lines.extend(findings(process, document, width, look));
    let threads = audited.threads.get(&process.pid);
    lines.extend(threads_of(
        process,
        threads.map(Vec::as_slice),
        document,
        look,
    ));
    (title, lines)
}

/// A field with its value, `?` for an unknown one.
fn field(name: &str, value: &str, width: u16) -> Vec<Line<'static>> {
    const NAME: usize = 14;
    wrapped(&format!("{name:<NAME$}"), value, NAME, width)
}

fn about(process: &ProcessEntry, document: &Document, width: u16) -> Vec<Line<'static>> {
    let text = |value: Option<&String>| value.map_or("?".to_owned(), |value| harmless(value));
    let mut lines = field("name", &harmless(&process.name), width);
    lines.extend(field("command", &text(process.command.as_ref()), width));
    let age = age(process, &document.host);
    let started = process.started_at.as_ref();
    let started = match (started, age) {
        (Some(at), Some(age)) => format!("{}, {age} ago", harmless(at)),
        (at, _) => text(at),
    };
    lines.extend(field("user", &text(process.user.as_ref()), width));
    lines.extend(field("started", &started, width));
    let ranks = [("rank", process.rank), ("local rank", process.local_rank)];
    for (name, rank) in ranks {
        if let Some(rank) = rank {
            lines.extend(field(name, &rank.to_string(), width));
        }
    }
    let pod = process.pod_name.as_ref().or(process.pod.as_ref());
    for (name, value) in [
        ("job", process.job.as_ref()),
        ("pod", pod),
        ("container", process.container.as_ref()),
    ] {
        if let Some(value) = value {
            lines.extend(field(name, &harmless(value), width));
        }
    }
    if !process.gpus.is_empty() {
        let home = or_unknown(node_list(&process.home_nodes));
        lines.extend(field("GPU node", &home, width));
    }
    lines
}

fn cpu(process: &ProcessEntry, document: &Document, width: u16, look: Look) -> Vec<Line<'static>> {
    let cpu = &process.cpu;
    let mut lines = heading("CPU", look);
    let verdict_word = verdict(cpu.verdict.as_ref());
    lines.push(verdict_line(
        &verdict_word,
        look.verdict(cpu.verdict.as_ref()),
    ));
    lines.extend(field("node", &known(cpu.node.as_ref()), width));
    lines.extend(field(
        "affinity",
        &cpus(cpu.affinity.as_ref(), &cpu.affinity_nodes),
        width,
    ));
    if cpu.cpuset.is_some() {
        let nodes = cpu.cpuset_nodes.clone().unwrap_or_default();
        lines.extend(field("cpuset", &cpus(cpu.cpuset.as_ref(), &nodes), width));
    }
    if let Some(target) = &process.target {
        let list = target.cpus.to_string();
        let text = match list.is_empty() {
            true => "none of its local CPUs is allowed".to_owned(),
            false => format!(
                "CPUs {list}, memory on {}",
                or_unknown(node_list(&target.memory_nodes))
            ),
        };
        lines.extend(field("should be on", &text, width));
        for obstacle in &target.obstacles {
            lines.extend(field("in the way", &harmless(&obstacle.text), width));
        }
    }
    if let (Some(window), Some(all)) = (&cpu.window, &document.window) {
        let by_node = window.cpu_seconds_by_node.iter();
        let shares = by_node.map(|(node, seconds)| {
            format!(
                "node {node} {:.0}%",
                seconds / all.seconds.max(f64::MIN_POSITIVE) * 100.0
            )
        });
        let shares: Vec<String> = shares.collect();
        let text = match shares.is_empty() {
            true => "none".to_owned(),
            false => shares.join(", "),
        };
        lines.extend(field("CPU time", &text, width));
        let moves = format!("{} by {} threads", window.migrations, window.threads_moved);
        lines.extend(field("moves", &moves, width));
    }
    lines
}

fn heading(text: &str, look: Look) -> Vec<Line<'static>> {
    vec![Line::raw(""), Line::styled(text.to_owned(), look.heading())]
}

fn verdict_line(word: &str, style: ratatui::style::Style) -> Line<'static> {
    Line::from(vec![
        Span::raw(format!("{:<14}", "verdict")),
        Span::styled(word.to_owned(), style),
    ])
}

fn memory(process: &ProcessEntry, width: u16, look: Look) -> Vec<Line<'static>> {
    let memory = &process.memory;
    let mut lines = heading("Memory", look);
    let word = verdict(memory.verdict.as_ref());
    lines.push(verdict_line(&word, look.verdict(memory.verdict.as_ref())));
    lines.extend(field("binding", &binding(memory), width));
    let Some(by_node) = &memory.by_node_bytes else {
        lines.push(Line::raw("by node       ?"));
        return lines;
    };
    let kinds = memory.by_kind.iter().flatten();
    let kinds: Vec<(String, &NodeBytes)> = kinds
        .map(|(kind, of)| (harmless(kind.as_str()), of))
        .collect();
    let nodes: BTreeSet<NodeId> = kinds
        .iter()
        .flat_map(|(_, of)| of.keys())
        .chain(by_node.keys())
        .copied()
        .collect();
    // As many columns as fit; the table of a machine with many nodes has the others left out.
    const CELL: usize = 10;
    let most = (usize::from(width).saturating_sub(14) / CELL).max(1);
    let shown: Vec<NodeId> = nodes.iter().copied().take(most).collect();
    let row = |name: &str, cells: Vec<String>| {
        let cells: String = cells.iter().map(|cell| format!("{cell:>CELL$}")).collect();
        Line::raw(format!("{name:<14}{cells}"))
    };
    lines.push(row(
        "",
        shown.iter().map(|node| format!("node {node}")).collect(),
    ));
    let sizes = |of: &NodeBytes| -> Vec<String> {
        let size = |node| of.get(node).copied().filter(|size| *size > Bytes(0));
        shown
            .iter()
            .map(|node| size(node).map_or("-".to_owned(), |size| size.to_string()))
            .collect()
    };
    for (kind, of) in &kinds {
        lines.push(row(kind, sizes(of)));
    }
    lines.push(row("all but file", sizes(by_node)));
    if nodes.len() > shown.len() {
        lines.push(Line::styled(
            format!("{} nodes more", nodes.len() - shown.len()),
            look.quiet(),
        ));
    }
    if memory.is_estimate() {
        lines.push(Line::styled(
            "estimated from a sample of its pages",
            look.quiet(),
        ));
    }
    if let Some(swap) = memory.swap_bytes.filter(|size| *size > Bytes(0)) {
        lines.extend(field("in swap", &swap.to_string(), width));
    }
    lines
}

fn findings(
    process: &ProcessEntry,
    document: &Document,
    width: u16,
    look: Look,
) -> Vec<Line<'static>> {
    let is_of_it = |finding: &&Finding| finding.pids.contains(&process.pid);
    let mut lines = Vec::new();
    for finding in document.findings.iter().filter(is_of_it) {
        match lines.is_empty() {
            true => lines.extend(heading("Findings", look)),
            false => lines.push(Line::raw("")),
        }
        lines.extend(told(finding, width, look));
    }
    lines
}

/// The threads, those with most CPU time first.
fn threads_of(
    process: &ProcessEntry,
    threads: Option<&[ThreadEntry]>,
    document: &Document,
    look: Look,
) -> Vec<Line<'static>> {
    let total = process.cpu.threads.as_ref().map(|threads| threads.total);
    let title = total.map_or("Threads".to_owned(), |total| format!("Threads ({total})"));
    let mut lines = heading(&title, look);
    let Some(threads) = threads else {
        lines.push(Line::raw("They come with the next audit."));
        return lines;
    };
    let seconds = document.window.as_ref().map(|window| window.seconds);
    let mut threads: Vec<&ThreadEntry> = threads.iter().collect();
    threads.sort_by(|one, other| {
        used(other)
            .total_cmp(&used(one))
            .then(one.tid.cmp(&other.tid))
    });
    let has_window = seconds.is_some();
    let activity = if has_window {
        format!("{:>7}{:>7}", "CPU", "MOVES")
    } else {
        String::new()
    };
    let header = format!(
        "{:>10}  {:<16}{:>5}{:>6}{activity}  MAY RUN ON",
        "TID", "NAME", "ON", "NODE"
    );
    lines.push(Line::styled(header, look.bar()));
    let is_astray =
        |node: NodeId| !process.local_nodes.is_empty() && !process.local_nodes.contains(&node);
    lines.extend(threads.into_iter().map(|thread| {
        let name = thread.name.as_deref().map_or("?".to_owned(), harmless);
        let activity = seconds.map_or(String::new(), |seconds| match &thread.window {
            Some(window) => {
                let share = used(thread) / seconds.max(f64::MIN_POSITIVE) * 100.0;
                format!("{:>7}{:>7}", format!("{share:.0}%"), window.migrations)
            }
            None => format!("{:>7}{:>7}", "?", "?"),
        });
        let may = cpus(thread.affinity.as_ref(), &thread.affinity_nodes);
        let (cpu, node) = (known(thread.cpu.as_ref()), known(thread.node.as_ref()));
        let mark = if thread.node.is_some_and(is_astray) {
            "!"
        } else {
            " "
        };
        Line::raw(format!(
            "{:>10}  {name:<16}{cpu:>5}{node:>5}{mark}{activity}  {may}",
            thread.tid
        ))
    }));
    lines
}

fn used(thread: &ThreadEntry) -> f64 {
    let window = thread.window.iter();
    let times = window.flat_map(|window| window.cpu_seconds_by_node.values());
    // The sum of no floats is -0.
    times.fold(0.0, |sum, time| sum + time)
}
