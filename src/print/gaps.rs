//! What could not be learnt, for people: one line for all of whom the same is missing, and what would help.

use std::collections::BTreeMap;

use crate::audit::Report;
use crate::machine::Origin;
use crate::machine::gap::{Fact, Gap, Reason};
use crate::print::terminal::{Terminal, harmless};
use crate::units::{Bytes, ranges};

/// Like lacks, which one line tells together.
struct Lack<'a> {
    what: String,
    gap: &'a Gap,
    pids: Vec<u32>,
    gpus: Vec<u32>,
    in_use: Bytes,
}

/// What could not be learnt, and what would help; one line for all processes, or all GPUs, of the same lack. Empty where
/// nothing is missing.
pub fn gaps(report: &Report, terminal: &Terminal) -> String {
    hinted(report, hint, terminal)
}

/// The same of a map, for which nobody looked for processes.
pub(crate) fn gaps_of_map(report: &Report, terminal: &Terminal) -> String {
    let hint: Hint = |report, gap| match gap.fact {
        Fact::Driver => "",
        _ => hint(report, gap),
    };
    hinted(report, hint, terminal)
}

/// What would help against a gap.
type Hint = fn(&Report, &Gap) -> &'static str;

fn hinted(report: &Report, hint: Hint, terminal: &Terminal) -> String {
    let mut lacks: Vec<Lack> = Vec::new();
    let mut places: BTreeMap<(String, String), usize> = BTreeMap::new();
    for gap in &report.gaps {
        let (what, gpu) = match gap.fact {
            Fact::Thread(_) => ("some threads".to_owned(), None),
            Fact::GpuProcesses(gpu) => ("processes of GPU".to_owned(), Some(gpu)),
            _ => (gap.fact.to_string(), None),
        };
        let (why, in_use) = match gap.reason {
            Reason::InUseByHidden(used) => ("in use".to_owned(), used),
            _ => (gap.reason.to_string(), Bytes(0)),
        };
        let place = *places.entry((what.clone(), why)).or_insert(lacks.len());
        if place == lacks.len() {
            let (pids, gpus, in_use) = (Vec::new(), Vec::new(), Bytes(0));
            lacks.push(Lack {
                what,
                gap,
                pids,
                gpus,
                in_use,
            });
        }
        let lack = &mut lacks[place];
        let pid = gap.pid.map(|pid| pid.0);
        lack.pids
            .extend(pid.filter(|pid| lack.pids.last() != Some(pid)));
        lack.gpus.extend(gpu);
        lack.in_use = [lack.in_use, in_use].into_iter().sum();
    }
    let mut out = String::new();
    for lack in &mut lacks {
        lack.pids.sort_unstable();
        let reason = match lack.gap.reason {
            Reason::InUseByHidden(_) => Reason::InUseByHidden(lack.in_use).to_string(),
            _ => lack.gap.reason.to_string(),
        };
        let text = format!(
            "{}: {}{}",
            whose(lack),
            harmless(&reason),
            hint(report, lack.gap)
        );
        out += &terminal.wrap("  ? ", &text, 4);
    }
    if out.is_empty() {
        out
    } else {
        format!("\nNot known:\n{out}")
    }
}

/// `memory of 3 processes (12-14)`
fn whose(lack: &Lack) -> String {
    let what = &lack.what;
    let pids = || ranges(lack.pids.iter().copied());
    match (&lack.gap.fact, lack.pids.as_slice(), lack.gpus.as_slice()) {
        (_, [], []) => what.clone(),
        (_, [], [gpu]) => format!("{what} {gpu}"),
        (_, [], gpus) => format!("{what}s {}", ranges(gpus.iter().copied())),
        (Fact::Process, [pid], _) => format!("process {pid}"),
        (Fact::Process, ..) => format!("processes {}", pids()),
        (_, [pid], _) => format!("{what} of process {pid}"),
        (_, several, _) => format!("{what} of {} processes ({})", several.len(), pids()),
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
            "; the driver names it, and it is not to be seen here: it ended, runs in another PID namespace, or is hidden (hidepid)"
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
