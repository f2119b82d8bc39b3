//! The panes: which nodes have one, and what is in it.

use std::collections::{BTreeMap, BTreeSet};

use crate::document::{GpuEntry, ProcessEntry};
use crate::print::picture::diagram::memory::{self, Bar, Share};
use crate::print::picture::diagram::{
    Chip, Column, Grouped, Pane, Seat, Strip, all_named, chips, guests, named, nodes, place,
};
use crate::print::picture::look::Look;
use crate::print::picture::text::shown;
use crate::print::role;
use crate::units::{NodeId, NodeSet, node_list, ranges};

/// On a machine with more nodes than these, those with nothing on them have no pane.
const MOST_WITH_EMPTY: usize = 8;
/// More panes than these are left out.
const MOST_PANES: usize = 40;
/// More GPUs than these are left out.
const MOST_COLUMNS: usize = 64;

/// The panes by node, those of an unknown place last, and what is not drawn.
pub(super) fn panes(grouped: &Grouped) -> (Vec<Pane>, Vec<String>) {
    let mut bars = memory::bars(grouped);
    let mut lanes = guests::lanes(grouped);
    let of_gpus = gpu_memory(grouped, &bars, &lanes.keys().copied().collect());
    let mut busy: NodeSet = lanes.keys().chain(bars.keys()).copied().collect();
    busy.extend(grouped.others.iter().filter_map(|of| place::node_of(of)));
    busy.retain(|node| !of_gpus.contains(node));
    let seats: BTreeSet<Seat> = grouped.seats.values().cloned().collect();
    let seated: NodeSet = seats.iter().flatten().copied().collect();
    let all: NodeSet = grouped
        .document
        .topology
        .nodes
        .iter()
        .map(|node| node.id)
        .collect();
    let empty = all
        .iter()
        .filter(|node| !busy.contains(node) && !of_gpus.contains(node));
    let mut empty: NodeSet = empty
        .filter(|node| !seats.contains(&Seat::from([**node])))
        .copied()
        .collect();
    if all.len() <= MOST_WITH_EMPTY {
        busy.append(&mut empty);
    }
    empty.retain(|node| !seated.contains(node));
    let mut notes = nodes::folded(grouped, &empty);
    let mut keys: Vec<Seat> = seats
        .into_iter()
        .chain(busy.iter().map(|node| Seat::from([*node])))
        .collect();
    keys.sort_by_key(|seat| {
        (
            seat.is_empty(),
            seat.first().copied(),
            std::cmp::Reverse(seat.len()),
        )
    });
    keys.dedup();
    if keys.len() > MOST_PANES {
        notes.push(format!(
            "{} more nodes have processes or GPUs",
            keys.len() - MOST_PANES
        ));
        keys.truncate(MOST_PANES);
    }
    let panes = keys.into_iter().map(|seat| {
        let node = seat.first().copied().filter(|_| seat.len() == 1);
        let strips = node
            .and_then(|node| lanes.remove(&node))
            .unwrap_or_default();
        let bar = node.and_then(|node| bars.remove(&node));
        pane(grouped, seat, strips, bar)
    });
    (panes.collect(), notes)
}

/// The nodes that are the memory of a drawn GPU and hold nothing else: the GPU's column says it.
fn gpu_memory(grouped: &Grouped, bars: &BTreeMap<NodeId, Bar>, lanes: &NodeSet) -> NodeSet {
    let shown = grouped
        .seats
        .keys()
        .filter_map(|index| grouped.gpus.get(index));
    let own = shown.flat_map(|gpu| &gpu.own_memory_nodes);
    let is_only_its = |node: &NodeId| {
        let bar = bars.get(node);
        !lanes.contains(node)
            && bar.is_none_or(|bar| bar.parts.keys().all(|share| *share == Share::Local))
    };
    own.filter(|node| is_only_its(node)).copied().collect()
}

