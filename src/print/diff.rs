//! Two audits compared, for people.

mod unfolded;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use comfy_table::Color;
use owo_colors::Style;

use crate::compare::{
    CPU_VERDICT, Change, Diff, FindingChange, FindingState, LOCAL_FRACTION, MEMORY_VERDICT,
    ProcessChange, VERDICT,
};
use crate::document::{Document, LocalShare, ProcessEntry, Summary};
use crate::print::cells::processes as counted;
use crate::print::{
    ColumnRoom, Filled, Terminal, binding, color, counts, cpus, draw, harmless, head, known,
    or_unknown, role, shortened, verdict,
};
use crate::units::{node_list, percent_of_one as percent, ranges};
use crate::words::{Role, Severity};

pub(crate) use unfolded::{UnfoldedChange, UnfoldedChanges};

/// The whole diff. `all` also shows unchanged processes and those that are not judged, and gives every process its own row.
pub(crate) fn diff(diff: &Diff, all: bool, terminal: &Terminal) -> String {
    let mut out = side("before: ", diff.before, terminal);
    out += &side("after:  ", diff.after, terminal);
    out += &machine(diff, terminal);
    out += &processes(diff, all, terminal);
    out += &findings(diff, all, terminal);
    out.push('\n');
    out += &sum("before: ", diff.before.summary.as_ref(), terminal);
    out += &sum("after:  ", diff.after.summary.as_ref(), terminal);
    out + &outcome(diff, terminal)
}

/// One line: which machine, and when.
fn side(mark: &str, document: &Document, terminal: &Terminal) -> String {
    terminal.wrap(mark, &head(&document.host), mark.len())
}

fn machine(diff: &Diff, terminal: &Terminal) -> String {
    let mut out = String::new();
    for [what, before, after] in machine_cells(diff) {
        out += &terminal.wrap("  ", &format!("{what}: {before} → {after}"), 4);
    }
    match out.is_empty() {
        true => out,
        false => format!("\nChanges of the machine:\n{out}"),
    }
}

/// What differs in the machine, its earlier and its later value.
pub(crate) fn machine_cells(diff: &Diff) -> Vec<[String; 3]> {
    let cells = diff.machine.iter().map(|change| {
        [
            harmless(&change.what),
            harmless(&known(change.before.as_ref())),
            harmless(&known(change.after.as_ref())),
        ]
    });
    cells.collect()
}

/// A row: one process, or workers that differ only in PIDs and shares.
struct ChangeRow<'a> {
    group: Vec<&'a ProcessChange<'a>>,
    cells: ChangeCells,
    pids: String,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct ChangeCells {
    change: String,
    role: String,
    rank: String,
    gpus: String,
    gpu_node: String,
    cpu_node: String,
    cpus: String,
    binding: String,
    verdict: String,
}

