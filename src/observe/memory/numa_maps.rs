//! `/proc/PID/numa_maps`, a line at a time (show_numa_map in the kernel's fs/proc/task_mmu.c).
//!
//! ```text
//! 7f25f2800000 default file=/dev/zero\040(deleted) dirty=6144 active=0 N1=6144 kernelpagesize_kB=4
//! ```

pub(crate) mod policy;
pub(crate) mod walk;

use crate::machine::{Backing, Memory};
use crate::observe::memory::numa_maps::policy::{parse_policy, split_policy};
use crate::observe::memory::{TORCH_PREFIX, backing_of_file, torch_maker};
use crate::units::{Bytes, Malformed, NodeId, malformed, number};

/// Sums up a `numa_maps` line by line. It keeps no more than the counts of one line.
#[derive(Debug, Default)]
pub(crate) struct NumaMaps {
    memory: Memory,
    policy: PolicySource,
    counts: Vec<(NodeId, u64)>,
}

/// The line from which the task's policy was taken.
#[derive(Debug, Default, PartialEq)]
enum PolicySource {
    #[default]
    NoLine,
    /// The first line. Its mapping may have its own policy.
    FirstLine,
    /// The first line of a mapped file, which is the program itself. No program sets a policy for this mapping, so it shows
    /// the task's.
    FirstFile,
}

impl NumaMaps {
    /// Adds one line, without its newline.
    pub(crate) fn line(&mut self, line: &[u8]) -> Result<(), Malformed> {
        let (address, rest) = split(line);
        if address.len() < 8 || !address.iter().all(u8::is_ascii_hexdigit) {
            return malformed("not a line of numa_maps", line);
        }
        let (policy, rest) = split_policy(rest);
        let (backing, page_kib) = self.read_counts(rest, line)?;
        self.note_policy(policy, backing)?;
        for (node, pages) in self.counts.drain(..) {
            let bytes = pages.checked_mul(page_kib).and_then(Bytes::from_kib);
            let of_backing = self.memory.pages.entry(backing).or_default();
            let sum = of_backing.entry(node).or_default();
            match bytes.and_then(|bytes| sum.checked_add(bytes)) {
                Some(more) => *sum = more,
                None => return malformed("more pages than memory can have", line),
            }
        }
        Ok(())
    }

    /// Whether the task's policy is known. Further lines do not change it.
    pub(crate) fn policy_is_settled(&self) -> bool {
        self.policy == PolicySource::FirstFile
    }

    /// The sum. `None` where there was no line: the process has ended and has no memory.
    pub(crate) fn finish(self) -> Option<Memory> {
        (self.policy != PolicySource::NoLine).then_some(self.memory)
    }

    /// Reads the words after the policy into `self.counts`. Returns what backs the mapping, and its page size in KiB.
    fn read_counts(&mut self, mut rest: &[u8], line: &[u8]) -> Result<(Backing, u64), Malformed> {
        self.counts.clear();
        let (mut file, mut huge, mut page_kib) = (None, false, None);
        while !rest.is_empty() {
            let (word, behind) = split(rest);
            rest = behind;
            if let Some(name) = word.strip_prefix(b"file=") {
                file = Some(name);
            } else if word == b"huge" {
                huge = true;
            } else if let Some(size) = word.strip_prefix(b"kernelpagesize_kB=") {
                let size: u64 = number("page size in numa_maps", size)?;
                if size == 0 {
                    return malformed("a page size of 0 in numa_maps", line);
                }
                page_kib = Some(size);
            } else if let Some((node, pages)) = node_count(word) {
                let node = NodeId(number("node in numa_maps", node)?);
                if node >= NodeId::END {
                    return malformed("not a node", word);
                }
                let pages: u64 = number("count in numa_maps", pages)?;
                if pages > 0 {
                    self.counts.push((node, pages));
                }
            }
        }
        let page_kib = match page_kib {
            Some(size) => size,
            None if self.counts.is_empty() => 0,
            None => return malformed("pages without a page size in numa_maps", line),
        };
        let backing = match file {
            _ if huge => Backing::Huge,
            Some(name) => backing_of_escaped(name),
            None => Backing::Anonymous,
        };
        self.memory.torch_makers.extend(file.and_then(torch_maker));
        Ok((backing, page_kib))
    }

