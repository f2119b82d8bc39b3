//! `memory-remote`: more of a process's working memory than the limits allow lies on another socket than its GPU's:
//! every read of it crosses the interconnect. Page cache and mapped files do not count.

use super::super::finding::Severity;
use super::super::verdict::{Locality, Verdict};
use super::{Broken, OffMemory, Rule, Scene, gpu_of};

pub(super) const RULE: Rule = Rule {
    name: "memory-remote",
    severity: Severity::Error,
    check,
};

fn check<'a>(scene: &Scene<'a>) -> Vec<Broken<'a>> {
    let mismatch = Some(Verdict::Mismatch);
    let groups = scene
        .groups(|audited| audited.memory.verdict == mismatch)
        .into_iter();
    let broken = groups.map(|group| {
        let off = OffMemory::of(&group, Locality::Remote);
        let side = if group[0].part.gpus.is_empty() {
            "CPU"
        } else {
            "GPU"
        };
        Broken {
            gpu: gpu_of(&group),
            message: format!("{side} and memory NUMA nodes do NOT match: {}", off.text),
            remedy: off.remedy(scene, &group),
            group,
        }
    });
    broken.collect()
}
