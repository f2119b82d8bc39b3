//! Programs that are known by their name (`comm`) and argv. A process can give itself any name, so a name adds to evidence
//! and never replaces it.

/// What a process does in a framework, according to its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Task {
    /// `PyTorch`, `vLLM`, …
    pub(crate) framework: &'static str,
    /// `data loader`, `scheduler`, …
    pub(crate) name: &'static str,
    /// Whether it handles no samples: its placement does not matter to the GPU.
    pub(crate) is_helper: bool,
}

/// How a task is recognized.
enum Sign {
    /// The process title begins so: argv that setproctitle overwrote, or `comm`, which has its first 15 bytes.
    Title(&'static str),
    /// A word of argv begins so.
    Word(&'static str),
    /// Python runs this module: `-m MODULE`.
    Module(&'static str),
    /// The program or script is a path that ends so.
    Path(&'static str),
}
use Sign::{Module, Path, Title, Word};

/// The kernel cuts `comm` to this length.
const COMM_LENGTH: usize = 15;

/// PyTorch's name for a data loader, since 2.5.
pub(crate) const DATA_LOADER: &str = "pt_data_worker";

/// The last word of argv of a process that Python's multiprocessing spawned.
pub(crate) const SPAWNED: &str = "--multiprocessing-fork";

/// (sign, framework, task, is a helper). The first match counts: titles come before command lines, which a forked process
/// inherits.
#[rustfmt::skip]
const TASKS: &[(Sign, &str, &str, bool)] = &[
    (Title("pt_data_worker"), "PyTorch", "data loader", false),
    (Title("pt_elastic"), "PyTorch", "torchrun agent", false),
    (Title("VLLM::EngineCore"), "vLLM", "engine core", false),
    (Title("VLLM::Worker"), "vLLM", "worker", false),
    (Title("VLLM::"), "vLLM", "process", false),
    (Title("sglang::scheduler"), "SGLang", "scheduler", false),
    (Title("sgl_diffusion::scheduler"), "SGLang", "scheduler", false),
    (Title("sglang::detokenizer"), "SGLang", "detokenizer", true),
    (Title("sglang::tokenizer_worker"), "SGLang", "tokenizer", true),
    (Title("sglang::data_parallel_controller"), "SGLang", "data-parallel controller", true),
    (Title("ray::IDLE"), "Ray", "idle worker", true),
    (Title("ray::DashboardAgent"), "Ray", "agent", true),
    (Title("ray::RuntimeEnvAgent"), "Ray", "agent", true),
    (Title("ray::"), "Ray", "worker", false),
    (Path("/raylet"), "Ray", "raylet", true),
    (Path("/gcs_server"), "Ray", "control store", true),
    (Word("from multiprocessing.resource_tracker import"), "Python", "resource tracker", true),
    (Path("/torch/_inductor/compile_worker/__main__.py"), "PyTorch", "compile worker", true),
    (Path("/torch_shm_manager"), "PyTorch", "shared-memory manager", true),
    (Module("torch.distributed.run"), "PyTorch", "torchrun agent", false),
    (Module("torch.distributed.launch"), "PyTorch", "torchrun agent", false),
    (Path("/torchrun"), "PyTorch", "torchrun agent", false),
    (Module("deepspeed.launcher.launch"), "DeepSpeed", "launcher", false),
    (Path("/deepspeed"), "DeepSpeed", "launcher", false),
    (Module("accelerate.commands.launch"), "Accelerate", "launcher", false),
    (Path("/accelerate"), "Accelerate", "launcher", false),
    (Module("tensorrt_llm.llmapi.mgmn_leader_node"), "TensorRT-LLM", "leader", false),
    (Module("tensorrt_llm.llmapi.mgmn_worker_node"), "TensorRT-LLM", "worker", false),
    (Module("mpi4py.futures.server"), "TensorRT-LLM", "MPI worker", false),
    (Path("/trtllm-llmapi-launch"), "TensorRT-LLM", "launcher", false),
    (Path("/trtllm-serve"), "TensorRT-LLM", "server", false),
    (Path("/vllm"), "vLLM", "server", false),
    (Module("vllm.entrypoints.openai.api_server"), "vLLM", "server", false),
    (Module("sglang.launch_server"), "SGLang", "server", false),
];

impl Sign {
    fn matches(&self, name: &str, command: &[String]) -> bool {
        match self {
            Title(title) => {
                let first = command.first().is_some_and(|word| word.starts_with(title));
                let is_cut = title.len() >= COMM_LENGTH && name == &title[..COMM_LENGTH];
                first || is_cut || name.starts_with(title)
            }
            Word(start) => command.iter().any(|word| word.starts_with(start)),
            Module(module) => {
                let is_option =
                    |word: &String| word.starts_with('-') || command.first() == Some(word);
                let pairs = command.windows(2).take_while(|pair| is_option(&pair[0]));
                let mut modules = pairs.filter(|pair| pair[0] == "-m");
                modules.any(|pair| pair[1] == *module)
            }
            // The program is the first word, or a script after the interpreter and its options. In an argument, `/vllm`
            // may be a folder.
            Path(end) => command.iter().take(4).any(|word| is_path(word, end)),
        }
    }
}

/// `end` begins with a slash.
fn is_path(word: &str, end: &str) -> bool {
    word.ends_with(end) || word == &end[1..]
}

/// `None` where no known framework uses this name or command line.
pub(crate) fn task(name: &str, command: &[String]) -> Option<Task> {
    let mut tasks = TASKS.iter();
    let (_, framework, task, is_helper) = tasks.find(|(sign, ..)| sign.matches(name, command))?;
    Some(Task {
        framework,
        name: task,
        is_helper: *is_helper,
    })
}

/// The part of a word of argv that identifies a program or task and contains no personal name: a redacted recording keeps
/// it.
pub(crate) fn kept_by_redaction(word: &str) -> Option<&'static str> {
    let of_task = TASKS.iter().find_map(|(sign, ..)| match sign {
        Title(start) | Word(start) => word.starts_with(start).then_some(*start),
        Module(module) => (word == *module).then_some(*module),
        Path(end) => is_path(word, end).then_some(*end),
    });
    of_task.or_else(|| ["-m", SPAWNED].into_iter().find(|kept| *kept == word))
}

/// Whether this is the command line of Python's fork server. Its workers inherit the command line: a process whose parent
/// has the same one is a worker.
pub(crate) fn is_forkserver(command: &[String]) -> bool {
    let start = "from multiprocessing.forkserver import";
    command.iter().any(|word| word.starts_with(start))
}

/// Whether this is a worker of another process: PyTorch's data loader, or a process that Python's multiprocessing started.
pub(crate) fn is_worker_program(name: &str, command: &[String]) -> bool {
    let is_spawned = command.iter().any(|word| word == SPAWNED);
    name == DATA_LOADER || is_spawned || is_forkserver(command)
}

/// Whether this program opens GPUs to serve other processes or to monitor: MPS, monitors, displays.
pub(crate) fn serves_gpus(name: &str) -> bool {
    /// Cut as `comm` is.
    #[rustfmt::skip]
    const SERVERS: &[&str] = &[
        "nvidia-cuda-mps", "nvidia-persiste", "nvidia-powerd", "nvidia-smi", "nvidia-device-p", "nv-hostengine",
        "nv-fabricmanage", "dcgm-exporter", "dcgmi", "nvitop", "nvitop-exporter", "nvtop", "gpustat", "rocm-smi",
        "amd-smi", "amdgpu_top", "radeontop", "intel_gpu_top", "xpu-smi", "xpumd", "btop", "X", "Xorg", "Xwayland",
        "sway", "weston", "gnome-shell", "kwin_wayland", "kwin_x11",
    ];
    SERVERS.contains(&name)
}

/// Whether a job ends below this process: a session, a service manager or a container runtime starts any program and is
/// not a launcher of the job. A shell that runs a script is part of the job, an interactive shell is not. `None`: argv is
/// unknown, and a shell is taken as part of the job.
pub(crate) fn is_job_boundary(name: &str, command: Option<&[String]>) -> bool {
    /// Cut as `comm` is.
    #[rustfmt::skip]
    const STARTS_ANY_PROGRAM: &[&str] = &[
        "systemd", "init", "tini", "dumb-init", "docker-init", "catatonit", "containerd-shim", "containerd", "dockerd",
        "conmon", "runc", "crun", "kubelet", "slurmd", "slurmstepd", "cron", "crond", "atd", "login", "su", "sudo",
        "sshd", "sshd-session", "screen", "SCREEN", "tmux: server",
    ];
    const SHELLS: &[&str] = &["bash", "sh", "dash", "zsh", "fish", "ksh", "csh", "tcsh"];
    let is_interactive =
        |command: &[String]| command.iter().skip(1).all(|word| word.starts_with('-'));
    STARTS_ANY_PROGRAM.contains(&name)
        || (SHELLS.contains(&name) && command.is_some_and(is_interactive))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task_of(name: &str, command: &str) -> String {
        let words: Vec<String> = command.split_whitespace().map(Into::into).collect();
        task(name, &words).map_or("-".to_owned(), |task| {
            let helper = if task.is_helper { " (helper)" } else { "" };
            format!("{} {}{helper}", task.framework, task.name)
        })
    }

    /// Names and command lines as the frameworks' sources write them.
    #[test]
    fn knows_the_processes_of_frameworks() {
        for (name, command, expected) in [
            (
                "pt_data_worker",
                "/usr/bin/python3 train.py",
                "PyTorch data loader",
            ),
            (
                "pt_elastic",
                "/usr/bin/python3 /opt/bin/torchrun train.py",
                "PyTorch torchrun agent",
            ),
            (
                "python3",
                "python3 -m torch.distributed.run train.py",
                "PyTorch torchrun agent",
            ),
            ("torchrun", "torchrun train.py", "PyTorch torchrun agent"),
            (
                "VLLM::EngineCor",
                "VLLM::EngineCore_DP0",
                "vLLM engine core",
            ),
            ("VLLM::Worker_TP", "VLLM::Worker_TP3", "vLLM worker"),
            (
                "sglang::schedul",
                "sglang::scheduler_TP1",
                "SGLang scheduler",
            ),
            (
                "sglang::detoken",
                "sglang::detokenizer",
                "SGLang detokenizer (helper)",
            ),
            ("ray::IDLE", "ray::IDLE", "Ray idle worker (helper)"),
            ("ray::Trainer.ru", "ray::Trainer.run", "Ray worker"),
            (
                "raylet",
                "/opt/ray/core/src/ray/raylet/raylet --x",
                "Ray raylet (helper)",
            ),
            (
                "python3",
                "/usr/bin/python3 -u -m deepspeed.launcher.launch --world_info=x train.py",
                "DeepSpeed launcher",
            ),
            (
                "python3",
                "/usr/bin/python3 -m tensorrt_llm.llmapi.mgmn_worker_node",
                "TensorRT-LLM worker",
            ),
            (
                "python3",
                "python3 /x/torch/_inductor/compile_worker/__main__.py --kind=fork",
                "PyTorch compile worker (helper)",
            ),
        ] {
            assert_eq!(task_of(name, command), expected, "{name}: {command}");
        }
    }

    #[test]
    fn an_argument_is_not_a_program() {
        for command in [
            "python3 train.py -m torch.distributed.run",
            "python3 train.py --model x /models/vllm",
            "python3 train.py",
            "",
        ] {
            assert_eq!(task_of("python3", command), "-", "{command}");
        }
    }

    #[test]
    fn an_interactive_shell_ends_a_job_and_a_script_does_not() {
        let is_boundary = |name: &str, command: &str| {
            let words: Vec<String> = command.split(' ').map(Into::into).collect();
            is_job_boundary(name, Some(&words))
        };
        assert!(is_boundary("bash", "-bash"));
        assert!(is_boundary("bash", "bash -i"));
        assert!(!is_boundary("bash", "bash run.sh"));
        assert!(!is_boundary("pt_elastic", "torchrun train.py"));
        assert!(is_job_boundary("sshd", None));
        assert!(!is_job_boundary("bash", None), "it may run a script");
    }
}
