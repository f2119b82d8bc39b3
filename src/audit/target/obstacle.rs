//! What keeps a process or its memory from its target, as data and in words.

use std::fmt;

use crate::audit::rules::node_names;
use crate::machine::Policy;
use crate::units::{Bytes, NodeSet};
use crate::words::ObstacleKind;

/// What is in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// The cpuset allows no CPU of these local nodes.
    CpusetCpus(NodeSet),
    /// The cpuset allows no memory of these local memory nodes.
    CpusetMemory(NodeSet),
    /// What would have to move does not fit into the free memory of the nodes.
    FreeMemory {
        nodes: NodeSet,
        free: Bytes,
        reclaimable: Option<Bytes>,
        moving: Bytes,
    },
    /// The huge pages that would have to move are more than the free ones of the nodes.
    HugePages {
        nodes: NodeSet,
        free: Option<Bytes>,
        moving: Bytes,
    },
    /// The memory policy names other nodes.
    Policy(Policy),
    /// The memory policy chose these nodes without CPUs.
    Chosen(Policy, NodeSet),
    /// So many pinned bytes are on the wrong nodes.
    Pinned(Bytes),
    /// The GPUs are attached to these nodes.
    SeveralNodes(NodeSet),
}

impl Obstacle {
    pub(crate) fn kind(&self) -> ObstacleKind {
        match self {
            Self::CpusetCpus(_) | Self::CpusetMemory(_) => ObstacleKind::Cpuset,
            Self::FreeMemory { .. } => ObstacleKind::FreeMemory,
            Self::HugePages { .. } => ObstacleKind::HugePages,
            Self::Policy(_) => ObstacleKind::Policy,
            Self::Chosen(..) => ObstacleKind::ChosenMemory,
            Self::Pinned(_) => ObstacleKind::Pinned,
            Self::SeveralNodes(_) => ObstacleKind::SeveralNodes,
        }
    }
}

/// The note on pinned pages, without a figure: it is the same for all processes of a finding.
pub(crate) const PINNED_STAYS: &str = "pinned pages do not move";

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has = |nodes: &NodeSet| if nodes.len() == 1 { "has" } else { "have" };
        match self {
            Self::CpusetCpus(nodes) => {
                write!(f, "the cpuset allows no CPU of {}", node_names(nodes))
            }
            Self::CpusetMemory(nodes) => {
                write!(f, "the cpuset allows no memory of {}", node_names(nodes))
            }
            Self::FreeMemory {
                nodes,
                free,
                reclaimable,
                moving,
            } => {
                let cache = reclaimable.map(|of| format!(" and {of} of page cache"));
                let (names, has) = (node_names(nodes), has(nodes));
                write!(
                    f,
                    "{names} {has} {free} free{}, and {moving} would have to move there",
                    cache.unwrap_or_default()
                )
            }
            Self::HugePages {
                nodes,
                free,
                moving,
            } => {
                let (names, has) = (node_names(nodes), has(nodes));
                write!(
                    f,
                    "{moving} of huge pages can only move into free huge pages: {names} "
                )?;
                match free {
                    Some(free) => write!(f, "{has} {free} of them (free_hugepages, nr_hugepages)"),
                    None => f.write_str("may have none (free_hugepages is unknown)"),
                }
            }
            Self::Policy(policy) => write!(
                f,
                "the memory policy {policy} puts new pages elsewhere, and it cannot be changed from outside"
            ),
            Self::Chosen(policy, nodes) => write!(
                f,
                "the memory policy {policy} chose {}, without CPUs (HBM or CXL): pages there stay",
                node_names(nodes)
            ),
            Self::Pinned(_) => f.write_str(PINNED_STAYS),
            Self::SeveralNodes(nodes) => write!(
                f,
                "its GPUs are attached to {}: no node is right for all of them",
                node_names(nodes)
            ),
        }
    }
}
