//! NVML is not asked for what the driver's files below `/proc` have. The files are mounted over the machine's own.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::guest::stand_in;
use crate::support::passed_over;

/// Mounts the files of one GPU, records, and prints the map of the machine and of its recording.
const SCRIPT: &str = r#"
    set -e
    mount -t tmpfs none /proc/driver
    gpu=/proc/driver/nvidia/gpus/0000:17:00.0
    mkdir -p $gpu
    printf 'Model: \t\t File H200\nGPU UUID: \t GPU-file\nDevice Minor: \t 3\n' > $gpu/information
    "$1" record "$3/recording" --nvml-lib "$2" --pid $$ > "$3/record" 2>&1
    "$1" topology --json --nvml-lib "$2" > "$3/live"
    "$1" topology --json --snapshot "$3/recording" > "$3/replay"
"#;

/// What the library's stand-in answers.
const DRIVER: &str = "driver 580\ngpu 0 00000000:17:00.0 3 GPU-nvml 100 50 0-1 0 NVML H200\n";

/// NVML's recorded answers about GPU 0, and the GPUs of the running machine and of its recording. `None` where nothing may be mounted.
fn answers(driver: &str) -> Option<(Value, [Value; 2])> {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("answers"), driver).unwrap();
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", SCRIPT, "sh"])
        .arg(env!("CARGO_BIN_EXE_numa-audit"))
        .arg(stand_in(&[]))
        .arg(folder.path())
        .env("STAND_IN_NVML", path("answers"));
    let may_mount = Command::new("unshare")
        .args(["--mount", "mount", "-t", "tmpfs", "none", "/proc/driver"])
        .output();
    if !may_mount.is_ok_and(|output| output.status.success()) {
        passed_over("nothing may be mounted over /proc/driver");
        return None;
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let read =
        |path: &Path| -> Value { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
    let gpus = |name| read(&path(name))["topology"]["gpus"].clone();
    let recorded = read(&path("recording/nvml.json"))["gpus"][0].clone();
    Some((recorded, [gpus("live"), gpus("replay")]))
}

#[test]
fn a_gpu_that_its_files_describe_is_not_described_by_nvml() {
    // Each of these answers would be an error.
    let failing = format!("{DRIVER}fail uuid 0 999\nfail name 0 999\nfail minor 0 999\n");
    let Some((recorded, [live, replay])) = answers(&failing) else {
        return;
    };
    assert_eq!(recorded["unanswered"], Value::Null, "not asked");
    assert_eq!(recorded["pci_bus_id"], "00000000:17:00.0");
    assert_eq!(live[0]["uuid"], "GPU-file");
    assert_eq!(live[0]["name"], "File H200");
    assert_eq!(live, replay);
}

#[test]
fn nvml_describes_all_gpus_where_the_files_are_not_of_as_many() {
    let second = "gpu 1 00000000:18:00.0 4 GPU-other 100 50 0-1 0 NVML H200\n";
    let Some((recorded, [live, replay])) = answers(&format!("{DRIVER}{second}")) else {
        return;
    };
    assert_eq!(recorded["uuid"], "GPU-nvml");
    assert_eq!(live[0]["uuid"], "GPU-nvml");
    assert_eq!(live, replay);
}
