//! Bindings that argv and environment request: options of frameworks, numactl and taskset.

use crate::machine::{BindTo, BindingRequest};
use crate::units::{Cpu, CpuSet, NodeId, NodeSet, parse_cpu_list};

/// How an option of a framework says what to bind each process to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Promise {
    /// Alone: to the node of its GPU.
    GpuNode,
    /// By its value: `socket`, or a mode that binds to the node of the GPU.
    Mode,
    /// By its values: a node for each rank.
    Nodes,
    /// By its values: CPUs for each rank.
    Cpus,
    /// To a share of the CPUs, by rank.
    Share,
}

/// What the options of frameworks promise: the option, the promise, and what the framework needs for it. An option with a
/// list counts before the one that only asks for a binding.
const OPTIONS: &[(&str, Promise, &str)] = &[
    // torchrun, PyTorch 2.9 and later. It binds CPUs only. `exclusive` and `core-complex` are shares of the GPU's node.
    ("--numa-binding", Promise::Mode, TORCHRUN),
    ("--numa_binding", Promise::Mode, TORCHRUN),
    // vLLM binds its workers, with numactl.
    ("--numa-bind-cpus", Promise::Cpus, NUMACTL_AND_NODE),
    ("--numa-bind-nodes", Promise::Nodes, NUMACTL_AND_NODE),
    ("--numa-bind", Promise::GpuNode, NUMACTL_AND_NODE),
    // SGLang's schedulers, one node each
    (
        "--numa-node",
        Promise::Nodes,
        "it needs the numactl program or libnuma, and permission to set a memory policy",
    ),
    // DeepSpeed deals the cores, hardware threads apart, in the order of ranks. It binds memory too where all cores of a rank
    // are of one node.
    (
        "--bind_cores_to_rank",
        Promise::Share,
        "it needs the numactl program",
    ),
    // accelerate: NVML's CPU affinity of the GPU with the local rank as its index
    ("--enable_cpu_affinity", Promise::GpuNode, NVML),
    ("--enable-cpu-affinity", Promise::GpuNode, NVML),
];

/// DeepSpeed's option that names the CPUs to deal.
const CORE_LIST: &str = "--bind_core_list";

const TORCHRUN: &str =
    "it needs the node of the GPU in sysfs and, from PyTorch 2.10 on, the numactl program";
const NUMACTL_AND_NODE: &str = "it needs the numactl program and the node of the GPU in sysfs";
const NVML: &str = "it needs the CPU affinity of the GPU from NVML";

/// What a framework needs to bind as this option or variable requests. `None` for other programs.
pub(crate) fn needs_of(option: &str) -> Option<&'static str> {
    let found = OPTIONS.iter().find(|(name, ..)| *name == option);
    let of_option = found.map(|(.., needs)| *needs);
    let of_variable = || match option {
        "ACCELERATE_CPU_AFFINITY" | "TLLM_NUMA_AWARE_WORKER_AFFINITY" => Some(NVML),
        "SGLANG_AUTO_NUMA_BIND" => needs_of("--numa-node"),
        _ => None,
    };
    of_option.or_else(of_variable)
}

/// Variables that do the same if they are enabled, of accelerate, SGLang and TensorRT-LLM.
pub(crate) const VARIABLES: [&str; 3] = [
    "ACCELERATE_CPU_AFFINITY",
    "SGLANG_AUTO_NUMA_BIND",
    "TLLM_NUMA_AWARE_WORKER_AFFINITY",
];

/// Variables that make an OpenMP runtime bind threads: of the standard, of LLVM's and Intel's runtime, of GCC's.
pub(crate) const OPENMP_VARIABLES: [&str; 4] = [
    "OMP_PROC_BIND",
    "OMP_PLACES",
    "KMP_AFFINITY",
    "GOMP_CPU_AFFINITY",
];

