//! contrib/slurm/numa-audit-health-check, run by slurmd and by hand.

use std::fs;
use std::process::Output;

use crate::cluster::{Cluster, PROGRAM};

const SCRIPT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/contrib/slurm/numa-audit-health-check"
);
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");
const MISMATCH: &str = "numa-audit: mismatch: GPU 0: trainer 254 and 4 workers on node 1 (cpu-remote, and 2 more findings)";

/// Each node audits a recording of its own.
fn place(cluster: &Cluster, node: &str, recording: &str) {
    let options = format!("--snapshot {FIXTURES}/{recording}.tar.gz");
    options_of(cluster, node, &options);
}

fn options_of(cluster: &Cluster, node: &str, options: &str) {
    // By renaming: the script may be reading the file.
    cluster.file("new", options.as_bytes(), 0o644);
    fs::rename(
        cluster.path("new"),
        cluster.path(&format!("options.{node}")),
    )
    .unwrap();
}

fn act(cluster: &Cluster, action: &str) {
    let text = format!(
        "ACTION={action}\nNUMA_AUDIT={PROGRAM}\nOPTIONS=$(cat FOLDER/options.$SLURMD_NODENAME)\n"
    );
    cluster.file("new", cluster.filled(&text).as_bytes(), 0o644);
    fs::rename(cluster.path("new"), cluster.path("settings")).unwrap();
}

/// What slurmd runs: the script with this cluster's settings, and a line for each run that has ended.
fn install(cluster: &Cluster) {
    for node in crate::cluster::NODES {
        place(cluster, node, "p4d-bound");
    }
    act(cluster, "drain");
    let check = format!(
        "#!/bin/sh\nexport NUMA_AUDIT_SETTINGS=FOLDER/settings SLURM_CONF=FOLDER/slurm.conf\n{SCRIPT} \"$@\"\ncode=$?\n\
         echo ended >> FOLDER/runs.$SLURMD_NODENAME\nexit $code\n"
    );
    cluster.file("check", cluster.filled(&check).as_bytes(), 0o755);
}

/// Waits until a check that began after this call has ended.
fn wait_for_a_check(cluster: &Cluster, node: &str) {
    let runs = || {
        let text = fs::read_to_string(cluster.path(&format!("runs.{node}")));
        text.unwrap_or_default().lines().count()
    };
    let before = runs();
    cluster.wait_until("two more health checks", || runs() >= before + 2);
}

/// Runs the check by hand.
fn check(cluster: &Cluster, node: &str, arguments: &[&str]) -> Output {
    let mut command = cluster.command(&cluster.path("check"));
    command.env("SLURMD_NODENAME", node).args(arguments);
    command.output().unwrap()
}

fn is_drained(cluster: &Cluster, node: &str) -> bool {
    cluster.field(node, "State").contains("DRAIN")
}

#[test]
fn slurmd_drains_a_node_by_it_and_takes_it_back() {
    // At an interval of 1 s the checks leave the controller no time to ping a node that was taken back.
    let health = "HealthCheckProgram=FOLDER/check\nHealthCheckInterval=4\nHealthCheckNodeState=ANY";
    let Some(cluster) = Cluster::start(health) else {
        return;
    };
    install(&cluster);
    place(&cluster, "n1", "p4d-do-not-match");
    cluster.wait_until("n1 is drained", || is_drained(&cluster, "n1"));
    let reason = cluster.field("n1", "Reason");
    assert!(reason.starts_with(&format!("{MISMATCH} [")), "{reason}");
    assert!(!is_drained(&cluster, "n3"));
    place(&cluster, "n1", "p4d-bound");
    cluster.wait_until("n1 is taken back", || !is_drained(&cluster, "n1"));
    assert_eq!(cluster.field("n1", "Reason"), "");
    // It goes on to be checked.
    wait_for_a_check(&cluster, "n1");
    assert!(!is_drained(&cluster, "n1"));
}

#[test]
fn only_a_mismatch_drains_and_only_its_own_reason_is_taken_back() {
    let Some(cluster) = Cluster::start("") else {
        return;
    };
    install(&cluster);
    let drain = |node: &str, reason: &str| {
        let (node, reason) = (format!("NodeName={node}"), format!("Reason={reason}"));
        cluster.output(&["scontrol", "update", &node, "State=DRAIN", &reason]);
    };
    // Someone else drained n2 before its jobs went wrong.
    drain("n2", "bad disk");
    for node in ["n1", "n2"] {
        place(&cluster, node, "p4d-do-not-match");
        check(&cluster, node, &[]);
    }
    check(&cluster, "n3", &[]);
    let states = || crate::cluster::NODES.map(|node| is_drained(&cluster, node));
    assert_eq!(states(), [true, true, false]);

    // What cannot be judged, and what cannot run, changes nothing.
    for options in ["--nvml-lib /nonexistent", "--nonsense"] {
        for node in ["n1", "n3"] {
            options_of(&cluster, node, options);
            let output = check(&cluster, node, &[]);
            assert!(output.status.success() && !output.stdout.is_empty());
        }
        assert_eq!(states(), [true, true, false], "{options}");
    }

    for node in ["n1", "n2"] {
        place(&cluster, node, "p4d-bound");
        check(&cluster, node, &[]);
    }
    assert_eq!(states(), [false, true, false]);
    let reason = cluster.field("n2", "Reason");
    assert!(reason.starts_with("bad disk ["), "{reason}");

    notes_and_checks(&cluster);
}

/// ACTION=comment, and --check for NHC.
fn notes_and_checks(cluster: &Cluster) {
    act(cluster, "comment");
    cluster.output(&["scontrol", "update", "NodeName=n3", "Comment=rack 7"]);
    for node in ["n1", "n3"] {
        place(cluster, node, "p4d-do-not-match");
        let output = check(cluster, node, &[]);
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains(MISMATCH));
        assert!(!cluster.field(node, "State").contains("DRAIN"));
    }
    assert_eq!(cluster.field("n1", "Comment"), MISMATCH);
    assert_eq!(cluster.field("n3", "Comment"), "rack 7");

    let output = check(cluster, "n1", &["--check"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        format!("{MISMATCH}\n")
    );

    for node in ["n1", "n3"] {
        place(cluster, node, "p4d-bound");
        let output = check(cluster, node, &[]);
        assert_eq!((output.status.code(), output.stdout), (Some(0), Vec::new()));
    }
    assert_eq!(cluster.field("n1", "Comment"), "");
    assert_eq!(cluster.field("n3", "Comment"), "rack 7");

    // A program that does not answer.
    let text = "ACTION=drain\nNUMA_AUDIT=FOLDER/stuck\nSECONDS_AT_MOST=1\n";
    cluster.file("stuck", b"#!/bin/sh\nexec sleep 600\n", 0o755);
    cluster.file("settings", cluster.filled(text).as_bytes(), 0o644);
    let output = check(cluster, "n3", &[]);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "numa-audit: no answer within 1 s\n"
    );
    assert!(!cluster.field("n3", "State").contains("DRAIN"));
}
