//! `cpuset.cpus.effective` and `cpuset.mems.effective`: the CPUs and nodes that a control group leaves to its processes.

use std::collections::BTreeMap;

use crate::machine::{ControlGroup, Cpuset, Reason};
use crate::observe::hierarchy::{Controller, GroupFolder, HierarchyVersion};
use crate::observe::read::read_as;
use crate::observe::root::Root;
use crate::units::{Malformed, parse_cpu_list, parse_node_list};

/// The cpusets that were read, by folder, with those of the folders above: the processes of a job share one, and a user may
/// make groups a thousand deep.
#[derive(Debug, Default)]
pub(crate) struct Cpusets {
    by_folder: BTreeMap<String, Result<Option<Cpuset>, Reason>>,
    /// Whether the nearest partition is isolated.
    isolated: BTreeMap<String, bool>,
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
        let read = |folder: &str| read_cpuset(root, folder, group.version);
        let cpuset = nearest(&mut self.by_folder, &group, Ok(None), read)?;
        Ok(cpuset.map(|cpuset| Cpuset {
            is_isolated: self.is_isolated(root, &group),
            ..cpuset
        }))
    }

    /// Whether the group is in an isolated partition: the nearest group above it that is a partition, or itself. Version 1 has
    /// none.
    fn is_isolated(&mut self, root: &Root, group: &GroupFolder) -> bool {
        group.version == HierarchyVersion::V2
            && nearest(&mut self.isolated, group, false, |folder| {
                let text = root.read(&format!("{folder}/cpuset.cpus.partition")).ok()?;
                // `member`, and a partition that the kernel could not make: `isolated invalid (reason)`.
                match text.trim_ascii() {
                    b"isolated" => Some(true),
                    b"root" => Some(false),
                    _ => None,
                }
            })
    }
}

/// What the group has or, where `read` gives `None` for it, the nearest group above. Each folder is read once.
fn nearest<T: Clone>(
    known: &mut BTreeMap<String, T>,
    group: &GroupFolder,
    otherwise: T,
    mut read: impl FnMut(&str) -> Option<T>,
) -> T {
    let (mut passed, mut found) = (Vec::new(), otherwise);
    for folder in group.upwards() {
        let here = known.get(folder).cloned();
        passed.push(folder);
        if let Some(here) = here.or_else(|| read(folder)) {
            found = here;
            break;
        }
    }
    known.extend(
        passed
            .into_iter()
            .map(|folder| (folder.to_owned(), found.clone())),
    );
    found
}

/// The cpuset of one group. `None` where the controller is not enabled there: the cpuset of the group above applies.
fn read_cpuset(
    root: &Root,
    folder: &str,
    version: HierarchyVersion,
) -> Option<Result<Option<Cpuset>, Reason>> {
    // cpuset-v1.c and cpuset.c in the kernel's kernel/cgroup.
    let (cpus_file, mems_file) = match version {
        HierarchyVersion::V1 => ("cpuset.effective_cpus", "cpuset.effective_mems"),
        HierarchyVersion::V2 => ("cpuset.cpus.effective", "cpuset.mems.effective"),
    };
    let cpus = read_list(root, &format!("{folder}/{cpus_file}"), parse_cpu_list);
    let mems = read_list(root, &format!("{folder}/{mems_file}"), parse_node_list);
    match (cpus, mems) {
        (Ok(Some(cpus)), Ok(Some(mems))) => Some(Ok(Some(Cpuset {
            cpus,
            mems,
            is_isolated: false,
        }))),
        (Err(reason), _) | (_, Err(reason)) => Some(Err(reason)),
        _ => None,
    }
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
