//! --quiet: one line, or nothing.

use serde_json::{Value, json};

use crate::machine::{PLACED, Process, Tree, with_trainer};
use crate::program::{fixture, replay, run};

const ASTRAY: Process = Process {
    threads: &[(2, "2-3")],
    numa_maps: Some("7f0000000000 default anon=25600 N1=25600 kernelpagesize_kB=4\n"),
    ..PLACED
};

/// The line and the exit code of an audit.
fn quiet(tree: &Tree, arguments: &[&str]) -> (String, Option<i32>) {
    let run = tree.audit(&[&["--quiet"], arguments].concat());
    assert_eq!(run.stderr, "");
    assert_eq!(
        run.code,
        tree.audit(arguments).code,
        "with and without --quiet"
    );
    (run.stdout, run.code)
}

/// The line of a saved document, after `change`.
fn shown(change: impl FnOnce(&mut Value)) -> String {
    let mut document = replay("p4d-do-not-match", &["--json"]).json();
    change(&mut document);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("saved.json");
    std::fs::write(&file, document.to_string()).unwrap();
    let run = run(["show", "--quiet", file.to_str().unwrap()]);
    assert_eq!(run.stderr, "");
    assert_eq!(run.stdout.lines().count(), 1, "{}", run.stdout);
    run.stdout
}

const LINE: &str = "numa-audit: mismatch: GPU 0: trainer 254 and 4 workers on node 1 (cpu-remote, and 2 more findings)\n";

#[test]
fn the_worst_finding_is_a_line() {
    assert_eq!(replay("p4d-do-not-match", &["--quiet"]).stdout, LINE);
    assert_eq!(shown(|_| {}), LINE);
    let without = |rules: &str| replay("p4d-do-not-match", &["--quiet", "--allow", rules]).stdout;
    assert_eq!(
        without("cpu-remote,pinned-remote"),
        "numa-audit: mismatch: GPU 0: trainer 254 and 4 workers have memory on node 1 (memory-remote)\n"
    );
    assert_eq!(
        without("memory-remote,pinned-remote"),
        "numa-audit: mismatch: GPU 0: trainer 254 and 4 workers on node 1 (cpu-remote)\n"
    );
}

#[test]
fn nothing_is_printed_where_all_is_well() {
    let placed = with_trainer(&PLACED);
    assert_eq!(quiet(&placed, &[]), (String::new(), Some(0)));
    assert_eq!(
        quiet(&placed, &["--fail-on", "at-risk"]),
        (String::new(), Some(0))
    );
}

#[test]
fn the_line_follows_what_fails_the_audit() {
    let unbound = with_trainer(&Process {
        threads: &[(0, "0-3")],
        ..PLACED
    });
    assert_eq!(quiet(&unbound, &[]), (String::new(), Some(0)));
    let (line, code) = quiet(&unbound, &["--fail-on", "at-risk"]);
    assert_eq!(
        line,
        "numa-audit: at-risk: GPU 0: trainer 100 (cpu-unbound)\n"
    );
    assert_eq!(code, Some(1));
    // Without an exit code the line is all that is left of it.
    let (line, code) = quiet(&with_trainer(&ASTRAY), &["--fail-on", "never"]);
    assert!(
        line.starts_with("numa-audit: mismatch: GPU 0: trainer 100 on node 1 (cpu-remote"),
        "{line}"
    );
    assert_eq!(code, Some(0));
}

#[test]
fn what_could_not_be_judged_is_a_line() {
    let mut tree = Tree::new();
    tree.numa_node("-1\n");
    tree.trainer(&PLACED);
    let (line, code) = quiet(&tree, &[]);
    assert_eq!(
        line,
        "numa-audit: incomplete: home node of GPU 0: no source has it: set it with --gpu-node or --topology\n"
    );
    assert_eq!(code, Some(3));
    let tree = with_trainer(&Process {
        numa_maps: None,
        ..PLACED
    });
    let (line, code) = quiet(&tree, &[]);
    assert_eq!(
        line,
        "numa-audit: incomplete: memory of process 100: absent\n"
    );
    assert_eq!(code, Some(3));
    // A mismatch is worse.
    tree.process(&Process {
        numa_maps: None,
        ..ASTRAY
    });
    let (line, code) = quiet(&tree, &[]);
    assert_eq!(
        line,
        "numa-audit: mismatch: GPU 0: trainer 100 on node 1 (cpu-remote)\n"
    );
    assert_eq!(code, Some(1));
}

#[test]
fn a_hostile_document_gives_one_short_harmless_line() {
    let line = shown(|document| {
        let finding = &mut document["findings"][0];
        finding["rule"] = json!(format!("x\n\u{1b}[31m{}", "y".repeat(10_000)));
        finding["gpus"] = json!((0..20_000).step_by(2).collect::<Vec<u32>>());
        finding["evidence"]["cpu_nodes"] = json!((0..2_000).step_by(2).collect::<Vec<u32>>());
    });
    assert!(line.len() < 800 && !line.contains('\u{1b}'), "{line}");
    let line = shown(|document| {
        let finding = &mut document["findings"][0];
        finding["pids"] = json!([]);
        finding["gpus"] = json!([]);
        finding["message"] = json!("a\u{202e}b\r\nc");
        finding["evidence"]["cpu_nodes"] = json!("?");
    });
    assert_eq!(
        line,
        "numa-audit: error: a\\u{202e}b\\r\\nc (cpu-remote, and 2 more findings)\n"
    );
}

#[test]
fn a_machine_that_is_not_as_expected_is_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let golden = folder.path().join("golden.json");
    let golden = golden.to_str().unwrap();
    std::fs::write(golden, replay("p4d-bound", &["topology", "--json"]).stdout).unwrap();
    let quiet = |name| replay(name, &["topology", "--quiet", "--expect", golden]);
    let same = quiet("p4d-bound");
    assert_eq!((same.stdout.as_str(), same.code), ("", Some(0)));
    let other = quiet("p4d-do-not-match");
    assert!(
        other.stdout.starts_with("numa-audit: error: "),
        "{}",
        other.stdout
    );
    assert!(
        other.stdout.contains("(not-as-expected"),
        "{}",
        other.stdout
    );
    assert_eq!((other.stdout.lines().count(), other.code), (1, Some(1)));
}

#[test]
fn what_got_worse_is_a_line() {
    let file = |name| fixture(name).to_str().unwrap().to_owned();
    let (good, bad) = (file("p4d-bound"), file("p4d-do-not-match"));
    let diff = |before: &str, after: &str| run(["diff", "--quiet", before, after]);
    let worse = diff(&good, &bad);
    assert_eq!(
        worse.stdout,
        "numa-audit: worse: trainer 254 is now MISMATCH (and 7 more changes)\n"
    );
    assert_eq!(worse.code, Some(1));
    let same = diff(&bad, &bad);
    assert_eq!((same.stdout.as_str(), same.code), ("", Some(0)));
}
