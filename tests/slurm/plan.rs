//! The plan's srun command and its wrapper: Slurm takes the masks, and tasks are where the plan has them.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::cluster::{Cluster, PROGRAM, has};

/// One node of two CPUs, as each node of the cluster has, and two GPUs.
fn two_cpus() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let file = |path: &str, text: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    file("sys/devices/system/node/online", "0\n");
    let node = "sys/devices/system/node/node0";
    file(&format!("{node}/cpulist"), "0-1\n");
    file(&format!("{node}/meminfo"), "Node 0 MemTotal: 1048576 kB\n");
    file(&format!("{node}/distance"), "10\n");
    file("sys/devices/system/cpu/isolated", "\n");
    for cpu in 0..2 {
        let topology = format!("sys/devices/system/cpu/cpu{cpu}/topology");
        file(&format!("{topology}/physical_package_id"), "0\n");
        file(
            &format!("{topology}/thread_siblings_list"),
            &format!("{cpu}\n"),
        );
    }
    for gpu in ["0000:10:1c.0", "0000:90:1c.0"] {
        let device = format!("sys/bus/pci/devices/{gpu}");
        file(&format!("{device}/class"), "0x030200\n");
        file(&format!("{device}/vendor"), "0x10de\n");
        file(&format!("{device}/numa_node"), "0\n");
    }
    folder
}

fn plan(machine: &Path, format: &str, order: &str) -> String {
    let mut command = Command::new(PROGRAM);
    command.args([
        "plan",
        "--exclusive",
        "--format",
        format,
        "--order",
        order,
        "--snapshot",
    ]);
    let output = command.arg(machine).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a task is told: its number, its CPUs and its memory.
const TASK: &str = "echo \"$SLURM_LOCALID $(numactl --show | grep -e ^physcpubind -e ^membind -e ^policy | tr '\\n' ' ')\"";

#[track_caller]
fn are_placed(printed: &str, cpus: [u32; 2]) {
    let mut lines: Vec<&str> = printed.lines().map(str::trim_end).collect();
    lines.sort_unstable();
    let expected = [0, 1].map(|task| {
        format!(
            "{task} policy: bind physcpubind: {}  membind: 0",
            cpus[task]
        )
    });
    assert_eq!(lines, expected);
}

#[test]
fn tasks_run_where_the_plan_has_them() {
    if !has(&["numactl"]) {
        return;
    }
    let Some(cluster) = Cluster::start("") else {
        return;
    };
    let machine = two_cpus();
    for (order, cpus) in [("nvml", [0, 1]), ("cuda-visible-devices=1,0", [1, 0])] {
        let text = plan(machine.path(), "slurm", order);
        let command = text
            .lines()
            .find_map(|line| line.strip_suffix(" python train.py"));
        let words: Vec<&str> = command.unwrap().split(' ').collect();
        assert_eq!(words[0], "srun");
        let job = ["-N1", "--exclusive", "sh", "-c", TASK];
        are_placed(&cluster.output(&[&words[..], &job].concat()), cpus);

        cluster.file(
            "bind.sh",
            plan(machine.path(), "sh", order).as_bytes(),
            0o755,
        );
        let wrapped = [
            "srun",
            "-N1",
            "-n2",
            "--exclusive",
            "--cpu-bind=none",
            "./bind.sh",
            "sh",
            "-c",
            TASK,
        ];
        are_placed(&cluster.output(&wrapped), cpus);
    }
}
