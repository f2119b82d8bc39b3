//! Two sources report different home nodes for a GPU.
//!
//! Why it costs: one of them is wrong. If it is the one in use, every verdict on the processes of this GPU is wrong.
//!
//! What it cannot know: which source is wrong. It uses the first that answers, in this order: --gpu-node, topology file, sysfs,
//! PCI bridges, NVML memory affinity, NVML CPU affinity.
//!
//! What to do: find out which node is right, and set it with --gpu-node or --topology.

use crate::audit::finding::{Evidence, Remedy, Severity, Value};
use crate::audit::rules::{Rule, RuleContext, Violation, node_names};

pub(crate) const RULE: Rule = Rule {
    name: "sources-disagree",
    severity: Severity::Warning,
    text: include_str!("sources_disagree.rs"),
    check,
};

fn check(context: &RuleContext) -> Vec<Violation> {
    let violations = context.machine.gpus.iter().filter_map(|place| {
        let (index, home) = (place.gpu.index, &place.home_nodes);
        let others: Vec<String> = place
            .contradictions()
            .map(|(source, nodes)| format!("{source} says {}", node_names(nodes)))
            .collect();
        // Without a home node there is nothing to contradict: gpu-node-unknown says what each source has.
        if others.is_empty() || home.is_empty() {
            return None;
        }
        let message = format!(
            "the sources for the home node of GPU {index} disagree: {} says {} and is used, but {}",
            place.source,
            node_names(home),
            others.join(", "),
        );
        let evidence = Evidence::from([
            ("home_nodes", Value::Nodes(home.clone())),
            ("home_source", Value::Text(place.source.to_string())),
        ]);
        let remedy = "find out which node is right, and set it with --gpu-node or --topology";
        Some(Violation::of_gpu(
            index,
            message,
            evidence,
            Remedy::in_words(remedy),
        ))
    });
    violations.collect()
}
