//! A command line or an environment variable requests a binding, but the process is not bound as
//! requested.
//!
//! Why it costs: the user believes that the job is bound. Binding tools fail silently: they need programs, permissions and
//! facts that may be missing, or do not support the way in which a process is started.
//!
//! What it cannot know: what the tool did instead. It recognises torchrun --numa-binding, vLLM --numa-bind, SGLang
//! --numa-node, DeepSpeed --bind_cores_to_rank, accelerate --enable_cpu_affinity, the variables of accelerate, SGLang and
//! TensorRT-LLM, and numactl and taskset in the command line of a launcher. A numactl that became the process itself
//! leaves no trace. A binding to the socket of the GPU counts as a binding. DeepSpeed promises a share of the CPUs by
//! rank, and not the node of the GPU: any share is a binding.
//!
//! What to do: read the log of the tool. Bind by hand until the tool works.

use std::collections::BTreeSet;

use crate::audit::PlacedProcess;
use crate::audit::finding::{Evidence, Remedy, Severity, Value};
use crate::audit::place::Locality;
use crate::audit::rules::{
    Group, POLICY_STAYS, Rule, RuleContext, Violation, bind, by_hand, node_names,
};
use crate::jobs::needs_of;
use crate::machine::{BindTo, BindingRequest, Mode};
use crate::units::{CpuSet, NodeSet, Pid};

pub(crate) const RULE: Rule = Rule {
    name: "binding-not-in-effect",
    severity: Severity::Error,
    text: include_str!("binding_not_in_effect.rs"),
    check,
};

/// A binding that was requested, and what is there instead.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct FailedBinding {
    option: &'static str,
    /// What the option names: `node 0`; `None` if it only asks for a binding to the GPU's node.
    requested: Option<String>,
    actual: Actual,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Actual {
    /// The CPU affinity allows these nodes.
    Nodes(NodeSet),
    /// As `Nodes`, and none of them is local.
    WrongNodes(NodeSet),
    /// The CPU affinity is this list of CPUs.
    Cpus(String),
    /// The memory policy is this one.
    Policy(String),
}

fn check(context: &RuleContext) -> Vec<Violation> {
    if context.is_single_node() || !context.machine.topology.is_whole() {
        return Vec::new();
    }
    let trainers: BTreeSet<Pid> = context.trainers().map(|of| of.process.pid).collect();
    let ancestors = context.ancestors_of_trainers();
    let shared = jobs_with_one_mask(context);
    let failed = |placed: &PlacedProcess| -> Option<FailedBinding> {
        let pid = placed.process.pid;
        // A server may hold a context, but its option is for the trainers that it starts.
        let is_meant = trainers.contains(&pid) && !ancestors.contains(&pid);
        let placed = context.process(pid)?;
        // cpuset-excludes-gpu reports why.
        if !is_meant || placed.cpuset_excludes_cpus() {
            return None;
        }
        let mut requests = context.binding_requests(placed);
        requests.find_map(|request| failed_binding(context, &shared, request, placed))
    };
    let groups = context.groups_by(|placed| failed(placed).is_some(), failed);
    groups
        .iter()
        .filter_map(|group| Some(violation(context, group, &failed(group.first())?)))
        .collect()
}

