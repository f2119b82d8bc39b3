//! Processes whose files block their reader, deadlines, and short-lived processes: each observation ends, and reports what
//! could be read.
//!
//! A process that is stuck with its memory locked cannot be made here; a FIFO mounted over its files blocks readers in the
//! same way. That needs root.
//!
//! No test here measures time: a run that waited without end would not end, and the reasons of the gaps show which limit
//! ended the waiting.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::live::Sleeper;
use crate::machine::{PLACED, Process, Tree};
use crate::program::{Run, program, run};
use crate::support::{PATIENCE, PATIENT, WITH_SIGNALS, passed_over, reader_of, wait_for};

/// The program with these files of a process replaced by FIFOs that have no writer, in a mount namespace of its own. It
/// waits as long as it usually does. `None` where mounting is not permitted.
fn beside_stuck(place: &Path, pid: &str, files: &[&str], arguments: &[&str]) -> Option<Command> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    if !status.lines().any(|line| line.starts_with("Uid:\t0\t")) {
        passed_over("not root");
        return None;
    }
    let fifo = place.join("fifo");
    if !fifo.exists() {
        let made = Command::new("mkfifo").arg(&fifo).status().unwrap();
        assert!(made.success());
    }
    let mount = |file: &&str| format!("mount --bind {} /proc/{pid}/{file} && ", fifo.display());
    let mounts: String = files.iter().map(mount).collect();
    let may_mount = Command::new("unshare")
        .args(["--mount", "sh", "-c", &format!("{mounts}true")])
        .output();
    if !may_mount.is_ok_and(|output| output.status.success()) {
        passed_over("mounting is not permitted");
        return None;
    }
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", &format!("{mounts}exec \"$@\""), "sh"])
        .args(WITH_SIGNALS)
        .arg(program().get_program())
        .args(arguments)
        .stdin(Stdio::null())
        .env_remove(PATIENCE);
    Some(command)
}

fn run_of(mut command: Command) -> Run {
    Run::from(command.output().unwrap())
}

fn gaps(document: &Value) -> Vec<(&str, &str)> {
    let gaps = document["incomplete"].as_array().unwrap().iter();
    let gaps = gaps.filter(|gap| !gap["pid"].is_null());
    gaps.map(|gap| {
        (
            gap["what"].as_str().unwrap(),
            gap["reason"].as_str().unwrap(),
        )
    })
    .collect()
}

#[test]
fn special_files_in_a_recorded_tree_are_not_waited_for() {
    let mut tree = Tree::new();
    tree.trainer(&PLACED);
    tree.process(&Process {
        pid: 101,
        ppid: 100,
        ..PLACED
    });
    let path = |name: &str| tree.folder.path().join("proc/101").join(name);
    for name in ["numa_maps", "cmdline", "environ", "status"] {
        std::fs::remove_file(path(name)).unwrap();
    }
    let _socket = std::os::unix::net::UnixListener::bind(path("cmdline")).unwrap();
    let made = Command::new("mkfifo")
        .args([path("numa_maps"), path("status")])
        .status();
    assert!(made.unwrap().success());
    // A device that would never end; only root can make one.
    let device = Command::new("mknod")
        .arg(path("environ"))
        .args(["c", "1", "5"])
        .output();
    if !device.is_ok_and(|output| output.status.success()) {
        std::fs::create_dir(path("environ")).unwrap();
    }
    let document = tree.audit(&["--json"]).json();
    let facts: Vec<&str> = gaps(&document).iter().map(|(what, _)| *what).collect();
    assert_eq!(facts, ["status", "environ", "command", "memory"]);
    assert_eq!(document["processes"].as_array().unwrap().len(), 2);
}

