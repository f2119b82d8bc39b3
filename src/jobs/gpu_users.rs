//! Which process uses which GPU.

pub(crate) mod drm;
pub(crate) mod nvidia;

use std::collections::BTreeSet;

use crate::machine::Gpu;
use crate::units::Pid;

/// All processes that are known to use one of these GPUs.
pub(crate) fn users_of(gpus: &[Gpu]) -> BTreeSet<Pid> {
    let others = gpus.iter().flat_map(|gpu| gpu.users.keys().copied());
    nvidia::listed(gpus).into_iter().chain(others).collect()
}
