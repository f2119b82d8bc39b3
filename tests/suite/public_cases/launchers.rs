//! Whose job it is, and what started it.

use serde_json::json;

use crate::public_cases::made_up::{Made, MadeUp, NodeShape, anon, near_or_21, two_sockets};
use crate::public_cases::placement::p4d;

#[test]

fn open_mpi_puts_all_ranks_on_one_package() {
    let mut made = p4d();
    made.process(&Made {
        pid: 50,
        name: "mpirun",
        command: "mpirun -n 16 -N 8 python3 train.py",
        last: 30,
        cpus: "0-95",
        maps: anon(&[(1, 4)], "default"),
        ..Made::default()
    });
    for rank in 0..8_u32 {
        let pid = 1000 * (rank + 1);
        made.process(&Made {
            pid,
            ppid: 50,
            last: rank,
            threads: 3,
            cpus: "0-23,48-71",
            maps: anon(&[(0, 300)], "default"),
            environ: vec![
                format!("OMPI_COMM_WORLD_RANK={rank}"),
                format!("OMPI_COMM_WORLD_LOCAL_RANK={rank}"),
                "OMPI_COMM_WORLD_SIZE=16".to_owned(),
            ],
            ..Made::default()
        });
        made.uses(rank as usize, pid);
    }
    let seen = made.audit(&[]);
    assert_eq!(seen.code, 1);
    assert_eq!((seen.cpu(4000), seen.cpu(5000)), ("ok", "mismatch"));
    assert!(seen.has("ranks-on-one-node", &[]));
    assert!(seen.has("cpu-remote", &[5000, 6000, 7000, 8000]));
    assert!(!seen.has("cpu-remote", &[1000]));
    assert_eq!(seen.process(6000)["rank"], 5);
    assert_eq!(seen.process(50)["role"], "launcher");
    seen.says(&["--map-by", "--bind-to"]);
}

#[test]

fn srun_gives_a_task_one_core() {
    let mut made = p4d();
    for gpu in &mut made.gpus[1..] {
        gpu["memory_used_bytes"] = json!(5 << 20);
    }
    let group = "/slurm/uid_1000/job_4242/step_0/task_0";
    for (name, text) in [("cpus", "0,48"), ("mems", "0-1")] {
        for file in [format!("cpuset.{name}"), format!("cpuset.effective_{name}")] {
            let file = format!("sys/fs/cgroup/cpuset{group}/{file}");
            made.file(&file, &format!("{text}\n"));
        }
    }
    made.process(&Made {
        pid: 40,
        name: "slurmstepd",
        command: "slurmstepd: [4242.0]",
        cpus: "0-95",
        maps: anon(&[(0, 4)], "default"),
        ..Made::default()
    });
    let task = |pid, ppid, threads, last, mib| Made {
        pid,
        ppid,
        last,
        threads,
        cpus: "0,48",
        maps: anon(&[(0, mib)], "default"),
        environ: ["SLURM_PROCID=0", "SLURM_LOCALID=0", "SLURM_JOB_ID=4242"]
            .map(str::to_owned)
            .to_vec(),
        cgroup: format!("11:cpuset:{group}\n9:memory:{group}\n4:devices:{group}\n"),
        ..Made::default()
    };
    made.process(&task(1000, 40, 1, 0, 400));
    made.uses(0, 1000);
    for worker in 0..8 {
        made.process(&task(1001 + 10 * worker, 1000, 1, 48, 100));
    }
    let seen = made.audit(&[]);
    assert!(["ok", "at-risk"].contains(&seen.cpu(1000)));
    assert!(seen.has("cpus-crowded", &[1000, 1001]));
    assert_eq!(seen.process(1000)["rank"], 0);
    seen.says(&["4242"]);
    seen.says(&["cpus-per-task", "cpus-per-gpu"]);
    seen.says_not(&["taskset -a -p -c 0-23"]);
}

