//! A process is on its GPU's nodes now, and may run on others: nothing holds it.
//!
//! Why it costs: the scheduler moves it when it likes, and memory that it touches elsewhere stays there.
//!
//! What it cannot know: how often it moves. --for looks for a while, and says where its CPU time went.
//!
//! What to do: bind it, at its start.

use super::{Broken, Rule, Scene};
use crate::audit::cpu::Standing;
use crate::audit::finding::{Evidence, Severity, Value};
use crate::audit::remedy::bind;
use crate::audit::scene::is_off;
use crate::audit::spent::{Spent, evidence, in_brackets};
use crate::audit::words::{each, on_nodes, subject};
use crate::model::topology::NodeSet;

pub(super) const RULE: Rule = Rule {
    name: "cpu-unbound",
    severity: Severity::Warning,
    text: include_str!("cpu_unbound.rs"),
    check,
};

fn check(scene: &Scene) -> Vec<Broken> {
    // A single node holds everybody.
    if scene.is_single_node() {
        return Vec::new();
    }
    let groups = scene.groups(|audited| audited.cpu.standing == Some(Standing::Loose));
    let broken = groups.into_iter().map(|group| {
        let allowed = group.iter().flat_map(|audited| &audited.cpu.affinity_nodes);
        let allowed: NodeSet = allowed.copied().collect();
        let spent = Spent::of(scene, &group, |of, node| !is_off(of, node));
        let told = spent.as_ref().map(|spent| spent.told(&group, "there"));
        let mut facts = Evidence::from([
            ("home_nodes", Value::Nodes(group[0].home_nodes.clone())),
            ("affinity_nodes", Value::Nodes(allowed.clone())),
        ]);
        facts.extend(evidence(spent.as_ref()));
        Broken::by(
            &group,
            format!(
                "{} {} there by chance: nothing holds {} there, {} are allowed{}",
                subject(&group),
                each(&group, "is", "are"),
                each(&group, "it", "them"),
                on_nodes(&allowed),
                in_brackets(told),
            ),
            facts,
            bind(scene, &group),
        )
    });
    broken.collect()
}
