//! What the names and command lines of deep-learning frameworks tell of a process's task. Anybody may call himself
//! anything: this is shown beside the evidence, and never stands in its place.

/// A task that is known by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Task {
    /// Whose: `PyTorch`, `vLLM`, …
    pub framework: &'static str,
    /// What it does there.
    pub name: &'static str,
    /// Whether it moves no samples: where it runs does not matter to the GPU.
    pub is_helper: bool,
}

/// How a task is known.
enum Sign {
    /// Its title begins so: what it wrote over argv (setproctitle), of which the kernel's name has 15 bytes.
    Title(&'static str),
    /// A word of argv begins so.
    Word(&'static str),
    /// Python runs this module: `-m MODULE`.
    Module(&'static str),
    /// A word of argv is a path that ends so.
    Path(&'static str),
}
use Sign::{Module, Path, Title, Word};

/// The first that fits is it: names of processes go before command lines, which forked ones inherit.
const TASKS: &[(Sign, &str, &str, bool)] = &[
    (Title("pt_data_worker"), "PyTorch", "data loader", false),
    (Title("pt_elastic"), "PyTorch", "torchrun agent", false),
    (Title("VLLM::EngineCore"), "vLLM", "engine core", false),
    (Title("VLLM::Worker"), "vLLM", "worker", false),
    (Title("VLLM::"), "vLLM", "process", false),
    (Title("sglang::scheduler"), "SGLang", "scheduler", false),
    (
        Title("sgl_diffusion::scheduler"),
        "SGLang",
        "scheduler",
        false,
    ),
    (Title("sglang::detokenizer"), "SGLang", "detokenizer", true),
    (
        Title("sglang::tokenizer_worker"),
        "SGLang",
        "tokenizer",
        true,
    ),
    (
        Title("sglang::data_parallel_controller"),
        "SGLang",
        "data-parallel controller",
        true,
    ),
    (Title("ray::IDLE"), "Ray", "idle worker", true),
    (Title("ray::DashboardAgent"), "Ray", "agent", true),
    (Title("ray::RuntimeEnvAgent"), "Ray", "agent", true),
    (Title("ray::"), "Ray", "worker", false),
    (Path("/raylet"), "Ray", "raylet", true),
    (Path("/gcs_server"), "Ray", "control store", true),
    (
        Word("from multiprocessing.resource_tracker import"),
        "Python",
        "resource tracker",
        true,
    ),
    (
        Path("/torch/_inductor/compile_worker/__main__.py"),
        "PyTorch",
        "compile worker",
        true,
    ),
    (
        Path("/torch_shm_manager"),
        "PyTorch",
        "shared-memory manager",
        true,
    ),
    (
        Module("torch.distributed.run"),
        "PyTorch",
        "torchrun agent",
        false,
    ),
    (
        Module("torch.distributed.launch"),
        "PyTorch",
        "torchrun agent",
        false,
    ),
    (Path("/torchrun"), "PyTorch", "torchrun agent", false),
    (
        Module("deepspeed.launcher.launch"),
        "DeepSpeed",
        "launcher",
        false,
    ),
    (Path("/deepspeed"), "DeepSpeed", "launcher", false),
    (
        Module("accelerate.commands.launch"),
        "Accelerate",
        "launcher",
        false,
    ),
    (Path("/accelerate"), "Accelerate", "launcher", false),
    (
        Module("tensorrt_llm.llmapi.mgmn_leader_node"),
        "TensorRT-LLM",
        "leader",
        false,
    ),
    (
        Module("tensorrt_llm.llmapi.mgmn_worker_node"),
        "TensorRT-LLM",
        "worker",
        false,
    ),
    (
        Module("mpi4py.futures.server"),
        "TensorRT-LLM",
        "MPI worker",
        false,
    ),
    (
        Path("/trtllm-llmapi-launch"),
        "TensorRT-LLM",
        "launcher",
        false,
    ),
    (Path("/trtllm-serve"), "TensorRT-LLM", "server", false),
    (Path("/vllm"), "vLLM", "server", false),
    (
        Module("vllm.entrypoints.openai.api_server"),
        "vLLM",
        "server",
        false,
    ),
    (Module("sglang.launch_server"), "SGLang", "server", false),
];

impl Sign {
    fn fits(&self, name: &str, command: &[String]) -> bool {
        /// The kernel's names have 15 bytes.
        const CUT: usize = 15;
        match self {
            Title(title) => {
                let is_cut = title.len() >= CUT && name == &title[..CUT];
                let first = command.first().is_some_and(|word| word.starts_with(title));
                first || is_cut || name.starts_with(title)
            }
            Word(start) => command.iter().any(|word| word.starts_with(start)),
            Module(module) => {
                let pairs = command
                    .windows(2)
                    .take_while(|pair| is_option_or_first(&pair[0], command));
                let mut modules = pairs.filter(|pair| pair[0] == "-m");
                modules.any(|pair| pair[1] == *module)
            }
            Path(end) => {
                let mut words = command.iter().take(SCRIPT_AT);
                words.any(|word| word.ends_with(end) || *word == end[1..])
            }
        }
    }
}

/// The program is the first word, or a script behind the interpreter and its options; what follows are arguments,
/// where a `/vllm` is a folder.
const SCRIPT_AT: usize = 4;

fn is_option_or_first(word: &String, command: &[String]) -> bool {
    word.starts_with('-') || command.first() == Some(word)
}

/// What of a word of argv tells a task, and nobody's name: for a recording that is to hide names.
pub fn telling_part(word: &str) -> Option<&'static str> {
    let told = TASKS.iter().find_map(|(sign, ..)| match sign {
        Title(start) | Word(start) => word.starts_with(start).then_some(*start),
        Module(module) => (word == *module).then_some(*module),
        Path(end) => (word.ends_with(end) || word == &end[1..]).then_some(*end),
    });
    told.or_else(|| (word == "-m").then_some("-m"))
}

/// The task that a process's name (`comm`) and argv tell; `None` for any other process.
pub fn task(name: &str, command: &[String]) -> Option<Task> {
    let (_, framework, task, is_helper) =
        TASKS.iter().find(|(sign, ..)| sign.fits(name, command))?;
    Some(Task {
        framework,
        name: task,
        is_helper: *is_helper,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str, command: &str) -> String {
        let words: Vec<String> = command.split_whitespace().map(Into::into).collect();
        task(name, &words).map_or("-".to_owned(), |task| {
            let helper = if task.is_helper { " (helper)" } else { "" };
            format!("{} {}{helper}", task.framework, task.name)
        })
    }

    /// Names and command lines as their sources write them.
    #[test]
    fn knows_the_frameworks_processes() {
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
            assert_eq!(told(name, command), expected, "{name}: {command}");
        }
    }

    #[test]
    fn an_argument_is_no_program() {
        for command in [
            "python3 train.py -m torch.distributed.run",
            "python3 train.py --model x /models/vllm",
            "python3 train.py",
            "",
        ] {
            assert_eq!(told("python3", command), "-", "{command}");
        }
    }
}
