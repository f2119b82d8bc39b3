//! The report for people: the GPUs, their processes with like workers folded into one row, and what is wrong.

use std::collections::{BTreeMap, BTreeSet};

use owo_colors::Style;

use super::rows::rows;
use super::terminal::{Terminal, harmless};
use crate::audit::attribution::Role;
use crate::audit::finding::{Remedy, Severity};
use crate::audit::home::GpuPlace;
use crate::audit::verdict::Verdict;
use crate::audit::{Audited, Report};
use crate::model::cpus::{CpuSet, ranges};
use crate::model::gap::{Fact, Gap, Reason};
use crate::model::topology::node_list;
use crate::model::{Host, Origin};

/// The whole report. `all` gives every process a row of its own.
pub fn report(report: &Report, all: bool, terminal: &Terminal) -> String {
    let mut out = head(&report.host, terminal);
    out += &nodes(report, terminal);
    out += &gpus(report, terminal);
    for (heading, group) in groups(report) {
        out.push('\n');
        if !heading.is_empty() {
            out += &terminal.wrap("", heading, 2);
        }
        out += &rows(&group, all, report, terminal);
    }
    out += &findings(report, terminal);
    out += &gaps(report, terminal);
    out.push('\n');
    out + &sum(report, terminal)
}

/// One line: which machine, and when.
pub fn head(host: &Host, terminal: &Terminal) -> String {
    let mut words = vec![harmless(
        host.hostname
            .as_deref()
            .unwrap_or("a machine without a name"),
    )];
    words.extend(
        host.kernel
            .as_ref()
            .map(|kernel| format!("Linux {}", harmless(kernel))),
    );
    let driver = host.driver_version.as_ref();
    words.extend(driver.map(|version| format!("NVIDIA driver {}", harmless(version))));
    let when = host.recorded_at.as_deref().map(harmless);
    words.push(match (host.origin, when) {
        (Origin::Live, when) => when.unwrap_or_default(),
        (Origin::Snapshot, Some(when)) => format!("snapshot of {when}"),
        (Origin::Snapshot, None) => "snapshot".to_owned(),
    });
    terminal.wrap("", &words.join(", "), 2)
}

/// One line: the nodes with their CPUs.
fn nodes(report: &Report, terminal: &Terminal) -> String {
    let nodes = report.topology.nodes();
    let told = nodes.iter().map(|(id, node)| match &node.cpus {
        None => format!("node {id} CPUs ?"),
        Some(cpus) if cpus.is_empty() => format!("node {id} without CPUs"),
        Some(cpus) => format!("node {id} CPUs {}", brief(cpus)),
    });
    let told: Vec<String> = told.collect();
    match told.as_slice() {
        [] => "No NUMA nodes to be seen\n".to_owned(),
        [one] => terminal.wrap("", &format!("1 NUMA node: {one}"), 2),
        several => {
            let text = format!("{} NUMA nodes: {}", several.len(), several.join("; "));
            terminal.wrap("", &text, 2)
        }
    }
}

/// A list that is short enough to be read, else how many they are.
fn brief(cpus: &CpuSet) -> String {
    const READABLE: usize = 30;
    let list = cpus.to_string();
    match list.len() {
        0..=READABLE => list,
        _ => format!("{} in all", cpus.iter().count()),
    }
}

/// A line for each GPU that matters: those that were asked for, and those of the processes that are shown.
fn gpus(report: &Report, terminal: &Terminal) -> String {
    let used: BTreeSet<u32> = report
        .processes
        .iter()
        .flat_map(|of| of.part.gpus.clone())
        .collect();
    let is_shown = |index: u32| used.contains(&index) || report.gpus_in_scope.contains(&index);
    let shown = report.gpus.iter().filter(|place| is_shown(place.gpu.index));
    let mut out = String::new();
    for place in shown {
        let who = match report.users_are_known(place.gpu.index) {
            _ if used.contains(&place.gpu.index) => "",
            true => ": no process",
            false => ": processes not known",
        };
        out += &terminal.wrap("", &(gpu_heading(place) + who), 2);
    }
    if out.is_empty() {
        out
    } else {
        format!("\n{out}")
    }
}

