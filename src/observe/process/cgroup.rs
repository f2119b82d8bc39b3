//! `/proc/PID/cgroup`, versions 1 and 2.

use procfs::{FromBufRead, ProcessCGroups};

use crate::machine::{ControlGroup, Reason};
use crate::observe::root::Root;
use crate::units::{Malformed, Pid, malformed};

pub(crate) fn read_cgroup(root: &Root, pid: Pid) -> Result<Vec<ControlGroup>, Reason> {
    Ok(parse_cgroup(&root.read(&format!("proc/{pid}/cgroup"))?)?)
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

    proptest! {
        #[test]
        fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse_cgroup(&bytes);
        }
    }
}
