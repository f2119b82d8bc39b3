//! Saved documents: `show`, CSV, and `-` for standard input.

use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};
use snapbox::str;

use crate::live::{NO_DRIVER, Sleeper};
use crate::machine::{PLACED, Process, with_trainer};
use crate::program::{Run, fixture, main_table, program, replay, run};

const FIXTURES: [&str; 5] = [
    "p4d-do-not-match",
    "p4d-bound",
    "h200x4-mp-spawn",
    "h200x4-torchrun-forkserver",
    "h200x2-mp-spawn",
];

/// The program with this text as its standard input.
fn with_input(arguments: &[&str], input: &str) -> Run {
    at_width(100, arguments, input)
}

/// The same in a terminal of this width.
fn at_width(columns: u16, arguments: &[&str], input: &str) -> Run {
    let mut command = program();
    command.args(arguments).stdin(Stdio::piped());
    command.env("COLUMNS", columns.to_string());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // It may have ended already.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().unwrap().into()
}

#[test]
fn a_saved_audit_looks_like_the_audit() {
    for name in FIXTURES {
        let saved = replay(name, &["--json"]);
        for arguments in [&[][..], &["--all"], &["--json"], &["--csv"]] {
            let shown = with_input(&[&["show", "-"], arguments].concat(), &saved.stdout);
            let audit = replay(name, arguments);
            assert_eq!(shown.stdout, audit.stdout, "{name} {arguments:?}");
            assert_eq!(shown.code, audit.code, "{name} {arguments:?}");
        }
        let saved = replay(name, &["topology", "--json"]);
        let shown = with_input(&["show", "-"], &saved.stdout);
        assert_eq!(shown.stdout, replay(name, &["topology"]).stdout, "{name}");
        assert_eq!(shown.code, Some(0), "{name}");
    }
}

#[test]
fn a_saved_audit_of_a_live_machine_over_time_is_shown() {
    let sleeper = Sleeper::new();
    let pid = sleeper.pid();
    let arguments = ["--json", "--for", "200ms", "--pid", &pid];
    let saved = run(NO_DRIVER.iter().copied().chain(arguments));
    let shown = with_input(&["show", "-", "--json"], &saved.stdout);
    assert_eq!(shown.stdout, saved.stdout);
    assert_eq!(shown.code, saved.code);
    let table = with_input(&["show", "-"], &saved.stdout).stdout;
    assert!(table.contains("\nObserved for "), "{table}");
    assert!(table.contains(&format!(" {pid} ")), "{table}");
}

/// A made-up window in the document of a recorded machine.
fn with_window(seconds: f64) -> Value {
    let tree = with_trainer(&Process {
        threads: &[(0, "0-3")],
        ..PLACED
    });
    for pid in [101, 102] {
        tree.process(&Process {
            pid,
            ppid: 100,
            name: "pt_data_worker",
            ..PLACED
        });
    }
    let mut document = tree.audit(&["--json"]).json();
    document["window"] = json!({
        "seconds": seconds, "asked_seconds": 10.0, "looks": 100,
        "node_counters": {
            "0": {"numa_hit": 9000, "numa_miss": 12, "numa_foreign": 0, "other_node": 512},
            "1": {"numa_hit": 7, "other_node": 0},
        },
        "vmstat": {"numa_hint_faults": 700, "numa_pages_migrated": 25_600},
    });
    let spent = [json!({"0": 1.7, "1": 5.81}), json!({"0": 3.0}), json!({})];
    let processes = document["processes"].as_array_mut().unwrap();
    for (process, spent) in processes.iter_mut().zip(spent) {
        process["cpu"]["window"] =
            json!({"cpu_seconds_by_node": spent, "migrations": 14, "threads_moved": 1});
    }
    document
}

