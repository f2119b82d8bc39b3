//! `/proc/PID/cgroup`, versions 1 and 2.

use std::sync::{Arc, Mutex};

use procfs::{FromBufRead, ProcessCGroups};

use crate::machine::{ControlGroup, Reason};
use crate::observe::process::lock;
use crate::observe::read::read_as;
use crate::observe::root::Root;
use crate::units::{Malformed, Pid, malformed};

pub(crate) fn read_cgroup(root: &Root, pid: Pid) -> Result<Vec<ControlGroup>, Reason> {
    read_as(root, &format!("proc/{pid}/cgroup"), parse_cgroup)
}

/// Reads the groups of many processes. Those of one job have the same groups, and share one list of them.
#[derive(Debug, Default)]
pub(crate) struct SharedGroups {
    last: Mutex<Option<LastGroups>>,
}

#[derive(Debug)]
struct LastGroups {
    text: Vec<u8>,
    groups: Arc<[ControlGroup]>,
}

impl SharedGroups {
    pub(crate) fn of(&self, root: &Root, pid: Pid) -> Result<Arc<[ControlGroup]>, Reason> {
        read_as(root, &format!("proc/{pid}/cgroup"), |text| self.parse(text))
    }

    fn parse(&self, text: &[u8]) -> Result<Arc<[ControlGroup]>, Malformed> {
        let mut last = lock(&self.last);
        if let Some(last) = last.as_ref().filter(|last| last.text == text) {
            return Ok(last.groups.clone());
        }
        let groups: Arc<[ControlGroup]> = parse_cgroup(text)?.into();
        *last = Some(LastGroups {
            text: text.to_owned(),
            groups: groups.clone(),
        });
        Ok(groups)
    }
}

/// Parses the group in each hierarchy.
pub(crate) fn parse_cgroup(bytes: &[u8]) -> Result<Vec<ControlGroup>, Malformed> {
    // `procfs` requires UTF-8, but a group's name may be any bytes.
    let text = String::from_utf8_lossy(bytes);
    let Ok(groups) = ProcessCGroups::from_buf_read(text.as_bytes()) else {
        return malformed("not a list of control groups", bytes);
    };
    let groups = groups.into_iter().map(|group| ControlGroup {
        is_v2: group.hierarchy == 0,
        controllers: group.controllers,
        path: group.pathname,
    });
    Ok(groups.collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parses_both_versions() {
        let text = b"12:cpuset,cpu:/docker/abc\n1:name=systemd:/a:b\n0::/user.slice\n";
        let groups = parse_cgroup(text).unwrap();
        let paths: Vec<&str> = groups.iter().map(|group| group.path.as_str()).collect();
        assert_eq!(paths, ["/docker/abc", "/a:b", "/user.slice"]);
        assert_eq!(groups[0].controllers, ["cpuset", "cpu"]);
        assert!(groups[2].is_v2 && !groups[0].is_v2);
        assert!(parse_cgroup(b"nonsense\n").is_err());
    }

    #[test]
    fn equal_groups_are_one_list_and_others_are_not() {
        let shared = SharedGroups::default();
        let first = shared.parse(b"0::/a\n").unwrap();
        assert!(Arc::ptr_eq(&first, &shared.parse(b"0::/a\n").unwrap()));
        assert_eq!(shared.parse(b"0::/b\n").unwrap()[0].path, "/b");
        assert!(shared.parse(b"nonsense\n").is_err());
        assert_eq!(shared.parse(b"0::/a\n").unwrap(), first);
    }

    proptest! {
        #[test]
        fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse_cgroup(&bytes);
        }
    }
}
