//! How a CPU affinity relates to the local nodes.

use crate::units::NodeSet;

/// How the nodes that an affinity allows relate to the local nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binding {
    /// It allows only local nodes.
    Local,
    /// It allows local nodes and others.
    Partial,
    /// It allows no local node.
    Elsewhere,
}

impl Binding {
    /// `allowed` are the nodes of the CPUs in the affinity mask. `None` if either set is empty, that is, unknown.
    pub(crate) fn of(allowed: &NodeSet, local: &NodeSet) -> Option<Self> {
        if allowed.is_empty() || local.is_empty() {
            None
        } else if allowed.is_subset(local) {
            Some(Self::Local)
        } else if allowed.is_disjoint(local) {
            Some(Self::Elsewhere)
        } else {
            Some(Self::Partial)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::NodeId;

    #[test]
    fn an_affinity_is_local_partial_or_elsewhere() {
        let nodes = |ids: &[u32]| -> NodeSet { ids.iter().copied().map(NodeId).collect() };
        let binding = |allowed: &[u32], local: &[u32]| Binding::of(&nodes(allowed), &nodes(local));
        assert_eq!(binding(&[0], &[0, 1]), Some(Binding::Local));
        assert_eq!(binding(&[0, 1], &[0]), Some(Binding::Partial));
        assert_eq!(binding(&[1, 2], &[0]), Some(Binding::Elsewhere));
        assert_eq!(binding(&[], &[0]), None);
        assert_eq!(binding(&[0], &[]), None);
    }
}
