//! What a rule looks at: a whole machine, judged, and what its processes have to do with each other.

use std::collections::{BTreeMap, BTreeSet};

use crate::audit::place::home::GpuPlace;
use crate::audit::place::verdict::Locality;
use crate::audit::{Limits, PlacedProcess};
use crate::jobs::attribution::Role;
use crate::jobs::process_tree::ProcessTree;
use crate::machine::binding_request::BindingRequest;
use crate::machine::kernel_settings::Settings as KernelSettings;
use crate::machine::topology::Topology;
use crate::machine::window::Window;
use crate::units::{Bytes, NodeId, NodeSet, Pid};

/// A machine as the rules see it.
pub(crate) struct RuleContext<'a> {
    pub processes: &'a [PlacedProcess],
    pub gpus: &'a [GpuPlace],
    pub topology: &'a Topology,
    pub settings: KernelSettings,
    pub window: Option<&'a Window>,
    pub limits: Limits,
    family: ProcessTree,
    by_pid: BTreeMap<Pid, &'a PlacedProcess>,
}

/// Processes that break a rule alike.
pub(crate) type Group<'a> = Vec<&'a PlacedProcess>;

impl<'a> RuleContext<'a> {
    pub fn new(
        processes: &'a [PlacedProcess],
        gpus: &'a [GpuPlace],
        topology: &'a Topology,
        settings: KernelSettings,
        window: Option<&'a Window>,
        limits: Limits,
    ) -> Self {
        let pairs = processes.iter().map(|of| (of.process.pid, of.process.ppid));
        Self {
            family: ProcessTree::new(pairs),
            by_pid: processes.iter().map(|of| (of.process.pid, of)).collect(),
            processes,
            gpus,
            topology,
            settings,
            window,
            limits,
        }
    }

    /// Whether one node has all CPUs, so that there is nothing to get wrong.
    pub fn is_single_node(&self) -> bool {
        self.topology.single_node().is_some()
    }

    /// The processes that have a verdict.
    pub fn judged(&self) -> impl Iterator<Item = &'a PlacedProcess> + '_ {
        self.processes.iter().filter(|audited| audited.is_judged())
    }

    /// The trainers.
    pub fn trainers(&self) -> impl Iterator<Item = &'a PlacedProcess> + '_ {
        self.judged()
            .filter(|of| of.membership.role == Some(Role::Trainer))
    }

    /// A process by its number.
    pub fn process(&self, pid: Pid) -> Option<&'a PlacedProcess> {
        self.by_pid.get(&pid).copied()
    }

    /// The judged processes for which `is_broken` holds. Those that belong on the same nodes stand together, and apart
    /// from these those that can do nothing about it. A process without a GPU stands for itself.
    pub fn groups(&self, is_broken: impl Fn(&PlacedProcess) -> bool) -> Vec<Group<'a>> {
        self.groups_by(is_broken, |_| ())
    }

    /// The same, and of each only those for which `key` is the same.
    pub fn groups_by<K: Ord>(
        &self,
        is_broken: impl Fn(&PlacedProcess) -> bool,
        key: impl Fn(&PlacedProcess) -> K,
    ) -> Vec<Group<'a>> {
        let mut groups: BTreeMap<_, Group> = BTreeMap::new();
        for audited in self.judged().filter(|audited| is_broken(audited)) {
            let alone = audited
                .membership
                .gpus
                .is_empty()
                .then_some(audited.process.pid);
            let place = (audited.home_nodes.clone(), audited.local_nodes.clone());
            let key = (place, self.is_walled(audited), key(audited), alone);
            groups.entry(key).or_default().push(audited);
        }
        groups.into_values().collect()
    }

    /// The trainers of each job that has several: those of one user, meeting point, launcher and Slurm job. Trainers that have
    /// neither in common are of no job, be they of one parent: a shell and an init start anything.
    pub fn jobs(&self) -> Vec<Group<'a>> {
        let mut jobs: BTreeMap<_, Group> = BTreeMap::new();
        for trainer in self.trainers() {
            let environment = trainer.process.environment.as_ref();
            let met = environment.and_then(|environment| environment.rank_of_job());
            let met = met.map(|(_, run, port)| (run, port));
            let above = self.launchers(trainer);
            let top = above.last().map(|of| of.process.pid);
            let slurm = trainer.job.as_deref();
            if met.is_some() || top.is_some() || slurm.is_some() {
                // A port is a container's own. Another user may claim any.
                let container = trainer.container.as_deref();
                let job = (met, top, slurm, container, trainer.process.uid);
                jobs.entry(job).or_default().push(trainer);
            }
        }
        jobs.into_values().filter(|job| job.len() > 1).collect()
    }

    /// The bindings that its own command line and environment and its launchers' command lines ask for, nearest first.
    pub fn asks(&self, audited: &'a PlacedProcess) -> Vec<&'a BindingRequest> {
        let variables = audited.process.environment.iter();
        let own = audited.process.asks.iter();
        let own = own.chain(variables.flat_map(|environment| &environment.asks));
        let above = self.launchers(audited).into_iter();
        own.chain(above.flat_map(|launcher| &launcher.process.asks))
            .collect()
    }

    /// All from which trainers descend, trainers among them.
    pub fn above_trainers(&self) -> BTreeSet<Pid> {
        self.family.above(self.trainers().map(|of| of.process.pid))
    }

    /// The GPU, by index, whose own memory this node is.
    pub fn gpu_of_memory(&self, node: NodeId) -> Option<u32> {
        let mut places = self.gpus.iter();
        let place = places.find(|place| place.gpu.own_memory_node == Some(node))?;
        Some(place.gpu.index)
    }

    /// The launchers above a process, nearest first.
    pub fn launchers(&self, audited: &PlacedProcess) -> Vec<&'a PlacedProcess> {
        let above = self.family.ancestors(audited.process.pid).into_iter();
        let above = above.filter_map(|pid| self.process(pid));
        above
            .filter(|of| of.membership.role == Some(Role::Launcher))
            .collect()
    }

    /// Whether a node is one of these, or of the socket of one.
    pub fn is_near_any(&self, node: NodeId, nodes: &NodeSet) -> bool {
        let mut others = nodes.iter();
        others.any(|other| node == *other || self.topology.same_package(node, *other))
    }

    /// Whether its control group keeps it from its local nodes, so that it cannot go there itself.
    pub fn is_walled(&self, audited: &PlacedProcess) -> bool {
        lacks_cpus(audited) || self.lacks_memory(audited)
    }

    /// Whether its control group allows it none of its local nodes' memory, where these have any.
    pub fn lacks_memory(&self, audited: &PlacedProcess) -> bool {
        let (allowed, local) = (&audited.memory.mems_allowed, &audited.local_nodes);
        let is_off = |allowed: &NodeSet| {
            // No list of nodes is none that a kernel writes.
            !local.is_empty() && !allowed.is_empty() && allowed.is_disjoint(local)
        };
        allowed.as_ref().is_some_and(is_off) && self.has_memory(local)
    }

    /// Whether memory can be bound to these nodes, as far as is known.
    pub fn has_memory(&self, nodes: &NodeSet) -> bool {
        let none = Some(Bytes(0));
        let mut nodes = nodes.iter().filter_map(|id| self.topology.nodes().get(id));
        nodes.all(|node| node.memory_total != none)
    }
}

