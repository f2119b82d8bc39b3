//! A driver that fails as the real one does. A stand-in for its library is loaded in the same way.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command};

use serde_json::{Value, json};

use crate::guest::stand_in;
use crate::support::{PATIENCE, PATIENT, WITH_SIGNALS, reader_of, wait_for};

const GPU: &str = "gpu 0 00000000:10:1C.0 0 GPU-aaaa 42949672960 5000000 0-1 0 NVIDIA A100-SXM4-40GB\n\
    gpu 1 00000000:10:1D.0 1 GPU-bbbb 42949672960 5000000 - - NVIDIA A100-SXM4-40GB\n";

/// The program's audit with a driver that gives these answers.
pub fn audit(library: &Path, answers: &str) -> (Value, Option<i32>) {
    audit_with_patience(library, answers, PATIENT)
}

/// The same where the program waits so many times longer than usual for the driver.
fn audit_with_patience(library: &Path, answers: &str, patience: &str) -> (Value, Option<i32>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("answers");
    std::fs::write(&file, format!("driver 570.1\n{answers}")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_numa-audit"));
    command
        .arg("--json")
        .arg("--nvml-lib")
        .arg(library)
        .env("STAND_IN_NVML", file)
        .env(PATIENCE, patience);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.is_empty(), "{said}");
    (
        serde_json::from_slice(&output.stdout).unwrap(),
        output.status.code(),
    )
}

pub fn facts(document: &Value) -> Vec<(&str, &str)> {
    let gaps = document["incomplete"].as_array().unwrap().iter();
    gaps.map(|gap| {
        (
            gap["what"].as_str().unwrap(),
            gap["reason"].as_str().unwrap(),
        )
    })
    .collect()
}

/// Lists these PIDs on GPU 0. No machine has such processes: each that the program reads becomes a gap.
fn listed(pids: std::ops::Range<u32>) -> String {
    let lines = pids.map(|pid| format!("process 0 compute {pid} 1073741824\n"));
    GPU.to_owned() + &lines.collect::<String>()
}

pub const NOBODYS: u32 = 4_200_000;

/// Every PID that the program read from the lists.
pub fn pids(document: &Value) -> Vec<u32> {
    let gaps = document["incomplete"].as_array().unwrap().iter();
    gaps.filter(|gap| gap["what"] == "process")
        .map(|gap| gap["pid"].as_u64().unwrap() as u32)
        .collect()
}

#[test]
fn gpus_are_as_the_driver_reports_them() {
    let (document, code) = audit(&stand_in(&[]), GPU);
    assert_eq!(document["host"]["driver_version"], "570.1");
    let gpu = &document["topology"]["gpus"][0];
    assert_eq!(gpu["uuid"], "GPU-aaaa");
    assert_eq!(gpu["name"], "NVIDIA A100-SXM4-40GB");
    assert_eq!(gpu["pci_bus_id"], "0000:10:1c.0");
    assert_eq!(gpu["memory_total_bytes"], 42_949_672_960_u64);
    assert_eq!(code, Some(0), "an idle box");
}

#[test]
fn what_the_library_prints_is_ignored() {
    let (document, code) = audit(&stand_in(&[]), &format!("print NVML: a warning\n{GPU}"));
    assert_eq!(document["host"]["driver_version"], "570.1");
    assert_eq!(code, Some(0));
}

#[test]
fn processes_that_the_library_started_are_ended() {
    // No other process sleeps so long.
    const SECONDS: &str = "4711.25";
    let (_, code) = audit(&stand_in(&[]), &format!("fork {SECONDS}\n{GPU}"));
    assert_eq!(code, Some(0));
    let argument = format!("sleep\0{SECONDS}\0");
    let is_left = |entry: std::io::Result<std::fs::DirEntry>| {
        let command = std::fs::read(entry.unwrap().path().join("cmdline"));
        command.is_ok_and(|command| command == argument.as_bytes())
    };
    wait_for("the end of what the library started", || {
        let is_there = std::fs::read_dir("/proc").unwrap().any(is_left);
        (!is_there).then_some(())
    });
}

#[test]
fn process_lists_of_every_layout_are_read() {
    let current = stand_in(&[]);
    let old = stand_in(&["v2-only"]);
    for count in [1, 2, 15, 16, 40, 200] {
        let range = NOBODYS..NOBODYS + count;
        let expected: Vec<u32> = range.clone().collect();
        for (what, library, more) in [
            ("24 bytes", &current, ""),
            ("32 bytes (535.43 to 535.86)", &current, "entries 32\n"),
            ("v2 only", &old, ""),
        ] {
            let (document, _) = audit(library, &(listed(range.clone()) + more));
            assert_eq!(pids(&document), expected, "{count} entries of {what}");
        }
    }
}

