//! Processes: the files below `/proc/PID`.

pub(crate) mod affinity;
pub(crate) mod cgroup;
pub(crate) mod cmdline;
pub(crate) mod cpu_quota;
pub(crate) mod cpuset;
pub(crate) mod environ;
pub(crate) mod fd;
pub(crate) mod left_behind;
pub(crate) mod open_files;
#[cfg(test)]
mod oracle;
pub(crate) mod pod_names;
pub(crate) mod pool;
pub(crate) mod process_reader;
pub(crate) mod processes;
pub(crate) mod stat;
pub(crate) mod status;
pub(crate) mod threads;
pub(crate) mod user_names;
pub(crate) mod variables;

pub(crate) use affinity::Affinities;
pub(crate) use cgroup::{SharedGroups, parse_cgroup};
pub(crate) use cmdline::{longest_command, read_command};
pub(crate) use cpu_quota::CpuQuotas;
pub(crate) use cpuset::Cpusets;
#[cfg(test)]
pub(crate) use environ::parse_environment;
pub(crate) use environ::{LONGEST_VALUE, read_environment};
pub(crate) use fd::{
    DriverFile, KFD_FILE, is_accelerator_file, is_kept, parse_driver_file, parse_drm_file,
    parse_pipe,
};
pub(crate) use open_files::read_pipes;
pub(crate) use pool::{ReadOutcome, Readers, lock};
pub(crate) use process_reader::{MemoryInput, NumerousFacts, PartialProcess, ProcessReader};
pub(crate) use stat::{Stat, Stats, has_ended, is_ended, parse_stat, read_stats, ticks_after_boot};
pub(crate) use status::{Resident, parse_status, read_status};
pub(crate) use threads::read_threads;
pub(crate) use variables::parse_variables;
