//! Reads `numa_maps`: every page of a process, and the policy of each of its threads.
//!
//! One read() walks all mappings whose lines fit into the buffer, with the mmap lock held; one mapping is never split. So the
//! file of a large process is read in small pieces: the line of a mapping with pages has more than 32 bytes, so no read walks
//! more than one such mapping.

use std::fs::File;
use std::io::Read;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use crate::machine::{Memory, Reason};
use crate::observe::memory::NumaMaps;
use crate::observe::patience::Patience;
use crate::observe::process::{Resident, threads};
use crate::observe::root::{LineSplitter, Root};
use crate::units::{Bytes, Pid};

/// Up to this size every page is counted: to walk 16,384 pages takes about a millisecond, as long as a sample.
const SMALL: Bytes = Bytes(64 << 20);

/// Buffer sizes, in bytes.
const SHORT_READ: usize = 32;
const LONG_READ: usize = 64 << 10;

/// No line has fewer than 15 bytes, so this walks the first mapping and at most one more.
const FIRST_READ: usize = 15;

/// Whether the process is known to be small.
pub(crate) fn is_small(resident: Option<&Resident>) -> bool {
    resident.is_some_and(|resident| resident.all() <= SMALL)
}

fn path(root: &Root, pid: Pid) -> String {
    format!("{}/numa_maps", root.process_folder(pid))
}

/// Every page of a recorded process.
pub(crate) fn read_recorded(root: &Root, pid: Pid) -> Result<Memory, Reason> {
    let mut maps = NumaMaps::default();
    root.read_lines(&path(root, pid), |line| maps.line(line))?;
    let memory = maps.finish().ok_or(Reason::Absent)?;
    let tids = threads::tids(root, pid);
    Ok(with_policy_of_only_thread(&tids, pid, memory))
}

/// Every page of a live process, within a time limit.
pub(crate) fn read_all(
    root: &Root,
    pid: Pid,
    resident: Option<&Resident>,
    limit: Duration,
) -> Result<Memory, Reason> {
    let path = path(root, pid);
    let file = root.open_live(&path)?;
    // The whole walk of a small process takes no longer than that of one large mapping.
    let size = if is_small(resident) {
        LONG_READ
    } else {
        SHORT_READ
    };
    let (mut maps, mut kept) = (NumaMaps::default(), Vec::new());
    scan_lines(file, size, Instant::now() + limit, |line| {
        maps.line(line)?;
        if root.is_tapped() {
            kept.extend_from_slice(line);
            kept.push(b'\n');
        }
        Ok(ControlFlow::Continue(()))
    })
    .map_err(|error| error.reason(limit))?;
    root.keep(&path, &kept);
    // The kernel shows nothing of its own threads and of a process that is about to end.
    maps.finish().ok_or(Reason::Absent)
}

/// The policy of the main thread, in a [`Memory`] without pages.
pub(crate) fn read_policy(root: &Root, pid: Pid) -> Result<Memory, Reason> {
    read_first_lines(root.open_live(&path(root, pid))?, root.patience())?.ok_or(Reason::Absent)
}

/// The first mapped file shows the task's policy. In most processes this is the program itself, the first mapping. It is searched
/// in this number of lines.
const FIRST_LINES: usize = 16;

/// What the first lines show; `None` where there are none.
fn read_first_lines(file: File, patience: Patience) -> Result<Option<Memory>, Reason> {
    let (mut maps, mut left) = (NumaMaps::default(), FIRST_LINES);
    let start = Instant::now();
    let enough = start + patience.first_lines();
    let limit = patience.asked_walk();
    let read = scan_lines(file, FIRST_READ, start + limit, |line| {
        maps.line(line)?;
        left -= 1;
        let is_enough = maps.policy_is_settled() || left == 0 || Instant::now() > enough;
        Ok(if is_enough {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        })
    });
    read.map_err(|error| error.reason(limit))?;
    Ok(maps.finish())
}

/// The policies of at most this number of threads are read, at about 20 µs for each.
const MOST_THREADS: usize = 256;

/// Adds the policies of the threads. A thread can set its own policy, which only its `numa_maps` shows.
pub(crate) fn with_thread_policies(root: &Root, pid: Pid, memory: Memory) -> Memory {
    let tids = threads::tids(root, pid);
    // A recording would have the first lines of a file as if they were the whole file.
    if root.is_tapped() || tids.len() <= 1 {
        return with_policy_of_only_thread(&tids, pid, memory);
    }
    let mut memory = memory;
    let patience = root.patience();
    let until = Instant::now() + patience.all_first_lines();
    for tid in tids.into_iter().take(MOST_THREADS) {
        let policy = if tid == pid.0 {
            Some(memory.policy.clone())
        } else {
            let file = root.open_live(&format!("proc/{pid}/task/{tid}/numa_maps"));
            // A thread that ended has none.
            let first = file.and_then(|file| read_first_lines(file, patience));
            let first = first.ok().flatten();
            first.map(|memory| memory.policy)
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

/// Adds the policy of the main thread where this is the only thread.
fn with_policy_of_only_thread(tids: &[u32], pid: Pid, mut memory: Memory) -> Memory {
    if tids == [pid.0] {
        memory.thread_policies = [(memory.policy.clone(), 1)].into();
    }
    memory
}

/// Why not everything was read.
#[derive(Debug)]
enum ScanError {
    Late,
    Failed(Reason),
}

impl ScanError {
    fn reason(self, limit: Duration) -> Reason {
        match self {
            Self::Late => {
                let limit = humantime::format_duration(limit);
                Reason::Failed(format!("took longer than {limit} to read"))
            }
            Self::Failed(reason) => reason,
        }
    }
}

/// Passes lines to `take` as they are read, `size` bytes at a time. Checks the time after each read.
fn scan_lines(
    mut file: impl Read,
    size: usize,
    until: Instant,
    mut take: impl FnMut(&[u8]) -> Result<ControlFlow<()>, Reason>,
) -> Result<(), ScanError> {
    let mut bytes = vec![0; size];
    let mut lines = LineSplitter::default();
    loop {
        let read = file.read(&mut bytes);
        let read = read.map_err(|error| ScanError::Failed(Reason::from(&error)))?;
        if read == 0 {
            return lines.finish().map_err(ScanError::Failed);
        }
        let flow = lines.push(&bytes[..read], &mut take);
        if flow.map_err(ScanError::Failed)?.is_break() {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(ScanError::Late);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"7f0000000000 default\n7f0000001000 bind:0\n7f0000002000 local\n";

    fn lines(size: usize, until: Instant) -> Result<Vec<String>, ScanError> {
        let mut lines = Vec::new();
        scan_lines(TEXT, size, until, |line| {
            lines.push(String::from_utf8_lossy(line).into_owned());
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(lines)
    }

    #[test]
    fn the_lines_do_not_depend_on_the_size_of_the_reads() {
        let later = Instant::now() + Duration::from_secs(60);
        let all = lines(LONG_READ, later).unwrap();
        assert_eq!(all.len(), 3);
        for size in [1, 2, 7, SHORT_READ] {
            assert_eq!(lines(size, later).unwrap(), all);
        }
    }

    #[test]
    fn the_walk_ends_at_its_time_limit() {
        let past = Instant::now() - Duration::from_millis(1);
        assert!(matches!(lines(SHORT_READ, past), Err(ScanError::Late)));
        let reason = ScanError::Late
            .reason(Duration::from_millis(200))
            .to_string();
        assert_eq!(reason, "took longer than 200ms to read");
    }
}
