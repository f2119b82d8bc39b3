//! A process or a finding that covers the screen.

use super::*;

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