#[test]
fn a_window_is_in_the_head_and_in_the_column_of_cpus() {
    let document = with_window(10.004).to_string();
    let narrow = at_width(80, &["show", "-"], &document).stdout;
    snapbox::assert_data_eq!(
        main_table(&narrow),
        str![[r#"
GPU ROLE      PID     RANK GPU  CPU    CPUS MEM     MEMORY BY NODE   VERDICT
                           NODE NODE        BINDING
0   trainer   100     -    0    1: 77% 0-3  [0, 1]  0: 100% 100 MiB  at-risk
                                0: 23%
0   worker ×2 101-102 -    0    0      0-1  [0, 1]  0: 100% ≤100 MiB ok

"#]]
    );
    let head: Vec<&str> = narrow.lines().skip(2).take(3).collect();
    snapbox::assert_data_eq!(
        head.join("\n"),
        str![[r#"
Observed for 10 s, 100 times
Pages allocated meanwhile: node 0 numa_miss 12, other_node 512
NUMA balancing meanwhile: numa_pages_migrated 25600, numa_hint_faults 700
"#]]
    );
    let wide = at_width(200, &["show", "-"], &document).stdout;
    snapbox::assert_data_eq!(
        main_table(&wide),
        str![[r#"
 GPU  ROLE       PID      USER  RANK  GPU NODE  CPU NODE  CPUS  MEM BINDING  MEMORY BY NODE    VERDICT  NAME            TASK                 KNOWN BY  KINDS OF MEMORY
 0    trainer    100      7     -     0         1: 77%    0-3   [0, 1]       0: 100% 100 MiB   at-risk  python3                              nvml      anonymous 100 MiB
                                                0: 23%
 0    worker ×2  101-102  7     -     0         0         0-1   [0, 1]       0: 100% ≤100 MiB  ok       pt_data_worker  PyTorch data loader  ancestor  anonymous 100 MiB

"#]]
    );
    let interrupted = with_input(&["show", "-"], &with_window(3.2).to_string()).stdout;
    assert!(
        interrupted.contains("\nObserved for 3.2 s of 10 s (interrupted), 100 times\n"),
        "{interrupted}"
    );
}

/// A document as version 0.1.0 wrote it.
fn without_additions(mut document: Value) -> Value {
    fn remove(object: &mut Value, keys: &[&str]) {
        let object = object.as_object_mut().unwrap();
        object.retain(|key, _| !keys.contains(&key.as_str()));
    }
    for gpu in document["topology"]["gpus"].as_array_mut().unwrap() {
        remove(gpu, &["in_scope", "processes_known"]);
    }
    for process in document["processes"].as_array_mut().unwrap() {
        remove(process, &["job_group"]);
    }
    for finding in document["findings"].as_array_mut().unwrap() {
        remove(finding, &["note"]);
    }
    document
}

#[test]
fn what_an_older_version_did_not_write_is_unknown() {
    let document = without_additions(replay("p4d-bound", &["--json"]).json());
    let shown = with_input(&["show", "-"], &document.to_string());
    assert_eq!(shown.code, Some(0));
    assert!(
        shown.stdout.contains("home node 0 (sysfs): processes ?"),
        "{}",
        shown.stdout
    );
    assert!(shown.stdout.contains("; it does not") || shown.stdout.contains("fix: "));
}

#[test]
fn the_exit_code_is_that_of_the_map_that_was_saved() {
    let tree = with_trainer(&PLACED);
    let folder = tempfile::tempdir().unwrap();
    let map = folder.path().join("map");
    std::fs::write(&map, tree.audit(&["topology", "--json"]).stdout).unwrap();
    let expect = ["topology", "--json", "--expect", map.to_str().unwrap()];
    for (node, code) in [("0\n", 0), ("1\n", 1), ("-1\n", 3)] {
        tree.numa_node(node);
        let compared = tree.audit(&expect);
        assert_eq!(compared.code, Some(code));
        assert_eq!(
            with_input(&["show", "-"], &compared.stdout).code,
            Some(code)
        );
    }
}

#[test]
fn all_text_of_a_saved_document_is_harmless() {
    let evil = "\u{1b}[31m\n\u{202e}x";
    let mut document = replay("p4d-do-not-match", &["--json"]).json();
    fn poison(value: &mut Value, evil: &str) {
        match value {
            Value::String(text) => *text = evil.to_owned(),
            Value::Array(values) => values.iter_mut().for_each(|of| poison(of, evil)),
            Value::Object(values) => {
                let typed = ["pci_bus_id", "cpus", "affinity", "cpuset"];
                let others = values.iter_mut();
                let others = others.filter(|(key, _)| !typed.contains(&key.as_str()));
                others.for_each(|(_, of)| poison(of, evil));
            }
            _ => {}
        }
    }
    poison(&mut document, evil);
    let document = document.to_string();
    for arguments in [
        &["show", "-"][..],
        &["show", "-", "--all"],
        &["show", "-", "--csv"],
    ] {
        let run = with_input(arguments, &document);
        assert_ne!(run.code, Some(2), "{}", run.stderr);
        let acts = |letter: char| (letter.is_control() && letter != '\n') || letter == '\u{202e}';
        assert!(!run.stdout.contains(acts), "{}", run.stdout);
    }
}

#[test]
fn diff_and_expect_read_standard_input() {
    let before = replay("p4d-do-not-match", &["--json"]).stdout;
    let after = fixture("p4d-bound");
    let arguments = ["diff", "-", after.to_str().unwrap()];
    let run = with_input(&arguments, &before);
    assert_eq!(run.code, Some(0));
    assert!(run.stdout.contains("MISMATCH → ok"), "{}", run.stdout);
    let same = fixture("p4d-do-not-match");
    let arguments = [
        "--snapshot",
        same.to_str().unwrap(),
        "--json",
        "--expect",
        "-",
    ];
    let run = with_input(&arguments, &before);
    assert_eq!(run.json()["expectation"], "met");
}

#[test]
fn other_input_is_refused() {
    let run = with_input(&["show", "-"], "[]");
    run.fails_with(
        "cannot use standard input as an audit: not a JSON object, so not a document of numa-audit",
    );
}

#[test]
fn csv_has_a_row_for_each_process() {
    let mut document = replay("p4d-bound", &["--json"]).json();
    document["processes"][0]["name"] = json!("=HYPERLINK(\"x\")");
    document["processes"][1]["command"] = json!("a,b\n\"c\"");
    let text = with_input(&["show", "-", "--csv"], &document.to_string()).stdout;
    let mut rows = csv::Reader::from_reader(text.as_bytes());
    let headers = rows.headers().unwrap().clone();
    let column = |name: &str| headers.iter().position(|header| header == name).unwrap();
    let records: Vec<csv::StringRecord> = rows.records().map(Result::unwrap).collect();
    let processes = document["processes"].as_array().unwrap();
    assert_eq!(records.len(), processes.len());
    for (record, process) in records.iter().zip(processes) {
        assert_eq!(record[column("pid")], process["pid"].to_string());
        assert_eq!(
            record[column("cpu_verdict")],
            *process["cpu"]["verdict"].as_str().unwrap_or("")
        );
        let node = process["memory"]["by_node_bytes"]["0"]
            .as_u64()
            .unwrap_or(0);
        assert_eq!(record[column("node_0_bytes")], node.to_string());
    }
    assert_eq!(records[0][column("name")], *"'=HYPERLINK(\"x\")");
    assert_eq!(records[1][column("command")], *"a,b\\n\"c\"");
}

#[test]
fn unknown_cells_of_csv_are_empty() {
    let tree = with_trainer(&Process {
        numa_maps: None,
        ..PLACED
    });
    let text = tree.audit(&["--csv"]).stdout;
    let mut rows = csv::Reader::from_reader(text.as_bytes());
    let headers = rows.headers().unwrap().clone();
    let record = rows.records().next().unwrap().unwrap();
    for name in ["memory_bytes", "node_0_bytes", "local_fraction"] {
        let at = headers.iter().position(|header| header == name).unwrap();
        assert_eq!(&record[at], "", "{name}");
    }
}
