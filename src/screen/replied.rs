//! What an answer of the observer does to the state.

use crate::document::{Document, Finding, Reply};
use crate::print::harmless;
use crate::screen::changes::changes;
use crate::screen::state::{Pane, State, View};

/// The most entries of the log of changes.
const MOST_CHANGES: usize = 500;

/// Takes an audit, or the reason why there is none.
pub(crate) fn replied(state: &mut State, reply: Reply) {
    let audited = match reply {
        Reply::Audited(audited) => *audited,
        Reply::Trouble(text) => {
            let text = harmless(&text);
            // The next answer may come too soon to read it above.
            state
                .log
                .push_front((state.now, format!("no answer: {text}")));
            state.trouble = Some(text);
            return;
        }
    };
    state.trouble = None;
    if let Some(before) = &state.audited {
        let changes = changes(&before.document, &audited.document);
        // The first of them is the most telling, and comes to the top.
        for change in changes.into_iter().rev() {
            if let (Some(process), Some(header)) = (change.process, change.header) {
                let marks = state.marks.entry(process).or_default();
                marks.insert(header, state.now);
            }
            if !change.text.is_empty() {
                state.log.push_front((state.now, change.text));
            }
        }
    }
    state.log.truncate(MOST_CHANGES);
    let (now, length) = (state.now, state.mark_length());
    state.marks.retain(|_, headers| {
        headers.retain(|_, at| now.saturating_sub(*at) < length);
        !headers.is_empty()
    });
    if let Some(before) = &state.audited {
        let place = |at| same_finding(&before.document, at, &audited.document);
        if let View::Finding(at) = state.view {
            // A place that no finding has is one that is gone.
            state.view = View::Finding(place(at).unwrap_or(usize::MAX));
        }
        state.finding = place(state.finding).unwrap_or(state.finding);
    }
    if audited.document.findings.is_empty() {
        state.pane = Pane::Processes;
    }
    state.audited = Some(audited);
    state.listed_for = None;
    state.answered_at = state.now;
    state.arrange();
}

/// The place that a finding of `before` has in `after`, by its rule and GPU.
fn same_finding(before: &Document, at: usize, after: &Document) -> Option<usize> {
    let wanted = before.findings.get(at)?;
    let is_same = |of: &Finding| (&of.rule, of.gpu) == (&wanted.rule, wanted.gpu);
    after.findings.iter().position(is_same)
}