fn pane(
    grouped: &Grouped,
    seat: Seat,
    strips: Vec<(&'static str, Strip)>,
    bar: Option<Bar>,
) -> Pane {
    let mut columns = columns(grouped, &seat);
    let mut lines = Vec::new();
    if columns.len() > MOST_COLUMNS {
        lines.push(format!("{} more GPUs", columns.len() - MOST_COLUMNS));
        columns.truncate(MOST_COLUMNS);
    }
    let shared = shared(grouped, &seat);
    let (lanes, more) = guests::under_headings(strips);
    lines.extend(more);
    lines.extend(others(grouped, &seat));
    let is_node = seat.len() == 1;
    let is_empty = columns.is_empty()
        && shared.is_empty()
        && lanes.is_empty()
        && lines.is_empty()
        && bar.is_none();
    let has_processes = grouped.document.processes.is_some();
    let (document, node) = (grouped.document, seat.first().copied().filter(|_| is_node));
    let of_map = node.filter(|_| !has_processes);
    lines.extend(
        of_map
            .into_iter()
            .flat_map(|node| nodes::devices(document, node)),
    );
    if is_empty {
        let what = if has_processes {
            "no GPUs, no processes"
        } else {
            "no GPUs"
        };
        lines.insert(0, what.to_owned());
    }
    Pane {
        title: title(&seat),
        cpus: match node {
            Some(node) => nodes::cpus(document, node),
            None if seat.is_empty() => Vec::new(),
            None => vec!["GPUs of all of them".to_owned()],
        },
        size: node.and_then(|node| nodes::size(document, node)),
        distances: of_map.map_or_else(Vec::new, |node| nodes::distances(document, node)),
        columns,
        shared,
        lanes,
        lines,
        memory: bar
            .or_else(|| (has_processes && is_node && !is_empty).then(|| memory::empty(grouped))),
        is_empty,
        seat,
    }
}

fn title(seat: &Seat) -> String {
    match seat.first() {
        None => "home node unknown".to_owned(),
        Some(node) if seat.len() == 1 => named(*node),
        Some(_) => format!("nodes {}", node_list(seat)),
    }
}

fn columns(grouped: &Grouped, seat: &Seat) -> Vec<Column> {
    let here = grouped.seats.iter().filter(|(_, of)| *of == seat);
    here.map(|(index, _)| column(grouped, *index, seat))
        .collect()
}

fn column(grouped: &Grouped, index: u32, seat: &Seat) -> Column {
    let gpu = grouped.gpus.get(&index).copied();
    let model = gpu.and_then(|gpu| gpu.name.as_deref()).unwrap_or_default();
    let model = ["NVIDIA ", "AMD ", "Intel "]
        .iter()
        .find_map(|vendor| model.strip_prefix(vendor))
        .unwrap_or(model);
    let team = [index];
    let is_here = |process: &ProcessEntry| match place::node_of(process) {
        Some(node) => seat.contains(&node),
        // It stays below its GPU, marked.
        None => true,
    };
    let mut chips = chips::chips(grouped, &team, is_here);
    let is_shared = grouped
        .teams
        .keys()
        .any(|team| team.len() > 1 && team.contains(&index));
    if chips.is_empty() && !is_shared && grouped.document.processes.is_some() {
        chips.push(idle(gpu));
    }
    Column {
        gpu: index,
        model: shown(model, 60),
        lines: gpu.map_or_else(|| vec!["not listed".to_owned()], |gpu| gpu_lines(gpu, seat)),
        chips,
    }
}

/// In the place of processes.
fn idle(gpu: Option<&GpuEntry>) -> Chip {
    let is_known = gpu
        .is_none_or(|gpu| gpu.processes_known.unwrap_or(true) && gpu.unseen_processes.is_empty());
    let (look, text) = match is_known {
        true => (Look::Plain, "no process"),
        false => (Look::Unknown, "processes ?"),
    };
    Chip {
        look,
        is_away: false,
        count: 0,
        text: text.to_owned(),
        notes: Vec::new(),
        tip: String::new(),
    }
}

fn gpu_lines(gpu: &GpuEntry, seat: &Seat) -> Vec<String> {
    let mut lines = Vec::new();
    if !gpu.home_nodes.is_empty() && gpu.home_nodes != *seat {
        lines.push(format!("attached: {}", all_named(&gpu.home_nodes)));
    }
    if !gpu.own_memory_nodes.is_empty() {
        lines.push(format!("its memory: {}", all_named(&gpu.own_memory_nodes)));
    }
    if !gpu.mig_devices.is_empty() {
        let instances: BTreeSet<u32> = gpu
            .mig_devices
            .iter()
            .map(|of| of.gpu_instance_id)
            .collect();
        lines.push(format!("MIG: GI {}", ranges(instances)));
    }
    if !gpu.partitions.is_empty() {
        lines.push(format!("{} partitions", gpu.partitions.len()));
    }
    lines
}

/// The processes of several GPUs of which one is here: those that are here, and the empty place of the others.
fn shared(grouped: &Grouped, seat: &Seat) -> Vec<Strip> {
    let mut strips = Vec::new();
    let teams = grouped.teams.iter().filter(|(team, _)| team.len() > 1);
    for (team, members) in teams.filter(|(team, _)| grouped.seats_of(team).contains(seat)) {
        let is_here = |process: &&ProcessEntry| {
            place::node_of(process).is_none_or(|node| seat.contains(&node))
        };
        let (here, away): (Vec<&ProcessEntry>, Vec<&ProcessEntry>) =
            members.iter().partition(|of| is_here(of));
        for (members, is_away) in [(here, false), (away, true)] {
            if members.is_empty() {
                continue;
            }
            let on: NodeSet = members.iter().filter_map(|of| place::node_of(of)).collect();
            let side = match (seat.first(), is_away) {
                (_, true) => format!("on {}", all_named(&on)),
                (Some(node), false) if seat.len() == 1 => {
                    guests::here(members.iter().copied(), *node)
                }
                _ => String::new(),
            };
            let look = members.iter().map(|of| Look::of(of.verdict.as_ref())).max();
            strips.push(Strip {
                look: look.unwrap_or(Look::Plain),
                is_away,
                team: team.clone(),
                text: chips::sum(&members),
                side,
                tip: chips::tip(&members),
                is_memory: false,
            });
        }
    }
    strips
}

/// `also here: 1 launcher, 2 helpers`
fn others(grouped: &Grouped, seat: &Seat) -> Option<String> {
    let here = grouped.others.iter().filter(|of| match place::node_of(of) {
        Some(node) => *seat == Seat::from([node]),
        None => seat.is_empty(),
    });
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for process in here {
        *counts.entry(shown(&role(process), 40)).or_default() += 1;
    }
    let texts = counts.iter().map(|(role, count)| match count {
        1 => format!("1 {role}"),
        several if role == "process" => format!("{several} processes"),
        several => format!("{several} {role}s"),
    });
    let texts: Vec<String> = texts.collect();
    (!texts.is_empty()).then(|| format!("also here: {}", texts.join(", ")))
}
