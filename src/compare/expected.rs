//! Holds a machine against what it must equal: another audit, or a topology file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::audit::place::verdict::Verdict;
use crate::compare::pairs::pairs;
use crate::compare::{machine, processes, verdict};
use crate::document::outline::{Expected, Outline, ProcessOutline};
use crate::machine::gap::{Fact, Gap, Reason};
use crate::machine::topology::PciNodes;
use crate::units::{NodeSet, Pid, node_list, ranges};

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unexpected {
    /// The GPUs that it is about, by index.
    pub gpus: Vec<u32>,
    /// The processes that are not as their like.
    pub pids: Vec<Pid>,
    /// What these are; `None` for the machine.
    pub whose: Option<String>,
    /// What of it, one at least.
    pub differences: Vec<Difference>,
}

/// One thing that is another than it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// What.
    pub what: String,
    /// What it must be.
    pub expected: String,
    /// What it is.
    pub found: String,
}

impl fmt::Display for Unexpected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(who) = &self.whose {
            write!(f, "{who}: ")?;
        }
        f.write_str(&words(&self.differences))
    }
}

fn words(differences: &[Difference]) -> String {
    let told = differences.iter().map(|of| {
        let Difference {
            what,
            expected,
            found,
        } = of;
        format!("{what}: {expected} expected, {found} found")
    });
    told.collect::<Vec<_>>().join("; ")
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// What is not as it must be.
    pub unexpected: Vec<Unexpected>,
    /// What the file tells and is not known here.
    pub unknown: Vec<Gap>,
}

/// Holds `found` against `expected`. No process is missed where only some were asked for (`is_partial`); where some may
/// be hidden (`is_open`), it is not known whether one is missing.
pub(crate) fn hold(expected: &Expected, found: &Outline, is_partial: bool, is_open: bool) -> Held {
    let mut held = Held::default();
    match expected {
        Expected::Audit(expected) => {
            machine(expected, found, &mut held);
            processes(expected, found, is_partial, is_open, &mut held);
        }
        Expected::Places(places) => homes(places, found, &mut held),
    }
    held
}

