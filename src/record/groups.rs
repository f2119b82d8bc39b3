//! Control groups in a redacted recording: renamed, without the names of users.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::jobs::scheduler;
use crate::machine::ControlGroup;
use crate::observe::process::parse_cgroup;
use crate::observe::root::{RecordedEntry, RecordedTree};
use crate::record::{by_line, process_of};

/// The tree with a new name for every group: its job, pod or container, and a number. Different groups keep different names. The
/// cpuset of a group, or of the ancestor whose cpuset applies, is kept under the new name.
pub(crate) fn without_names(tree: &RecordedTree) -> RecordedTree {
    let new_names = new_names(tree);
    let mut renamed = RecordedTree::default();
    for (path, entry) in tree.entries() {
        match entry {
            RecordedEntry::File(bytes) if is_cgroup(path) => {
                renamed.insert(path, RecordedEntry::File(rename(bytes, &new_names)));
            }
            _ if path.starts_with(TOP) => {}
            _ => renamed.insert(path, entry.clone()),
        }
    }
    for (old, new) in new_names.iter().filter(|(old, _)| !is_outside(old)) {
        for (top, file) in FILES {
            if let Some(entry) = nearest(tree, top, old, file) {
                renamed.insert(Path::new(top).join(&new[1..]).join(file), entry.clone());
            }
        }
    }
    renamed
}

/// The folder of control groups.
pub(crate) const TOP: &str = "sys/fs/cgroup";

/// The files of groups that are read, with the folder of their hierarchy.
const FILES: &[(&str, &str)] = &[
    (TOP, "cpuset.cpus.effective"),
    (TOP, "cpuset.mems.effective"),
    (TOP, "cpuset.cpus.partition"),
    (TOP, "cpu.max"),
    (TOP, "memory.numa_stat"),
    ("sys/fs/cgroup/cpuset", "cpuset.effective_cpus"),
    ("sys/fs/cgroup/cpuset", "cpuset.effective_mems"),
    ("sys/fs/cgroup/cpu", "cpu.cfs_quota_us"),
    ("sys/fs/cgroup/cpu", "cpu.cfs_period_us"),
];

fn is_cgroup(path: &Path) -> bool {
    process_of(path).is_some() && path.ends_with("cgroup")
}

fn is_outside(path: &str) -> bool {
    path.starts_with("/../")
}

/// The new names, by old name, of all groups that have a process.
fn new_names(tree: &RecordedTree) -> BTreeMap<String, String> {
    let texts = tree
        .entries()
        .iter()
        .filter_map(|(path, entry)| match entry {
            RecordedEntry::File(bytes) if is_cgroup(path) => parse_cgroup(bytes).ok(),
            _ => None,
        });
    let groups: BTreeSet<String> = texts.flatten().map(|group| group.path).collect();
    let named = groups.into_iter().zip(1..).map(|(path, number)| {
        let new = new_name(&path, number);
        (path, new)
    });
    named.collect()
}

fn new_name(path: &str, number: usize) -> String {
    // The root group has no name, and a group outside the recorder's own root stays outside.
    if path == "/" || is_outside(path) {
        return path.chars().take("/../".len()).collect();
    }
    let group = [ControlGroup {
        controllers: Vec::new(),
        is_v2: true,
        path: path.to_owned(),
    }];
    let job = scheduler::slurm_job(&group).map(|job| format!("/slurm/job_{job}"));
    let pod = scheduler::pod(&group).map(|pod| format!("/kubepods/pod{pod}"));
    let container = scheduler::container(&group).map(|id| format!("/{id}"));
    let kept: String = [job, pod, container].into_iter().flatten().collect();
    format!("{kept}/group-{number}")
}

/// The lines of a process's `cgroup` with new names. Malformed lines are left out.
fn rename(cgroup: &[u8], new_names: &BTreeMap<String, String>) -> Vec<u8> {
    by_line(cgroup, |line| {
        let text = String::from_utf8_lossy(line);
        let mut fields = text.splitn(3, ':');
        match (
            fields.next(),
            fields.next(),
            fields.next().and_then(|path| new_names.get(path)),
        ) {
            (Some(number), Some(controllers), Some(new)) => {
                format!("{number}:{controllers}:{new}").into_bytes()
            }
            _ => Vec::new(),
        }
    })
}

/// The file of this group, or of the nearest ancestor that has it.
fn nearest<'a>(
    tree: &'a RecordedTree,
    top: &str,
    group: &str,
    file: &str,
) -> Option<&'a RecordedEntry> {
    let mut folder = PathBuf::from(format!("{top}{group}"));
    loop {
        if let Some(entry) = tree.entries().get(&folder.join(file)) {
            return Some(entry);
        }
        if folder == Path::new(top) || !folder.pop() {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> RecordedEntry {
        RecordedEntry::File(text.as_bytes().to_vec())
    }

    #[test]
    fn the_job_and_the_cpuset_are_kept_without_names() {
        let id = "0123456789abcdef".repeat(4);
        let mut tree = RecordedTree::default();
        tree.insert(
            "proc/7/cgroup",
            file(&format!("0::/user.slice/ann/docker-{id}.scope\n")),
        );
        tree.insert(
            "proc/8/cgroup",
            file("4:cpuset:/slurm/uid_1/job_7/step_0\n0::/\n"),
        );
        tree.insert("proc/9/cgroup", file("0::/user.slice/ann/bob\n"));
        let ann = "sys/fs/cgroup/user.slice/ann";
        tree.insert(format!("{ann}/cpuset.cpus.effective"), file("0-3\n"));
        tree.insert(format!("{ann}/bob/cpuset.cpus.effective"), file("4\n"));
        tree.insert(
            "sys/fs/cgroup/cpuset/slurm/uid_1/job_7/step_0/cpuset.effective_mems",
            file("1\n"),
        );
        let renamed = without_names(&tree);
        let files: Vec<String> = renamed
            .entries()
            .iter()
            .filter_map(|(path, entry)| match entry {
                RecordedEntry::File(text) => Some(format!(
                    "{} {}",
                    path.display(),
                    String::from_utf8_lossy(text).trim_end()
                )),
                _ => None,
            })
            .collect();
        assert_eq!(
            files,
            [
                format!("proc/7/cgroup 0::/{id}/group-4"),
                "proc/8/cgroup 4:cpuset:/slurm/job_7/group-2\n0::/".into(),
                "proc/9/cgroup 0::/group-3".into(),
                format!("sys/fs/cgroup/{id}/group-4/cpuset.cpus.effective 0-3"),
                "sys/fs/cgroup/cpuset/slurm/job_7/group-2/cpuset.effective_mems 1".into(),
                "sys/fs/cgroup/group-3/cpuset.cpus.effective 4".into(),
            ]
        );
    }
}
