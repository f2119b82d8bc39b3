//! The processes of one job of a scheduler.

use std::collections::BTreeSet;

use crate::jobs::ProcessTree;
use crate::jobs::scheduler::scheduler_jobs;
use crate::machine::{Process, SchedulerJob};
use crate::units::Pid;

/// A job that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WantedJob {
    /// Its number or name.
    pub(crate) id: String,
    /// Its scheduler's name; `None` for a job of any scheduler.
    pub(crate) scheduler: Option<&'static str>,
    /// Its user; `None` where that is unknown.
    pub(crate) uid: Option<u32>,
}

impl WantedJob {
    fn is(&self, job: &SchedulerJob) -> bool {
        job.id == self.id && self.scheduler.is_none_or(|name| name == job.scheduler)
    }

    /// The processes that are in this job, or may be: a process is in the job that its control group or its environment names.
    /// One that names none is in the job of its ancestors. One whose environment could not be read may be in it, if its user may
    /// be the job's.
    pub(crate) fn members(&self, tree: &ProcessTree, processes: &[Process]) -> BTreeSet<Pid> {
        let (mut members, mut nameless) = (BTreeSet::new(), Vec::new());
        let mut uids: BTreeSet<Option<u32>> = self.uid.iter().map(|uid| Some(*uid)).collect();
        for process in processes {
            let jobs = jobs_of(process);
            if jobs.iter().any(|job| self.is(job)) {
                members.insert(process.pid);
                uids.insert(process.uid);
            } else if jobs.is_empty() {
                nameless.push(process);
            }
        }
        let below = tree.with_descendants(members.iter().copied());
        let may_own = |uid: Option<u32>| {
            let is_open = uids.is_empty() || uids.contains(&None);
            uid.is_none() || is_open || uids.contains(&uid)
        };
        let belongs = |process: &&&Process| {
            let may_be = process.environment.is_none() && may_own(process.uid);
            below.contains(&process.pid) || may_be
        };
        members.extend(nameless.iter().filter(belongs).map(|process| process.pid));
        members
    }
}

/// The jobs that a process is in, as far as its control groups and its environment name them.
pub(crate) fn jobs_of(process: &Process) -> Vec<SchedulerJob> {
    let groups = process.groups.as_deref().unwrap_or_default();
    scheduler_jobs(groups, process.environment.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::jobs_of_variables;
    use crate::machine::{ControlGroup, Environment};

    fn process(pid: u32, ppid: u32, uid: u32, slurm: Option<&str>) -> Process {
        let slurm = slurm.map(str::as_bytes);
        Process {
            ppid: Pid(ppid),
            uid: Some(uid),
            environment: Some(Environment {
                scheduler_jobs: jobs_of_variables([slurm, None, None, None, None]),
                ..Environment::default()
            }),
            ..Process::bare(Pid(pid))
        }
    }

    fn wanted(id: &str) -> WantedJob {
        WantedJob {
            id: id.to_owned(),
            scheduler: None,
            uid: None,
        }
    }

    fn members(wanted: &WantedJob, processes: &[Process]) -> Vec<u32> {
        let members = wanted.members(&ProcessTree::of(processes), processes);
        members.into_iter().map(|pid| pid.0).collect()
    }

    #[test]
    fn a_process_without_a_name_is_in_the_job_of_its_ancestors() {
        let processes = [
            process(10, 1, 7, Some("42")),
            process(11, 10, 7, None),
            process(12, 11, 7, Some("43")),
            process(13, 1, 7, None),
        ];
        assert_eq!(members(&wanted("42"), &processes), [10, 11]);
        assert_eq!(members(&wanted("43"), &processes), [12]);
        assert_eq!(members(&wanted("4"), &processes), [0; 0]);
        let other = WantedJob {
            scheduler: Some("PBS"),
            ..wanted("42")
        };
        assert_eq!(members(&other, &processes), [0; 0]);
    }

    #[test]
    fn a_control_group_counts_before_the_environment() {
        let group = ControlGroup {
            controllers: Vec::new(),
            is_v2: true,
            path: "/system.slice/slurmstepd.scope/job_43/step_0".to_owned(),
        };
        let mut liar = process(10, 1, 7, Some("42"));
        liar.groups = Some([group].into());
        assert_eq!(members(&wanted("42"), &[liar.clone()]), [0; 0]);
        assert_eq!(members(&wanted("43"), &[liar]), [10]);
    }

    #[test]
    fn an_unread_environment_may_name_the_job_unless_the_user_is_another() {
        let unread = |pid, uid| Process {
            environment: None,
            ..process(pid, 1, uid, None)
        };
        let processes = [process(10, 1, 7, Some("42")), unread(20, 7), unread(21, 8)];
        assert_eq!(members(&wanted("42"), &processes), [10, 20]);
        assert_eq!(members(&wanted("1"), &processes), [20, 21]);
        let own = WantedJob {
            uid: Some(8),
            ..wanted("1")
        };
        assert_eq!(members(&own, &processes), [21]);
    }
}