    fn note_policy(&mut self, text: &[u8], backing: Backing) -> Result<(), Malformed> {
        let known = match (&self.policy, backing) {
            (PolicySource::NoLine | PolicySource::FirstLine, Backing::File) => {
                PolicySource::FirstFile
            }
            (PolicySource::NoLine, _) => PolicySource::FirstLine,
            _ => return Ok(()),
        };
        self.memory.policy = parse_policy(text)?;
        self.policy = known;
        Ok(())
    }
}

/// The first word, and the text after the blank that ends it.
fn split(text: &[u8]) -> (&[u8], &[u8]) {
    match text.iter().position(|byte| *byte == b' ') {
        Some(blank) => (&text[..blank], &text[blank + 1..]),
        None => (text, &[]),
    }
}

/// `N3=512` as `3` and `512`.
fn node_count(word: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = word.strip_prefix(b"N")?;
    let equals = rest.iter().position(|byte| *byte == b'=')?;
    Some((&rest[..equals], &rest[equals + 1..]))
}

/// The kind of memory behind a file name as `numa_maps` writes it: with blanks as `\040`.
fn backing_of_escaped(name: &[u8]) -> Backing {
    match name.strip_suffix(b"\\040(deleted)") {
        Some(name) => backing_of_file(name, true),
        None => backing_of_file(name, false),
    }
}

