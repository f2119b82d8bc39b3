//! What is known of CPUs beyond their nodes.

use std::collections::BTreeMap;

use crate::units::{Cpu, CpuSet};

/// Facts about CPUs.
#[derive(Debug, Clone, Default)]
pub(crate) struct CpuFacts {
    /// The CPUs over which the scheduler does not spread threads (`isolcpus=`): `/sys/devices/system/cpu/isolated`. Empty where
    /// there are none; `None` where that is unknown.
    pub(crate) isolated: Option<CpuSet>,
    /// The hardware threads of the same core, for the first CPU of small affinities.
    pub(crate) siblings: BTreeMap<Cpu, CpuSet>,
}
