//! What a machine must equal: `--expect`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use snapbox::str;

use crate::machine::{PLACED, Process, Tree, with_trainer};
use crate::program::{Run, finding, findings_of, fixture, replay};

/// What the file of --expect says of this machine, on disk. The folder has to be kept.
fn golden(tree: &Tree, arguments: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let text = tree.audit(&[arguments, &["--json"]].concat()).stdout;
    written(&text)
}

fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("golden");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn held(tree: &Tree, golden: &Path, arguments: &[&str]) -> Run {
    let golden = golden.to_str().unwrap();
    tree.audit(&[arguments, &["--expect", golden]].concat())
}

/// What is not as expected, by its sentence.
fn unexpected(run: &Run) -> Vec<String> {
    let document = run.json();
    let findings = document["findings"].as_array().unwrap();
    let found = findings.iter().filter(|of| of["rule"] == "not-as-expected");
    let messages = found.map(|of| of["message"].as_str().unwrap().to_owned());
    messages.collect()
}

#[test]
fn a_machine_equals_itself() {
    let tree = with_trainer(&PLACED);
    let (_folder, path) = golden(&tree, &[]);
    let run = held(&tree, &path, &["--json"]);
    assert_eq!(run.code, Some(0));
    assert_eq!(unexpected(&run), [""; 0]);
    for name in ["p4d-bound", "h200x4-mp-spawn", "h200x4-torchrun-forkserver"] {
        let (_folder, path) = written(&replay(name, &["--json"]).stdout);
        let run = replay(name, &["--expect", path.to_str().unwrap(), "--json"]);
        assert_eq!(unexpected(&run), [""; 0], "{name}");
        assert_eq!(run.code, Some(0), "{name}");
    }
}

