//! Scripts, variables and Python, as they are printed and as they run.

use super::*;

#[test]
fn the_wrapper() {
    let run = in_format("sh", &["--gpus", "0,4"]);
    snapbox::assert_data_eq!(
        text(&run),
        str![[r##"
#!/bin/sh
# Made by numa-audit plan for numa-vm: 2 ranks on GPUs 0,4.
# Save it as bind.sh, chmod +x bind.sh, and put it before the program of each rank:
#   torchrun --no-python ./bind.sh python train.py
#   srun --cpu-bind=none ./bind.sh python train.py
#   mpirun --bind-to none ./bind.sh python train.py
rank=${LOCAL_RANK:-${SLURM_LOCALID:-${OMPI_COMM_WORLD_LOCAL_RANK:-${MV2_COMM_WORLD_LOCAL_RANK:-${MPI_LOCALRANKID:-${PALS_LOCAL_RANKID:-${FLUX_TASK_LOCAL_ID:-}}}}}}}
case $rank in
0) cpus=0-1,4-5 memory=0 ;; # GPU 0
1) cpus=2-3,6-7 memory=1 ;; # GPU 4
*) echo "bind.sh: no rank /"$rank/" in the plan" >&2; exit 1 ;;
esac
# Rank N uses device N of this list, unless the job has its own.
devices=GPU-00000000-0000-0000-0000-000000000000,GPU-00000000-0000-0000-0000-000000000004
case ${CUDA_VISIBLE_DEVICES:=$devices} in
"$devices" | 0,4) ;;
*) echo "bind.sh: CUDA_VISIBLE_DEVICES is $CUDA_VISIBLE_DEVICES: is rank $rank on its GPU of the plan?" >&2 ;;
esac
export CUDA_VISIBLE_DEVICES
exec numactl --physcpubind="$cpus" --membind="$memory" -- "$@"

"##]]
    );
}

