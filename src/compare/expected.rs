//! Compares a machine with what it must equal: another audit or map, or a topology file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::compare::pairs::pairs;
use crate::compare::{ProcessChange, known_nodes, machine, planned, processes, verdict};
use crate::document::{Document, Expected, GapEntry, GpuEntry, PciPlace, ProcessEntry};
use crate::units::{Pid, node_list, ranges};
use crate::words::{GapKind, Role, Verdict};

/// Something that is not as expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unexpected {
    /// The GPUs that it is about, by index.
    pub(crate) gpus: Vec<u32>,
    /// The processes that differ from the matching ones.
    pub(crate) pids: Vec<Pid>,
    /// What these processes are; `None` for the machine.
    pub(crate) whose: Option<String>,
    /// At least one.
    pub(crate) differences: Vec<Difference>,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// What differs.
    pub(crate) what: String,
    /// What it must be.
    pub(crate) expected: String,
    /// What it is.
    pub(crate) found: String,
}

impl fmt::Display for Unexpected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(whose) = &self.whose {
            write!(f, "{whose}: ")?;
        }
        f.write_str(&listed(&self.differences))
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            what,
            expected,
            found,
        } = self;
        write!(f, "{what}: {expected} expected, {found} found")
    }
}

fn listed(differences: &[Difference]) -> String {
    let differences: Vec<String> = differences.iter().map(ToString::to_string).collect();
    differences.join("; ")
}

/// The result.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// What differs.
    pub(crate) unexpected: Vec<Unexpected>,
    /// What is expected and unknown here.
    pub(crate) unknown: Vec<GapEntry>,
}

/// Compares `found` with what is expected. Where only some processes were asked for (`is_partial`), none is missing; where
/// processes may be hidden (`is_open`), it is unknown whether one is missing.
pub(crate) fn compare(
    expected: &Expected,
    found: &Document,
    is_partial: bool,
    is_open: bool,
) -> Comparison {
    let mut comparison = Comparison::default();
    match expected {
        Expected::Audit(expected) => {
            comparison.machine(expected, found);
            if found.processes.is_some() {
                comparison.processes(expected, found, is_partial, is_open);
            }
        }
        Expected::Plan(plan) => return planned::compare(plan, found, is_partial, is_open),
        Expected::PciNodes(places) => {
            for gpu in &found.topology.gpus {
                let expected = gpu.pci_bus_id.and_then(|address| places.get(&address));
                comparison.home(expected, gpu);
            }
        }
    }
    comparison
}

impl Comparison {
    pub(super) fn differs(
        &mut self,
        gpu: Option<u32>,
        what: String,
        expected: String,
        found: String,
    ) {
        self.unexpected.push(Unexpected {
            gpus: gpu.into_iter().collect(),
            pids: Vec::new(),
            whose: None,
            differences: vec![Difference {
                what,
                expected,
                found,
            }],
        });
    }

    pub(super) fn is_unknown(&mut self, what: &str, why: &str) {
        self.unknown.push(GapEntry {
            what: format!("whether the {what} is as expected"),
            kind: GapKind::Expectation.into(),
            reason: why.to_owned(),
            leaves_open: true,
            ..GapEntry::default()
        });
    }

    fn machine(&mut self, expected: &Document, found: &Document) {
        let changes = machine::changes(expected, found).into_iter();
        for change in changes.filter(|change| !change.is_identity) {
            match (change.before, change.after) {
                (Some(expected), Some(found)) => {
                    self.differs(change.gpu, change.what, expected, found);
                }
                (Some(_), None) => self.is_unknown(&change.what, UNKNOWN_HERE),
                (None, _) => {}
            }
        }
    }

    fn home(&mut self, expected: Option<&PciPlace>, gpu: &GpuEntry) {
        let what = format!("home node of GPU {}", gpu.index);
        match expected {
            None => self.is_unknown(&what, "the file does not place it"),
            Some(PciPlace::Contradictory(_)) => {
                self.is_unknown(&what, "the file places it differently in several places");
            }
            Some(_) if gpu.home_nodes.is_empty() => self.is_unknown(&what, UNKNOWN_HERE),
            Some(PciPlace::Near(expected)) if gpu.home_nodes.is_subset(expected) => {}
            Some(PciPlace::Near(expected)) => {
                let (expected, found) = (node_list(expected), node_list(&gpu.home_nodes));
                self.differs(Some(gpu.index), what, expected, found);
            }
        }
    }