impl Held {
    fn differs(&mut self, gpu: Option<u32>, what: String, expected: String, found: String) {
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

    fn is_unknown(&mut self, what: String) {
        self.unknown.push(Gap {
            pid: None,
            fact: Fact::Expected(what),
            reason: Reason::Failed("it is not known here".to_owned()),
        });
    }
}

fn machine(expected: &Outline, found: &Outline, held: &mut Held) {
    let shape = machine::changes(expected, found).into_iter();
    for change in shape.filter(|change| !change.is_identity) {
        match (change.before, change.after) {
            (Some(expected), Some(found)) => {
                held.differs(change.gpu, change.what, expected, found);
            }
            (Some(_), None) => held.is_unknown(change.what),
            (None, _) => {}
        }
    }
}

fn homes(places: &PciNodes, found: &Outline, held: &mut Held) {
    for gpu in &found.gpus {
        let what = format!("home node of GPU {}", gpu.index);
        let Some(expected) = gpu.address.and_then(|address| places.get(&address)) else {
            held.unknown.push(Gap {
                pid: None,
                fact: Fact::Expected(what),
                reason: Reason::Failed("the file does not place it".to_owned()),
            });
            continue;
        };
        if gpu.home_nodes.is_empty() {
            held.is_unknown(what);
        } else if !gpu.home_nodes.is_subset(expected) {
            let found = node_list(&gpu.home_nodes);
            held.differs(Some(gpu.index), what, node_list(expected), found);
        }
    }
}

/// What is compared of two like processes, by name; `None` for what is not known.
fn facts(of: &ProcessOutline) -> [(&'static str, Option<String>); 4] {
    let nodes = |nodes: &NodeSet| (!nodes.is_empty()).then(|| node_list(nodes));
    let policy = || match (of.memory.policy.as_deref()?, &of.memory.policy_nodes) {
        (mode @ ("default" | "local"), _) => Some(mode.to_owned()),
        (mode, nodes) => Some(format!("{mode} {}", node_list(nodes.as_ref()?))),
    };
    let bound = |bound| if bound { "bound" } else { "not bound" };
    [
        ("GPU node", nodes(&of.home_nodes)),
        ("CPU nodes", nodes(&of.cpu.affinity_nodes)),
        ("binding", of.cpu.bound.map(|is| bound(is).to_owned())),
        ("memory policy", policy()),
    ]
}

fn processes(
    expected: &Outline,
    found: &Outline,
    is_partial: bool,
    is_open: bool,
    held: &mut Held,
) {
    let pairs = pairs(expected, found);
    let changes = processes::changes(&pairs, expected);
    let is_job = |of: &ProcessOutline| matches!(of.role.as_deref(), Some("trainer" | "worker"));
    // What is the same of several is said once.
    let mut like: BTreeMap<[String; 2], Unexpected> = BTreeMap::new();
    let mut unknown = BTreeSet::new();
    // Of like ones, such as a rank's workers, some may come and go.
    let mut is_there: BTreeMap<String, bool> = BTreeMap::new();
    for change in &changes {
        let Some(wanted) = change.before.filter(|of| is_job(of)) else {
            continue;
        };
        let who = who(wanted, change.rank);
        *is_there.entry(who.clone()).or_default() |= change.after.is_some();
        let Some(is) = change.after else { continue };
        let mut differences = Vec::new();
        for (what, wanted, found) in compared(wanted, is) {
            match found {
                Some(found) => differences.push(Difference {
                    what: what.to_owned(),
                    expected: wanted,
                    found,
                }),
                None => drop(unknown.insert(format!("{what} of the {who}"))),
            }
        }
        if !differences.is_empty() {
            let key = [who.clone(), words(&differences)];
            let unexpected = like.entry(key).or_insert_with(|| Unexpected {
                gpus: Vec::new(),
                pids: Vec::new(),
                whose: Some(who),
                differences,
            });
            unexpected.gpus.extend(&is.gpus);
            unexpected.pids.push(is.pid);
        }
    }
    for mut unexpected in like.into_values() {
        unexpected.gpus.sort_unstable();
        unexpected.gpus.dedup();
        held.unexpected.push(unexpected);
    }
    let missing = is_there.into_iter().filter(|(_, is_there)| !is_there);
    for (who, _) in missing.filter(|_| !is_partial) {
        if is_open {
            unknown.insert(who);
        } else {
            held.differs(None, who, "some".to_owned(), "none".to_owned());
        }
    }
    unknown.into_iter().for_each(|what| held.is_unknown(what));
}

/// What differs of two like processes: what it is, what it must be and what it is here, `None` where that is not known.
fn compared(
    wanted: &ProcessOutline,
    is: &ProcessOutline,
) -> Vec<(&'static str, String, Option<String>)> {
    let facts = facts(wanted).into_iter().zip(facts(is));
    let differing = facts.filter_map(|((what, wanted), (_, found))| {
        let wanted = wanted?;
        (found.as_ref() != Some(&wanted)).then_some((what, wanted, found))
    });
    let mut differing: Vec<_> = differing.collect();
    let verdicts = (
        verdict(wanted.verdict.as_ref()),
        verdict(is.verdict.as_ref()),
    );
    if let (Some(wanted), Some(found)) = verdicts
        && found > wanted
    {
        let known = Some(found.to_string()).filter(|_| found != Verdict::Unknown);
        differing.push(("verdict", wanted.to_string(), known));
    }
    differing
}

/// `trainer of rank 3`, `workers of rank 3`, `trainer on GPU 0`.
fn who(of: &ProcessOutline, rank: Option<u32>) -> String {
    let word = match of.role.as_deref() {
        Some("worker") => "workers",
        _ => "trainer",
    };
    match rank {
        Some(rank) => format!("{word} of rank {rank}"),
        None => format!("{word} on GPU {}", ranges(of.gpus.iter().copied())),
    }
}
