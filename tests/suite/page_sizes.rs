//! Recordings of machines whose pages are not of 4 KiB: a kernel for arm64 may have pages of 64 KiB, with huge pages of 2 MiB and
//! 512 MiB. Such a recording is read on a machine with other pages.

use std::process::Command;

use serde_json::{Value, json};

use crate::machine::{PLACED, Process, Tree, with_trainer};
use crate::program::{Run, finding, fixture, of_role, program, replay};

/// Anonymous, pinned, shared and huge memory, and a file.
const MAPS: &str = "aaaac0000000 default anon=1600 dirty=1600 active=0 N0=1600 kernelpagesize_kB=64\n\
                    ffff80000000 default file=/dev/zero\\040(deleted) dirty=320 active=0 N0=192 N1=128 kernelpagesize_kB=64\n\
                    ffff90000000 default file=/memfd:torch\\040(deleted) dirty=33 N1=33 kernelpagesize_kB=64\n\
                    ffffa0000000 default file=/anon_hugepage\\040(deleted) huge anon=3 dirty=3 N0=3 kernelpagesize_kB=2048\n\
                    ffffc0000000 default file=/anon_hugepage\\040(deleted) huge anon=1 dirty=1 N0=1 kernelpagesize_kB=524288\n\
                    ffffe0000000 default file=/usr/lib/libc.so.6 mapped=27 N1=27 kernelpagesize_kB=64\n";

const PAGE: u64 = 64 << 10;
const MIB: u64 = 1 << 20;

/// A trainer on node 0 of a machine with pages of 64 KiB.
fn recorded(maps: &str) -> Tree {
    let tree = with_trainer(&Process {
        numa_maps: Some(maps),
        ..PLACED
    });
    tree.file("proc/sys/kernel/osrelease", "6.12.117+deb13-arm64-64k\n");
    tree
}

#[test]
fn each_line_has_its_own_page_size() {
    let tree = recorded(MAPS);
    let document = tree.judges("ok", "ok", 0);
    let memory = &of_role(&document, "trainer")[0]["memory"];
    assert_eq!(
        memory["by_kind"],
        json!({
            "anonymous": {"0": 1600 * PAGE},
            "pinned": {"0": 192 * PAGE, "1": 128 * PAGE},
            "shared": {"1": 33 * PAGE},
            "huge": {"0": 518 * MIB},
            "file": {"1": 27 * PAGE},
        })
    );
    assert_eq!(
        memory["by_node_bytes"],
        json!({"0": (1600 + 192) * PAGE + 518 * MIB, "1": (128 + 33) * PAGE})
    );
}

/// A recorded machine whose small pages are 16 times as large: every process has 16 times the memory, and a script that shares
/// no code with the program agrees.
#[test]
fn a_recording_is_read_in_its_own_page_size() {
    let folder = tempfile::tempdir().unwrap();
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(fixture("p4d-do-not-match"));
    let unpacked = tar.arg("-C").arg(folder.path()).status().unwrap();
    assert!(unpacked.success());
    let tree = folder.path().join("p4d-do-not-match");
    for process in std::fs::read_dir(tree.join("proc")).unwrap() {
        let file = process.unwrap().path().join("numa_maps");
        let Ok(text) = std::fs::read_to_string(&file) else {
            continue;
        };
        let text = text.replace("kernelpagesize_kB=4\n", "kernelpagesize_kB=64\n");
        std::fs::write(&file, text).unwrap();
    }
    let mut command = program();
    command.arg("--json").arg("--snapshot").arg(&tree);
    let run: Run = command.output().unwrap().into();
    let (small, large) = (replay("p4d-do-not-match", &["--json"]).json(), run.json());
    let sizes = |document: &Value| {
        let processes = document["processes"].as_array().unwrap().iter();
        let of = processes.map(|process| process["memory"]["by_node_bytes"]["1"].as_u64().unwrap());
        of.collect::<Vec<_>>()
    };
    let expected: Vec<u64> = sizes(&small).iter().map(|bytes| bytes * 16).collect();
    assert_eq!((expected.len(), sizes(&large)), (6, expected));
    let report = folder.path().join("report.json");
    std::fs::write(&report, run.stdout).unwrap();
    let mut command = Command::new("python3");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle.py"));
    let output = command.arg(&tree).arg(&report).output();
    let output = output.expect("python3, which README names, is installed");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The limits are in bytes: 16 MiB are 256 pages.
#[test]
fn the_limit_of_remote_memory_is_the_same_in_larger_pages() {
    let remote = |pages: u64| format!("aaaac0000000 default N1={pages} kernelpagesize_kB=64\n");
    recorded(&remote(256)).judges("ok", "ok", 0);
    recorded(&remote(257)).judges("ok", "mismatch", 1);
    let large = |pages: u64| format!("aaaac0000000 default N1={pages} kernelpagesize_kB=524288\n");
    recorded(&large(1)).judges("ok", "mismatch", 1);
}

#[test]
fn huge_pages_move_only_into_free_ones_whatever_their_size() {
    let tree = recorded(
        "ffffc0000000 default file=/anon_hugepage\\040(deleted) huge anon=2 dirty=2 N1=2 kernelpagesize_kB=524288\n",
    );
    let pool = |free: u32| {
        let folder = "sys/devices/system/node/node0/hugepages/hugepages-524288kB";
        tree.file(&format!("{folder}/nr_hugepages"), "2\n");
        tree.file(&format!("{folder}/free_hugepages"), &format!("{free}\n"));
    };
    pool(1);
    let document = tree.judges("ok", "mismatch", 1);
    let remote = finding(&document, "memory-remote");
    assert_eq!(remote["commands"], json!([]), "{remote}");
    let note = remote["note"].as_str().unwrap();
    assert!(note.contains("node 0 has 512 MiB of them"), "{note}");
    assert_eq!(
        document["topology"]["nodes"][0]["huge_pages"],
        json!([{"page_bytes": 512 * MIB, "total": 2, "free": 1}])
    );
    pool(2);
    let document = tree.judges("ok", "mismatch", 1);
    assert_eq!(
        finding(&document, "memory-remote")["commands"],
        json!(["migratepages 100 1 0"])
    );
}

/// Version 1 counts pages, and a recording does not say how large they are: it could be any of 4, 16 and 64 KiB.
#[test]
fn pages_of_unknown_size_are_not_counted() {
    let tree = recorded("");
    let group = |version, file: &str, text: &str| {
        tree.file("proc/100/cgroup", version);
        tree.file(&format!("sys/fs/cgroup/{file}/memory.numa_stat"), text);
        tree.file(
            "snapshot.json",
            "{\"format\": 1, \"denied\": [\"proc/100/numa_maps\"]}",
        );
        let document = tree.audit_as_recorded(&["--json"]).json();
        document["processes"][0]["memory"]["group_by_node_bytes"].clone()
    };
    let in_pages = "hierarchical_anon=1600 N0=1600 N1=0\n";
    assert_eq!(
        group("4:memory:/job\n", "memory/job", in_pages),
        Value::Null
    );
    let in_bytes = "anon N0=104857600 N1=0\n";
    assert_eq!(
        group("0::/job\n", "job", in_bytes),
        json!({"0": 1600 * PAGE})
    );
}
