//! The figures as Markdown, and the machine that they were measured on.

use std::fmt::Write;
use std::fs;
use std::time::SystemTime;

use crate::children::Waits;
use crate::programs::Cost;

/// Tables, a row at a time.
#[derive(Debug, Default)]
pub struct Figures {
    costs: Vec<(String, String, Cost)>,
    waits: Vec<(String, Waits)>,
    /// What was not measured, with the reason.
    skipped: Vec<String>,
}

impl Figures {
    /// Adds the cost of a program's run on a load.
    pub fn cost(&mut self, load: &str, program: &str, cost: Cost) {
        eprintln!(
            "{load}: {program}: {:.1} ms CPU, {:.1} ms, {:.1} MiB",
            cost.cpu_ms, cost.wall_ms, cost.peak_mib
        );
        self.costs.push((load.into(), program.into(), cost));
    }

    /// Adds how long a process waited while a program read it.
    pub fn waits(&mut self, program: &str, waits: Waits) {
        eprintln!(
            "{program}: {:.0} µs at worst, p99 {:.0} µs",
            waits.worst, waits.p99
        );
        self.waits.push((program.into(), waits));
    }

    /// Adds what was not measured, with the reason.
    pub fn skip(&mut self, what: String) {
        eprintln!("left out: {what}");
        self.skipped.push(what);
    }

    /// The tables.
    pub fn markdown(&self, runs: usize, disturbed: &str) -> String {
        let mut out = format!("{}. Medians of {runs}.\n", machine());
        out += "\n| load | program | CPU time (ms) | wall time (ms) | peak memory (MiB) |\n| --- | --- | --: | --: | --: |\n";
        let mut above = "";
        for (load, program, cost) in &self.costs {
            let named = if above == load { "" } else { load };
            above = load;
            let _ = writeln!(
                out,
                "| {named} | {program} | {} | {} | {:.1} |",
                short(cost.cpu_ms),
                short(cost.wall_ms),
                cost.peak_mib
            );
        }
        if !self.waits.is_empty() {
            let _ = write!(
                out,
                "\n| what runs beside {disturbed} | its longest wait (ms) | 99 % of its waits are below (ms) |\n| --- | --: | --: |\n"
            );
            for (program, waits) in &self.waits {
                let _ = writeln!(
                    out,
                    "| {program} | {:.2} | {:.3} |",
                    waits.worst / 1e3,
                    waits.p99 / 1e3
                );
            }
        }
        for what in &self.skipped {
            let _ = write!(out, "\nLeft out: {what}.\n");
        }
        out
    }
}

/// With the digits that are significant.
fn short(milliseconds: f64) -> String {
    match milliseconds {
        _ if milliseconds < 10.0 => format!("{milliseconds:.1}"),
        _ => format!("{milliseconds:.0}"),
    }
}

/// The date and the machine.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let date = now.split('T').next().unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease");
    let cpuinfo = read("/proc/cpuinfo");
    let cpus = cpuinfo
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("of an unknown kind", |(_, model)| model);
    let gib = meminfo("MemTotal").unwrap_or(0) >> 20;
    let nodes = read("/sys/devices/system/node/online");
    format!(
        "{date}, Linux {}, {cpus} CPUs ({model}), {gib} GiB, NUMA nodes {}",
        kernel.trim(),
        nodes.trim()
    )
}

/// A line of /proc/meminfo, in KiB.
pub fn meminfo(name: &str) -> Option<usize> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let mut lines = text.lines();
    let rest = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    rest.split_whitespace().next()?.parse().ok()
}
