//! Programs that are known by their name (`comm`) and argv. A process can give itself any name, so a name adds to evidence
//! and never replaces it.

/// What a process does in a framework, according to its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Task {
    /// `PyTorch`, `vLLM`, …
    pub(crate) framework: &'static str,
    /// `data loader`, `scheduler`, …
    pub(crate) name: &'static str,
    pub(crate) kind: TaskKind,
}

/// Whether the placement of a task matters to the GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TaskKind {
    /// It handles samples, or starts what does.
    Work,
    /// It handles no samples, whatever it starts: Ray's raylet is not the launcher of one job.
    Helper,
    /// It handles no samples. It is a launcher if it has started trainers: MPI's daemons.
    Daemon,
}

/// How a task is recognized.
enum Sign {
    /// This is the whole process title: argv that setproctitle overwrote, or `comm`, which has its first 15 bytes.
    Title(&'static str),
    /// The process title is this, with or without a number or name behind a `_` or `:`. If it ends in `::`, anything may
    /// follow.
    Titled(&'static str),
    /// The program or script has this name, whatever its folder is.
    Program(&'static str),
    /// A word of argv begins so.
    Word(&'static str),
    /// Python runs this module: `-m MODULE`.
    Module(&'static str),
    /// The program or script is a path that ends so.
    Path(&'static str),
}
use Sign::{Module, Path, Program, Title, Titled, Word};
use TaskKind::{Daemon, Helper, Work};

/// The kernel cuts `comm` to this length.
const COMM_LENGTH: usize = 15;

/// PyTorch's name for a data loader, since 2.5.
pub(crate) const DATA_LOADER: &str = "pt_data_worker";

/// The last word of argv of a process that Python's multiprocessing spawned.
pub(crate) const SPAWNED: &str = "--multiprocessing-fork";

/// (sign, framework, task, kind). The first match counts: titles come before command lines, which a forked process
/// inherits.
#[rustfmt::skip]
const TASKS: &[(Sign, &str, &str, TaskKind)] = &[
    (Title("pt_data_worker"), "PyTorch", "data loader", Work),
    (Title("pt_elastic"), "PyTorch", "torchrun agent", Work),
    (Titled("VLLM::EngineCore"), "vLLM", "engine core", Work),
    (Titled("VLLM::Worker"), "vLLM", "worker", Work),
    (Titled("VLLM::"), "vLLM", "process", Work),
    (Titled("sglang::scheduler"), "SGLang", "scheduler", Work),
    (Titled("sgl_diffusion::scheduler"), "SGLang", "scheduler", Work),
    (Titled("sglang::detokenizer"), "SGLang", "detokenizer", Helper),
    (Titled("sglang::tokenizer_worker"), "SGLang", "tokenizer", Helper),
    (Titled("sglang::data_parallel_controller"), "SGLang", "data-parallel controller", Helper),
    (Title("ray::IDLE"), "Ray", "idle worker", Helper),
    (Title("ray::IDLE_SpillWorker"), "Ray", "spill worker", Helper),
    (Title("ray::IDLE_RestoreWorker"), "Ray", "restore worker", Helper),
    (Title("ray::DashboardAgent"), "Ray", "agent", Helper),
    (Title("ray::RuntimeEnvAgent"), "Ray", "agent", Helper),
    (Titled("ray::"), "Ray", "worker", Work),
    (Program("raylet"), "Ray", "raylet", Helper),
    (Program("gcs_server"), "Ray", "control store", Helper),
    (Word("from multiprocessing.resource_tracker import"), "Python", "resource tracker", Helper),
    (Path("/torch/_inductor/compile_worker/__main__.py"), "PyTorch", "compile worker", Helper),
    (Program("torch_shm_manager"), "PyTorch", "shared-memory manager", Helper),
    (Module("torch.distributed.run"), "PyTorch", "torchrun agent", Work),
    (Module("torch.distributed.launch"), "PyTorch", "torchrun agent", Work),
    (Program("torchrun"), "PyTorch", "torchrun agent", Work),
    (Module("deepspeed.launcher.launch"), "DeepSpeed", "launcher", Work),
    (Program("deepspeed"), "DeepSpeed", "launcher", Work),
    (Module("accelerate.commands.launch"), "Accelerate", "launcher", Work),
    (Program("accelerate"), "Accelerate", "launcher", Work),
    (Module("tensorrt_llm.llmapi.mgmn_leader_node"), "TensorRT-LLM", "leader", Work),
    (Module("tensorrt_llm.llmapi.mgmn_worker_node"), "TensorRT-LLM", "worker", Work),
    (Module("mpi4py.futures.server"), "TensorRT-LLM", "MPI worker", Work),
    (Program("trtllm-llmapi-launch"), "TensorRT-LLM", "launcher", Work),
    (Program("trtllm-serve"), "TensorRT-LLM", "server", Work),
    (Program("vllm"), "vLLM", "server", Work),
    (Module("vllm.entrypoints.openai.api_server"), "vLLM", "server", Work),
    (Module("sglang.launch_server"), "SGLang", "server", Work),
    (Program("orted"), "MPI", "daemon", Daemon),
    (Program("orterun"), "MPI", "mpirun", Daemon),
    (Program("prted"), "MPI", "daemon", Daemon),
    (Program("prte"), "MPI", "daemon", Daemon),
    (Program("prterun"), "MPI", "mpirun", Daemon),
    (Program("mpirun"), "MPI", "mpirun", Daemon),
    (Program("mpiexec"), "MPI", "mpirun", Daemon),
    (Program("mpirun.real"), "MPI", "mpirun", Daemon),
    (Program("mpiexec.real"), "MPI", "mpirun", Daemon),
    (Program("mpiexec.hydra"), "MPI", "mpirun", Daemon),
    (Program("mpiexec.mpich"), "MPI", "mpirun", Daemon),
    (Program("mpiexec.slurm"), "MPI", "mpirun", Daemon),
    (Program("mpiexec.openmpi"), "MPI", "mpirun", Daemon),
    (Program("mpirun.openmpi"), "MPI", "mpirun", Daemon),
    (Program("mpirun.mpich"), "MPI", "mpirun", Daemon),
    (Program("mpirun_rsh"), "MPI", "mpirun", Daemon),
    (Program("mpispawn"), "MPI", "daemon", Daemon),
    (Program("hydra_pmi_proxy"), "MPI", "daemon", Daemon),
    (Program("hydra_bstrap_proxy"), "MPI", "daemon", Daemon),
    (Program("hydra_nameserver"), "MPI", "daemon", Daemon),
    (Program("pmi_proxy"), "MPI", "daemon", Daemon),
    (Program("palsd"), "PALS", "daemon", Daemon),
    (Program("jsmd"), "LSF", "daemon", Daemon),
    (Program("jsrun"), "LSF", "jsrun", Daemon),
    (Program("srun"), "Slurm", "srun", Daemon),
    (Program("slurmstepd"), "Slurm", "step daemon", Daemon),
    (Program("flux-shell"), "Flux", "shell", Daemon),
    (Program("flux-broker"), "Flux", "broker", Daemon),
];

/// A process as its owner shows it.
struct Shown<'a> {
    name: &'a str,
    command: &'a [String],
    /// The first word of argv without white space behind it.
    title: Option<&'a str>,
    /// [`programs`], and their names without folders.
    programs: Vec<(&'a str, &'a str)>,
}

impl Sign {
    fn matches(&self, shown: &Shown) -> bool {
        let Shown { name, command, .. } = *shown;
        match self {
            Title(title) => is_title(name, shown.title, title, |rest| rest.is_empty()),
            Titled(title) => is_title(name, shown.title, title, |rest| {
                rest.is_empty() || title.ends_with("::") || rest.starts_with(['_', ':'])
            }),
            Word(start) => command.iter().any(|word| word.starts_with(start)),
            Module(module) => {
                let is_option =
                    |word: &String| word.starts_with('-') || command.first() == Some(word);
                let pairs = command.windows(2).take_while(|pair| is_option(&pair[0]));
                let mut modules = pairs.filter(|pair| pair[0] == "-m");
                modules.any(|pair| pair[1] == *module)
            }
            Path(end) => shown.programs.iter().any(|(word, _)| word.ends_with(end)),
            // A daemon may have no argv of its own: `slurmstepd: [4711.0]`.
            Program(program) => {
                let title = |word: &str| word.strip_prefix(program)?.strip_prefix(':').map(drop);
                let first = command.first();
                shown.programs.iter().any(|(_, name)| name == program)
                    || first.is_some_and(|word| title(word).is_some())
                    || (first.is_none() && is_cut_to(name, program))
            }
        }
    }
}

/// Whether the title of a process is `title` and something that `allows` accepts. A title in argv is whole. `comm` is cut,
/// and is only asked where argv is not of the same namespace (`ray::`): then argv was not overwritten, or is unknown.
fn is_title(name: &str, first: Option<&str>, title: &str, allows: impl Fn(&str) -> bool) -> bool {
    let is = |text: &str| text.strip_prefix(title).is_some_and(&allows);
    // A search for such a short text needs longer to prepare than to run.
    let colons = title.as_bytes().windows(2).position(|pair| pair == b"::");
    let namespace = colons.map(|at| &title[..at + 2]);
    match (first, namespace) {
        (Some(first), Some(namespace)) if first.starts_with(namespace) => is(first),
        _ => {
            first.is_some_and(is)
                || is(name)
                || (title.len() > COMM_LENGTH && is_cut_to(name, title))
        }
    }
}

/// Whether `comm` is this text, cut.
fn is_cut_to(name: &str, text: &str) -> bool {
    name == text.get(..COMM_LENGTH).unwrap_or(text)
}

/// The words of argv that name a program: the first one and, if that is an interpreter, the script behind its options. All
/// others are arguments: `/models/vllm` may be a folder.
fn programs(command: &[String]) -> impl Iterator<Item = &str> {
    let places = program_places(command);
    places.filter_map(|at| command.get(at).map(String::as_str))
}

/// Where [`programs`] are in argv.
pub(crate) fn program_places(command: &[String]) -> impl Iterator<Item = usize> {
    /// An interpreter has few options.
    const LAST: usize = 4;
    const INTERPRETERS: &[&str] = &["python", "pypy", "bash", "sh", "dash", "env"];
    let first = command.first().map(String::as_str);
    let is_version = |rest: &str| {
        let mut letters = rest.bytes();
        letters.all(|letter| letter.is_ascii_digit() || letter == b'.')
    };
    // In a recording without names, the interpreter and its options are redacted too.
    let is_redacted = first == Some("redacted");
    let is_interpreter = first.map(file_name).is_some_and(|name| {
        let mut known = INTERPRETERS.iter();
        is_redacted || known.any(|of| name.strip_prefix(of).is_some_and(is_version))
    });
    let is_option = |word: &str| word.starts_with('-') || (is_redacted && word == "redacted");
    let words = command.iter().take(LAST).enumerate().skip(1);
    let script = words.map(|(at, word)| (at, is_option(word)));
    let script = script.filter(|(_, is_option)| !is_option).map(|(at, _)| at);
    let script = script.take(usize::from(is_interpreter)).next();
    first.map(|_| 0).into_iter().chain(script)
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// `None` where no known framework uses this name or command line.
pub(crate) fn task(name: &str, command: &[String]) -> Option<Task> {
    let shown = Shown {
        name,
        command,
        title: command.first().map(|word| word.trim_end()),
        programs: programs(command)
            .map(|word| (word, file_name(word)))
            .collect(),
    };
    let mut tasks = TASKS.iter();
    let (_, framework, task, kind) = tasks.find(|(sign, ..)| sign.matches(&shown))?;
    Some(Task {
        framework,
        name: task,
        kind: *kind,
    })
}

/// The part of a word of argv that identifies a program or task and contains no personal name: a redacted recording keeps
/// it. An argument that is named as a known program is not kept: `is_program` is whether the word names one.
pub(crate) fn kept_by_redaction(word: &str, is_program: bool) -> Option<&'static str> {
    let of_task = TASKS.iter().find_map(|(sign, ..)| match sign {
        Title(title) => (word == *title).then_some(*title),
        Titled(start) | Word(start) => word.starts_with(start).then_some(*start),
        Program(program) => (is_program && file_name(word) == *program).then_some(*program),
        Module(module) => (word == *module).then_some(*module),
        Path(end) => (is_program && word.ends_with(end)).then_some(*end),
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
        "conmon", "runc", "crun", "kubelet", "slurmd", "slurmstepd", "pbs_mom", "sbatchd", "palsd", "cron", "crond", "atd", "login", "su", "sudo",
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
            let helper = match task.kind {
                Work => "",
                Helper => " (helper)",
                Daemon => " (daemon)",
            };
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

    /// A process chooses its title, and its user the names of Ray's actors.
    #[test]
    fn a_title_is_not_known_by_its_beginning() {
        for (name, command, expected) in [
            ("ray::IDLE2", "ray::IDLE2", "Ray worker"),
            ("ray::IDLE.run", "ray::IDLE.run", "Ray worker"),
            (
                "ray::IDLE_SpillW",
                "ray::IDLE_SpillWorker",
                "Ray spill worker (helper)",
            ),
            ("ray::DashboardA", "ray::DashboardActor.run", "Ray worker"),
            (
                "ray::DashboardA",
                "ray::DashboardAgent",
                "Ray agent (helper)",
            ),
            ("pt_data_worker2", "python3 train.py", "-"),
            (
                "sglang::detoken",
                "sglang::detokenizer_2",
                "SGLang detokenizer (helper)",
            ),
            ("sglang::detoken", "sglang::detokenizers", "-"),
            ("VLLM::EngineCor", "", "vLLM engine core"),
        ] {
            assert_eq!(task_of(name, command), expected, "{name}: {command}");
        }
    }

    #[test]
    fn knows_the_daemons_of_launchers() {
        for (name, command, expected) in [
            ("orted", "orted --hnp --set-sid", "MPI daemon (daemon)"),
            (
                "prterun",
                "/opt/ompi/bin/prterun -n 8 t",
                "MPI mpirun (daemon)",
            ),
            (
                "hydra_pmi_proxy",
                "/opt/mpich/bin/hydra_pmi_proxy --x",
                "MPI daemon (daemon)",
            ),
            ("hydra_bstrap_pr", "", "MPI daemon (daemon)"),
            (
                "slurmstepd",
                "slurmstepd: [4711.0]",
                "Slurm step daemon (daemon)",
            ),
            (
                "mpiexec.hydra",
                "mpiexec.hydra -n 8 t",
                "MPI mpirun (daemon)",
            ),
            ("python3", "python3 /opt/x/mpirun t", "MPI mpirun (daemon)"),
            ("python3", "python3 train.py mpirun", "-"),
        ] {
            assert_eq!(task_of(name, command), expected, "{name}: {command}");
        }
    }

    #[test]
    fn an_argument_is_not_a_program() {
        for command in [
            "python3 train.py /opt/ray/raylet",
            "python3 train.py /models/vllm",
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
