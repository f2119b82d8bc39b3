//! `cpu-near`: a process runs on another node of its GPU's socket (sub-NUMA clusters, NPS2 and NPS4). Nothing crosses
//! the sockets, and the way to the GPU is longer than it need be.

use super::super::cpu::Standing;
use super::super::finding::Severity;
use super::super::verdict::Locality;
use super::{Broken, Rule, Scene, cpu_nodes, gpu_of, on_nodes, subject};

pub(super) const RULE: Rule = Rule {
    name: "cpu-near",
    severity: Severity::Warning,
    check,
};

fn check<'a>(scene: &Scene<'a>) -> Vec<Broken<'a>> {
    let near = Some(Standing::Off(Locality::Near));
    let groups = scene
        .groups(|audited| audited.cpu.standing == near)
        .into_iter();
    let broken = groups.map(|group| Broken {
        gpu: gpu_of(&group),
        message: format!(
            "{} on {} of the same socket",
            subject(&group),
            on_nodes(&cpu_nodes(&group)),
        ),
        remedy: scene.bind(&group, ", and its memory stays where it is"),
        group,
    });
    broken.collect()
}
