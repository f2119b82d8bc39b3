//! A process is on its GPU's nodes now, and may run on others: nothing holds it.
//!
//! Why it costs: the scheduler moves it when it likes, and memory that it touches elsewhere stays there.
//!
//! What it cannot know: how often it moves. --for looks for a while, and says where its CPU time went.
//!
//! What to do: bind it, at its start.

use crate::audit::finding::{Evidence, Severity, Value};
use crate::audit::place::cpu::Standing;
use crate::audit::rules::context::is_off;
use crate::audit::rules::remedy::bind;
use crate::audit::rules::spent::{Spent, evidence, in_brackets};
use crate::audit::rules::words::{each, on_nodes, subject};
use crate::audit::rules::{Rule, RuleContext, Violation};
use crate::units::NodeSet;

pub(crate) const RULE: Rule = Rule {
    name: "cpu-unbound",
    severity: Severity::Warning,
    text: include_str!("cpu_unbound.rs"),
    check,
};

fn check(context: &RuleContext) -> Vec<Violation> {
    // A single node holds everybody.
    if context.is_single_node() {
        return Vec::new();
    }
    let groups = context.groups(|audited| audited.cpu.standing == Some(Standing::Loose));
    let broken = groups.into_iter().map(|group| {
        let allowed = group.iter().flat_map(|audited| &audited.cpu.affinity_nodes);
        let allowed: NodeSet = allowed.copied().collect();
        let spent = Spent::of(context, &group, |of, node| !is_off(of, node));
        let told = spent.as_ref().map(|spent| spent.told(&group, "there"));
        let mut facts = Evidence::from([
            ("home_nodes", Value::Nodes(group[0].home_nodes.clone())),
            ("affinity_nodes", Value::Nodes(allowed.clone())),
        ]);
        facts.extend(evidence(spent.as_ref()));
        Violation::by(
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
            bind(context, &group),
        )
    });
    broken.collect()
}
