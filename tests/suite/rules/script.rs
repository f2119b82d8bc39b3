//! The output of --remedies is meant to be run: no text from a process may become a command in it.

use std::process::{Command, Stdio};

use snapbox::{assert_data_eq, str};

use super::{ALL, Rank, job, two_ranks};
use crate::machine::{PLACED, Process, Tree};

/// Asserts that a shell can parse it, without running it.
#[track_caller]
fn is_read_by(shell: &str, script: &str) {
    use std::io::Write;
    let mut child = Command::new(shell)
        .arg("-n")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(script.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{shell}: {output:?}\n{script}"
    );
}

/// Asserts that it has only comments, and known commands with numbers.
#[track_caller]
fn is_harmless(script: &str) {
    let is_numbers = |word: &str| {
        let word = word.trim_end_matches(';');
        word == "$pid"
            || word
                .bytes()
                .all(|byte| byte.is_ascii_digit() || b",-".contains(&byte))
    };
    const KNOWN: &[&str] = &[
        "taskset",
        "-a",
        "-p",
        "-c",
        "migratepages",
        "for",
        "pid",
        "in",
        "do",
        "done",
    ];
    for line in script.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        assert!(
            words.all(|word| KNOWN.contains(&word) || is_numbers(word)),
            "{line}"
        );
    }
    is_read_by("sh", script);
    is_read_by("bash", script);
}

/// Text that would be a command if it were printed unchanged.
const HOSTILE: [&str; 6] = [
    "x\nreboot\n",
    "x\rreboot",
    "$(reboot)",
    "`reboot`",
    "'; reboot; echo '\"",
    "x\\\u{2028}reboot",
];

#[test]
fn text_from_processes_never_becomes_a_command() {
    for hostile in HOSTILE {
        let mut tree = Tree::new();
        let name: String = hostile.chars().take(15).collect();
        tree.process(&Process {
            pid: 50,
            name: &name,
            command: &format!(
                "torchrun\0--numa-binding=node\0{hostile}\0numactl\0--cpunodebind={hostile}\0"
            ),
            ..PLACED
        });
        tree.trainer(&Process {
            ppid: 50,
            name: &name,
            command: hostile,
            threads: &[(2, "0-3")],
            numa_maps: Some("7f0000000000 bind:1 anon=25600 N1=25600 kernelpagesize_kB=4\n"),
            ..PLACED
        });
        tree.trainer(&Process {
            pid: 200,
            ppid: 50,
            threads: &[(2, "2-3")],
            ..PLACED
        });
        let group = hostile.replace(['\n', '\r'], "");
        tree.confine(200, &format!("/slurm/uid_7/job_{group}/step_0"), "2-3", "1");
        tree.variables(
            100,
            &["LOCAL_RANK=0", &format!("TORCHELASTIC_RUN_ID={hostile}")],
        );
        let manifest =
            serde_json::json!({"format": 1, "hostname": hostile, "recorded_at": hostile});
        tree.file("snapshot.json", &manifest.to_string());
        let run = tree.audit_as_recorded(&["--remedies"]);
        assert_eq!(run.code, Some(1), "{}", run.stderr);
        let commands = run
            .stdout
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty());
        assert!(commands.count() >= 2, "{}", run.stdout);
        is_harmless(&run.stdout);
    }
}