/// KMP_AFFINITY binds every process of a machine to the same first CPU.
#[test]
fn kmp_affinity_puts_all_of_ray_on_one_cpu() {
    let mut made = MadeUp::new(&two_sockets(24, 250), near_or_21);
    made.process(&Made {
        pid: 50,
        name: "raylet",
        command: "/opt/ray/raylet",
        cpus: "0-47",
        maps: anon(&[(0, 4)], "default"),
        ..Made::default()
    });
    for (at, bus) in (0..4_u32).zip(["17", "31", "b1", "ca"]) {
        made.gpu(
            &format!("0000:{bus}:00.0"),
            at as i32 / 2,
            "NVIDIA A100-PCIE-40GB",
        );
        made.process(&Made {
            pid: 100 + at,
            ppid: 50,
            name: "ray::Actor.step",
            command: "ray::Actor.step",
            maps: anon(&[(0, 300)], "default"),
            environ: vec![
                "KMP_AFFINITY=granularity=fine,compact,1,0".to_owned(),
                format!("CUDA_VISIBLE_DEVICES={at}"),
            ],
            ..Made::default()
        });
        made.uses(at as usize, 100 + at);
    }
    let seen = made.audit(&[]);
    assert_eq!(seen.code, 1);
    assert_eq!(seen.cpu(103), "mismatch");
    assert!(seen.has("cpu-remote", &[102, 103]));
    assert!(seen.has("cpus-crowded", &[100, 101, 102, 103]));
    seen.says(&["KMP_AFFINITY"]);
    seen.says_not(&[
        "taskset -a -p -c 0-23 102",
        "taskset -a -p -c 0-23 103",
        "100 101 102 103; do taskset -a -p -c 0-23",
    ]);
}

/// DeepSpeed deals cores by rank: rank 1 has cores of both nodes.
#[test]

fn deepspeed_deals_cores_by_rank() {
    let nodes = [
        ("0-31,64-95".to_owned(), 0, 250),
        ("32-63,96-127".to_owned(), 1, 250),
    ];
    let mut made = MadeUp::new(&nodes, near_or_21);
    let launcher = |pid, ppid, name, command| Made {
        pid,
        ppid,
        name,
        command,
        last: 5,
        cpus: "0-127",
        maps: anon(&[(0, 4)], "default"),
        ..Made::default()
    };
    made.process(&launcher(
        40,
        1,
        "deepspeed",
        "python3 /bin/deepspeed --num_gpus=3 --bind_cores_to_rank train.py",
    ));
    made.process(&launcher(
        50,
        40,
        "python3",
        "python3 -u -m deepspeed.launcher.launch --world_info=eyJ9 --bind_cores_to_rank train.py",
    ));
    let ranks = [
        ("0-20", 1, 0, "31"),
        ("21-41", 22, 0, "4b"),
        ("42-62", 43, 1, "b1"),
    ];
    for (rank, (cpus, last, node, bus)) in (0..).zip(ranks) {
        made.gpu(&format!("0000:{bus}:00.0"), node, "NVIDIA A100 80GB PCIe");
        let pid = 100 * (rank + 1);
        made.process(&Made {
            pid,
            ppid: 50,
            command: &format!("python3 -u train.py --local_rank={rank}"),
            last,
            threads: 3,
            cpus,
            maps: anon(&[(node as u32, 300)], "default"),
            environ: vec![format!("RANK={rank}"), format!("LOCAL_RANK={rank}")],
            ..Made::default()
        });
        made.uses(rank as usize, pid);
    }
    let seen = made.audit(&[]);
    assert_eq!((seen.cpu(100), seen.cpu(300)), ("ok", "ok"));
    assert!(["at-risk", "mismatch"].contains(&seen.cpu(200)));
    assert!(seen.has("cpu-unbound", &[200]) && !seen.has("cpu-unbound", &[100]));
    assert!(!seen.has("cpu-remote", &[]));
    seen.says(&["bind_core_list"]);
    seen.says_not(&["no numactl program"]);
}

#[test]

