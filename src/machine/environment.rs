//! The environment variables that describe a process's place in a job.

use crate::machine::BindingRequest;

/// A rank, and how it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    pub(crate) number: u32,
    /// The variable that has it, or [`Rank::ELIMINATION`].
    pub(crate) source: &'static str,
}

impl Rank {
    /// The source of a rank that no variable has: it is the only one that the other ranks leave.
    pub(crate) const ELIMINATION: &'static str = "elimination";

    pub(crate) fn by(source: &'static str, number: u32) -> Self {
        Self { number, source }
    }
}

/// The ranks of one process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ranks {
    /// In the whole job.
    pub(crate) rank: Option<Rank>,
    /// Among the job's processes of this machine.
    pub(crate) local_rank: Option<Rank>,
}

/// A job of a scheduler: Slurm's 4711.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SchedulerJob {
    /// `Slurm`, `PBS`, …
    pub(crate) scheduler: &'static str,
    /// Its number or name.
    pub(crate) id: String,
    /// The variable that names it; `cgroup` where a control group does.
    pub(crate) source: &'static str,
}

/// Variables as they were when the program was started. Variables that a process sets later are visible only in its
/// children. `None` for a variable that was not set or has an invalid value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Environment {
    /// RANK and LOCAL_RANK, or their equivalents.
    pub(crate) ranks: Ranks,
    /// TORCHELASTIC_RUN_ID: torchrun's name for the job.
    pub(crate) run_id: Option<String>,
    /// MASTER_PORT: where the job's ranks meet. Two jobs on one machine cannot have the same.
    pub(crate) master_port: Option<u32>,
    /// CUDA_VISIBLE_DEVICES: indexes, beginnings of UUIDs, or names of MIG devices.
    pub(crate) visible_devices: Option<String>,
    /// The bindings that variables request.
    pub(crate) asks: Vec<BindingRequest>,
    /// The jobs of schedulers that variables name.
    pub(crate) scheduler_jobs: Vec<SchedulerJob>,
    /// POD_UID: the Kubernetes pod, where its template passes the UID on.
    pub(crate) pod: Option<String>,
    /// The variables that make an OpenMP runtime bind threads, with their values.
    pub(crate) openmp: Vec<(&'static str, String)>,
}

impl Environment {
    /// RANK with the job's name, its port or its number: together they identify a rank on this machine.
    pub(crate) fn rank_of_job(&self) -> Option<RankOfJob<'_>> {
        let is_known =
            self.run_id.is_some() || self.master_port.is_some() || !self.scheduler_jobs.is_empty();
        is_known.then_some((
            self.ranks.rank?.number,
            self.run_id.as_deref(),
            self.master_port,
            self.scheduler_jobs.as_slice(),
        ))
    }

    /// The name and the port under which the ranks of a job meet.
    pub(crate) fn rendezvous(&self) -> Option<(Option<&str>, Option<u32>)> {
        self.ranks.rank?;
        let rendezvous = (self.run_id.as_deref(), self.master_port);
        (rendezvous != (None, None)).then_some(rendezvous)
    }

    /// The local rank, if a process with this rank uses the GPU of this number. In a batch script SLURM_LOCALID is 0, for
    /// all that the script starts.
    pub(crate) fn device_rank(&self) -> Option<u32> {
        let rank = self.ranks.local_rank?;
        (rank.source != "SLURM_LOCALID").then_some(rank.number)
    }

    /// The variables that make an OpenMP runtime bind threads. OMP_PROC_BIND=false switches this off, also for the others.
    pub(crate) fn openmp_binding(&self) -> Vec<(&'static str, &str)> {
        let is_off = |(name, value): &(&str, String)| {
            let off: &[&str] = match *name {
                "OMP_PROC_BIND" => &["", "false"],
                "KMP_AFFINITY" => &["", "none", "disabled"],
                _ => &[""],
            };
            let mut words = value.split(',').map(str::trim);
            words.any(|word| off.iter().any(|off| word.eq_ignore_ascii_case(off)))
        };
        let mut variables = self.openmp.iter();
        if variables.any(|of| of.0 == "OMP_PROC_BIND" && is_off(of)) {
            return Vec::new();
        }
        let binding = self.openmp.iter().filter(|of| !is_off(of));
        binding
            .map(|(name, value)| (*name, value.as_str()))
            .collect()
    }
}

/// RANK, the job's name, its port and its schedulers' numbers.
pub(crate) type RankOfJob<'a> = (u32, Option<&'a str>, Option<u32>, &'a [SchedulerJob]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_switches_binding_off_does_not_bind() {
        let binding = |variables: &[(&'static str, &str)]| {
            let variables = variables.iter();
            let environment = Environment {
                openmp: variables
                    .map(|(name, value)| (*name, (*value).to_owned()))
                    .collect(),
                ..Environment::default()
            };
            let names = environment.openmp_binding().into_iter();
            names.map(|(name, _)| name).collect::<Vec<_>>()
        };
        let close = ("OMP_PROC_BIND", "close");
        let places = ("OMP_PLACES", "cores");
        assert_eq!(binding(&[close, places]), ["OMP_PROC_BIND", "OMP_PLACES"]);
        assert_eq!(binding(&[("OMP_PROC_BIND", "FALSE"), places]), [""; 0]);
        assert_eq!(
            binding(&[("KMP_AFFINITY", "granularity=fine,compact,1,0")]),
            ["KMP_AFFINITY"]
        );
        assert_eq!(binding(&[("KMP_AFFINITY", "verbose,none")]), [""; 0]);
        assert_eq!(binding(&[("GOMP_CPU_AFFINITY", "")]), [""; 0]);
    }
}
