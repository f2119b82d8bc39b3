//! How to bind each rank, in the words of what started it. A new launcher is one more row of [`LAUNCHERS`].

use crate::audit::PlacedProcess;
use crate::audit::rules::RuleContext;
use crate::machine::BindTo;

/// What a launcher offers.
pub(crate) struct LauncherWords {
    /// How a rank of it is recognized.
    signs: &'static [LauncherSign],
    /// The fix that binds each rank.
    pub(crate) bind: &'static str,
    /// How a rank gets more CPUs; empty where the launcher does not limit them.
    pub(crate) more_cpus: &'static str,
}

/// How a launcher is recognized.
enum LauncherSign {
    /// The rank or a process above it belongs to this framework.
    Framework(&'static str),
    /// The rank or a process above it has this task.
    Task(&'static str),
    /// This variable has its rank.
    Rank(&'static str),
    /// It started other trainers, or a trainer started it.
    TrainerStartsTrainers,
    /// It is of a job of this scheduler.
    Scheduler(&'static str),
    /// It is of a Kubernetes pod.
    Pod,
}
use LauncherSign::{Framework, Pod, Rank, Scheduler, Task, TrainerStartsTrainers};

/// The first that matches counts: what starts the ranks comes before the scheduler that starts the launcher.
static LAUNCHERS: &[LauncherWords] = &[
    LauncherWords {
        signs: &[Framework("vLLM")],
        bind: "start vLLM with --numa-bind (binds CPUs and memory)",
        more_cpus: "",
    },
    LauncherWords {
        signs: &[Framework("SGLang")],
        bind: "start SGLang with --numa-node and the node of each GPU (binds CPUs and memory)",
        more_cpus: "",
    },
    LauncherWords {
        signs: &[Task("torchrun agent")],
        bind: "start it with torchrun --numa-binding=node (PyTorch 2.9+; binds CPUs only, before memory is touched)",
        more_cpus: "",
    },
    LauncherWords {
        signs: &[Framework("Accelerate")],
        bind: "start it with accelerate launch --enable_cpu_affinity (binds CPUs only)",
        more_cpus: "",
    },
    LauncherWords {
        signs: &[Framework("DeepSpeed")],
        bind: "start it with deepspeed --bind_cores_to_rank --bind_core_list LIST (DeepSpeed gives the CPUs of LIST to the ranks \
               in equal parts by local rank, not by GPU: choose LIST so that each part is on the node of that rank's GPU)",
        more_cpus: "",
    },
    LauncherWords {
        signs: &[Framework("Ray")],
        bind: "bind each actor when it starts, before it imports torch: os.sched_setaffinity(0, CPUS) with the CPUs of its \
               GPU's node (Ray itself binds nothing)",
        more_cpus: "",
    },
    LauncherWords {
        signs: &[TrainerStartsTrainers],
        bind: "start the ranks with torchrun --numa-binding=node (PyTorch 2.9+), or call os.sched_setaffinity in each rank \
               before it starts workers: here the first rank started the others (as Lightning does), which inherit its \
               binding",
        more_cpus: "",
    },
    LauncherWords {
        signs: &[Rank("OMPI_COMM_WORLD_RANK")],
        bind: "start it with mpirun --map-by ppr:N:numa --bind-to numa (N ranks on each node, in the order of the GPUs; \
               --report-bindings shows the result)",
        more_cpus: "mpirun --map-by ppr:N:numa:PE=CPUS, or --bind-to numa",
    },
    LauncherWords {
        signs: &[Rank("MV2_COMM_WORLD_RANK")],
        bind: "start it with MV2_CPU_BINDING_POLICY=hybrid and MV2_HYBRID_BINDING_POLICY=numa",
        more_cpus: "MV2_THREADS_PER_PROCESS",
    },
    LauncherWords {
        signs: &[Rank("PALS_RANKID")],
        bind: "start it with mpiexec --cpu-bind list:CPUS:CPUS:… (the CPUs of each local rank in order) and --mem-bind",
        more_cpus: "mpiexec --depth",
    },
    LauncherWords {
        signs: &[Rank("PMI_RANK")],
        bind: "start it with mpiexec -bind-to numa -map-by numa (Intel MPI: I_MPI_PIN_DOMAIN=numa)",
        more_cpus: "mpiexec -bind-to numa",
    },
    LauncherWords {
        signs: &[Rank("JSM_NAMESPACE_RANK")],
        bind: "start it with jsrun and one resource set for each GPU (-g 1 -c CPUS -b packed:CPUS)",
        more_cpus: "jsrun -c",
    },
    LauncherWords {
        signs: &[Framework("MPI")],
        bind: "start it with mpirun and one binding for each NUMA node (Open MPI: --map-by ppr:N:numa --bind-to numa; MPICH: \
               -map-by numa -bind-to numa)",
        more_cpus: "mpirun --bind-to numa",
    },
    LauncherWords {
        signs: &[Rank("FLUX_TASK_RANK"), Scheduler("Flux")],
        bind: "start it with flux run -o cpu-affinity=per-task -o gpu-affinity=per-task",
        more_cpus: "flux run --cores-per-task",
    },
    LauncherWords {
        signs: &[Rank("SLURM_PROCID"), Scheduler("Slurm")],
        bind: "start it with srun --cpu-bind=map_ldom:NODES --mem-bind=local (NODES: the node of each task's GPU, in the order \
               of local ranks)",
        more_cpus: "srun or sbatch --cpus-per-task",
    },
    LauncherWords {
        signs: &[Pod],
        bind: "give the pod whole CPUs (Guaranteed QoS) and the kubelet the topology manager policy single-numa-node with its \
               static CPU and memory managers",
        more_cpus: "a larger CPU request of the pod",
    },
];

/// The words of what started a process. `None` where that is not known.
pub(crate) fn words_of(
    context: &RuleContext,
    placed: &PlacedProcess,
) -> Option<&'static LauncherWords> {
    let matches = |sign: &LauncherSign| matches(sign, context, placed);
    LAUNCHERS
        .iter()
        .find(|launcher| launcher.signs.iter().any(matches))
}

/// Whether an option that binds each rank to its GPU's node was used already: it had no effect. DeepSpeed's option deals CPUs
/// by rank and does what it promises.
pub(crate) fn has_used_option(context: &RuleContext, placed: &PlacedProcess) -> bool {
    let mut requests = context.binding_requests(placed);
    requests.any(|of| of.to == BindTo::GpuNode && of.option != "--bind_cores_to_rank")
}

fn matches(sign: &LauncherSign, context: &RuleContext, placed: &PlacedProcess) -> bool {
    let mut tasks = context.tasks_upwards(placed);
    match sign {
        Framework(name) => tasks.any(|task| task.framework == *name),
        Task(name) => tasks.any(|task| task.name == *name),
        Rank(variable) => {
            let rank = placed.membership.ranks.rank;
            rank.is_some_and(|rank| rank.source == *variable)
        }
        TrainerStartsTrainers => {
            let trainer = context.trainer_of(placed).unwrap_or(placed);
            context.is_in_line_with_trainer(trainer.process.pid)
        }
        Scheduler(name) => {
            let mut jobs = placed.names.scheduler_jobs.iter();
            jobs.any(|job| job.scheduler == *name)
        }
        Pod => placed.names.pod.is_some(),
    }
}
