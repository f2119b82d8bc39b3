//! What an event does to the state.

use std::time::Duration;

use crate::document::Reply;
use crate::screen::frame::cover;
use crate::screen::input::Key;
use crate::screen::layout::{areas, page};
use crate::screen::list::ListRow;
use crate::screen::look::Look;
use crate::screen::order::Order;
use crate::screen::replied::replied;
use crate::screen::state::{Pane, State, View};

/// Something that happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// A key was pressed.
    Key(Key),
    /// An answer came, or the reason why there is none.
    Reply(Reply),
    /// The terminal has this size now, in columns and lines.
    Size(u16, u16),
    /// Only time has passed.
    Time,
}

/// The state after an event.
pub(crate) fn update(mut state: State, event: Event, now: Duration) -> State {
    state.now = now;
    match event {
        Event::Key(key) => pressed(&mut state, key),
        Event::Reply(reply) => replied(&mut state, reply),
        Event::Size(columns, lines) => {
            state.size = (columns, lines);
            state.arrange();
        }
        Event::Time => {}
    }
    let last = covering(&state).saturating_sub(page(&state));
    state.scroll = state.scroll.min(last);
    state
}

fn pressed(state: &mut State, key: Key) {
    if key == Key::Interrupt {
        state.has_ended = true;
    } else if state.typing.is_some() {
        typed(state, key);
    } else {
        match state.view {
            View::Main => in_main(state, key),
            View::Columns(at) => in_columns(state, key, at),
            _ => in_cover(state, key),
        }
    }
}

/// While the filter is typed.
fn typed(state: &mut State, key: Key) {
    // No process has a longer word; a clipboard that was pasted by mistake has.
    const LONGEST_FILTER: usize = 256;
    match key {
        Key::Letter(_) if state.choice.filter.len() >= LONGEST_FILTER => return,
        Key::Letter(letter) => state.choice.filter.push(letter),
        Key::Backspace => drop(state.choice.filter.pop()),
        Key::Enter => state.typing = None,
        Key::Escape => state.choice.filter = state.typing.take().unwrap_or_default(),
        Key::Up | Key::Down => {
            state.typing = None;
            in_main(state, key);
        }
        _ => {}
    }
    state.arrange();
}

fn in_main(state: &mut State, key: Key) {
    match key {
        Key::Letter('q') => state.has_ended = true,
        Key::Escape if state.choice.filter.is_empty() => state.has_ended = true,
        Key::Escape => state.choice.filter.clear(),
        Key::Letter('/') => state.typing = Some(state.choice.filter.clone()),
        Key::Letter('s') => open(state, View::Columns(selected_column(state))),
        Key::Letter('r') => state.choice.order = state.choice.order.map(Order::reversed),
        Key::Letter('a') => state.choice.all = !state.choice.all,
        Key::Tab | Key::BackTab => {
            state.pane = match state.pane {
                Pane::Processes if state.findings() > 0 => Pane::Findings,
                _ => Pane::Processes,
            }
        }
        Key::Enter => open_selected(state),
        key if common(state, key) => {}
        key => moved(state, key),
    }
    state.arrange();
}

/// Keys that do the same wherever nothing is typed.
fn common(state: &mut State, key: Key) -> bool {
    match key {
        Key::Letter('p' | ' ') if !state.options.is_recording => state.is_paused = !state.is_paused,
        Key::Letter('?' | 'h') => open(state, View::Help),
        Key::Letter('c') => open(state, View::Changes),
        _ => return false,
    }
    true
}

fn open(state: &mut State, view: View) {
    state.view = view;
    state.scroll = 0;
}

fn open_selected(state: &mut State) {
    match state.pane {
        Pane::Processes => {
            if let Some(selected) = state.selected {
                open(state, View::Process(selected));
            }
        }
        Pane::Findings => open(state, View::Finding(state.finding)),
    }
}

/// Moves the selected row or finding.
fn moved(state: &mut State, key: Key) {
    let (at, count, room) = match state.pane {
        Pane::Processes => (state.at, state.list.rows.len(), rows_of_a_page(state)),
        Pane::Findings => {
            let lines = areas(state).findings.height;
            (state.finding, state.findings(), usize::from(lines))
        }
    };
    let Some((place, direction)) = target(key, at, count, room.max(1)) else {
        return;
    };
    match state.pane {
        Pane::Processes => state.select(place, direction),
        Pane::Findings => state.finding = place,
    }
}

