//! `/proc/PID/stat` and `/proc/PID/task/TID/stat` (do_task_stat in the kernel's fs/proc/array.c).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use memchr::{memchr, memrchr};

use crate::machine::Reason;
use crate::observe::read::read_as;
use crate::observe::root::Root;
use crate::units::{Cpu, Malformed, Pid, malformed, number};

/// `stat` of all processes; the outer error is that of listing `/proc`.
pub(crate) type Stats = Result<BTreeMap<Pid, Result<Stat, Reason>>, Reason>;

/// Reads `stat` of all processes. Those that ended meanwhile are left out; a zombie has a reason instead. The folders of the
/// living stay open until [`Root::hold_only`], so that what is read of them later is of the same process.
pub(crate) fn read_stats(root: &Root) -> Stats {
    root.hold_only(|_| false);
    let pids = root.numbers("proc")?.into_iter().map(Pid);
    let stats = pids.map(|pid| {
        root.hold(pid);
        let stat = read_stat(root, pid).and_then(Stat::of_living);
        if !stat.as_ref().is_ok_and(|stat| !stat.is_of_kernel()) {
            root.release(pid);
        }
        (pid, stat)
    });
    let has_ended = |stat: &Result<Stat, Reason>| {
        let reason = stat.as_ref().err();
        root.is_live() && reason.is_some_and(is_ended)
    };
    Ok(stats.filter(|(_, stat)| !has_ended(stat)).collect())
}

/// Where the main thread has ended and others live, the state and the last CPU are those of a living thread, and the
/// process's other files are read through that thread.
pub(crate) fn read_stat(root: &Root, pid: Pid) -> Result<Stat, Reason> {
    let mut stat = read_as(root, &format!("proc/{pid}/stat"), parse_stat)?;
    if stat.pid != pid {
        return Err(Reason::Malformed(format!("stat of process {}", stat.pid)));
    }
    if stat.is_dead()
        && stat.threads > 1
        && let Some(living) = living_thread(root, pid)
    {
        root.read_through(pid, living.pid.0);
        (stat.state, stat.flags, stat.last_cpu) = (living.state, living.flags, living.last_cpu);
    }
    Ok(stat)
}

/// The first thread of a process that has not ended. A process that is killed may have many that are about to end.
fn living_thread(root: &Root, pid: Pid) -> Option<Stat> {
    let tids = root.numbers(&format!("proc/{pid}/task")).ok()?;
    let stats = tids
        .into_iter()
        .filter_map(|tid| read_as(root, &format!("proc/{pid}/task/{tid}/stat"), parse_stat).ok());
    let mut stats = stats;
    stats.find(|stat| !stat.is_dead())
}

/// Whether the process with this start time has ended: another process may have its PID since then. A recorded process does
/// not end.
pub(crate) fn has_ended(root: &Root, pid: Pid, start_time_ticks: u64) -> bool {
    // What has memory lives, and its open folder cannot show another process. Costs a third of `stat`.
    if !root.is_live() || (root.is_held(pid) && has_memory(root, pid)) {
        return false;
    }
    read_stat(root, pid).map_or(true, |now| {
        now.is_dead() || now.start_time_ticks != start_time_ticks
    })
}

/// Whether the process has memory, by the first number of `statm`: the size of its address space. A zombie has none.
fn has_memory(root: &Root, pid: Pid) -> bool {
    let is_used = |statm: &[u8]| Ok(matches!(statm.first(), Some(b'1'..=b'9')));
    read_as(
        root,
        &format!("{}/statm", root.process_folder(pid)),
        is_used,
    ) == Ok(true)
}

/// Whether a file of a running process is missing because the process ended.
pub(crate) fn is_ended(reason: &Reason) -> bool {
    matches!(reason, Reason::Gone | Reason::Absent)
}

