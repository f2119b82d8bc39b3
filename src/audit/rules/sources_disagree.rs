//! `sources-disagree`: two sources name different home nodes for a GPU. One of them is wrong, and every verdict on that
//! GPU's processes hangs on which.

use super::super::finding::Severity;
use super::{Broken, Rule, Scene, on_nodes};

pub(super) const RULE: Rule = Rule {
    name: "sources-disagree",
    severity: Severity::Warning,
    check,
};

fn check<'a>(scene: &Scene<'a>) -> Vec<Broken<'a>> {
    let broken = scene.gpus.iter().filter_map(|place| {
        let others = place
            .contradictions()
            .map(|(source, nodes)| format!("{source} says {}", on_nodes(nodes)));
        let others: Vec<String> = others.collect();
        (!others.is_empty()).then(|| Broken {
            gpu: Some(place.gpu.index),
            group: Vec::new(),
            message: format!(
                "the sources of GPU {}'s home node disagree: {} says {} and is believed, {}",
                place.gpu.index,
                place.source,
                on_nodes(&place.home_nodes),
                others.join(", "),
            ),
            remedy: "find out which is right, and give it with --gpu-node or --topology".to_owned(),
        })
    });
    broken.collect()
}
