//! The table of machines. Machines of which the same is wrong share a row.

use comfy_table::Color;

use crate::document::{FleetCounts, FleetMachine};
use crate::print::fleet::{CELL, hosts};
use crate::print::{ColumnRoom, Filled, Terminal, color, draw, harmless, verdict};
use crate::units::ranges;

/// Machines that share a row.
struct MachineRow<'a> {
    group: Vec<&'a FleetMachine>,
    counts: Option<FleetCounts>,
}

type MachineColumn = (&'static str, ColumnRoom, fn(&MachineRow) -> String);

const COLUMNS: &[MachineColumn] = &[
    ("MACHINE", ColumnRoom::Whole, |row| {
        hosts(row.group.iter().map(|of| &of.name), CELL)
    }),
    ("COUNT", ColumnRoom::Short(1), |row| {
        row.group.len().to_string()
    }),
    ("VERDICT", ColumnRoom::Whole, |row| {
        verdict(row.group[0].verdict.as_ref())
    }),
    ("PROCESSES", ColumnRoom::Short(2), |row| {
        number(row, |of| of.all)
    }),
    ("MISMATCH", ColumnRoom::Short(3), |row| {
        number(row, |of| of.mismatch)
    }),
    ("AT RISK", ColumnRoom::Short(4), |row| {
        number(row, |of| of.at_risk)
    }),
    ("UNKNOWN", ColumnRoom::Short(4), |row| {
        number(row, |of| of.unknown)
    }),
    ("WHAT IS WRONG", ColumnRoom::Words(0), wrong),
];

pub(super) fn machines(machines: &[FleetMachine], all: bool, terminal: &Terminal) -> String {
    let rows = rows(machines, all);
    let columns = COLUMNS.iter().map(|(header, room, cell)| Filled {
        header,
        room: *room,
        cells: rows.iter().map(cell).collect(),
        colors: rows.iter().map(|row| painted(header, row)).collect(),
    });
    let is_said = |column: &Filled| match column.header {
        "COUNT" => rows.iter().any(|row| row.group.len() > 1),
        "AT RISK" | "UNKNOWN" => column.cells.iter().any(|cell| cell != "0" && cell != "-"),
        _ => true,
    };
    draw(columns.filter(is_said), terminal)
}

fn painted(header: &str, row: &MachineRow) -> Option<Color> {
    let machine = row.group[0];
    match header {
        "VERDICT" => color(machine.verdict.as_ref()),
        "MACHINE" if machine.failed => Some(Color::Red),
        _ => None,
    }
}

/// The rows, in the order of their first machines.
fn rows(machines: &[FleetMachine], all: bool) -> Vec<MachineRow<'_>> {
    let mut rows: Vec<MachineRow> = Vec::new();
    let mut places = std::collections::BTreeMap::new();
    for machine in machines {
        let place = *places.entry(likeness(machine)).or_insert(rows.len());
        match rows.get_mut(place) {
            Some(row) if !all => row.add(machine),
            _ => rows.push(MachineRow {
                group: vec![machine],
                counts: machine.processes,
            }),
        }
    }
    rows
}

/// What machines of one row have in common.
fn likeness(machine: &FleetMachine) -> impl Ord + use<> {
    let findings = machine.findings.iter();
    let findings: Vec<_> = findings
        .map(|of| (of.rule.clone(), of.gpus.clone()))
        .collect();
    let verdict = verdict(machine.verdict.as_ref());
    (machine.failed, machine.complete, verdict, findings)
}

impl<'a> MachineRow<'a> {
    fn add(&mut self, machine: &'a FleetMachine) {
        self.group.push(machine);
        if let (Some(sum), Some(counts)) = (&mut self.counts, machine.processes) {
            sum.add(counts);
        }
    }
}

fn number(row: &MachineRow, of: fn(&FleetCounts) -> usize) -> String {
    let counts = row.counts.as_ref();
    counts.map_or_else(|| "-".to_owned(), |counts| of(counts).to_string())
}

/// The rules that are broken, those about the same GPUs together.
fn wrong(row: &MachineRow) -> String {
    what_is_wrong(row.group[0])
}

/// The same of one machine.
pub(crate) fn what_is_wrong(machine: &FleetMachine) -> String {
    let mut groups: Vec<(&[u32], Vec<String>)> = Vec::new();
    for finding in &machine.findings {
        let rule = harmless(&finding.rule);
        match groups.iter_mut().find(|(gpus, _)| *gpus == finding.gpus) {
            Some((_, rules)) => rules.push(rule),
            None => groups.push((&finding.gpus, vec![rule])),
        }
    }
    let groups = groups.iter();
    let mut words: Vec<String> = groups.map(|(gpus, rules)| about(gpus, rules)).collect();
    if !machine.complete {
        words.push("not everything could be judged".to_owned());
    }
    match (words.is_empty(), &machine.processes) {
        (false, _) => words.join("; "),
        (true, None) => "a map: processes were not looked at".to_owned(),
        (true, Some(_)) => "-".to_owned(),
    }
}

/// `GPU 0-3: cpu-remote, memory-remote`
fn about(gpus: &[u32], rules: &[String]) -> String {
    let rules = rules.join(", ");
    match gpus.is_empty() {
        true => rules,
        false => format!("GPU {}: {rules}", ranges(gpus.iter().copied())),
    }
}
