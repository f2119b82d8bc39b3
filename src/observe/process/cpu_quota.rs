//! `cpu.max`: how much CPU time a control group may use. Version 1: `cpu.cfs_quota_us` and `cpu.cfs_period_us`.

use std::collections::BTreeMap;

use crate::machine::{ControlGroup, CpuQuota, Reason};
use crate::observe::hierarchy::{Controller, GroupFolder, HierarchyVersion};
use crate::observe::root::Root;
use crate::units::{Malformed, malformed, number, value};

/// The quotas that were read, by folder, with those of the folders above: a user may make groups a thousand deep.
#[derive(Debug, Default)]
pub(crate) struct CpuQuotas {
    by_folder: BTreeMap<String, Result<Option<CpuQuota>, Reason>>,
}

impl CpuQuotas {
    /// The least quota of the group and of all above it. `None` where none has one.
    ///
    /// # Errors
    /// Where one of them cannot be read: it may be the least.
    pub(crate) fn of(
        &mut self,
        root: &Root,
        groups: &[ControlGroup],
    ) -> Result<Option<CpuQuota>, Reason> {
        let Some(group) = GroupFolder::of(groups, Controller::Cpu) else {
            return Ok(None);
        };
        let (mut passed, mut least) = (Vec::new(), Ok(None));
        for folder in group.upwards() {
            if let Some(known) = self.by_folder.get(folder) {
                least = known.clone();
                break;
            }
            passed.push(folder);
        }
        for folder in passed.into_iter().rev() {
            least = least.and_then(|above| lesser(root, folder, group.version, above));
            self.by_folder.insert(folder.to_owned(), least.clone());
        }
        least
    }
}

/// The quota of one group, or that above it where this is not larger.
fn lesser(
    root: &Root,
    folder: &str,
    version: HierarchyVersion,
    above: Option<CpuQuota>,
) -> Result<Option<CpuQuota>, Reason> {
    let Some(milli_cpus) = read_quota(root, folder, version)? else {
        return Ok(above);
    };
    let is_above = above.as_ref().is_some_and(|of| of.milli_cpus < milli_cpus);
    Ok(if is_above {
        above
    } else {
        Some(CpuQuota {
            milli_cpus,
            group: folder.to_owned(),
        })
    })
}

/// `None` for no quota, and for a group without the files: the controller is not enabled there.
fn read_quota(root: &Root, folder: &str, version: HierarchyVersion) -> Result<Option<u64>, Reason> {
    let read = |name: &str| match root.read(&format!("{folder}/{name}")) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(Reason::Absent) => Ok(None),
        Err(reason) => Err(reason),
    };
    let quota = match version {
        HierarchyVersion::V2 => read("cpu.max")?.map(|text| of_cpu_max(&text)),
        HierarchyVersion::V1 => match (read("cpu.cfs_quota_us")?, read("cpu.cfs_period_us")?) {
            (Some(quota), Some(period)) => Some(of_times(value(&quota), value(&period))),
            _ => None,
        },
    };
    Ok(quota.transpose()?.flatten())
}

/// `200000 100000`, or `max 100000` where there is no quota.
fn of_cpu_max(text: &[u8]) -> Result<Option<u64>, Malformed> {
    match value(text).split_once(' ') {
        Some((quota, period)) => of_times(quota, period),
        None => malformed("not a CPU quota", text),
    }
}

/// `max` and -1 are no quota.
fn of_times(quota: &str, period: &str) -> Result<Option<u64>, Malformed> {
    if matches!(quota, "max" | "-1") {
        return Ok(None);
    }
    let micros: u64 = number("CPU quota", quota.as_bytes())?;
    let period: u64 = number("period of a CPU quota", period.as_bytes())?;
    let thousands = micros.checked_mul(1000);
    match thousands.and_then(|thousands| thousands.checked_div(period)) {
        Some(milli_cpus) => Ok(Some(milli_cpus)),
        None => malformed("not a CPU quota", quota.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_quota_is_cpu_time_by_period() {
        assert_eq!(of_cpu_max(b"200000 100000\n"), Ok(Some(2000)));
        assert_eq!(of_cpu_max(b"50000 100000\n"), Ok(Some(500)));
        assert_eq!(of_cpu_max(b"max 100000\n"), Ok(None));
        assert_eq!(of_times("-1", "100000"), Ok(None));
        assert_eq!(of_times("150000", "100000"), Ok(Some(1500)));
    }

    #[test]
    fn a_quota_that_makes_no_sense_is_not_no_quota() {
        for text in [
            "",
            "max",
            "-5 100000",
            "x 1",
            "1 0",
            "18446744073709551615 1",
        ] {
            assert!(of_cpu_max(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_input_panics(text in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = of_cpu_max(&text);
        }
    }
}
