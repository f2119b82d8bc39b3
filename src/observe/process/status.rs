//! `/proc/PID/status` and `/proc/PID/task/TID/status`.

use memchr::memchr;

use crate::machine::Reason;
use crate::observe::read::read_as;
use crate::observe::root::Root;
use crate::units::{
    Bytes, CpuSet, Malformed, NodeSet, Pid, malformed, number, parse_cpu_list, parse_node_list,
};

/// The lines that the audit needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Status {
    /// The real user id, the first of four.
    pub(crate) uid: u32,
    /// `NSpid` without its first: the PIDs in the PID namespaces inside the reader's, outermost first. Empty where there
    /// are no such namespaces, and on kernels before 4.1.
    pub(crate) inner_pids: Vec<u32>,
    /// `Cpus_allowed_list`: may contain CPUs that are offline or only possible.
    pub(crate) affinity: CpuSet,
    /// `Mems_allowed_list`; `None` on a kernel without cpusets.
    pub(crate) mems_allowed: Option<NodeSet>,
    /// `None` on a kernel before 4.5, and for a process that is ending.
    pub(crate) resident: Option<Resident>,
    /// `VmSwap`: anonymous memory that is in swap. Shared memory in swap is not counted. `None` for a process that is ending.
    /// An error does not cost the other values.
    pub(crate) swap: Result<Option<Bytes>, Malformed>,
}

/// A process's present pages by the kernel's counters, which need no page walk. From Linux 6.2 to 6.16 each
/// CPU adds its part late, so that some may be missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Resident {
    /// `RssAnon`, with private copies of files' pages.
    pub(crate) anonymous: Bytes,
    /// `RssFile`, with what a driver maps (`/dev/nvidiactl`).
    pub(crate) file: Bytes,
    /// `RssShmem`: shared anonymous mappings, memfd, System V, and every file on a tmpfs.
    pub(crate) shared: Bytes,
    /// `HugetlbPages`, which `VmRSS` does not count.
    pub(crate) huge: Bytes,
}

impl Resident {
    pub(crate) fn all(&self) -> Bytes {
        [self.anonymous, self.file, self.shared, self.huge]
            .into_iter()
            .sum()
    }
}

/// The names of these lines, in the kernel's order.
const NAMES: [&str; 9] = [
    "Uid",
    "NSpid",
    "RssAnon",
    "RssFile",
    "RssShmem",
    "VmSwap",
    "HugetlbPages",
    "Cpus_allowed_list",
    "Mems_allowed_list",
];

/// The values of these lines. If a name occurs twice, the first value counts. Every process has more than 1,000 bytes of
/// `status`: they are searched once, for all names.
fn values(bytes: &[u8]) -> [Option<&[u8]>; NAMES.len()] {
    let mut values = [None; NAMES.len()];
    let mut rest = bytes;
    while !rest.is_empty() {
        let end = memchr(b'\n', rest).unwrap_or(rest.len());
        let line = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        for (name, value) in NAMES.iter().zip(&mut values) {
            // The length is compared first: nearly all lines have names of other lengths.
            if line.get(name.len()) == Some(&b':') && line.starts_with(name.as_bytes()) {
                *value = value.or_else(|| line[name.len()..].strip_prefix(b":\t"));
            }
        }
    }
    values
}

pub(crate) fn read_status(root: &Root, pid: Pid) -> Result<Status, Reason> {
    let status = read_as(root, &format!("proc/{pid}/status"), parse_status)?;
    if root.thread_to_ask(pid) == pid {
        return Ok(status);
    }
    // Its main thread has ended: the memory is that of the others, and so is the affinity that counts.
    let file = format!("{}/status", root.process_folder(pid));
    let of_thread = read_as(root, &file, parse_status)?;
    Ok(Status {
        affinity: of_thread.affinity,
        resident: of_thread.resident,
        ..status
    })
}