/// Whether the value of one of [`OPENMP_VARIABLES`] has only the words of their grammars, and numbers.
pub(crate) fn is_openmp_value(value: &[u8]) -> bool {
    #[rustfmt::skip]
    const WORDS: &[&str] = &[
        "true", "false", "master", "primary", "close", "spread", "threads", "cores", "sockets", "ll_caches",
        "numa_domains", "granularity", "fine", "thread", "core", "tile", "die", "node", "socket", "group", "compact",
        "scatter", "balanced", "explicit", "logical", "physical", "none", "disabled", "proclist", "verbose", "noverbose",
        "warnings", "nowarnings", "respect", "norespect", "reset", "noreset",
    ];
    let text = std::str::from_utf8(value).unwrap_or("?");
    let mut words = text.split(|letter: char| "=,:{}[]()!- \"'".contains(letter));
    words.all(|word| {
        let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
        is_number || WORDS.iter().any(|known| word.eq_ignore_ascii_case(known))
    })
}

/// Reads the value of an option.
type ParseValue = fn(&str) -> Option<BindTo>;

/// numactl's options that bind, with their long and short names. Other forms of a list (`netdev:eth0`, `+0`, `!0`) are
/// ignored.
const NUMACTL: &[(&str, char, ParseValue)] = &[
    ("--cpunodebind", 'N', |list| nodes(list).map(BindTo::Nodes)),
    ("--physcpubind", 'C', cpus),
    ("--membind", 'm', |list| nodes(list).map(BindTo::Memory)),
];

/// numactl's options that have a value and do not bind.
const NUMACTL_OTHERS: &[(&str, char)] = &[
    ("--interleave", 'i'),
    ("--weighted-interleave", 'w'),
    ("--preferred", 'p'),
    ("--preferred-many", 'P'),
];

/// `None` for a list with impossible node ids: argv may contain many such lists, and large sets.
fn nodes(list: &str) -> Option<NodeSet> {
    let numbers = parse_cpu_list(list.as_bytes()).ok()?;
    let is_node = |number: Cpu| number.0 < NodeId::END.0;
    let are_nodes = numbers.iter().all(is_node);
    are_nodes.then(|| numbers.iter().map(|number| NodeId(number.0)).collect())
}

fn cpus(list: &str) -> Option<BindTo> {
    parse_cpu_list(list.as_bytes()).ok().map(BindTo::Cpus)
}

/// The bindings that a command line requests. numactl replaces itself by the program that it starts: its own argv is
/// visible only in the argv of a launcher that starts each rank with numactl.
pub(crate) fn parse_binding_requests(command: &[String]) -> Vec<BindingRequest> {
    let mut requests: Vec<BindingRequest> = of_framework(command).into_iter().collect();
    // Only the first of each: argv may contain a million.
    let after = |program: &str| {
        let mut words = command.iter();
        let at = words.position(|word| word.rsplit('/').next() == Some(program))?;
        command.get(at + 1..)
    };
    requests.extend(after("numactl").map(numactl).unwrap_or_default());
    requests.extend(after("taskset").and_then(taskset));
    requests
}

/// What the options of a framework request: the first one in the order of [`OPTIONS`].
fn of_framework(command: &[String]) -> Option<BindingRequest> {
    // `--numa-node` of another program may mean something else.
    let is_sglang = command.iter().any(|word| word.contains("sglang"));
    let mut options = OPTIONS.iter();
    options.find_map(|(option, promise, _)| {
        let values = values_of(command, option)?;
        let to = match promise {
            _ if *option == "--numa-node" && !is_sglang => return None,
            Promise::GpuNode => BindTo::GpuNode,
            Promise::Mode if values.first() == Some(&"socket") => BindTo::GpuSocket,
            Promise::Mode => BindTo::GpuNode,
            // A list that cannot be read, such as a redacted one, still asks for a binding.
            Promise::Nodes => nodes_of_ranks(&values).map_or(BindTo::GpuNode, BindTo::OneOfNodes),
            Promise::Cpus => cpus_of_ranks(&values).map_or(BindTo::GpuNode, BindTo::Cpus),
            Promise::Share => {
                let list = values_of(command, CORE_LIST).unwrap_or_default();
                BindTo::ShareByRank(parse_cpu_list(list.join(",").as_bytes()).ok())
            }
        };
        Some(BindingRequest { option, to })
    })
}