/// A moment in the unit of [`Stat::start_time_ticks`]. `/proc/uptime` is not used: in a container it may show the container's
/// own uptime (LXCFS).
pub(crate) fn ticks_after_boot(moment: Instant) -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let now = Duration::try_from(now).unwrap_or_default();
    let then = now.saturating_sub(moment.elapsed());
    let per_second = u128::from(rustix::param::clock_ticks_per_second());
    u64::try_from(then.as_nanos() * per_second / 1_000_000_000).unwrap_or(u64::MAX)
}

/// The fields that the audit needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stat {
    /// Field 1.
    pub(crate) pid: Pid,
    /// Field 2, without its parentheses.
    pub(crate) name: String,
    /// Field 3: one letter.
    pub(crate) state: u8,
    /// Field 4.
    pub(crate) ppid: Pid,
    /// Field 6: the PID of its session's leader. 0 for a process that is just being collected, of which the kernel writes -1.
    pub(crate) session: Pid,
    /// Field 9: the PF_ flags of the kernel's include/linux/sched.h.
    flags: u64,
    /// Fields 14 and 15: user and system CPU time in clock ticks, of the thread or of all threads of the process.
    pub(crate) cpu_ticks: u64,
    /// Field 20: the number of threads. An ended main thread counts until the last of the others has ended.
    pub(crate) threads: u64,
    /// Field 22, in clock ticks after boot.
    pub(crate) start_time_ticks: u64,
    /// Field 39: the CPU on which it last ran.
    pub(crate) last_cpu: Cpu,
}

impl Stat {
    /// Whether it is a zombie, or is ending.
    pub(crate) fn is_dead(&self) -> bool {
        const PF_EXITING: u64 = 0x4;
        matches!(self.state, b'Z' | b'X' | b'x') || self.flags & PF_EXITING != 0
    }

    /// Itself, or why it is not a process any more that can be judged.
    fn of_living(self) -> Result<Self, Reason> {
        match self.state {
            _ if !self.is_dead() => Ok(self),
            b'Z' => Err(Reason::Zombie),
            _ => Err(Reason::Ending),
        }
    }

    /// Whether it is a kernel thread, which has no memory.
    pub(crate) fn is_of_kernel(&self) -> bool {
        const PF_KTHREAD: u64 = 0x20_0000;
        self.flags & PF_KTHREAD != 0
    }
}

/// Parses one `stat`. The name may contain parentheses, blanks and newlines: it ends at the last parenthesis.
pub(crate) fn parse_stat(bytes: &[u8]) -> Result<Stat, Malformed> {
    let (Some(open), Some(close)) = (memchr(b'(', bytes), memrchr(b')', bytes)) else {
        return malformed("not a stat", bytes);
    };
    if close < open {
        return malformed("not a stat", bytes);
    }
    // The first word after the name is field 3.
    const FIRST: usize = 3;
    const LAST: usize = 39;
    let (fields, count, rest) = words::<{ LAST - FIRST + 1 }>(&bytes[close + 1..]);
    let field = |at: usize| match fields.get(at - FIRST) {
        Some(field) if at - FIRST < count => Ok(*field),
        _ => malformed(&format!("no field {at} in stat"), bytes),
    };
    // Only the newline at the end shows that field 39 was not cut within its digits.
    if bytes.last() != Some(&b'\n') && rest.trim_ascii().is_empty() {
        return malformed("stat ends early", bytes);
    }
    Ok(Stat {
        pid: Pid(number("field 1 of stat", bytes[..open].trim_ascii())?),
        flags: number("field 9 of stat", field(9)?)?,
        name: String::from_utf8_lossy(&bytes[open + 1..close]).into_owned(),
        state: field(3)?[0],
        ppid: Pid(number("field 4 of stat", field(4)?)?),
        session: match field(6)? {
            b"-1" => Pid(0),
            session => Pid(number("field 6 of stat", session)?),
        },
        cpu_ticks: number::<u64>("field 14 of stat", field(14)?)?
            .saturating_add(number("field 15 of stat", field(15)?)?),
        threads: number("field 20 of stat", field(20)?).unwrap_or(0),
        start_time_ticks: number("field 22 of stat", field(22)?)?,
        last_cpu: Cpu(number("field 39 of stat", field(39)?)?),
    })
}

