//! `cpu-remote`: a process runs, or may only run, on another socket than its GPU's. Every batch that it makes or sends
//! crosses the interconnect. Where a thread last ran is old news while it sleeps: what it may do counts before that.

use super::super::cpu::Standing;
use super::super::finding::Severity;
use super::super::verdict::Locality;
use super::{Broken, Rule, Scene, cpu_nodes, gpu_of, is_bound_off, lacks_cpus, on_nodes, subject};
use crate::audit::Audited;

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
            all if all == group.len() => bound_by(&group).to_owned(),
            some => format!("{some} of {} {}", group.len(), bound_by(&group)),
        };
        Broken {
            gpu: gpu_of(&group),
            message: format!(
                "GPU and CPU NUMA nodes do NOT match: {} on {} ({held})",
                subject(&group),
                on_nodes(&cpu_nodes(&group)),
            ),
            remedy: scene.bind(&group, ", and its memory stays where it is"),
            group,
        }
    });
    broken.collect()
}

/// Whether they chose it, or were given nothing else, as far as that is known.
fn bound_by(group: &[&Audited]) -> &'static str {
    let is_known = |audited: &&Audited| audited.cpu.cpuset_nodes.is_some();
    match group.iter().any(|audited| lacks_cpus(audited)) {
        true => "bound there: the control group leaves nothing else",
        false if group.iter().all(is_known) => {
            "bound there by choice: the control group leaves more"
        }
        false => "bound there",
    }
}