#[test]
fn a_list_that_grows_between_two_calls_is_read_whole() {
    for grown in [1, 16, 17, 100] {
        let (document, _) = audit(
            &stand_in(&[]),
            &(listed(NOBODYS..NOBODYS + 2) + &format!("grow {grown}\n")),
        );
        assert_eq!(pids(&document).len(), 2 + grown, "{grown} more");
    }
}

#[test]
fn a_driver_that_is_not_loaded_or_refuses_is_a_gap() {
    // NVML_ERROR_DRIVER_NOT_LOADED, NVML_ERROR_NO_PERMISSION
    for (code, reason) in [
        (9, "NVIDIA driver is not loaded"),
        (
            4,
            "the current user does not have permission to perform this operation",
        ),
    ] {
        let (document, exit) = audit(&stand_in(&[]), &format!("{GPU}fail init {code}\n"));
        assert_eq!(facts(&document)[0], ("NVIDIA driver", reason));
        assert_eq!(exit, Some(3));
    }
}

#[test]
fn a_lost_gpu_does_not_hide_the_others() {
    // NVML_ERROR_GPU_IS_LOST
    let (document, exit) = audit(&stand_in(&[]), &format!("{GPU}fail gpu 0 15\n"));
    let gpus = document["topology"]["gpus"].as_array().unwrap();
    assert_eq!(
        (&gpus[0]["uuid"], &gpus[1]["uuid"]),
        (&json!(null), &json!("GPU-bbbb"))
    );
    assert_eq!(facts(&document)[0].0, "processes of GPU 0");
    assert_eq!(exit, Some(3));
}

const CRASHED: &str = "the driver's library crashed (signal 11)";

/// The reason for a gap where the driver is waited for with this patience.
fn silent(patience: u32) -> String {
    format!("the driver did not answer within {} s", 3 * patience)
}

#[test]
fn a_driver_that_never_answers_or_crashes_is_a_gap() {
    let silent = silent(1);
    for (line, patience, reason) in [
        ("hang init", "1", silent.as_str()),
        ("crash init", PATIENT, CRASHED),
    ] {
        let answers = format!("{GPU}{line}\n");
        let (document, exit) = audit_with_patience(&stand_in(&[]), &answers, patience);
        assert_eq!(facts(&document)[0], ("NVIDIA driver", reason));
        assert_eq!(exit, Some(3));
    }
}

#[test]
fn a_gpu_that_never_answers_or_crashes_does_not_hide_the_others() {
    let third = "gpu 2 00000000:20:1C.0 2 GPU-cccc 42949672960 5000000 - - NVIDIA A100-SXM4-40GB\n";
    let library = stand_in(&[]);
    // The others have 9 s each to answer.
    let silent = silent(3);
    let case = |line: &str, patience: &str, reason: &str| {
        let answers = format!("{GPU}{third}{line}\n");
        let (document, exit) = audit_with_patience(&library, &answers, patience);
        let gpus = document["topology"]["gpus"].as_array().unwrap().iter();
        let uuids: Vec<&Value> = gpus.map(|gpu| &gpu["uuid"]).collect();
        assert_eq!(
            uuids,
            [&json!("GPU-aaaa"), &Value::Null, &json!("GPU-cccc")],
            "{line}"
        );
        assert!(
            facts(&document).contains(&("processes of GPU 1", reason)),
            "{line}"
        );
        assert_eq!(document["host"]["driver_version"], "570.1");
        assert_eq!(exit, Some(3));
    };
    // They only wait, so they run at the same time.
    std::thread::scope(|scope| {
        scope.spawn(|| case("hang gpu 1", "3", &silent));
        scope.spawn(|| case("hang processes 1", "3", &silent));
        scope.spawn(|| case("crash gpu 1", PATIENT, CRASHED));
    });
}

/// After three that did not answer, the others are not asked.
#[test]
fn not_every_silent_gpu_is_waited_for() {
    let gpus =
        (0..8).map(|at| format!("gpu {at} 00000000:1{at}:00.0 {at} GPU-{at} 1 1 - - A100\n"));
    // If one of the others were asked, its gap would have another reason.
    let hangs = (0..3).map(|at| format!("hang gpu {at}\n"));
    let crashes = (3..8).map(|at| format!("crash gpu {at}\n"));
    let answers: String = gpus.chain(hangs).chain(crashes).collect();
    let (document, _) = audit_with_patience(&stand_in(&[]), &answers, "1");
    let reason = silent(1);
    let facts = facts(&document).into_iter();
    let of_silent_gpus =
        facts.filter(|(what, why)| what.starts_with("processes of GPU") && *why == reason);
    assert_eq!(of_silent_gpus.count(), 8);
}

/// The program with a driver that never answers.
fn waiting(folder: &Path, patience: &str) -> Child {
    let file = folder.join("answers");
    std::fs::write(&file, format!("{GPU}hang init\n")).unwrap();
    let [starter, option] = WITH_SIGNALS;
    let mut command = Command::new(starter);
    command
        .arg(option)
        .arg(env!("CARGO_BIN_EXE_numa-audit"))
        .arg("--nvml-lib")
        .arg(stand_in(&[]))
        .env("STAND_IN_NVML", file)
        .env(PATIENCE, patience)
        .stdout(std::process::Stdio::null());
    command.spawn().unwrap()
}

