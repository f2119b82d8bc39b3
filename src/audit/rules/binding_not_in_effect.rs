//! A command line or an environment asks for a binding, and the process is not bound so.
//!
//! Why it costs: whoever typed the option believes that it is done. Binding tools fail silently: without the numactl
//! program, without a right, for a GPU whose node sysfs does not tell, for a start method that they do not know.
//!
//! What it cannot know: what the tool meant to do instead. It knows torchrun --numa-binding, vLLM --numa-bind, SGLang
//! --numa-node, DeepSpeed --bind_cores_to_rank, accelerate --enable_cpu_affinity, what the variables of accelerate, SGLang
//! and TensorRT-LLM say, and numactl and taskset in a launcher's command line: a numactl that became the process that it
//! started leaves no trace. A binding to the GPU's socket counts as one.
//!
//! What to do: look into the tool's log; bind by hand until it works.

use std::collections::BTreeSet;

use crate::audit::PlacedProcess;
use crate::audit::finding::{Evidence, Remedy, Severity, Value};
use crate::audit::place::verdict::Locality;
use crate::audit::rules::context::{gpus_of, is_bound_off, lacks_cpus};
use crate::audit::rules::remedy::{bind, by_hand};
use crate::audit::rules::words::{each, on_nodes, who};
use crate::audit::rules::{Rule, RuleContext, Violation};
use crate::machine::binding_request::{BindTo, BindingRequest};
use crate::machine::memory::Mode;
use crate::units::{CpuSet, NodeId, NodeSet, Pid};

pub(crate) const RULE: Rule = Rule {
    name: "binding-not-in-effect",
    severity: Severity::Error,
    text: include_str!("binding_not_in_effect.rs"),
    check,
};

/// What was asked for and what is there instead.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Missed {
    option: &'static str,
    /// What it names, where it names anything.
    wanted: String,
    instead: Instead,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Instead {
    /// It may run on these nodes.
    Nodes(NodeSet),
    /// It is bound, and to these nodes.
    WrongNodes(NodeSet),
    /// It may run on these CPUs.
    Cpus(String),
    /// It has this memory policy.
    Policy(String),
}

fn check(context: &RuleContext) -> Vec<Violation> {
    if context.is_single_node() || !context.topology.is_whole() {
        return Vec::new();
    }
    let starters = context.above_trainers();
    let missed = |audited: &PlacedProcess| -> Option<Missed> {
        let audited = context.process(audited.process.pid)?;
        let mut asks = context.asks(audited).into_iter();
        asks.find_map(|ask| missed(ask, audited, context))
    };
    let trainers: BTreeSet<Pid> = context.trainers().map(|of| of.process.pid).collect();
    let is_meant = |audited: &PlacedProcess| {
        let pid = &audited.process.pid;
        // A server that holds a context besides is not what its option is for: those that it starts are.
        trainers.contains(pid) && !starters.contains(pid) && !lacks_cpus(audited)
    };
    let groups = context.groups_by(|of| is_meant(of) && missed(of).is_some(), missed);
    let broken = groups
        .into_iter()
        .filter_map(|group| Some(broken(context, &group, &missed(group[0])?)));
    broken.collect()
}

/// What is there instead of what was asked for; `None` where that is there, and where it is not known.
fn missed(ask: &BindingRequest, audited: &PlacedProcess, context: &RuleContext) -> Option<Missed> {
    let missed = |wanted: String, instead| {
        Some(Missed {
            option: ask.option,
            wanted,
            instead,
        })
    };
    let allowed = &audited.cpu.affinity_nodes;
    let is_at_home = audited.cpu.bound == Some(true);
    match &ask.to {
        _ if allowed.is_empty() => None,
        BindTo::GpuNode => {
            let mut nodes = allowed.iter();
            let is_remote = |node: &NodeId| audited.locality(*node) == Some(Locality::Remote);
            // Where the GPU hangs nobody knows, and all that there is is no binding.
            let is_loose =
                || *allowed == context.topology.cpu_bearing() && audited.membership.gpus.len() == 1;
            let is_missed = match audited.local_nodes.is_empty() {
                true => is_loose(),
                false => nodes.any(is_remote),
            };
            let instead = match is_bound_off(audited) && !audited.local_nodes.is_empty() {
                true => Instead::WrongNodes(allowed.clone()),
                false => Instead::Nodes(allowed.clone()),
            };
            is_missed.then(|| missed(String::new(), instead))?
        }
        BindTo::Nodes(nodes) if !is_at_home && !allowed.is_subset(nodes) => {
            missed(on_nodes(nodes), Instead::Nodes(allowed.clone()))
        }
        BindTo::Cpus(wanted) if !is_at_home => {
            let allowed = audited.cpu.affinity.as_ref()?;
            let online: CpuSet = allowed
                .iter()
                .filter(|cpu| context.topology.node_of(*cpu).is_some())
                .collect();
            let is_missed = online.iter().any(|cpu| !wanted.contains(cpu));
            is_missed
                .then(|| missed(format!("CPUs {wanted}"), Instead::Cpus(online.to_string())))?
        }
        BindTo::Memory(nodes) => {
            let policy = &audited.memory.pages.as_ref()?.policy;
            let is_bound_to =
                |nodes: &NodeSet| policy.mode == Mode::Bind && policy.nodes.is_subset(nodes);
            let is_there =
                policy.truncated || is_bound_to(nodes) || is_bound_to(&audited.local_nodes);
            let instead = Instead::Policy(policy.mode.to_string());
            (!is_there).then(|| missed(format!("memory of {}", on_nodes(nodes)), instead))?
        }
        BindTo::Nodes(_) | BindTo::Cpus(_) => None,
    }
}

