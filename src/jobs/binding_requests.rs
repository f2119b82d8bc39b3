//! Bindings that argv and environment request: options of frameworks, numactl and taskset.

use crate::machine::{BindTo, BindingRequest};
use crate::units::{Cpu, NodeId, NodeSet, parse_cpu_list};

/// Options with which a framework binds each process to its GPU's node or assigns CPUs, alone or with `=` and a value.
const OPTIONS: &[&str] = &[
    // torchrun, PyTorch 2.9 and later
    "--numa-binding",
    "--numa_binding",
    // vLLM
    "--numa-bind",
    // SGLang
    "--numa-node",
    // DeepSpeed
    "--bind_cores_to_rank",
    // accelerate
    "--enable_cpu_affinity",
    "--enable-cpu-affinity",
];

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
    // `--numa-node` of another program may mean something else.
    let is_sglang = command.iter().any(|word| word.contains("sglang"));
    let of_framework = command.iter().filter_map(|word| {
        let name = word.split('=').next().unwrap_or_default();
        let option = OPTIONS.iter().find(|option| **option == name)?;
        if *option == "--numa-node" && !is_sglang {
            return None;
        }
        let to = BindTo::GpuNode;
        Some(BindingRequest { option, to })
    });
    let mut requests: Vec<BindingRequest> = of_framework.take(1).collect();
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

/// The part of a word of argv that requests a binding and contains no personal name: a redacted recording keeps it.
pub(crate) fn kept_by_redaction(word: &str) -> Option<&str> {
    let (name, value) = word.split_once('=').unwrap_or((word, ""));
    let is_list = value
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b',' || byte == b'-');
    let of_numactl = NUMACTL.iter().map(|(long, ..)| long);
    let mut options = OPTIONS.iter().chain(of_numactl).chain(&["--cpu-list"]);
    if options.any(|option| *option == name) {
        return Some(if is_list { word } else { name });
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
                BindTo::Nodes(nodes) | BindTo::Memory(nodes) => format!("{option} {nodes:?}"),
                BindTo::Cpus(cpus) => format!("{option} {cpus}"),
            },
        );
        requests.map(|text| text.replace("NodeId", "")).collect()
    }

    #[test]
    fn frameworks_request_the_gpus_node() {
        for (command, option) in [
            ("torchrun --numa-binding=node t.py", "--numa-binding"),
            ("torchrun --numa-binding node t.py", "--numa-binding"),
            ("vllm serve m --numa-bind", "--numa-bind"),
            (
                "python -m sglang.launch_server --numa-node 0 1",
                "--numa-node",
            ),
            (
                "deepspeed --bind_cores_to_rank t.py",
                "--bind_cores_to_rank",
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
            ("--numa-binding=node", Some("--numa-binding")),
            ("/home/ann/bin/numactl", Some("numactl")),
            ("ann", None),
        ] {
            assert_eq!(kept_by_redaction(word), kept, "{word}");
        }
    }
}
