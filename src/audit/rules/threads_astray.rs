//! `threads-astray`: the main thread is held on its GPU's nodes, and other threads are not: the early ones that a late
//! binding missed, or a `taskset` without `-a`.

use super::super::cpu::{Standing, Threads};
use super::super::finding::Severity;
use super::{Broken, Rule, Scene, gpu_of, subject};
use crate::audit::Audited;

pub(super) const RULE: Rule = Rule {
    name: "threads-astray",
    severity: Severity::Warning,
    check,
};

fn check<'a>(scene: &Scene<'a>) -> Vec<Broken<'a>> {
    if scene.topology.single_node().is_some() {
        return Vec::new();
    }
    let has_loose = |audited: &Audited| {
        let loose = audited
            .cpu
            .threads
            .as_ref()
            .and_then(|threads| threads.loose);
        audited.cpu.standing == Some(Standing::Held) && loose > Some(0)
    };
    let broken = scene.groups(has_loose).into_iter().map(|group| {
        let threads = || group.iter().filter_map(|audited| audited.cpu.threads.as_ref());
        let sum = |count: fn(&Threads) -> usize| threads().map(count).sum::<usize>();
        Broken {
            gpu: gpu_of(&group),
            message: format!(
                "{} held there by the main thread alone: {} of {} threads may leave, {} last ran elsewhere",
                subject(&group),
                sum(|threads| threads.loose.unwrap_or(0)),
                sum(|threads| threads.total),
                sum(|threads| threads.astray.unwrap_or(0)),
            ),
            remedy: scene.bind(&group, ""),
            group,
        }
    });
    broken.collect()
}
