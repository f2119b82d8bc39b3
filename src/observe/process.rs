//! Processes, as procfs shows them.

pub mod affinity;
pub mod cgroup;
#[cfg(test)]
mod compared_with_procfs;
pub mod cpuset;
pub mod fd;
pub mod processes;
pub mod procfs;
pub mod readers;
pub mod stat;
pub mod status;
pub mod user_names;
pub mod words;
