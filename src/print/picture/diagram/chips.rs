//! Processes of one GPU, folded as in the table: trainers one by one, like workers together.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::document::ProcessEntry;
use crate::print::picture::diagram::{Chip, Grouped, all_named, place};
use crate::print::picture::look::Look;
use crate::print::picture::text::shown;
use crate::print::{binding, cpus, known, role};
use crate::units::{Bytes, NodeId, NodeSet};
use crate::words::{Role, Verdict};

/// More trainers with the same look than these share a chip.
const MOST_TRAINERS: usize = 4;
/// More chips in a column than these are summed up.
const MOST_CHIPS: usize = 7;
/// More processes in a tip than these are left out.
const MOST_IN_TIP: usize = 12;

/// Processes with the same text.
struct Fold<'a> {
    role: String,
    look: Look,
    notes: Vec<String>,
    is_away: bool,
    members: Vec<&'a ProcessEntry>,
}

/// The chips of a GPU's processes. `is_here` says whether one runs at its seat.
pub(super) fn chips(
    grouped: &Grouped,
    team: &[u32],
    is_here: impl Fn(&ProcessEntry) -> bool,
) -> Vec<Chip> {
    let members = grouped.teams.get(team).map_or(&[][..], Vec::as_slice);
    let mut folds: Vec<Fold> = Vec::new();
    for process in members {
        let is_away = !is_here(process);
        let fold = Fold {
            role: role(process),
            look: Look::of(process.verdict.as_ref()),
            notes: notes(grouped, process, is_away),
            is_away,
            members: vec![process],
        };
        let is_like = |of: &&mut Fold| {
            (&of.role, of.look, &of.notes, of.is_away)
                == (&fold.role, fold.look, &fold.notes, is_away)
        };
        match folds.iter_mut().find(is_like) {
            Some(like) => like.members.push(process),
            None => folds.push(fold),
        }
    }
    // Trainers first, and those that are there before those that are away.
    folds.sort_by_key(|fold| (fold.members[0].known_role(), fold.is_away));
    let mut chips: Vec<Chip> = folds.iter().flat_map(of_fold).collect();
    sum_up(&mut chips);
    chips
}

fn of_fold(fold: &Fold) -> Vec<Chip> {
    let is_trainer = fold.members[0].is(Role::Trainer);
    let pieces = match is_trainer && fold.members.len() <= MOST_TRAINERS {
        true => fold.members.chunks(1),
        false => fold.members.chunks(usize::MAX),
    };
    let chip = |members: &[&ProcessEntry]| Chip {
        look: fold.look,
        is_away: fold.is_away,
        count: members.len(),
        text: counted(&fold.role, members),
        notes: fold.notes.clone(),
        tip: tip(members),
    };
    pieces.map(chip).collect()
}

/// The last of too many chips stands for the rest; the worst come before it.
fn sum_up(chips: &mut Vec<Chip>) {
    if chips.len() <= MOST_CHIPS {
        return;
    }
    chips.sort_by_key(|chip| std::cmp::Reverse(chip.look));
    let rest = chips.split_off(MOST_CHIPS - 1);
    let look = rest.iter().map(|chip| chip.look).max();
    let texts: Vec<&str> = rest.iter().map(|chip| chip.text.as_str()).collect();
    let is_away = rest.iter().all(|chip| chip.is_away);
    chips.push(Chip {
        look: look.unwrap_or(Look::Plain),
        is_away,
        count: rest.iter().map(|chip| chip.count).sum(),
        text: format!("{} more", rest.iter().map(|chip| chip.count).sum::<usize>()),
        notes: if is_away {
            vec!["on other nodes".to_owned()]
        } else {
            Vec::new()
        },
        tip: texts.join("\n"),
    });
}

/// `trainer 1010`, `4 workers`
fn counted(role: &str, members: &[&ProcessEntry]) -> String {
    let role = shown(role, 40);
    match members {
        [one] => format!("{role} {}", one.pid),
        several if role == "process" => format!("{} processes", several.len()),
        several => format!("{} {role}s", several.len()),
    }
}

/// `trainer 1010 + 4 workers`
pub(super) fn sum(members: &[&ProcessEntry]) -> String {
    let mut roles: Vec<(String, Vec<&ProcessEntry>)> = Vec::new();
    for process in members {
        let role = role(process);
        match roles.iter_mut().find(|(of, _)| *of == role) {
            Some((_, same)) => same.push(process),
            None => roles.push((role, vec![process])),
        }
    }
    roles.sort_by_key(|(_, members)| members[0].known_role());
    let texts = roles.iter().map(|(role, members)| counted(role, members));
    texts.collect::<Vec<_>>().join(" + ")
}

