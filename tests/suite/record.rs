//! Recordings: their content, and that they replay to the same report.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::live::Sleeper;
use crate::program::{Run, program, run};

/// A document without what differs between two observations of the same machine.
fn timeless(mut document: Value) -> Value {
    document["host"]["source"].take();
    document["host"]["recorded_at"].take();
    for node in document["topology"]["nodes"].as_array_mut().unwrap() {
        node["memory_free_bytes"].take();
        node["memory_reclaimable_bytes"].take();
    }
    for process in document["processes"].as_array_mut().unwrap() {
        // The kernel drops and maps pages of files while other programs run.
        process["memory"]["by_kind"]["file"].take();
    }
    document
}

fn record(path: &Path, pid: &str, more: &[&str]) -> Run {
    let mut command = program();
    command
        .arg("record")
        .arg(path)
        .args(["--pid", pid])
        .args(more);
    command.output().unwrap().into()
}

fn files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_eq!(
                fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                0o700
            );
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn a_recording_replays_to_the_same_report() {
    let place = tempfile::tempdir().unwrap();
    let sleeper = Sleeper::new();
    let pid = sleeper.pid();
    let live = run(["--json", "--pid", &pid]);
    for name in ["folder", "archive.tar.gz"] {
        let path = place.path().join(name);
        let recorded = record(&path, &pid, &[]);
        let said = format!("recorded 1 process to {}\n", path.display());
        assert!(recorded.stderr.starts_with(&said), "{}", recorded.stderr);
        assert_eq!(recorded.stdout, "");
        assert_eq!(recorded.code, Some(0), "{}", recorded.stderr);
        let replayed = run(["--json", "--snapshot", path.to_str().unwrap()]);
        assert_eq!(timeless(replayed.json()), timeless(live.json()), "{name}");
        assert_eq!(replayed.code, live.code);
    }
    let mode = fs::metadata(place.path().join("archive.tar.gz"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_recording_has_only_the_named_process_and_no_secrets() {
    let place = tempfile::tempdir().unwrap();
    let sleeper = Sleeper::new();
    let path = place.path().join("tree");
    record(&path, &sleeper.pid(), &[]);
    let mut found = Vec::new();
    files(&path, &mut found);
    for file in &found {
        assert_eq!(
            fs::metadata(file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let text = fs::read(file).unwrap();
        assert!(
            !text.windows(7).any(|bytes| bytes == b"hunter2"),
            "{}",
            file.display()
        );
    }
    let environ = fs::read(path.join("proc").join(sleeper.pid()).join("environ")).unwrap();
    let variables: Vec<&[u8]> = environ.split(|byte| *byte == 0).collect();
    assert!(
        variables.contains(&&b"RANK=3"[..]),
        "what is on the list is kept"
    );
    let processes = fs::read_dir(path.join("proc")).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_str().unwrap().parse::<u32>().is_ok()
    });
    assert_eq!(processes.count(), 1);
    let kept: Value =
        serde_json::from_slice(&fs::read(path.join("snapshot.json")).unwrap()).unwrap();
    assert_eq!(kept["format"], 1);
}

#[test]
fn redacting_leaves_out_names_and_keeps_numbers() {
    let place = tempfile::tempdir().unwrap();
    let sleeper = Sleeper::new();
    let pid = sleeper.pid();
    let path = place.path().join("tree");
    record(&path, &pid, &["--redact", "--note", "sent to the vendor"]);
    let document = timeless(run(["--json", "--snapshot", path.to_str().unwrap()]).json());
    let live = timeless(run(["--json", "--pid", &pid]).json());
    assert_eq!(document["host"]["hostname"], Value::Null);
    assert_eq!(document["processes"][0]["command"], "redacted redacted");
    assert_eq!(
        document["processes"][0]["memory"],
        live["processes"][0]["memory"]
    );
    let maps = fs::read_to_string(path.join("proc").join(&pid).join("numa_maps")).unwrap();
    assert!(
        maps.contains("file=/redacted") && !maps.contains("file=/usr"),
        "{maps}"
    );
    let manifest = fs::read_to_string(path.join("snapshot.json")).unwrap();
    assert!(manifest.contains("sent to the vendor"));
}

#[test]
fn an_existing_file_is_never_overwritten() {
    let place = tempfile::tempdir().unwrap();
    let sleeper = Sleeper::new();
    for name in ["folder", "file.tar.gz", "dangling"] {
        let path = place.path().join(name);
        match name {
            "folder" => fs::create_dir(&path).unwrap(),
            "dangling" => std::os::unix::fs::symlink("/nonexistent", &path).unwrap(),
            _ => fs::write(&path, "mine").unwrap(),
        }
        let sentence = format!(
            "{} already exists: a recording never overwrites a file",
            path.display()
        );
        record(&path, &sleeper.pid(), &[]).fails_with(&sentence);
    }
    assert_eq!(fs::read(place.path().join("file.tar.gz")).unwrap(), b"mine");
    assert_eq!(
        fs::read_dir(place.path()).unwrap().count(),
        3,
        "nothing is left beside them"
    );
}

#[test]
fn a_failed_recording_leaves_nothing() {
    let sleeper = Sleeper::new();
    for name in ["x", "x.tar.gz"] {
        let path = Path::new("/proc/self").join(name);
        let run = record(&path, &sleeper.pid(), &[]);
        let start = format!("numa-audit: cannot record to {}: ", path.display());
        assert!(run.stderr.starts_with(&start), "{}", run.stderr);
        assert!(!run.stderr.contains("unfinished"), "{}", run.stderr);
        assert_eq!(run.code, Some(2));
    }
}

#[test]
fn other_archive_formats_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let sleeper = Sleeper::new();
    for name in ["x.tar.zst", "x.zip", "x.TAR.GZ"] {
        let path = place.path().join(name);
        record(&path, &sleeper.pid(), &[]).fails_with(&format!(
            "cannot record to {}: a recording is a folder or a .tar.gz",
            path.display()
        ));
    }
    record(&place.path().join("none/x"), &sleeper.pid(), &[]).fails_with(&format!(
        "cannot record to {}/none/x: No such file or directory (os error 2)",
        place.path().display()
    ));
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
}

/// Signals that end a program.
const SIGNALS: [&str; 9] = [
    "INT", "TERM", "HUP", "USR1", "USR2", "QUIT", "ALRM", "XCPU", "IO",
];

/// The signal comes at a different moment in each round.
#[test]
fn an_interrupted_recording_is_whole_or_absent() {
    let place = tempfile::tempdir().unwrap();
    let sleeper = Sleeper::new();
    let pid = sleeper.pid();
    let mut whole = 0;
    for round in 0..60_u64 {
        let name = if round % 2 == 0 {
            "folder"
        } else {
            "archive.tar.gz"
        };
        let path = place.path().join(name);
        let mut command = program();
        command.arg("record").arg(&path).args(["--pid", &pid]);
        command.stderr(std::process::Stdio::null());
        let mut child = command.spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_micros(round * 700));
        let signal = SIGNALS[round as usize % SIGNALS.len()];
        let mut kill = std::process::Command::new("bash");
        kill.args(["-c", &format!("kill -{signal} {} 2>/dev/null", child.id())]);
        kill.status().unwrap();
        child.wait().unwrap();
        if path.exists() {
            whole += 1;
            let replayed = run(["--json", "--snapshot", path.to_str().unwrap()]);
            assert_eq!(replayed.json()["processes"].as_array().unwrap().len(), 1);
            let removed = if path.is_dir() {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            };
            removed.unwrap();
        }
        let left: Vec<_> = fs::read_dir(place.path()).unwrap().collect();
        assert!(left.is_empty(), "{signal} left {left:?}");
    }
    println!("{whole} of 60 were whole");
}

#[test]
fn only_the_owner_can_read_a_recorded_folder() {
    let place = tempfile::tempdir().unwrap();
    let sleeper = Sleeper::new();
    let path = place.path().join("tree");
    let mut shell = std::process::Command::new("bash");
    let line = format!(
        "umask 0; exec {} record {} --pid {}",
        env!("CARGO_BIN_EXE_numa-audit"),
        path.display(),
        sleeper.pid()
    );
    assert!(shell.args(["-c", &line]).output().unwrap().status.success());
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o700
    );
    let mut found = Vec::new();
    files(&path, &mut found);
    assert!(
        found
            .iter()
            .all(|file| fs::metadata(file).unwrap().permissions().mode() & 0o777 == 0o600)
    );
}