/// The line with a file name that only shows the kind of memory, for a recording without names.
pub(crate) fn redact_line(line: &[u8]) -> Vec<u8> {
    const FILE: &[u8] = b" file=";
    let Some(at) = line.windows(FILE.len()).position(|bytes| bytes == FILE) else {
        return line.to_owned();
    };
    let at = at + FILE.len();
    let (name, rest) = split(&line[at..]);
    let torch;
    let short: &[u8] = match (backing_of_escaped(name), torch_maker(name)) {
        (Backing::File, _) => b"/redacted",
        (Backing::Shared, Some(maker)) => {
            torch = [TORCH_PREFIX, format!("{maker}_redacted").as_bytes()].concat();
            &torch
        }
        (Backing::Shared, None) if name.starts_with(b"/dev/shm/") => b"/dev/shm/redacted",
        (Backing::Shared, None) if name.starts_with(b"/memfd:") => b"/memfd:redacted",
        _ => return line.to_owned(),
    };
    let blank: &[u8] = if rest.is_empty() { b"" } else { b" " };
    [&line[..at], short, blank, rest].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::machine::{Mode, Policy};

    fn read(text: &[u8]) -> Result<Option<Memory>, Malformed> {
        let mut maps = NumaMaps::default();
        for line in text.split(|byte| *byte == b'\n') {
            if !line.is_empty() {
                maps.line(line)?;
            }
        }
        Ok(maps.finish())
    }

    /// Checks the KiB on node 0 and 1 of the only backing.
    #[track_caller]
    fn counts(line: &str, backing: Backing, kib: [u64; 2]) {
        let memory = read(line.as_bytes()).unwrap().unwrap();
        let of = |node| memory.pages[&backing].get(&NodeId(node)).map_or(0, |b| b.0);
        assert_eq!([of(0) / 1024, of(1) / 1024], kib, "{line}");
        assert_eq!(memory.pages.len(), 1, "{line}");
    }

    /// Lines as kernel 6.18 printed them.
    #[test]
    fn the_line_shows_what_backs_a_mapping() {
        use Backing::*;
        let of = |name: &str| format!("7fa8101d6000 default {name} N0=2 N1=1 kernelpagesize_kB=4");
        let kib = [8, 4];
        counts(&of("anon=3 dirty=3 active=0"), Anonymous, kib);
        counts(&of("heap anon=3"), Anonymous, kib);
        counts(&of("stack anon=3 dirty=3"), Anonymous, kib);
        counts(
            &of("file=/dev/zero\\040(deleted) dirty=3"),
            SharedAnonymous,
            kib,
        );
        counts(&of("file=/dev/zero anon=3"), File, kib);
        counts(&of("file=/dev/nvidiactl dirty=3"), DriverBuffer, kib);
        counts(&of("file=/dev/nvidia12 dirty=3"), DriverBuffer, kib);
        counts(&of("file=/dev/nvidia-uvm"), UnifiedMemory, kib);
        counts(&of("file=/dev/nvidia-uvm-tools"), File, kib);
        counts(
            &of("file=/dev/shm/torch_265_123_0\\040(deleted)"),
            Shared,
            kib,
        );
        counts(
            &of("file=/memfd:my\\040mem\\075fd\\040(deleted)"),
            Shared,
            kib,
        );
        counts(&of("file=/SYSV00000000\\040(deleted)"), Shared, kib);
        counts(&of("file=/SYSVxyz"), File, kib);
        counts(&of("file=/usr/lib/libc.so.6 anon=1 mapped=2"), File, kib);
        counts(&of("file=/data/N0=7"), File, kib);
    }

    #[test]
    fn pages_are_counted_in_the_page_size_of_their_line() {
        let hugetlb = "7fa80fe00000 default file=/anon_hugepage\\040(deleted) huge anon=3 dirty=3 N0=3 kernelpagesize_kB=2048";
        counts(hugetlb, Backing::Huge, [3 * 2048, 0]);
        let transparent =
            "7fa80be00000 default anon=2048 dirty=2048 active=0 N0=2048 kernelpagesize_kB=4";
        counts(transparent, Backing::Anonymous, [8192, 0]);
        counts(
            "00400000 default anon=1 N1=1 kernelpagesize_kB=64",
            Backing::Anonymous,
            [0, 64],
        );
    }

    #[track_caller]
    fn policy(text: &str, mode: Mode, flags: &[&str], nodes: &[u32]) {
        let line = format!("7fa8101d9000 {text} anon=28 active=0 N0=28 kernelpagesize_kB=4");
        let memory = read(line.as_bytes()).unwrap().unwrap();
        let expected = Policy {
            mode,
            flags: flags.iter().map(|flag| flag.to_string()).collect(),
            nodes: nodes.iter().copied().map(NodeId).collect(),
            truncated: false,
        };
        assert_eq!(memory.policy, expected, "{text}");
        assert_eq!(
            memory.pages[&Backing::Anonymous][&NodeId(0)],
            Bytes(28 << 12)
        );
    }

    #[test]
    fn every_policy_is_read() {
        policy("default", Mode::Default, &[], &[]);
        policy("local", Mode::Local, &[], &[]);
        policy("bind:0", Mode::Bind, &[], &[0]);
        policy("bind=static:0", Mode::Bind, &["static"], &[0]);
        policy(
            "bind=static|balancing:0-1,3",
            Mode::Bind,
            &["static", "balancing"],
            &[0, 1, 3],
        );
        policy("prefer:1", Mode::Prefer, &[], &[1]);
        policy("prefer (many):0", Mode::PreferMany, &[], &[0]);
        policy(
            "prefer (many)=relative|balancing:0",
            Mode::PreferMany,
            &["relative", "balancing"],
            &[0],
        );
        policy(
            "interleave=relative:0",
            Mode::Interleave,
            &["relative"],
            &[0],
        );
        policy("weighted interleave:0", Mode::WeightedInterleave, &[], &[0]);
        policy(
            "weighted interleave=static:0",
            Mode::WeightedInterleave,
            &["static"],
            &[0],
        );
        policy("novel=x:2", Mode::Other("novel".into()), &["x"], &[2]);
    }

    #[test]
    fn the_tasks_policy_is_that_of_the_program_file() {
        let text = b"10000000 interleave:0-1 anon=1 N0=1 kernelpagesize_kB=4\n\
            55d000000000 bind:1 file=/usr/bin/python3.11 mapped=1 N0=1 kernelpagesize_kB=4\n\
            7f0000000000 prefer:0 file=/lib/x.so\n";
        assert_eq!(read(text).unwrap().unwrap().policy.mode, Mode::Bind);
        let mapped_nothing = b"10000000 local\n20000000 bind:0\n";
        assert_eq!(
            read(mapped_nothing).unwrap().unwrap().policy.mode,
            Mode::Local
        );
    }

    #[test]
    fn a_policy_that_the_kernel_cut_is_marked() {
        let nodes: Vec<String> = (0..40)
            .step_by(2)
            .map(|node: u32| node.to_string())
            .collect();
        let mut text = format!("interleave:{}", nodes.join(","));
        text.truncate(63);
        let memory = read(format!("55d000000000 {text} file=/x\n").as_bytes());
        let policy = memory.unwrap().unwrap().policy;
        assert!(policy.truncated);
        assert!(
            policy.nodes.iter().all(|node| node.0 % 2 == 0),
            "{policy:?}"
        );
    }

    #[test]
    fn redacting_keeps_the_kind_of_memory() {
        let redacted = |line: &[u8]| String::from_utf8(redact_line(line)).unwrap();
        assert_eq!(
            redacted(b"7fa8101d6000 default file=/home/ann/x.so anon=1 N0=1 kernelpagesize_kB=4"),
            "7fa8101d6000 default file=/redacted anon=1 N0=1 kernelpagesize_kB=4"
        );
        assert_eq!(
            redacted(b"7fa8101d6000 bind:0 file=/memfd:ann"),
            "7fa8101d6000 bind:0 file=/memfd:redacted"
        );
        let pinned = b"7fa8101d6000 default file=/dev/zero\\040(deleted) N0=1 kernelpagesize_kB=4";
        assert_eq!(redact_line(pinned), pinned);
    }

    #[test]
    fn an_empty_file_is_not_zero_bytes_of_memory() {
        assert_eq!(read(b""), Ok(None));
        assert_eq!(
            read(b"7fff00000000 default\n")
                .unwrap()
                .unwrap()
                .pages
                .len(),
            0
        );
    }

    #[test]
    fn cut_lines_and_impossible_counts_are_refused() {
        for line in [
            "7fa8101d9000",
            "nonsense default",
            "7fa8101d9000 default anon=1 N0=1",
            "7fa8101d9000 default anon=1 N0= kernelpagesize_kB=4",
            "7fa8101d9000 default anon=1 N0=1 kernelpagesize_kB=",
            "7fa8101d9000 default N0=18446744073709551615 kernelpagesize_kB=4",
            "7fa8101d9000 default N0=18446744073709551616 kernelpagesize_kB=4",
            "7fa8101d9000 default N99999999999=1 kernelpagesize_kB=4",
            "7fa8101d9000 default N0=1 kernelpagesize_kB=0",
            "7fa8101d9000 default N1024=1 kernelpagesize_kB=4",
            "7fa8101d9000 bind:x anon=1 N0=1 kernelpagesize_kB=4",
        ] {
            assert!(read(line.as_bytes()).is_err(), "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(
            address in "[0-9a-f]{6,16}",
            rest in "( (default|bind:[0-9,-]{0,9}|prefer \\(many\\)[=:]?|file=[!-~]{0,40}|huge|heap|N[0-9]{0,12}=[0-9]{0,22}|kernelpagesize_kB=[0-9]{0,22}|[ -~]{0,9})){0,9}",
        ) {
            let _ = read(format!("{address}{rest}").as_bytes());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }
    }
}
