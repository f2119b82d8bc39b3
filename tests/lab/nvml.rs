//! A driver that fails in the ways that the real one does: the library is loaded by the path that the real one takes.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::guest::stand_in;

const GPU: &str = "gpu 0 00000000:10:1C.0 0 GPU-aaaa 42949672960 5000000 0-1 0 NVIDIA A100-SXM4-40GB\n\
    gpu 1 00000000:10:1D.0 1 GPU-bbbb 42949672960 5000000 - - NVIDIA A100-SXM4-40GB\n";

/// The program's audit with a driver that answers so.
fn audit(library: &Path, answers: &str) -> (Value, Option<i32>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("answers");
    std::fs::write(&file, format!("driver 570.1\n{answers}")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_numa-audit"));
    command
        .arg("--json")
        .arg("--nvml-lib")
        .arg(library)
        .env("STAND_IN_NVML", file);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.is_empty(), "{said}");
    (
        serde_json::from_slice(&output.stdout).unwrap(),
        output.status.code(),
    )
}

fn facts(document: &Value) -> Vec<(&str, &str)> {
    let gaps = document["incomplete"].as_array().unwrap().iter();
    gaps.map(|gap| {
        (
            gap["what"].as_str().unwrap(),
            gap["reason"].as_str().unwrap(),
        )
    })
    .collect()
}

/// Processes of these PIDs on GPU 0. No machine has them, so that each that the program reads shows as a gap.
fn listed(pids: std::ops::Range<u32>) -> String {
    let lines = pids.map(|pid| format!("process 0 compute {pid} 1073741824\n"));
    GPU.to_owned() + &lines.collect::<String>()
}

const NOBODYS: u32 = 4_200_000;

/// Every PID that the program took from the lists.
fn pids(document: &Value) -> Vec<u32> {
    let gaps = document["incomplete"].as_array().unwrap().iter();
    gaps.filter(|gap| gap["what"] == "process")
        .map(|gap| gap["pid"].as_u64().unwrap() as u32)
        .collect()
}

#[test]
fn gpus_as_the_driver_tells_them() {
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
fn lists_of_every_layout_are_read_right() {
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
fn a_list_that_grows_between_two_calls() {
    for grown in [1, 16, 17, 100] {
        let (document, _) = audit(
            &stand_in(&[]),
            &(listed(NOBODYS..NOBODYS + 2) + &format!("grow {grown}\n")),
        );
        assert_eq!(pids(&document).len(), 2 + grown, "{grown} more");
    }
}

#[test]
fn a_driver_that_is_not_loaded_or_refuses() {
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
fn a_gpu_that_fell_off_the_bus_does_not_hide_the_other() {
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

/// What the program does about it comes with its deadlines; here the stand-in shows that it can.
#[test]
fn a_call_that_never_returns() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("answers");
    std::fs::write(&file, format!("driver 570.1\n{GPU}hang processes\n")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_numa-audit"));
    command
        .arg("--json")
        .arg("--nvml-lib")
        .arg(stand_in(&[]))
        .env("STAND_IN_NVML", file);
    let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(child.try_wait().unwrap(), None, "it waits for the driver");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn lists_that_are_refused_are_not_empty_lists() {
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
fn mig_instances_by_the_list_of_the_gpu_and_by_their_own() {
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
        // This process has no file of a driver's open, so that it is not believed to be a trainer: it stands as a gap.
        assert_eq!(pids(&document).len(), 2, "{more}: {document:#}");
    }
}

#[test]
fn an_instance_that_refuses_its_list_is_missed() {
    let (document, exit) = with_mig("fail processes 0 4\nfail instance 1 4\n");
    let reason = "the current user does not have permission to perform this operation";
    assert!(
        facts(&document).contains(&("processes of GPU 0", reason)),
        "{document:#}"
    );
    assert_eq!(pids(&document), [std::process::id()]);
    assert_eq!(exit, Some(3));
}