/// The PID of its process that asks the driver, once that process waits for the driver. Before it runs the program anew it
/// does not yet end with its parent.
fn asker_of(program: &Child) -> String {
    let has_begun = |pid: &&str| {
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        command.windows(8).any(|bytes| bytes == b"ask-nvml") && stat.contains(") S ")
    };
    wait_for("a process that asks the driver", || {
        let reader = reader_of(program.id())?;
        let children = format!("/proc/{reader}/task/{reader}/children");
        let pids = std::fs::read_to_string(children).unwrap_or_default();
        let asker = pids.split_whitespace().next().filter(has_begun);
        asker.map(str::to_owned)
    })
}

fn wait_until_gone(pid: &str) {
    wait_for("the end of the process that asks", || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        let is_there = stat.is_ok_and(|stat| !stat.contains(") Z "));
        (!is_there).then_some(())
    });
}

#[test]
fn the_process_that_asks_the_driver_ends_with_the_program() {
    let folder = tempfile::tempdir().unwrap();
    for (signal, number) in [("INT", 2), ("TERM", 15), ("KILL", 9)] {
        // It would wait for minutes.
        let mut child = waiting(folder.path(), PATIENT);
        let asker = asker_of(&child);
        let pid = child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(sent.unwrap().success());
        assert_eq!(child.wait().unwrap().signal(), Some(number));
        wait_until_gone(&asker);
    }
    let mut child = waiting(folder.path(), "1");
    let asker = asker_of(&child);
    assert_eq!(child.wait().unwrap().code(), Some(3));
    wait_until_gone(&asker);
}

#[test]
fn a_deleted_program_still_asks_the_driver() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("answers");
    std::fs::write(&file, format!("driver 570.1\n{GPU}")).unwrap();
    let binary = folder.path().join("numa-audit");
    std::fs::copy(env!("CARGO_BIN_EXE_numa-audit"), &binary).unwrap();
    // The shell deletes the program and then runs it by its descriptor.
    let script = "exec 9<\"$0\"; rm \"$0\"; exec /proc/self/fd/9 \"$@\"";
    let mut command = Command::new("sh");
    command
        .args(["-c", script])
        .arg(&binary)
        .args(["--json", "--nvml-lib"])
        .arg(stand_in(&[]))
        .env("STAND_IN_NVML", file);
    let output = command.output().unwrap();
    assert!(!binary.exists());
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["host"]["driver_version"], "570.1");
}

#[test]
fn a_refused_list_is_not_an_empty_list() {
    let (document, exit) = audit(&stand_in(&[]), &format!("{GPU}fail processes 0 4\n"));
    let reason = "the current user does not have permission to perform this operation";
    assert_eq!(facts(&document)[0], ("processes of GPU 0", reason));
    assert_eq!(exit, Some(3));
}

/// GPU 0 with two MIG devices, and this process on the second of them.
fn with_mig(more: &str) -> (Value, Option<i32>) {
    let own = std::process::id();
    let lists = format!(
        "process 0 compute {own} 1073741824 2 0\nprocess 0 compute {NOBODYS} 1073741824 1 0\n"
    );
    let devices = "mig 0 2 0 MIG-bbbb\nmig 0 1 0 MIG-aaaa\n";
    audit(&stand_in(&[]), &format!("{GPU}{devices}{lists}{more}"))
}

#[test]
fn mig_instances_are_read_from_both_lists() {
    // NVML_ERROR_NO_PERMISSION
    for more in ["", "fail processes 0 4\n"] {
        let (document, _) = with_mig(more);
        let gpus = &document["topology"]["gpus"];
        assert_eq!(
            gpus[0]["mig_devices"],
            json!([
                {"gpu_instance_id": 1, "compute_instance_id": 0, "uuid": "MIG-aaaa"},
                {"gpu_instance_id": 2, "compute_instance_id": 0, "uuid": "MIG-bbbb"},
            ])
        );
        assert_eq!(gpus[1]["mig_devices"], json!([]));
        // This process has no file of the driver open, so it is a gap and not a trainer.
        assert_eq!(pids(&document).len(), 2, "{more}: {document:#}");
    }
}

#[test]
fn an_instance_that_refuses_its_list_is_a_gap() {
    let (document, exit) = with_mig("fail processes 0 4\nfail instance 1 4\n");
    let reason = "the current user does not have permission to perform this operation";
    assert!(
        facts(&document).contains(&("processes of GPU 0", reason)),
        "{document:#}"
    );
    assert_eq!(pids(&document), [std::process::id()]);
    assert_eq!(exit, Some(3));
}
