//! Processes, and their memory, on nodes other than those of their GPUs.

use std::collections::{BTreeMap, BTreeSet};

use crate::document::ProcessEntry;
use crate::print::picture::diagram::{Grouped, Lane, Seat, Strip, chips, place};
use crate::print::picture::look::Look;
use crate::units::{Bytes, NodeId, ranges};
use crate::words::{Verdict, Word};

/// More strips in a lane than these are left out.
const MOST_STRIPS: usize = 16;

/// Of GPUs on other nodes.
const REMOTE: &str = "run here; their GPU is attached to another node";
const NEAR: &str = "run here; their GPU is attached to another node of this socket";
const MEMORY: &str = "only memory is here; its process runs on another node";
const UNKNOWN: &str = "run here; the node of their GPU is unknown";
const JUDGED_BY_OTHERS: &str = "run here; their GPUs are attached to other nodes";

/// A team on a node where it has no GPU.
#[derive(Debug, Default)]
struct Guests<'a> {
    here: Vec<&'a ProcessEntry>,
    /// Those that only have memory here.
    memory: Vec<&'a ProcessEntry>,
}

/// The strips of each node, with the heading of the lane of each.
pub(super) fn lanes(grouped: &Grouped) -> BTreeMap<NodeId, Vec<(&'static str, Strip)>> {
    let mut guests: BTreeMap<(NodeId, &[u32]), Guests> = BTreeMap::new();
    for (team, members) in &grouped.teams {
        let seats = grouped.seats_of(team);
        for process in members {
            let node = place::node_of(process);
            if let Some(node) = node.filter(|node| !is_seated(&seats, *node)) {
                guests.entry((node, team)).or_default().here.push(process);
            }
            for at in misplaced_memory(grouped, process) {
                if Some(at) != node && !is_seated(&seats, at) {
                    guests.entry((at, team)).or_default().memory.push(process);
                }
            }
        }
    }
    let mut lanes: BTreeMap<NodeId, Vec<(&'static str, Strip)>> = BTreeMap::new();
    for ((node, team), guests) in guests {
        lanes
            .entry(node)
            .or_default()
            .push(strip(team, node, &guests));
    }
    lanes
}

/// Whether a node is one of those that these panes stand for.
fn is_seated(seats: &BTreeSet<&Seat>, node: NodeId) -> bool {
    seats.iter().any(|seat| seat.contains(&node))
}

/// The nodes with memory for which a process is not judged well.
fn misplaced_memory(grouped: &Grouped, process: &ProcessEntry) -> BTreeSet<NodeId> {
    let verdict = process.memory.verdict.as_ref().and_then(Word::known);
    match verdict {
        Some(Verdict::Mismatch | Verdict::AtRisk) => chips::foreign_memory(grouped, process),
        _ => BTreeSet::new(),
    }
}

fn strip(team: &[u32], node: NodeId, guests: &Guests) -> (&'static str, Strip) {
    let is_memory = guests.here.is_empty();
    let members = if is_memory {
        &guests.memory
    } else {
        &guests.here
    };
    let verdict = |of: &&ProcessEntry| {
        let verdict = if is_memory {
            &of.memory.verdict
        } else {
            &of.verdict
        };
        Look::of(verdict.as_ref())
    };
    let look = members.iter().map(verdict).max().unwrap_or(Look::Plain);
    let all: BTreeMap<u32, &ProcessEntry> = guests
        .here
        .iter()
        .chain(&guests.memory)
        .map(|of| (of.pid.0, *of))
        .collect();
    let bytes = here(all.values().copied(), node);
    let heading = match look {
        _ if is_memory => MEMORY,
        Look::Wrong => REMOTE,
        Look::AtRisk => NEAR,
        Look::Unknown => UNKNOWN,
        _ => JUDGED_BY_OTHERS,
    };
    let text = chips::sum(members);
    let strip = Strip {
        look,
        is_away: false,
        team: team.to_vec(),
        text: if is_memory {
            format!("memory of {text}")
        } else {
            text
        },
        side: bytes,
        tip: chips::tip(members),
        is_memory,
    };
    (heading, strip)
}

/// `10 GiB here`, of the processes whose memory is known.
pub(super) fn here<'a>(members: impl Iterator<Item = &'a ProcessEntry>, node: NodeId) -> String {
    let (mut sum, mut is_known, mut is_estimate) = (Bytes(0), true, false);
    for process in members {
        is_estimate |= process.memory.is_estimate();
        match &process.memory.by_node_bytes {
            Some(by_node) => {
                let bytes = by_node.get(&node).copied().unwrap_or_default();
                sum = [sum, bytes].into_iter().sum();
            }
            None => is_known = false,
        }
    }
    let about = if is_estimate { "~" } else { "" };
    match is_known {
        true => format!("{about}{sum} here"),
        false => "memory ?".to_owned(),
    }
}

/// `GPU 2`, `GPUs 0-3`
pub(in crate::print::picture) fn gpus(team: &[u32]) -> String {
    let list = ranges(team.iter().copied());
    match team.len() {
        1 => format!("GPU {list}"),
        _ => format!("GPUs {list}"),
    }
}

/// Strips under their headings, the worst first. Of too many the number is said.
pub(super) fn under_headings(strips: Vec<(&'static str, Strip)>) -> (Vec<Lane>, Option<String>) {
    let mut lanes: Vec<Lane> = Vec::new();
    for (heading, strip) in strips {
        match lanes.iter_mut().find(|lane| lane.heading == heading) {
            Some(lane) => {
                lane.look = lane.look.max(strip.look);
                lane.strips.push(strip);
            }
            None => lanes.push(Lane {
                look: strip.look,
                heading,
                strips: vec![strip],
            }),
        }
    }
    lanes.sort_by_key(|lane| (lane.heading == MEMORY, std::cmp::Reverse(lane.look)));
    let mut left_out = 0;
    for lane in &mut lanes {
        left_out += lane.strips.len().saturating_sub(MOST_STRIPS);
        lane.strips.truncate(MOST_STRIPS);
    }
    let note = (left_out > 0).then(|| format!("and {left_out} more"));
    (lanes, note)
}
