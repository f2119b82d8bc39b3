//! `/proc/PID/status` and `/proc/PID/task/TID/status`.

use super::list::{parse_cpu_list, parse_node_list};
use super::{Malformed, malformed, number};
use crate::model::cpus::CpuSet;
use crate::model::topology::NodeSet;

/// The lines that matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The real user id, the first of four.
    pub uid: u32,
    /// `NSpid` without its first: the PIDs in the namespaces within the reader's, outermost first. Empty where there
    /// are none, and on kernels before 4.1.
    pub inner_pids: Vec<u32>,
    /// `Cpus_allowed_list`: offline and merely possible CPUs may be among them.
    pub affinity: CpuSet,
    /// `Mems_allowed_list`; `None` on a kernel without cpusets.
    pub mems_allowed: Option<NodeSet>,
}

/// Reads one `status`. Lines that are not known do no harm; the name's newlines are escaped by the
/// kernel.
pub fn parse_status(bytes: &[u8]) -> Result<Status, Malformed> {
    // A file that was cut may have lost the end of its last line's value.
    if bytes.last() != Some(&b'\n') {
        return malformed("status ends early", bytes);
    }
    let field = |name: &[u8]| {
        let mut lines = bytes.split(|byte| *byte == b'\n');
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(b":\t"))
    };
    let needed = |name: &str| match field(name.as_bytes()) {
        Some(value) => Ok(value),
        None => malformed(&format!("no {name} in status"), bytes),
    };
    let inner_pids = field(b"NSpid").unwrap_or_default();
    let inner_pids = inner_pids.split(u8::is_ascii_whitespace).skip(1);
    let uid = needed("Uid")?.split(u8::is_ascii_whitespace).next();
    Ok(Status {
        uid: number("Uid in status", uid.unwrap_or_default())?,
        inner_pids: inner_pids
            .map(|pid| number("NSpid in status", pid))
            .collect::<Result<_, _>>()?,
        affinity: parse_cpu_list(needed("Cpus_allowed_list")?)?,
        mems_allowed: field(b"Mems_allowed_list")
            .map(parse_node_list)
            .transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_the_lines_that_matter() {
        let text = b"Name:\tpt_data: w 0\nUid:\t1000\t0\t0\t0\nNSpid:\t4711\t12\t1\nNew:\tline\n\
            Cpus_allowed:\tff\nCpus_allowed_list:\t0-3,8\nMems_allowed_list:\t0-1\n";
        let status = parse_status(text).unwrap();
        assert_eq!(status.uid, 1000);
        assert_eq!(status.inner_pids, [12, 1]);
        assert_eq!(status.affinity.to_string(), "0-3,8");
        assert_eq!(status.mems_allowed.unwrap().len(), 2);
    }

    #[test]
    fn a_name_that_is_no_utf8_does_no_harm() {
        let text = b"Name:\t\xe6\x95\nUid:\t0\t0\t0\t0\nCpus_allowed_list:\t0\n";
        assert_eq!(parse_status(text).unwrap().mems_allowed, None);
    }

    #[test]
    fn half_a_file_is_refused() {
        assert!(parse_status(b"Uid:\t0\t0\t0\t0\nCpus_allowed_list:\t0-1").is_err());
        assert!(parse_status(b"Uid:\t0\t0\t0\t0\n").is_err());
        assert!(parse_status(b"").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_status(&bytes);
        }
    }
}
