//! Two sources name different home nodes for a GPU.
//!
//! Why it costs: one of them is wrong, and every verdict on that GPU's processes hangs on which.
//!
//! What it cannot know: which. It believes the first of its ladder (see the README).
//!
//! What to do: find out which is right, and give it with --gpu-node or --topology.

use crate::audit::finding::{Evidence, Remedy, Severity, Value};
use crate::audit::rules::words::on_nodes;
use crate::audit::rules::{Rule, RuleContext, Violation};

pub(crate) const RULE: Rule = Rule {
    name: "sources-disagree",
    severity: Severity::Warning,
    text: include_str!("sources_disagree.rs"),
    check,
};

fn check(context: &RuleContext) -> Vec<Violation> {
    let broken = context.gpus.iter().filter_map(|place| {
        let others = place
            .contradictions()
            .map(|(source, nodes)| format!("{source} says {}", on_nodes(nodes)));
        let others: Vec<String> = others.collect();
        (!others.is_empty()).then(|| {
            Violation::of_gpu(
                place.gpu.index,
                format!(
                    "the sources of GPU {}'s home node disagree: {} says {} and is believed, {}",
                    place.gpu.index,
                    place.source,
                    on_nodes(&place.home_nodes),
                    others.join(", "),
                ),
                Evidence::from([
                    ("home_nodes", Value::Nodes(place.home_nodes.clone())),
                    ("home_source", Value::Text(place.source.to_string())),
                ]),
                Remedy::in_words(
                    "find out which is right, and give it with --gpu-node or --topology",
                ),
            )
        })
    });
    broken.collect()
}
