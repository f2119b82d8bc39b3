//! What differs between machines that should be alike.

use crate::document::{FleetDifference, MachineKind};
use crate::print::fleet::hosts_in_line;
use crate::print::{Terminal, harmless};

/// Lines of one kind that are printed without `--all`.
const MOST: usize = 30;

/// A paragraph for each kind of machines; empty for one machine alone.
pub(super) fn kinds(kinds: &[MachineKind], all: bool, terminal: &Terminal) -> String {
    let machines: usize = kinds.iter().map(|kind| kind.machines.len()).sum();
    if machines < 2 {
        return String::new();
    }
    let kinds = kinds.iter().map(|kind| of_kind(kind, all, terminal));
    format!("\n{}", kinds.collect::<String>())
}

fn of_kind(kind: &MachineKind, all: bool, terminal: &Terminal) -> String {
    let machines = hosts_in_line(&kind.machines, all);
    let verb = match (kind.machines.len(), kind.differences.is_empty()) {
        (1, _) => "",
        (_, true) => ": alike",
        (_, false) => ": not alike",
    };
    let mut out = terminal.wrap("", &format!("{}: {machines}{verb}", gpus(kind)), 2);
    let most = if all { usize::MAX } else { MOST };
    for difference in kind.differences.iter().take(most) {
        out += &terminal.wrap("  ", &text(difference, all), 4);
    }
    match kind.differences.len().saturating_sub(most) {
        0 => out,
        more => out + &format!("  {more} more differences: see --all\n"),
    }
}

/// The kind in words.
pub(crate) fn gpus(kind: &MachineKind) -> String {
    match &kind.gpus {
        None => "Machines with GPUs of unknown model".to_owned(),
        Some(models) if models.is_empty() => "Machines without GPUs".to_owned(),
        Some(models) => harmless(&format!("Machines with {}", models.join(", "))),
    }
}

/// `home node of GPU 0: 0 on 15 machines, 1 on n7`
pub(crate) fn text(difference: &FleetDifference, all: bool) -> String {
    let majority = difference.majority.iter().map(|value| {
        let machines = match difference.machines {
            1 => "1 machine".to_owned(),
            several => format!("{several} machines"),
        };
        format!("{} on {machines}", harmless(value))
    });
    let others = difference.others.iter().map(|other| {
        let machines = hosts_in_line(&other.machines, all);
        format!("{} on {machines}", harmless(&other.value))
    });
    let unknown = (!difference.unknown.is_empty())
        .then(|| format!("unknown on {}", hosts_in_line(&difference.unknown, all)));
    let values: Vec<String> = majority.chain(others).chain(unknown).collect();
    format!("{}: {}", harmless(&difference.what), values.join("; "))
}
