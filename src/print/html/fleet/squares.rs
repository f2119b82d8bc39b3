//! A square for each machine, those that should be alike side by side.

use std::collections::BTreeMap;

use maud::{Markup, html};

use crate::document::{FleetMachine, MachineKind};
use crate::print::fleet::kinds::gpus;
use crate::print::fleet::machines::what_is_wrong;
use crate::print::html::fleet::{FleetPage, mood_of};
use crate::print::html::mark::{Mood, mark};
use crate::print::{harmless, verdict};

/// More machines than these have small squares without a name.
const NAMED: usize = 150;

/// The section.
pub(super) fn squares(page: &FleetPage) -> Markup {
    let machines = page.document.machines.iter();
    let machines: BTreeMap<&str, &FleetMachine> =
        machines.map(|of| (of.name.as_str(), of)).collect();
    html! {
        section id="overview" aria-labelledby="overview-heading" {
            h2 id="overview-heading" { "Machines" }
            (legend())
            @for kind in &page.document.kinds { (of_kind(kind, &machines, page)) }
        }
    }
}

fn legend() -> Markup {
    let words = [
        (Mood::Bad, "wrong"),
        (Mood::Open, "not judged completely"),
        (Mood::Risk, "at risk"),
        (Mood::Good, "ok"),
        (Mood::Plain, "a map, or nothing to judge"),
    ];
    html! { p class="tally" { @for (mood, word) in words { (mark(mood, word)) " " } } }
}

fn of_kind(
    kind: &MachineKind,
    machines: &BTreeMap<&str, &FleetMachine>,
    page: &FleetPage,
) -> Markup {
    let is_many = page.document.machines.len() > NAMED;
    let found = kind
        .machines
        .iter()
        .filter_map(|name| machines.get(name.as_str()));
    html! {
        h3 { (gpus(kind)) ": " (kind.machines.len()) }
        ul class={ "squares" @if is_many { " many" } } {
            @for machine in found { (square(machine, page)) }
        }
    }
}

fn square(machine: &FleetMachine, page: &FleetPage) -> Markup {
    let mood = mood_of(machine);
    let name = harmless(&machine.name);
    let word = match (mood, machine.processes) {
        (Mood::Plain, _) | (_, None) => "map".to_owned(),
        (Mood::Open, _) => "not complete".to_owned(),
        (_, Some(counts)) => match (counts.mismatch, counts.all) {
            (0, _) => verdict(machine.verdict.as_ref()),
            (wrong, all) => format!("{wrong} of {all} wrong"),
        },
    };
    let title = format!("{name}: {word}; {}", what_is_wrong(machine));
    html! {
        li class=(mood.class()) {
            a href=[page.link(&machine.name)] title=(title) {
                span class="name" { (name) }
                span class="symbol" aria-hidden="true" { (mood.symbol()) }
                span class="said" { " " (word) }
            }
        }
    }
}
