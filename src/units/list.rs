//! Lists (`0-1,3`, the kernel's `%*pbl`) and masks (`00000000,0000ff00`, `%*pb`).

use crate::units::{Cpu, CpuSet, Malformed, NodeId, NodeSet, malformed, number, value};

/// No kernel is built for more CPUs (NR_CPUS is 8192 at most) or nodes (1024): a number beyond this
/// is no number of either, and a set up to it stays small.
const LIMIT: u32 = 1 << 16;

/// A list of CPUs. The empty text is the empty set.
pub fn parse_cpu_list(bytes: &[u8]) -> Result<CpuSet, Malformed> {
    Ok(numbers(bytes)?.map(Cpu).collect())
}

/// A list of nodes. The empty text is the empty set.
pub fn parse_node_list(bytes: &[u8]) -> Result<NodeSet, Malformed> {
    Ok(numbers(bytes)?.map(NodeId).collect())
}

fn numbers(bytes: &[u8]) -> Result<impl Iterator<Item = u32>, Malformed> {
    if bytes.is_empty() {
        // The kernel ends even an empty list with a newline.
        return malformed("an empty file", bytes);
    }
    let text = value(bytes);
    let mut ranges = Vec::new();
    let mut next = 0;
    for part in text.split(',').filter(|_| !text.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: u32 = number("no list of numbers", first.as_bytes())?;
        let last: u32 = number("no list of numbers", last.as_bytes())?;
        // Ascending and each number once: so the list cannot be larger than its limit.
        if first < next || first > last || last >= LIMIT {
            return malformed("no list of numbers", part.as_bytes());
        }
        ranges.push(first..=last);
        next = last + 1;
    }
    Ok(ranges.into_iter().flatten())
}

/// A mask of CPUs: hexadecimal words of 32 bits, the most significant first; an empty word is 0.
pub fn parse_cpu_mask(bytes: &[u8]) -> Result<CpuSet, Malformed> {
    let text = value(bytes);
    let mut cpus = CpuSet::default();
    for (word, at) in text.rsplit(',').zip(0u32..) {
        if at >= LIMIT / 32 || word.len() > 8 || !word.bytes().all(|b| b.is_ascii_hexdigit()) {
            return malformed("no mask of CPUs", text.as_bytes());
        }
        let bits = u32::from_str_radix(word, 16).unwrap_or(0);
        (0..32)
            .filter(|bit| bits >> bit & 1 == 1)
            .for_each(|bit| cpus.insert(Cpu(at * 32 + bit)));
    }
    Ok(cpus)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_lists() {
        let list = |text: &str| parse_cpu_list(text.as_bytes()).map(|set| set.to_string());
        assert_eq!(list("0-1,4-5\n"), Ok("0-1,4-5".into()));
        assert_eq!(list("\n"), Ok(String::new()));
        assert_eq!(list("7\n\0\0\0"), Ok("7".into()), "a recorded file's NULs");
        for wrong in [
            "1-",
            "-1",
            "2-1",
            "a",
            "0,,1",
            "0-4294967295",
            "+1",
            "99999999999",
            "0-65535,0-65535",
            "3,1",
            "",
        ] {
            assert!(list(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn reads_masks() {
        let mask = |text: &str| parse_cpu_mask(text.as_bytes()).map(|set| set.to_string());
        assert_eq!(mask("ff\n"), Ok("0-7".into()));
        assert_eq!(mask("00000001,00000000,80000003"), Ok("0-1,31,64".into()));
        assert_eq!(
            mask("0x1"),
            Err(Malformed("no mask of CPUs: \"0x1\"".into()))
        );
        assert!(mask("100000000").is_err(), "more than a word");
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(cpus in proptest::collection::btree_set(0u32..2000, 0..80)) {
            let set: CpuSet = cpus.into_iter().map(Cpu).collect();
            prop_assert_eq!(parse_cpu_list(format!("{set}\n").as_bytes()), Ok(set));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = parse_cpu_list(&bytes);
            let _ = parse_cpu_mask(&bytes);
        }
    }
}
