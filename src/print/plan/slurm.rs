//! srun's options, and Slurm's gres.conf.

use std::fmt::Write;

use super::words::{comments, devices_before, devices_note, loaders_note};
use crate::document::{Document, PlanDocument, PlannedRank};
use crate::print::gres::gres;

/// The command of a step, and the lines for the administrator.
pub(super) fn command(plan: &PlanDocument, map: &Document) -> String {
    let mut out = comments(plan);
    out += "# Slurm takes such lists only in a job that has the whole node (--exclusive). The Nth of a list is for local task N.\n";
    out += loaders_note(plan);
    out += devices_note(plan, map);
    let cpus = listed(plan, |rank| mask(rank.cpus.iter().map(|cpu| cpu.0)));
    let _ = writeln!(
        out,
        "{}srun --ntasks-per-node={} --cpu-bind=mask_cpu:{cpus} --mem-bind={} python train.py",
        devices_before(plan, map),
        plan.ranks.len(),
        memory(plan),
    );
    out += "\n# For the administrator: with these lines Slurm itself gives a job of some GPUs the cores of their nodes.\n";
    for line in gres(map, "").lines() {
        let comment = if line.starts_with('#') { "" } else { "# " };
        let _ = writeln!(out, "{comment}{line}");
    }
    out
}

/// A node for each rank or, where a rank has several, a mask.
fn memory(plan: &PlanDocument) -> String {
    let one = |rank: &PlannedRank| match rank.memory_nodes.len() {
        1 => rank.memory_nodes.first().copied(),
        _ => None,
    };
    let nodes: Option<Vec<String>> = plan
        .ranks
        .iter()
        .map(|rank| one(rank).map(|node| node.to_string()))
        .collect();
    match nodes {
        Some(nodes) => format!("map_mem:{}", nodes.join(",")),
        None => {
            let masks = listed(plan, |rank| {
                mask(rank.memory_nodes.iter().map(|node| node.0))
            });
            format!("mask_mem:{masks}")
        }
    }
}

fn listed(plan: &PlanDocument, word: impl Fn(&PlannedRank) -> String) -> String {
    plan.ranks.iter().map(word).collect::<Vec<_>>().join(",")
}

/// Numbers as a mask: `0x33`.
fn mask(numbers: impl Iterator<Item = u32>) -> String {
    let mut digits: Vec<u8> = Vec::new();
    for number in numbers {
        let at = number as usize / 4;
        digits.resize(digits.len().max(at + 1), 0);
        digits[at] |= 1 << (number % 4);
    }
    let digits = digits.iter().rev();
    digits.fold("0x".to_owned(), |text, digit| format!("{text}{digit:x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_have_any_length() {
        assert_eq!(mask([0, 1, 4, 5].into_iter()), "0x33");
        assert_eq!(mask([3].into_iter()), "0x8");
        assert_eq!(
            mask([64, 130].into_iter()),
            "0x400000000000000010000000000000000"
        );
    }
}
