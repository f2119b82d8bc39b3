//! Processes, as procfs shows them.

pub mod affinity;
pub mod cgroup;
pub mod cmdline;
pub mod cpuset;
pub mod fd;
pub mod pool;
pub mod process_reader;
pub mod processes;
pub mod stat;
pub mod status;
pub mod user_names;
