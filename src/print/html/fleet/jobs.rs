//! The table of jobs over machines, each leading to the machines that are not in order.

use maud::{Markup, html};

use crate::document::FleetJob;
use crate::print::fleet::jobs::{parts_not_ok, short};
use crate::print::harmless;
use crate::print::html::fleet::FleetPage;
use crate::print::html::mark::verdict_mark;
use crate::print::html::scroll::boxed;

/// Jobs that are shown.
const MOST_JOBS: usize = 1000;

/// Machines that are named for a job.
const MOST_MACHINES: usize = 32;

/// The section; `None` where no process is in a job of a scheduler.
pub(super) fn jobs(page: &FleetPage) -> Option<Markup> {
    let jobs = &page.document.jobs;
    if jobs.is_empty() {
        return None;
    }
    let caption = "Jobs over machines, the worst first";
    let headers = [
        "JOB",
        "VERDICT",
        "MACHINES",
        "RANKS",
        "PROCESSES",
        "MISMATCH",
        "NOT OK ON",
    ];
    Some(html! {
        section id="jobs" aria-labelledby="jobs-heading" {
            h2 id="jobs-heading" { "Jobs" }
            (boxed(caption, &html! {
                table class="sortable" {
                    caption { (caption) }
                    thead { tr { @for header in headers { th scope="col" { (header) } } } }
                    tbody { @for job in jobs.iter().take(MOST_JOBS) { (row(job, page)) } }
                }
            }))
            @if jobs.len() > MOST_JOBS { p { (jobs.len() - MOST_JOBS) " more jobs: see numa-audit fleet --json" } }
        }
    })
}

fn row(job: &FleetJob, page: &FleetPage) -> Markup {
    html! {
        tr {
            th scope="row" { (harmless(&format!("{} {}", job.scheduler, job.id))) }
            td { (verdict_mark(job.verdict.as_ref())) }
            td { (job.machines.len()) }
            td { (harmless(&short(&job.ranks))) }
            td { (job.processes.all) }
            td { (job.processes.mismatch) }
            td class="wide" { (not_ok(job, page)) }
        }
    }
}

fn not_ok(job: &FleetJob, page: &FleetPage) -> Markup {
    let parts = parts_not_ok(job);
    html! {
        @for (part, at) in parts.iter().take(MOST_MACHINES).zip(0..) {
            @if at > 0 { ", " }
            a href=[page.link(&part.machine)] { (harmless(&part.machine)) }
            @if !part.ranks.is_empty() { ": ranks " (harmless(&short(&part.ranks))) }
        }
        @if parts.len() > MOST_MACHINES { ", and " (parts.len() - MOST_MACHINES) " more" }
        @if parts.is_empty() { "–" }
    }
}