fn gpu_heading(place: &GpuPlace) -> String {
    let gpu = &place.gpu;
    let mut words = vec![format!("GPU {}", gpu.index)];
    words.extend(gpu.name.as_deref().map(harmless));
    words.extend(gpu.address.map(|address| address.to_string()));
    let (home, source) = (node_list(&place.home_nodes), place.source);
    words.push(match place.home_nodes.len() {
        0 => "home node unknown".to_owned(),
        1 => format!("home node {home} ({source})"),
        _ => format!("home nodes {home} ({source})"),
    });
    words.join("  ")
}

/// The tables with what stands above each: the processes of GPUs; then those of none.
fn groups(report: &Report) -> Vec<(&'static str, Vec<&Audited>)> {
    let (mut with_gpu, without): (Vec<&Audited>, Vec<&Audited>) = report
        .processes
        .iter()
        .partition(|audited| !audited.part.gpus.is_empty());
    let order = |of: &&Audited| {
        (
            of.part.gpus.clone(),
            of.part.trainer,
            of.part.role,
            of.process.pid,
        )
    };
    with_gpu.sort_by_key(order);
    let mut groups = vec![("", with_gpu)];
    type Belongs = fn(Option<Role>) -> bool;
    let headings: [(&str, Belongs); 3] = [
        ("Workers whose trainer is not known", |role| {
            role == Some(Role::Worker)
        }),
        ("Launchers and their helpers (not judged)", |role| {
            matches!(role, Some(Role::Launcher | Role::Helper))
        }),
        (
            "Processes without a GPU: memory against the node they run on",
            |role| role.is_none(),
        ),
    ];
    for (heading, is_here) in headings {
        let group = without.iter().filter(|audited| is_here(audited.part.role));
        groups.push((heading, group.copied().collect()));
    }
    groups.retain(|(_, group)| !group.is_empty());
    groups
}

/// What is wrong, the worst first, and what would mend it: of several findings with the same remedy it stands with the
/// first.
pub fn findings(report: &Report, terminal: &Terminal) -> String {
    let mut out = String::new();
    let mut said = BTreeSet::new();
    for finding in &report.findings {
        let mark = format!("{}[{}]: ", finding.severity, finding.rule);
        let text = terminal.wrap(&mark, &finding.message, 2);
        let style = match finding.severity {
            Severity::Error => Style::new().red(),
            Severity::Warning => Style::new().yellow(),
            Severity::Info => Style::new(),
        };
        out += &terminal.paint(text.trim_end(), style);
        out.push('\n');
        if finding.severity < Severity::Info {
            out += &remedy(&finding.remedy, &mut said, terminal);
        }
    }
    if out.is_empty() {
        out
    } else {
        format!("\n{out}")
    }
}

fn remedy<'a>(remedy: &'a Remedy, said: &mut BTreeSet<&'a str>, terminal: &Terminal) -> String {
    let Remedy {
        words,
        commands,
        but,
    } = remedy;
    let mut out = String::new();
    if said.insert(words) {
        out += &terminal.wrap("  to mend it: ", words, 4);
    }
    let lines = commands.iter().filter(|command| said.insert(command));
    let lines: Vec<String> = lines.map(|command| format!("  now: {command}\n")).collect();
    // A line that was broken could not be pasted.
    let width = usize::from(terminal.width);
    out += &match lines.iter().all(|line| line.chars().count() <= width) {
        true => lines.concat(),
        false => "  now: numa-audit --remedies prints what to paste\n".to_owned(),
    };
    if !but.is_empty() && said.insert(but) {
        out += &terminal.wrap("  but: ", but, 4);
    }
    out
}

