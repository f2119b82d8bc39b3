//! `cpu-remote`: a process runs, or may only run, on another socket than its GPU's. Every batch that it makes or sends
//! crosses the interconnect. Where a thread last ran is old news while it sleeps: what it may do counts before that.

use super::super::cpu::Standing;
use super::super::finding::Severity;
use super::super::verdict::Locality;
use super::{Broken, Rule, Scene, cpu_nodes, gpu_of, is_bound_off, on_nodes, subject};

pub(super) const RULE: Rule = Rule {
    name: "cpu-remote",
    severity: Severity::Error,
    check,
};

fn check<'a>(scene: &Scene<'a>) -> Vec<Broken<'a>> {
    let remote = Some(Standing::Off(Locality::Remote));
    let groups = scene
        .groups(|audited| audited.cpu.standing == remote)
        .into_iter();
    let broken = groups.map(|group| {
        let bound = group.iter().filter(|audited| is_bound_off(audited)).count();
        let held = match bound {
            0 => "last ran there, and nothing holds it there".to_owned(),
            all if all == group.len() => "bound there".to_owned(),
            some => format!("{some} of {} bound there", group.len()),
        };
        Broken {
            gpu: gpu_of(&group),
            message: format!(
                "GPU and CPU NUMA nodes do NOT match: {} on {} ({held})",
                subject(&group),
                on_nodes(&cpu_nodes(&group)),
            ),
            remedy: format!("{}, and its memory stays where it is", scene.bind(&group)),
            group,
        }
    });
    broken.collect()
}
