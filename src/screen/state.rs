//! What the screen shows at one moment.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::document::rule::RuleText;
use crate::document::{Audited, Document, ProcessEntry};
use crate::screen::changes::{ProcessKey, key};
use crate::screen::layout::areas;
use crate::screen::list::{Choice, List, ListRow};
use crate::units::Pid;

/// What does not change while the screen lives.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// The time from one audit to the next.
    pub(crate) every: Duration,
    /// Whether a recording is shown, which stays as it is.
    pub(crate) is_recording: bool,
    /// Whether each process has its own row at first.
    pub(crate) all: bool,
    /// The rules with their explanations.
    pub(crate) rules: Vec<RuleText>,
}

/// The part of the screen to which the keys go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pane {
    Processes,
    Findings,
}

/// What covers the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum View {
    /// Nothing: processes and findings.
    Main,
    /// One process.
    Process(ProcessKey),
    /// The finding at this place.
    Finding(usize),
    /// What changed, the latest first.
    Changes,
    /// The keys.
    Help,
    /// The columns to sort by, with the selected one. The first one is the order of the audit.
    Columns(usize),
}

/// The state of the screen. Times are those since the start.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) options: Options,
    /// Columns and lines.
    pub(crate) size: (u16, u16),
    pub(crate) now: Duration,
    pub(crate) audited: Option<Audited>,
    /// When that came.
    pub(crate) answered_at: Duration,
    /// Why there is no newer one, harmless on a terminal.
    pub(crate) trouble: Option<String>,
    pub(crate) choice: Choice,
    pub(crate) list: List,
    /// What the list was made for, and for which width; `None` once there is another document.
    pub(crate) listed_for: Option<(Choice, u16)>,
    pub(crate) pane: Pane,
    /// The process of the selected row.
    pub(crate) selected: Option<ProcessKey>,
    /// The place of the selected row, and that of the first row that is shown.
    pub(crate) at: usize,
    pub(crate) top: usize,
    /// The place of the selected finding.
    pub(crate) finding: usize,
    pub(crate) view: View,
    /// The first line that is shown of what covers the screen.
    pub(crate) scroll: usize,
    /// The filter before it was changed, while it is typed.
    pub(crate) typing: Option<String>,
    /// When a cell changed, by process and header.
    pub(crate) marks: BTreeMap<ProcessKey, BTreeMap<&'static str, Duration>>,
    /// What changed and when, the latest first.
    pub(crate) log: VecDeque<(Duration, String)>,
    pub(crate) is_paused: bool,
    pub(crate) has_ended: bool,
}

impl State {
    /// Before the first answer.
    pub(crate) fn new(options: Options, size: (u16, u16)) -> Self {
        let choice = Choice {
            all: options.all,
            ..Choice::default()
        };
        Self {
            options,
            size,
            now: Duration::ZERO,
            audited: None,
            answered_at: Duration::ZERO,
            trouble: None,
            choice,
            list: List::default(),
            listed_for: None,
            pane: Pane::Processes,
            selected: None,
            at: 0,
            top: 0,
            finding: 0,
            view: View::Main,
            scroll: 0,
            typing: None,
            marks: BTreeMap::new(),
            log: VecDeque::new(),
            is_paused: false,
            has_ended: false,
        }
    }

    /// The document, once there is one.
    pub(crate) fn document(&self) -> Option<&Document> {
        self.audited.as_ref().map(|audited| &audited.document)
    }

    /// How many findings there are.
    pub(crate) fn findings(&self) -> usize {
        self.document()
            .map_or(0, |document| document.findings.len())
    }

    /// The process whose threads are shown.
    pub(crate) fn open(&self) -> Option<Pid> {
        match self.view {
            View::Process((pid, _)) => Some(pid),
            _ => None,
        }
    }

    /// The process with this key, if it is still there.
    pub(crate) fn process(&self, wanted: ProcessKey) -> Option<&ProcessEntry> {
        let mut processes = self.document()?.processes().iter();
        processes.find(|process| key(process) == wanted)
    }

