//! argv and environment to what they ask for: bindings, by frameworks, numactl and taskset.

use crate::machine::binding_request::{BindTo, BindingRequest};
use crate::observe::process::variables::parse_variables;
use crate::units::{Cpu, NodeId, NodeSet, parse_cpu_list};

/// Options by which a framework binds each process to its GPU's node or deals CPUs out, alone or with `=` and a value.
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

/// The same by variables that say yes: of accelerate, SGLang and TensorRT-LLM.
pub const VARIABLES: [&str; 3] = [
    "ACCELERATE_CPU_AFFINITY",
    "SGLANG_AUTO_NUMA_BIND",
    "TLLM_NUMA_AWARE_WORKER_AFFINITY",
];

/// How an option says what it wants.
type Reading = fn(&str) -> Option<BindTo>;

/// The options of numactl that bind, by their long and their short name. A node of a device, of a cpuset or of none of a
/// list (`netdev:eth0`, `+0`, `!0`) is left to numactl.
const NUMACTL: &[(&str, char, Reading)] = &[
    ("--cpunodebind", 'N', |list| nodes(list).map(BindTo::Nodes)),
    ("--physcpubind", 'C', cpus),
    ("--membind", 'm', |list| nodes(list).map(BindTo::Memory)),
];

/// Those of it that have a value and bind nothing.
const NUMACTL_OTHERS: &[(&str, char)] = &[
    ("--interleave", 'i'),
    ("--weighted-interleave", 'w'),
    ("--preferred", 'p'),
    ("--preferred-many", 'P'),
];

/// A set of as many nodes as a list may name would be large, and argv may name many.
fn nodes(list: &str) -> Option<NodeSet> {
    let numbers = parse_cpu_list(list.as_bytes()).ok()?;
    let is_node = |number: Cpu| number.0 < NodeId::END.0;
    let are_nodes = numbers.iter().all(is_node);
    are_nodes.then(|| numbers.iter().map(|number| NodeId(number.0)).collect())
}

fn cpus(list: &str) -> Option<BindTo> {
    parse_cpu_list(list.as_bytes()).ok().map(BindTo::Cpus)
}

/// What a command line asks for. That of numactl is gone as soon as it has become what it starts: its words are seen in
/// the command line of a launcher that puts it before each rank.
pub fn parse_binding_requests(command: &[String]) -> Vec<BindingRequest> {
    // A script of somebody's own may have an option of that name that means something else.
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
    let mut asks: Vec<BindingRequest> = of_framework.take(1).collect();
    // The first of each: whoever wants to can name them a million times.
    let behind = |program: &str| {
        let mut words = command.iter();
        let at = words.position(|word| word.rsplit('/').next() == Some(program))?;
        command.get(at + 1..)
    };
    asks.extend(behind("numactl").map(numactl).unwrap_or_default());
    asks.extend(behind("taskset").and_then(taskset));
    asks
}

/// What the environment asks for.
pub fn parse_binding_variables(environ: &[u8]) -> Vec<BindingRequest> {
    let values = parse_variables(environ, VARIABLES);
    let asking = VARIABLES.into_iter().zip(values);
    let asking = asking.filter(|(_, value)| value.is_some_and(says_yes));
    let asks = asking.map(|(option, _)| BindingRequest {
        option,
        to: BindTo::GpuNode,
    });
    asks.collect()
}

/// Whether a variable of that value is switched on.
pub fn says_yes(value: &[u8]) -> bool {
    let yes: [&[u8]; 4] = [b"1", b"true", b"yes", b"on"];
    yes.iter().any(|yes| value.eq_ignore_ascii_case(yes))
}

fn numactl(words: &[String]) -> Vec<BindingRequest> {
    let mut asks = Vec::new();
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next().filter(|word| word.starts_with('-')) {
        let known = NUMACTL
            .iter()
            .map(|(long, short, read)| (*long, *short, Some(*read)));
        let others = NUMACTL_OTHERS
            .iter()
            .map(|(long, short)| (*long, *short, None));
        for (long, short, read) in known.chain(others) {
            let Some(value) = value_of(word, long, short, &mut words) else {
                continue;
            };
            let to = read.and_then(|read| read(value));
            // The last of one option counts.
            asks.retain(|ask: &BindingRequest| ask.option != long);
            asks.extend(to.map(|to| BindingRequest { option: long, to }));
            break;
        }
    }
    asks
}

fn taskset(words: &[String]) -> Option<BindingRequest> {
    const OPTION: &str = "--cpu-list";
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next().filter(|word| word.starts_with('-')) {
        // It changes a process that is there already, and not what it starts.
        if word == "-p" || word == "--pid" {
            return None;
        }
        if let Some(list) = value_of(word, OPTION, 'c', &mut words) {
            return cpus(list).map(|to| BindingRequest { option: OPTION, to });
        }
    }
    None
}

