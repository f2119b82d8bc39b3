//! When the observer is asked, and what becomes of its answer.

use std::time::{Duration, Instant};

use super::{End, Session};
use crate::commands::watch::question::Question;
use crate::document::Reply;
use crate::screen::{Event, State};

/// The least time between two questions.
const LEAST: Duration = Duration::from_millis(500);

impl Session {
    /// Asks for the next audit, and takes an answer.
    pub(super) fn ask_and_hear(&mut self) -> Option<End> {
        if let Some(next) = self.next_question()
            && next <= Instant::now()
        {
            let open = self.state.as_ref().and_then(State::open);
            self.asked = Some((Instant::now(), open));
            let is_first = self.is_first();
            if let Err(text) = self.client.ask(Question { open, is_first }) {
                return self.heard(Reply::Trouble(text));
            }
        }
        let reply = self.client.answer()?;
        self.heard(reply)
    }

    /// Without any audit the reason why there is none ends the screen.
    fn heard(&mut self, reply: Reply) -> Option<End> {
        match reply {
            Reply::Trouble(text) if self.is_first() => Some(End::Refused(text)),
            reply => {
                self.apply(Event::Reply(reply));
                None
            }
        }
    }

    /// Whether there was no answer yet.
    fn is_first(&self) -> bool {
        let audited = self.state.as_ref().map(|state| &state.audited);
        audited.is_some_and(Option::is_none)
    }

    /// When the next question is due; `None` where none is.
    pub(super) fn next_question(&self) -> Option<Instant> {
        let state = self.state.as_ref()?;
        let is_still = state.options.is_recording && state.audited.is_some();
        if self.client.is_waiting() || state.is_paused || is_still {
            return None;
        }
        let Some((asked, open)) = self.asked else {
            return Some(self.start);
        };
        // The threads of a process that was opened just now are not waited for.
        let is_other = state.open().is_some() && state.open() != open;
        Some(asked + if is_other { LEAST } else { state.options.every })
    }
}
