//! `numa_maps`: every page of a process, and the policy of each of its threads.
//!
//! One read() of it walks the mappings that fit into the buffer with the mmap lock held all the while, and one mapping cannot
//! be split. So of a large process little is read at a time: a mapping with pages needs more than 32 bytes of text, so that no
//! read walks more than one of these.

use std::fs::File;
use std::io::Read;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use crate::machine::gap::Reason;
use crate::machine::memory::Memory;
use crate::observe::memory::SMALL;
use crate::observe::memory::numa_maps::NumaMaps;
use crate::observe::patience::Patience;
use crate::observe::process::procfs;
use crate::observe::process::status::Resident;
use crate::observe::root::{LARGEST_BY_LINES, LONGEST_LINE, Root};
use crate::units::Pid;

const SHORT: usize = 32;
const LONG: usize = 64 << 10;

/// No line is shorter than 15 bytes, so that this walks the first mapping and at most one more.
const FIRST: usize = 15;

/// The file's path.
pub(crate) fn path(pid: Pid) -> String {
    format!("proc/{pid}/numa_maps")
}

/// Every page of a live process, in so much time.
///
/// # Errors
/// The reason for a gap.
pub(crate) fn whole(
    root: &Root,
    pid: Pid,
    resident: Option<&Resident>,
    limit: Duration,
) -> Result<Memory, Reason> {
    let path = path(pid);
    let file = root.open_live(&path)?;
    // The whole walk of a small process takes no longer than one mapping of a large one.
    let is_small = resident.is_some_and(|resident| resident.all() <= SMALL);
    let size = if is_small { LONG } else { SHORT };
    let (mut maps, mut kept) = (NumaMaps::default(), Vec::new());
    read_lines(file, size, Instant::now() + limit, |line| {
        maps.line(line)?;
        if root.is_tapped() {
            kept.extend_from_slice(line);
            kept.push(b'\n');
        }
        Ok(ControlFlow::Continue(()))
    })
    .map_err(|stop| stop.reason(limit))?;
    root.keep(&path, &kept);
    // The kernel shows nothing of a process that is about to end, and of its own threads.
    let memory = maps.finish().ok_or(Reason::Absent)?;
    Ok(with_threads(root, pid, memory))
}

/// Its main thread's policy alone, in a [`Memory`] without pages.
///
/// # Errors
/// The reason for a gap.
pub(crate) fn policy(root: &Root, pid: Pid) -> Result<Memory, Reason> {
    first_lines(root.open_live(&path(pid))?, root.patience())?.ok_or(Reason::Absent)
}

/// A mapped file is where the task's own policy shows, and in most processes the program itself is the first mapping.
const LINES: usize = 16;

/// As far as the first lines tell; without any of them there is nothing.
fn first_lines(file: File, patience: Patience) -> Result<Option<Memory>, Reason> {
    let (mut maps, mut left) = (NumaMaps::default(), LINES);
    let start = Instant::now();
    let enough = start + patience.first_lines();
    let limit = patience.asked_walk();
    let read = read_lines(file, FIRST, start + limit, |line| {
        maps.line(line)?;
        left -= 1;
        let is_enough = maps.policy_is_settled() || left == 0 || Instant::now() > enough;
        Ok(match is_enough {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })
    });
    read.map_err(|stop| stop.reason(limit))?;
    Ok(maps.finish())
}

/// So many threads are asked for their policies, at about 20 µs each.
const THREADS: usize = 256;

/// With the policies of its threads. A thread can choose its own, and nothing else tells of it.
pub(crate) fn with_threads(root: &Root, pid: Pid, memory: Memory) -> Memory {
    let tids = procfs::tids(root, pid);
    // A recording would hold the first lines of a file as if they were all of it.
    if root.is_tapped() || tids.len() <= 1 {
        return with_own_thread(root, pid, memory);
    }
    let mut memory = memory;
    let patience = root.patience();
    let until = Instant::now() + patience.all_first_lines();
    for tid in tids.into_iter().take(THREADS) {
        let policy = match tid == pid.0 {
            true => Some(memory.policy.clone()),
            false => {
                let file = root.open_live(&format!("proc/{pid}/task/{tid}/numa_maps"));
                // One that ended meanwhile has none.
                let first = file
                    .and_then(|file| first_lines(file, patience))
                    .ok()
                    .flatten();
                first.map(|memory| memory.policy)
            }
        };
        if let Some(policy) = policy {
            *memory.thread_policies.entry(policy).or_default() += 1;
        }
        if Instant::now() > until {
            break;
        }
    }
    memory
}

