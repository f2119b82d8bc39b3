//! memory-remote, memory-near, pinned-remote.

use snapbox::{assert_data_eq, str};

use super::{gaps, silent, told};
use crate::machine::{PLACED, Process, Tree, with_trainer};

/// A trainer that is bound to its GPU's node, with these pages.
fn with(numa_maps: &str) -> Tree {
    with_trainer(&Process {
        numa_maps: Some(numa_maps),
        ..PLACED
    })
}

/// Heap, shared memory and pinned memory, most of it on node 1.
const OFF: &str = "7f0000000000 default anon=25600 N0=5120 N1=20480 kernelpagesize_kB=4\n\
                   7f1000000000 default file=/dev/shm/torch_100_1_0 mapped=2560 N1=2560 kernelpagesize_kB=4\n\
                   7f2000000000 default file=/dev/zero\\040(deleted) dirty=7680 N1=7680 kernelpagesize_kB=4\n";

const PUT_RIGHT: &str = "7f0000000000 default anon=25600 N0=25600 kernelpagesize_kB=4\n\
                         7f1000000000 default file=/dev/shm/torch_100_1_0 mapped=2560 N0=2560 kernelpagesize_kB=4\n\
                         7f2000000000 default file=/dev/zero\\040(deleted) dirty=7680 N0=7680 kernelpagesize_kB=4\n";

#[test]
fn memory_remote_is_raised() {
    assert_data_eq!(
        told(&with(OFF), "memory-remote"),
        str![[r#"
error[memory-remote]: GPU and memory NUMA nodes do NOT match: GPU 0 is attached to node 0, but
  trainer 100 has 86% of its working memory on node 1 (120 MiB: anonymous 80 MiB, pinned 30 MiB,
  shared 10 MiB)
  fix: start it with numactl --cpunodebind=0 --membind=0
  run now: migratepages 100 1 0
  note: pinned pages do not move
{"commands":["migratepages 100 1 0"],"evidence":{"home_nodes":[0],"memory_nodes":[1],"most_anonymous_bytes":83886080,"most_bytes":125829120,"most_pinned_bytes":31457280,"most_share":0.8571428571428571,"most_shared_bytes":10485760},"gpu":0,"gpus":[0],"message":"GPU and memory NUMA nodes do NOT match: GPU 0 is attached to node 0, but trainer 100 has 86% of its working memory on node 1 (120 MiB: anonymous 80 MiB, pinned 30 MiB, shared 10 MiB)","note":"pinned pages do not move","pids":[100],"remedy":"start it with numactl --cpunodebind=0 --membind=0; pinned pages do not move","rule":"memory-remote","severity":"error"}

"#]]
    );
}

#[test]
fn memory_remote_is_not_raised_once_fixed() {
    silent(&with(PUT_RIGHT), "memory-remote");
}

#[test]
fn memory_remote_is_not_raised_without_the_fact() {
    let tree = with_trainer(&Process {
        numa_maps: None,
        ..PLACED
    });
    silent(&tree, "memory-remote");
    assert_eq!(gaps(&tree), ["100 memory"]);
    let tree = with(OFF);
    tree.numa_node("-1\n");
    silent(&tree, "memory-remote");
}

#[test]
fn memory_near_is_raised() {
    let tree = with(OFF);
    tree.one_socket();
    assert_data_eq!(
        told(&tree, "memory-near"),
        str![[r#"
warning[memory-near]: GPU 0 is attached to node 0, but trainer 100 has 86% of its working memory on
  node 1 (120 MiB: anonymous 80 MiB, pinned 30 MiB, shared 10 MiB)
  fix: start it with numactl --cpunodebind=0 --membind=0
  run now: migratepages 100 1 0
  note: pinned pages do not move
{"commands":["migratepages 100 1 0"],"evidence":{"home_nodes":[0],"memory_nodes":[1],"most_anonymous_bytes":83886080,"most_bytes":125829120,"most_pinned_bytes":31457280,"most_share":0.8571428571428571,"most_shared_bytes":10485760},"gpu":0,"gpus":[0],"message":"GPU 0 is attached to node 0, but trainer 100 has 86% of its working memory on node 1 (120 MiB: anonymous 80 MiB, pinned 30 MiB, shared 10 MiB)","note":"pinned pages do not move","pids":[100],"remedy":"start it with numactl --cpunodebind=0 --membind=0; pinned pages do not move","rule":"memory-near","severity":"warning"}

"#]]
    );
    silent(&tree, "memory-remote");
}

#[test]
fn memory_near_is_not_raised_once_fixed() {
    let tree = with(PUT_RIGHT);
    tree.one_socket();
    silent(&tree, "memory-near");
}

#[test]
fn memory_near_is_not_raised_without_the_fact() {
    let tree = with_trainer(&Process {
        numa_maps: None,
        ..PLACED
    });
    tree.one_socket();
    silent(&tree, "memory-near");
    assert_eq!(gaps(&tree), ["100 memory"]);
}

#[test]
fn pinned_remote_is_raised() {
    assert_data_eq!(
        told(&with(OFF), "pinned-remote"),
        str![[r#"
error[pinned-remote]: GPU 0 is attached to node 0, but trainer 100 has 30 MiB of pinned memory on
  node 1: every batch crosses the interconnect, and pinned pages cannot migrate
  fix: start it with numactl --cpunodebind=0 --membind=0
  note: memory that is already pinned stays where it is until the process ends
{"commands":[],"evidence":{"home_nodes":[0],"memory_nodes":[1],"most_pinned_bytes":31457280},"gpu":0,"gpus":[0],"message":"GPU 0 is attached to node 0, but trainer 100 has 30 MiB of pinned memory on node 1: every batch crosses the interconnect, and pinned pages cannot migrate","note":"memory that is already pinned stays where it is until the process ends","pids":[100],"remedy":"start it with numactl --cpunodebind=0 --membind=0; memory that is already pinned stays where it is until the process ends","rule":"pinned-remote","severity":"error"}

"#]]
    );
}

#[test]
fn pinned_remote_is_not_raised_once_fixed() {
    silent(&with(PUT_RIGHT), "pinned-remote");
    // The same mapping in a process without a context is not pinned memory.
    let tree = with(PUT_RIGHT);
    tree.process(&Process {
        pid: 110,
        ppid: 100,
        name: "pt_data_worker",
        numa_maps: Some(OFF),
        ..PLACED
    });
    silent(&tree, "pinned-remote");
}

#[test]
fn pinned_remote_is_not_raised_without_the_fact() {
    let tree = with_trainer(&Process {
        numa_maps: None,
        ..PLACED
    });
    silent(&tree, "pinned-remote");
    assert_eq!(gaps(&tree), ["100 memory"]);
}
