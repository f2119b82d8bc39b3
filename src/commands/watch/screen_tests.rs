//! Screens of recorded machines, and what keys and answers do to them. They are here because they observe and judge.

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

#[test]
fn a_small_terminal_has_all_that_matters() {
    let state = state(Some(recorded(MISMATCHED)), true, (80, 24));
    assert_data_eq!(
        screen(&state),
        str![[r#"
numa-vm, NVIDIA driver 570.133.20, snapshot of 2026-11-22T07:00:00Z    recording
Mismatch: GPU 0: trainer 254 and 4 workers on node 1 (cpu-remote, and 2 more fi…
5 processes: 0 ok, 0 at risk, 5 mismatched, 0 unknown; 0% of memory is local
node 0  GPU 0!                                no memory
node 1            ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒  370 MiB, 366 MiB away from its GPU
                                      CPU       MEM
  GPU ROLE      PID     RANK GPU NODE NODE CPUS BINDING MEMORY BY NODE  VERDICT
> 0   trainer   254     0    0        1    0-7  [0, 1]  1: 100% 80 MiB  MISMATCH
  0   worker ×4 265-268 0    0        1    0-7  [0, 1]  1: 100% ≤72 MiB MISMATCH
Launchers and their helpers (not judged)
      launcher  245     -    -        1    0-7  [0, 1]  1: 100% 4.0 MiB -

  FINDINGS  4
  error[cpu-remote] GPU and CPU NUMA nodes do NOT match: GPU 0 is attached to
    node 0, but trainer 254 and 4 workers run on node 1 (they last ran there; n…
  error[memory-remote] GPU and memory NUMA nodes do NOT match: GPU 0 is attached
    to node 0, but trainer 254 and 4 workers have up to 100% of their working m…
  error[pinned-remote] GPU 0 is attached to node 0, but trainer 254 has 24 MiB
    of pinned memory on node 1: every batch crosses the interconnect, and pinne…
  info[node-crowded] trainer 254 and 4 workers belong on node 0, which has 4
    CPUs: binding all may slow them down


? Help  Enter Open  Tab Findings  / Filter  s Sort  p Pause  q Quit  a All…  1/3

"#]]
    );
}

#[test]
fn a_large_terminal_has_more_columns() {
    let state = state(Some(living(recorded("h200x2-mp-spawn"))), false, (200, 50));
    assert_data_eq!(
        screen(&state),
        str![[r#"
a machine without a name, Linux 6.18.44-fc-v657-gpu, NVIDIA driver 580.159.04, snapshot of 2026-11-22T09:24:45Z                                                                           every 2 s, now
One NUMA node: placement cannot be wrong
6 processes: 6 ok, 0 at risk, 0 mismatched, 0 unknown; 100% of memory is local
node 0  GPU 0 1  CPU 1100%  ████████████████████████████████████████  6.0 GiB
  GPU ROLE        PID       USER RANK GPU NODE CPU NODE CPU  MOVES CPUS MEM BINDING MEMORY BY NODE   VERDICT     NAME                   TASK                    KNOWN BY KINDS OF MEMORY
> 0   trainer     1910      0    -    0        0        100% 0     0-31 [0]         0: 100% 1.3 GiB  single-node python3                                        nvml     anonymous 905 MiB, pinned 410
                                                                                                                                                                         MiB, shared 24 KiB, managed 2.0
                                                                                                                                                                         MiB, file 350 MiB
  0   worker ×2   2017,2020 0    -    0        0        200% 0     0-31 [0]         0: 100% ≤810 MiB single-node pt_data_worker         PyTorch data loader     ancestor anonymous 740 MiB, pinned 70
                                                                                                                                                                         MiB, shared 24 KiB, file 46 MiB
  1   trainer     1911      0    -    0        0        100% 0     0-31 [0]         0: 100% 1.3 GiB  single-node python3                                        nvml     anonymous 904 MiB, pinned 410
                                                                                                                                                                         MiB, shared 24 KiB, managed 2.0
                                                                                                                                                                         MiB, file 350 MiB
  1   worker ×2   2016,2018 0    -    0        0        200% 0     0-31 [0]         0: 100% ≤805 MiB single-node pt_data_worker         PyTorch data loader     ancestor anonymous 735 MiB, pinned 70
                                                                                                                                                                         MiB, shared 24 KiB, file 46 MiB
Launchers and their helpers (not judged)
      launcher ×4 538…1869  0    -    -        0        400% 0     0-31 [0]         0: 100% ≤270 MiB -           bash, python3, timeout                                  anonymous 270 MiB, file 240 MiB
      helper      1909      0    -    -        0        100% 0     0-31 [0]         0: 100% 7.6 MiB  -           python3                Python resource tracker          anonymous 7.6 MiB, file 8.5 MiB































? Help  Enter Open  Tab Findings  / Filter  s Sort  p Pause  q Quit  a All rows  c Changes                                                                                                           1/6

"#]]
    );
}

#[test]
fn what_changed_is_marked_for_a_while() {
    let first = living(recorded(MISMATCHED));
    let before = state(Some(first.clone()), false, (100, 30));
    assert!(!screen(&before).contains('*'), "nothing has changed yet");
    let after = answered(before, moved(first), 3);
    assert_data_eq!(
        screen(&after),
        str![[r#"
numa-vm, NVIDIA driver 570.133.20, snapshot of 2026-11-22T07:00:00Z                   every 2 s, now
Mismatch: GPU 0: trainer 254 and 4 workers have memory on node 1 (memory-remote, and 1 more finding)
5 processes: 0 ok, 0 at risk, 5 mismatched, 0 unknown; 0% of memory is local
node 0  GPU 0!   CPU 75%  █████                                   40 MiB
node 1          CPU 525%  ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒  330 MiB, 326 MiB away from its GPU
  GPU ROLE      PID     RANK GPU NODE CPU NODE CPU  MOVES CPUS MEM BINDING MEMORY BY NODE  VERDICT
>*0   trainer   254     0    0        0: 75%   100% 3     0-7  [0, 1]      0: 50% 40 MiB   at-risk
                                      1: 25%                               1: 50% 40 MiB
  0   worker ×4 265-268 0    0        1        400% 0     0-7  [0, 1]      1: 100% ≤72 MiB MISMATCH
Launchers and their helpers (not judged)
      launcher  245     -    -        1        100% 0     0-7  [0, 1]      1: 100% 4.0 MiB -









  FINDINGS  3
  error[memory-remote] GPU and memory NUMA nodes do NOT match: GPU 0 is attached to node 0, but
    trainer 254 and 4 workers have up to 100% of their working memory on node 1 (at most 80 MiB per
    process: anonymous 68 MiB, pinned 24 MiB, shared 4.0 MiB)
  error[pinned-remote] GPU 0 is attached to node 0, but trainer 254 has 24 MiB of pinned memory on
    node 1: every batch crosses the interconnect, and pinned pages cannot migrate
  info[node-crowded] trainer 254 and 4 workers belong on node 0, which has 4 CPUs: binding all may
    slow them down
* now: trainer 254 (GPU 0) is at-risk, was MISMATCH (and 3 more: c)
? Help  Enter Open  Tab Findings  / Filter  s Sort  p Pause  q Quit  a All rows  c Changes       1/3

"#]]
    );
    let marked = parts_with(&buffer(&after, PLAIN), Modifier::UNDERLINED);
    assert_eq!(
        marked,
        ["0: 75%30: 50% 40 MiBat-risk", "1: 25%1: 50% 40 MiB"]
    );
    let later = update(after, Event::Time, Duration::from_secs(13));
    assert!(!screen(&later).contains(">*"), "{}", screen(&later));
    assert!(parts_with(&buffer(&later, PLAIN), Modifier::UNDERLINED).is_empty());
    let log = screen(&typed(later, "c"));
    assert!(
        log.contains("10 s ago  trainer 254 (GPU 0) moved from node 1 to node 0"),
        "{log}"
    );
    assert!(log.contains("GPU 0: error[cpu-remote] is gone"), "{log}");
}

#[test]
fn a_process_is_opened_with_its_threads_memory_and_findings() {
    let state = state(Some(living(recorded(MISMATCHED))), false, (100, 60));
    assert_eq!(state.open(), None);
    let state = pressed(state, &[Key::Enter]);
    assert_eq!(state.open().map(|pid| pid.0), Some(254));
    assert_data_eq!(
        screen(&state),
        str![[r#"
trainer 254 (GPU 0): MISMATCH
name          python3
command       python3 /in/job.py --trainer 0 /in/post.json
user          0
started       2026-11-22T07:16:43Z
rank          0
local rank    0
GPU node      0

CPU
verdict       MISMATCH
node          1
affinity      0-7
should be on  CPUs 0-1,4-5, memory on 0
in the way    pinned pages do not move
CPU time      node 1 100%
moves         0 by 0 threads

Memory
verdict       MISMATCH
binding       [0, 1]
                  node 0    node 1
anonymous              -    56 MiB
file             5.9 MiB   1.3 MiB
pinned                 -    24 MiB
all but file           -    80 MiB

Findings
error[cpu-remote]: GPU and CPU NUMA nodes do NOT match: GPU 0 is attached to node 0, but trainer 254
  and 4 workers run on node 1 (they last ran there; no CPU affinity binds them there)
  fix: start it with torchrun --numa-binding=node (PyTorch 2.9+; binds CPUs only, before memory is
    touched)
  run now: for pid in 254 265 266 267 268; do taskset -a -p -c 0-1,4-5 $pid; done
  note: memory that is already allocated stays where it is

error[memory-remote]: GPU and memory NUMA nodes do NOT match: GPU 0 is attached to node 0, but
  trainer 254 and 4 workers have up to 100% of their working memory on node 1 (at most 80 MiB per
  process: anonymous 68 MiB, pinned 24 MiB, shared 4.0 MiB)
  fix: start it with torchrun --numa-binding=node (PyTorch 2.9+; binds CPUs only, before memory is
    touched)
  run now: for pid in 254 265 266 267 268; do taskset -a -p -c 0-1,4-5 $pid; done
  run now: for pid in 254 265 266 267 268; do migratepages $pid 1 0; done
  note: pinned pages do not move

error[pinned-remote]: GPU 0 is attached to node 0, but trainer 254 has 24 MiB of pinned memory on
  node 1: every batch crosses the interconnect, and pinned pages cannot migrate
  fix: start it with torchrun --numa-binding=node (PyTorch 2.9+; binds CPUs only, before memory is
    touched)
  note: memory that is already pinned stays where it is until the process ends

Threads (5)
       TID  NAME               ON  NODE    CPU  MOVES  MAY RUN ON
       254  python3             6    1!      ?      ?  0-7
       258  python3             3    1!      ?      ?  0-7
       259  python3             3    1!      ?      ?  0-7
       260  python3             2    1!      ?      ?  0-7
       261  python3             3    1!      ?      ?  0-7


Esc Back  arrows Scroll  left right Others  ? Help                                    every 2 s, now

"#]]
    );
    let next = pressed(state, &[Key::Right]);
    assert_eq!(next.open().map(|pid| pid.0), Some(265));
    let closed = pressed(next, &[Key::Escape]);
    assert_eq!((closed.open(), closed.has_ended), (None, false));
}

#[test]
fn a_finding_is_opened_with_its_explanation() {
    let state = state(Some(recorded(MISMATCHED)), true, (80, 24));
    let state = pressed(state, &[Key::Tab, Key::Enter]);
    let text = screen(&state);
    assert!(text.starts_with("Finding 1 of 4"), "{text}");
    assert!(
        text.contains(
            "run now: for pid in 254 265 266 267 268; do taskset -a -p -c 0-1,4-5 $pid; do"
        ),
        "{text}"
    );
    let end = screen(&pressed(state.clone(), &[Key::End]));
    assert!(end.contains("Evidence"), "{end}");
    let next = screen(&pressed(
        state,
        &[Key::Right, Key::Right, Key::Right, Key::Right],
    ));
    assert!(next.starts_with("Finding 4 of 4"), "{next}");
}

#[test]
fn an_open_finding_stays_the_same_in_the_next_audit() {
    let first = living(recorded(MISMATCHED));
    let second = first.document.findings[1].message.clone();
    let state = state(Some(first.clone()), false, (80, 24));
    let open = pressed(state, &[Key::Tab, Key::Down, Key::Enter]);
    let start = &second[..40];
    assert!(screen(&open).contains(start), "{}", screen(&open));
    // The finding before it is gone, then the finding itself.
    let mut next = moved(first);
    let after = answered(open, next.clone(), 3);
    assert!(screen(&after).contains(start), "{}", screen(&after));
    assert!(screen(&after).starts_with("Finding 1 of 3"));
    next.document.findings.remove(0);
    let gone = answered(after, next, 5);
    assert!(screen(&gone).contains("It is gone."), "{}", screen(&gone));
}

fn first_cells(state: &State, column: std::ops::Range<usize>) -> Vec<String> {
    let text = screen(state);
    let lines = text
        .lines()
        .skip_while(|line| !line.contains("VERDICT"))
        .skip(1);
    let cells = lines.map(|line| line.chars().skip(column.start).take(column.len()).collect());
    let cells = cells.map(|cell: String| cell.trim().to_owned());
    cells.take_while(|cell| !cell.is_empty()).collect()
}

#[test]
fn rows_are_sorted_by_a_column() {
    let state = state(Some(recorded("h200x4-mp-spawn")), true, (120, 40));
    let sizes = |state: &State| {
        let rows = screen(state);
        let rows = rows
            .lines()
            .filter(|line| line.contains("GiB  single") || line.contains("MiB single"));
        rows.map(|line| line[2..12].trim().to_owned())
            .collect::<Vec<_>>()
    };
    let usual = sizes(&state);
    assert_eq!(usual[..2], ["0   traine", "0   worker"]);
    // The menu begins with the order of the audit, and has the columns of the table.
    let menu = typed(state, "s");
    assert!(
        screen(&menu).contains("* as the audit"),
        "{}",
        screen(&menu)
    );
    let role = pressed(menu.clone(), &[Key::Down, Key::Down, Key::Enter]);
    assert_eq!(sizes(&role)[3..5], ["3   traine", "0   worker"]);
    assert!(screen(&role).contains("ROLE↑"), "{}", screen(&role));
    let reversed = sizes(&typed(role, "r"));
    assert_eq!(reversed[0], "0   worker");
    let undone = pressed(menu, &[Key::Enter]);
    assert_eq!(sizes(&undone), usual);
}

#[test]
fn a_filter_leaves_what_contains_it() {
    let all = state(Some(recorded("h200x4-mp-spawn")), true, (120, 40));
    let typing = typed(all.clone(), "/GPU 2");
    assert!(
        screen(&typing).contains("Filter: GPU 2_"),
        "{}",
        screen(&typing)
    );
    let kept = pressed(typing.clone(), &[Key::Enter]);
    assert_eq!(first_cells(&kept, 2..4), ["2", "2"]);
    assert!(screen(&kept).contains("filter: GPU 2"), "{}", screen(&kept));
    let undone = pressed(typing, &[Key::Escape]);
    let top = pressed(undone, &[Key::Home]);
    assert_eq!(screen(&top), screen(&all));
    let cleared = pressed(kept, &[Key::Escape]);
    assert!(!cleared.has_ended, "the first Esc removes the filter");
    let top = pressed(cleared, &[Key::Home]);
    assert_eq!(screen(&top), screen(&all));
    let none = typed(all, "/no such process");
    assert!(
        screen(&none).contains("No process contains"),
        "{}",
        screen(&none)
    );
    assert!(
        pressed(none, &[Key::Enter, Key::Enter, Key::Down])
            .open()
            .is_none()
    );
}

#[test]
fn a_key_that_moves_makes_no_new_list() {
    let all = state(Some(recorded("h200x4-mp-spawn")), true, (120, 40));
    let list = all.list.rows.as_ptr();
    let moved = typed(all, "jjk1");
    assert_eq!(moved.list.rows.as_ptr(), list);
    let fewer = typed(moved, "/GPU 2");
    assert_eq!(first_cells(&fewer, 2..4), ["2", "2"]);
    let lower = update(fewer, Event::Size(80, 40), Duration::ZERO);
    assert_eq!(lower.listed_for.map(|(_, width)| width), Some(78));
}

#[test]
fn the_selection_skips_headings_and_stays_with_its_process() {
    let first = living(recorded(MISMATCHED));
    let state = state(Some(first.clone()), false, (80, 24));
    let end = pressed(state.clone(), &[Key::End]);
    assert!(screen(&end).contains(">     launcher"), "{}", screen(&end));
    let up = pressed(end.clone(), &[Key::Up]);
    assert!(screen(&up).contains("> 0   worker"), "{}", screen(&up));
    let down = pressed(up, &[Key::Down]);
    assert!(
        screen(&down).contains(">     launcher"),
        "{}",
        screen(&down)
    );
    let home = pressed(down, &[Key::Home]);
    assert!(screen(&home).contains("> 0   trainer"), "{}", screen(&home));
    // The trainer ends: the launcher stays selected, one row further up.
    let mut without = first;
    without
        .document
        .processes
        .iter_mut()
        .for_each(|all| all.retain(|of| of.pid.0 != 254));
    let gone = answered(end, without, 3);
    assert!(
        screen(&gone).contains(">     launcher"),
        "{}",
        screen(&gone)
    );
    assert!(
        screen(&gone).contains("trainer 254 (GPU 0) has ended"),
        "{}",
        screen(&gone)
    );
}

#[test]
fn a_row_for_each_process_can_be_asked_for() {
    let state = state(Some(recorded("h200x4-mp-spawn")), true, (120, 50));
    assert!(screen(&state).contains("worker ×4"));
    let all = typed(state, "a");
    assert!(!screen(&all).contains("worker ×4"));
    assert_eq!(screen(&all).matches(" worker ").count(), 16);
}

#[test]
fn every_row_can_be_reached_on_a_low_screen() {
    let state = state(Some(recorded("h200x4-mp-spawn")), true, (60, 10));
    let mut state = typed(state, "a");
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..40 {
        let text = screen(&state);
        let line = text.lines().find(|line| line.starts_with('>'));
        seen.insert(
            line.unwrap_or_else(|| panic!("nothing is selected:\n{text}"))
                .to_owned(),
        );
        state = pressed(state, &[Key::Down]);
    }
    assert_eq!(seen.len(), state.document().unwrap().processes().len());
    let top = pressed(state, &[Key::PageUp; 20]);
    assert!(screen(&top).contains("> 0"), "{}", screen(&top));
}

#[test]
fn an_answer_that_does_not_come_is_seen() {
    let state = state(Some(living(recorded(MISMATCHED))), false, (100, 24));
    assert!(screen(&state).contains("every 2 s, now"));
    let late = update(state.clone(), Event::Time, Duration::from_secs(15));
    assert!(
        screen(&late).contains("last answer 14 s ago"),
        "{}",
        screen(&late)
    );
    let trouble = Event::Reply(Reply::Trouble("it was \x1b[31mkilled".to_owned()));
    let failed = update(state.clone(), trouble, Duration::from_secs(4));
    assert!(
        screen(&failed).contains("No answer: it was \\u{1b}[31mkilled"),
        "{}",
        screen(&failed)
    );
    assert!(screen(&failed).contains("trainer"), "the last answer stays");
    let paused = update(typed(state, "p"), Event::Time, Duration::from_secs(60));
    assert!(
        screen(&paused).contains("PAUSED, 59 s ago"),
        "{}",
        screen(&paused)
    );
    let unknown = self::state(None, false, (100, 24));
    assert!(screen(&unknown).contains("Reading"));
}

#[test]
fn text_of_processes_cannot_act() {
    let mut audited = recorded(MISMATCHED);
    for process in audited.document.processes.iter_mut().flatten() {
        process.name = "a\x1b]0;x\x07\u{202e}b".to_owned();
        process.command = Some(process.name.clone());
        process.user = Some(process.name.clone());
    }
    for finding in &mut audited.document.findings {
        finding.message += "\x1b[2J";
        finding.rule += "\n\x1b[2J";
    }
    audited.document.host.hostname = Some("h\x1b[2J".to_owned());
    for threads in audited.threads.values_mut() {
        threads
            .iter_mut()
            .for_each(|of| of.name = Some("t\x1b[2J".to_owned()));
    }
    let main = state(Some(audited), true, (200, 50));
    let keys: [&[Key]; 5] = [
        &[],
        &[Key::Enter],
        &[Key::Tab, Key::Enter],
        &[Key::Letter('s')],
        &[Key::Letter('?')],
    ];
    for keys in keys {
        let text = screen(&pressed(main.clone(), keys));
        assert!(
            !text.contains(|letter: char| letter != '\n' && crate::print::acts(letter)),
            "{text}"
        );
    }
    assert!(screen(&main).contains("\\u{1b}"));
}

#[test]
fn without_utf8_there_is_only_ascii_and_without_colour_none() {
    let audited = living(recorded(MISMATCHED));
    let state = state(Some(audited), false, (100, 30));
    let ascii = Look {
        color: false,
        ascii: true,
    };
    let keys: [&[Key]; 3] = [&[], &[Key::Enter], &[Key::Letter('?')]];
    for keys in keys {
        let state = pressed(state.clone(), keys);
        let buffer = buffer(&state, ascii);
        assert!(text(&buffer).is_ascii(), "{}", text(&buffer));
        let has_color = |cell: &ratatui::buffer::Cell| {
            let reset = ratatui::style::Color::Reset;
            (cell.fg, cell.bg) != (reset, reset)
        };
        assert!(!buffer.content.iter().any(has_color));
    }
}

#[test]
fn every_size_can_be_drawn() {
    let audited = living(recorded("h200x4-torchrun-forkserver"));
    let keys: [&[Key]; 6] = [
        &[],
        &[Key::Enter, Key::End],
        &[Key::Tab, Key::End, Key::Enter],
        &[Key::Letter('s'), Key::End],
        &[Key::Letter('?'), Key::PageDown],
        &[Key::Letter('/'), Key::Letter('w'), Key::End],
    ];
    for columns in [0, 1, 39, 40, 80, 300] {
        for lines in [0, 1, 7, 8, 12, 16, 24, 60] {
            for keys in keys {
                let state = state(Some(audited.clone()), false, (100, 30));
                let now = state.now;
                let state = update(pressed(state, keys), Event::Size(columns, lines), now);
                let text = screen(&pressed(state, &[Key::PageDown, Key::Up]));
                if (columns, lines) == (39, 12) {
                    assert!(text.starts_with("Too small: 39x12, needs 40x8"), "{text}");
                }
            }
        }
    }
}
