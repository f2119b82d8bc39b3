//! `memory.numa_stat` of a control group (memory_numa_stat_show in the kernel's mm/memcontrol.c, memcg_numa_stat_show in
//! mm/memcontrol-v1.c).
//!
//! ```text
//! anon N0=2048 N1=4096          version 2, in bytes
//! hierarchical_anon=3 N0=1 N1=2 version 1, in pages
//! ```

use crate::machine::ControlGroup;
use crate::observe::hierarchy::{Controller, GroupFolder, HierarchyVersion};
use crate::observe::root::Root;
use crate::units::{Bytes, Malformed, NodeBytes, NodeId, malformed, number};

/// Anonymous and shared memory by node of a process's control group and its children, which every user may read. `None` where
/// the memory controller is not active in the group, or its hierarchy is not visible.
pub(crate) fn read_group_memory(root: &Root, groups: &[ControlGroup]) -> Option<NodeBytes> {
    let group = GroupFolder::of(groups, Controller::Memory)?;
    let page = match group.version {
        HierarchyVersion::V2 => None,
        // Version 1 counts pages, and a recording does not have the page size.
        HierarchyVersion::V1 if !root.is_live() => return None,
        HierarchyVersion::V1 => Some(Bytes(rustix::param::page_size() as u64)),
    };
    let text = root
        .read(&format!("{}/memory.numa_stat", group.path))
        .ok()?;
    parse_numa_stat(&text, page).ok()?
}

/// Anonymous and shared memory by node. `page` is the page size for version 1, `None` for version 2. The result is `None` where
/// the text has no such lines.
pub(crate) fn parse_numa_stat(
    text: &[u8],
    page: Option<Bytes>,
) -> Result<Option<NodeBytes>, Malformed> {
    let line = |name: &[u8]| {
        let mut lines = text.split(|byte| *byte == b'\n');
        lines.find_map(|line| line.strip_prefix(name))
    };
    let (unit, lines) = match page {
        None => (1, [line(b"anon "), line(b"shmem ")]),
        // Its anonymous pages are those of the LRU list of that name, which has the shared pages too.
        Some(page) => {
            let all = line(b"hierarchical_anon=").or_else(|| line(b"anon="));
            (page.0, [all, None])
        }
    };
    let mut by_node = None;
    for line in lines.into_iter().flatten() {
        let sum: &mut NodeBytes = by_node.get_or_insert_default();
        for word in line.split(u8::is_ascii_whitespace) {
            let Some(count) = word.strip_prefix(b"N") else {
                continue;
            };
            let mut parts = count.splitn(2, |byte| *byte == b'=');
            let node = NodeId(number(
                "node in numa_stat",
                parts.next().unwrap_or_default(),
            )?);
            let count: u64 = number("count in numa_stat", parts.next().unwrap_or_default())?;
            let of_node = sum.entry(node).or_default();
            match count
                .checked_mul(unit)
                .and_then(|bytes| of_node.checked_add(Bytes(bytes)))
            {
                Some(more) if node < NodeId::END => *of_node = more,
                _ => return malformed("not a count in numa_stat", word),
            }
        }
    }
    if let Some(by_node) = &mut by_node {
        by_node.retain(|_, bytes| bytes.0 > 0);
    }
    Ok(by_node)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_versions_are_read() {
        let of =
            |nodes: [(u32, u64); 2]| nodes.map(|(node, size)| (NodeId(node), Bytes(size))).into();
        let v2 = b"anon N0=4096 N1=8192\nfile N0=1 N1=1\nanon_thp N0=7 N1=7\nshmem N0=0 N1=4096\n";
        assert_eq!(
            parse_numa_stat(v2, None),
            Ok(Some(of([(0, 4096), (1, 12288)])))
        );
        let v1 = b"total=9 N0=4 N1=5\nanon=2 N0=1 N1=1\nhierarchical_anon=3 N0=1 N1=2\n";
        let page = Some(Bytes(4096));
        assert_eq!(
            parse_numa_stat(v1, page),
            Ok(Some(of([(0, 4096), (1, 8192)])))
        );
        assert_eq!(parse_numa_stat(b"file N0=1\n", None), Ok(None));
        assert!(parse_numa_stat(b"anon N0=x\n", None).is_err());
        assert!(parse_numa_stat(b"anon N1024=1\n", None).is_err());
        assert!(parse_numa_stat(b"anon=1 N0=18446744073709551615\n", page).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), line in "(anon|shmem)( N[0-9]{0,12}=?[0-9]{0,22}){0,5}") {
            let _ = parse_numa_stat(&bytes, None);
            let _ = parse_numa_stat(line.as_bytes(), None);
            let _ = parse_numa_stat(line.as_bytes(), Some(Bytes(4096)));
        }
    }
}
