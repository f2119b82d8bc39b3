//! Many machines in one view: which are wrong, which of their jobs, and what differs between machines that should be alike.
//!
//! A document is reduced to a small summary ([`reduced`]) and dropped. The order of the documents does not matter.

mod facts;
mod jobs;
mod kinds;
mod reduced;

use std::collections::{BTreeMap, BTreeSet};

use crate::compare::fleet::reduced::Reduced;
use crate::document::{
    Document, FLEET_SCHEMA_VERSION, FleetCounts, FleetDocument, FleetDuplicate, FleetMachine,
    FleetSource, FleetSummary, FleetUnreadable, Tool,
};
use crate::units::natural_order;
use crate::words::Word;

/// No fleet is larger; a machine takes some KiB.
const MOST_MACHINES: usize = 100_000;

/// So much of what cannot be read is named.
const MOST_UNREADABLE: usize = 1000;

/// So many other documents of one machine are named.
const MOST_DUPLICATES: usize = 16;

/// How an audit ends: what its exit code says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Whether it has a mismatch or another error.
    pub(crate) failed: bool,
    /// Whether everything could be judged.
    pub(crate) complete: bool,
}

/// The machines that were read so far.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    machines: BTreeMap<String, Candidates>,
    unreadable: BTreeSet<FleetUnreadable>,
    unreadable_count: usize,
    passed_over: usize,
}

/// The documents of one machine.
#[derive(Debug)]
struct Candidates {
    best: Reduced,
    count: usize,
    /// The first ones by place.
    sources: BTreeSet<FleetSource>,
}

impl Fleet {
    /// Adds a document.
    pub(crate) fn add(&mut self, source: FleetSource, document: &Document, outcome: Outcome) {
        let reduced = Reduced::of(document, &source, outcome);
        let name = reduced.name.clone();
        if !self.machines.contains_key(&name) && self.machines.len() >= MOST_MACHINES {
            return self.add_unreadable(source, "more than 100000 machines".to_owned());
        }
        match self.machines.get_mut(&name) {
            Some(candidates) => candidates.add(source, reduced),
            None => {
                let candidates = Candidates {
                    best: reduced,
                    count: 1,
                    sources: BTreeSet::from([source]),
                };
                self.machines.insert(name, candidates);
            }
        }
    }

    /// Adds something that cannot be read.
    pub(crate) fn add_unreadable(&mut self, source: FleetSource, reason: String) {
        self.unreadable_count += 1;
        self.unreadable.insert(FleetUnreadable { source, reason });
        // The first ones by place, in whatever order they came.
        if self.unreadable.len() > MOST_UNREADABLE {
            self.unreadable.pop_last();
        }
    }

    /// Counts a file that was not read because of its name.
    pub(crate) fn pass_over(&mut self) {
        self.passed_over += 1;
    }

    /// Whether no document could be read.
    pub(crate) fn is_empty(&self) -> bool {
        self.machines.is_empty()
    }

    /// The first of what could not be read.
    pub(crate) fn first_unreadable(&self) -> Option<&FleetUnreadable> {
        self.unreadable.first()
    }

    /// The view of all. `asked` are the hosts that must be there, `None` without a list.
    pub(crate) fn into_document(self, asked: Option<&[String]>) -> FleetDocument {
        let (missing, not_asked_for) = match asked {
            None => (Vec::new(), Vec::new()),
            Some(asked) => self.compared_with(asked),
        };
        let duplicates = self.machines.values().filter_map(Candidates::duplicate);
        let duplicates = duplicates.collect();
        let mut reduced: Vec<Reduced> = self.machines.into_values().map(|of| of.best).collect();
        reduced.sort_by_cached_key(|machine| natural_order(&machine.name));
        let jobs = jobs::jobs(&reduced);
        let kinds = kinds::kinds(&reduced);
        let mut machines: Vec<FleetMachine> =
            reduced.into_iter().map(Reduced::into_machine).collect();
        // A stable order: equal ones stay sorted by name.
        machines.sort_by_key(|of| std::cmp::Reverse(badness(of)));
        let unreadable_count = self.unreadable_count;
        let summary = summary(&machines, &missing, unreadable_count, self.passed_over);
        FleetDocument {
            schema_version: FLEET_SCHEMA_VERSION,
            tool: Tool::this(),
            machines,
            jobs,
            kinds,
            missing,
            not_asked_for,
            duplicates,
            unreadable: self.unreadable.into_iter().collect(),
            summary,
        }
    }

    /// The hosts of the list that are missing, and the machines that are not in it.
    fn compared_with(&self, asked: &[String]) -> (Vec<String>, Vec<String>) {
        let machines = self.machines.values().map(|of| &of.best);
        let mut names: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for machine in machines {
            for called in machine.is_called() {
                names.entry(called).or_default().push(&machine.name);
            }
        }
        let mut missing: Vec<String> = Vec::new();
        let mut found: BTreeSet<&str> = BTreeSet::new();
        for host in asked {
            match names.get(host.as_str()) {
                Some(machines) => found.extend(machines),
                None => missing.push(host.clone()),
            }
        }
        let others = self.machines.keys();
        let others = others.filter(|name| !found.contains(name.as_str()));
        let mut others: Vec<String> = others.cloned().collect();
        for list in [&mut missing, &mut others] {
            list.sort_by_cached_key(|name| natural_order(name));
        }
        (missing, others)
    }
}