    fn processes(
        &mut self,
        expected: &Document,
        found: &Document,
        is_partial: bool,
        is_open: bool,
    ) {
        let pairs = pairs(expected, found);
        let mut groups = Groups::default();
        for change in processes::changes(&pairs, expected) {
            groups.add(&change);
        }
        self.unexpected.extend(groups.unexpected.into_values());
        let mut unknown = groups.unknown;
        let missing = groups.exists.into_iter().filter(|(_, exists)| !exists);
        for (whose, _) in missing.filter(|_| !is_partial) {
            if is_open {
                unknown.insert(whose);
            } else {
                self.differs(None, whose, "some".to_owned(), "none".to_owned());
            }
        }
        for what in unknown {
            self.is_unknown(&what, UNKNOWN_HERE);
        }
    }
}

const UNKNOWN_HERE: &str = "it is unknown here";

/// Processes with the same name and the same differences.
#[derive(Default)]
struct Groups {
    unexpected: BTreeMap<[String; 2], Unexpected>,
    unknown: BTreeSet<String>,
    /// Whether any exists: single workers of a rank may come and go.
    exists: BTreeMap<String, bool>,
}

impl Groups {
    fn add(&mut self, change: &ProcessChange) {
        let Some(wanted) = change.before.filter(|of| of.is_of_job()) else {
            return;
        };
        let whose = whose(wanted, change.rank);
        *self.exists.entry(whose.clone()).or_default() |= change.after.is_some();
        let Some(is) = change.after else { return };
        let mut differences = Vec::new();
        for (what, expected, found) in compared(wanted, is) {
            match found {
                Some(found) => differences.push(Difference {
                    what: what.to_owned(),
                    expected,
                    found,
                }),
                None => drop(self.unknown.insert(format!("{what} of the {whose}"))),
            }
        }
        if !differences.is_empty() {
            self.differ(whose, differences, is);
        }
    }

    fn differ(&mut self, whose: String, differences: Vec<Difference>, is: &ProcessEntry) {
        let key = [whose.clone(), listed(&differences)];
        let unexpected = self.unexpected.entry(key).or_insert_with(|| Unexpected {
            gpus: Vec::new(),
            pids: Vec::new(),
            whose: Some(whose),
            differences,
        });
        unexpected.pids.push(is.pid);
        unexpected.gpus.extend(&is.gpus);
        unexpected.gpus.sort_unstable();
        unexpected.gpus.dedup();
    }
}

/// What is compared of two matching processes, by name; `None` for what is unknown.
fn facts(of: &ProcessEntry) -> [(&'static str, Option<String>); 4] {
    let policy = || match (of.memory.policy.as_deref()?, &of.memory.policy_nodes) {
        (mode @ ("default" | "local"), _) => Some(mode.to_owned()),
        (mode, nodes) => Some(format!("{mode} {}", node_list(nodes.as_ref()?))),
    };
    let binding = |is_bound| if is_bound { "bound" } else { "not bound" };
    [
        ("GPU node", known_nodes(&of.home_nodes)),
        ("CPU nodes", known_nodes(&of.cpu.affinity_nodes)),
        ("binding", of.cpu.bound.map(|is| binding(is).to_owned())),
        ("memory policy", policy()),
    ]
}

/// What differs between two matching processes: what it is, what it must be, and what it is here, `None` where that is
/// unknown.
fn compared(
    wanted: &ProcessEntry,
    is: &ProcessEntry,
) -> Vec<(&'static str, String, Option<String>)> {
    let facts = facts(wanted).into_iter().zip(facts(is));
    let differing = facts.filter_map(|((what, wanted), (_, found))| {
        let wanted = wanted?;
        (found.as_ref() != Some(&wanted)).then_some((what, wanted, found))
    });
    let mut differing: Vec<_> = differing.collect();
    let verdict_of = |of: &ProcessEntry| verdict(of.verdict.as_ref());
    if let (Some(wanted), Some(found)) = (verdict_of(wanted), verdict_of(is))
        && found > wanted
    {
        let known = Some(found.to_string()).filter(|_| found != Verdict::Unknown);
        differing.push(("verdict", wanted.to_string(), known));
    }
    differing
}

/// `trainer of rank 3`, `workers of rank 3`, `trainer on GPU 0`.
fn whose(of: &ProcessEntry, rank: Option<u32>) -> String {
    let word = if of.is(Role::Worker) {
        "workers"
    } else {
        "trainer"
    };
    match rank {
        Some(rank) => format!("{word} of rank {rank}"),
        None => format!("{word} on GPU {}", ranges(of.gpus.iter().copied())),
    }
}