/// The values of the first option of this name: behind a `=`, or the words up to the next option. Lists of nodes and CPUs
/// are short: of a longer one nothing is known.
fn values_of<'a>(command: &'a [String], option: &str) -> Option<Vec<&'a str>> {
    /// More ranks than a machine has GPUs.
    const MOST: usize = 256;
    let mut words = command.iter().map(String::as_str);
    let value = words.find_map(|word| {
        let rest = word.strip_prefix(option)?;
        rest.strip_prefix('=')
            .map(Some)
            .or(rest.is_empty().then_some(None))
    })?;
    let is_value = |word: &&str| is_kept_value(word);
    let behind = words.take_while(is_value).take(MOST);
    Some(value.map_or_else(|| behind.collect(), |value| vec![value]))
}

/// All CPUs of lists by rank, which may be equal. `None` if there is none.
fn cpus_of_ranks(values: &[&str]) -> Option<CpuSet> {
    let lists = values
        .iter()
        .map(|list| parse_cpu_list(list.as_bytes()).ok());
    let lists: Vec<CpuSet> = lists.collect::<Option<_>>()?;
    let cpus: CpuSet = lists.iter().flat_map(|list| list.iter()).collect();
    (!cpus.is_empty()).then_some(cpus)
}

/// All nodes of ranks, which may be equal: `0 0 1 1`, `0,0,1,1`. `None` if there is none.
fn nodes_of_ranks(values: &[&str]) -> Option<NodeSet> {
    let values = values.iter().flat_map(|list| list.split(','));
    let nodes = values.map(|node| nodes(node).filter(|nodes| nodes.len() == 1));
    let nodes: Vec<NodeSet> = nodes.collect::<Option<_>>()?;
    let nodes: NodeSet = nodes.into_iter().flatten().collect();
    (!nodes.is_empty()).then_some(nodes)
}

/// Whether a word is a list of numbers.
fn is_list(word: &str) -> bool {
    let mut letters = word.bytes();
    !word.is_empty() && letters.all(|byte| byte.is_ascii_digit() || byte == b',' || byte == b'-')
}

/// The bindings that the values of [`VARIABLES`], in their order, request.
pub(crate) fn requests_of_variables(
    values: [Option<&[u8]>; VARIABLES.len()],
) -> Vec<BindingRequest> {
    let variables = VARIABLES.into_iter().zip(values);
    let enabled = variables.filter(|(_, value)| value.is_some_and(is_enabled));
    let requests = enabled.map(|(option, _)| BindingRequest {
        option,
        to: BindTo::GpuNode,
    });
    requests.collect()
}

/// Whether a variable with this value is enabled.
pub(crate) fn is_enabled(value: &[u8]) -> bool {
    let yes: [&[u8]; 4] = [b"1", b"true", b"yes", b"on"];
    yes.iter().any(|yes| value.eq_ignore_ascii_case(yes))
}

fn numactl(words: &[String]) -> Vec<BindingRequest> {
    let mut requests = Vec::new();
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next().filter(|word| word.starts_with('-')) {
        let binding = NUMACTL.iter();
        let binding = binding.map(|(long, short, parse)| (*long, *short, Some(*parse)));
        let others = NUMACTL_OTHERS.iter();
        let others = others.map(|(long, short)| (*long, *short, None));
        for (long, short, parse) in binding.chain(others) {
            let Some(value) = value_of(word, long, short, &mut words) else {
                continue;
            };
            let to = parse.and_then(|parse| parse(value));
            // If an option occurs twice, the last one counts.
            requests.retain(|of: &BindingRequest| of.option != long);
            requests.extend(to.map(|to| BindingRequest { option: long, to }));
            break;
        }
    }
    requests
}