/// Where the main thread is the only one, its policy is all that there are.
pub(crate) fn with_own_thread(root: &Root, pid: Pid, mut memory: Memory) -> Memory {
    if procfs::tids(root, pid) == [pid.0] {
        memory.thread_policies = [(memory.policy.clone(), 1)].into();
    }
    memory
}

/// Why not all was read.
#[derive(Debug)]
enum Stop {
    Late,
    Because(Reason),
}

impl Stop {
    fn reason(self, limit: Duration) -> Reason {
        match self {
            Self::Late => {
                let limit = humantime::format_duration(limit);
                Reason::Failed(format!("took longer than {limit} to read"))
            }
            Self::Because(reason) => reason,
        }
    }
}

/// Hands lines over as they come, reading so many bytes at a time and looking at the clock after each read.
fn read_lines(
    mut file: impl Read,
    size: usize,
    until: Instant,
    mut take: impl FnMut(&[u8]) -> Result<ControlFlow<()>, Reason>,
) -> Result<(), Stop> {
    let malformed = |what: &str| Err(Stop::Because(Reason::Malformed(what.into())));
    let (mut bytes, mut line) = (vec![0; size], Vec::new());
    let mut all = 0;
    loop {
        let read = file.read(&mut bytes);
        let read = read.map_err(|error| Stop::Because(Reason::from(&error)))?;
        if read == 0 {
            return match line.is_empty() {
                true => Ok(()),
                false => malformed("ends within a line"),
            };
        }
        all += read as u64;
        if all > LARGEST_BY_LINES {
            return malformed("larger than 256 MiB");
        }
        let mut rest = &bytes[..read];
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            line.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            if take(&line).map_err(Stop::Because)?.is_break() {
                return Ok(());
            }
            line.clear();
        }
        line.extend_from_slice(rest);
        if line.len() as u64 > LONGEST_LINE {
            return malformed("has a line of more than 64 KiB");
        }
        if Instant::now() > until {
            return Err(Stop::Late);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"7f0000000000 default\n7f0000001000 bind:0\n7f0000002000 local\n";

    fn lines(size: usize, until: Instant) -> Result<Vec<String>, Stop> {
        let mut lines = Vec::new();
        read_lines(TEXT, size, until, |line| {
            lines.push(String::from_utf8_lossy(line).into_owned());
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(lines)
    }

    #[test]
    fn lines_are_the_same_however_they_are_read() {
        let later = Instant::now() + Duration::from_secs(60);
        let all = lines(LONG, later).unwrap();
        assert_eq!(all.len(), 3);
        for size in [1, 2, 7, SHORT] {
            assert_eq!(lines(size, later).unwrap(), all);
        }
    }

    #[test]
    fn it_ends_when_the_time_is_over() {
        let past = Instant::now() - Duration::from_millis(1);
        assert!(matches!(lines(SHORT, past), Err(Stop::Late)));
        let told = Stop::Late.reason(Duration::from_millis(200)).to_string();
        assert_eq!(told, "took longer than 200ms to read");
    }

    #[test]
    fn half_a_line_and_an_endless_one_are_refused() {
        let later = Instant::now() + Duration::from_secs(60);
        let go_on = |_: &[u8]| Ok(ControlFlow::Continue(()));
        assert!(read_lines(&b"7f0000000000 def"[..], SHORT, later, go_on).is_err());
        assert!(read_lines(std::io::repeat(b'x'), LONG, later, go_on).is_err());
    }
}
