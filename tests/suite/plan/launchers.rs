//! The options of launchers and servers.

use super::*;

/// The commands of a text: what is no comment.
fn commands(run: &Run) -> Vec<String> {
    let lines = text(run).lines();
    let lines = lines.filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(str::to_owned).collect()
}

const POINTER: &str = "--format sh makes a wrapper for torchrun --no-python";

#[test]
fn torchrun_has_an_option_where_one_equals_the_plan() {
    let command = |arguments: &[&str]| commands(&in_format("torchrun", arguments)).join("\n");
    assert_eq!(
        command(&[]),
        "torchrun --nproc-per-node=8 --numa-binding=node train.py"
    );
    let zero = "CUDA_VISIBLE_DEVICES=GPU-00000000-0000-0000-0000-000000000000";
    assert_eq!(
        command(&["--gpus", "0,4", "--order", "cuda-visible-devices=4,0"]),
        "CUDA_VISIBLE_DEVICES=GPU-00000000-0000-0000-0000-000000000004,GPU-00000000-0000-0000-0000-000000000000 \
         torchrun --nproc-per-node=2 --numa-binding=node train.py"
    );
    assert!(command(&["--gpus", "0,2,4,6", "--exclusive"]).starts_with(zero));
    assert!(
        command(&["--gpus", "0,2,4,6", "--exclusive"])
            .ends_with("--numa-binding=exclusive train.py")
    );
    // It deals in the order of its own numbers, the plan in that of the GPUs.
    refuses(
        &in_format(
            "torchrun",
            &["--order", "cuda-visible-devices=2,0", "--exclusive"],
        ),
        1,
        &[&format!(
            "--format torchrun cannot give this plan: --numa-binding=node binds rank 0 to CPUs 0-1,4-5 instead of 1,5; \
             --numa-binding=exclusive binds rank 0 to CPUs 0,4 instead of 1,5; \
             --numa-binding=socket binds rank 0 to CPUs 0-1,4-5 instead of 1,5; {POINTER}"
        )],
    );
}

#[test]
fn torchrun_reads_the_kernels_node_only() {
    let mut tree = Tree::new();
    tree.gpu("0000:90:1c.0", "1\n");
    let run = plan_of(&tree, &["--format", "torchrun"]);
    assert_eq!(
        commands(&run),
        ["torchrun --nproc-per-node=2 --numa-binding=node train.py"]
    );
    // The user knows better than the kernel.
    let run = plan_of(&tree, &["--format", "torchrun", "--gpu-node", "0=1"]);
    assert_eq!(run.code, Some(1));
    assert!(
        run.stderr
            .contains("--numa-binding=node binds rank 0 to CPUs 0-1 instead of 2-3"),
        "{}",
        run.stderr
    );
    tree.numa_node("-1\n");
    let why = format!(
        "--format torchrun cannot give this plan: the kernel does not report the node of GPU 0, and torchrun would take node 0; {POINTER}"
    );
    refuses(
        &plan_of(&tree, &["--format", "torchrun", "--gpu-node", "0=1"]),
        1,
        &[&why],
    );
}

