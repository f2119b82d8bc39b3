//! The environment variables that describe a process's place in a job.

use crate::machine::BindingRequest;

/// Variables as they were when the program was started. Variables that a process sets later are visible only in its
/// children. `None` for a variable that was not set or has an invalid value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Environment {
    /// LOCAL_RANK: the rank among the job's processes of this machine.
    pub(crate) local_rank: Option<u32>,
    /// RANK: the rank in the whole job.
    pub(crate) rank: Option<u32>,
    /// TORCHELASTIC_RUN_ID: torchrun's name for the job.
    pub(crate) run_id: Option<String>,
    /// MASTER_PORT: where the job's ranks meet. Two jobs on one machine cannot have the same.
    pub(crate) master_port: Option<u32>,
    /// CUDA_VISIBLE_DEVICES: indexes, beginnings of UUIDs, or names of MIG devices.
    pub(crate) visible_devices: Option<String>,
    /// The bindings that variables request.
    pub(crate) asks: Vec<BindingRequest>,
}

impl Environment {
    /// RANK with the job's name or its port: together they identify a rank on this machine.
    pub(crate) fn rank_of_job(&self) -> Option<(u32, Option<&str>, Option<u32>)> {
        let is_known = self.run_id.is_some() || self.master_port.is_some();
        is_known.then_some((self.rank?, self.run_id.as_deref(), self.master_port))
    }
}