fn srun_without_binding_on_eight_nodes() {
    let cpus = |node: u32| {
        let (low, high) = (16 * node, 128 + 16 * node);
        format!("{low}-{},{high}-{}", low + 15, high + 15)
    };
    let nodes: Vec<NodeShape> = (0..8).map(|node| (cpus(node), node / 4, 250)).collect();
    let mut made = MadeUp::new(&nodes, |a, b| match (a == b, a / 4 == b / 4) {
        (true, _) => 10,
        (_, true) => 12,
        _ => 32,
    });
    made.process(&Made {
        pid: 40,
        name: "slurmstepd",
        command: "slurmstepd: [99.0]",
        cpus: "0-255",
        maps: anon(&[(0, 4)], "default"),
        ..Made::default()
    });
    for (rank, last) in (0..8_u32).zip([1, 1, 70, 50, 65, 20, 100, 115]) {
        let address = format!("0000:{:02x}:00.0", 0x11 + 0x10 * rank);
        made.gpu(&address, rank as i32, "NVIDIA B300 SXM6");
        made.process(&Made {
            pid: 100 + rank,
            ppid: 40,
            command: "python3 -m tensorrt_llm.serve model",
            last,
            cpus: "0-255",
            maps: anon(&[(last / 16, 400)], "default"),
            environ: vec![
                format!("SLURM_PROCID={rank}"),
                format!("SLURM_LOCALID={rank}"),
                "SLURM_JOB_ID=99".to_owned(),
            ],
            cgroup: format!("0::/system.slice/slurmstepd.scope/job_99/step_0/user/task_{rank}\n"),
            ..Made::default()
        });
        made.uses(rank as usize, 100 + rank);
    }
    let seen = made.audit(&[]);
    assert_eq!(seen.code, 1);
    let verdicts = [100, 101, 102].map(|pid| seen.cpu(pid));
    assert_eq!(verdicts, ["at-risk", "at-risk", "mismatch"]);
    assert!(seen.has("cpu-remote", &[102]) && seen.has("cpu-unbound", &[100]));
    assert!(seen.has("cpu-near", &[101]));
    assert_eq!(seen.process(102)["rank"], 2);
    seen.says(&["cpu-bind"]);
    seen.says(&["job 99", "Slurm 99"]);
}

/// Lightning's own launcher: ranks 1 to 3 are children of rank 0.
#[test]

fn lightning_ranks_below_rank_0() {
    let mut made = MadeUp::new(&two_sockets(16, 60), near_or_21);
    for (rank, bus) in (0..4_u32).zip(["17", "31", "b1", "ca"]) {
        made.gpu(
            &format!("0000:{bus}:00.0"),
            rank as i32 / 2,
            "NVIDIA A100-PCIE-40GB",
        );
        let pid = 100 * (rank + 1);
        let environ: Vec<String> = match rank {
            0 => Vec::new(),
            _ => vec![
                "MASTER_PORT=12910".to_owned(),
                "NODE_RANK=0".to_owned(),
                format!("LOCAL_RANK={rank}"),
                "WORLD_SIZE=4".to_owned(),
            ],
        };
        let of = |pid, ppid, name, last, mib| Made {
            pid,
            ppid,
            name,
            command: "/usr/bin/python train.py",
            last,
            cpus: "0-15",
            maps: anon(&[(0, mib)], "default"),
            environ: environ.clone(),
            ..Made::default()
        };
        let parent = if rank == 0 { 1 } else { 100 };
        made.process(&of(pid, parent, "python3", rank, 300));
        made.uses(rank as usize, pid);
        for worker in [pid + 10, pid + 20] {
            made.process(&of(worker, pid, "pt_data_worker", rank + 4, 50));
        }
    }
    let seen = made.audit(&[]);
    assert_eq!(seen.code, 1);
    assert_eq!((seen.cpu(300), seen.cpu(400)), ("mismatch", "mismatch"));
    assert!(seen.has("ranks-on-one-node", &[100, 200, 300, 400]));
    assert!(seen.has("cpu-remote", &[300, 400]));
    assert_eq!(seen.process(110)["trainer_pid"], 100);
    assert_eq!(seen.process(310)["trainer_pid"], 300);
    seen.says_not(&["start it with numactl --cpunodebind=1"]);
}
