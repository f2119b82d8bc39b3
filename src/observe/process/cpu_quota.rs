//! `cpu.max`: how much CPU time a control group may use. Version 1: `cpu.cfs_quota_us` and `cpu.cfs_period_us`.

use std::collections::BTreeMap;

use crate::machine::{ControlGroup, CpuQuota};
use crate::observe::hierarchy::{Controller, GroupFolder, HierarchyVersion};
use crate::observe::root::Root;
use crate::units::{number, value};

/// The quotas that were read, by the group's folder.
#[derive(Debug, Default)]
pub(crate) struct CpuQuotas {
    by_folder: BTreeMap<String, Option<CpuQuota>>,
}

impl CpuQuotas {
    /// The least quota of the group and of all above it. `None` where none has one, and where it cannot be read.
    pub(crate) fn of(&mut self, root: &Root, groups: &[ControlGroup]) -> Option<CpuQuota> {
        let group = GroupFolder::of(groups, Controller::Cpu)?;
        if let Some(quota) = self.by_folder.get(&group.path) {
            return quota.clone();
        }
        let quotas = group.upwards().filter_map(|folder| {
            Some(CpuQuota {
                milli_cpus: read(root, folder, group.version)?,
                group: folder.to_owned(),
            })
        });
        let least = quotas.min_by_key(|quota| quota.milli_cpus);
        self.by_folder.insert(group.path.clone(), least.clone());
        least
    }
}

fn read(root: &Root, folder: &str, version: HierarchyVersion) -> Option<u64> {
    let file = |name: &str| root.read(&format!("{folder}/{name}")).ok();
    match version {
        HierarchyVersion::V2 => of_cpu_max(&file("cpu.max")?),
        HierarchyVersion::V1 => of_times(
            value(&file("cpu.cfs_quota_us")?).as_bytes(),
            value(&file("cpu.cfs_period_us")?).as_bytes(),
        ),
    }
}

/// `200000 100000`, or `max 100000` where there is no quota.
fn of_cpu_max(text: &[u8]) -> Option<u64> {
    let text = value(text);
    let (quota, period) = text.split_once(' ')?;
    of_times(quota.as_bytes(), period.as_bytes())
}

/// `max` and -1 are no quota.
fn of_times(quota: &[u8], period: &[u8]) -> Option<u64> {
    let quota: u64 = number("quota", quota).ok()?;
    let period: u64 = number("period", period).ok()?;
    quota.checked_mul(1000)?.checked_div(period)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_quota_is_cpu_time_by_period() {
        assert_eq!(of_cpu_max(b"200000 100000\n"), Some(2000));
        assert_eq!(of_cpu_max(b"50000 100000\n"), Some(500));
        assert_eq!(of_cpu_max(b"max 100000\n"), None);
        assert_eq!(of_cpu_max(b"1 0\n"), None);
        assert_eq!(of_cpu_max(b"18446744073709551615 1\n"), None);
        assert_eq!(of_times(b"-1", b"100000"), None);
        assert_eq!(of_times(b"150000", b"100000"), Some(1500));
    }

    proptest! {
        #[test]
        fn no_input_panics(text in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = of_cpu_max(&text);
        }
    }
}