fn notes(grouped: &Grouped, process: &ProcessEntry, is_away: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(instance) = process.mig_instances.first() {
        let more = process.mig_instances.len() - 1;
        let more = if more > 0 {
            format!(" +{more}")
        } else {
            String::new()
        };
        notes.push(format!("MIG GI {}{more}", instance.gpu_instance_id));
    }
    let partitions: BTreeSet<u32> = process
        .gpu_partitions
        .iter()
        .map(|of| of.partition)
        .collect();
    if !partitions.is_empty() {
        notes.push(format!("partition {}", crate::units::ranges(partitions)));
    }
    let node = place::node_of(process);
    match node {
        // A pane may stand for several nodes.
        Some(node) if is_away || process.local_nodes.len() > 1 && process.gpus.len() == 1 => {
            notes.push(format!("on node {node}"));
        }
        None => notes.push("node unknown".to_owned()),
        _ => {}
    }
    let is = |verdict: &Option<crate::words::Word<Verdict>>, value| {
        verdict.as_ref().is_some_and(|of| *of == value)
    };
    if !is_away && is(&process.cpu.verdict, Verdict::AtRisk) {
        notes.push(match process.cpu.bound {
            Some(false) => "not bound".to_owned(),
            _ if is_crowded(process) => "CPUs crowded".to_owned(),
            _ => "CPUs at risk".to_owned(),
        });
    }
    let memory = &process.memory.verdict;
    if is(memory, Verdict::Mismatch) || is(memory, Verdict::AtRisk) {
        let away = foreign_memory(grouped, process);
        let away: NodeSet = away
            .into_iter()
            .filter(|at| Some(*at) != node || !is_away)
            .collect();
        if !away.is_empty() {
            notes.push(format!("memory: {}", all_named(&away)));
        }
    }
    if Look::of(process.verdict.as_ref()) == Look::Unknown && notes.is_empty() {
        notes.push("not judged".to_owned());
    }
    notes
}

fn is_crowded(process: &ProcessEntry) -> bool {
    process
        .findings
        .iter()
        .any(|rule| rule == "cpus-crowded" || rule == "one-core")
}

/// The nodes with a share of its memory that is worth naming and not local.
pub(super) fn foreign_memory(grouped: &Grouped, process: &ProcessEntry) -> NodeSet {
    let gpus = process
        .gpus
        .iter()
        .filter_map(|gpu| grouped.gpus.get(gpu).copied());
    let local = process.nodes_of_local_memory(gpus);
    let by_node = process.memory.by_node_bytes.iter().flatten();
    let foreign: Vec<(NodeId, Bytes)> = by_node
        .filter(|(node, _)| !local.is_empty() && !local.contains(node))
        .map(|(node, bytes)| (*node, *bytes))
        .collect();
    let most = foreign
        .iter()
        .map(|(_, bytes)| *bytes)
        .max()
        .unwrap_or_default();
    let is_worth_it = |bytes: Bytes| bytes.0 > 0 && bytes.0 >= most.0 / 10;
    let named = foreign.iter().filter(|(_, bytes)| is_worth_it(*bytes));
    named.map(|(node, _)| *node).collect()
}

/// A line for each process, for a reader who points at it.
pub(super) fn tip(members: &[&ProcessEntry]) -> String {
    let mut text = String::new();
    for process in members.iter().take(MOST_IN_TIP) {
        let name = shown(&process.name, 40);
        let on = known(place::node_of(process).as_ref());
        let may = cpus(process.cpu.affinity.as_ref(), &process.cpu.affinity_nodes);
        let memory = process.memory.by_node_bytes.iter().flatten();
        let memory = memory.map(|(node, bytes)| format!("{node}: {bytes}"));
        let memory: Vec<String> = memory.take(8).collect();
        let memory = match process.memory.by_node_bytes {
            Some(_) => memory.join(", "),
            None => "?".to_owned(),
        };
        let _ = writeln!(
            text,
            "{} {} {name}: runs on node {on}, CPUs {may}, memory by node {memory}, memory binding {}: {}",
            shown(&role(process), 40),
            process.pid,
            shown(&binding(&process.memory), 60),
            shown(&crate::print::verdict(process.verdict.as_ref()), 40),
        );
    }
    if members.len() > MOST_IN_TIP {
        let _ = writeln!(text, "and {} more", members.len() - MOST_IN_TIP);
    }
    text.trim_end().to_owned()
}
