//! The texts of the screen besides its lists: what covers it, and the lines at the top.

use std::time::Duration;

use ratatui::text::{Line, Span};

use crate::document::{Document, Finding};
use crate::print::{counts, quiet};
use crate::screen::look::Look;
use crate::screen::state::{State, View};
use crate::screen::{explained, help, opened};
use crate::units::percent_of_one;
use crate::words::{Severity, Verdict};

/// A text that covers the screen.
pub(crate) struct Cover {
    pub(crate) title: String,
    pub(crate) lines: Vec<Line<'static>>,
}

/// What covers the screen; `None` for processes and findings.
pub(crate) fn cover(state: &State, look: Look) -> Option<Cover> {
    let width = state.size.0;
    let (title, lines) = match &state.view {
        View::Main | View::Columns(_) => return None,
        View::Process(key) => opened::process(state, *key, look),
        View::Finding(at) => explained::finding(state, *at, look),
        View::Changes => ("Changes, the latest first".to_owned(), log(state, look)),
        View::Help => ("Help".to_owned(), help::lines(width, look)),
    };
    Some(Cover { title, lines })
}

fn log(state: &State, look: Look) -> Vec<Line<'static>> {
    if state.log.is_empty() {
        return vec![Line::raw("Nothing has changed since the start.")];
    }
    let lines = state.log.iter().map(|(at, text)| {
        let age = ago(state.now.saturating_sub(*at));
        Line::from(vec![
            Span::styled(format!("{age:>11}  "), look.quiet()),
            Span::raw(text.clone()),
        ])
    });
    lines.collect()
}

/// `now`, `14 s ago`, `3 min ago`
pub(crate) fn ago(time: Duration) -> String {
    match time.as_secs() {
        0 => "now".to_owned(),
        seconds @ 1..120 => format!("{seconds} s ago"),
        seconds @ 120..7200 => format!("{} min ago", seconds / 60),
        seconds => format!("{} h ago", seconds / 3600),
    }
}

/// The result in one sentence.
pub(crate) fn sentence(document: &Document) -> String {
    let findings = document.findings.iter();
    let is = |severity| move |of: &&Finding| of.severity == severity && !of.pids.is_empty();
    let mut failing: Vec<&Finding> = findings.clone().filter(is(Severity::Error)).collect();
    if failing.is_empty() {
        failing = findings.filter(is(Severity::Warning)).collect();
    }
    let summary = document.summary.as_ref();
    let is_complete = summary.is_some_and(|summary| summary.is_complete());
    match quiet::audit(document, &failing, is_complete) {
        Some(line) => {
            let line = line.trim_end();
            let text = line.strip_prefix("numa-audit: ").unwrap_or(line);
            let mut letters = text.chars();
            let first = letters.next().map(|letter| letter.to_ascii_uppercase());
            first.into_iter().chain(letters).collect()
        }
        None if document.processes().is_empty() => "No process to judge".to_owned(),
        None if summary.is_some_and(|summary| summary.verdict == Verdict::SingleNode) => {
            "One NUMA node: placement cannot be wrong".to_owned()
        }
        None => "All processes are where they should be".to_owned(),
    }
}

/// The counts of the verdicts, and how much of the memory is local.
pub(crate) fn sums(document: &Document) -> String {
    let Some(summary) = &document.summary else {
        return String::new();
    };
    let share = summary.local().local_fraction;
    let about = if summary.local().exact { "" } else { "~" };
    let local = share.map(|share| format!("; {about}{} of memory is local", percent_of_one(share)));
    format!("{}{}", counts(summary), local.unwrap_or_default())
}