/// The first words of a text, how many it has of these, and the text behind them. Blanks and control characters separate them.
fn words<const N: usize>(text: &[u8]) -> ([&[u8]; N], usize, &[u8]) {
    let mut words: [&[u8]; N] = [b""; N];
    let (mut count, mut rest) = (0, text);
    while count < N {
        let is_separator = |byte: &u8| *byte <= b' ';
        let Some(start) = rest.iter().position(|byte| !is_separator(byte)) else {
            return (words, count, b"");
        };
        rest = &rest[start..];
        let end = rest.iter().position(is_separator).unwrap_or(rest.len());
        (words[count], rest) = rest.split_at(end);
        count += 1;
    }
    (words, count, rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REST: &str = "T 245 9 9 0 -1 4194304 8571 0 0 0 270 215 0 0 20 0 5 0 831 393789440 22205 \
        18446744073709551615 4321280 7138889 140725066232752 0 0 0 0 16781318 0 0 0 0 17 6 0 0 0 0 0 \
        9702856 11005272 710262784 140725066235694 140725066235739 140725066235739 140725066235879 19\n";

    #[test]
    fn parses_the_fields() {
        let stat = parse_stat(format!("254 (python3) {REST}").as_bytes()).unwrap();
        assert_eq!(stat.pid, Pid(254));
        assert!(!stat.is_dead() && !stat.is_of_kernel());
        assert_eq!(stat.name, "python3");
        assert_eq!(stat.state, b'T');
        assert_eq!(stat.ppid, Pid(245));
        assert_eq!(stat.session, Pid(9));
        assert_eq!(stat.cpu_ticks, 270 + 215);
        assert_eq!(stat.start_time_ticks, 831);
        assert_eq!(stat.last_cpu, Cpu(6));
    }

    #[test]
    fn a_process_that_is_being_collected_is_dead_and_not_malformed() {
        let rest = REST.replacen("T 245 9 9 0 -1 4194304", "X 0 -1 -1 0 -1 4194316", 1);
        let stat = parse_stat(format!("254 (python3) {rest}").as_bytes()).unwrap();
        assert_eq!(stat.session, Pid(0));
        assert_eq!(stat.of_living(), Err(Reason::Ending));
    }

    #[test]
    fn a_name_cannot_imitate_the_fields_after_it() {
        let stat = parse_stat(format!("254 (x) S 1 (y\n) {REST}").as_bytes()).unwrap();
        assert_eq!(stat.name, "x) S 1 (y\n");
        assert_eq!(stat.ppid, Pid(245));
    }

    #[test]
    fn a_cut_file_is_malformed() {
        let whole = format!("254 (python3) {REST}");
        let fields_up_to_39 = whole.len() - " 0 0 0 0 0 9702856".len() - 100;
        for end in 0..fields_up_to_39 {
            assert!(
                parse_stat(&whole.as_bytes()[..end]).is_err(),
                "cut at {end}"
            );
        }
    }

    #[test]
    fn start_times_and_moments_have_the_same_unit() {
        let stat = std::fs::read("/proc/self/stat").unwrap();
        let started = parse_stat(&stat).unwrap().start_time_ticks;
        assert!(started <= ticks_after_boot(Instant::now()));
        let second = rustix::param::clock_ticks_per_second();
        let hour_ago = Instant::now().checked_sub(Duration::from_secs(3600));
        let ago = hour_ago.map_or(0, ticks_after_boot);
        assert!(ago + 3599 * second <= ticks_after_boot(Instant::now()) || ago == 0);
    }

    proptest! {
        #[test]
        fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse_stat(&bytes);
        }

        #[test]
        fn no_fields_panic(text in "[0-9]{1,3} \\([ -~]{0,9}\\)( [-0-9]{1,22}){0,60}\n?") {
            let _ = parse_stat(text.as_bytes());
        }
    }
}
