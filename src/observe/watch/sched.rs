//! `/proc/PID/task/TID/sched` (proc_sched_show_task in the kernel's kernel/sched/debug.c).

use crate::observe::root::Root;
use crate::units::{Malformed, Pid, number};

/// The pages that NUMA balancing has moved for a thread since its start. `None` where they are unknown.
pub(crate) fn read_pages_migrated(root: &Root, pid: Pid, tid: u32) -> Option<u64> {
    let text = root.read(&format!("proc/{pid}/task/{tid}/sched")).ok()?;
    parse_pages_migrated(&text).ok()?
}

/// Reads `numa_pages_migrated`. `None` where the kernel has no such line (CONFIG_NUMA_BALANCING, CONFIG_SCHED_DEBUG).
pub(crate) fn parse_pages_migrated(bytes: &[u8]) -> Result<Option<u64>, Malformed> {
    // The first line starts with the thread's name, which is too short to be taken for this field.
    let lines = bytes.split(|byte| *byte == b'\n');
    let mut fields = lines.filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        Some((line[..colon].trim_ascii(), line[colon + 1..].trim_ascii()))
    });
    let count = fields.find(|(name, _)| *name == b"numa_pages_migrated");
    count
        .map(|(_, count)| number("numa_pages_migrated", count))
        .transpose()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_pages_are_read() {
        let text = b"hog (254, #threads: 1)\n---------\n\
            se.exec_start                                :        517244.334039\n\
            numa_pages_migrated                          :                25600\n\
            current_node=0, numa_group_id=0\n\
            numa_faults node=0 task_private=0 task_shared=0 group_private=0 group_shared=0\n";
        assert_eq!(parse_pages_migrated(text), Ok(Some(25600)));
    }

    #[test]
    fn a_kernel_without_the_counter_has_no_value() {
        let text = b"hog (254, #threads: 1)\nnr_switches      :      4\n";
        assert_eq!(parse_pages_migrated(text), Ok(None));
        assert_eq!(parse_pages_migrated(b""), Ok(None));
        assert!(parse_pages_migrated(b"numa_pages_migrated : -1\n").is_err());
        assert!(parse_pages_migrated(b"numa_pages_migrated : 7x\n").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_pages_migrated(&bytes);
        }

        #[test]
        fn no_lines_make_it_panic(text in "([ a-z(]{0,9}numa_pages_migrated *:? *[-0-9]{0,25}\n?){0,4}") {
            let _ = parse_pages_migrated(text.as_bytes());
        }
    }
}
