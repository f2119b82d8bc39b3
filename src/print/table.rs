//! The document for people: the GPUs, their processes with equal workers in one row, and the findings.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use owo_colors::Style;

use crate::document::{Document, Finding, GpuEntry, HostEntry, ProcessEntry, Summary};
use crate::print::gaps::gaps;
use crate::print::nodes::nodes;
use crate::print::rows::rows;
use crate::print::{Terminal, harmless, processes};
use crate::units::{NodeId, NodeSet, length, node_list, ranges};
use crate::words::{Origin, Role, Severity, Verdict};

/// The whole audit. `all` gives every process its own row.
pub(crate) fn report(document: &Document, all: bool, terminal: &Terminal) -> String {
    let mut out = terminal.wrap("", &head(&document.host), 2);
    out += &nodes(document, terminal);
    out += &window(document, terminal);
    out += &gpus(document, all, terminal);
    out += &accelerators(document, terminal);
    for (heading, group) in groups(document.processes()) {
        out.push('\n');
        if !heading.is_empty() {
            out += &terminal.wrap("", heading, 2);
        }
        out += &rows(&group, all, document, terminal);
    }
    out += &findings(document, terminal);
    out += &gaps(document, terminal);
    out.push('\n');
    out + &sum(document, terminal)
}

/// One line: which machine, and when.
pub(crate) fn head(host: &HostEntry) -> String {
    let name = host.hostname.as_deref();
    let mut words = vec![name.unwrap_or("a machine without a name").to_owned()];
    words.extend(host.kernel.as_ref().map(|kernel| format!("Linux {kernel}")));
    let driver = host.driver_version.as_ref();
    words.extend(driver.map(|version| format!("NVIDIA driver {version}")));
    words.push(match (host.source.known(), &host.recorded_at) {
        (Some(Origin::Snapshot), Some(when)) => format!("snapshot of {when}"),
        (Some(Origin::Snapshot), None) => "snapshot".to_owned(),
        (_, when) => when.clone().unwrap_or_default(),
    });
    words.retain(|word| !word.is_empty());
    harmless(&words.join(", "))
}

