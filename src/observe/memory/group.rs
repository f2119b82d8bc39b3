//! A control group's memory by node, which anybody may read and which costs nothing.

use crate::machine::process::ControlGroup;
use crate::observe::memory::numa_stat::parse_numa_stat;
use crate::observe::root::Root;
use crate::units::{Bytes, NodeBytes};

/// Anonymous and shared memory of the group, its children included. `None` where the memory controller is not at work in it, or
/// its hierarchy is not to be seen.
pub(crate) fn read_memory(root: &Root, groups: &[ControlGroup]) -> Option<NodeBytes> {
    let is_v1 = |group: &&ControlGroup| group.controllers.iter().any(|name| name == "memory");
    // Version 1 counts in pages, and a recording does not say of what size.
    let page = || Some(Bytes(rustix::param::page_size() as u64)).filter(|_| root.is_live());
    let (top, group, page) = match groups.iter().find(is_v1) {
        Some(group) => ("sys/fs/cgroup/memory", group, Some(page()?)),
        None => (
            "sys/fs/cgroup",
            groups.iter().find(|group| group.is_v2)?,
            None,
        ),
    };
    let is_inside = group.path.starts_with('/') && !group.path.split('/').any(|name| name == "..");
    let folder = group.path.trim_end_matches('/');
    let text = is_inside.then(|| root.read(&format!("{top}{folder}/memory.numa_stat")));
    parse_numa_stat(&text?.ok()?, page).ok()?
}
