//! The table of jobs over machines.

use crate::document::{FleetJob, FleetJobPart};
use crate::print::fleet::{CELL, hosts};
use crate::print::{ColumnRoom, Filled, Terminal, color, draw, harmless, verdict};
use crate::words::{Verdict, Word};

/// Jobs that are printed without `--all`.
const MOST_JOBS: usize = 50;

/// Machines that are named in a row.
const MOST_MACHINES: usize = 4;

type JobColumn = (&'static str, ColumnRoom, fn(&FleetJob) -> String);

const COLUMNS: &[JobColumn] = &[
    ("JOB", ColumnRoom::Whole, |job| {
        harmless(&format!("{} {}", job.scheduler, job.id))
    }),
    ("VERDICT", ColumnRoom::Whole, |job| {
        verdict(job.verdict.as_ref())
    }),
    ("MACHINES", ColumnRoom::Short(4), |job| {
        hosts(job.machines.iter().map(|part| &part.machine), CELL)
    }),
    ("RANKS", ColumnRoom::Short(1), |job| short(&job.ranks)),
    ("PROCESSES", ColumnRoom::Short(2), |job| {
        job.processes.all.to_string()
    }),
    ("MISMATCH", ColumnRoom::Short(3), |job| {
        job.processes.mismatch.to_string()
    }),
    ("NOT OK ON", ColumnRoom::Words(0), not_ok),
];

/// Empty where no process is in a job of a scheduler.
pub(super) fn jobs(jobs: &[FleetJob], all: bool, terminal: &Terminal) -> String {
    if jobs.is_empty() {
        return String::new();
    }
    let most = if all { usize::MAX } else { MOST_JOBS };
    let shown = &jobs[..jobs.len().min(most)];
    let columns = COLUMNS.iter().map(|(header, room, cell)| Filled {
        header,
        room: *room,
        cells: shown.iter().map(cell).collect(),
        colors: shown
            .iter()
            .map(|job| color(job.verdict.as_ref()).filter(|_| *header == "VERDICT"))
            .collect(),
    });
    let more = match jobs.len() - shown.len() {
        0 => String::new(),
        more => format!("{more} more jobs: see --all\n"),
    };
    format!("\nJobs\n{}{more}", draw(columns, terminal))
}

/// `-` for no ranks.
pub(crate) fn short(ranks: &str) -> String {
    const LONGEST: usize = 20;
    match ranks.len() {
        0 => "-".to_owned(),
        1..=LONGEST => ranks.to_owned(),
        _ => format!("{}…", &ranks[..LONGEST]),
    }
}

/// The parts of a job that are not in order.
pub(crate) fn parts_not_ok(job: &FleetJob) -> Vec<&FleetJobPart> {
    let is_ok = |part: &&FleetJobPart| {
        let verdict = part.verdict.as_ref().and_then(Word::known);
        matches!(verdict, Some(Verdict::Ok | Verdict::SingleNode))
    };
    job.machines.iter().filter(|part| !is_ok(part)).collect()
}

/// `n2: ranks 8-15, n3: ranks 16-23`
fn not_ok(job: &FleetJob) -> String {
    let parts = parts_not_ok(job);
    let named = parts.iter().take(MOST_MACHINES).map(|part| {
        let machine = hosts([&part.machine], CELL);
        match part.ranks.as_str() {
            "" => machine,
            ranks => format!("{machine}: ranks {}", short(ranks)),
        }
    });
    let mut words: Vec<String> = named.collect();
    match parts.len().saturating_sub(MOST_MACHINES) {
        0 => {}
        more => words.push(format!("{more} more")),
    }
    match words.is_empty() {
        true => "-".to_owned(),
        false => words.join(", "),
    }
}