#[test]
fn a_gpu_that_the_driver_does_not_report_is_found_by_its_files() {
    let tree = Tree::new();
    let information = "Model: NVIDIA A100\nGPU UUID: GPU-dddd\nDevice Minor: 1\n";
    let other = "sys/bus/pci/devices/0000:90:1c.0";
    for (name, text) in [
        ("class", "0x030200\n"),
        ("vendor", "0x10de\n"),
        ("numa_node", "1\n"),
    ] {
        tree.file(&format!("{other}/{name}"), text);
    }
    tree.file(
        "proc/driver/nvidia/gpus/0000:90:1c.0/information",
        information,
    );
    tree.file("snapshot.json", "{\"format\": 1}");
    let silent = serde_json::json!({"index": 1, "error": "the driver did not answer within 3 s"});
    let told = serde_json::json!({"index": 0, "pci_bus_id": "00000000:10:1C.0", "processes": []});
    let answer = serde_json::json!({"gpus": [told, silent]});
    tree.file("nvml.json", &answer.to_string());
    let document = Run::from(tree.command(&["--json"]).output().unwrap()).json();
    let gpu = &document["topology"]["gpus"][1];
    assert_eq!(gpu["uuid"], "GPU-dddd", "{document:#}");
    assert_eq!(gpu["home_nodes"], serde_json::json!([1]));
    assert_eq!(document["incomplete"][0]["what"], "processes of GPU 1");
}

const LATE: &str = "did not answer within 2 s";

#[test]
fn only_the_blocked_files_of_a_stuck_process_are_missing() {
    let (place, sleeper, other) = (tempfile::tempdir().unwrap(), Sleeper::new(), Sleeper::new());
    let (pid, other) = (sleeper.pid(), other.pid());
    let both = format!("{pid},{other}");
    let arguments = ["--json", "--pid", &both];
    for (files, lacks) in [
        (&["maps", "numa_maps"][..], &["memory"][..]),
        (&["environ"], &["environ", "memory"]),
        (
            &["cmdline", "environ", "maps", "numa_maps"],
            &["environ", "command", "memory"],
        ),
    ] {
        let Some(command) = beside_stuck(place.path(), &pid, files, &arguments) else {
            return;
        };
        let run = run_of(command);
        let document = run.json();
        let expected: Vec<_> = lacks.iter().map(|what| (*what, LATE)).collect();
        assert_eq!(gaps(&document), expected, "{files:?}");
        assert_eq!(run.code, Some(3));
        let processes = document["processes"].as_array().unwrap();
        let find = |pid: &str| {
            let pid: u64 = pid.parse().unwrap();
            let found = processes.iter().find(|process| process["pid"] == pid);
            found.unwrap()
        };
        let (stuck, other) = (find(&pid), find(&other));
        assert_eq!(stuck["name"], "sleep");
        assert_eq!(stuck["cpu"]["threads"]["total"], 1);
        assert_eq!(stuck["memory"]["by_node_bytes"], Value::Null);
        assert_eq!(stuck["verdict"], "unknown");
        assert!(other["memory"]["by_node_bytes"].is_object(), "{other:#}");
    }
}

#[test]
fn after_the_deadline_no_stuck_process_is_waited_for() {
    let place = tempfile::tempdir().unwrap();
    // At most four are read at once, and each costs 2 s: the deadline comes after the first ones and before the last.
    let sleepers: Vec<Sleeper> = (0..32).map(|_| Sleeper::new()).collect();
    let pids: Vec<String> = sleepers.iter().map(Sleeper::pid).collect();
    let all = pids.join(",");
    let arguments = ["--json", "--deadline", "8s", "--pid", &all];
    let files: Vec<String> = pids[1..]
        .iter()
        .map(|pid| format!("../{pid}/numa_maps"))
        .collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let Some(command) = beside_stuck(place.path(), &pids[0], &files, &arguments) else {
        return;
    };
    let run = run_of(command);
    let document = run.json();
    assert_eq!(run.code, Some(3));
    let processes = document["processes"].as_array().unwrap();
    assert_eq!(processes.len(), 32);
    for process in processes {
        assert_eq!(process["cpu"]["threads"]["total"], 1, "the CPU side of all");
    }
    let reasons: Vec<&str> = gaps(&document).iter().map(|(_, reason)| *reason).collect();
    assert!(reasons.contains(&LATE), "{reasons:?}");
    assert!(reasons.contains(&"not reached within 8 s"), "{reasons:?}");
}

#[test]
fn a_recording_of_a_stuck_process_replays_to_the_same_gaps() {
    let (place, sleeper) = (tempfile::tempdir().unwrap(), Sleeper::new());
    let pid = sleeper.pid();
    let path = place.path().join("recording.tar.gz");
    let arguments = ["record", path.to_str().unwrap(), "--pid", &pid];
    let Some(command) = beside_stuck(place.path(), &pid, &["environ"], &arguments) else {
        return;
    };
    let recorded = run_of(command);
    assert_eq!(recorded.code, Some(0), "{}", recorded.stderr);
    let document = run(["--json", "--snapshot", path.to_str().unwrap()]).json();
    assert_eq!(gaps(&document), [("environ", LATE), ("memory", LATE)]);
    assert_eq!(document["processes"][0]["command"], "sleep 600");
}