#[test]
fn the_loop_of_numactl() {
    let run = in_format(
        "numactl",
        &[
            "--order",
            "cuda-visible-devices=4,0",
            "--exclusive",
            "--workers",
            "2",
        ],
    );
    snapbox::assert_data_eq!(
        text(&run),
        str![[r##"
#!/bin/sh
# Made by numa-audit plan for numa-vm: 2 ranks on GPUs 4,0.
# Loaders have the CPUs of their rank; --format python gives them those of the plan.
# Save it as launch.sh, then: sh launch.sh python train.py
export WORLD_SIZE=2 LOCAL_WORLD_SIZE=2
export MASTER_ADDR="${MASTER_ADDR:-127.0.0.1}" MASTER_PORT="${MASTER_PORT:-29500}"
export CUDA_VISIBLE_DEVICES=GPU-00000000-0000-0000-0000-000000000004,GPU-00000000-0000-0000-0000-000000000000
pids=
trap 'kill $pids 2>/dev/null' INT TERM
RANK=0 LOCAL_RANK=0 numactl --physcpubind=2-3,6-7 --membind=1 -- "$@" & pids="$pids $!" # GPU 4
RANK=1 LOCAL_RANK=1 numactl --physcpubind=0-1,4-5 --membind=0 -- "$@" & pids="$pids $!" # GPU 0
status=0
for pid in $pids; do wait "$pid" || status=$?; done
exit $status

"##]]
    );
}

#[test]
fn the_variables_of_each_rank() {
    let run = in_format("env", &["--gpus", "0,4"]);
    snapbox::assert_data_eq!(
        text(&run),
        str![[r##"
# Made by numa-audit plan for numa-vm: 2 ranks on GPUs 0,4.
# A section for each rank. With --dir DIR each is a file, DIR/rank0.env and so on, for a shell or a service.

# rank 0, GPU 0
LOCAL_RANK=0
CUDA_VISIBLE_DEVICES=GPU-00000000-0000-0000-0000-000000000000,GPU-00000000-0000-0000-0000-000000000004
NUMA_CPUS=0-1,4-5
NUMA_MEMORY_NODES=0
NUMA_WORKER_CPUS=0-1,4-5
NUMACTL="numactl --physcpubind=0-1,4-5 --membind=0"

# rank 1, GPU 4
LOCAL_RANK=1
CUDA_VISIBLE_DEVICES=GPU-00000000-0000-0000-0000-000000000000,GPU-00000000-0000-0000-0000-000000000004
NUMA_CPUS=2-3,6-7
NUMA_MEMORY_NODES=1
NUMA_WORKER_CPUS=2-3,6-7
NUMACTL="numactl --physcpubind=2-3,6-7 --membind=1"

"##]]
    );
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("not/there/yet");
    let run = in_format("env", &["--gpus", "0,4", "--dir", folder.to_str().unwrap()]);
    assert_eq!(text(&run), "");
    let file = fs::read_to_string(folder.join("rank1.env")).unwrap();
    assert!(
        file.contains("\nLOCAL_RANK=1\n") && file.contains("\nNUMA_CPUS=2-3,6-7\n"),
        "{file}"
    );
    let read = "set -a; . ./rank0.env; echo \"$NUMACTL\"; echo \"$LOCAL_RANK\"";
    let shell = Command::new("sh")
        .args(["-euc", read])
        .current_dir(&folder)
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&shell.stdout),
        "numactl --physcpubind=0-1,4-5 --membind=0\n0\n"
    );
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
}

#[test]
fn shellcheck_finds_nothing_in_the_scripts() {
    for (format, arguments) in [
        ("sh", &[][..]),
        ("sh", &["--exclusive", "--gpus", "0,4", "--workers", "3"]),
        ("numactl", &[]),
        ("numactl", &["--order", "cuda-visible-devices=4,0"]),
    ] {
        let run = in_format(format, arguments);
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("script.sh");
        fs::write(&script, text(&run)).unwrap();
        let Ok(output) = Command::new("shellcheck").arg(&script).output() else {
            return passed_over("shellcheck is not installed");
        };
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
}

/// A wrapper of a plan for one rank on this machine's first CPU, and a `numactl` that only prints its arguments.
#[test]
fn the_wrapper_takes_the_rank_of_any_launcher() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("bind.sh"),
        text(&in_format("sh", &["--gpus", "0,4"])),
    )
    .unwrap();
    let numactl = folder.path().join("numactl");
    fs::write(&numactl, "#!/bin/sh\necho \"$CUDA_VISIBLE_DEVICES $*\"\n").unwrap();
    fs::set_permissions(
        &numactl,
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let wrapped = |variables: &[(&str, &str)]| -> Run {
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        let mut shell = Command::new("sh");
        shell
            .args(["bind.sh", "python", "train.py"])
            .current_dir(folder.path());
        shell
            .env_clear()
            .env("PATH", path)
            .envs(variables.iter().copied());
        shell.output().unwrap().into()
    };
    let devices =
        "GPU-00000000-0000-0000-0000-000000000000,GPU-00000000-0000-0000-0000-000000000004";
    for name in [
        "LOCAL_RANK",
        "SLURM_LOCALID",
        "OMPI_COMM_WORLD_LOCAL_RANK",
        "MV2_COMM_WORLD_LOCAL_RANK",
        "MPI_LOCALRANKID",
        "PALS_LOCAL_RANKID",
        "FLUX_TASK_LOCAL_ID",
    ] {
        let run = wrapped(&[(name, "1")]);
        assert_eq!(
            text(&run),
            format!("{devices} --physcpubind=2-3,6-7 --membind=1 -- python train.py\n"),
            "{name}"
        );
    }
    // torchrun below srun: its own number counts.
    let run = wrapped(&[
        ("SLURM_LOCALID", "0"),
        ("LOCAL_RANK", "1"),
        ("CUDA_VISIBLE_DEVICES", "0,4"),
    ]);
    assert_eq!(
        text(&run),
        "0,4 --physcpubind=2-3,6-7 --membind=1 -- python train.py\n"
    );
    let run = wrapped(&[("LOCAL_RANK", "0"), ("CUDA_VISIBLE_DEVICES", "4,0")]);
    assert_eq!(
        run.stdout,
        "4,0 --physcpubind=0-1,4-5 --membind=0 -- python train.py\n"
    );
    assert_eq!(
        run.stderr,
        "bind.sh: CUDA_VISIBLE_DEVICES is 4,0: is rank 0 on its GPU of the plan?\n"
    );
    for variables in [&[][..], &[("LOCAL_RANK", "2")], &[("LOCAL_RANK", "x")]] {
        assert_eq!(wrapped(variables).code, Some(1), "{variables:?}");
    }
}

#[test]
fn python_binds_a_rank_and_its_loaders() {
    let tree = Tree::new();
    // Of this machine's CPUs; others may not exist.
    let here = fs::read_to_string("/proc/self/status").unwrap();
    let here = here
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .unwrap();
    let (first, last) = (
        here.trim().split([',', '-']).next().unwrap(),
        here.trim().split([',', '-']).next_back().unwrap(),
    );
    if first == last {
        return passed_over("there is one CPU here");
    }
    tree.nodes(&[(&format!("{first},{last}"), 0), ("", 1)]);
    for cpu in [first, last] {
        tree.file(
            &format!("sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"),
            &format!("{cpu}\n"),
        );
    }
    let run = plan_of(
        &tree,
        &["--format", "python", "--exclusive", "--workers", "1"],
    );
    let check = "\nbind()\nprint(sorted(os.sched_getaffinity(0)))\nbind_worker(0)\nprint(sorted(os.sched_getaffinity(0)))\n";
    for name in ["LOCAL_RANK", "SLURM_LOCALID"] {
        let mut python = Command::new("python3");
        python
            .args(["-c", &(text(&run).to_owned() + check)])
            .env_remove("LOCAL_RANK")
            .env(name, "0");
        let said = python.output().unwrap();
        assert_eq!(
            String::from_utf8_lossy(&said.stdout),
            format!("[{first}, {last}]\n[{last}]\n"),
            "{said:?}"
        );
    }
}

/// The UUIDs of AMD's GPUs and of MIG devices are no value for CUDA_VISIBLE_DEVICES.
#[test]
fn devices_without_a_uuid_of_nvidia_are_not_selected() {
    let tree = Tree::new();
    for format in ["sh", "numactl", "env"] {
        let run = plan_of(&tree, &["--format", format]);
        assert!(
            text(&run).contains("# Rank N must use the GPU of its line"),
            "{}",
            run.stdout
        );
        assert!(
            !text(&run).contains("CUDA_VISIBLE_DEVICES"),
            "{}",
            run.stdout
        );
    }
}