/// A column: its header, how it behaves on a narrow terminal, and its cell for a row.
type ChangeColumn = (&'static str, ColumnRoom, fn(&ChangeRow) -> String);

const COLUMNS: &[ChangeColumn] = &[
    ("CHANGE", ColumnRoom::Whole, |row| row.cells.change.clone()),
    ("ROLE", ColumnRoom::Whole, |row| match row.group.len() {
        1 => row.cells.role.clone(),
        several => format!("{} ×{several}", row.cells.role),
    }),
    ("RANK", ColumnRoom::Short(1), |row| row.cells.rank.clone()),
    ("PID", ColumnRoom::Short(4), |row| row.pids.clone()),
    ("GPU", ColumnRoom::Short(5), |row| row.cells.gpus.clone()),
    ("GPU NODE", ColumnRoom::Short(3), |row| {
        row.cells.gpu_node.clone()
    }),
    ("CPU NODE", ColumnRoom::Short(2), |row| {
        row.cells.cpu_node.clone()
    }),
    ("CPUS", ColumnRoom::Short(1), |row| row.cells.cpus.clone()),
    ("MEM BINDING", ColumnRoom::Short(2), |row| {
        row.cells.binding.clone()
    }),
    ("LOCAL MEMORY", ColumnRoom::Short(0), shares),
    ("VERDICT", ColumnRoom::Whole, |row| {
        row.cells.verdict.clone()
    }),
    ("NAME", ColumnRoom::Wide(150), names),
];

fn processes(diff: &Diff, all: bool, terminal: &Terminal) -> String {
    let is_shown = |change: &&ProcessChange| {
        let has_changed = change.change != Change::Same || change.worsened_to.is_some();
        all || (change.is_judged() && has_changed)
    };
    let mut rows: Vec<ChangeRow> = Vec::new();
    let mut places: BTreeMap<ChangeCells, usize> = BTreeMap::new();
    for change in diff.processes.iter().filter(is_shown) {
        let cells = cells(change, terminal);
        let folds = !all && change.either().is_some_and(|of| !of.is(Role::Trainer));
        let place = *places.entry(cells.clone()).or_insert(rows.len());
        match rows.get_mut(place) {
            Some(row) if folds => row.group.push(change),
            _ => rows.push(ChangeRow {
                group: vec![change],
                cells,
                pids: String::new(),
            }),
        }
    }
    if rows.is_empty() {
        return String::new();
    }
    for row in &mut rows {
        row.pids = broken(pids(row), terminal);
    }
    let filled = COLUMNS.iter().map(|(header, room, cell)| Filled {
        header,
        room: *room,
        cells: rows.iter().map(cell).collect(),
        colors: rows.iter().map(|row| painted(header, row)).collect(),
    });
    format!("\n{}", draw(filled, terminal))
}

fn painted(header: &str, row: &ChangeRow) -> Option<Color> {
    let first = row.group.first()?;
    match (header, first.change) {
        ("CHANGE", _) if first.worsened_to.is_some() => Some(Color::Red),
        ("CHANGE", Change::NotJudged) => Some(Color::Magenta),
        ("CHANGE", Change::Better) => Some(Color::Green),
        ("VERDICT", _) => color(first.after?.verdict.as_ref()),
        _ => None,
    }
}

fn cells(change: &ProcessChange, terminal: &Terminal) -> ChangeCells {
    let of_gpus = |of: &ProcessEntry| match of.gpus.is_empty() {
        true => "-".to_owned(),
        false => ranges(of.gpus.iter().copied()),
    };
    ChangeCells {
        change: match (change.change, change.worsened_to) {
            (Change::New, Some(_)) => "new, worse".to_owned(),
            (Change::NotJudged, _) => "not judged".to_owned(),
            (change, _) => change.to_string(),
        },
        role: both(change, role),
        rank: change.rank.map_or("-".to_owned(), |rank| rank.to_string()),
        gpus: both(change, of_gpus),
        gpu_node: both(change, |of| match of.gpus.is_empty() {
            true => "-".to_owned(),
            false => or_unknown(node_list(&of.home_nodes)),
        }),
        cpu_node: both(change, |of| known(of.cpu.node.as_ref())),
        cpus: broken(
            both(change, |of| {
                cpus(of.cpu.affinity.as_ref(), &of.cpu.affinity_nodes)
            }),
            terminal,
        ),
        binding: broken(both(change, |of| binding(&of.memory)), terminal),
        verdict: verdicts(change),
    }
}

/// `1 → 0`, or one text where both are the same.
fn both(change: &ProcessChange, text: impl Fn(&ProcessEntry) -> String) -> String {
    arrow(change.before.map(&text), change.after.map(&text))
}

/// On a narrow terminal a long cell is broken into two lines.
fn broken(cell: String, terminal: &Terminal) -> String {
    const ROOMY: u16 = 130;
    const SHORT: usize = 9;
    match terminal.width >= ROOMY || cell.chars().count() <= SHORT {
        true => cell,
        false => cell.replacen(" → ", " →\n", 1),
    }
}

fn arrow(before: Option<String>, after: Option<String>) -> String {
    match (before, after) {
        (Some(before), Some(after)) if before != after => format!("{before} → {after}"),
        (before, after) => after.or(before).unwrap_or_default(),
    }
}

/// The verdict; where it is the same, also the verdicts on CPU and memory that differ.
fn verdicts(change: &ProcessChange) -> String {
    let mut lines = vec![both(change, |of| verdict(of.verdict.as_ref()))];
    let has_changed = |path| change.changed.contains(&path);
    if !has_changed(VERDICT) {
        if has_changed(CPU_VERDICT) {
            let cpu = both(change, |of| verdict(of.cpu.verdict.as_ref()));
            lines.push(format!("CPU {cpu}"));
        }
        if has_changed(MEMORY_VERDICT) {
            let memory = both(change, |of| verdict(of.memory.verdict.as_ref()));
            lines.push(format!("memory {memory}"));
        }
    }
    lines.join("\n")
}

fn pids(row: &ChangeRow) -> String {
    let of_side = |side: fn(&ProcessChange) -> Option<u32>| {
        let mut pids: Vec<u32> = row.group.iter().filter_map(|change| side(change)).collect();
        pids.sort_unstable();
        (!pids.is_empty()).then(|| shortened(pids))
    };
    arrow(
        of_side(|change| Some(change.before?.pid.0)),
        of_side(|change| Some(change.after?.pid.0)),
    )
}

/// How much of the memory is local: of several processes from the least to the most.
fn shares(row: &ChangeRow) -> String {
    let has_moved = |change: &&ProcessChange| change.changed.contains(&LOCAL_FRACTION);
    let of_side = |side: fn(&ProcessChange) -> Option<LocalShare>| {
        let shares = row.group.iter().filter_map(|change| side(change));
        span(shares.collect())
    };
    let before = of_side(|change| Some(change.before?.memory.local()));
    let after = of_side(|change| Some(change.after?.memory.local()));
    let is_known = |text: &Option<String>| text.as_deref().is_some_and(|text| text != "?");
    // A difference within the error is not a change.
    match is_known(&before) && is_known(&after) && !row.group.iter().any(has_moved) {
        true => after.unwrap_or_default(),
        false => arrow(before, after),
    }
}

fn span(shares: Vec<LocalShare>) -> Option<String> {
    if shares.is_empty() {
        return None;
    }
    let fractions: Option<Vec<f64>> = shares.iter().map(|share| share.local_fraction).collect();
    let Some(fractions) = fractions else {
        return Some("?".to_owned());
    };
    let mark = match shares.iter().any(|share| !share.exact) {
        true => "~",
        false => "",
    };
    let least = percent(fractions.iter().copied().fold(f64::INFINITY, f64::min));
    let most = percent(fractions.into_iter().fold(0.0, f64::max));
    Some(match least == most {
        true => format!("{mark}{most}"),
        false => format!("{mark}{least}…{most}"),
    })
}

fn names(row: &ChangeRow) -> String {
    let names = row.group.iter().filter_map(|change| change.either());
    let names: BTreeSet<String> = names.map(|of| harmless(&of.name)).collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}

/// The findings that are new or gone; and in one line those that remain.
fn findings(diff: &Diff, all: bool, terminal: &Terminal) -> String {
    let mut out = String::new();
    let mut remaining: Vec<String> = Vec::new();
    for change in &diff.findings {
        let finding = change.finding;
        let rule = format!(
            "{}[{}]",
            harmless(finding.severity.as_str()),
            harmless(&finding.rule)
        );
        if change.state == FindingState::Remains && !all {
            let processes = match finding.pids.len() {
                0 => String::new(),
                count => format!(" ({})", counted(count)),
            };
            remaining.push(rule + &processes);
            continue;
        }
        let word = match change.state {
            FindingState::NotJudged => "not judged".to_owned(),
            state => state.to_string(),
        };
        let joined = match (change.state, change.joined.as_slice()) {
            (FindingState::Spread, joined) => {
                let pids = shortened(joined.iter().map(|pid| pid.0).collect());
                format!("; new is {pids}")
            }
            _ => String::new(),
        };
        let text = format!("{}{joined}", harmless(&finding.message));
        let text = terminal.wrap(&format!("{word}: {rule}: "), &text, 2);
        out += &terminal.paint(text.trim_end(), style(change));
        out.push('\n');
    }
    if !remaining.is_empty() {
        out += &terminal.wrap("remains: ", &remaining.join(", "), 2);
    }
    match out.is_empty() {
        true => out,
        false => format!("\n{out}"),
    }
}

fn style(change: &FindingChange) -> Style {
    let style = Style::new();
    match (change.state, change.severity) {
        (FindingState::New | FindingState::Spread, Some(Severity::Error)) => style.red(),
        (FindingState::New | FindingState::Spread, Some(Severity::Warning)) => style.yellow(),
        (FindingState::NotJudged, _) => style.magenta(),
        (FindingState::Fixed, _) => style.green(),
        _ => style,
    }
}

fn sum(mark: &str, summary: Option<&Summary>, terminal: &Terminal) -> String {
    terminal.wrap(mark, &sum_text(summary), mark.len())
}

/// The processes of one side, counted.
pub(crate) fn sum_text(summary: Option<&Summary>) -> String {
    match summary {
        None => "the machine alone, without processes".to_owned(),
        Some(summary) => {
            let local = match span(vec![summary.local()]).as_deref() {
                None | Some("?") => String::new(),
                Some(share) => format!("; {share} of their memory local"),
            };
            format!("{}{local}", counts(summary))
        }
    }
}

/// One line: the outcome.
fn outcome(diff: &Diff, terminal: &Terminal) -> String {
    let (outcome, counts) = outcome_text(diff);
    let style = match outcome {
        Outcome::Worse(_) => Style::new().red(),
        Outcome::Open => Style::new().magenta(),
        Outcome::NoWorse => Style::new().green(),
    };
    let text = format!("{outcome}{counts}");
    terminal.paint(terminal.wrap("", &text, 2).trim_end(), style) + "\n"
}

/// What a diff comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// So much is worse.
    Worse(String),
    /// Nothing was seen to be, but not everything could be judged.
    Open,
    /// Nothing is.
    NoWorse,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Worse(what) => write!(f, "Worse: {what}"),
            Self::Open => {
                f.write_str("Nothing was seen to get worse, but not everything could be judged")
            }
            Self::NoWorse => f.write_str("Nothing got worse"),
        }
    }
}

