//! A GPU whose home node is not known, or from whose home node, which has no CPUs, nobody tells which node with CPUs is
//! nearest.
//!
//! Why it costs: nobody can say where its processes belong, this program included. Tools that bind take such a GPU for
//! one of node 0, silently: in virtual machines and on boards whose firmware does not tell, sysfs has -1 for it.
//!
//! What it cannot know: anything that the sources of the ladder do not tell.
//!
//! What to do: give it with --gpu-node, or with the topology file that the cloud's maker publishes (--topology).

use crate::audit::finding::{Evidence, Remedy, Severity, Value};
use crate::audit::rules::words::on_nodes;
use crate::audit::rules::{Rule, RuleContext, Violation};

pub(crate) const RULE: Rule = Rule {
    name: "gpu-node-unknown",
    severity: Severity::Warning,
    text: include_str!("gpu_node_unknown.rs"),
    check,
};

fn check(context: &RuleContext) -> Vec<Violation> {
    let unknown = context
        .gpus
        .iter()
        .filter(|place| place.local_nodes.is_empty());
    let broken = unknown.map(|place| {
        let (index, home) = (place.gpu.index, &place.home_nodes);
        Violation::of_gpu(
            index,
            match home.is_empty() {
                true => format!("nobody tells on which node GPU {index} hangs: tools that bind may take it for node 0"),
                false => format!(
                    "GPU {index} hangs on {}, and nobody tells which node with CPUs is nearest",
                    on_nodes(home)
                ),
            },
            match home.is_empty() {
                true => Evidence::new(),
                false => Evidence::from([("home_nodes", Value::Nodes(home.clone()))]),
            },
            Remedy::in_words("give it with --gpu-node or --topology, to this program and to the tool that binds"),
        )
    });
    broken.collect()
}
