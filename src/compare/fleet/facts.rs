//! The facts of a machine that should be the same on all machines of its kind.

use std::collections::BTreeMap;

use crate::compare::fleet::reduced::short;
use crate::compare::known_nodes;
use crate::compare::machine::{cpus, distances};
use crate::document::{Document, GpuEntry, NodeEntry};
use crate::units::{Bytes, ranges};

/// Nodes and GPUs that are compared one by one. Of a machine with more of them the rest is one fact.
const MOST: usize = 64;

/// A fact.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fact {
    /// It is the same or it is not.
    Text(String),
    /// Sizes that differ by little are the same.
    Size(Bytes),
}

/// What is known of a machine, by name.
pub(super) fn facts(document: &Document) -> BTreeMap<String, Fact> {
    let mut facts = Facts::default();
    facts.text("Linux", document.host.kernel.clone());
    facts.text("NVIDIA driver", document.host.driver_version.clone());
    let text = |value: Option<u32>| value.map(|value| value.to_string());
    let settings = &document.settings;
    facts.text("kernel.numa_balancing", text(settings.numa_balancing));
    facts.text("vm.zone_reclaim_mode", text(settings.zone_reclaim_mode));
    let (nodes, gpus) = (&document.topology.nodes, &document.topology.gpus);
    let ids = ranges(nodes.iter().map(|node| node.id.0));
    facts.text("NUMA nodes", Some(ids).filter(|ids| !ids.is_empty()));
    facts.text("number of GPUs", Some(gpus.len().to_string()));
    nodes.iter().take(MOST).for_each(|node| facts.node(node));
    gpus.iter().take(MOST).for_each(|gpu| facts.gpu(gpu));
    facts.rest("further nodes", nodes);
    facts.rest("further GPUs", gpus);
    facts.0
}

#[derive(Default)]
struct Facts(BTreeMap<String, Fact>);

impl Facts {
    fn text(&mut self, what: &str, value: Option<String>) {
        if let Some(value) = value {
            self.0.insert(what.to_owned(), Fact::Text(short(&value)));
        }
    }

    fn node(&mut self, node: &NodeEntry) {
        let id = node.id;
        self.text(&format!("CPUs of node {id}"), cpus(node));
        self.text(&format!("distances of node {id}"), distances(node));
        if let Some(size) = node.memory_total_bytes {
            let what = format!("memory of node {id}");
            self.0.insert(what, Fact::Size(size));
        }
    }

    fn gpu(&mut self, gpu: &GpuEntry) {
        let index = gpu.index;
        let address = gpu.pci_bus_id.map(|address| address.to_string());
        self.text(
            &format!("home node of GPU {index}"),
            known_nodes(&gpu.home_nodes),
        );
        self.text(&format!("name of GPU {index}"), gpu.name.clone());
        self.text(&format!("PCI address of GPU {index}"), address);
    }

    /// The entries behind the first ones: their facts as one text, of which [`short`] leaves a hash.
    fn rest<T: FactsOf>(&mut self, what: &str, entries: &[T]) {
        if entries.len() > MOST {
            let mut rest = Self::default();
            entries[MOST..]
                .iter()
                .for_each(|entry| entry.put(&mut rest));
            let is_text = |fact: &Fact| matches!(fact, Fact::Text(_));
            rest.0.retain(|_, fact| is_text(fact));
            self.text(what, Some(format!("{:?}", rest.0)));
        }
    }
}

trait FactsOf {
    fn put(&self, facts: &mut Facts);
}

impl FactsOf for NodeEntry {
    fn put(&self, facts: &mut Facts) {
        facts.node(self);
    }
}

impl FactsOf for GpuEntry {
    fn put(&self, facts: &mut Facts) {
        facts.gpu(self);
    }
}
