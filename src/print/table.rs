//! The report for people: the GPUs, their processes with like workers folded into one row, and what is wrong.

use std::collections::BTreeSet;

use owo_colors::Style;

use crate::audit::finding::{Remedy, Severity};
use crate::audit::place::home::GpuPlace;
use crate::audit::place::verdict::Verdict;
use crate::audit::{PlacedProcess, Report};
use crate::jobs::attribution::Role;
use crate::machine::window::Counters;
use crate::machine::{Host, Origin};
use crate::print::cells::processes;
use crate::print::gaps::gaps;
use crate::print::rows::rows;
use crate::print::terminal::{Terminal, harmless};
use crate::units::{CpuSet, length, node_list, ranges};

/// The whole report. `all` gives every process a row of its own.
pub fn report(report: &Report, all: bool, terminal: &Terminal) -> String {
    let mut out = head(&report.host, terminal);
    out += &nodes(report, terminal);
    out += &window(report, terminal);
    out += &gpus(report, all, terminal);
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
    words.retain(|word| !word.is_empty());
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

/// For how long it was looked, and what the kernel counted meanwhile; nothing where that was a moment.
fn window(report: &Report, terminal: &Terminal) -> String {
    let Some(window) = &report.window else {
        return String::new();
    };
    let looked = length(window.length);
    let asked = length(window.asked);
    let of = match window.is_cut_short() {
        true => format!(" of {asked} (interrupted)"),
        false => String::new(),
    };
    let times = match window.looks {
        1 => "once".to_owned(),
        looks => format!("{looks} times"),
    };
    let mut out = terminal.wrap("", &format!("Looked for {looked}{of}, {times}"), 2);
    let nodes = window.node_counters.iter().filter_map(|(node, counters)| {
        let told = counted(counters, &["numa_miss", "other_node"]);
        (!told.is_empty()).then(|| format!("node {node} {told}"))
    });
    let nodes: Vec<String> = nodes.collect();
    if !nodes.is_empty() {
        let text = format!("Pages allocated meanwhile: {}", nodes.join("; "));
        out += &terminal.wrap("", &text, 2);
    }
    let moved = [
        "numa_pages_migrated",
        "numa_hint_faults",
        "numa_hint_faults_local",
    ];
    let told = counted(&window.vmstat, &moved);
    if !told.is_empty() {
        out += &terminal.wrap("", &format!("NUMA balancing meanwhile: {told}"), 2);
    }
    out
}

/// Those of these counters that are not 0, by the kernel's names.
fn counted(counters: &Counters, names: &[&str]) -> String {
    let counts = names
        .iter()
        .filter_map(|name| Some((name, counters.get(name)?)));
    let counts = counts.filter(|(_, count)| **count > 0);
    let told: Vec<String> = counts
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    told.join(", ")
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

/// The GPUs that matter: those that were asked for, and those of the processes that are shown. Neighbours of which the same
/// is to be said share a line, unless `all` gives each its own.
fn gpus(report: &Report, all: bool, terminal: &Terminal) -> String {
    let used: BTreeSet<u32> = report
        .processes
        .iter()
        .flat_map(|of| of.membership.gpus.clone())
        .collect();
    let is_shown = |index: u32| used.contains(&index) || report.gpus_in_scope.contains(&index);
    let mut runs: Vec<(Vec<&GpuPlace>, String)> = Vec::new();
    for place in report.gpus.iter().filter(|of| is_shown(of.gpu.index)) {
        let who = match report.users_are_known(place.gpu.index) {
            _ if used.contains(&place.gpu.index) => "",
            true => ": no process",
            false => ": processes not known",
        };
        let home = home(place) + who;
        match runs.last_mut() {
            Some((run, said)) if !all && *said == home && run[0].gpu.name == place.gpu.name => {
                run.push(place);
            }
            _ => runs.push((vec![place], home)),
        }
    }
    let mut out = String::new();
    for (run, home) in runs {
        out += &terminal.wrap("", &format!("{}  {home}", gpu_names(&run)), 2);
    }
    if out.is_empty() {
        out
    } else {
        format!("\n{out}")
    }
}

/// `GPU 0  NVIDIA A100  0000:10:1c.0`, `GPUs 0-3  NVIDIA A100`
fn gpu_names(run: &[&GpuPlace]) -> String {
    let first = &run[0].gpu;
    let indexes = ranges(run.iter().map(|place| place.gpu.index));
    let word = if run.len() == 1 { "GPU" } else { "GPUs" };
    let mut words = vec![format!("{word} {indexes}")];
    words.extend(first.name.as_deref().map(harmless));
    let address = first.address.filter(|_| run.len() == 1);
    words.extend(address.map(|address| address.to_string()));
    words.join("  ")
}

fn home(place: &GpuPlace) -> String {
    let (home, source) = (node_list(&place.home_nodes), place.source);
    match place.home_nodes.len() {
        0 => "home node unknown".to_owned(),
        1 => format!("home node {home} ({source})"),
        _ => format!("home nodes {home} ({source})"),
    }
}

/// The tables with what stands above each: the processes of GPUs; then those of none.
fn groups(report: &Report) -> Vec<(&'static str, Vec<&PlacedProcess>)> {
    let (mut with_gpu, without): (Vec<&PlacedProcess>, Vec<&PlacedProcess>) = report
        .processes
        .iter()
        .partition(|audited| !audited.membership.gpus.is_empty());
    let order = |of: &&PlacedProcess| {
        (
            of.membership.gpus.clone(),
            of.membership.trainer,
            of.membership.role,
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
        let group = without
            .iter()
            .filter(|audited| is_here(audited.membership.role));
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
        // A file of --expect may have chosen words of it.
        let text = terminal.wrap(&mark, &harmless(&finding.message), 2);
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
    const ELSEWHERE: &str = "  now: numa-audit --remedies prints what to paste\n";
    match lines.iter().all(|line| line.chars().count() <= width) {
        true => out += &lines.concat(),
        false if said.insert(ELSEWHERE) => out += ELSEWHERE,
        false => {}
    }
    if !but.is_empty() && said.insert(but) {
        out += &terminal.wrap("  but: ", but, 4);
    }
    out
}

fn sum(report: &Report, terminal: &Terminal) -> String {
    let summary = &report.summary;
    let single = match summary.verdict {
        Verdict::SingleNode => " (single node)",
        _ => "",
    };
    let text = format!(
        "{}: {} ok, {} at risk, {} mismatched, {} unknown{single}",
        processes(summary.processes),
        summary.ok,
        summary.at_risk,
        summary.mismatch,
        summary.unknown
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
