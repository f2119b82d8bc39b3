//! Screens of recorded machines, and what keys and answers do to them. They are here because they observe and judge.

mod limits;
mod opened;
mod rows;
mod whole;

use std::path::Path;
use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use snapbox::{assert_data_eq, str};

use crate::audit::entries::threads::threads;
use crate::audit::{Settings, audit, rules};
use crate::document::{Audited, CpuWindowEntry, Reply, WindowEntry};
use crate::observe::{Source, Subjects, observe};
use crate::screen::{Event, Key, Look, Options, State, draw, update};
use crate::units::{Bytes, NodeId};
use crate::words::Verdict;

const PLAIN: Look = Look {
    color: false,
    ascii: false,
};

fn recorded(name: &str) -> Audited {
    let path = format!("{}/fixtures/{name}.tar.gz", env!("CARGO_MANIFEST_DIR"));
    let source = Source::snapshot(Path::new(&path)).unwrap();
    let machine = observe(source, &Subjects::GpuUsers).machine;
    let all = machine.processes.iter();
    let threads = all.map(|of| (of.pid, threads(of, &machine))).collect();
    Audited {
        document: audit(machine, &Settings::default()),
        threads,
    }
}

/// The same machine, alive: observed for two seconds, in which the trainer used one CPU of node 1.
fn living(mut audited: Audited) -> Audited {
    audited.document.window = Some(WindowEntry {
        seconds: 2.0,
        ..WindowEntry::default()
    });
    for process in audited.document.processes.iter_mut().flatten() {
        let node = process.cpu.node.unwrap_or(NodeId(0));
        process.cpu.window = Some(CpuWindowEntry {
            cpu_seconds_by_node: [(node, 2.0)].into(),
            ..CpuWindowEntry::default()
        });
    }
    audited
}

/// The trainer moved to node 0, and half of its memory followed.
fn moved(mut audited: Audited) -> Audited {
    let mut processes = audited.document.processes.iter_mut().flatten();
    let trainer = processes.find(|of| of.pid.0 == 254).unwrap();
    trainer.cpu.node = Some(NodeId(0));
    trainer.cpu.window = Some(CpuWindowEntry {
        cpu_seconds_by_node: [(NodeId(0), 1.5), (NodeId(1), 0.5)].into(),
        migrations: 3,
        threads_moved: 1,
    });
    trainer.verdict = Some(Verdict::AtRisk.into());
    let half = Bytes(40 << 20);
    trainer.memory.by_node_bytes = Some([(NodeId(0), half), (NodeId(1), half)].into());
    audited.document.findings.remove(0);
    audited
}

fn state(audited: Option<Audited>, is_recording: bool, size: (u16, u16)) -> State {
    let options = Options {
        every: Duration::from_secs(2),
        is_recording,
        all: false,
        rules: rules::texts(),
    };
    let state = State::new(options, size);
    match audited {
        Some(audited) => answered(state, audited, 1),
        None => state,
    }
}

fn answered(state: State, audited: Audited, seconds: u64) -> State {
    let reply = Reply::Audited(audited.into());
    update(state, Event::Reply(reply), Duration::from_secs(seconds))
}

fn pressed(state: State, keys: &[Key]) -> State {
    keys.iter().fold(state, |state, key| {
        let now = state.now;
        update(state, Event::Key(*key), now)
    })
}

fn typed(state: State, text: &str) -> State {
    let keys: Vec<Key> = text.chars().map(Key::Letter).collect();
    pressed(state, &keys)
}

fn buffer(state: &State, look: Look) -> Buffer {
    let mut buffer = Buffer::empty(Rect::new(0, 0, state.size.0, state.size.1));
    draw(state, look, &mut buffer);
    buffer
}

/// The lines of the screen without the blanks at their ends.
fn screen(state: &State) -> String {
    text(&buffer(state, PLAIN))
}

fn text(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width).max(1);
    let lines = buffer.content.chunks(width).map(|cells| {
        let line: String = cells.iter().map(|cell| cell.symbol()).collect();
        line.trim_end().to_owned() + "\n"
    });
    lines.collect()
}

/// The texts that look like this modifier, by line.
fn parts_with(buffer: &Buffer, modifier: Modifier) -> Vec<String> {
    let width = usize::from(buffer.area.width);
    let lines = buffer.content.chunks(width).map(|cells| {
        let cells = cells.iter().filter(|cell| cell.modifier.contains(modifier));
        let text: String = cells.map(|cell| cell.symbol()).collect();
        text.trim().to_owned()
    });
    lines.filter(|text| !text.is_empty()).collect()
}

const MISMATCHED: &str = "p4d-do-not-match";
