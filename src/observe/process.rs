//! Processes: the files below `/proc/PID`.

pub(crate) mod affinity;
pub(crate) mod cgroup;
pub(crate) mod cmdline;
pub(crate) mod cpuset;
pub(crate) mod environ;
pub(crate) mod fd;
pub(crate) mod open_files;
#[cfg(test)]
mod oracle;
pub(crate) mod pool;
pub(crate) mod process_reader;
pub(crate) mod processes;
pub(crate) mod stat;
pub(crate) mod status;
pub(crate) mod threads;
pub(crate) mod user_names;
pub(crate) mod variables;
