//! The table of processes: one row each, with what the filter and the sort of the script need.

use std::collections::BTreeSet;

use maud::{Markup, html};

use crate::document::{Document, ProcessEntry};
use crate::print::html::mark::{Mood, mark, verdict_mark};
use crate::print::html::scroll::boxed;
use crate::print::rows::{UnfoldedRow, UnfoldedTable};
use crate::print::table::groups;
use crate::print::{harmless, processes as counted};
use crate::units::Bytes;
use crate::words::{Verdict, Word};

/// The first column stays where it is while the table scrolls.
const VERDICT: &str = "VERDICT";

/// The column that leads to the findings of a process.
const BECAUSE: &str = "BECAUSE OF";

/// The section; `None` in a map.
pub(super) fn processes(document: &Document) -> Option<Markup> {
    document.processes.as_ref()?;
    let groups = groups(document.processes()).into_iter();
    let processes: Vec<&ProcessEntry> = groups.flat_map(|(_, group)| group).collect();
    Some(html! {
        section id="processes" aria-labelledby="processes-heading" {
            h2 id="processes-heading" { "Processes" }
            @if processes.is_empty() {
                p { "No process in scope uses a GPU." }
            } @else {
                (filters(&processes))
                (table(&UnfoldedTable::of(&processes, document), document))
            }
        }
    })
}

fn table(table: &UnfoldedTable, document: &Document) -> Markup {
    let caption = format!(
        "{}, each where it runs and where its memory is",
        counted(table.rows.len())
    );
    let at = table.headers.iter().position(|header| *header == VERDICT);
    let is_shown = |place: &usize| Some(*place) != at;
    let columns: Vec<usize> = (0..table.headers.len()).filter(is_shown).collect();
    let has_findings = table
        .rows
        .iter()
        .any(|row| !row.process.findings.is_empty());
    boxed(
        &caption,
        &html! {
            table class="processes sortable" {
                caption { (caption) }
                thead {
                    tr {
                        th scope="col" { (VERDICT) }
                        @for at in &columns { th scope="col" { (table.headers[*at]) } }
                        @if has_findings { th scope="col" { (BECAUSE) } }
                    }
                }
                tbody {
                    @for row in &table.rows { (self::row(row, table, &columns, has_findings, document)) }
                }
            }
        },
    )
}

fn row(
    row: &UnfoldedRow,
    table: &UnfoldedTable,
    columns: &[usize],
    has_findings: bool,
    document: &Document,
) -> Markup {
    let of = row.process;
    let mood = Mood::of_verdict(of.verdict.as_ref());
    html! {
        tr id={ "p" (of.pid) } class=(mood.class()) data-gpu=(gpus_of(of)) data-rank=(rank_of(of))
            data-verdict=(verdict_key(of.verdict.as_ref())) {
            td class="first" data-sort=(order(mood)) { (verdict_mark(of.verdict.as_ref())) }
            @for at in columns { (cell(of, table.headers[*at], &row.cells[*at])) }
            @if has_findings { td class="wide" { (because(of, document)) } }
        }
    }
}

/// A cell; those that a verdict is about have its colour.
fn cell(of: &ProcessEntry, header: &str, text: &str) -> Markup {
    let about = match header {
        "CPU NODE" | "CPUS" => of.cpu.verdict.as_ref(),
        "MEMORY BY NODE" => of.memory.verdict.as_ref(),
        _ => None,
    };
    let mood = Mood::of_verdict(about);
    let class = matches!(mood, Mood::Bad | Mood::Risk).then(|| mood.class());
    let total = || of.memory.total().unwrap_or(Bytes(0)).0.to_string();
    let sort = (header == "MEMORY BY NODE").then(total);
    html! { td class=[class] data-sort=[sort] { (text) } }
}

