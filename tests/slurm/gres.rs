//! topology --gres, against slurmd and hwloc.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::cluster::{PROGRAM, has};

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/p4d-bound.tar.gz");

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn topology(snapshot: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(PROGRAM);
    output(
        command
            .arg("topology")
            .arg("--snapshot")
            .arg(snapshot)
            .args(arguments),
    )
}

#[test]
fn slurmd_takes_the_file() {
    if !has(&["slurmd"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    let text = topology(Path::new(FIXTURE), &["--gres=g[1-2]"]);
    // slurmd wants the files of the GPUs to be devices.
    for gpu in 0..8 {
        symlink("/dev/null", folder.path().join(format!("nvidia{gpu}"))).unwrap();
    }
    let text = text.replace("/dev/nvidia", &format!("{path}/nvidia"));
    fs::write(folder.path().join("gres.conf"), text).unwrap();
    let configuration = format!(
        "ClusterName=test\nSlurmctldHost=localhost\nSlurmdSpoolDir={path}\nGresTypes=gpu\n\
         NodeName=g[1-2] NodeAddr=localhost Port=[17001-17002] Sockets=2 CoresPerSocket=2 ThreadsPerCore=2 Gres=gpu:nvidia_a100-sxm4-40gb:8\n\
         SlurmdParameters=config_overrides\nPartitionName=all Nodes=ALL\n"
    );
    let file = folder.path().join("slurm.conf");
    fs::write(&file, configuration).unwrap();
    let mut slurmd = Command::new("slurmd");
    slurmd.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let printed = slurmd
        .args(["-N", "g2", "-G", "-f"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(printed.status.success(), "{printed:?}");
    let printed =
        String::from_utf8(printed.stderr).unwrap() + &String::from_utf8(printed.stdout).unwrap();
    assert!(!printed.contains("error"), "{printed}");
    for gpu in 0..8 {
        let cores = if gpu < 4 { "0-1" } else { "2-3" };
        let file = format!("File={path}/nvidia{gpu} ");
        let is_right = |line: &&str| {
            line.contains(&file)
                && line.contains("Type=nvidia_a100-sxm4-40gb Count=1")
                && line.contains(&format!("Cores={cores} "))
        };
        assert_eq!(
            printed.lines().filter(is_right).count(),
            1,
            "GPU {gpu}: {printed}"
        );
    }
}

/// Eight CPUs, two threads a core. Even CPUs are on socket 1, which has the lower CPU and so comes first.
fn alternating() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let file = |path: &str, text: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    for name in ["online", "possible", "present"] {
        file(&format!("sys/devices/system/cpu/{name}"), "0-7\n");
        file(&format!("sys/devices/system/node/{name}"), "0-1\n");
    }
    for cpu in 0..8u32 {
        let folder = format!("sys/devices/system/cpu/cpu{cpu}/topology");
        let (socket, core) = (1 - cpu % 2, cpu % 4);
        let package = if cpu % 2 == 0 { "55" } else { "aa" };
        file(
            &format!("{folder}/physical_package_id"),
            &format!("{socket}\n"),
        );
        file(&format!("{folder}/core_id"), &format!("{}\n", 7 - core));
        for name in ["thread_siblings", "core_cpus"] {
            file(
                &format!("{folder}/{name}"),
                &format!("{:x}\n", 0x11 << core),
            );
            file(
                &format!("{folder}/{name}_list"),
                &format!("{core},{}\n", core + 4),
            );
        }
        for name in ["core_siblings", "package_cpus"] {
            file(&format!("{folder}/{name}"), &format!("{package}\n"));
        }
    }
    for (node, mask, list) in [(0, "aa", "1,3,5,7"), (1, "55", "0,2,4,6")] {
        let folder = format!("sys/devices/system/node/node{node}");
        file(&format!("{folder}/cpumap"), &format!("{mask}\n"));
        file(&format!("{folder}/cpulist"), &format!("{list}\n"));
        file(
            &format!("{folder}/meminfo"),
            &format!("Node {node} MemTotal: 1048576 kB\n"),
        );
        file(
            &format!("{folder}/distance"),
            if node == 0 { "10 21\n" } else { "21 10\n" },
        );
    }
    file("proc/cpuinfo", "");
    file("proc/meminfo", "MemTotal: 2097152 kB\n");
    folder
}

#[test]
fn cores_have_hwlocs_numbers() {
    if !has(&["hwloc-calc", "tar"]) {
        return;
    }
    let recorded = tempfile::tempdir().unwrap();
    let mut tar = Command::new("tar");
    output(tar.arg("-xzf").arg(FIXTURE).arg("-C").arg(recorded.path()));
    let alternating = alternating();
    let order = [
        (recorded.path().join("p4d-bound"), None),
        (alternating.path().to_owned(), Some("0,4 2,6 1,5 3,7")),
    ];
    for (tree, expected) in order {
        let document: Value = serde_json::from_str(&topology(&tree, &["--json"])).unwrap();
        let cores = document["topology"]["cores"].as_array().unwrap();
        let sets: Vec<&str> = cores
            .iter()
            .map(|core| core["cpus"].as_str().unwrap())
            .collect();
        if let Some(expected) = expected {
            assert_eq!(sets.join(" "), expected);
        }
        assert_eq!(cores.len(), 4);
        for (number, set) in sets.iter().enumerate() {
            let core = format!("core:{number}");
            let mut calc = Command::new("hwloc-calc");
            let calc = calc
                .arg("-i")
                .arg(&tree)
                .args(["--li", "--po", "-I", "pu", &core]);
            let cpus = output(calc);
            let numbers = |text: &str| -> Vec<u32> {
                let parts = text.trim().split(',').flat_map(|part| {
                    let (first, last) = part.split_once('-').unwrap_or((part, part));
                    first.parse().unwrap()..=last.parse().unwrap()
                });
                parts.collect()
            };
            assert_eq!(
                numbers(&cpus),
                numbers(set),
                "core {number} of {}",
                tree.display()
            );
        }
    }
}