impl Candidates {
    fn add(&mut self, source: FleetSource, reduced: Reduced) {
        self.count += 1;
        self.sources.insert(source);
        // One more than are named: the one that counts is left out in the end.
        if self.sources.len() > MOST_DUPLICATES + 1 {
            self.sources.pop_last();
        }
        if reduced.rank() > self.best.rank() {
            self.best = reduced;
        }
    }

    fn duplicate(&self) -> Option<FleetDuplicate> {
        let others = self.sources.iter().filter(|of| **of != self.best.source);
        (self.count > 1).then(|| FleetDuplicate {
            machine: self.best.name.clone(),
            counted: self.best.source.clone(),
            documents: self.count,
            others: others.take(MOST_DUPLICATES).cloned().collect(),
        })
    }
}

/// The greater, the worse.
fn badness(machine: &FleetMachine) -> impl Ord + use<> {
    let verdict = machine.verdict.as_ref().and_then(Word::known);
    let counts = machine.processes.unwrap_or_default();
    (
        machine.failed,
        !machine.complete,
        verdict,
        counts.mismatch,
        counts.unknown,
        counts.at_risk,
    )
}

fn summary(
    machines: &[FleetMachine],
    missing: &[String],
    unreadable: usize,
    passed_over: usize,
) -> FleetSummary {
    let count = |is_meant: fn(&FleetMachine) -> bool| {
        let meant = machines.iter().filter(|of| is_meant(of));
        meant.count()
    };
    let mut processes = FleetCounts::default();
    for counts in machines.iter().filter_map(|of| of.processes) {
        processes.add(counts);
    }
    FleetSummary {
        machines: machines.len(),
        failed: count(|of| of.failed),
        incomplete: count(|of| !of.failed && !of.complete),
        fine: count(|of| !of.failed && of.complete),
        missing: missing.len(),
        unreadable,
        passed_over,
        processes,
        complete: unreadable == 0 && missing.is_empty() && machines.iter().all(|of| of.complete),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// The documents of machines: few hosts and values, so that some are of one host, and some are alike.
    fn documents() -> impl Strategy<Value = Vec<(u64, Value)>> {
        let text = |words: &'static [&'static str]| proptest::sample::select(words);
        let document = (
            text(&["a", "b", "c", "n1", "n10", "n2"]),
            text(&["2026-11-22T07:00:00Z", "2026-11-22T08:00:00Z", "yesterday"]),
            text(&["6.1", "6.8"]),
            text(&["ok", "mismatch", "unknown", "map"]),
            text(&["7", "8"]),
            0u32..4,
        );
        let document = document.prop_map(|(host, time, kernel, verdict, job, rank)| {
            let mut document = json!({
                "schema_version": 1, "host": {"hostname": host, "recorded_at": time, "kernel": kernel},
                "topology": {"nodes": [{"id": 0, "cpus": "0-3", "memory_total_bytes": rank}]},
            });
            if verdict != "map" {
                document["processes"] = json!([{"pid": 1, "role": "trainer", "rank": rank, "job": job, "verdict": verdict}]);
                document["summary"] = json!({"verdict": verdict, "processes": 1, "complete": rank > 0});
            }
            document
        });
        let numbered = |documents: Vec<Value>| (0..).zip(documents).collect();
        proptest::collection::vec(document, 0..12).prop_map(numbered)
    }

    fn view(documents: &[(u64, Value)]) -> FleetDocument {
        let mut fleet = Fleet::default();
        for (line, document) in documents {
            let mut source = FleetSource::file("x".to_owned());
            source.line = Some(*line);
            let document = crate::document::read(document.to_string().as_bytes()).unwrap();
            let outcome = Outcome {
                failed: line % 3 == 0,
                complete: line % 2 == 0,
            };
            fleet.add(source.clone(), &document, outcome);
            fleet.add_unreadable(source, "broken".to_owned());
        }
        fleet.into_document(Some(&["a".to_owned(), "n3".to_owned()]))
    }

    proptest! {
        #[test]
        fn the_order_of_documents_does_not_matter((there, back) in documents().prop_flat_map(|documents| {
            (Just(documents.clone()), Just(documents).prop_shuffle())
        })) {
            prop_assert_eq!(view(&there), view(&back));
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let source = |line| FleetSource {
            line: Some(line),
            ..FleetSource::file("x".to_owned())
        };
        let mut fleet = Fleet::default();
        for line in 0..5000 {
            fleet.add_unreadable(source(line), "broken".to_owned());
        }
        let document = fleet.into_document(None);
        assert_eq!(document.unreadable.len(), MOST_UNREADABLE);
        assert_eq!(document.summary.unreadable, 5000);
        assert_eq!(document.unreadable[999].source, source(999));
    }
}