/// The outcome, and what else there is to count: sentences that begin with the full stop of the one before.
pub(crate) fn outcome_text(diff: &Diff) -> (Outcome, String) {
    let judged = || diff.processes.iter().filter(|change| change.is_judged());
    let several = |count: usize, one: &str, more: &str| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {more}")),
    };
    let listed = |words: Vec<Option<String>>| {
        let words: Vec<String> = words.into_iter().flatten().collect();
        words.join(", ")
    };
    let worse = judged().filter(|of| of.worsened_to.is_some()).count();
    let found = diff.findings.iter().filter(|of| of.is_worse).count();
    let worse = listed(vec![
        several(worse, "process", "processes"),
        several(found, "finding", "findings"),
    ]);
    let became = |change: Change, word: &str| {
        let like = judged().filter(|of| of.change == change && of.worsened_to.is_none());
        several(like.count(), word, word)
    };
    let processes = listed(vec![
        became(Change::NotJudged, "not judged"),
        became(Change::Gone, "gone"),
        became(Change::New, "new"),
        became(Change::Moved, "moved"),
        became(Change::Better, "better"),
        became(Change::Same, "as before"),
    ]);
    let of_state = |state, one, more| {
        let like = diff
            .findings
            .iter()
            .filter(|of| of.state == state && !of.is_worse);
        several(like.count(), one, more)
    };
    let findings = listed(vec![
        of_state(FindingState::New, "new", "new"),
        of_state(FindingState::NotJudged, "not judged", "not judged"),
        of_state(FindingState::Gone, "gone", "gone"),
        of_state(FindingState::Fixed, "fixed", "fixed"),
        of_state(FindingState::Remains, "remains", "remain"),
    ]);
    let outcome = match (worse.is_empty(), diff.is_open) {
        (false, _) => Outcome::Worse(worse),
        (true, true) => Outcome::Open,
        (true, false) => Outcome::NoWorse,
    };
    let mut text = String::new();
    for (heading, list) in [("Processes", processes), ("Findings", findings)] {
        if !list.is_empty() {
            text += &format!(". {heading}: {list}");
        }
    }
    (outcome, text)
}