/// Whether its control group leaves it no CPU on its local nodes, so that no affinity could be right. `false` where that
/// is not known.
pub(crate) fn lacks_cpus(audited: &PlacedProcess) -> bool {
    let (given, local) = (&audited.cpu.cpuset_nodes, &audited.local_nodes);
    given
        .as_ref()
        .is_some_and(|given| !local.is_empty() && !given.is_empty() && given.is_disjoint(local))
}

/// Whether it may run on none of its local nodes.
pub(crate) fn is_bound_off(audited: &PlacedProcess) -> bool {
    let allowed = &audited.cpu.affinity_nodes;
    !allowed.is_empty() && allowed.is_disjoint(&audited.local_nodes)
}

/// Whether its affinity tells where it is, wherever it last ran.
pub(crate) fn is_held(audited: &PlacedProcess) -> bool {
    audited.cpu.affinity_nodes.len() == 1 || is_bound_off(audited)
}

/// The nodes that a process is on: where it is held off its local nodes, as a sleeper's last CPU is old news; where it
/// may run on one node alone, that one; else where it ran most, as far as was seen. Empty where that is not known.
pub(crate) fn nodes_of(audited: &PlacedProcess) -> NodeSet {
    match is_held(audited) {
        true => audited.cpu.affinity_nodes.clone(),
        false => audited.cpu.node.into_iter().collect(),
    }
}

/// The nodes on which a group is that is off its local ones.
pub(crate) fn off_nodes_of_all(group: &[&PlacedProcess]) -> NodeSet {
    let off_nodes = |audited: &&PlacedProcess| match audited.cpu_time() {
        Some(time) if !is_bound_off(audited) => {
            let nodes = time.iter().map(|(node, _)| node);
            nodes.filter(|node| is_off(audited, *node)).collect()
        }
        _ => nodes_of(audited),
    };
    group.iter().flat_map(off_nodes).collect()
}

/// Whether a node is none of its local ones.
pub(crate) fn is_off(audited: &PlacedProcess, node: NodeId) -> bool {
    audited.locality(node) != Some(Locality::Local)
}

/// The GPUs that a group works for, by index.
pub(crate) fn gpus_of(group: &[&PlacedProcess]) -> Vec<u32> {
    let gpus: BTreeSet<u32> = group
        .iter()
        .flat_map(|of| of.membership.gpus.clone())
        .collect();
    gpus.into_iter().collect()
}

/// Its processes' numbers.
pub(crate) fn pids_of(group: &[&PlacedProcess]) -> Vec<Pid> {
    group.iter().map(|audited| audited.process.pid).collect()
}
