//! `fleet`: many machines in one view.

use std::fs;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::LazyLock;

use serde_json::{Value, json};
use snapbox::str;

use crate::machine::{PLACED, Process, Tree, with_trainer};
use crate::program::{Run, ends, fixture, program, run};

/// Bound to the other node, with its memory there.
const MISPLACED: Process = Process {
    threads: &[(2, "2-3")],
    numa_maps: Some("7f0000000000 bind:1 anon=25600 N1=25600 kernelpagesize_kB=4\n"),
    ..PLACED
};

static GOOD: LazyLock<Value> = LazyLock::new(|| with_trainer(&PLACED).audit(&["--json"]).json());
static BAD: LazyLock<Value> = LazyLock::new(|| with_trainer(&MISPLACED).audit(&["--json"]).json());

/// The document of a machine with this name, which has a rank of job 7.
fn machine(document: &Value, host: &str, rank: u32) -> Value {
    let mut document = document.clone();
    document["host"]["hostname"] = json!(host);
    document["host"]["recorded_at"] = json!("2026-11-22T07:00:00Z");
    document["host"]["driver_version"] = json!("570.133.20");
    let process = &mut document["processes"][0];
    process["rank"] = json!(rank);
    process["scheduler_jobs"] = json!([{"scheduler": "Slurm", "id": "7", "source": "cgroup"}]);
    document
}

fn good(host: &str, rank: u32) -> Value {
    machine(&GOOD, host, rank)
}

fn bad(host: &str, rank: u32) -> Value {
    machine(&BAD, host, rank)
}

fn pretty(document: &Value) -> String {
    serde_json::to_string_pretty(document).unwrap() + "\n"
}

/// A folder of files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn fleet(paths: &[&Path], arguments: &[&str]) -> Run {
    let mut command = program();
    command.arg("fleet").args(arguments).args(paths);
    command.output().unwrap().into()
}

fn of_folder(files: &[(&str, &str)], arguments: &[&str]) -> Run {
    let folder = folder(files);
    let run = fleet(&[folder.path()], arguments);
    // Its name is another one each time.
    let name = folder.path().display().to_string();
    Run {
        stdout: run.stdout.replace(&name, "DIR"),
        ..run
    }
}

fn of_input(input: &str, arguments: &[&str]) -> Run {
    let mut child = start(arguments);
    let mut stdin = child.stdin.take().unwrap();
    // It may have ended already.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().unwrap().into()
}