/// The rules that the process breaks, each leading to its finding.
fn because(of: &ProcessEntry, document: &Document) -> Markup {
    let place = |rule: &String| {
        let mut findings = document.findings.iter();
        findings.position(|finding| finding.rule == *rule && finding.pids.contains(&of.pid))
    };
    html! {
        @for (rule, at) in of.findings.iter().zip(0..) {
            @if at > 0 { ", " }
            @match place(rule) {
                Some(place) => a href={ "#f" (place) } { (harmless(rule)) },
                None => (harmless(rule)),
            }
        }
    }
}

/// The filters, which the script shows.
pub(super) fn filters(processes: &[&ProcessEntry]) -> Markup {
    let numbers = |values: fn(&ProcessEntry) -> Vec<u32>| {
        let values = processes.iter().flat_map(|of| values(of));
        let values: BTreeSet<u32> = values.collect();
        values.into_iter().map(|value| value.to_string()).collect()
    };
    let gpus: Vec<String> = numbers(|of| of.gpus.clone());
    let ranks: Vec<String> = numbers(|of| of.rank.or(of.local_rank).into_iter().collect());
    let verdicts = [
        ("mismatch", "mismatch"),
        ("at-risk", "at risk"),
        ("unknown", "unknown"),
        ("ok", "ok"),
        ("none", "not judged"),
    ];
    let is_there = |key: &str| {
        let mut keys = processes.iter().map(|of| verdict_key(of.verdict.as_ref()));
        keys.any(|of| of == key)
    };
    html! {
        form class="filters" aria-label="Filter the processes" data-counted="processes" hidden {
            label { "Verdict " select name="verdict" {
                option value="" { "all" }
                @for (key, word) in verdicts {
                    @if is_there(key) { option value=(key) { (word) } }
                }
            } }
            @for (name, word, values) in [("gpu", "GPU ", &gpus), ("rank", "Rank ", &ranks)] {
                @if values.len() > 1 {
                    label { (word) select name=(name) {
                        option value="" { "all" }
                        @for value in values { option value=(value) { (value) } }
                    } }
                }
            }
            label { "Text " input name="text" type="search" size="16" autocomplete="off" spellcheck="false"; }
            button type="reset" { "Show all" }
            output class="shown" { (counted(processes.len())) }
        }
    }
}

/// The word of the filter.
pub(super) fn verdict_key(word: Option<&Word<Verdict>>) -> &'static str {
    match word.map(Word::known) {
        None => "none",
        Some(Some(Verdict::Ok | Verdict::SingleNode)) => "ok",
        Some(Some(Verdict::AtRisk)) => "at-risk",
        Some(Some(Verdict::Mismatch)) => "mismatch",
        Some(Some(Verdict::Unknown) | None) => "unknown",
    }
}

/// The worst comes first.
fn order(mood: Mood) -> u8 {
    match mood {
        Mood::Bad => 0,
        Mood::Open => 1,
        Mood::Risk => 2,
        Mood::Good => 3,
        Mood::Plain => 4,
    }
}

/// The GPUs as a list for the filter.
pub(super) fn gpus_of(of: &ProcessEntry) -> String {
    let gpus: Vec<String> = of.gpus.iter().map(ToString::to_string).collect();
    gpus.join(" ")
}

/// The rank for the filter.
pub(super) fn rank_of(of: &ProcessEntry) -> String {
    let rank = of.rank.or(of.local_rank);
    rank.map_or_else(String::new, |rank| rank.to_string())
}

/// `3 ok, 2 mismatch`: a mark for each verdict that a process has.
pub(super) fn tally(document: &Document) -> Option<Markup> {
    let summary = document.summary.as_ref()?;
    let counts = [
        (Mood::Bad, summary.mismatch, "mismatched"),
        (Mood::Risk, summary.at_risk, "at risk"),
        (Mood::Open, summary.unknown, "unknown"),
        (Mood::Good, summary.ok, "ok"),
    ];
    Some(html! {
        p class="tally" {
            (counted(summary.processes)) ": "
            @for (mood, count, word) in counts {
                @if count > 0 { (mark(mood, &format!("{count} {word}"))) " " }
            }
        }
    })
}
