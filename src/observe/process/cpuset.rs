//! `cpuset.cpus.effective` and `cpuset.mems.effective`: the CPUs and nodes that a control group leaves to its processes.

use std::collections::BTreeMap;

use crate::machine::{ControlGroup, Cpuset, Reason};
use crate::observe::hierarchy::{Controller, GroupFolder, HierarchyVersion};
use crate::observe::read::read_as;
use crate::observe::root::Root;
use crate::units::{Malformed, parse_cpu_list, parse_node_list};

/// The cpusets that were read, by the group's folder: the processes of a job share one.
#[derive(Debug, Default)]
pub(crate) struct Cpusets {
    by_folder: BTreeMap<String, Result<Option<Cpuset>, Reason>>,
}

impl Cpusets {
    /// The cpuset of a process in these groups. `None` where no cpuset controller is enabled, or where its hierarchy is not
    /// visible: in a container without /sys/fs/cgroup, or for a group outside the reader's own.
    pub(crate) fn of(
        &mut self,
        root: &Root,
        groups: &[ControlGroup],
    ) -> Result<Option<Cpuset>, Reason> {
        let Some(group) = GroupFolder::of(groups, Controller::Cpuset) else {
            return Ok(None);
        };
        if let Some(cpuset) = self.by_folder.get(&group.path) {
            return cpuset.clone();
        }
        let cpuset = read_cpuset(root, &group);
        self.by_folder.insert(group.path, cpuset.clone());
        cpuset
    }
}

/// Goes up from the group to the first one that has the files: where the controller is not enabled, the parent's cpuset
/// applies.
fn read_cpuset(root: &Root, group: &GroupFolder) -> Result<Option<Cpuset>, Reason> {
    // cpuset-v1.c and cpuset.c in the kernel's kernel/cgroup.
    let (cpus_file, mems_file) = match group.version {
        HierarchyVersion::V1 => ("cpuset.effective_cpus", "cpuset.effective_mems"),
        HierarchyVersion::V2 => ("cpuset.cpus.effective", "cpuset.mems.effective"),
    };
    for folder in group.upwards() {
        let cpus = read_list(root, &format!("{folder}/{cpus_file}"), parse_cpu_list)?;
        let mems = read_list(root, &format!("{folder}/{mems_file}"), parse_node_list)?;
        if let (Some(cpus), Some(mems)) = (cpus, mems) {
            let is_isolated = is_isolated(root, group);
            return Ok(Some(Cpuset {
                cpus,
                mems,
                is_isolated,
            }));
        }
    }
    Ok(None)
}

/// Whether the group is in an isolated partition: the nearest group above it that is a partition, or itself. Version 1 has none.
fn is_isolated(root: &Root, group: &GroupFolder) -> bool {
    if group.version == HierarchyVersion::V1 {
        return false;
    }
    let kinds = group.upwards().filter_map(|folder| {
        let text = root.read(&format!("{folder}/cpuset.cpus.partition")).ok()?;
        Some(text.trim_ascii().to_vec())
    });
    // `member`, and a partition that the kernel could not make: `isolated invalid (reason)`.
    let mut partitions = kinds.filter(|kind| kind == b"root" || kind == b"isolated");
    partitions.next().is_some_and(|kind| kind == b"isolated")
}

/// `None` where the file does not exist.
fn read_list<T>(
    root: &Root,
    path: &str,
    parse: fn(&[u8]) -> Result<T, Malformed>,
) -> Result<Option<T>, Reason> {
    match read_as(root, path, parse) {
        Ok(list) => Ok(Some(list)),
        Err(Reason::Absent) => Ok(None),
        Err(reason) => Err(reason),
    }
}
