//! `/proc/PID/cgroup`, v1 and v2.

use procfs::{FromBufRead, ProcessCGroups};

use super::{Malformed, malformed};

/// The path in each hierarchy.
pub fn parse_cgroup(bytes: &[u8]) -> Result<Vec<String>, Malformed> {
    // The crate wants UTF-8; whoever may make a group may choose other bytes for its name.
    let text = String::from_utf8_lossy(bytes);
    match ProcessCGroups::from_buf_read(text.as_bytes()) {
        Ok(groups) => Ok(groups.into_iter().map(|group| group.pathname).collect()),
        Err(_) => malformed("no list of control groups", bytes),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_both_versions() {
        let text = b"12:cpuset:/docker/abc\n1:name=systemd:/a:b\n0::/user.slice\n";
        assert_eq!(
            parse_cgroup(text).unwrap(),
            ["/docker/abc", "/a:b", "/user.slice"]
        );
        assert!(parse_cgroup(b"nonsense\n").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse_cgroup(&bytes);
        }
    }
}