/// `None` if the request is in effect, and if that is unknown.
fn failed_binding(
    context: &RuleContext,
    shared: &BTreeSet<Pid>,
    request: &BindingRequest,
    placed: &PlacedProcess,
) -> Option<FailedBinding> {
    let allowed = &placed.cpu.affinity_nodes;
    if allowed.is_empty() {
        return None;
    }
    let is_local = placed.cpu.bound() == Some(true);
    let (requested, actual) = match &request.to {
        BindTo::GpuNode | BindTo::GpuSocket => (None, not_on_gpu_node(context, placed)?),
        BindTo::OneOfNodes(_) if is_local => return None,
        BindTo::OneOfNodes(nodes) => {
            let is_bound = allowed.len() == 1 && allowed.is_subset(nodes);
            let actual = (!is_bound).then(|| Actual::Nodes(allowed.clone()))?;
            (Some(format!("one of {}", node_names(nodes))), actual)
        }
        BindTo::ShareByRank(list) => {
            let actual = no_share(context, shared, placed, list.as_ref())?;
            let list = list.as_ref().map(|list| format!(" of CPUs {list}"));
            (Some(format!("a share{}", list.unwrap_or_default())), actual)
        }
        // A binding to the local nodes is right, whatever was requested.
        BindTo::Nodes(_) | BindTo::Cpus(_) if is_local => return None,
        BindTo::Nodes(nodes) => {
            let is_failed = !allowed.is_subset(nodes);
            let actual = is_failed.then(|| Actual::Nodes(allowed.clone()))?;
            (Some(node_names(nodes)), actual)
        }
        BindTo::Cpus(cpus) => {
            let online = online_affinity(context, placed)?;
            let is_failed = online.iter().any(|cpu| !cpus.contains(cpu));
            let actual = is_failed.then(|| Actual::Cpus(online.to_string()))?;
            (Some(format!("CPUs {cpus}")), actual)
        }
        BindTo::Memory(nodes) => {
            let policy = &placed.memory.pages.as_ref()?.policy;
            let is_bound_to =
                |nodes: &NodeSet| policy.mode == Mode::Bind && policy.nodes.is_subset(nodes);
            let is_in_effect =
                policy.truncated || is_bound_to(nodes) || is_bound_to(&placed.local_nodes);
            let actual = (!is_in_effect).then(|| Actual::Policy(policy.mode.to_string()))?;
            (Some(format!("memory of {}", node_names(nodes))), actual)
        }
    };
    Some(FailedBinding {
        option: request.option,
        requested,
        actual,
    })
}

/// The CPUs that a process may run on.
fn online_affinity(context: &RuleContext, placed: &PlacedProcess) -> Option<CpuSet> {
    let affinity = placed.cpu.affinity.as_ref()?;
    let topology = context.machine.topology;
    let is_online = |cpu: &_| topology.node_of(*cpu).is_some();
    Some(affinity.iter().filter(is_online).collect())
}

/// The jobs whose ranks may all run on the same CPUs, by the first rank.
fn jobs_with_one_mask(context: &RuleContext) -> BTreeSet<Pid> {
    let has_one_mask = |job: &&Group| {
        let mut masks = job.iter().map(|rank| online_affinity(context, rank));
        let first = masks.next().flatten();
        first.is_some() && masks.all(|mask| mask == first)
    };
    let jobs = context.jobs().iter().filter(has_one_mask);
    jobs.map(|job| job.first().process.pid).collect()
}

/// The CPUs of a process that should have a share of them. `None` if it has one, and if it is the only rank: its share is
/// everything.
fn no_share(
    context: &RuleContext,
    shared: &BTreeSet<Pid>,
    placed: &PlacedProcess,
    list: Option<&CpuSet>,
) -> Option<Actual> {
    let job = context.job(placed)?;
    let own = online_affinity(context, placed)?;
    let is_outside = |list: &CpuSet| own.iter().any(|cpu| !list.contains(cpu));
    let is_failed = shared.contains(&job.first().process.pid) || list.is_some_and(is_outside);
    is_failed.then(|| Actual::Cpus(own.to_string()))
}

/// Where a process may run that should be bound to the node of its GPU; `None` if it is bound there, or to its socket.
fn not_on_gpu_node(context: &RuleContext, placed: &PlacedProcess) -> Option<Actual> {
    let allowed = &placed.cpu.affinity_nodes;
    let is_failed = if placed.local_nodes.is_empty() {
        // The GPU's node is unknown, but an affinity that allows every node is not a binding.
        *allowed == context.machine.topology.cpu_bearing() && placed.membership.gpus.len() == 1
    } else {
        let remote = Some(Locality::Remote);
        allowed.iter().any(|node| placed.locality(*node) == remote)
    };
    is_failed.then(|| {
        if placed.is_bound_elsewhere() {
            Actual::WrongNodes(allowed.clone())
        } else {
            Actual::Nodes(allowed.clone())
        }
    })
}

