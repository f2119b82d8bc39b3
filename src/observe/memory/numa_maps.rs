//! `/proc/PID/numa_maps`, a line at a time (show_numa_map in the kernel's fs/proc/task_mmu.c).
//!
//! ```text
//! 7f25f2800000 default file=/dev/zero\040(deleted) dirty=6144 active=0 N1=6144 kernelpagesize_kB=4
//! ```

use crate::machine::memory::{Backing, Memory, Mode, Policy};
use crate::units::{Bytes, Malformed, NodeId, NodeSet, malformed, number, parse_node_list};

/// Adds up a `numa_maps` as its lines come; holds one line's counts at most.
#[derive(Debug, Default)]
pub struct NumaMaps {
    memory: Memory,
    policy: PolicySource,
    counts: Vec<(NodeId, u64)>,
}

/// Which line the task's policy was taken from.
#[derive(Debug, Default, PartialEq)]
enum PolicySource {
    #[default]
    Nothing,
    /// The first line. It could have a policy of its own.
    FirstLine,
    /// The first line of a mapped file, which is the program's own: nobody gives that one a policy,
    /// so it shows the task's.
    File,
}

impl NumaMaps {
    /// Takes one line, without its newline.
    pub fn line(&mut self, line: &[u8]) -> Result<(), Malformed> {
        let (address, rest) = split(line);
        if address.len() < 8 || !address.iter().all(u8::is_ascii_hexdigit) {
            return malformed("no line of numa_maps", line);
        }
        let (policy, rest) = split_policy(rest);
        let (backing, page_kib) = self.counts(rest, line)?;
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

    /// Whether the task's policy is known, whatever lines may still come.
    pub fn policy_is_settled(&self) -> bool {
        self.policy == PolicySource::File
    }

    /// All of it. `None` where there was no line: the process has no memory, as it has ended.
    pub fn finish(self) -> Option<Memory> {
        (self.policy != PolicySource::Nothing).then_some(self.memory)
    }

    /// Reads the words behind the policy into `self.counts`; gives what backs the mapping, and its
    /// page size.
    fn counts(&mut self, mut rest: &[u8], line: &[u8]) -> Result<(Backing, u64), Malformed> {
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
                    return malformed("pages of no size in numa_maps", line);
                }
                page_kib = Some(size);
            } else if let Some((node, pages)) = node_count(word) {
                let node = NodeId(number("node in numa_maps", node)?);
                if node >= NodeId::END {
                    return malformed("no node", word);
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
            Some(name) => of_escaped(name),
            None => Backing::Anonymous,
        };
        self.memory.torch_makers.extend(file.and_then(torch_maker));
        Ok((backing, page_kib))
    }

    fn note_policy(&mut self, text: &[u8], backing: Backing) -> Result<(), Malformed> {
        let known = match (&self.policy, backing) {
            (PolicySource::Nothing | PolicySource::FirstLine, Backing::File) => PolicySource::File,
            (PolicySource::Nothing, _) => PolicySource::FirstLine,
            _ => return Ok(()),
        };
        self.memory.policy = parse_policy(text)?;
        self.policy = known;
        Ok(())
    }
}

/// The first word, and what is behind the blank after it.
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

/// The modes by the kernel's words; those that hold a blank come first.
const MODES: &[(&[u8], Mode)] = &[
    (b"prefer (many)", Mode::PreferMany),
    (b"weighted interleave", Mode::WeightedInterleave),
    (b"default", Mode::Default),
    (b"local", Mode::Local),
    (b"bind", Mode::Bind),
    (b"prefer", Mode::Prefer),
    (b"interleave", Mode::Interleave),
];

/// The policy's text and what is behind it. Two modes hold a blank of their own.
fn split_policy(text: &[u8]) -> (&[u8], &[u8]) {
    let blank_in_mode = MODES[..2].iter().find(|(word, _)| text.starts_with(word));
    let skip = blank_in_mode.map_or(0, |(word, _)| word.len());
    let (end, rest) = split(&text[skip..]);
    (&text[..skip + end.len()], rest)
}

/// The kernel prints a policy into 64 bytes, and cuts it there without a mark.
const LONGEST_POLICY: usize = 63;

/// `bind=static|balancing:0-1,3`
fn parse_policy(text: &[u8]) -> Result<Policy, Malformed> {
    let truncated = text.len() >= LONGEST_POLICY;
    let end_of = |text: &[u8], stop: &[u8]| {
        let at = text.iter().position(|byte| stop.contains(byte));
        at.unwrap_or(text.len())
    };
    let (mode, rest) = match MODES.iter().find(|(word, _)| is_mode(text, word)) {
        Some((word, mode)) => (mode.clone(), &text[word.len()..]),
        None => {
            let (word, rest) = text.split_at(end_of(text, b"=:"));
            if word.is_empty() || word.len() > LONGEST_POLICY {
                return malformed("no policy in numa_maps", text);
            }
            (
                Mode::Other(String::from_utf8_lossy(word).into_owned()),
                rest,
            )
        }
    };
    let (flags, nodes) = rest.split_at(end_of(rest, b":"));
    let flags = flags.strip_prefix(b"=").unwrap_or_default();
    let mut nodes = nodes.strip_prefix(b":").unwrap_or_default();
    if truncated {
        // The last number may lack digits.
        nodes = &nodes[..nodes.iter().rposition(|byte| *byte == b',').unwrap_or(0)];
    }
    Ok(Policy {
        mode,
        flags: String::from_utf8_lossy(flags)
            .split('|')
            .filter(|flag| !flag.is_empty())
            .map(String::from)
            .collect(),
        nodes: match nodes {
            // `default` and `local` have none.
            [] => NodeSet::new(),
            nodes => parse_node_list(nodes)?,
        },
        truncated,
    })
}