/// What could not be learnt, and what would help; one line for all processes of the same lack. Empty where
/// nothing is missing.
pub fn gaps(report: &Report, terminal: &Terminal) -> String {
    let mut grouped: Vec<(String, &Gap, Vec<u32>)> = Vec::new();
    let mut places: BTreeMap<(String, String), usize> = BTreeMap::new();
    for gap in &report.gaps {
        let what = match gap.fact {
            Fact::Thread(_) => "some threads".to_owned(),
            _ => gap.fact.to_string(),
        };
        let pid = gap.pid.map(|pid| pid.0);
        let place = *places
            .entry((what.clone(), gap.reason.to_string()))
            .or_insert(grouped.len());
        match grouped.get_mut(place) {
            Some((.., pids)) => pids.extend(pid.filter(|pid| pids.last() != Some(pid))),
            None => grouped.push((what, gap, pid.into_iter().collect())),
        }
    }
    let mut out = String::new();
    for (what, gap, mut pids) in grouped {
        pids.sort_unstable();
        let whom = match (&gap.fact, pids.as_slice()) {
            (_, []) => what,
            (Fact::Process, [pid]) => format!("process {pid}"),
            (Fact::Process, several) => format!("processes {}", ranges(several.iter().copied())),
            (_, [pid]) => format!("{what} of process {pid}"),
            (_, several) => {
                format!(
                    "{what} of {} processes ({})",
                    several.len(),
                    ranges(several.iter().copied())
                )
            }
        };
        let text = format!(
            "{whom}: {}{}",
            harmless(&gap.reason.to_string()),
            hint(report, gap)
        );
        out += &terminal.wrap("  ? ", &text, 4);
    }
    if out.is_empty() {
        out
    } else {
        format!("\nNot known:\n{out}")
    }
}

fn hint(report: &Report, gap: &Gap) -> &'static str {
    let is_named = || {
        report
            .gpus
            .iter()
            .any(|gpu| gap.pid.is_some_and(|pid| gpu.used_by(pid).is_some()))
    };
    match (&gap.fact, &gap.reason, report.host.origin) {
        // Where processes were named, the advice was taken.
        (Fact::Driver, ..) if !report.processes.is_empty() => {
            "; whether they use a GPU is not known"
        }
        (Fact::Driver, ..) => {
            "; without a driver's answer nobody tells which processes use a GPU: name processes with \
             --pid PID, or a recording with --snapshot PATH"
        }
        (Fact::Process, Reason::Absent, _) if is_named() => {
            "; the driver names it, and it is not to be seen here: it ended, or runs in another PID namespace"
        }
        (_, Reason::Denied, Origin::Snapshot) => {
            "; whoever recorded it was not permitted to read it"
        }
        (Fact::Memory | Fact::Environ, Reason::Denied, _) => {
            "; run as its owner or as root (CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH)"
        }
        (_, Reason::Denied, _) => "; run as root",
        (_, Reason::TimedOut(_), Origin::Live) => {
            "; it is stuck in the kernel (what in, /proc/PID/stack may tell)"
        }
        (_, Reason::Late(_), _) => "; --deadline gives it more time",
        _ => "",
    }
}

fn sum(report: &Report, terminal: &Terminal) -> String {
    let summary = &report.summary;
    let word = if summary.processes == 1 {
        "process"
    } else {
        "processes"
    };
    let single = match summary.verdict {
        Verdict::SingleNode => " (single node)",
        _ => "",
    };
    let text = format!(
        "{} {word}: {} ok, {} at risk, {} mismatched, {} unknown{single}",
        summary.processes, summary.ok, summary.at_risk, summary.mismatch, summary.unknown
    );
    let text = terminal.wrap("", &text, 2);
    let style = match summary.verdict {
        Verdict::Ok | Verdict::SingleNode => Style::new().green(),
        Verdict::AtRisk => Style::new().yellow(),
        Verdict::Unknown => Style::new().magenta(),
        Verdict::Mismatch => Style::new().red(),
    };
    terminal.paint(text.trim_end(), style) + "\n"
}
