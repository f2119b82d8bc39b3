//! The share of CPU time that processes used on some nodes during the window of --for.

use std::time::Duration;

use crate::audit::PlacedProcess;
use crate::audit::finding::{Evidence, Value};
use crate::audit::rules::{Group, RuleContext};
use crate::units::{NodeId, length, percent_of_time};

/// The CPU time of a group of processes: on the counted nodes, and on all.
#[derive(Debug)]
pub(crate) struct CpuTimeShare {
    window: Duration,
    counted: Duration,
    all: Duration,
    migrations: u64,
}

impl CpuTimeShare {
    /// The share on the nodes for which `is_counted` holds. `None` without a window, and if the group used no CPU time.
    pub(crate) fn of(
        context: &RuleContext,
        group: &Group,
        is_counted: impl Fn(&PlacedProcess, NodeId) -> bool,
    ) -> Option<Self> {
        let mut share = Self {
            window: context.machine.window?.length,
            counted: Duration::ZERO,
            all: Duration::ZERO,
            migrations: 0,
        };
        for placed in group.iter() {
            if let (Some(time), Some(watched)) = (placed.cpu_time(), &placed.watched) {
                let counted = time.on(|node| is_counted(placed, node));
                share.counted = share.counted.saturating_add(counted);
                share.all = share.all.saturating_add(time.total());
                share.migrations = share.migrations.saturating_add(watched.migrations);
            }
        }
        (!share.all.is_zero()).then_some(share)
    }

    /// `it spent 83% of its CPU time there in 10 s and moved between nodes 14 times`. `place` is `there` or `elsewhere`.
    pub(crate) fn sentence(&self, group: &Group, place: &str) -> String {
        let moved = match self.migrations {
            0 => String::new(),
            1 => " and moved between nodes once".to_owned(),
            times => format!(" and moved between nodes {times} times"),
        };
        format!(
            "{} spent {} of {} CPU time {place} in {}{moved}",
            group.agree("it", "they"),
            percent_of_time(self.counted, self.all),
            group.agree("its", "their"),
            length(self.window),
        )
    }

    fn facts(&self) -> Evidence {
        let share = self.counted.as_nanos() as f64 / self.all.as_nanos() as f64;
        let migrations = usize::try_from(self.migrations).unwrap_or(usize::MAX);
        Evidence::from([
            ("cpu_time_share", Value::Share(share)),
            ("migrations", Value::Count(migrations)),
        ])
    }
}

/// The evidence; empty without a share.
pub(crate) fn evidence(share: Option<&CpuTimeShare>) -> Evidence {
    share.map(CpuTimeShare::facts).unwrap_or_default()
}