fn start(arguments: &[&str]) -> Child {
    let mut command = program();
    command.arg("fleet").args(arguments).arg("-");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn names(list: &Value) -> Vec<&str> {
    let entries = list.as_array().unwrap();
    entries
        .iter()
        .map(|of| of["name"].as_str().unwrap())
        .collect()
}

#[test]
fn a_fleet_is_one_screen() {
    let mut odd = good("node10", 3);
    odd["topology"]["gpus"][0]["home_nodes"] = json!([1]);
    odd["host"]["driver_version"] = json!("535.1");
    let all = [good("node01", 0), good("node02", 1), bad("node03", 2), odd];
    let text: String = all.iter().map(pretty).collect();
    let files = [("a.json", text.as_str()), ("b.jsonl", "[]"), ("x.err", "")];
    let run = of_folder(&files, &["--hosts", "node[01-03,10-12]"]);
    snapbox::assert_data_eq!(
        run.stdout,
        str![[r#"
 MACHINE         COUNT  VERDICT   PROCESSES  MISMATCH  WHAT IS WRONG
 node03          1      MISMATCH  1          1         GPU 0: cpu-remote, memory-remote,
                                                       policy-remote
 node[01-02,10]  3      ok        3          0         -

Jobs
 JOB      VERDICT   MACHINES        RANKS  PROCESSES  MISMATCH  NOT OK ON
 Slurm 7  MISMATCH  node[01-03,10]  0-3    4          1         node03: ranks 2

Machines with NVIDIA A100: node[01-03,10] (4): not alike
  NVIDIA driver: 570.133.20 on 3 machines; 535.1 on node10
  home node of GPU 0: 0 on 3 machines; 1 on node10

missing: no document of node[11-12] (2)
unreadable: DIR/b.jsonl: it is not a JSON object, so not a document of numa-audit
note: files in folders with other names, not read: 1

4 machines: 1 wrong, 0 not judged completely, 3 without a mismatch; 2 missing; 1 unreadable
4 processes: 3 ok, 0 at risk, 1 mismatched, 0 unknown

"#]]
    );
    assert_eq!(run.code, Some(1));
}

#[test]
fn the_exit_code_is_that_of_the_worst_machine() {
    let code = |documents: &[Value], arguments: &[&str]| {
        let text: String = documents.iter().map(pretty).collect();
        of_input(&text, arguments).code
    };
    let mut open = good("c", 2);
    open["summary"]["complete"] = json!(false);
    assert_eq!(code(&[good("a", 0)], &[]), Some(0));
    assert_eq!(code(&[good("a", 0), open.clone()], &[]), Some(3));
    assert_eq!(code(&[bad("b", 1), open.clone()], &[]), Some(1));
    assert_eq!(code(&[bad("b", 1)], &["--fail-on", "never"]), Some(0));
    assert_eq!(code(&[good("a", 0)], &["--hosts", "a,b"]), Some(3));
    assert_eq!(code(&[good("a.x.org", 0)], &["--hosts", "a"]), Some(0));
    assert_eq!(code(&[], &[]), Some(2));
}

#[test]
fn what_cannot_run_says_why() {
    of_input("hello", &[]).fails_with(
        "no document could be read: standard input: it is not a JSON object, so not a document of numa-audit",
    );
    of_input("", &[]).fails_with("no document could be read: standard input: it is empty");
    let twice = ["fleet", "-", "-"];
    run(twice).fails_with("standard input (-) can be read once only");
    let missing = run(["fleet", "/does/not/exist.json"]);
    missing.fails_with(
        "no document could be read: /does/not/exist.json: No such file or directory (os error 2)",
    );
    let list = run(["fleet", "--hosts", "n[1-", "-"]);
    assert_eq!(list.code, Some(2));
    assert!(
        list.stderr.contains("not a list of hosts"),
        "{}",
        list.stderr
    );
}

#[test]
fn broken_documents_are_named_and_the_rest_goes_on() {
    let (one, two) = (pretty(&good("a", 0)), pretty(&good("b", 1)));
    let cut: String = one
        .lines()
        .take(20)
        .map(|line| format!("{line}\n"))
        .collect();
    let future = "{\n  \"schema_version\": 9\n}\n";
    let text = format!("{cut}{one}numa-audit: broken pipe\n{future}{two}{cut}");
    let length = |text: &str| text.lines().count();
    let document = of_input(&text, &["--json"]).json();
    assert_eq!(names(&document["machines"]), ["a", "b"]);
    let broken = document["unreadable"].as_array().unwrap();
    let broken: Vec<(usize, &str)> = broken
        .iter()
        .map(|of| {
            let line = of["source"]["line"].as_u64().unwrap();
            (
                usize::try_from(line).unwrap(),
                of["reason"].as_str().unwrap(),
            )
        })
        .collect();
    let noise = 20 + length(&one) + 1;
    assert_eq!(
        broken,
        [
            (1, "it is cut: another document begins inside it"),
            (
                noise,
                "it is not a JSON object, so not a document of numa-audit"
            ),
            (
                noise + 1,
                "it has schema_version 9, and this program reads 1"
            ),
            (noise + 4 + length(&two), "it is cut: its end is missing"),
        ]
    );
    assert_eq!(of_input(&text, &[]).code, Some(3));
}

#[test]
fn the_lines_of_srun_are_put_together() {
    let texts = [good("a", 0), bad("b", 1), good("c", 2)].map(|document| pretty(&document));
    let mut lines = texts.each_ref().map(|text| text.lines().peekable());
    let mut mixed = String::new();
    while lines.iter_mut().any(|lines| lines.peek().is_some()) {
        for (lines, label) in lines.iter_mut().zip(0..) {
            // As many at a time as the label says, so that they are not in step.
            for line in lines.take(label + 1) {
                mixed += &format!("{label:2}: {line}\n");
            }
        }
    }
    let run = of_input(&mixed, &["--json"]);
    let document = run.json();
    assert_eq!(names(&document["machines"]), ["b", "a", "c"]);
    assert_eq!(document["unreadable"], json!([]));
    assert_eq!(document["machines"][0]["source"]["label"], "1");
    assert_eq!(run.code, Some(1));
    // One line for each document, cut as srun cuts it.
    let mut cut = String::new();
    for (document, label) in [good("a", 0), bad("b", 1)].iter().zip(["0", "1"]) {
        for part in document.to_string().as_bytes().chunks(1024) {
            cut += &format!("{label}: {}\n", std::str::from_utf8(part).unwrap());
        }
    }
    let document = of_input(&cut, &["--json"]).json();
    assert_eq!(names(&document["machines"]), ["b", "a"]);
    assert_eq!(document["unreadable"], json!([]));
}

#[test]
fn of_two_documents_of_one_host_the_later_audit_counts() {
    let at = |mut document: Value, time: &str| {
        document["host"]["recorded_at"] = json!(time);
        pretty(&document)
    };
    let old = at(bad("a", 0), "2026-11-22T07:00:00Z");
    let new = at(good("a", 0), "2026-11-22T07:00:01Z");
    let mut map = good("a", 0);
    for field in ["processes", "summary"] {
        map.as_object_mut().unwrap().remove(field);
    }
    let map = at(map, "2026-11-23T00:00:00Z");
    let files = [("1.json", &*new), ("2.json", &*map), ("3.json", &*old)];
    let document = of_folder(&files, &["--json"]).json();
    assert_eq!(document["machines"].as_array().unwrap().len(), 1);
    assert_eq!(document["machines"][0]["verdict"], "ok");
    let duplicate = &document["duplicates"][0];
    assert_eq!(
        (&duplicate["machine"], &duplicate["documents"]),
        (&json!("a"), &json!(3))
    );
    assert_eq!(duplicate["counted"]["file"], "DIR/1.json");
    let others = duplicate["others"].as_array().unwrap();
    let others: Vec<&Value> = others.iter().map(|of| &of["file"]).collect();
    assert_eq!(others, ["DIR/2.json", "DIR/3.json"]);
}

#[test]
fn every_machine_is_compared_with_what_is_expected() {
    let mut other = good("b", 1);
    other["settings"]["numa_balancing"] = json!(1);
    let mut golden = GOOD.clone();
    golden["settings"]["numa_balancing"] = json!(0);
    let mut like = good("a", 0);
    like["settings"]["numa_balancing"] = json!(0);
    golden.as_object_mut().unwrap().remove("processes");
    let text = pretty(&other) + &pretty(&like);
    let folder = folder(&[("golden", &pretty(&golden))]);
    let golden = folder.path().join("golden");
    let run = of_input(&text, &["--json", "--expect", golden.to_str().unwrap()]);
    let document = run.json();
    assert_eq!(names(&document["machines"]), ["b", "a"]);
    assert_eq!(
        document["machines"][0]["findings"][0]["rule"],
        "not-as-expected"
    );
    assert_eq!(document["machines"][1]["findings"], json!([]));
    assert_eq!(run.code, Some(1));
}

#[test]
fn recordings_are_audited() {
    let tree: Tree = with_trainer(&MISPLACED);
    tree.audit(&[]);
    let archive = fixture("p4d-bound");
    let run = fleet(&[tree.folder.path(), &archive], &["--json"]);
    let document = run.json();
    assert_eq!(names(&document["machines"]), ["made-up", "numa-vm"]);
    assert_eq!(run.code, Some(1));
    let alone = fleet(&[&archive], &["--json"]).json();
    let machine = |document: &Value, at: usize| document["machines"][at].clone();
    assert_eq!(machine(&document, 1), machine(&alone, 0));
}

#[test]
fn hostile_documents_cost_little_and_act_on_no_terminal() {
    let mut named = bad("a\u{1b}[31m,b[1-9]\u{202e}", 0);
    named["processes"][0]["scheduler_jobs"][0]["id"] = json!("7\u{1b}]0;x\u{7}");
    named["findings"][0]["rule"] = json!("x".repeat(1 << 20));
    named["topology"]["gpus"][0]["name"] = json!("GPU\u{9b}2J");
    named["summary"]["mismatch"] = json!(u64::MAX);
    named["summary"]["processes"] = json!(u64::MAX);
    let mut long = good(&"h".repeat(1 << 20), 1);
    long["host"]["kernel"] = json!("k".repeat(1 << 20));
    let documents = [
        pretty(&named),
        pretty(&long),
        format!(
            "{{\"schema_version\": 1, \"topology\": {}\n",
            "[".repeat(3 << 20)
        ),
        format!(
            "{{\"schema_version\": 1, \"topology\": {{}}, \"processes\": [{}]}}\n",
            "{\"pid\":1},".repeat(1 << 20)
        ),
        format!(
            "{{\n\"schema_version\": 1, \"x\": \"{}\"}}\n",
            "x".repeat(20 << 20)
        ),
        pretty(&good("last", 2)),
    ];
    let text = documents.concat();
    let run = ends(|| of_input(&text, &[]));
    assert_eq!(run.code, Some(1));
    let acts =
        |letter: char| letter.is_control() && letter != '\n' || "\u{202e}\u{9b}".contains(letter);
    assert!(!run.stdout.contains(acts), "{}", run.stdout);
    assert!(run.stdout.len() < 8000, "{}", run.stdout.len());
    let document = of_input(&text, &["--json"]);
    assert!(document.stdout.len() < 20_000, "{}", document.stdout.len());
    let document = document.json();
    assert_eq!(document["summary"]["machines"], 3);
    let unreadable = document["unreadable"].as_array().unwrap();
    let reasons: Vec<&str> = unreadable
        .iter()
        .map(|of| of["reason"].as_str().unwrap())
        .collect();
    let many = "it has more than 100000 objects or 2000000 values";
    assert_eq!(reasons, [many, many, "it is larger than 16 MiB"]);
}

/// The most memory that a running process had, in MiB.
fn peak(child: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
}

const MACHINES: u32 = 1000;

/// The document of a machine with 100 processes: the host's name is NODE.
fn large() -> String {
    let mut document = good("NODE", 0);
    let process = document["processes"][0].clone();
    let processes = (0..100).map(|number| {
        let mut process = process.clone();
        process["pid"] = json!(100 + number);
        process["rank"] = json!(number);
        process["role"] = json!(if number < 8 { "trainer" } else { "worker" });
        process["command"] = json!(format!(
            "python3 train.py --number {number} {}",
            "x".repeat(200)
        ));
        process
    });
    document["processes"] = Value::Array(processes.collect());
    document["summary"]["processes"] = json!(100);
    document["summary"]["ok"] = json!(100);
    pretty(&document)
}

/// Runs the program on what is written; gives its output and its peak memory in MiB.
fn measured(write: impl FnOnce(&mut dyn Write)) -> (Value, u64) {
    let mut child = start(&["--json"]);
    let mut stdin = BufWriter::with_capacity(1 << 20, child.stdin.take().unwrap());
    write(&mut stdin);
    stdin.flush().unwrap();
    drop(stdin);
    // It has read all, and its output does not fit into the pipe: it waits.
    let mut stdout = child.stdout.take().unwrap();
    let mut text = vec![0; 1];
    stdout.read_exact(&mut text).unwrap();
    let peak = peak(&child);
    stdout.read_to_end(&mut text).unwrap();
    assert!(text.len() > 2 * (64 << 10), "{}", text.len());
    child.wait().unwrap();
    (serde_json::from_slice(&text).unwrap(), peak)
}

#[test]
fn a_thousand_machines_take_little_memory() {
    let text = large();
    let (document, peak) = ends(|| {
        measured(|to| {
            for number in 0..MACHINES {
                let text = text.replace("NODE", &format!("node{number:04}"));
                to.write_all(text.as_bytes()).unwrap();
            }
        })
    });
    let summary = &document["summary"];
    assert_eq!(summary["machines"], MACHINES);
    assert_eq!(summary["processes"]["ok"], MACHINES * 100);
    assert_eq!(document["jobs"][0]["ranks"], "0-7");
    assert_eq!(document["kinds"][0]["differences"], json!([]));
    println!("peak {peak} MiB of {} MiB", (text.len() * 1000) >> 20);
    assert!(peak < 64, "{peak} MiB");
}

#[test]
fn a_thousand_machines_whose_lines_are_mixed_take_bounded_memory() {
    let text = large();
    let (document, peak) = ends(|| {
        measured(|to| {
            for line in text.lines() {
                for number in 0..MACHINES {
                    let line = line.replace("NODE", &format!("node{number:04}"));
                    writeln!(to, "{number:03}: {line}").unwrap();
                }
            }
        })
    });
    assert_eq!(document["summary"]["machines"], MACHINES);
    assert_eq!(document["unreadable"], json!([]));
    println!("peak {peak} MiB of {} MiB", (text.len() * 1000) >> 20);
    assert!(peak < 256, "{peak} MiB");
}

#[test]
fn the_odd_machine_of_many_is_named() {
    let text: String = (0..50)
        .map(|number| {
            let mut document = good(&format!("n{number}"), number);
            let size = (64_u64 << 30) + u64::from(number);
            document["topology"]["nodes"][0]["memory_total_bytes"] = json!(size);
            match number {
                17 => document["topology"]["nodes"][1]["cpus"] = json!("2"),
                18 => document["topology"]["nodes"][0]["memory_total_bytes"] = json!(1 << 20),
                19 => document["settings"]["numa_balancing"] = Value::Null,
                20 => document["topology"]["gpus"] = json!([]),
                _ => {}
            }
            pretty(&document)
        })
        .collect();
    let document = of_input(&text, &["--json"]).json();
    let kinds = document["kinds"].as_array().unwrap();
    assert_eq!(kinds.len(), 2);
    assert_eq!(
        (&kinds[1]["gpus"], &kinds[1]["machines"]),
        (&json!([]), &json!(["n20"]))
    );
    let differences = kinds[0]["differences"].as_array().unwrap();
    let odd: Vec<(&str, &Value)> = differences
        .iter()
        .map(|of| (of["what"].as_str().unwrap(), &of["others"][0]["machines"]))
        .collect();
    assert_eq!(
        odd,
        [
            ("CPUs of node 1", &json!(["n17"])),
            ("memory of node 0", &json!(["n18"]))
        ]
    );
}

#[test]
fn the_order_of_files_does_not_matter() {
    let folder = folder(&[]);
    let write = |name: &str, document: &Value| -> PathBuf {
        let path = folder.path().join(name);
        fs::write(&path, pretty(document)).unwrap();
        path
    };
    let mut later = good("b", 1);
    later["host"]["recorded_at"] = json!("2026-11-22T08:00:00Z");
    let mut odd = good("c", 2);
    odd["host"]["kernel"] = json!("9.9");
    let files = [
        write("1", &good("a", 0)),
        write("2", &bad("b", 1)),
        write("3", &later),
        write("4", &odd),
        write("5", &json!([])),
    ];
    let outputs = (0..files.len()).map(|turn| {
        let mut paths: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
        paths.rotate_left(turn);
        let there = fleet(&paths, &["--json"]).stdout;
        paths.reverse();
        assert_eq!(there, fleet(&paths, &["--json"]).stdout);
        there
    });
    let outputs: Vec<String> = outputs.collect();
    assert!(outputs.iter().all(|output| *output == outputs[0]));
}