fn is_mode(text: &[u8], word: &[u8]) -> bool {
    text.strip_prefix(word)
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'=' | b':')))
}

/// The same of a name as `numa_maps` writes it, where blanks read `\040`.
fn of_escaped(name: &[u8]) -> Backing {
    match name.strip_suffix(b"\\040(deleted)") {
        Some(name) => of_file(name, true),
        None => of_file(name, false),
    }
}

/// What a mapped file's name tells, without the mark of a deleted file.
pub(crate) fn of_file(name: &[u8], deleted: bool) -> Backing {
    let starts = |start: &[u8]| name.starts_with(start);
    let digits_behind = |start: &[u8]| {
        let rest = name.strip_prefix(start).unwrap_or_default();
        !rest.is_empty() && rest.iter().all(u8::is_ascii_digit)
    };
    // `/SYSV` and the segment's key in eight hexadecimal digits.
    let is_segment = || {
        let key = name.strip_prefix(b"/SYSV").unwrap_or_default();
        key.len() == 8 && key.iter().all(u8::is_ascii_hexdigit)
    };
    match name {
        // A shared anonymous mapping is a deleted file of that name; the device itself never is.
        b"/dev/zero" if deleted => Backing::SharedAnonymous,
        b"/dev/nvidia-uvm" => Backing::UnifiedMemory,
        b"/dev/nvidiactl" => Backing::DriverBuffer,
        _ if digits_behind(b"/dev/nvidia") => Backing::DriverBuffer,
        _ if starts(b"/dev/shm/") || starts(b"/memfd:") || is_segment() => Backing::Shared,
        _ => Backing::File,
    }
}

/// What the names of PyTorch's shared memory begin with; the maker's PID and an underscore follow ("/torch_{}_{}_{}" in
/// libtorch_cpu).
const TORCH: &[u8] = b"/dev/shm/torch_";

/// The PID of who made a piece of PyTorch's shared memory.
pub(crate) fn torch_maker(name: &[u8]) -> Option<u32> {
    let rest = name.strip_prefix(TORCH)?;
    let end = rest.iter().position(|byte| *byte == b'_')?;
    number("PID", &rest[..end]).ok()
}

/// A line without what its file's name tells beyond the kind of memory it is, for a recording that is to
/// hide names.
pub fn redact_line(line: &[u8]) -> Vec<u8> {
    const FILE: &[u8] = b" file=";
    let Some(at) = line.windows(FILE.len()).position(|bytes| bytes == FILE) else {
        return line.to_owned();
    };
    let at = at + FILE.len();
    let (name, rest) = split(&line[at..]);
    let torch;
    let short: &[u8] = match (of_escaped(name), torch_maker(name)) {
        (Backing::File, _) => b"/redacted",
        (Backing::Shared, Some(maker)) => {
            torch = [TORCH, format!("{maker}_redacted").as_bytes()].concat();
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

    fn read(text: &[u8]) -> Result<Option<Memory>, Malformed> {
        let mut maps = NumaMaps::default();
        for line in text.split(|byte| *byte == b'\n') {
            if !line.is_empty() {
                maps.line(line)?;
            }
        }
        Ok(maps.finish())
    }

    /// The bytes of the only backing on node 0 and 1, in KiB.
    #[track_caller]
    fn counts(line: &str, backing: Backing, kib: [u64; 2]) {
        let memory = read(line.as_bytes()).unwrap().unwrap();
        let of = |node| memory.pages[&backing].get(&NodeId(node)).map_or(0, |b| b.0);
        assert_eq!([of(0) / 1024, of(1) / 1024], kib, "{line}");
        assert_eq!(memory.pages.len(), 1, "{line}");
    }

    /// Lines as kernel 6.18 printed them.
    #[test]
    fn tells_what_backs_a_mapping() {
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
    fn counts_in_the_lines_own_page_size() {
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
    fn reads_every_policy() {
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
    fn the_tasks_policy_is_the_programs_own_mapping() {
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
    fn a_policy_that_the_kernel_cut_says_so() {
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
    fn redacting_leaves_the_kind() {
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
    fn an_empty_file_is_no_memory_of_zero_bytes() {
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
    fn refuses_half_lines_and_absurd_counts() {
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