    /// How long ago the last answer came.
    pub(crate) fn age(&self) -> Duration {
        self.now.saturating_sub(self.answered_at)
    }

    /// Whether an answer is late.
    pub(crate) fn is_late(&self) -> bool {
        /// A machine with many processes takes this long.
        const USUAL: Duration = Duration::from_secs(3);
        let is_still = self.options.is_recording && self.audited.is_some();
        let is_live = !self.is_paused && !is_still;
        is_live && self.age() > self.options.every * 2 + USUAL
    }

    /// How long changes are marked.
    pub(crate) fn mark_length(&self) -> Duration {
        const LEAST: Duration = Duration::from_secs(10);
        LEAST.max(self.options.every * 2)
    }

    /// Whether a cell of this process changed a moment ago.
    pub(crate) fn is_marked(&self, process: ProcessKey, header: &str) -> bool {
        let marks = self.marks.get(&process).and_then(|of| of.get(header));
        marks.is_some_and(|at| self.now.saturating_sub(*at) < self.mark_length())
    }

    /// Makes the rows anew, and keeps the same process selected as far as possible.
    pub(crate) fn arrange(&mut self) {
        let Some(audited) = &self.audited else { return };
        let width = self.size.0.saturating_sub(List::GUTTER);
        // Of thousands of processes a list takes milliseconds, and most keys leave it as it is.
        let wanted = Some((self.choice.clone(), width));
        if self.listed_for != wanted {
            self.list = List::of(&audited.document, &self.choice, width);
            self.listed_for = wanted;
        }
        let processes = audited.document.processes();
        let has_selected = |row: &ListRow| match row {
            ListRow::Heading(_) => false,
            ListRow::Processes(row) => {
                let mut keys = row
                    .members
                    .iter()
                    .filter_map(|at| processes.get(*at))
                    .map(key);
                keys.any(|key| Some(key) == self.selected)
            }
        };
        if let Some(at) = self.list.rows.iter().position(has_selected) {
            self.at = at;
        }
        let last = audited.document.findings.len().saturating_sub(1);
        self.finding = self.finding.min(last);
        self.select(self.at, 1);
    }

    /// Selects the row at this place or, where that is a heading, the next one in this direction.
    pub(crate) fn select(&mut self, at: usize, direction: isize) {
        let last = self.list.rows.len().saturating_sub(1);
        let mut at = at.min(last);
        let is_heading = |at: usize| matches!(self.list.rows.get(at), Some(ListRow::Heading(_)));
        let next = at.saturating_add_signed(direction);
        if is_heading(at) {
            at = match is_heading(next) || next > last || next == at {
                true => at.saturating_add_signed(-direction).min(last),
                false => next,
            };
        }
        self.at = at;
        let first = self.list.rows.get(at).and_then(ListRow::first);
        let processes = self.document().map(Document::processes).unwrap_or_default();
        self.selected = first.and_then(|first| processes.get(first)).map(key);
        self.keep_visible();
    }

    /// Scrolls the rows as little as needed to show the selected one.
    fn keep_visible(&mut self) {
        let room = usize::from(areas(self).rows.height);
        let heights: Vec<usize> = self.list.rows.iter().map(ListRow::height).collect();
        let is_shown_from = |top: usize| -> bool {
            let lines: usize = heights[top..=self.at].iter().sum();
            lines <= room || top == self.at
        };
        self.top = self.top.min(self.at);
        // The heading above the first row is shown with it.
        if self.at > 0
            && self.top == self.at
            && matches!(self.list.rows[self.at - 1], ListRow::Heading(_))
        {
            self.top -= 1;
        }
        if heights.is_empty() {
            return;
        }
        while !is_shown_from(self.top) {
            self.top += 1;
        }
        // No empty lines at the end while there are rows above.
        while self.top > 0 && heights[self.top - 1..].iter().sum::<usize>() <= room {
            self.top -= 1;
        }
    }
}