#[test]
fn the_script_for_a_job_is_printed() {
    let torchrun = "python3\0/usr/bin/torchrun\0train.py\0";
    let tree = two_ranks(torchrun, ["0-1", "0-1"]);
    let script = tree.audit(&["--remedies"]).stdout;
    is_harmless(&script);
    assert_data_eq!(
        script,
        str![[r##"
#!/bin/sh
# Fixes by numa-audit for made-up. None of these commands was run.
# The PIDs are of that moment: do not run this script later.

# error[ranks-on-one-node]: 2 trainers of one job are all bound to node 0, but their GPUs are attached to nodes 0-1
# fix: bind each rank to the node of its own GPU, not the launcher: numa-audit --remedies prints a table of the ranks

# error[cpu-remote]: GPU and CPU NUMA nodes do NOT match: GPU 1 is attached to node 1, but trainer 200 is bound to node 0 (by CPU affinity)
# fix: start it with torchrun --numa-binding=node (PyTorch 2.9+; binds CPUs only, before memory is touched)
# note: memory that is already allocated stays where it is
taskset -a -p -c 2-3 200

# error[memory-remote]: GPU and memory NUMA nodes do NOT match: GPU 1 is attached to node 1, but trainer 200 has 100% of its working memory on node 0 (100 MiB: anonymous 100 MiB)
# fix: start it with torchrun --numa-binding=node (PyTorch 2.9+; binds CPUs only, before memory is touched)
migratepages 200 0 1

# At the next start, as a script between the launcher and each rank (torchrun --no-python ./bind.sh python3 …):
#   #!/bin/sh
#   case $LOCAL_RANK in
#   0) nodes=0 ;; # ranks 0
#   1) nodes=1 ;; # ranks 1
#   *) exec "$@" ;; # a rank that did not exist in this audit
#   esac
#   exec numactl --cpunodebind="$nodes" --membind="$nodes" "$@"

"##]]
    );
}

/// The rank table is a script when its comment marks are removed.
#[test]
fn the_rank_table_is_a_script() {
    let tree = job("python3\0/usr/bin/torchrun\0train.py\0", |rank| Rank {
        cpus: ALL,
        worker_cpus: ALL,
        ..Rank::right(rank)
    });
    let script = tree.audit(&["--remedies"]).stdout;
    is_harmless(&script);
    let table: String = script
        .lines()
        .filter_map(|line| line.strip_prefix("#   "))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_data_eq!(
        &table,
        str![[r##"
#!/bin/sh
case $LOCAL_RANK in
0|1|2|3) nodes=0 ;; # ranks 0-3
4|5|6|7) nodes=1 ;; # ranks 4-7
*) exec "$@" ;; # a rank that did not exist in this audit
esac
exec numactl --cpunodebind="$nodes" --membind="$nodes" "$@"

"##]]
    );
    is_read_by("sh", &table);
}

/// Two jobs have a rank 0 each, and each job has its own table.
#[test]
fn each_job_has_its_own_table() {
    let mut tree = two_ranks("mpirun\0train\0", ["0-3", "0-3"]);
    for (pid, gpu) in [(300, 1), (400, 0)] {
        tree.process(&Process {
            pid,
            ppid: 50,
            threads: &[(0, "0-3")],
            ..PLACED
        });
        tree.variables(
            pid,
            &[&format!("LOCAL_RANK={}", 1 - gpu), "MASTER_PORT=29501"],
        );
        tree.listed(gpu, pid, "compute", 1 << 30);
    }
    let lines = |tree: &Tree| {
        let script = tree.audit(&["--remedies"]).stdout;
        let lines = script.lines().filter(|line| line.contains(") nodes="));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        lines(&tree),
        [
            "#   0) nodes=0 ;; # ranks 0",
            "#   1) nodes=1 ;; # ranks 1",
            "#   1) nodes=0 ;; # ranks 1",
            "#   0) nodes=1 ;; # ranks 0",
        ]
    );
    // torchrun's --virtual-local-rank.
    for (pid, rank) in [(100, 0), (200, 1), (300, 0), (400, 1)] {
        tree.variables(
            pid,
            &["LOCAL_RANK=0", &format!("RANK={rank}"), "MASTER_PORT=29500"],
        );
    }
    assert_eq!(
        lines(&tree),
        [""; 0],
        "rank 0 is on two nodes: no number tells them apart"
    );
    tree.variables(300, &["LOCAL_RANK=0", "RANK=2", "MASTER_PORT=29500"]);
    tree.variables(400, &["LOCAL_RANK=0", "RANK=3", "MASTER_PORT=29500"]);
    assert_eq!(
        lines(&tree),
        [
            "#   0|3) nodes=0 ;; # ranks 0,3",
            "#   1|2) nodes=1 ;; # ranks 1-2"
        ]
    );
}