#[test]
fn srun_gets_masks() {
    let run = in_format("slurm", &["--gpus", "0,2,4,6", "--exclusive"]);
    snapbox::assert_data_eq!(
        text(&run),
        str![[r#"
# Made by numa-audit plan for numa-vm: 4 ranks on GPUs 0,2,4,6.
# Slurm takes such lists only in a job that has the whole node (--exclusive). The Nth of a list is for local task N.
CUDA_VISIBLE_DEVICES=GPU-00000000-0000-0000-0000-000000000000,GPU-00000000-0000-0000-0000-000000000002,GPU-00000000-0000-0000-0000-000000000004,GPU-00000000-0000-0000-0000-000000000006 srun --ntasks-per-node=4 --cpu-bind=mask_cpu:0x11,0x22,0x44,0x88 --mem-bind=map_mem:0,0,1,1 python train.py

# For the administrator: with these lines Slurm itself gives a job of some GPUs the cores of their nodes.
# gres.conf for numa-vm, made by numa-audit topology --gres
# Cores= are logical numbers, as of lstopo -l: 4 cores, in the order of their 2 sockets.
# Assumed: slurm.conf has the sockets and cores of `slurmd -C`, or NUMA nodes as sockets (numa_node_as_socket).
# With l3cache_as_socket compare with lstopo -l.
# Name=gpu Type=nvidia_a100-sxm4-40gb File=/dev/nvidia0 Cores=0-1
# Name=gpu Type=nvidia_a100-sxm4-40gb File=/dev/nvidia1 Cores=0-1
# Name=gpu Type=nvidia_a100-sxm4-40gb File=/dev/nvidia2 Cores=0-1
# Name=gpu Type=nvidia_a100-sxm4-40gb File=/dev/nvidia3 Cores=0-1
# Name=gpu Type=nvidia_a100-sxm4-40gb File=/dev/nvidia4 Cores=2-3
# Name=gpu Type=nvidia_a100-sxm4-40gb File=/dev/nvidia5 Cores=2-3
# Name=gpu Type=nvidia_a100-sxm4-40gb File=/dev/nvidia6 Cores=2-3
# Name=gpu Type=nvidia_a100-sxm4-40gb File=/dev/nvidia7 Cores=2-3
# In slurm.conf: GresTypes=gpu, and on the node's line Gres=gpu:nvidia_a100-sxm4-40gb:8

"#]]
    );
}

#[test]
fn the_rank_file_of_open_mpi() {
    let run = in_format("openmpi", &[]);
    snapbox::assert_data_eq!(
        text(&run),
        str![[r#"
# Made by numa-audit plan for numa-vm: 8 ranks on GPUs 0-7.
# Open MPI 4. Save it as rankfile, with the host's name for localhost where the job has several hosts, then:
#   mpirun -np 8 --mca rmaps_rank_file_physical 1 --rankfile rankfile python train.py
# It binds CPUs only: memory is on the node of the CPU that touches it first.
rank 0=localhost slot=0-1,4-5
rank 1=localhost slot=0-1,4-5
rank 2=localhost slot=0-1,4-5
rank 3=localhost slot=0-1,4-5
rank 4=localhost slot=2-3,6-7
rank 5=localhost slot=2-3,6-7
rank 6=localhost slot=2-3,6-7
rank 7=localhost slot=2-3,6-7

"#]]
    );
    let run = in_format(
        "openmpi",
        &["--exclusive", "--order", "cuda-visible-devices=4,0,6"],
    );
    assert_eq!(
        commands(&run),
        [
            "rank 0=localhost slot=2,6",
            "rank 1=localhost slot=0-1,4-5",
            "rank 2=localhost slot=3,7"
        ]
    );
    assert!(
        text(&run).contains("mpirun -np 3 -x CUDA_VISIBLE_DEVICES=GPU-"),
        "{}",
        run.stdout
    );
    assert!(!text(&run).contains("--map-by"), "{}", run.stdout);
    let why = "--format openmpi cannot give this plan: Open MPI binds to whole cores, and rank 0 is not known to have all hardware \
               threads of the core of CPU 4; --format sh makes a wrapper for mpirun --bind-to none";
    refuses(&in_format("openmpi", &["--reserve", "0"]), 1, &[why]);
}

/// A machine whose second hardware threads are numbered right after the first ones.
fn ascending() -> Tree {
    let mut tree = Tree::new();
    tree.gpu("0000:90:1c.0", "1\n");
    for cpu in 0..4 {
        let file = format!("sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
        tree.file(&file, &format!("{cpu}\n"));
    }
    tree
}

#[test]
fn deepspeed_deals_ascending_cpus() {
    let run = plan_of(&ascending(), &["--format", "deepspeed"]);
    assert_eq!(
        commands(&run),
        ["deepspeed --include localhost:0,1 --bind_cores_to_rank --bind_core_list 0-3 train.py"]
    );
    let tail = "with the wrapper of --format sh: deepspeed --no_python --no_local_rank ./bind.sh python train.py";
    for (run, why) in [
        (
            in_format("deepspeed", &[]),
            "it deals a list of ascending CPUs in the order of the ranks, and the plan's CPUs do not ascend by rank",
        ),
        (
            in_format("deepspeed", &["--order", "cuda-visible-devices=4,0"]),
            "it sorts the GPUs, and the plan has 4,0",
        ),
        (
            plan_of(&ascending(), &["--format", "deepspeed", "--reserve", "0"]),
            "it deals equal parts, and the plan's ranks have different numbers of CPUs",
        ),
    ] {
        refuses(
            &run,
            1,
            &[&format!(
                "--format deepspeed cannot give this plan: {why}; {tail}"
            )],
        );
    }
    let tree = ascending();
    tree.nodes(&[("0-1", 0), ("2-3", 1), ("", 0), ("", 1)]);
    let run = plan_of(&tree, &["--format", "deepspeed"]);
    assert!(
        run.stderr
            .contains("take the nodes without CPUs for high-bandwidth memory"),
        "{}",
        run.stderr
    );
}

#[test]
fn accelerate_binds_to_what_nvml_reports() {
    let mut tree = Tree::new();
    tree.affinity = [Some("0-1"), None];
    let run = plan_of(&tree, &["--format", "accelerate"]);
    assert_eq!(
        commands(&run),
        ["accelerate launch --enable_cpu_affinity --num_processes 1 train.py"]
    );
    let tail = "with the wrapper of --format sh: torchrun --no-python ./bind.sh python train.py";
    let why = |why: &str| format!("--format accelerate cannot give this plan: {why}; {tail}");
    let reserved = plan_of(&tree, &["--format", "accelerate", "--reserve", "0"]);
    refuses(
        &reserved,
        1,
        &[&why("it would bind rank 0 to CPUs 0-1 instead of 1")],
    );
    tree.affinity = [None; 2];
    let unknown = "it binds to the CPUs that NVML reports, which are unknown here for GPU 0";
    refuses(
        &plan_of(&tree, &["--format", "accelerate"]),
        1,
        &[&why(unknown)],
    );
    let order = "it binds rank N for NVML's GPU N, and the plan has another order";
    refuses(
        &in_format("accelerate", &["--gpus", "4"]),
        1,
        &[&why(order)],
    );
}

#[test]
fn servers_get_a_node_for_each_gpu() {
    assert_eq!(
        commands(&in_format("vllm", &[])),
        ["vllm serve MODEL --tensor-parallel-size 8 --numa-bind --numa-bind-nodes 0 0 0 0 1 1 1 1"]
    );
    let run = in_format("vllm", &["--exclusive", "--gpus", "0,1,4,5"]);
    assert!(
        run.stdout
            .ends_with(" --numa-bind --numa-bind-nodes 0 0 1 1 --numa-bind-cpus 0,4 1,5 2,6 3,7\n"),
        "{}",
        run.stdout
    );
    assert_eq!(
        commands(&in_format("sglang", &[])),
        ["python -m sglang.launch_server --model-path MODEL --tp 8 --numa-node 0 0 0 0 1 1 1 1"]
    );
    let why = "--format sglang cannot give this plan: it binds to all CPUs of a node, and rank 0 has only some of node 0";
    refuses(&in_format("sglang", &["--reserve", "0"]), 1, &[why]);
    let tree = Tree::new();
    tree.nodes(&[("0-1", 0), ("2-3", 1), ("", 0)]);
    tree.numa_node("2\n");
    for format in ["vllm", "sglang", "kubernetes"] {
        let run = plan_of(&tree, &["--format", format]);
        assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{format}");
    }
}

#[test]
fn the_kubelet_gets_its_policies() {
    let run = in_format("kubernetes", &["--gpus", "0,4,5", "--reserve", "0,4"]);
    snapbox::assert_data_eq!(
        text(&run),
        str![[r##"
# Made by numa-audit plan for numa-vm: 3 ranks on GPUs 0,4-5.
# Note: the reserved CPUs 0,4 are left alone.
# Not tried. The kubelet chooses GPUs and CPUs itself, so that a pod has them, and its memory, on one node.
# Node 0: 1 x nvidia.com/gpu and 2 CPUs for all of its pods, 2 CPUs for each GPU.
# Node 1: 2 x nvidia.com/gpu and 4 CPUs for all of its pods, 2 CPUs for each GPU.
# Requests must equal limits in every container (class Guaranteed), and CPUs must be whole cores.
# A pod with GPUs of several nodes is refused; with the policy restricted it is taken, and needs --format sh inside.
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cpuManagerPolicy: static
cpuManagerPolicyOptions:
  full-pcpus-only: "true"
reservedSystemCPUs: "0,4"
memoryManagerPolicy: Static
# The sum must equal the memory of kubeReserved, systemReserved and evictionHard (100Mi if it is not set).
reservedMemory:
  - numaNode: 0
    limits:
      memory: 100Mi
topologyManagerPolicy: single-numa-node
topologyManagerScope: pod

"##]]
    );
    let run = in_format("kubernetes", &[]);
    assert!(
        text(&run).contains("\n# reservedSystemCPUs is missing"),
        "{}",
        run.stdout
    );
}
