//! `/proc/PID/stat` and `/proc/PID/task/TID/stat` (do_task_stat in the kernel's fs/proc/array.c).

use crate::units::{Cpu, Malformed, Pid, malformed, number};

/// The fields that matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// Field 1.
    pub pid: Pid,
    /// Field 2, without its brackets.
    pub name: String,
    /// Field 3: one letter.
    pub state: u8,
    /// Field 4.
    pub ppid: Pid,
    /// Field 6: the PID of its session's leader.
    pub session: Pid,
    /// Field 9: PF_ flags of the kernel's include/linux/sched.h.
    flags: u64,
    /// Fields 14 and 15, user's and system's CPU time in clock ticks: of a thread its own, of a process all its threads'.
    pub cpu_ticks: u64,
    /// Field 22, in clock ticks after boot.
    pub start_time_ticks: u64,
    /// Field 39: where it last ran.
    pub last_cpu: Cpu,
}

impl Stat {
    /// Whether it has ended and only waits for its parent to hear of it, or is about to.
    pub fn is_dead(&self) -> bool {
        const PF_EXITING: u64 = 0x4;
        matches!(self.state, b'Z' | b'X' | b'x') || self.flags & PF_EXITING != 0
    }

    /// Whether it is a thread of the kernel's own, which has no memory.
    pub fn is_of_kernel(&self) -> bool {
        const PF_KTHREAD: u64 = 0x20_0000;
        self.flags & PF_KTHREAD != 0
    }
}

/// Reads one `stat`. The name may hold brackets, blanks and newlines: it ends at the last bracket.
pub fn parse_stat(bytes: &[u8]) -> Result<Stat, Malformed> {
    let open = bytes.iter().position(|byte| *byte == b'(');
    let close = bytes.iter().rposition(|byte| *byte == b')');
    let (Some(open), Some(close)) = (open, close) else {
        return malformed("no stat", bytes);
    };
    if close < open {
        return malformed("no stat", bytes);
    }
    // The first word behind the name is field 3.
    const FIRST: usize = 3;
    const LAST: usize = 39;
    let mut words = bytes[close + 1..]
        .split(u8::is_ascii_whitespace)
        .filter(|field| !field.is_empty());
    let mut fields: [&[u8]; LAST - FIRST + 1] = [b""; LAST - FIRST + 1];
    let mut count = 0;
    for (field, word) in fields.iter_mut().zip(&mut words) {
        (*field, count) = (word, count + 1);
    }
    let field = |at: usize| match fields.get(at - FIRST) {
        Some(field) if at - FIRST < count => Ok(*field),
        _ => malformed(&format!("no field {at} in stat"), bytes),
    };
    // The newline that ends the file is what tells that field 39 was not cut within its digits.
    if bytes.last() != Some(&b'\n') && words.next().is_none() {
        return malformed("stat ends early", bytes);
    }
    Ok(Stat {
        pid: Pid(number("field 1 of stat", bytes[..open].trim_ascii())?),
        flags: number("field 9 of stat", field(9)?)?,
        name: String::from_utf8_lossy(&bytes[open + 1..close]).into_owned(),
        state: field(3)?[0],
        ppid: Pid(number("field 4 of stat", field(4)?)?),
        session: Pid(number("field 6 of stat", field(6)?)?),
        cpu_ticks: number::<u64>("field 14 of stat", field(14)?)?
            .saturating_add(number("field 15 of stat", field(15)?)?),
        start_time_ticks: number("field 22 of stat", field(22)?)?,
        last_cpu: Cpu(number("field 39 of stat", field(39)?)?),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REST: &str = "T 245 9 9 0 -1 4194304 8571 0 0 0 270 215 0 0 20 0 5 0 831 393789440 22205 \
        18446744073709551615 4321280 7138889 140725066232752 0 0 0 0 16781318 0 0 0 0 17 6 0 0 0 0 0 \
        9702856 11005272 710262784 140725066235694 140725066235739 140725066235739 140725066235879 19\n";

    #[test]
    fn reads_the_fields_that_matter() {
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
    fn a_name_cannot_pose_as_the_fields_behind_it() {
        let stat = parse_stat(format!("254 (x) S 1 (y\n) {REST}").as_bytes()).unwrap();
        assert_eq!(stat.name, "x) S 1 (y\n");
        assert_eq!(stat.ppid, Pid(245));
    }

    #[test]
    fn half_a_file_is_refused() {
        let whole = format!("254 (python3) {REST}");
        let fields_up_to_39 = whole.len() - " 0 0 0 0 0 9702856".len() - 100;
        for end in 0..fields_up_to_39 {
            assert!(
                parse_stat(&whole.as_bytes()[..end]).is_err(),
                "cut at {end}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse_stat(&bytes);
        }

        #[test]
        fn no_fields_make_it_panic(text in "[0-9]{1,3} \\([ -~]{0,9}\\)( [-0-9]{1,22}){0,60}\n?") {
            let _ = parse_stat(text.as_bytes());
        }
    }
}
