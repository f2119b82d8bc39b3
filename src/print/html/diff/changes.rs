//! The table of changes: a row for each process of either audit.

use maud::{Markup, html};

use crate::compare::{Change, Diff, ProcessChange};
use crate::print::diff::{UnfoldedChange, UnfoldedChanges};
use crate::print::html::mark::{Mood, mark};
use crate::print::html::processes::{filters, gpus_of, rank_of, verdict_key};
use crate::print::html::scroll::boxed;
use crate::print::processes as counted;

/// The section; `None` without processes.
pub(super) fn changes(diff: &Diff) -> Option<Markup> {
    let table = UnfoldedChanges::of(diff);
    if table.rows.is_empty() {
        return None;
    }
    let processes = diff.processes.iter().filter_map(ProcessChange::either);
    let processes: Vec<_> = processes.collect();
    let caption = format!(
        "{} of either audit, the worst change first",
        counted(table.rows.len())
    );
    Some(html! {
        section id="processes" aria-labelledby="processes-heading" {
            h2 id="processes-heading" { "Processes" }
            (filters(&processes))
            (boxed(&caption, &html! {
                table class="processes sortable" {
                    caption { (caption) }
                    thead { tr { @for header in &table.headers { th scope="col" { (header) } } } }
                    tbody { @for (at, one) in (0_usize..).zip(&table.rows) { (row(at, one)) } }
                }
            }))
        }
    })
}

fn row(at: usize, row: &UnfoldedChange) -> Markup {
    let mood = mood(row.change);
    let of = row.change.either();
    let verdict = verdict_key(of.and_then(|of| of.verdict.as_ref()));
    html! {
        tr class=(mood.class()) data-gpu=[of.map(gpus_of)] data-rank=[of.map(rank_of)] data-verdict=(verdict) {
            @for (place, cell) in (0..).zip(&row.cells) {
                @if place == 0 { td class="first" data-sort=(at) { (mark(mood, cell)) } }
                @else { td { (cell) } }
            }
        }
    }
}

/// How a change is drawn and marked.
pub(super) fn mood(change: &ProcessChange) -> Mood {
    match change.change {
        _ if change.worsened_to.is_some() => Mood::Bad,
        Change::Worse => Mood::Bad,
        Change::NotJudged => Mood::Open,
        Change::Better => Mood::Good,
        Change::Gone | Change::New | Change::Moved | Change::Same => Mood::Plain,
    }
}
