//! Says that no process of the job that was asked for is here.

use std::collections::BTreeSet;

use super::trouble::{Trouble, complain};
use crate::document::Document;
use crate::jobs::{WantedJob, jobs_of};
use crate::machine::Machine;

/// What the message needs of a machine, before the audit takes it.
pub(super) struct JobsHere {
    /// `Slurm 4711`
    names: BTreeSet<String>,
    /// Whether processes were named with --pid.
    has_named: bool,
}

impl JobsHere {
    pub(super) fn of(machine: &Machine) -> Self {
        let jobs = machine.processes.iter().flat_map(jobs_of);
        let names = jobs.map(|job| format!("{} {}", job.scheduler, job.id));
        Self {
            names: names.collect(),
            has_named: !machine.named.is_empty(),
        }
    }

    /// Prints a line to standard error if a job was asked for and the document has no process. This is no error: in a prolog,
    /// and on nodes where a job uses no GPU, it is what one expects.
    pub(super) fn note_missing(&self, wanted: Option<&WantedJob>, document: &Document) {
        /// More are only counted.
        const MOST: usize = 8;
        let Some(wanted) = wanted.filter(|_| document.processes().is_empty()) else {
            return;
        };
        let mut listed: Vec<String> = self.names.iter().take(MOST).cloned().collect();
        if self.names.len() > MOST {
            listed.push(format!("{} more", self.names.len() - MOST));
        }
        let others = match listed.is_empty() {
            true => String::new(),
            false => format!("; jobs here: {}", listed.join(", ")),
        };
        let id = &wanted.id;
        let fact = match self.has_named {
            true => format!("no named process is in job {id}"),
            false => format!("no process of job {id} uses a GPU here"),
        };
        let note: Trouble = format!("note: {fact}{others}").into();
        complain(&note);
    }
}
