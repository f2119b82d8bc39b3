//! Processes: the files below `/proc/PID`.

pub(crate) mod affinity;
pub mod cgroup;
pub mod cmdline;
pub(crate) mod cpuset;
pub mod environ;
pub mod fd;
pub(crate) mod open_files;
#[cfg(test)]
mod oracle;
pub(crate) mod pool;
pub(crate) mod process_reader;
pub(crate) mod processes;
pub mod stat;
pub mod status;
pub(crate) mod threads;
pub(crate) mod user_names;
pub(crate) mod variables;
