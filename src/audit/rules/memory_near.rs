//! `memory-near`: more of a process's working memory than the limits allow lies on another node of its GPU's socket, or
//! on a node of memory only (HBM, CXL) that belongs to it.

use super::super::finding::Severity;
use super::super::verdict::{Locality, Verdict};
use super::{Broken, OffMemory, Rule, Scene, gpu_of};

pub(super) const RULE: Rule = Rule {
    name: "memory-near",
    severity: Severity::Warning,
    check,
};

fn check<'a>(scene: &Scene<'a>) -> Vec<Broken<'a>> {
    let at_risk = Some(Verdict::AtRisk);
    let groups = scene
        .groups(|audited| audited.memory.verdict == at_risk)
        .into_iter();
    let broken = groups.map(|group| {
        let off = OffMemory::of(&group, Locality::Near);
        Broken {
            gpu: gpu_of(&group),
            message: off.text.clone(),
            remedy: off.remedy(scene, &group),
            group,
        }
    });
    broken.collect()
}
