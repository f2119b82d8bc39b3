//! A sample of a process's pages: its mappings, and the nodes of some of their pages.

mod enough;
mod growth;
mod live_query;
mod mappings;
pub(crate) mod order;
mod pauses;
#[cfg(test)]
mod placements;
mod plan;

use std::io;
use std::sync::OnceLock;
use std::time::Instant;

use crate::machine::{Backing, Exactness, Memory, Reason};
use crate::observe::memory::numa_maps::walk;
use crate::observe::memory::sample::growth::{GrowingStratum, grown};
use crate::observe::memory::sample::live_query::LiveQuery;
use crate::observe::memory::sample::mappings::{Mappings, read_mappings};
use crate::observe::memory::sample::plan::StratumPlan;
use crate::observe::memory::{Bounds, HugeDevices, pages};
use crate::observe::process::Resident;
use crate::observe::root::Root;
use crate::units::{Bytes, Limits, Pid, parse_cpu_list};

/// Why there is no sample.
#[derive(Debug)]
pub(crate) enum SampleError {
    /// The kernel refuses queries of single pages here, or their answers would be useless.
    Unsupported,
    /// Nothing can be read by other means either.
    Failed(Reason),
}

impl From<Reason> for SampleError {
    fn from(reason: Reason) -> Self {
        Self::Failed(reason)
    }
}

/// What the samples of all processes share. Several threads use it at once.
#[derive(Debug, Default)]
pub(crate) struct Sampling {
    /// A sample is large enough to judge the process by these.
    limits: Limits,
    huge: HugeDevices,
    slack: OnceLock<Bytes>,
}

impl Sampling {
    /// For these limits.
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }
}

/// The memory of a process, estimated from a sample.
pub(crate) fn memory(
    root: &Root,
    pid: Pid,
    resident: Option<&Resident>,
    sampling: &Sampling,
) -> Result<Memory, SampleError> {
    let until = Instant::now() + root.patience().sample();
    let page = rustix::param::page_size() as u64;
    let has_huge = resident.is_none_or(|resident| resident.huge.0 > 0);
    let huge = has_huge.then_some(&sampling.huge);
    let mut found = read_mappings(root, pid, page, huge)?;
    if resident.is_some_and(|resident| resident.huge > found.room(Backing::Huge)) {
        // They are on a hugetlbfs that is no longer mounted.
        return Err(SampleError::Unsupported);
    }
    let bounds = Bounds {
        resident: resident.copied(),
        slack: *sampling.slack.get_or_init(|| slack(root, page)),
        copies: found.copies,
        shared_copies: found.shared_copies,
    };
    let strata = planned(root, pid, resident, &mut found, until);
    let mut query = LiveQuery::new(root.thread_to_ask(pid), until);
    let sample = grown(strata, &bounds, &sampling.limits, &mut query).map_err(sample_error)?;
    let mut memory = walk::read_policy(root, pid)?;
    memory.pages = pages(&sample, &bounds);
    memory.torch_makers = found.torch_makers;
    memory.exactness = Exactness::Sampled(sample);
    Ok(memory)
}

fn planned(
    root: &Root,
    pid: Pid,
    resident: Option<&Resident>,
    found: &mut Mappings,
    until: Instant,
) -> Vec<GrowingStratum> {
    let populations = std::mem::take(&mut found.populations).into_iter();
    let strata = populations.map(|(backing, population)| {
        let at_most = resident.map(|resident| found.at_most(backing, resident));
        let plan = StratumPlan::new(root.thread_to_ask(pid), backing, resident, at_most, until);
        let (population, wanted) = plan.population(root, population);
        GrowingStratum::new(backing, population, wanted, at_most)
    });
    strata.collect()
}

fn sample_error(error: io::Error) -> SampleError {
    match error.raw_os_error() {
        // `maps` was readable, so the call is forbidden and not the access to this process.
        Some(libc::EPERM | libc::EACCES | libc::ENOSYS) => SampleError::Unsupported,
        // It no longer has memory.
        Some(libc::EINVAL) => Reason::Gone.into(),
        _ => Reason::from(&error).into(),
    }
}

/// The largest error of the counters in `status`: from Linux 6.2 to 6.16 each CPU holds back up to percpu_counter_batch pages.
fn slack(root: &Root, page: u64) -> Bytes {
    let possible = root.read("sys/devices/system/cpu/possible").ok();
    let cpus = possible.and_then(|text| parse_cpu_list(text.trim_ascii_end()).ok());
    held_back(cpus.map_or(1, |cpus| cpus.iter().count()) as u64, page)
}

fn held_back(cpus: u64, page: u64) -> Bytes {
    let cpus = cpus.max(1);
    Bytes((cpus * (2 * cpus).max(32)).saturating_mul(page))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forbidden_call_differs_from_a_process_that_ended() {
        let of = |number| sample_error(io::Error::from_raw_os_error(number));
        assert!(matches!(of(libc::EPERM), SampleError::Unsupported));
        assert!(matches!(of(libc::ENOSYS), SampleError::Unsupported));
        assert!(matches!(of(libc::ESRCH), SampleError::Failed(Reason::Gone)));
        assert!(matches!(
            of(libc::ENOMEM),
            SampleError::Failed(Reason::Failed(_))
        ));
    }

    #[test]
    fn the_counters_hold_back_pages_of_any_size() {
        assert_eq!(held_back(0, 4096), Bytes(32 * 4096));
        assert_eq!(held_back(2, 4096), Bytes(64 * 4096));
        assert_eq!(held_back(72, 65536), Bytes(72 * 144 * 65536));
    }
}