#[test]
fn a_trainer_that_lost_its_binding() {
    let (_folder, path) = golden(&with_trainer(&PLACED), &[]);
    let loose = with_trainer(&Process {
        pid: 300,
        threads: &[(0, "0-3")],
        ..PLACED
    });
    let run = held(&loose, &path, &[]);
    assert_eq!(run.code, Some(1));
    snapbox::assert_data_eq!(
        findings_of(&run.stdout, "not-as-expected"),
        str![[r#"
error[not-as-expected]: trainer on GPU 0: CPU nodes: 0 expected, 0-1 found; binding: bound expected,
  not bound found; verdict: ok expected, at-risk found
  fix: fix the machine or the job or, if the change is intended, write a new file for --expect

"#]]
    );
    let document = held(&loose, &path, &["--json"]).json();
    let found = serde_json::to_string_pretty(finding(&document, "not-as-expected")).unwrap();
    snapbox::assert_data_eq!(
        found + "\n",
        str![[r#"
{
  "commands": [],
  "evidence": {
    "expected": "CPU nodes: 0; binding: bound; verdict: ok",
    "found": "CPU nodes: 0-1; binding: not bound; verdict: at-risk"
  },
  "gpu": 0,
  "gpus": [
    0
  ],
  "message": "trainer on GPU 0: CPU nodes: 0 expected, 0-1 found; binding: bound expected, not bound found; verdict: ok expected, at-risk found",
  "pids": [
    300
  ],
  "remedy": "fix the machine or the job or, if the change is intended, write a new file for --expect",
  "rule": "not-as-expected",
  "severity": "error"
}

"#]]
    );
    // The same put right.
    let bound = with_trainer(&Process { pid: 300, ..PLACED });
    assert_eq!(held(&bound, &path, &[]).code, Some(0));
    // A rule like any other.
    let allowed = held(&loose, &path, &["--allow", "not-as-expected"]);
    assert_eq!(allowed.code, Some(0));
}

#[test]
fn better_than_expected_is_as_expected_where_it_is_bound_alike() {
    let maps = "7f0000000000 default anon=25600 N0=100 N1=25500 kernelpagesize_kB=4\n";
    let before = with_trainer(&Process {
        numa_maps: Some(maps),
        ..PLACED
    });
    let (_folder, path) = golden(&before, &[]);
    let run = held(&with_trainer(&PLACED), &path, &["--json"]);
    assert_eq!(unexpected(&run), [""; 0]);
    let (_folder, path) = golden(&with_trainer(&PLACED), &[]);
    let run = held(&before, &path, &["--json"]);
    assert_eq!(
        unexpected(&run),
        ["trainer on GPU 0: verdict: ok expected, mismatch found"]
    );
}

#[test]
fn a_machine_of_another_shape() {
    let (_folder, path) = golden(&with_trainer(&PLACED), &["topology"]);
    let tree = with_trainer(&PLACED);
    // Within a percent.
    tree.file(
        "sys/devices/system/node/node0/meminfo",
        "Node 0 MemTotal: 1020 kB\n",
    );
    tree.file("proc/sys/kernel/osrelease", "6.18.0\n");
    let map = |tree: &Tree| held(tree, &path, &["topology", "--json"]);
    assert_eq!(map(&tree).code, Some(0));
    tree.file(
        "sys/devices/system/node/node0/meminfo",
        "Node 0 MemTotal: 1000 kB\n",
    );
    tree.file("sys/devices/system/node/node1/distance", "32 10\n");
    tree.numa_node("1\n");
    let run = map(&tree);
    assert_eq!(run.code, Some(1));
    assert_eq!(
        unexpected(&run),
        [
            "memory of node 0: 1.0 MiB expected, 1000 KiB found",
            "distances of node 1: 21 10 expected, 32 10 found",
            "home node of GPU 0: 0 expected, 1 found",
        ]
    );
    // The map looks at no processes, and misses none.
    let (_folder, path) = golden(&with_trainer(&PLACED), &[]);
    let run = held(&with_trainer(&PLACED), &path, &["topology"]);
    assert_eq!(run.code, Some(0));
}

#[test]
fn what_is_not_known_is_not_as_expected_nor_otherwise() {
    let (_folder, path) = golden(&with_trainer(&PLACED), &[]);
    let tree = with_trainer(&PLACED);
    tree.numa_node("-1\n");
    let run = held(&tree, &path, &["--json"]);
    assert_eq!(run.code, Some(3));
    assert_eq!(unexpected(&run), [""; 0]);
    let document = run.json();
    let what: Vec<&Value> = document["incomplete"]
        .as_array()
        .unwrap()
        .iter()
        .map(|gap| &gap["what"])
        .collect();
    assert!(
        what.contains(&&json!("whether the home node of GPU 0 is as expected")),
        "{what:?}"
    );
    assert_eq!(
        held(&tree, &path, &["topology"]).code,
        Some(3),
        "for the map too"
    );
    // What the file does not know is not asked for.
    let (_folder, path) = golden(&tree, &[]);
    assert_eq!(held(&with_trainer(&PLACED), &path, &[]).code, Some(0));
    assert_eq!(held(&tree, &path, &["topology"]).code, Some(0));
}

#[test]
fn a_rank_that_is_missing() {
    let (_folder, path) = golden(&with_trainer(&PLACED), &[]);
    let empty = Tree::new();
    // The GPU's memory is in use by somebody who is not to be seen: it may be there.
    let run = held(&empty, &path, &["--json"]);
    assert_eq!((run.code, unexpected(&run)), (Some(3), vec![]));
    let mut stranger = Tree::new();
    stranger.process(&Process { pid: 300, ..PLACED });
    stranger.listed(1, 300, "compute", 1 << 30);
    stranger.gpu_memory_used = 1 << 20;
    let run = held(&stranger, &path, &["--json"]);
    assert_eq!(run.code, Some(1));
    assert_eq!(
        unexpected(&run),
        [
            "GPU 1: none expected, NVIDIA A100 0000:90:1c.0 found",
            "trainer on GPU 0: some expected, none found"
        ]
    );
    // Who asks for another GPU's processes alone does not miss it.
    let run = held(&stranger, &path, &["--gpu", "1", "--json"]);
    assert_eq!(
        unexpected(&run),
        ["GPU 1: none expected, NVIDIA A100 0000:90:1c.0 found"]
    );
}

#[test]
fn a_topology_file() {
    let files = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/topology-files");
    let aws = format!("{files}/p4d.xml");
    let run = replay("p4d-bound", &["topology", "--expect", &aws]);
    assert_eq!(run.code, Some(0));
    let tree = with_trainer(&PLACED);
    assert_eq!(held(&tree, Path::new(&aws), &[]).code, Some(0));
    tree.numa_node("1\n");
    let run = held(&tree, Path::new(&aws), &["--json"]);
    assert_eq!(
        unexpected(&run),
        ["home node of GPU 0: 0 expected, 1 found"]
    );
    assert_eq!(run.code, Some(1));
    // One that does not tell of these GPUs.
    let azure = format!("{files}/ndv4.xml");
    let run = replay("p4d-bound", &["topology", "--expect", &azure]);
    assert_eq!(run.code, Some(3));
}

#[test]
fn what_is_neither_is_refused() {
    let fine = fixture("p4d-bound");
    for (text, why) in [
        ("", "not a JSON object, so not a document of numa-audit"),
        (
            "<html/>",
            "<html> is neither NCCL's <system> nor hwloc's <topology>",
        ),
        (
            r#"{"schema_version": 2}"#,
            "it has schema_version 2, and this program reads 1",
        ),
    ] {
        let (_folder, path) = written(text);
        let mut command = crate::program::program();
        command
            .arg("--snapshot")
            .arg(&fine)
            .arg("--expect")
            .arg(&path);
        let run = Run::from(command.output().unwrap());
        run.fails_with(&format!(
            "cannot use {} as what is expected: {why}",
            path.display()
        ));
    }
}

/// All text of the file may be anybody's.
#[test]
fn a_hostile_file_is_shown_harmlessly() {
    let evil = "\u{1b}[31m\n\u{202e}x";
    let tree = with_trainer(&PLACED);
    let mut document = tree.audit(&["--json"]).json();
    document["topology"]["gpus"][0]["name"] = json!(evil);
    document["processes"][0]["memory"]["policy"] = json!(evil);
    let (_folder, path) = written(&document.to_string());
    for arguments in [&[][..], &["topology"]] {
        let run = held(&tree, &path, arguments);
        assert_eq!(run.code, Some(1));
        let is_harmless =
            |letter: char| letter == '\n' || !(letter.is_control() || letter == '\u{202e}');
        assert!(run.stdout.chars().all(is_harmless), "{}", run.stdout);
        assert!(
            run.stdout
                .contains("name of GPU 0: \\u{1b}[31m\\n\\u{202e}x expected"),
            "{}",
            run.stdout
        );
    }
}