#[test]
fn a_recording_that_is_late_is_not_written() {
    let (place, sleeper) = (tempfile::tempdir().unwrap(), Sleeper::new());
    let pid = sleeper.pid();
    let path = place.path().join("recording.tar.gz");
    let arguments = [
        "record",
        path.to_str().unwrap(),
        "--deadline",
        "500ms",
        "--pid",
        &pid,
    ];
    let Some(command) = beside_stuck(place.path(), &pid, &["numa_maps"], &arguments) else {
        return;
    };
    let run = run_of(command);
    run.fails_with("not all was read within 0.5 s (--deadline): nothing is recorded");
    let left: Vec<_> = std::fs::read_dir(place.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "the FIFO alone: {left:?}");
}

/// Waits until one of the program's readers waits in open(2), as it does for a FIFO without a writer.
fn wait_until_blocked(child: &Child) {
    let is_blocked = |task: std::io::Result<std::fs::DirEntry>| {
        // The number of the system call that a thread sleeps in comes first.
        let call = task.map(|task| std::fs::read_to_string(task.path().join("syscall")));
        let call = call.and_then(|call| call).unwrap_or_default();
        call.split(' ').next() == Some(&libc::SYS_openat.to_string())
    };
    wait_for("a reader that is blocked", || {
        let reader = reader_of(child.id())?;
        let mut tasks = std::fs::read_dir(format!("/proc/{reader}/task")).unwrap();
        tasks.any(is_blocked).then_some(())
    });
}

#[test]
fn a_signal_ends_it_while_a_reader_is_blocked() {
    let (place, sleeper) = (tempfile::tempdir().unwrap(), Sleeper::new());
    let pid = sleeper.pid();
    for (signal, number) in [("INT", 2), ("TERM", 15)] {
        let Some(mut command) = beside_stuck(place.path(), &pid, &["cmdline"], &["--pid", &pid])
        else {
            return;
        };
        // It would go on for minutes.
        command.env(PATIENCE, PATIENT).stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        wait_until_blocked(&child);
        let id = child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &id]).status();
        assert!(sent.unwrap().success());
        let status = child.wait().unwrap();
        assert_eq!(ExitStatusExt::signal(&status), Some(number));
    }
}

#[test]
fn a_deadline_is_a_time() {
    for (text, why) in [
        ("0s", "must be longer than 0"),
        ("soon", "expected number at 0"),
    ] {
        let run = run(["--deadline", text]);
        assert_eq!(run.code, Some(2));
        assert!(run.stderr.contains(why), "{}", run.stderr);
    }
    let run = run(["topology", "--deadline", "18446744073709551615s"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
}

/// A shell that starts processes and waits for them, in a loop.
struct Storm(Child);

impl Storm {
    fn new() -> Self {
        let script = "while :; do for i in 1 2 3 4 5 6 7 8; do (:; sleep 0.0$i) & done; wait; done";
        let mut command = Command::new("sh");
        command
            .args(["-c", script])
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        // Its own group, so that what it started ends with it.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        Self(command.spawn().unwrap())
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill")
            .args(["-s", "KILL", "--", &group])
            .status();
        let _ = self.0.wait();
    }
}

#[test]
fn short_lived_processes_are_neither_errors_nor_gaps() {
    let storm = Storm::new();
    let pid = storm.0.id().to_string();
    let (mut runs, mut seen) = (0, 0);
    // More than these are needed only if each run misses all of them.
    while runs < 40 || (seen == 0 && runs < 4000) {
        runs += 1;
        let run = run(["--json", "--pid", &pid, "--nvml-lib", "/nonexistent"]);
        assert!([Some(0), Some(3)].contains(&run.code), "{}", run.stderr);
        let document = run.json();
        assert_eq!(gaps(&document), [], "{document:#}");
        let processes = document["processes"].as_array().unwrap();
        let is_of_storm = |process: &&Value| process["ppid"] != 0 && process["name"] != "";
        assert_eq!(
            processes.iter().filter(is_of_storm).count(),
            processes.len()
        );
        seen += processes.len() - 1;
    }
    assert!(seen > 0, "none of its children was ever seen");
}
