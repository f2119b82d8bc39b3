//! What a typed name means: a rule, a GPU, a user.

use super::source::patience;
use super::trouble::Trouble;
use crate::audit::rules::Rule;
use crate::jobs::WantedJob;
use crate::machine::{Fact, Gpu, Machine};
use crate::observe::{own_jobs, user_number};
use crate::units::{PciAddress, ranges};
use crate::words::Origin;

pub(super) fn rule_named(name: &str) -> Result<&'static Rule, Trouble> {
    Rule::named(name).ok_or_else(|| format!("no rule {name:?}: numa-audit rules lists them").into())
}

/// The index of a GPU, from its index, its PCI address or the start of its UUID. `None` where it is not among the GPUs that are
/// known and it is unknown whether these are all: the driver did not answer.
pub(super) fn gpu_named(name: &str, machine: &Machine) -> Result<Option<u32>, Trouble> {
    let address = name.parse::<PciAddress>().ok();
    let index = name.parse::<u32>().ok();
    let by_uuid = |gpu: &Gpu| {
        let uuid = gpu.uuid.as_ref();
        uuid.is_some_and(|uuid| name.len() > 4 && uuid.starts_with(name))
    };
    let is_meant = |gpu: &&Gpu| {
        by_uuid(gpu) || index == Some(gpu.index) || (address.is_some() && gpu.address == address)
    };
    let found: Vec<&Gpu> = machine.gpus.iter().filter(is_meant).collect();
    match found.as_slice() {
        [gpu] => Ok(Some(gpu.index)),
        [] if may_exist(index, address, machine) => Ok(None),
        [] if machine.gpus.is_empty() => {
            Err(format!("no GPU {name:?}: this machine has no GPU").into())
        }
        [] => {
            let known = ranges(machine.gpus.iter().map(|gpu| gpu.index));
            Err(format!("no GPU {name:?}: there are {known}").into())
        }
        _ => Err(format!("{name:?} begins the UUIDs of several GPUs").into()),
    }
}

/// Whether a GPU that is not found may exist: not all GPUs are known, or not the names of all.
fn may_exist(index: Option<u32>, address: Option<PciAddress>, machine: &Machine) -> bool {
    let mut gaps = machine.gaps.iter();
    if gaps.any(|gap| matches!(gap.fact, Fact::Driver | Fact::UnlistedGpu)) {
        return true;
    }
    let mut nvidia = machine.gpus.iter().filter(|gpu| gpu.drm.is_none());
    match (index, address) {
        (Some(_), _) => false,
        (None, Some(_)) => nvidia.any(|gpu| gpu.address.is_none()),
        (None, None) => nvidia.any(|gpu| gpu.uuid.is_none()),
    }
}

/// The job of this ID, or the one that this program runs in.
pub(super) fn job_named(name: &str) -> Result<WantedJob, Trouble> {
    if name != "self" {
        return Ok(WantedJob {
            id: name.to_owned(),
            scheduler: None,
            uid: None,
        });
    }
    // Ray comes last: its jobs run within those of the others.
    let own = own_jobs().into_iter().next();
    let own = own.ok_or("--job self: this program runs in no job of a scheduler")?;
    Ok(WantedJob {
        id: own.id,
        scheduler: Some(own.scheduler),
        uid: Some(rustix::process::getuid().as_raw()),
    })
}

/// The number of a user, from the name or the number.
pub(super) fn user_named(name: &str, machine: &Machine) -> Result<u32, Trouble> {
    let patience = patience()?;
    let mut users = machine.users.iter();
    if let Some((uid, _)) = users.find(|(_, user)| *user == name) {
        return Ok(*uid);
    }
    // A user without a process here.
    let is_live = machine.host.origin == Origin::Live;
    if is_live && let Some(uid) = user_number(name, patience)? {
        return Ok(uid);
    }
    name.parse()
        .map_err(|_| format!("no user {name:?} is known here").into())
}
