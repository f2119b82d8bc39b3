//! The JSON Schema describes what is printed. The judge is Python's jsonschema.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::live::{NO_DRIVER, Sleeper};
use crate::machine::{PLACED, with_trainer};
use crate::program::{replay, run};
use crate::support::passed_over;

/// Prints what is wrong with the documents. Fields that the schema does not describe are wrong too.
const VALIDATE: &str = r#"
import json, sys
from jsonschema import Draft202012Validator

def close(schema):
    if isinstance(schema, dict):
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
        for part in schema.values():
            close(part)
    elif isinstance(schema, list):
        for part in schema:
            close(part)

schema = json.load(open(sys.argv[1]))
Draft202012Validator.check_schema(schema)
close(schema)
validator = Draft202012Validator(schema)
for path in sys.argv[2:]:
    for error in validator.iter_errors(json.load(open(path))):
        print(path.rsplit("/", 1)[-1], error.json_path, error.message[:200])
"#;

/// What the validator says about documents; `None` where there is no validator.
fn complaints(of: &str, folder: &Path, documents: &[PathBuf]) -> Option<String> {
    let has_validator = Command::new("python3")
        .args(["-c", "import jsonschema"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !has_validator {
        passed_over("python3-jsonschema is missing");
        return None;
    }
    let schema = folder.join("schema");
    fs::write(&schema, run(["schema", of]).stdout).unwrap();
    let mut command = Command::new("python3");
    command.args(["-c", VALIDATE]).arg(schema).args(documents);
    let output = command.output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{errors}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn all_documents_follow_the_schema() {
    let folder = tempfile::tempdir().unwrap();
    let mut documents = Vec::new();
    let mut add = |name: String, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        documents.push(path);
    };
    for name in [
        "p4d-do-not-match",
        "p4d-bound",
        "h200x4-mp-spawn",
        "h200x4-torchrun-forkserver",
        "h200x2-mp-spawn",
    ] {
        add(name.to_owned(), &replay(name, &["--json"]).stdout);
        let map = replay(name, &["topology", "--json"]);
        add(format!("{name}-map"), &map.stdout);
        // Other processes, and what is missing of them.
        let named = replay(name, &["--json", "--pid", "1"]);
        if named.code != Some(2) {
            add(format!("{name}-pid"), &named.stdout);
        }
    }
    let sleeper = Sleeper::new();
    let window = ["--json", "--for", "200ms", "--pid", &sleeper.pid()];
    let run = run(NO_DRIVER.iter().copied().chain(window));
    assert!(run.json()["window"]["seconds"].is_f64(), "{}", run.stdout);
    add("window".to_owned(), &run.stdout);
    let tree = with_trainer(&PLACED);
    let expected = folder.path().join("expected");
    fs::write(&expected, tree.audit(&["--json"]).stdout).unwrap();
    tree.numa_node("-1\n");
    let compared = tree.audit(&["--json", "--expect", expected.to_str().unwrap()]);
    assert_eq!(compared.json()["expectation"], "unknown");
    add("expect".to_owned(), &compared.stdout);
    if let Some(complaints) = complaints("audit", folder.path(), &documents) {
        assert_eq!(complaints, "");
    }
}

#[test]
fn the_schema_refuses_other_documents() {
    let folder = tempfile::tempdir().unwrap();
    let fine = replay("p4d-bound", &["--json"]).json();
    let broken = |change: fn(&mut Value)| {
        let mut document = fine.clone();
        change(&mut document);
        document
    };
    let documents = [
        broken(|of| of["processes"][0]["pid"] = json!("12")),
        broken(|of| of["processes"][0]["cpu"]["affinity"] = json!([0, 1])),
        broken(|of| drop(of.as_object_mut().unwrap().remove("host"))),
        broken(|of| of["processes"][0]["unheard_of"] = json!(1)),
        broken(|of| of["summary"]["local_fraction"] = json!(1.5)),
    ];
    let paths = documents.iter().zip(0..).map(|(document, number)| {
        let path = folder.path().join(format!("{number}"));
        fs::write(&path, document.to_string()).unwrap();
        path
    });
    let paths: Vec<PathBuf> = paths.collect();
    if let Some(complaints) = complaints("audit", folder.path(), &paths) {
        let refused: Vec<&str> = complaints.lines().map(|line| &line[..1]).collect();
        assert_eq!(refused, ["0", "1", "2", "3", "4"], "{complaints}");
    }
}

#[test]
fn documents_of_fleets_follow_their_schema() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.json");
    fs::write(&broken, "{}").unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let paths = [fixtures.to_str().unwrap(), broken.to_str().unwrap()];
    let fleet = run([
        &["fleet", "--json", "--hosts", "numa-vm,x[1-2]"],
        &paths[..],
    ]
    .concat());
    let document = fleet.json();
    for list in [
        "machines",
        "kinds",
        "missing",
        "not_asked_for",
        "duplicates",
        "unreadable",
    ] {
        assert_ne!(document[list], json!([]), "{list}");
    }
    let path = folder.path().join("fleet");
    fs::write(&path, fleet.stdout).unwrap();
    if let Some(complaints) = complaints("fleet", folder.path(), &[path]) {
        assert_eq!(complaints, "");
    }
    assert_eq!(run(["schema"]).stdout, run(["schema", "audit"]).stdout);
}

#[test]
fn plans_follow_their_schema() {
    let folder = tempfile::tempdir().unwrap();
    let plans = [
        &["plan", "--format", "json"][..],
        &[
            "plan",
            "--format",
            "json",
            "--gpus",
            "0,4",
            "--exclusive",
            "--workers",
            "9",
            "--reserve",
            "0",
        ],
    ];
    let paths = plans.iter().zip(0..).map(|(arguments, number)| {
        let path = folder.path().join(format!("{number}"));
        fs::write(&path, replay("p4d-bound", arguments).stdout).unwrap();
        path
    });
    let mut paths: Vec<PathBuf> = paths.collect();
    let broken = folder.path().join("2");
    fs::write(&broken, r#"{"schema_version": 1, "ranks": [{"rank": 0}]}"#).unwrap();
    paths.push(broken);
    if let Some(complaints) = complaints("plan", folder.path(), &paths) {
        assert!(!complaints.is_empty(), "the broken one");
        assert!(
            complaints.lines().all(|line| line.starts_with("2 ")),
            "{complaints}"
        );
    }
}
