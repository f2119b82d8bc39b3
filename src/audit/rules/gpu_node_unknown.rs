//! The home node of a GPU is unknown, or it has no CPUs and the nearest node with CPUs is unknown.
//!
//! Why it costs: the processes of this GPU cannot be judged, and binding tools may silently bind them to node 0. In virtual
//! machines, and where the firmware does not report the node, sysfs has -1. Firmware can also name a node that does not exist.
//!
//! What it cannot know: the node of a GPU if no source has it. The sources are the command line, a topology file, sysfs,
//! PCI bridges and NVML.
//!
//! What to do: set the node with --gpu-node, or with the topology file that the cloud provider publishes (--topology).

use crate::audit::finding::{Evidence, Remedy, Severity, Value};
use crate::audit::rules::{Rule, RuleContext, Violation, node_names};
use crate::units::NodeSet;

pub(crate) const RULE: Rule = Rule {
    name: "gpu-node-unknown",
    severity: Severity::Warning,
    text: include_str!("gpu_node_unknown.rs"),
    check,
};

fn check(context: &RuleContext) -> Vec<Violation> {
    let gpus = context.machine.gpus.iter();
    let unknown = gpus.filter(|place| place.local_nodes.is_empty());
    let violations = unknown.map(|place| {
        let (index, home) = (place.gpu.index, &place.home_nodes);
        let (message, evidence) = if home.is_empty() {
            let why = match place.absent_nodes() {
                absent if absent.is_empty() => String::new(),
                absent => format!(" ({absent})"),
            };
            let message = format!(
                "the home node of GPU {index} is unknown{why}: binding tools may use node 0 instead"
            );
            let named = place.absent.iter().flat_map(|(_, nodes)| nodes);
            let named: NodeSet = named.copied().collect();
            let named = Some(named).filter(|nodes| !nodes.is_empty());
            let evidence = named.map(|nodes| ("absent_nodes", Value::Nodes(nodes)));
            (message, evidence.into_iter().collect())
        } else {
            let message = format!(
                "GPU {index} is attached to {}, which has no CPUs, and the nearest node with CPUs is unknown",
                node_names(home)
            );
            let home = Value::Nodes(home.clone());
            (message, Evidence::from([("home_nodes", home)]))
        };
        let remedy = "set the node with --gpu-node or --topology, here and in the tool that binds";
        Violation::of_gpu(index, message, evidence, Remedy::in_words(remedy))
    });
    violations.collect()
}