fn broken(context: &RuleContext, group: &[&PlacedProcess], missed: &Missed) -> Violation {
    let Missed {
        option,
        wanted,
        instead,
    } = missed;
    let who = who(group);
    let home = &group[0].home_nodes;
    let hang = match home.is_empty() {
        true => String::new(),
        false => format!(
            " where {} {} on {}",
            each(group, "its", "their"),
            match gpus_of(group).len() {
                1 => "GPU hangs",
                _ => "GPUs hang",
            },
            on_nodes(home)
        ),
    };
    let (nodes, there) = match instead {
        Instead::Nodes(nodes) => (
            Some(nodes),
            format!("{who} may run on {}{hang}", on_nodes(nodes)),
        ),
        Instead::WrongNodes(nodes) => (
            Some(nodes),
            format!(
                "{who} {} bound to {}{hang}{}",
                each(group, "is", "are"),
                on_nodes(nodes),
                mistaken(context, group)
            ),
        ),
        Instead::Cpus(cpus) => (None, format!("{who} may run on CPUs {cpus}")),
        Instead::Policy(mode) => (
            None,
            format!(
                "{who} {} the memory policy {mode}",
                each(group, "has", "have")
            ),
        ),
    };
    let a_binding = if wanted.is_empty() {
        "a binding"
    } else {
        wanted
    };
    let mut evidence = Evidence::from([
        ("option", Value::Text((*option).to_owned())),
        ("home_nodes", Value::Nodes(home.clone())),
    ]);
    evidence.extend(nodes.map(|nodes| ("affinity_nodes", Value::Nodes(nodes.clone()))));
    if let Instead::Policy(mode) = instead {
        evidence.insert("policy", Value::Text(mode.clone()));
    }
    Violation::by(
        group,
        format!("{option} asks for {a_binding}, and {there}"),
        evidence,
        remedy(context, group, missed),
    )
}

/// Whether they are where GPUs hang that have for number what each of them has for place in CUDA_VISIBLE_DEVICES: a
/// tool that took CUDA's number for the driver's would bind so.
fn mistaken(context: &RuleContext, group: &[&PlacedProcess]) -> &'static str {
    let is_mistaken = |audited: &&PlacedProcess| {
        let variables = audited.process.environment.as_ref();
        let visible = variables.and_then(|of| of.visible_devices.as_deref());
        let [gpu] = audited.membership.gpus.as_slice() else {
            return false;
        };
        let mut names = visible.unwrap_or_default().split(',');
        let number = names.position(|name| name.trim().parse() == Ok(*gpu));
        let taken_for = number.filter(|number| u32::try_from(*number) != Ok(*gpu));
        let place = taken_for.and_then(|number| context.gpus.get(number));
        place.is_some_and(|place| audited.cpu.affinity_nodes.is_subset(&place.local_nodes))
    };
    match group.iter().all(is_mistaken) {
        true => ": as if CUDA_VISIBLE_DEVICES were not set",
        false => "",
    }
}

fn remedy(context: &RuleContext, group: &[&PlacedProcess], missed: &Missed) -> Remedy {
    let now = bind(context, group);
    let local = &group[0].local_nodes;
    let by_hand = match local.is_empty() {
        true => "bind by hand".to_owned(),
        false => format!("start each rank with {}", by_hand(context, local)),
    };
    let why = match &missed.instead {
        Instead::WrongNodes(_) => {
            "what was to bind it took another GPU for this one, or a numa_node of -1 for 0, or deals CPUs out by rank \
             (DeepSpeed)"
        }
        _ if missed.wanted.is_empty() => {
            "the log of what was to bind it should say why (no numactl program, no right to set a policy, a numa_node of \
             -1, a start method that it does not know)"
        }
        _ => "find out what came between (a right that was missing, a program that binds itself)",
    };
    let words = format!("{why}; until then {by_hand}");
    match missed.instead {
        // Nobody else can change a running process's policy.
        Instead::Policy(_) => Remedy {
            text: words,
            commands: Vec::new(),
            note: "a running process keeps its policy".to_owned(),
        },
        _ => Remedy { text: words, ..now },
    }
}
