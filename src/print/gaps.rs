//! What is missing, for people. Gaps with the same fact and reason share a line, with what would help.

use std::collections::BTreeMap;

use crate::document::{Document, GapEntry};
use crate::print::{Terminal, harmless};
use crate::units::{Bytes, ranges};

/// The section of missing facts. Empty where nothing is missing.
pub(crate) fn gaps(document: &Document, terminal: &Terminal) -> String {
    let lines = merged(&document.incomplete);
    let lines = lines
        .iter()
        .map(|line| terminal.wrap("  ? ", &line.text(), 4));
    let lines: String = lines.collect();
    if lines.is_empty() {
        lines
    } else {
        format!("\nUnknown:\n{lines}")
    }
}

/// Each line's fact with its reason, and what would help.
pub(crate) fn lines(document: &Document) -> Vec<(String, Option<String>)> {
    let lines = merged(&document.incomplete);
    let lines = lines.iter().map(|line| {
        let hint = line.hint.as_deref().map(harmless);
        (harmless(&line.fact_and_reason()), hint)
    });
    lines.collect()
}

/// The first of these gaps without what would help, with how many others there are; those with the same fact and reason are one.
/// `None` where there is none.
pub(crate) fn in_short<'a>(
    gaps: impl IntoIterator<Item = &'a GapEntry>,
) -> Option<(String, usize)> {
    let lines = merged(gaps);
    let first = lines.first()?;
    Some((harmless(&first.fact_and_reason()), lines.len() - 1))
}

/// Gaps with the same fact and reason.
struct GapLine {
    /// The fact, without the number of its GPU.
    what: String,
    /// The reason, without the bytes in use that it begins with.
    reason: String,
    hint: Option<String>,
    pids: Vec<u32>,
    gpus: Vec<u32>,
    in_use: Option<Bytes>,
}

fn merged<'a>(gaps: impl IntoIterator<Item = &'a GapEntry>) -> Vec<GapLine> {
    let mut lines: Vec<GapLine> = Vec::new();
    let mut places: BTreeMap<(String, String), usize> = BTreeMap::new();
    for gap in gaps {
        let key = (what(gap), reason(gap));
        let place = *places.entry(key.clone()).or_insert(lines.len());
        if place == lines.len() {
            lines.push(GapLine {
                what: key.0,
                reason: key.1,
                hint: gap.hint.clone(),
                pids: Vec::new(),
                gpus: Vec::new(),
                in_use: None,
            });
        }
        let line = &mut lines[place];
        line.pids.extend(gap.pid.map(|pid| pid.0));
        line.gpus.extend(gap.gpu);
        let sizes = [line.in_use, gap.in_use_bytes].into_iter().flatten();
        line.in_use = gap.in_use_bytes.map(|_| sizes.sum());
    }
    for line in &mut lines {
        for numbers in [&mut line.pids, &mut line.gpus] {
            numbers.sort_unstable();
            numbers.dedup();
        }
    }
    lines
}

/// `processes of GPU 3` without the number, and no thread by its number.
fn what(gap: &GapEntry) -> String {
    if gap.tid.is_some() {
        return "some threads".to_owned();
    }
    let number = gap.gpu.map(|gpu| format!(" {gpu}"));
    let stem = number.and_then(|number| gap.what.strip_suffix(&number));
    stem.unwrap_or(&gap.what).to_owned()
}

fn reason(gap: &GapEntry) -> String {
    let size = gap.in_use_bytes.map(|size| size.to_string());
    let rest = size.and_then(|size| gap.reason.strip_prefix(&size));
    rest.unwrap_or(&gap.reason).to_owned()
}

impl GapLine {
    fn text(&self) -> String {
        let mut text = self.fact_and_reason();
        if let Some(hint) = &self.hint {
            text += "; ";
            text += hint;
        }
        harmless(&text)
    }

    fn fact_and_reason(&self) -> String {
        let size = self.in_use.map_or(String::new(), |size| size.to_string());
        format!("{}: {size}{}", self.whose(), self.reason)
    }

    /// `memory of 3 processes (12-14)`
    fn whose(&self) -> String {
        let what = &self.what;
        let pids = || ranges(self.pids.iter().copied());
        match (self.pids.as_slice(), self.gpus.as_slice()) {
            ([], []) => what.clone(),
            ([], [gpu]) => format!("{what} {gpu}"),
            ([], gpus) => format!("{what}s {}", ranges(gpus.iter().copied())),
            ([pid], _) if what == "process" => format!("process {pid}"),
            (_, _) if what == "process" => format!("processes {}", pids()),
            ([pid], _) => format!("{what} of process {pid}"),
            (several, _) => format!("{what} of {} processes ({})", several.len(), pids()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Pid;

    fn texts(gaps: &[GapEntry]) -> Vec<String> {
        merged(gaps).iter().map(GapLine::text).collect()
    }

    #[test]
    fn equal_gaps_share_a_line() {
        let memory = |pid| GapEntry {
            pid: Some(Pid(pid)),
            what: "memory".to_owned(),
            reason: "permission denied".to_owned(),
            hint: Some("run as root".to_owned()),
            ..GapEntry::default()
        };
        assert_eq!(
            texts(&[memory(12), memory(14), memory(13)]),
            ["memory of 3 processes (12-14): permission denied; run as root"]
        );
    }

    #[test]
    fn memory_in_use_adds_up_over_gpus() {
        let hidden = |gpu, mib: u64| GapEntry {
            what: format!("processes of GPU {gpu}"),
            reason: format!("{} in use", Bytes(mib << 20)),
            gpu: Some(gpu),
            in_use_bytes: Some(Bytes(mib << 20)),
            ..GapEntry::default()
        };
        assert_eq!(
            texts(&[hidden(0, 300), hidden(1, 200)]),
            ["processes of GPUs 0-1: 500 MiB in use"]
        );
    }
}