/// Parses one `status`. Unknown lines are ignored. The kernel escapes newlines in the name.
pub(crate) fn parse_status(bytes: &[u8]) -> Result<Status, Malformed> {
    // In a file that was cut the last value may be incomplete.
    if bytes.last() != Some(&b'\n') {
        return malformed("status ends early", bytes);
    }
    let values = values(bytes);
    let field = |name: &str| {
        let at = NAMES.iter().position(|known| *known == name)?;
        values[at]
    };
    let needed = |name: &str| match field(name) {
        Some(value) => Ok(value),
        None => malformed(&format!("no {name} in status"), bytes),
    };
    // `RssAnon:\t   71604 kB`
    let kib = |name: &str| {
        let value = field(name)?.trim_ascii().strip_suffix(b" kB")?;
        Bytes::from_kib(number(name, value).ok()?)
    };
    let resident = || {
        Some(Resident {
            anonymous: kib("RssAnon")?,
            file: kib("RssFile")?,
            shared: kib("RssShmem")?,
            // A kernel without huge pages has no such line.
            huge: kib("HugetlbPages").unwrap_or_default(),
        })
    };
    let inner_pids = field("NSpid").unwrap_or_default();
    let inner_pids = inner_pids.split(u8::is_ascii_whitespace).skip(1);
    let uid = needed("Uid")?.split(u8::is_ascii_whitespace).next();
    Ok(Status {
        uid: number("Uid in status", uid.unwrap_or_default())?,
        inner_pids: inner_pids
            .map(|pid| number("NSpid in status", pid))
            .collect::<Result<_, _>>()?,
        affinity: parse_cpu_list(needed("Cpus_allowed_list")?)?,
        mems_allowed: field("Mems_allowed_list")
            .map(parse_node_list)
            .transpose()?,
        resident: resident(),
        swap: match (field("VmSwap"), kib("VmSwap")) {
            (Some(text), None) => malformed("VmSwap in status", text),
            (_, swap) => Ok(swap),
        },
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parses_the_lines() {
        let text = b"Name:\tpt_data: w 0\nUid:\t1000\t0\t0\t0\nNSpid:\t4711\t12\t1\nNew:\tline\n\
            Cpus_allowed:\tff\nCpus_allowed_list:\t0-3,8\nMems_allowed_list:\t0-1\n";
        let status = parse_status(text).unwrap();
        assert_eq!(status.uid, 1000);
        assert_eq!(status.inner_pids, [12, 1]);
        assert_eq!(status.affinity.to_string(), "0-3,8");
        assert_eq!(status.mems_allowed.unwrap().len(), 2);
    }

    #[test]
    fn parses_the_memory_counters() {
        let text = b"Uid:\t0\t0\t0\t0\nRssAnon:\t   71604 kB\nRssFile:\t    2048 kB\nRssShmem:\t       4 kB\n\
            HugetlbPages:\t    2048 kB\nCpus_allowed_list:\t0\n";
        let resident = parse_status(text).unwrap().resident.unwrap();
        assert_eq!(resident.anonymous, Bytes(71604 << 10));
        assert_eq!(resident.all(), Bytes((71604 + 2048 + 4 + 2048) << 10));
        let swap = |text: &[u8]| parse_status(text).unwrap().swap;
        let swapped = b"Uid:\t0\t0\t0\t0\nVmSwap:\t   71604 kB\nCpus_allowed_list:\t0\n";
        assert_eq!(swap(swapped), Ok(Some(Bytes(71604 << 10))));
        assert_eq!(swap(text), Ok(None));
        for wrong in ["x", "-1", "", "18446744073709551615"] {
            let text = format!("Uid:\t0\nVmSwap:\t{wrong} kB\nCpus_allowed_list:\t0\n");
            assert!(swap(text.as_bytes()).is_err(), "{wrong}");
        }
        let none = b"Uid:\t0\t0\t0\t0\nRssAnon:\t x kB\nRssFile:\t 1 kB\nRssShmem:\t 1 kB\nCpus_allowed_list:\t0\n";
        assert_eq!(parse_status(none).unwrap().resident, None);
    }

    #[test]
    fn a_name_that_is_not_utf8_is_ignored() {
        let text = b"Name:\t\xe6\x95\nUid:\t0\t0\t0\t0\nCpus_allowed_list:\t0\n";
        assert_eq!(parse_status(text).unwrap().mems_allowed, None);
    }

    #[test]
    fn a_cut_file_is_malformed() {
        assert!(parse_status(b"Uid:\t0\t0\t0\t0\nCpus_allowed_list:\t0-1").is_err());
        assert!(parse_status(b"Uid:\t0\t0\t0\t0\n").is_err());
        assert!(parse_status(b"").is_err());
    }

    proptest! {
        #[test]
        fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_status(&bytes);
        }
    }
}
