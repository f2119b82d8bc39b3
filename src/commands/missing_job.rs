//! Says that no process of the job that was asked for is here.

use std::collections::BTreeSet;

use super::trouble::{Trouble, complain};
use crate::document::Document;
use crate::jobs::{WantedJob, jobs_of};
use crate::machine::Machine;

/// The jobs of the observed processes: `Slurm 4711`.
pub(super) fn jobs_here(machine: &Machine) -> BTreeSet<String> {
    let jobs = machine.processes.iter().flat_map(jobs_of);
    jobs.map(|job| format!("{} {}", job.scheduler, job.id))
        .collect()
}

/// Prints a line to standard error if a job was asked for and the document has no process. This is no error: in a prolog, and on
/// nodes where a job uses no GPU, it is what one expects.
pub(super) fn note_missing_job(
    wanted: Option<&WantedJob>,
    document: &Document,
    here: &BTreeSet<String>,
) {
    /// More are only counted.
    const MOST: usize = 8;
    let Some(wanted) = wanted.filter(|_| document.processes().is_empty()) else {
        return;
    };
    let mut listed: Vec<String> = here.iter().take(MOST).cloned().collect();
    if here.len() > MOST {
        listed.push(format!("{} more", here.len() - MOST));
    }
    let others = match listed.is_empty() {
        true => String::new(),
        false => format!("; jobs here: {}", listed.join(", ")),
    };
    let id = &wanted.id;
    let note: Trouble = format!("note: no process of job {id} uses a GPU here{others}").into();
    complain(&note);
}
