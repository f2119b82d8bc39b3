//! The CPUs and nodes that a process's control group leaves it.

use std::collections::BTreeMap;

use crate::machine::gap::Reason;
use crate::machine::process::{ControlGroup, Cpuset};
use crate::observe::root::Root;
use crate::units::{Malformed, parse_cpu_list, parse_node_list};

/// The cpusets that were read, by the group's folder: the processes of a job share one.
#[derive(Debug, Default)]
pub struct Cpusets {
    read: BTreeMap<String, Result<Option<Cpuset>, Reason>>,
}

impl Cpusets {
    /// The cpuset of a process in these groups. `None` where no cpuset controller is at work, or where its hierarchy
    /// is not to be seen: in a container without /sys/fs/cgroup, or in a group outside the reader's own.
    ///
    /// # Errors
    /// The reason for a gap.
    pub fn of(&mut self, root: &Root, groups: &[ControlGroup]) -> Result<Option<Cpuset>, Reason> {
        let Some((top, path, names)) = hierarchy(groups) else {
            return Ok(None);
        };
        let group = format!("{top}{}", path.trim_end_matches('/'));
        let read = self.read.entry(group);
        read.or_insert_with_key(|group| read_cpuset(root, top, group, names))
            .clone()
    }
}

/// The files' names.
type Names = (&'static str, &'static str);

/// Where the cpuset controller's groups are, the path of this one, and the files' names: version 1 (cpuset-v1.c in the
/// kernel's kernel/cgroup) where that has the controller, else version 2 (cpuset.c).
fn hierarchy(groups: &[ControlGroup]) -> Option<(&'static str, &str, Names)> {
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
    // `/../…` is outside the reader's cgroup namespace, and what is mounted here is another group's.
    const LONGEST_PATH: usize = 4096;
    let is_path = found.1.starts_with('/') && found.1.len() < LONGEST_PATH;
    let is_inside = is_path && !found.1.split('/').any(|name| name == "..");
    is_inside.then_some(found)
}

/// Up from the group to the first that has the files: where the controller is not enabled, its parent's hold.
fn read_cpuset(
    root: &Root,
    top: &str,
    group: &str,
    names: Names,
) -> Result<Option<Cpuset>, Reason> {
    let mut folder = group;
    loop {
        let cpus = list(root, &format!("{folder}/{}", names.0), parse_cpu_list)?;
        let mems = list(root, &format!("{folder}/{}", names.1), parse_node_list)?;
        match (cpus, mems) {
            (Some(cpus), Some(mems)) => return Ok(Some(Cpuset { cpus, mems })),
            _ if folder == top => return Ok(None),
            _ => folder = folder.rsplit_once('/').map_or(top, |(parent, _)| parent),
        }
    }
}

/// `None` where there is no such file.
fn list<T>(
    root: &Root,
    path: &str,
    parse: fn(&[u8]) -> Result<T, Malformed>,
) -> Result<Option<T>, Reason> {
    match root.read(path) {
        Ok(text) => Ok(Some(parse(&text)?)),
        Err(Reason::Absent) => Ok(None),
        Err(reason) => Err(reason),
    }
}
