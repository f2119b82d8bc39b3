//! Many machines for people: by what is wrong, the worst first; their jobs; what differs between machines that should be alike.

pub(crate) mod jobs;
pub(crate) mod kinds;
pub(crate) mod machines;

use owo_colors::Style;

use crate::document::{FleetDocument, FleetDuplicate, FleetSource, FleetSummary};
use crate::print::{Terminal, harmless, processes};
use crate::units::fold_hosts;

/// The whole view. `all` gives every machine a row, and shortens no list.
pub(crate) fn fleet(document: &FleetDocument, all: bool, terminal: &Terminal) -> String {
    let mut out = machines::machines(&document.machines, all, terminal);
    out += &jobs::jobs(&document.jobs, all, terminal);
    out += &kinds::kinds(&document.kinds, all, terminal);
    out += &missing(document, all, terminal);
    out.push('\n');
    out + &sum(&document.summary, terminal)
}

/// `boxes.json, line 12, label 3`
pub(crate) fn place(source: &FleetSource) -> String {
    let line = source.line.filter(|line| *line > 1);
    let line = line.map(|line| format!(", line {line}"));
    let label = source
        .label
        .as_ref()
        .map(|label| format!(", label {label}"));
    let places = line.into_iter().chain(label);
    harmless(&format!("{}{}", source.file, places.collect::<String>()))
}

/// How long a list of hosts may be.
const CELL: usize = 30;
const LINE: usize = 200;

/// Hosts as Slurm lists them, in at most so many letters.
fn hosts<'a>(names: impl IntoIterator<Item = &'a String>, longest: usize) -> String {
    let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
    let list = harmless(&fold_hosts(names.iter().copied()).join(","));
    match list.char_indices().nth(longest) {
        None => list,
        Some((end, _)) => format!("{}…", &list[..end]),
    }
}

/// The same in a line of text, with their number where there are several.
fn hosts_in_line<'a>(names: impl IntoIterator<Item = &'a String>, all: bool) -> String {
    let names: Vec<&String> = names.into_iter().collect();
    let longest = if all { usize::MAX } else { LINE };
    let list = hosts(names.iter().copied(), longest);
    match names.len() {
        0 | 1 => list,
        several => format!("{list} ({several})"),
    }
}

/// What is missing of the whole: hosts, documents.
fn missing(document: &FleetDocument, all: bool, terminal: &Terminal) -> String {
    let lines = missing_lines(document, all);
    let lines = lines.iter().map(|line| terminal.wrap("", line, 2));
    let lines: String = lines.collect();
    match lines.is_empty() {
        true => lines,
        false => format!("\n{lines}"),
    }
}

/// The same line by line. `all`: no list is shortened.
pub(crate) fn missing_lines(document: &FleetDocument, all: bool) -> Vec<String> {
    /// So many lines of a kind are printed.
    const MOST: usize = 20;
    let mut lines: Vec<String> = Vec::new();
    if !document.missing.is_empty() {
        let hosts = hosts_in_line(&document.missing, all);
        lines.push(format!("missing: no document of {hosts}"));
    }
    let most = if all { usize::MAX } else { MOST };
    let unreadable = document.unreadable.iter().take(most);
    lines.extend(unreadable.map(|of| {
        let place = place(&of.source);
        format!("unreadable: {place}: {}", harmless(&of.reason))
    }));
    let unnamed = document
        .summary
        .unreadable
        .saturating_sub(most.min(document.unreadable.len()));
    if unnamed > 0 {
        lines.push(format!("unreadable: {unnamed} more"));
    }
    if !document.not_asked_for.is_empty() {
        let hosts = hosts_in_line(&document.not_asked_for, all);
        lines.push(format!("note: not in the list of --hosts: {hosts}"));
    }
    let duplicates = document.duplicates.iter().take(most);
    lines.extend(duplicates.map(duplicate));
    let unnamed = document.duplicates.len().saturating_sub(most);
    if unnamed > 0 {
        lines.push(format!(
            "note: {unnamed} more machines with several documents"
        ));
    }
    if document.summary.passed_over > 0 {
        let files = document.summary.passed_over;
        lines.push(format!(
            "note: files in folders with other names, not read: {files}"
        ));
    }
    lines
}

fn duplicate(of: &FleetDuplicate) -> String {
    let machine = harmless(&of.machine);
    let counted = place(&of.counted);
    format!(
        "note: {machine} has {} documents; {counted} counts",
        of.documents
    )
}

/// The machines and the processes, counted: two sentences.
pub(crate) fn sum_lines(summary: &FleetSummary) -> [String; 2] {
    let machines = match summary.machines {
        1 => "1 machine".to_owned(),
        several => format!("{several} machines"),
    };
    let mut text = format!(
        "{machines}: {} wrong, {} not judged completely, {} without a mismatch",
        summary.failed, summary.incomplete, summary.fine
    );
    for (count, word) in [
        (summary.missing, "missing"),
        (summary.unreadable, "unreadable"),
    ] {
        if count > 0 {
            text += &format!("; {count} {word}");
        }
    }
    let counts = &summary.processes;
    let processes = format!(
        "{}: {} ok, {} at risk, {} mismatched, {} unknown",
        processes(counts.all),
        counts.ok,
        counts.at_risk,
        counts.mismatch,
        counts.unknown
    );
    [text, processes]
}

fn sum(summary: &FleetSummary, terminal: &Terminal) -> String {
    let style = match (summary.failed, summary.complete) {
        (0, true) => Style::new().green(),
        (0, false) => Style::new().magenta(),
        _ => Style::new().red(),
    };
    let lines = sum_lines(summary).into_iter().map(|line| {
        let line = terminal.wrap("", &line, 2);
        terminal.paint(line.trim_end(), style) + "\n"
    });
    lines.collect()
}
