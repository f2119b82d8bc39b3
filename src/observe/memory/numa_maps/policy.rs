//! The memory policy as `numa_maps` prints it (mpol_to_str in the kernel's mm/mempolicy.c).

use crate::machine::{Mode, Policy};
use crate::units::{Malformed, NodeSet, malformed, parse_node_list};

/// The modes by the kernel's words. The two modes with a blank come first.
const MODES: &[(&[u8], Mode)] = &[
    (b"prefer (many)", Mode::PreferMany),
    (b"weighted interleave", Mode::WeightedInterleave),
    (b"default", Mode::Default),
    (b"local", Mode::Local),
    (b"bind", Mode::Bind),
    (b"prefer", Mode::Prefer),
    (b"interleave", Mode::Interleave),
];

/// The text of the policy, and the text after the blank that ends it.
pub(crate) fn split_policy(text: &[u8]) -> (&[u8], &[u8]) {
    let blank_in_mode = MODES[..2].iter().find(|(word, _)| text.starts_with(word));
    let skip = blank_in_mode.map_or(0, |(word, _)| word.len());
    match text[skip..].iter().position(|byte| *byte == b' ') {
        Some(blank) => (&text[..skip + blank], &text[skip + blank + 1..]),
        None => (text, &[]),
    }
}

/// The kernel prints a policy into 64 bytes, and cuts it without a mark.
const LONGEST_POLICY: usize = 63;

/// Reads a policy: `bind=static|balancing:0-1,3`.
pub(super) fn parse_policy(text: &[u8]) -> Result<Policy, Malformed> {
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
                return malformed("not a policy in numa_maps", text);
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
            // `default` and `local` have no nodes.
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
