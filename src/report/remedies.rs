//! The remedies alone, as a shell script with comments.

use std::collections::{BTreeMap, BTreeSet};

use super::terminal::harmless;
use crate::audit::Report;
use crate::audit::attribution::Role;
use crate::model::cpus::ranges;
use crate::model::topology::{NodeSet, node_list};

/// A script that does for the processes of this report what can be done while they run, and says in comments what has to
/// be done at their next start.
pub fn remedies(report: &Report) -> String {
    let host = &report.host;
    let name = host
        .hostname
        .as_deref()
        .map_or("this machine".to_owned(), harmless);
    let when = host
        .recorded_at
        .as_deref()
        .map_or(String::new(), |when| format!(", {}", harmless(when)));
    let mut out = format!(
        "#!/bin/sh\n# numa-audit's remedies for {name}{when}. Nothing of this was run.\n\
         # Process numbers are of that moment: do not run it later.\n"
    );
    let mut said = BTreeSet::new();
    for finding in &report.findings {
        let remedy = &finding.remedy;
        out += &format!(
            "\n# {}[{}]: {}\n",
            finding.severity,
            finding.rule,
            harmless(&finding.message)
        );
        out += &format!("# to mend it: {}\n", harmless(&remedy.words));
        if !remedy.but.is_empty() {
            out += &format!("# but: {}\n", harmless(&remedy.but));
        }
        for command in remedy
            .commands
            .iter()
            .filter(|command| said.insert(*command))
        {
            out += &format!("{}\n", harmless(command));
        }
    }
    out + &rank_table(report)
}

/// A script to put between a launcher and its ranks, as numactl around the launcher would bind all to one node. Empty
/// where the ranks that are there belong on one node, or have no number.
fn rank_table(report: &Report) -> String {
    let trainers = report
        .processes
        .iter()
        .filter(|of| of.part.role == Some(Role::Trainer));
    let mut by_nodes: BTreeMap<&NodeSet, Vec<u32>> = BTreeMap::new();
    for trainer in trainers {
        let environment = trainer.process.environment.as_ref();
        let rank = environment.and_then(|environment| environment.local_rank);
        if let Some(rank) = rank.filter(|_| !trainer.local_nodes.is_empty()) {
            by_nodes.entry(&trainer.local_nodes).or_default().push(rank);
        }
    }
    if by_nodes.len() < 2 {
        return String::new();
    }
    let mut out = "\n# At the next start, as a script between the launcher and each rank (torchrun --no-python ./bind.sh python3 …):\n\
                   #   case $LOCAL_RANK in\n"
        .to_owned();
    for (nodes, mut ranks) in by_nodes {
        ranks.sort_unstable();
        ranks.dedup();
        let pattern: Vec<String> = ranks.iter().map(ToString::to_string).collect();
        out += &format!(
            "#   {}) nodes={} ;; # ranks {}\n",
            pattern.join("|"),
            node_list(nodes),
            ranges(ranks)
        );
    }
    out + "#   esac\n#   exec numactl --cpunodebind=$nodes --membind=$nodes \"$@\"\n"
}
