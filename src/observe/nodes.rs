//! The files of `/sys/devices/system/node/nodeN`, and a PCI device's.

use std::collections::BTreeMap;

use crate::units::{Bytes, Malformed, NodeId, NodeSet, malformed, number, value};

/// MemTotal and MemFree of a node's `meminfo`; `None` for a line that is not there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NodeMemory {
    /// All of the node's memory.
    pub total: Option<Bytes>,
    /// What is free of it, page cache not counted as free.
    pub free: Option<Bytes>,
}

/// Reads a node's `meminfo`: lines of the form `Node 0 MemTotal: 1024 kB`.
pub fn parse_node_meminfo(bytes: &[u8]) -> Result<NodeMemory, Malformed> {
    let mut memory = NodeMemory::default();
    for line in value(bytes).lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ["Node", _, name @ ("MemTotal:" | "MemFree:"), size, "kB"] = words[..] else {
            continue;
        };
        let Some(size) = Bytes::from_kib(number("a node's meminfo", size.as_bytes())?) else {
            return malformed("a node's meminfo", line.as_bytes());
        };
        match name {
            "MemTotal:" => memory.total = Some(size),
            _ => memory.free = Some(size),
        }
    }
    Ok(memory)
}

/// Reads a node's `distance`: a column for each online node, ascending (node_read_distance in the
/// kernel's drivers/base/node.c).
pub fn parse_distances(bytes: &[u8], online: &NodeSet) -> Result<BTreeMap<NodeId, u32>, Malformed> {
    let text = value(bytes);
    let columns = text.split_whitespace();
    let distances: Vec<u32> = columns
        .map(|column| number("a node's distances", column.as_bytes()))
        .collect::<Result<_, _>>()?;
    if distances.len() != online.len() {
        let what = format!("{} distances for {} nodes", distances.len(), online.len());
        return malformed(&what, text.as_bytes());
    }
    Ok(online.iter().copied().zip(distances).collect())
}

/// Reads a PCI device's `numa_node`: `None` for -1, which says that the kernel does not know.
pub fn parse_pci_node(bytes: &[u8]) -> Result<Option<NodeId>, Malformed> {
    match value(bytes) {
        "-1" => Ok(None),
        text => Ok(Some(NodeId(number("numa_node", text.as_bytes())?))),
    }
}

/// Reads a PCI device's `class`, `vendor` or `device`: `0x030200`.
pub fn parse_hex(bytes: &[u8]) -> Result<u32, Malformed> {
    let text = value(bytes);
    let digits = text.strip_prefix("0x").unwrap_or(text);
    match u32::from_str_radix(digits, 16) {
        Ok(number) if !digits.starts_with('+') => Ok(number),
        _ => malformed("no hexadecimal number", text.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_meminfo() {
        let text =
            b"Node 1 MemTotal:       16384 kB\nNode 1 MemFree:  4 kB\nNode 1 HugePages_Total: 0\n";
        let memory = parse_node_meminfo(text).unwrap();
        assert_eq!(memory.total, Some(Bytes(16 << 20)));
        assert_eq!(memory.free, Some(Bytes(4096)));
        assert_eq!(parse_node_meminfo(b"").unwrap(), NodeMemory::default());
        assert!(parse_node_meminfo(b"Node 0 MemTotal: 99999999999999999999 kB\n").is_err());
        assert!(parse_node_meminfo(b"Node 0 MemTotal: 18446744073709551615 kB\n").is_err());
    }

    #[test]
    fn distances_stand_in_the_columns_of_the_online_nodes() {
        let online = [0, 8, 250].map(NodeId).into();
        let row = parse_distances(b"10 40 80\n", &online).unwrap();
        assert_eq!(row[&NodeId(250)], 80);
        assert!(parse_distances(b"10 40\n", &online).is_err());
    }

    #[test]
    fn minus_one_is_not_node_zero() {
        assert_eq!(parse_pci_node(b"-1\n"), Ok(None));
        assert_eq!(parse_pci_node(b"0\n"), Ok(Some(NodeId(0))));
        assert!(parse_pci_node(b"-2\n").is_err());
        assert!(parse_pci_node(b"").is_err());
    }

    #[test]
    fn reads_class_codes() {
        assert_eq!(parse_hex(b"0x030200\n"), Ok(0x030200));
        assert!(parse_hex(b"0x\n").is_err() && parse_hex(b"0x+1").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse_node_meminfo(&bytes);
            let _ = parse_distances(&bytes, &NodeSet::new());
            let _ = parse_pci_node(&bytes);
            let _ = parse_hex(&bytes);
        }
    }
}
