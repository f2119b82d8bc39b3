//! More processes than the CPUs that they are bound to.
//!
//! Why it costs: they wait for each other: single-CPU masks, or all workers of a rank stacked on a few CPUs, make data
//! loading slower than no binding would.
//!
//! What it cannot know: which of them are busy. Processes that may run everywhere do not count.
//!
//! What to do: give them the whole node's CPUs, or start fewer workers.

use std::collections::BTreeMap;

use super::{Broken, Rule, Scene};
use crate::audit::Audited;
use crate::audit::attribution::Role;
use crate::audit::finding::{Evidence, Severity, Value};
use crate::audit::remedy::bind;
use crate::audit::words::{each, who};
use crate::model::cpus::CpuSet;

pub(super) const RULE: Rule = Rule {
    name: "cpus-crowded",
    severity: Severity::Warning,
    text: include_str!("cpus_crowded.rs"),
    check,
};

fn check(scene: &Scene) -> Vec<Broken> {
    if !scene.topology.is_whole() {
        return Vec::new();
    }
    let online = |cpus: &CpuSet| {
        cpus.iter()
            .filter(|cpu| scene.topology.node_of(*cpu).is_some())
            .count()
    };
    let nodes = scene.topology.nodes().values();
    let all: usize = nodes
        .filter_map(|node| node.cpus.as_ref())
        .map(|cpus| cpus.iter().count())
        .sum();
    let mut by_mask: BTreeMap<String, (CpuSet, Vec<&Audited>)> = BTreeMap::new();
    for audited in scene
        .judged()
        .filter(|audited| !audited.part.gpus.is_empty())
    {
        if let Some(mask) = &audited.cpu.affinity {
            let (_, sharing) = by_mask
                .entry(mask.to_string())
                .or_insert_with(|| (mask.clone(), Vec::new()));
            sharing.push(audited);
        }
    }
    let broken = by_mask.into_values().filter_map(|(mask, sharing)| {
        let cpus = online(&mask);
        let has_trainer = sharing.iter().any(|of| of.part.role == Some(Role::Trainer));
        // A trainer alone has more to do than one CPU can.
        let is_crowded = sharing.len() > cpus || (cpus == 1 && has_trainer);
        (is_crowded && cpus > 0 && cpus < all).then(|| {
            Broken::by(
                &sharing,
                format!(
                    "{} {} on {cpus} {} ({mask})",
                    who(&sharing),
                    each(&sharing, "is bound to run", "share and are bound to run"),
                    if cpus == 1 { "CPU" } else { "CPUs" },
                ),
                Evidence::from([
                    ("processes", Value::Count(sharing.len())),
                    ("cpu_count", Value::Count(cpus)),
                    ("affinity", Value::Cpus(mask.clone())),
                ]),
                bind(scene, &sharing),
            )
        })
    });
    broken.collect()
}
