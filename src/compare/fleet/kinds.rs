//! Machines that should be alike, and what differs between them: the majority is the pattern.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::compare::fleet::facts::Fact;
use crate::compare::fleet::reduced::Reduced;
use crate::compare::machine::is_about;
use crate::document::{FleetDifference, MachineKind, OtherValue};
use crate::units::Bytes;

/// The kinds of machines, the most frequent first. The machines are sorted by name.
pub(super) fn kinds(machines: &[Reduced]) -> Vec<MachineKind> {
    let mut kinds: BTreeMap<&Option<Vec<String>>, Vec<&Reduced>> = BTreeMap::new();
    for machine in machines {
        kinds.entry(&machine.models).or_default().push(machine);
    }
    let kinds = kinds.into_iter().map(|(models, machines)| MachineKind {
        gpus: models.clone(),
        machines: machines.iter().map(|of| of.name.clone()).collect(),
        differences: differences(&machines),
    });
    let mut kinds: Vec<MachineKind> = kinds.collect();
    kinds.sort_by_key(|kind| Reverse(kind.machines.len()));
    kinds
}

fn differences(machines: &[&Reduced]) -> Vec<FleetDifference> {
    let names: BTreeSet<&String> = machines.iter().flat_map(|of| of.facts.keys()).collect();
    let differences = names
        .into_iter()
        .filter_map(|what| difference(what, machines));
    differences.collect()
}

/// `None` where the fact is the same on all machines where it is known.
fn difference(what: &str, machines: &[&Reduced]) -> Option<FleetDifference> {
    let pattern = pattern(what, machines);
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let (mut count, mut unknown) = (0, Vec::new());
    for machine in machines {
        match machine.facts.get(what) {
            None => unknown.push(machine.name.clone()),
            Some(fact) if pattern.as_ref().is_some_and(|of| is_same(of, fact)) => count += 1,
            Some(fact) => values
                .entry(text(fact))
                .or_default()
                .push(machine.name.clone()),
        }
    }
    let others = values.into_iter();
    let others = others.map(|(value, machines)| OtherValue { value, machines });
    let mut others: Vec<OtherValue> = others.collect();
    others.sort_by_key(|other| Reverse(other.machines.len()));
    (!others.is_empty()).then(|| FleetDifference {
        what: what.to_owned(),
        majority: pattern.as_ref().map(text),
        machines: count,
        others,
        unknown,
    })
}

/// The value of more than half of the machines where the fact is known; of sizes that of the middle one.
fn pattern(what: &str, machines: &[&Reduced]) -> Option<Fact> {
    let mut known: Vec<&Fact> = machines
        .iter()
        .filter_map(|of| of.facts.get(what))
        .collect();
    known.sort_unstable();
    // More than half of a sorted list has the middle.
    let middle = *known.get(known.len() / 2)?;
    let same = known.iter().filter(|fact| is_same(middle, fact)).count();
    (same * 2 > known.len()).then(|| middle.clone())
}

fn is_same(one: &Fact, other: &Fact) -> bool {
    match (one, other) {
        (Fact::Size(one), Fact::Size(other)) => is_about(Some(*one), Some(*other)),
        _ => one == other,
    }
}

fn text(fact: &Fact) -> String {
    match fact {
        Fact::Text(text) => text.clone(),
        Fact::Size(Bytes(bytes)) => Bytes(*bytes).to_string(),
    }
}