/// How long the machine was observed, and what the kernel counted meanwhile. Empty without --for.
fn window(document: &Document, terminal: &Terminal) -> String {
    let Some(window) = &document.window else {
        return String::new();
    };
    let text = |seconds: f64| length(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    let of = if window.is_cut_short() {
        format!(" of {} (interrupted)", text(window.asked_seconds))
    } else {
        String::new()
    };
    let times = match window.looks {
        1 => "once".to_owned(),
        looks => format!("{looks} times"),
    };
    let observed = text(window.seconds);
    let mut out = terminal.wrap("", &format!("Observed for {observed}{of}, {times}"), 2);
    let nodes = window.node_counters.iter().filter_map(|(node, counters)| {
        let counts = counted(counters, &["numa_miss", "other_node"]);
        (!counts.is_empty()).then(|| format!("node {node} {counts}"))
    });
    let nodes: Vec<String> = nodes.collect();
    if !nodes.is_empty() {
        let text = format!("Pages allocated meanwhile: {}", nodes.join("; "));
        out += &terminal.wrap("", &text, 2);
    }
    let balancing = [
        "numa_pages_migrated",
        "numa_hint_faults",
        "numa_hint_faults_local",
    ];
    let counts = counted(&window.vmstat, &balancing);
    if !counts.is_empty() {
        out += &terminal.wrap("", &format!("NUMA balancing meanwhile: {counts}"), 2);
    }
    out
}

/// The counters with these names that are not 0.
fn counted(counters: &BTreeMap<String, u64>, names: &[&str]) -> String {
    let counts = names
        .iter()
        .filter_map(|name| Some((name, counters.get(*name)?)));
    let counts = counts.filter(|(_, count)| **count > 0);
    let texts: Vec<String> = counts
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    texts.join(", ")
}

/// The GPUs in scope and those of the processes that are shown. Neighbours with the same text share a line, unless `all` gives
/// each its own.
fn gpus(document: &Document, all: bool, terminal: &Terminal) -> String {
    let processes = document.processes().iter();
    let used: BTreeSet<u32> = processes.flat_map(|of| of.gpus.iter().copied()).collect();
    let gpus = document.topology.gpus.iter();
    // A document of an older version does not say what was in scope.
    let shown = gpus.filter(|gpu| used.contains(&gpu.index) || gpu.in_scope.unwrap_or(true));
    let mut runs: Vec<(Vec<&GpuEntry>, String)> = Vec::new();
    for gpu in shown {
        let users = match gpu.processes_known {
            _ if used.contains(&gpu.index) => "",
            Some(true) => ": no process",
            Some(false) => ": processes unknown",
            None => ": processes ?",
        };
        let users = match unseen(gpu) {
            unseen if unseen.is_empty() => users.to_owned(),
            unseen => unseen,
        };
        let home = home(gpu, document) + &users;
        match runs.last_mut() {
            Some((run, text)) if !all && *text == home && run[0].name == gpu.name => run.push(gpu),
            _ => runs.push((vec![gpu], home)),
        }
    }
    let lines = runs.iter();
    let lines =
        lines.map(|(run, home)| terminal.wrap("", &format!("{}  {home}", gpu_names(run)), 2));
    let lines: String = lines.collect();
    if lines.is_empty() {
        lines
    } else {
        format!("\n{lines}")
    }
}

/// `: the driver lists process 12 with 1.0 GiB (there is no such process here)`; empty where all could be looked at.
fn unseen(gpu: &GpuEntry) -> String {
    const MOST: usize = 4;
    let unseen = gpu.unseen_processes.iter().take(MOST);
    let texts = unseen.map(|process| {
        let size = process.memory_bytes.map(|size| format!(" with {size}"));
        let (pid, size) = (process.pid, size.unwrap_or_default());
        format!("process {pid}{size} ({})", harmless(&process.reason))
    });
    let mut texts: Vec<String> = texts.collect();
    let more = gpu.unseen_processes.len().saturating_sub(MOST);
    if more > 0 {
        texts.push(format!("{more} more"));
    }
    match texts.is_empty() {
        true => String::new(),
        false => format!(": the driver lists {}", texts.join(", ")),
    }
}

/// The devices that may compute and are none of the GPUs.
fn accelerators(document: &Document, terminal: &Terminal) -> String {
    /// Model, driver and node.
    type Kind<'a> = (Option<&'a String>, Option<&'a String>, Option<NodeId>);
    let devices = document.topology.devices.iter();
    let mut out = String::new();
    let mut kinds: BTreeMap<Kind, Vec<String>> = BTreeMap::new();
    for device in devices.filter(|device| device.may_compute) {
        let kind = (device.model.as_ref(), device.driver.as_ref(), device.node);
        let address = device.pci_bus_id.to_string();
        kinds.entry(kind).or_default().push(address);
    }
    for ((model, driver, node), addresses) in kinds {
        let word = match addresses.len() {
            1 => "Accelerator",
            _ => "Accelerators",
        };
        let model = model.map_or("?", String::as_str);
        let node = node.map_or("node unknown".to_owned(), |node| format!("node {node}"));
        let driver = driver.map(|driver| format!(", driver {driver}"));
        let text = format!(
            "{word} {}  {model}  {node}{}: processes unknown",
            addresses.join(", "),
            driver.unwrap_or_default()
        );
        out += &terminal.wrap("", &harmless(&text), 2);
    }
    match out.is_empty() {
        true => out,
        false => format!("\n{out}"),
    }
}

/// `GPU 0  NVIDIA A100  0000:10:1c.0`, `GPUs 0-3  NVIDIA A100`
fn gpu_names(run: &[&GpuEntry]) -> String {
    let first = run[0];
    let indexes = ranges(run.iter().map(|gpu| gpu.index));
    let word = if run.len() == 1 { "GPU" } else { "GPUs" };
    let mut words = vec![format!("{word} {indexes}")];
    words.extend(first.name.as_deref().map(harmless));
    let address = first.pci_bus_id.filter(|_| run.len() == 1);
    words.extend(address.map(|address| address.to_string()));
    words.join("  ")
}

fn home(gpu: &GpuEntry, document: &Document) -> String {
    let (nodes, source) = (
        node_list(&gpu.home_nodes),
        harmless(gpu.home_source.as_str()),
    );
    match gpu.home_nodes.len() {
        0 => format!("home node unknown{}", absent(gpu, document)),
        1 => format!("home node {nodes} ({source})"),
        _ => format!("home nodes {nodes} ({source})"),
    }
}

/// ` (sysfs says node 6, which does not exist here)`, or nothing.
fn absent(gpu: &GpuEntry, document: &Document) -> String {
    let nodes = &document.topology.nodes;
    let is_absent = |node: &&NodeId| !nodes.is_empty() && nodes.iter().all(|of| of.id != **node);
    let answers = gpu.home_answers.iter().filter_map(|(source, named)| {
        let absent: NodeSet = named.iter().filter(is_absent).copied().collect();
        let source = harmless(source.as_str());
        match absent.len() {
            0 => None,
            1 => Some(format!(
                "{source} says node {}, which does not exist here",
                node_list(&absent)
            )),
            _ => Some(format!(
                "{source} says nodes {}, which do not exist here",
                node_list(&absent)
            )),
        }
    });
    let answers: Vec<String> = answers.collect();
    if answers.is_empty() {
        String::new()
    } else {
        format!(" ({})", answers.join("; "))
    }
}

/// The tables with their headings: processes with GPUs, then processes without.
pub(crate) fn groups(processes: &[ProcessEntry]) -> Vec<(&'static str, Vec<&ProcessEntry>)> {
    type Belongs = fn(&ProcessEntry) -> bool;
    const HEADINGS: [(&str, Belongs); 3] = [
        ("Workers without a known trainer", |of| of.is(Role::Worker)),
        ("Launchers and their helpers (not judged)", |of| {
            of.is(Role::Launcher) || of.is(Role::Helper)
        }),
        (
            "Processes without a GPU: their memory is compared with the node that they run on",
            |of| of.known_role().is_none(),
        ),
    ];
    let (mut with_gpu, without): (Vec<&ProcessEntry>, Vec<&ProcessEntry>) =
        processes.iter().partition(|of| !of.gpus.is_empty());
    with_gpu.sort_by_key(|of| (&of.gpus, of.trainer_pid, of.known_role(), of.pid));
    let mut groups = vec![("", with_gpu)];
    for (heading, belongs) in HEADINGS {
        let group = without.iter().copied().filter(|of| belongs(of));
        groups.push((heading, group.collect()));
    }
    groups.retain(|(_, group)| !group.is_empty());
    groups
}

/// The findings, the worst first, with their fixes. A fix of several findings is printed with the first of them.
pub(crate) fn findings(document: &Document, terminal: &Terminal) -> String {
    let mut out = String::new();
    let mut printed = BTreeSet::new();
    for finding in &document.findings {
        let mark = harmless(&format!("{}[{}]: ", finding.severity, finding.rule));
        let text = terminal.wrap(&mark, &harmless(&finding.message), 2);
        let severity = finding.severity.known();
        out += &terminal.paint(text.trim_end(), severity_style(severity));
        out.push('\n');
        if severity.is_some_and(|severity| severity < Severity::Info) {
            out += &fix(finding, &mut printed, terminal);
        }
    }
    if out.is_empty() {
        out
    } else {
        format!("\n{out}")
    }
}

pub(crate) fn severity_style(severity: Option<Severity>) -> Style {
    match severity {
        Some(Severity::Error) => Style::new().red(),
        Some(Severity::Warning) => Style::new().yellow(),
        Some(Severity::Info) | None => Style::new(),
    }
}

fn fix(finding: &Finding, printed: &mut BTreeSet<String>, terminal: &Terminal) -> String {
    const ELSEWHERE: &str = "  run now: see numa-audit --remedies\n";
    let mut out = String::new();
    let text = harmless(finding.fix());
    if printed.insert(text.clone()) {
        out += &terminal.wrap("  fix: ", &text, 4);
    }
    let commands = finding.commands.iter().map(|command| harmless(command));
    let commands: Vec<String> = commands
        .filter(|command| printed.insert(command.clone()))
        .map(|command| format!("  run now: {command}\n"))
        .collect();
    // A line that is broken cannot be pasted.
    let fits = |line: &String| line.chars().count() <= usize::from(terminal.width);
    if commands.iter().all(fits) {
        out += &commands.concat();
    } else if printed.insert(ELSEWHERE.to_owned()) {
        out += ELSEWHERE;
    }
    if let Some(note) = finding.note.as_deref().map(harmless)
        && printed.insert(note.clone())
    {
        out += &terminal.wrap("  note: ", &note, 4);
    }
    out
}

fn sum(document: &Document, terminal: &Terminal) -> String {
    let Some(summary) = &document.summary else {
        return String::new();
    };
    let verdict = summary.verdict.known();
    let single = match verdict {
        Some(Verdict::SingleNode) => " (single node)",
        _ => "",
    };
    let text = format!("{}{single}", counts(summary));
    let text = terminal.wrap("", &text, 2);
    let style = match verdict {
        Some(Verdict::Ok | Verdict::SingleNode) => Style::new().green(),
        Some(Verdict::AtRisk) => Style::new().yellow(),
        Some(Verdict::Unknown) => Style::new().magenta(),
        Some(Verdict::Mismatch) => Style::new().red(),
        None => Style::new(),
    };
    terminal.paint(text.trim_end(), style) + "\n"
}

/// `5 processes: 2 ok, 0 at risk, 3 mismatched, 0 unknown`
pub(crate) fn counts(summary: &Summary) -> String {
    format!(
        "{}: {} ok, {} at risk, {} mismatched, {} unknown",
        processes(summary.processes),
        summary.ok,
        summary.at_risk,
        summary.mismatch,
        summary.unknown
    )
}
