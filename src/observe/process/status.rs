//! `/proc/PID/status` and `/proc/PID/task/TID/status`.

use crate::units::{
    Bytes, CpuSet, Malformed, NodeSet, malformed, number, parse_cpu_list, parse_node_list,
};

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
    /// How much memory it has; `None` on a kernel before 4.5, and for a process that is about to end.
    pub resident: Option<Resident>,
}

/// A process's present pages, as its counters have them: no page table is walked for these. From Linux 6.2 to 6.16 each
/// CPU may hold back a part of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resident {
    /// `RssAnon`: private copies of files' pages are among them.
    pub anonymous: Bytes,
    /// `RssFile`: what a driver maps (`/dev/nvidiactl`) is among them.
    pub file: Bytes,
    /// `RssShmem`: shared anonymous mappings, memfd, System V, and every file on a tmpfs.
    pub shared: Bytes,
    /// `HugetlbPages`, which `VmRSS` does not count.
    pub huge: Bytes,
}

impl Resident {
    /// All of it.
    pub fn all(&self) -> Bytes {
        [self.anonymous, self.file, self.shared, self.huge]
            .into_iter()
            .sum()
    }
}

/// The names of the lines that matter, in the order in which the kernel writes them.
const NAMES: [&str; 8] = [
    "Uid",
    "NSpid",
    "RssAnon",
    "RssFile",
    "RssShmem",
    "HugetlbPages",
    "Cpus_allowed_list",
    "Mems_allowed_list",
];

/// The values of these lines, each the first of its name. The text is gone through once: it has more than a thousand bytes,
/// and every process has one.
fn values(bytes: &[u8]) -> [Option<&[u8]>; NAMES.len()] {
    let mut values = [None; NAMES.len()];
    for line in bytes.split(|byte| *byte == b'\n') {
        let value_of = |name: &&str| line.strip_prefix(name.as_bytes())?.strip_prefix(b":\t");
        for (name, value) in NAMES.iter().zip(&mut values) {
            *value = value.or_else(|| value_of(name));
        }
    }
    values
}

/// Reads one `status`. Lines that are not known do no harm; the name's newlines are escaped by the
/// kernel.
pub fn parse_status(bytes: &[u8]) -> Result<Status, Malformed> {
    // A file that was cut may have lost the end of its last line's value.
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
            // Not there on a kernel without huge pages.
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
    fn reads_how_much_memory_there_is() {
        let text = b"Uid:\t0\t0\t0\t0\nRssAnon:\t   71604 kB\nRssFile:\t    2048 kB\nRssShmem:\t       4 kB\n\
            HugetlbPages:\t    2048 kB\nCpus_allowed_list:\t0\n";
        let resident = parse_status(text).unwrap().resident.unwrap();
        assert_eq!(resident.anonymous, Bytes(71604 << 10));
        assert_eq!(resident.all(), Bytes((71604 + 2048 + 4 + 2048) << 10));
        let none = b"Uid:\t0\t0\t0\t0\nRssAnon:\t x kB\nRssFile:\t 1 kB\nRssShmem:\t 1 kB\nCpus_allowed_list:\t0\n";
        assert_eq!(parse_status(none).unwrap().resident, None);
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
