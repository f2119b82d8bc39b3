//! Processes that run off their local nodes, in words and as facts.

use crate::audit::PlacedProcess;
use crate::audit::finding::{Evidence, Value};
use crate::audit::rules::context::{RuleContext, is_bound_off, is_off, off_nodes_of_all};
use crate::audit::rules::spent;
use crate::audit::rules::spent::Spent;
use crate::audit::rules::words::held;
use crate::units::NodeSet;

/// Of a group of processes: where they are off their local nodes, and what holds them there.
pub(crate) struct OffCpus {
    /// Where they are.
    pub nodes: NodeSet,
    /// How many of them are bound there.
    bound: usize,
    spent: Option<Spent>,
}

impl OffCpus {
    pub fn of(context: &RuleContext, group: &[&PlacedProcess]) -> Self {
        Self {
            nodes: off_nodes_of_all(group),
            bound: group.iter().filter(|of| is_bound_off(of)).count(),
            spent: Spent::of(context, group, is_off),
        }
    }

    /// `bound there`, or `last ran there, and nothing holds it there`
    pub fn held(&self, group: &[&PlacedProcess]) -> String {
        let told = self.spent.as_ref().map(|spent| spent.told(group, "there"));
        held(group, told)
    }

    pub fn evidence(&self, group: &[&PlacedProcess]) -> Evidence {
        let mut facts = Evidence::from([
            ("home_nodes", Value::Nodes(group[0].home_nodes.clone())),
            ("cpu_nodes", Value::Nodes(self.nodes.clone())),
            ("bound", Value::Count(self.bound)),
        ]);
        facts.extend(spent::evidence(self.spent.as_ref()));
        facts
    }
}
