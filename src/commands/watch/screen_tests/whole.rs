//! Whole screens, and what changed between two of them.

use super::*;

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
