//! Where the files of a process's control group are.
//!
//! Version 1 has one hierarchy for each controller, version 2 has one hierarchy for all.

use crate::machine::ControlGroup;

/// A controller whose files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Controller {
    Cpu,
    Cpuset,
    Memory,
}

impl Controller {
    fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cpuset => "cpuset",
            Self::Memory => "memory",
        }
    }

    fn top_of_v1(self) -> &'static str {
        match self {
            Self::Cpu => "sys/fs/cgroup/cpu",
            Self::Cpuset => "sys/fs/cgroup/cpuset",
            Self::Memory => "sys/fs/cgroup/memory",
        }
    }
}

const TOP_OF_V2: &str = "sys/fs/cgroup";

/// The version of a hierarchy: the names and the contents of its files depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HierarchyVersion {
    V1,
    V2,
}

/// The folder of a control group in one hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupFolder {
    pub(crate) version: HierarchyVersion,
    /// The folder of the hierarchy's root group.
    pub(crate) top: &'static str,
    /// The group's folder: `top` or below it.
    pub(crate) path: String,
}

impl GroupFolder {
    /// The folder for a controller of a process in these groups: of version 1 where that has the controller, else of version
    /// 2. `None` where there is neither, and for a group outside the reader's cgroup namespace (its path begins with `/../`),
    /// because another group is mounted at that place.
    pub(crate) fn of(groups: &[ControlGroup], controller: Controller) -> Option<Self> {
        const LONGEST_PATH: usize = 4096;
        let has_controller = |group: &&ControlGroup| {
            let mut names = group.controllers.iter();
            names.any(|name| name == controller.name())
        };
        let (version, top, group) = match groups.iter().find(has_controller) {
            Some(group) => (HierarchyVersion::V1, controller.top_of_v1(), group),
            None => {
                let group = groups.iter().find(|group| group.is_v2)?;
                (HierarchyVersion::V2, TOP_OF_V2, group)
            }
        };
        let path = group.path.as_str();
        let is_inside = path.starts_with('/')
            && path.len() < LONGEST_PATH
            && !path.split('/').any(|name| name == "..");
        is_inside.then(|| Self {
            version,
            top,
            path: format!("{top}{}", path.trim_end_matches('/')),
        })
    }

    /// The group's folder and the folders above it, up to the root group's.
    pub(crate) fn upwards(&self) -> impl Iterator<Item = &str> {
        let mut next = Some(self.path.as_str());
        std::iter::from_fn(move || {
            let folder = next?;
            next = if folder.len() <= self.top.len() {
                None
            } else {
                folder.rsplit_once('/').map(|(parent, _)| parent)
            };
            Some(folder)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(controllers: &[&str], path: &str) -> ControlGroup {
        ControlGroup {
            controllers: controllers.iter().map(|name| name.to_string()).collect(),
            is_v2: controllers.is_empty(),
            path: path.into(),
        }
    }

    #[test]
    fn version_1_comes_first_where_it_has_the_controller() {
        let groups = [group(&["memory"], "/a"), group(&[], "/b/")];
        let memory = GroupFolder::of(&groups, Controller::Memory).unwrap();
        assert_eq!(memory.version, HierarchyVersion::V1);
        assert_eq!(memory.path, "sys/fs/cgroup/memory/a");
        let cpuset = GroupFolder::of(&groups, Controller::Cpuset).unwrap();
        assert_eq!(cpuset.version, HierarchyVersion::V2);
        assert_eq!(cpuset.path, "sys/fs/cgroup/b");
    }

    #[test]
    fn a_group_outside_the_namespace_has_no_folder() {
        for path in ["/../a", "/a/../b", "a", ""] {
            let groups = [group(&[], path)];
            assert_eq!(GroupFolder::of(&groups, Controller::Memory), None, "{path}");
        }
        assert_eq!(GroupFolder::of(&[], Controller::Memory), None);
    }

    #[test]
    fn upwards_ends_at_the_root_group() {
        let upwards = |path: &str| {
            let groups = [group(&[], path)];
            let folder = GroupFolder::of(&groups, Controller::Cpuset).unwrap();
            folder.upwards().map(String::from).collect::<Vec<_>>()
        };
        assert_eq!(upwards("/"), ["sys/fs/cgroup"]);
        assert_eq!(
            upwards("/a/b"),
            ["sys/fs/cgroup/a/b", "sys/fs/cgroup/a", "sys/fs/cgroup"]
        );
    }
}