fn taskset(words: &[String]) -> Option<BindingRequest> {
    const OPTION: &str = "--cpu-list";
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next().filter(|word| word.starts_with('-')) {
        // This changes an existing process and starts none.
        if word == "-p" || word == "--pid" {
            return None;
        }
        if let Some(list) = value_of(word, OPTION, 'c', &mut words) {
            return cpus(list).map(|to| BindingRequest { option: OPTION, to });
        }
    }
    None
}

/// The value, if this word is this option: `--long=VALUE`, `--long VALUE`, `-sVALUE` or `-s VALUE`.
fn value_of<'a>(
    word: &'a str,
    long: &str,
    short: char,
    rest: &mut impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let attached = match word.strip_prefix(long) {
        Some(rest) => rest.strip_prefix('=').or(rest.is_empty().then_some(""))?,
        None => word.strip_prefix('-')?.strip_prefix(short)?,
    };
    if attached.is_empty() {
        rest.next()
    } else {
        Some(attached)
    }
}

/// Whether a redacted recording keeps a word that stands behind an option that requests a binding: lists of numbers, and
/// modes.
pub(crate) fn is_kept_value(word: &str) -> bool {
    is_list(word) || MODES.contains(&word)
}

/// torchrun's modes.
const MODES: [&str; 4] = ["node", "socket", "exclusive", "core-complex"];