fn violation(context: &RuleContext, group: &Group, failed: &FailedBinding) -> Violation {
    let FailedBinding {
        option,
        requested,
        actual,
    } = failed;
    let names = group.names();
    let home = group.home_nodes();
    let gpus = if home.is_empty() {
        String::new()
    } else {
        format!(" ({})", group.gpus_attached())
    };
    let actually = match actual {
        Actual::Nodes(nodes) => format!("{names} may run on {}{gpus}", node_names(nodes)),
        Actual::WrongNodes(nodes) => format!(
            "{names} {} bound to {}{gpus}{}",
            group.agree("is", "are"),
            node_names(nodes),
            if has_mistaken_gpus(context, group) {
                ", as if CUDA_VISIBLE_DEVICES was not set"
            } else {
                ""
            }
        ),
        Actual::Cpus(cpus) => format!("{names} may run on CPUs {cpus}"),
        Actual::Policy(mode) => {
            let have = group.agree("has", "have");
            format!("{names} {have} the memory policy {mode}")
        }
    };
    let requested = requested.as_deref().unwrap_or("a binding");
    let message = format!("{option} requests {requested}, but {actually}");
    let mut evidence = Evidence::from([
        ("option", Value::Text((*option).to_owned())),
        ("home_nodes", Value::Nodes(home)),
    ]);
    match actual {
        Actual::Nodes(nodes) | Actual::WrongNodes(nodes) => {
            evidence.insert("affinity_nodes", Value::Nodes(nodes.clone()));
        }
        Actual::Policy(mode) => {
            evidence.insert("policy", Value::Text(mode.clone()));
        }
        Actual::Cpus(_) => {}
    }
    let remedy = remedy(context, group, failed);
    Violation::by(group, message, evidence, remedy)
}

/// Whether each process is bound to the node of the GPU whose NVML index equals the position of its own GPU in
/// CUDA_VISIBLE_DEVICES: the tool confused the two numberings.
fn has_mistaken_gpus(context: &RuleContext, group: &Group) -> bool {
    let is_mistaken = |placed: &PlacedProcess| {
        let environment = placed.process.environment.as_ref()?;
        let visible = environment.visible_devices.as_deref()?;
        let [gpu] = placed.membership.gpus.as_slice() else {
            return None;
        };
        let position = visible
            .split(',')
            .position(|name| name.trim().parse() == Ok(*gpu))
            .filter(|position| u32::try_from(*position) != Ok(*gpu))?;
        let mistaken = context.machine.gpus.get(position)?;
        Some(placed.cpu.affinity_nodes.is_subset(&mistaken.local_nodes))
    };
    group.iter().all(|placed| is_mistaken(placed) == Some(true))
}

fn remedy(context: &RuleContext, group: &Group, failed: &FailedBinding) -> Remedy {
    let needs = needs_of(failed.option);
    let cause = match (&failed.actual, needs) {
        (Actual::WrongNodes(_), _) => {
            "the binding tool used the node of another GPU, or used node 0 because sysfs has -1"
                .to_owned()
        }
        (_, Some(needs)) => format!("the log of the binding tool should say why ({needs})"),
        (_, None) => {
            "find out what prevented it (a missing permission, a program that binds itself)"
                .to_owned()
        }
    };
    let local = group.local_nodes();
    let until_then = if local.is_empty() {
        "bind by hand".to_owned()
    } else {
        format!("start each rank with {}", by_hand(context, group))
    };
    let words = format!("{cause}; until then {until_then}");
    if matches!(failed.actual, Actual::Policy(_)) {
        Remedy {
            text: words,
            commands: Vec::new(),
            note: POLICY_STAYS.to_owned(),
        }
    } else {
        Remedy {
            text: words,
            ..bind(context, group)
        }
    }
}
