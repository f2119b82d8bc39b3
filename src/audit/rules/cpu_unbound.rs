//! `cpu-unbound`: a process is on its GPU's nodes now, and may run on others: the scheduler moves it when it likes,
//! and memory that it touches there stays there.

use super::super::cpu::Standing;
use super::super::finding::Severity;
use super::{Broken, Rule, Scene, gpu_of, on_nodes, subject};
use crate::model::topology::NodeSet;

pub(super) const RULE: Rule = Rule {
    name: "cpu-unbound",
    severity: Severity::Warning,
    check,
};

fn check<'a>(scene: &Scene<'a>) -> Vec<Broken<'a>> {
    // A single node holds everybody.
    if scene.topology.single_node().is_some() {
        return Vec::new();
    }
    let loose = Some(Standing::Loose);
    let groups = scene
        .groups(|audited| audited.cpu.standing == loose)
        .into_iter();
    let broken = groups.map(|group| {
        let allowed = group.iter().flat_map(|audited| &audited.cpu.affinity_nodes);
        let allowed: NodeSet = allowed.copied().collect();
        Broken {
            gpu: gpu_of(&group),
            message: format!(
                "{} there by chance: nothing holds {} there, {} are allowed",
                subject(&group),
                if group.len() == 1 { "it" } else { "them" },
                on_nodes(&allowed),
            ),
            remedy: scene.bind(&group, ""),
            group,
        }
    });
    broken.collect()
}