/// The part of a word of argv that requests a binding and contains no personal name: a redacted recording keeps it.
pub(crate) fn kept_by_redaction(word: &str) -> Option<&str> {
    let (name, value) = word.split_once('=').unwrap_or((word, ""));
    let of_numactl = NUMACTL.iter().map(|(long, ..)| long);
    let of_frameworks = OPTIONS.iter().map(|(option, ..)| option);
    let others = [CORE_LIST, "--cpu-list"];
    let mut options = of_frameworks.chain(of_numactl).chain(&others);
    if options.any(|option| *option == name) {
        return Some(if is_kept_value(value) { word } else { name });
    }
    let program = word.rsplit('/').next();
    program.filter(|name| ["numactl", "taskset"].contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requested(command: &str) -> Vec<String> {
        let words: Vec<String> = command.split(' ').map(Into::into).collect();
        let requests = parse_binding_requests(&words).into_iter().map(
            |BindingRequest { option, to }| match to {
                BindTo::GpuNode => option.to_owned(),
                BindTo::GpuSocket => format!("{option} socket"),
                BindTo::ShareByRank(None) => format!("{option} share"),
                BindTo::ShareByRank(Some(cpus)) => format!("{option} share of {cpus}"),
                BindTo::Nodes(nodes) | BindTo::Memory(nodes) | BindTo::OneOfNodes(nodes) => {
                    format!("{option} {nodes:?}")
                }
                BindTo::Cpus(cpus) => format!("{option} {cpus}"),
            },
        );
        requests.map(|text| text.replace("NodeId", "")).collect()
    }

    #[test]
    fn frameworks_request_what_their_options_promise() {
        for (command, option) in [
            ("torchrun --numa-binding=node t.py", "--numa-binding"),
            ("torchrun --numa-binding node t.py", "--numa-binding"),
            ("vllm serve m --numa-bind", "--numa-bind"),
            (
                "torchrun --numa-binding=socket t.py",
                "--numa-binding socket",
            ),
            (
                "torchrun --numa-binding socket t.py",
                "--numa-binding socket",
            ),
            ("torchrun --numa-binding=exclusive t.py", "--numa-binding"),
            ("torchrun --numa-binding redacted socket", "--numa-binding"),
            (
                "python -m sglang.launch_server --numa-node 0 1 --tp 2",
                "--numa-node {(0), (1)}",
            ),
            (
                "python -m sglang.launch_server --numa-node redacted",
                "--numa-node",
            ),
            (
                "vllm serve m --numa-bind --numa-bind-nodes 1 0 1 0",
                "--numa-bind-nodes {(0), (1)}",
            ),
            (
                "vllm serve m --numa-bind --numa-bind-cpus 0-3 4-7",
                "--numa-bind-cpus 0-7",
            ),
            (
                "deepspeed --bind_cores_to_rank t.py",
                "--bind_cores_to_rank share",
            ),
            (
                "deepspeed --bind_cores_to_rank --bind_core_list 0-9,12-21 t.py",
                "--bind_cores_to_rank share of 0-9,12-21",
            ),
            (
                "deepspeed --bind_core_list=0-9 --bind_cores_to_rank t.py",
                "--bind_cores_to_rank share of 0-9",
            ),
            (
                "accelerate launch --enable-cpu-affinity t.py",
                "--enable-cpu-affinity",
            ),
        ] {
            assert_eq!(requested(command), [option], "{command}");
        }
        for other in [
            "vllm serve m --no-numa-bind",
            "python t.py --numa-bindings",
            "python numactl.py",
            "python t.py --numa-node 0",
            "deepspeed --bind_core_list 0-9 t.py",
        ] {
            assert!(requested(other).is_empty(), "{other}");
        }
        // A shell script may start other programs beside this job.
        let script = ["bash", "-c", "numactl --cpunodebind=0 a & torchrun b"].map(String::from);
        assert_eq!(parse_binding_requests(&script), []);
    }

    #[test]
    fn numactl_accepts_all_forms_of_an_option() {
        for command in [
            "mpirun numactl --cpunodebind=0 --membind=1 t",
            "mpirun /usr/bin/numactl --cpunodebind 0 --membind 1 t",
            "mpirun numactl -N 0 -m 1 t",
            "mpirun numactl -l -N0 -i 0,1 -m1 t -C 7",
        ] {
            assert_eq!(
                requested(command),
                ["--cpunodebind {(0)}", "--membind {(1)}"],
                "{command}"
            );
        }
        assert_eq!(requested("x numactl -C 0-1,4 t"), ["--physcpubind 0-1,4"]);
        for open in ["-N all", "-N +0", "-m !0", "-N netdev:eth0", "-C", "-N"] {
            assert!(
                requested(&format!("x numactl {open} t")).is_empty(),
                "{open}"
            );
        }
    }

    #[test]
    fn a_hostile_command_line_has_few_requests() {
        let many = format!("x {}", "numactl -N 0-999 -N 0-1023 ".repeat(1000));
        assert_eq!(requested(&many).len(), 1);
        assert!(
            requested("x numactl -N 0-65535 t").is_empty(),
            "no such nodes"
        );
        assert!(requested(&format!("x {}", "--numa-bind ".repeat(1000))).len() == 1);
    }

    #[test]
    fn taskset_binds_the_program_that_it_starts() {
        assert_eq!(requested("x taskset -c 0-3 t"), ["--cpu-list 0-3"]);
        assert_eq!(requested("x taskset -a --cpu-list=2 t"), ["--cpu-list 2"]);
        assert!(requested("x taskset -p -c 0-3 77").is_empty());
        assert!(requested("x taskset ff t").is_empty());
    }

    #[test]
    fn only_enabled_variables_request_a_binding() {
        let values: [&[u8]; 3] = [b"0", b"True", b"1"];
        let requests = requests_of_variables(values.map(Some));
        let options: Vec<&str> = requests.iter().map(|of| of.option).collect();
        assert_eq!(
            options,
            ["SGLANG_AUTO_NUMA_BIND", "TLLM_NUMA_AWARE_WORKER_AFFINITY"]
        );
    }

    #[test]
    fn redaction_removes_names() {
        for (word, kept) in [
            ("--cpunodebind=0-1", Some("--cpunodebind=0-1")),
            ("--membind=file:/home/ann", Some("--membind")),
            ("--numa-binding=node", Some("--numa-binding=node")),
            ("--numa-binding=ann", Some("--numa-binding")),
            ("/home/ann/bin/numactl", Some("numactl")),
            ("ann", None),
        ] {
            assert_eq!(kept_by_redaction(word), kept, "{word}");
        }
    }
}
