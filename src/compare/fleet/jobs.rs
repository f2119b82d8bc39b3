//! Jobs of schedulers over machines.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::compare::fleet::reduced::{Reduced, short};
use crate::document::{FleetCounts, FleetJob, FleetJobPart, ProcessEntry};
use crate::units::ranges;
use crate::words::{Role, Verdict, Word};

/// Jobs of one machine that are kept.
const MOST_JOBS: usize = 64;

/// Ranks of one job on one machine that are kept.
const MOST_RANKS: usize = 4096;

/// Scheduler and job.
pub(super) type JobKey = (String, String);

/// The part of a job that is on one machine.
#[derive(Debug, Clone, Default)]
pub(super) struct JobPart {
    verdict: Option<Verdict>,
    counts: FleetCounts,
    trainers: usize,
    ranks: BTreeSet<u32>,
}

/// The jobs of a machine's trainers and workers.
pub(super) fn parts(processes: &[ProcessEntry]) -> BTreeMap<JobKey, JobPart> {
    let mut parts: BTreeMap<JobKey, JobPart> = BTreeMap::new();
    for process in processes.iter().filter(|of| of.is_of_job()) {
        if let Some(key) = key(process) {
            parts.entry(key).or_default().add(process);
            if parts.len() > MOST_JOBS {
                parts.pop_last();
            }
        }
    }
    parts
}

/// A process in jobs of several schedulers belongs to the first: the one that gave it its place.
fn key(process: &ProcessEntry) -> Option<JobKey> {
    let job = process.scheduler_jobs.first();
    let job = job.map(|job| (job.scheduler.as_str(), job.id.as_str()));
    // Documents of older versions have Slurm's jobs only.
    let slurm = process.job.as_deref().map(|id| ("Slurm", id));
    let (scheduler, id) = job.or(slurm)?;
    Some((short(scheduler), short(id)))
}

impl JobPart {
    fn add(&mut self, process: &ProcessEntry) {
        let Some(verdict) = process.verdict.as_ref().and_then(Word::known) else {
            return;
        };
        self.verdict = self.verdict.max(Some(verdict));
        let counts = &mut self.counts;
        counts.all += 1;
        *match verdict {
            Verdict::SingleNode | Verdict::Ok => &mut counts.ok,
            Verdict::AtRisk => &mut counts.at_risk,
            Verdict::Unknown => &mut counts.unknown,
            Verdict::Mismatch => &mut counts.mismatch,
        } += 1;
        if process.is(Role::Trainer) {
            self.trainers += 1;
            if self.ranks.len() < MOST_RANKS {
                self.ranks.extend(process.rank);
            }
        }
    }

    fn on(&self, machine: &str) -> FleetJobPart {
        FleetJobPart {
            machine: machine.to_owned(),
            verdict: self.verdict.map(Word::from),
            processes: self.counts,
            trainers: self.trainers,
            ranks: ranges(self.ranks.iter().copied()),
        }
    }
}

/// All jobs, the worst first. The machines are sorted by name.
pub(super) fn jobs(machines: &[Reduced]) -> Vec<FleetJob> {
    let mut jobs: BTreeMap<&JobKey, Vec<(&str, &JobPart)>> = BTreeMap::new();
    for machine in machines {
        for (key, part) in &machine.jobs {
            jobs.entry(key).or_default().push((&machine.name, part));
        }
    }
    let mut jobs: Vec<FleetJob> = jobs
        .into_iter()
        .map(|(key, parts)| job(key, &parts))
        .collect();
    jobs.sort_by_key(|job| {
        let verdict = job.verdict.as_ref().and_then(Word::known);
        Reverse((verdict, job.processes.mismatch, job.machines.len()))
    });
    jobs
}

fn job(key: &JobKey, parts: &[(&str, &JobPart)]) -> FleetJob {
    let mut counts = FleetCounts::default();
    let (mut ranks, mut trainers, mut verdict) = (BTreeSet::new(), 0, None);
    for (_, part) in parts {
        counts.add(part.counts);
        ranks.extend(&part.ranks);
        trainers += part.trainers;
        verdict = verdict.max(part.verdict);
    }
    let mut machines = parts.to_vec();
    machines.sort_by_key(|(_, part)| Reverse((part.verdict, part.counts.mismatch)));
    let (scheduler, id) = key.clone();
    FleetJob {
        scheduler,
        id,
        verdict: verdict.map(Word::from),
        processes: counts,
        trainers,
        ranks: ranges(ranks),
        machines: machines.iter().map(|(name, part)| part.on(name)).collect(),
    }
}
