//! What the rules say of CPU time, where processes were watched for a while.

use std::time::Duration;

use crate::audit::PlacedProcess;
use crate::audit::finding::{Evidence, Value};
use crate::audit::rules::context::RuleContext;
use crate::audit::rules::words::each;
use crate::units::{NodeId, length, percent_of_time};

/// CPU time that a group of processes spent on some nodes.
pub(crate) struct Spent {
    /// In how long.
    over: Duration,
    here: Duration,
    all: Duration,
    migrations: u64,
}

impl Spent {
    /// That of the nodes for which `is_here` holds. `None` where none of the group used CPU time, and where nobody looked for
    /// longer than a moment.
    pub fn of(
        context: &RuleContext,
        group: &[&PlacedProcess],
        is_here: impl Fn(&PlacedProcess, NodeId) -> bool,
    ) -> Option<Self> {
        let mut spent = Self {
            over: context.window?.length,
            here: Duration::ZERO,
            all: Duration::ZERO,
            migrations: 0,
        };
        for audited in group {
            if let (Some(time), Some(watched)) = (audited.cpu_time(), &audited.watched) {
                let here = time.on(|node| is_here(audited, node));
                spent.here = spent.here.saturating_add(here);
                spent.all = spent.all.saturating_add(time.total());
                spent.migrations = spent.migrations.saturating_add(watched.migrations);
            }
        }
        (!spent.all.is_zero()).then_some(spent)
    }

    /// `spent 83% of its CPU time there in 10 s and moved between nodes 14 times`
    pub fn told(&self, group: &[&PlacedProcess], place: &str) -> String {
        let moved = match self.migrations {
            0 => String::new(),
            1 => " and moved between nodes once".to_owned(),
            times => format!(" and moved between nodes {times} times"),
        };
        format!(
            "spent {} of {} CPU time {place} in {}{moved}",
            percent_of_time(self.here, self.all),
            each(group, "its", "their"),
            length(self.over),
        )
    }

    /// The same as facts.
    pub fn evidence(&self) -> Evidence {
        let share = self.here.as_nanos() as f64 / self.all.as_nanos() as f64;
        let migrations = usize::try_from(self.migrations).unwrap_or(usize::MAX);
        Evidence::from([
            ("cpu_time_share", Value::Share(share)),
            ("migrations", Value::Count(migrations)),
        ])
    }
}

/// The facts of what was spent, if anything was.
pub(crate) fn evidence(spent: Option<&Spent>) -> Evidence {
    spent.map(Spent::evidence).unwrap_or_default()
}

/// ` (spent …)`, or nothing.
pub(crate) fn in_brackets(told: Option<String>) -> String {
    told.map_or(String::new(), |told| format!(" ({told})"))
}