/// The value of an option, if this word is that: `--long=VALUE`, `--long VALUE`, `-sVALUE` or `-s VALUE`.
fn value_of<'a>(
    word: &'a str,
    long: &str,
    short: char,
    rest: &mut impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let glued = match word.strip_prefix(long) {
        Some(glued) => glued.strip_prefix('=').or(glued.is_empty().then_some(""))?,
        None => word.strip_prefix('-')?.strip_prefix(short)?,
    };
    match glued {
        "" => rest.next(),
        glued => Some(glued),
    }
}

/// What of a word of argv asks for a binding, and names nobody: for a recording that is to hide names.
pub fn telling_part(word: &str) -> Option<&str> {
    let (name, value) = word.split_once('=').unwrap_or((word, ""));
    let is_list = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b',' || byte == b'-')
    };
    let of_numactl = NUMACTL.iter().map(|(long, ..)| long);
    let mut known = OPTIONS.iter().chain(of_numactl).chain(&["--cpu-list"]);
    if known.any(|known| *known == name) {
        return Some(if is_list(value) { word } else { name });
    }
    let program = word.rsplit('/').next();
    program.filter(|name| ["numactl", "taskset"].contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(command: &str) -> Vec<String> {
        let words: Vec<String> = command.split(' ').map(Into::into).collect();
        let told = parse_binding_requests(&words).into_iter().map(
            |BindingRequest { option, to }| match to {
                BindTo::GpuNode => option.to_owned(),
                BindTo::Nodes(nodes) | BindTo::Memory(nodes) => format!("{option} {nodes:?}"),
                BindTo::Cpus(cpus) => format!("{option} {cpus}"),
            },
        );
        told.map(|text| text.replace("NodeId", "")).collect()
    }

    #[test]
    fn frameworks_ask_for_the_gpus_node() {
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
            assert_eq!(asked(command), [option], "{command}");
        }
        for other in [
            "vllm serve m --no-numa-bind",
            "python t.py --numa-bindings",
            "python numactl.py",
        ] {
            assert!(asked(other).is_empty(), "{other}");
        }
        // A shell's script may start anything beside this job.
        let script = ["bash", "-c", "numactl --cpunodebind=0 a & torchrun b"].map(String::from);
        assert_eq!(parse_binding_requests(&script), []);
    }

    #[test]
    fn numactl_is_read_as_it_is_typed() {
        for command in [
            "mpirun numactl --cpunodebind=0 --membind=1 t",
            "mpirun /usr/bin/numactl --cpunodebind 0 --membind 1 t",
            "mpirun numactl -N 0 -m 1 t",
            "mpirun numactl -l -N0 -i 0,1 -m1 t -C 7",
        ] {
            assert_eq!(
                asked(command),
                ["--cpunodebind {(0)}", "--membind {(1)}"],
                "{command}"
            );
        }
        assert_eq!(asked("x numactl -C 0-1,4 t"), ["--physcpubind 0-1,4"]);
        for open in ["-N all", "-N +0", "-m !0", "-N netdev:eth0", "-C", "-N"] {
            assert!(asked(&format!("x numactl {open} t")).is_empty(), "{open}");
        }
    }

    #[test]
    fn a_hostile_command_line_asks_for_little() {
        let many = format!("x {}", "numactl -N 0-999 -N 0-1023 ".repeat(1000));
        assert_eq!(asked(&many).len(), 1);
        assert!(asked("x numactl -N 0-65535 t").is_empty(), "no such nodes");
        assert!(asked(&format!("x {}", "--numa-bind ".repeat(1000))).len() == 1);
    }

    #[test]
    fn taskset_binds_what_it_starts() {
        assert_eq!(asked("x taskset -c 0-3 t"), ["--cpu-list 0-3"]);
        assert_eq!(asked("x taskset -a --cpu-list=2 t"), ["--cpu-list 2"]);
        assert!(asked("x taskset -p -c 0-3 77").is_empty());
        assert!(asked("x taskset ff t").is_empty());
    }

    #[test]
    fn variables_ask_where_they_say_yes() {
        let environ = b"ACCELERATE_CPU_AFFINITY=0\0SGLANG_AUTO_NUMA_BIND=True\0TLLM_NUMA_AWARE_WORKER_AFFINITY=1\0";
        let asks = parse_binding_variables(environ);
        let options: Vec<&str> = asks.iter().map(|ask| ask.option).collect();
        assert_eq!(
            options,
            ["SGLANG_AUTO_NUMA_BIND", "TLLM_NUMA_AWARE_WORKER_AFFINITY"]
        );
    }

    #[test]
    fn what_is_recorded_of_it_names_nobody() {
        for (word, told) in [
            ("--cpunodebind=0-1", Some("--cpunodebind=0-1")),
            ("--membind=file:/home/ann", Some("--membind")),
            ("--numa-binding=node", Some("--numa-binding")),
            ("/home/ann/bin/numactl", Some("numactl")),
            ("ann", None),
        ] {
            assert_eq!(telling_part(word), told, "{word}");
        }
    }
}
