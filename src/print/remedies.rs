//! The remedies alone, as a shell script with comments.

use std::collections::{BTreeMap, BTreeSet};

use crate::audit::Report;
use crate::jobs::attribution::Role;
use crate::machine::environment::Environment;
use crate::print::terminal::harmless;
use crate::units::{NodeSet, node_list, ranges};

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

/// A script to put between a launcher and its ranks, as numactl around the launcher would bind all to one node: one for
/// each job whose ranks belong on several nodes.
fn rank_table(report: &Report) -> String {
    let trainers = report
        .processes
        .iter()
        .filter(|of| of.membership.role == Some(Role::Trainer));
    let mut jobs: BTreeMap<_, Vec<(&Environment, &NodeSet)>> = BTreeMap::new();
    for trainer in trainers {
        let environment = trainer.process.environment.as_ref();
        if let Some(environment) = environment.filter(|_| !trainer.local_nodes.is_empty()) {
            let met = (&environment.run_id, environment.master_port);
            // Another user may claim any rank of any job.
            let uid = trainer.process.uid;
            let job = (met, &trainer.job, &trainer.container, uid);
            let ranks = jobs.entry(job).or_default();
            ranks.push((environment, &trainer.local_nodes));
        }
    }
    let tables = jobs.into_values().filter_map(|ranks| {
        // torchrun's --virtual-local-rank has 0 in all.
        let by_local_rank = places(&ranks, |of| of.local_rank).map(|places| ("LOCAL_RANK", places));
        let by_rank = || Some(("RANK", places(&ranks, |of| of.rank)?));
        let (variable, places) = by_local_rank.or_else(by_rank)?;
        Some(table(variable, &places))
    });
    tables.collect()
}

/// The nodes of each rank, by the number that it has. `None` where one number means several places, and where all belong
/// on the same nodes.
fn places<'a>(
    ranks: &[(&Environment, &'a NodeSet)],
    number: fn(&Environment) -> Option<u32>,
) -> Option<BTreeMap<u32, &'a NodeSet>> {
    let mut places = BTreeMap::new();
    for (environment, nodes) in ranks {
        let rank = number(environment)?;
        let before = places.insert(rank, *nodes);
        if before.is_some_and(|before| before != *nodes) {
            return None;
        }
    }
    let apart: BTreeSet<&NodeSet> = places.values().copied().collect();
    (apart.len() > 1).then_some(places)
}

fn table(variable: &str, places: &BTreeMap<u32, &NodeSet>) -> String {
    let mut by_nodes: BTreeMap<&NodeSet, Vec<u32>> = BTreeMap::new();
    for (rank, nodes) in places {
        by_nodes.entry(nodes).or_default().push(*rank);
    }
    let mut out = format!(
        "\n# At the next start, as a script between the launcher and each rank (torchrun --no-python ./bind.sh python3 …):\n\
         #   #!/bin/sh\n#   case ${variable} in\n"
    );
    for (nodes, ranks) in by_nodes {
        let pattern: Vec<String> = ranks.iter().map(ToString::to_string).collect();
        out += &format!(
            "#   {}) nodes={} ;; # ranks {}\n",
            pattern.join("|"),
            node_list(nodes),
            ranges(ranks)
        );
    }
    out + "#   *) exec \"$@\" ;; # a rank that was not here\n\
           #   esac\n\
           #   exec numactl --cpunodebind=\"$nodes\" --membind=\"$nodes\" \"$@\"\n"
}