/// Where a key leads from this place, and in which direction that is.
fn target(key: Key, at: usize, count: usize, page: usize) -> Option<(usize, isize)> {
    let last = count.saturating_sub(1);
    Some(match key {
        Key::Up | Key::Letter('k') => (at.saturating_sub(1), -1),
        Key::Down | Key::Letter('j') => ((at + 1).min(last), 1),
        Key::PageUp => (at.saturating_sub(page), -1),
        Key::PageDown => ((at + page).min(last), 1),
        Key::Home | Key::Letter('g') => (0, 1),
        Key::End | Key::Letter('G') => (last, -1),
        _ => return None,
    })
}

/// How many rows fit, if all were as high as those that are shown first.
fn rows_of_a_page(state: &State) -> usize {
    let room = usize::from(areas(state).rows.height);
    let heights = state.list.rows[state.top.min(state.list.rows.len())..].iter();
    let mut lines = 0;
    let fitting = heights.map(ListRow::height).take_while(|height| {
        lines += height;
        lines <= room
    });
    fitting.count()
}

fn selected_column(state: &State) -> usize {
    let order = state.choice.order;
    let mut headers = state.list.headers.iter();
    let place = headers.position(|header| order.is_some_and(|order| order.header == *header));
    place.map_or(0, |place| place + 1)
}

fn in_columns(state: &mut State, key: Key, at: usize) {
    let count = state.list.headers.len() + 1;
    match key {
        Key::Enter => {
            let header = at.checked_sub(1).and_then(|at| state.list.headers.get(at));
            let before = state.choice.order;
            state.choice.order = header.map(|header| match before {
                // The same column again is the other direction.
                Some(order) if order.header == *header => order.reversed(),
                _ => Order::by(header),
            });
            open(state, View::Main);
        }
        Key::Escape | Key::Letter('q' | 's') => open(state, View::Main),
        key => {
            if let Some((place, _)) = target(key, at, count, count) {
                state.view = View::Columns(place);
            }
        }
    }
    state.arrange();
}

/// While something covers the screen.
fn in_cover(state: &mut State, key: Key) {
    let lines = covering(state);
    let page = page(state);
    let last = lines.saturating_sub(page);
    match key {
        Key::Escape | Key::Letter('q') | Key::Backspace => open(state, View::Main),
        Key::Enter | Key::Letter('?' | 'h') if state.view == View::Help => open(state, View::Main),
        Key::Letter('c') if state.view == View::Changes => open(state, View::Main),
        Key::Left | Key::Letter('n' | 'N') | Key::Right => neighbour(state, key),
        key if common(state, key) => {}
        key => {
            let count = last + 1;
            if let Some((place, _)) = target(key, state.scroll, count, page) {
                state.scroll = place;
            }
        }
    }
}

/// The next or the last process or finding.
fn neighbour(state: &mut State, key: Key) {
    let is_next = matches!(key, Key::Right | Key::Letter('n'));
    let step = |at: usize, count: usize| match is_next {
        true => (at + 1).min(count.saturating_sub(1)),
        false => at.saturating_sub(1),
    };
    match state.view.clone() {
        View::Process(open_now) => {
            let processes = state
                .document()
                .map_or(&[][..], |document| document.processes());
            let rows = state.list.rows.iter();
            let members = rows.flat_map(|row| match row {
                ListRow::Heading(_) => &[],
                ListRow::Processes(row) => row.members.as_slice(),
            });
            let keys = members.filter_map(|at| processes.get(*at));
            let keys: Vec<_> = keys.map(crate::screen::changes::key).collect();
            let place = keys.iter().position(|key| *key == open_now);
            let next = place.map_or(0, |place| step(place, keys.len()));
            if let Some(key) = keys.get(next) {
                state.selected = Some(*key);
                open(state, View::Process(*key));
                state.arrange();
            }
        }
        View::Finding(at) => {
            state.finding = step(at, state.findings());
            open(state, View::Finding(state.finding));
        }
        _ => {}
    }
}

/// How many lines cover the screen.
fn covering(state: &State) -> usize {
    let plain = Look {
        color: false,
        ascii: false,
    };
    cover(state, plain).map_or(0, |cover| cover.lines.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::state::Options;

    #[test]
    fn a_filter_is_as_long_as_a_word_can_be() {
        let options = Options {
            every: Duration::from_secs(2),
            is_recording: true,
            all: false,
            rules: Vec::new(),
        };
        let mut state = State::new(options, (80, 24));
        for letter in "/".chars().chain("ä".repeat(10_000).chars()) {
            state = update(state, Event::Key(Key::Letter(letter)), Duration::ZERO);
        }
        assert_eq!(state.choice.filter, "ä".repeat(128));
        state = update(state, Event::Key(Key::Backspace), Duration::ZERO);
        assert_eq!(state.choice.filter, "ä".repeat(127));
    }
}
