//! All fixes as a shell script with comments.

use std::collections::{BTreeMap, BTreeSet};

use crate::document::{Document, ProcessEntry};
use crate::print::harmless;
use crate::units::{NodeSet, node_list, ranges};
use crate::words::{ObstacleKind, Role};

/// A script that fixes what can be fixed while the processes run. Its comments say what has to change at their next start.
pub(crate) fn remedies(document: &Document) -> String {
    let host = &document.host;
    let name = host.hostname.as_deref();
    let name = name.map_or("this machine".to_owned(), harmless);
    let when = host.recorded_at.as_deref();
    let when = when.map_or(String::new(), |when| format!(", {}", harmless(when)));
    let mut out = format!(
        "#!/bin/sh\n# Fixes by numa-audit for {name}{when}. None of these commands was run.\n\
         # The PIDs are of that moment: do not run this script later.\n"
    );
    let mut printed = BTreeSet::new();
    for finding in &document.findings {
        let (severity, rule) = (finding.severity.as_str(), &finding.rule);
        let mark = harmless(&format!("{severity}[{rule}]"));
        out += &format!("\n# {mark}: {}\n", harmless(&finding.message));
        out += &format!("# fix: {}\n", harmless(finding.fix()));
        if let Some(note) = &finding.note {
            out += &format!("# note: {}\n", harmless(note));
        }
        let commands = finding.commands.iter();
        for command in commands.filter(|command| printed.insert(*command)) {
            out += &format!("{}\n", harmless(command));
        }
    }
    out + &rank_tables(document)
}

/// A script to put between a launcher and its ranks, for each job whose ranks belong on several nodes: numactl around the
/// launcher would bind all ranks to one node.
fn rank_tables(document: &Document) -> String {
    let mut jobs: BTreeMap<u32, Vec<&ProcessEntry>> = BTreeMap::new();
    for process in document.processes() {
        let group = process.job_group.filter(|_| process.is(Role::Trainer));
        if let Some(group) = group.filter(|_| !process.local_nodes.is_empty()) {
            jobs.entry(group).or_default().push(process);
        }
    }
    let tables = jobs.into_values().filter_map(|ranks| {
        // torchrun's --virtual-local-rank has 0 in all.
        let by_local_rank = || {
            let variable = variable(&ranks, |of| of.local_rank_source.as_deref(), "LOCAL_RANK")?;
            Some((variable, places(&ranks, |of| of.local_rank)?))
        };
        let by_rank = || {
            let variable = variable(&ranks, |of| of.rank_source.as_deref(), "RANK")?;
            Some((variable, places(&ranks, |of| of.rank)?))
        };
        let (variable, places) = by_local_rank().or_else(by_rank)?;
        Some(table(variable, &places))
    });
    tables.collect()
}

/// The variable that has the ranks; `usual` in a document of a version that did not say it. `None` where several variables
/// have them, and where a name is not one that a shell can read.
fn variable<'a>(
    ranks: &[&'a ProcessEntry],
    source: fn(&ProcessEntry) -> Option<&str>,
    usual: &'static str,
) -> Option<&'a str> {
    let names: BTreeSet<&str> = ranks.iter().map(|of| source(of).unwrap_or(usual)).collect();
    let is_variable = |name: &&str| {
        let mut letters = name.bytes();
        letters
            .all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == b'_')
    };
    let name = names.first().copied().filter(is_variable)?;
    (names.len() == 1).then_some(name)
}

/// Where a rank should be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct RankPlace<'a> {
    nodes: &'a NodeSet,
    /// `None` where its memory should not be bound.
    memory: Option<&'a NodeSet>,
}

impl<'a> RankPlace<'a> {
    fn of(rank: &'a ProcessEntry) -> Self {
        let Some(target) = &rank.target else {
            // A document of a version that had no targets.
            let nodes = &rank.local_nodes;
            return Self {
                nodes,
                memory: Some(nodes),
            };
        };
        // A strict policy would end in swap, or undo the choice of HBM.
        let forbids = [ObstacleKind::FreeMemory, ObstacleKind::ChosenMemory];
        let mut kinds = target.obstacles.iter().map(|obstacle| &obstacle.kind);
        let is_forbidden = kinds.any(|kind| forbids.iter().any(|of| kind == of));
        let is_known = !is_forbidden && !target.memory_nodes.is_empty();
        Self {
            nodes: &rank.local_nodes,
            memory: is_known.then_some(&target.memory_nodes),
        }
    }
}

/// The place of each rank by its number. `None` where one number stands for several places, and where all ranks belong in the
/// same place.
fn places<'a>(
    ranks: &[&'a ProcessEntry],
    number: fn(&ProcessEntry) -> Option<u32>,
) -> Option<BTreeMap<u32, RankPlace<'a>>> {
    let mut places = BTreeMap::new();
    for process in ranks {
        let place = RankPlace::of(process);
        let before = places.insert(number(process)?, place);
        if before.is_some_and(|before| before != place) {
            return None;
        }
    }
    let apart: BTreeSet<&NodeSet> = places.values().map(|place| place.nodes).collect();
    (apart.len() > 1).then_some(places)
}

fn table(variable: &str, places: &BTreeMap<u32, RankPlace>) -> String {
    let mut by_place: BTreeMap<RankPlace, Vec<u32>> = BTreeMap::new();
    for (rank, place) in places {
        by_place.entry(*place).or_default().push(*rank);
    }
    let is_bound = places.values().all(|place| place.memory.is_some());
    let is_elsewhere = |place: &RankPlace| place.memory.is_some_and(|memory| memory != place.nodes);
    let has_other_memory = is_bound && places.values().any(is_elsewhere);
    let mut out = format!(
        "\n# At the next start, as a script between the launcher and each rank (torchrun --no-python ./bind.sh python3 …):\n\
         #   #!/bin/sh\n#   case ${variable} in\n"
    );
    for (place, ranks) in by_place {
        let memory = place.memory.filter(|_| has_other_memory);
        let memory = memory.map(|nodes| format!(" memory={}", node_list(nodes)));
        let pattern: Vec<String> = ranks.iter().map(ToString::to_string).collect();
        out += &format!(
            "#   {}) nodes={}{} ;; # ranks {}\n",
            pattern.join("|"),
            node_list(place.nodes),
            memory.unwrap_or_default(),
            ranges(ranks)
        );
    }
    let policy = match (is_bound, has_other_memory) {
        (false, _) => "",
        (true, false) => " --membind=\"$nodes\"",
        (true, true) => " --membind=\"$memory\"",
    };
    out += &format!(
        "#   *) exec \"$@\" ;; # a rank that did not exist in this audit\n\
         #   esac\n\
         #   exec numactl --cpunodebind=\"$nodes\"{policy} \"$@\"\n"
    );
    out
}
