//! Machines with arm64 processors and pages of 16 KiB, for which the program is compiled here.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::guest::{Kernel, Left, Programs};
use crate::shapes::{boot_with, sees_what_dark_sees, verdicts};
use crate::{memory, peers};

/// The programs that these machines need beside the lab's, with their packages.
pub const NEEDED: &[(&str, &str)] = &[
    ("qemu-system-aarch64", "qemu-system-arm"),
    ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
    ("aarch64-linux-gnu-strip", "binutils-aarch64-linux-gnu"),
];

/// Runs a script of `release`, whose first argument is the folder of all builds.
fn release(script: &str, arguments: &[&str]) -> Result<(), String> {
    let builds = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("release")
        .join(script);
    let mut command = Command::new(&path);
    command.arg(builds).args(arguments);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command
        .output()
        .map_err(|error| format!("{}: {error}", path.display()))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        Ok(())
    } else {
        Err(said)
    }
}

/// The program and the stand-in for NVML, compiled once for all tests, or why there is no compiler.
pub fn programs() -> Result<Programs, String> {
    static COMPILER: OnceLock<Result<(), String>> = OnceLock::new();
    COMPILER
        .get_or_init(|| {
            // The crate has no folder `release`. A compiler that cannot be had is no fault of the program; a build that fails is.
            release("arm64-cargo.sh", &["--version"])?;
            let packages = ["--package", "numa-audit", "--package", "stand-in-nvml"];
            let build = [&["build", "--quiet", "--locked"], packages.as_slice()].concat();
            release("arm64-cargo.sh", &build).expect("it compiles for arm64");
            Ok(())
        })
        .clone()?;
    let builds = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let folder = builds.join("arm64/aarch64-unknown-linux-gnu/debug");
    Ok(Programs {
        numa_audit: folder.join("numa-audit"),
        stand_in: folder.join("libnvidia_ml.so"),
        strip: "aarch64-linux-gnu-strip",
    })
}

/// The distances of a two-node machine, from the report.
fn distances(report: &Value) -> Vec<&Value> {
    let nodes = report["topology"]["nodes"].as_array().unwrap().iter();
    nodes.map(|node| &node["distances"]).collect()
}

/// The ids of the recorded CPUs' packages.
fn package_ids(left: &Left) -> BTreeSet<u32> {
    let mut tar = Command::new("tar");
    tar.arg("-xzOf").arg(left.path("recording.tar.gz"));
    tar.args(["--wildcards", "*/topology/physical_package_id"]);
    let text = String::from_utf8(tar.output().unwrap().stdout).unwrap();
    text.lines().map(|id| id.parse().unwrap()).collect()
}

#[test]
fn arm64_with_a_device_tree() {
    let Some((left, report)) = boot_with("arm64-16k", Kernel::Arm64) else {
        return;
    };
    let (from_0, from_1) = (json!({"0": 10, "1": 40}), json!({"0": 40, "1": 10}));
    assert_eq!(distances(&report), [&from_0, &from_1]);
    sees_what_dark_sees(&left, &report);
}

#[test]
fn arm64_with_acpi() {
    let Some((left, report)) = boot_with("arm64-16k-acpi", Kernel::Arm64) else {
        return;
    };
    let (from_0, from_1) = (json!({"0": 10, "1": 40}), json!({"0": 40, "1": 10}));
    assert_eq!(distances(&report), [&from_0, &from_1]);
    // The firmware's offsets in its table of processors. Were one node all that Linux found, they would be the only sockets.
    let ids = package_ids(&left);
    assert!(ids.len() == 2 && ids.iter().all(|id| *id > 1), "{ids:?}");
    let gpus = report["topology"]["gpus"].as_array().unwrap().iter();
    let homes: Vec<&Value> = gpus.map(|gpu| &gpu["home_nodes"]).collect();
    assert_eq!(homes, [&json!([0]), &json!([1])]);
    assert_eq!(left.code("audit.json"), 1);
    verdicts(&left, &report, "bound", "ok", "ok");
    verdicts(&left, &report, "crossed", "mismatch", "ok");
    verdicts(&left, &report, "mbound", "ok", "mismatch");
    verdicts(&left, &report, "cpuset", "mismatch", "mismatch");
    let processes = peers::by_pid(&report);
    let memory = |job| &processes[&left.job(job)]["memory"];
    assert_eq!(memory("huge")["by_kind"]["huge"]["1"], 20 << 20);
    assert_eq!(memory("bound")["by_kind"]["pinned"]["0"], 20 << 20);
}

#[test]
fn arm64_samples_agree_with_every_page() {
    memory::samples_agree("arm64-16k-acpi", Kernel::Arm64);
}
