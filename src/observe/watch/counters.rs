//! Files with a counter on each line: `/proc/vmstat`, and `numastat` of a node (node_read_numastat in the kernel's
//! drivers/base/node.c).

use crate::machine::Counters;
use crate::observe::root::Root;
use crate::units::{Malformed, NodeId, number, value};

/// The counters of `numastat`, in pages: allocated here as intended; here although another node was intended; on another node
/// although this one was intended; here by interleaving; here by a process that ran here; here by a process that ran on another
/// node.
pub(crate) const NUMASTAT: &[&str] = &[
    "numa_hit",
    "numa_miss",
    "numa_foreign",
    "interleave_hit",
    "local_node",
    "other_node",
];

/// The counters of `/proc/vmstat` for NUMA balancing: pages unmapped to find their users, page faults that found a user, those
/// faults whose page was already local, and pages that were moved.
pub(crate) const VMSTAT: &[&str] = &[
    "numa_pte_updates",
    "numa_hint_faults",
    "numa_hint_faults_local",
    "numa_pages_migrated",
];

/// The counters of a node; `None` where they cannot be read.
pub(crate) fn read_numastat(root: &Root, node: NodeId) -> Option<Counters> {
    let path = format!("sys/devices/system/node/node{node}/numastat");
    parse_counters(&root.read(&path).ok()?, NUMASTAT).ok()
}

/// The counters of the machine; `None` where they cannot be read.
pub(crate) fn read_vmstat(root: &Root) -> Option<Counters> {
    parse_counters(&root.read("proc/vmstat").ok()?, VMSTAT).ok()
}

/// Reads the counters with these names. Counters that the kernel was built without are left out.
pub(crate) fn parse_counters(bytes: &[u8], names: &[&'static str]) -> Result<Counters, Malformed> {
    let mut counters = Counters::new();
    for line in value(bytes).lines() {
        let Some((name, count)) = line.split_once(' ') else {
            continue;
        };
        if let Some(name) = names.iter().find(|wanted| **wanted == name) {
            counters.insert(name, number(name, count.trim().as_bytes())?);
        }
    }
    Ok(counters)
}

/// The differences of two readings. A counter that decreased is left out.
pub(crate) fn counted_between(before: &Counters, after: &Counters) -> Counters {
    let both = after.iter().filter_map(|(name, after)| {
        let count = after.checked_sub(*before.get(name)?)?;
        Some((*name, count))
    });
    both.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &[u8] =
        b"numa_hit 8676600\nnuma_miss 3\nnuma_foreign 0\ninterleave_hit 1128\nlocal_node 8676600\nother_node 7\n";

    #[test]
    fn the_counters_of_a_node_are_read() {
        let counters = parse_counters(TEXT, NUMASTAT).unwrap();
        assert_eq!(counters.len(), NUMASTAT.len());
        assert_eq!((counters["numa_miss"], counters["other_node"]), (3, 7));
    }

    #[test]
    fn counters_that_the_kernel_lacks_are_left_out() {
        let text = b"nr_free_pages 17\nnuma_hint_faults_local 4\nnuma_hint_faults 9\n";
        let counters = parse_counters(text, VMSTAT).unwrap();
        let expected = [("numa_hint_faults", 9), ("numa_hint_faults_local", 4)];
        assert_eq!(counters, Counters::from(expected));
        assert!(parse_counters(b"numa_hint_faults -9\n", VMSTAT).is_err());
        assert!(
            parse_counters(b"numa_hint_faults\n", VMSTAT)
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn the_difference_has_the_counters_that_both_readings_have() {
        let before = Counters::from([("numa_hit", 5), ("numa_miss", 9), ("numa_foreign", 1)]);
        let after = Counters::from([("numa_hit", 7), ("numa_miss", 8), ("other_node", 1)]);
        assert_eq!(
            counted_between(&before, &after),
            Counters::from([("numa_hit", 2)])
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_counters(&bytes, NUMASTAT);
        }

        #[test]
        fn no_lines_make_it_panic(text in "(numa_(hit|miss|hint_faults) [ -]?[0-9]{0,25}\n?){0,6}") {
            let _ = parse_counters(text.as_bytes(), NUMASTAT);
        }
    }
}
