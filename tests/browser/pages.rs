//! The files that the browser opens.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::{hostile, made_up};

const FIXTURES: [&str; 5] = [
    "h200x2-mp-spawn",
    "h200x4-mp-spawn",
    "h200x4-torchrun-forkserver",
    "p4d-bound",
    "p4d-do-not-match",
];

fn numa_audit(arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_numa-audit"));
    command.args(arguments).current_dir(folder);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// Runs the program in a folder. It may find a mismatch, but must be able to run.
#[track_caller]
fn run(arguments: &[&str], folder: &Path) {
    let output = numa_audit(arguments, folder).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code().is_some_and(|code| code != 2),
        "{arguments:?}: {errors}"
    );
}

fn fixture(name: &str) -> String {
    let path = format!("{}/fixtures/{name}.tar.gz", env!("CARGO_MANIFEST_DIR"));
    assert!(Path::new(&path).is_file());
    path
}

/// The document of a fixture.
fn audited(name: &str) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_numa-audit"));
    let output = command.args(["--json", "--snapshot", &fixture(name)]);
    serde_json::from_slice(&output.output().unwrap().stdout).unwrap()
}

/// Whether the program reads this document.
fn is_read(document: &Value, folder: &Path) -> bool {
    let file = folder.join("tried.json");
    fs::write(&file, document.to_string()).unwrap();
    let status = numa_audit(&["show", "--quiet", "tried.json"], folder).output();
    fs::remove_file(file).unwrap();
    status.unwrap().status.code().is_some_and(|code| code != 2)
}

/// Writes all pages and pictures.
pub fn write(folder: &Path) {
    for name in FIXTURES {
        let (page, picture) = (format!("{name}.html"), format!("{name}.svg"));
        run(
            &[
                "--snapshot",
                &fixture(name),
                "--html",
                &page,
                "--svg",
                &picture,
            ],
            folder,
        );
    }
    let (before, after) = (fixture("p4d-do-not-match"), fixture("p4d-bound"));
    run(&["diff", &before, &after, "--html", "diff.html"], folder);
    let documents = made_up::documents();
    for (name, document) in &documents {
        show(name, document, folder);
    }
    let hostile = hostile::documents(&audited("p4d-do-not-match"), |document| {
        is_read(document, folder)
    });
    for (name, document) in &hostile {
        show(name, document, folder);
    }
    moved(folder);
    fleets(folder, &documents, &hostile);
}

fn show(name: &str, document: &Value, folder: &Path) {
    let (file, page) = (format!("{name}.json"), format!("{name}.html"));
    fs::write(folder.join(&file), document.to_string()).unwrap();
    let picture = format!("{name}.svg");
    run(&["show", &file, "--html", &page, "--svg", &picture], folder);
}

/// Some processes went the right way, some the wrong one; and a hostile side.
fn moved(folder: &Path) {
    let [before, after] = made_up::before_and_after();
    for (name, document) in [("before", before), ("after", after)] {
        fs::write(folder.join(format!("{name}.json")), document.to_string()).unwrap();
    }
    run(
        &["diff", "before.json", "after.json", "--html", "moved.html"],
        folder,
    );
    let pair = ["diff", "hostile.json", "hostile-words.json"];
    run(
        &[&pair[..], &["--html", "hostile-diff.html"]].concat(),
        folder,
    );
}

fn fleets(folder: &Path, documents: &[(&str, Value)], hostile: &[(&str, Value)]) {
    let fleet = |name: &str, documents: &[Value]| {
        let (file, page) = (format!("{name}.jsonl"), format!("{name}.html"));
        let lines: Vec<String> = documents.iter().map(Value::to_string).collect();
        fs::write(folder.join(&file), lines.join("\n") + "\nbroken\n").unwrap();
        run(
            &["fleet", &file, "--hosts", "n[1-24],lost", "--html", &page],
            folder,
        );
    };
    let mut few: Vec<Value> = documents
        .iter()
        .map(|(_, document)| document.clone())
        .collect();
    few.extend(made_up::fleet(24));
    fleet("fleet", &few);
    fleet("fleet-of-many", &made_up::fleet(200));
    let mut attacks: Vec<Value> = hostile
        .iter()
        .map(|(_, document)| document.clone())
        .collect();
    let mut job = audited("p4d-bound");
    job["processes"][0]["scheduler_jobs"] =
        json!([{"scheduler": hostile::ATTACK, "id": hostile::ATTACK, "source": "cgroup"}]);
    attacks.push(job);
    fleet("hostile-fleet", &attacks);
}

/// Adds the SVG files of another folder. Returns how many have names of their own.
pub fn copy_pictures(from: &Path, to: &Path) -> usize {
    let files = fs::read_dir(from)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut new = 0;
    for path in files.filter(|path| path.extension().is_some_and(|end| end == "svg")) {
        let copy = to.join(path.file_name().unwrap());
        new += usize::from(!copy.exists());
        fs::copy(&path, copy).unwrap();
    }
    new
}
