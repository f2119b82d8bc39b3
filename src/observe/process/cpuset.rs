//! `cpuset.cpus.effective` and `cpuset.mems.effective`: the CPUs and nodes that a control group leaves to its processes.

use std::collections::BTreeMap;

use crate::machine::gap::Reason;
use crate::machine::process::{ControlGroup, Cpuset};
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
        let Some((top, path, names)) = hierarchy(groups) else {
            return Ok(None);
        };
        let folder = format!("{top}{}", path.trim_end_matches('/'));
        let cpuset = self.by_folder.entry(folder);
        cpuset
            .or_insert_with_key(|folder| read_cpuset(root, top, folder, names))
            .clone()
    }
}

/// The names of the files of CPUs and of nodes.
type FileNames = (&'static str, &'static str);

/// The folder of the cpuset controller's hierarchy, the path of the group in it, and the files' names: of version 1
/// (cpuset-v1.c in the kernel's kernel/cgroup) where it has the controller, else of version 2 (cpuset.c).
fn hierarchy(groups: &[ControlGroup]) -> Option<(&'static str, &str, FileNames)> {
    let has_cpusets = |group: &&ControlGroup| group.controllers.iter().any(|name| name == "cpuset");
    let v1 = groups.iter().find(has_cpusets).map(|group| {
        let names = ("cpuset.effective_cpus", "cpuset.effective_mems");
        ("sys/fs/cgroup/cpuset", group.path.as_str(), names)
    });
    let v2 = groups.iter().find(|group| group.is_v2).map(|group| {
        let names = ("cpuset.cpus.effective", "cpuset.mems.effective");
        ("sys/fs/cgroup", group.path.as_str(), names)
    });
    let found = v1.or(v2)?;
    // `/../…` is outside the reader's cgroup namespace: the folder of that name here belongs to another group.
    const LONGEST_PATH: usize = 4096;
    let is_path = found.1.starts_with('/') && found.1.len() < LONGEST_PATH;
    let is_inside = is_path && !found.1.split('/').any(|name| name == "..");
    is_inside.then_some(found)
}

/// Goes up from the group to the first one that has the files: where the controller is not enabled, the parent's cpuset
/// applies.
fn read_cpuset(
    root: &Root,
    top: &str,
    group: &str,
    names: FileNames,
) -> Result<Option<Cpuset>, Reason> {
    let mut folder = group;
    loop {
        let cpus = read_list(root, &format!("{folder}/{}", names.0), parse_cpu_list)?;
        let mems = read_list(root, &format!("{folder}/{}", names.1), parse_node_list)?;
        match (cpus, mems) {
            (Some(cpus), Some(mems)) => return Ok(Some(Cpuset { cpus, mems })),
            _ if folder == top => return Ok(None),
            _ => folder = folder.rsplit_once('/').map_or(top, |(parent, _)| parent),
        }
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
