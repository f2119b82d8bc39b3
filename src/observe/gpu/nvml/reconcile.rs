//! The driver's answer and the processes that are there, brought to one moment.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::machine::gap::Reason;
use crate::machine::nvml_answer::DriverAnswer;
use crate::observe::gpu::nvml::child::{Answered, NvmlQuery};
use crate::observe::process::pool::Deadline;
use crate::observe::process::process_reader;
use crate::observe::process::stat::Stat;
use crate::observe::root::Root;
use crate::units::Pid;

/// `stat` of all processes, as it was read.
pub type Stats = Result<BTreeMap<Pid, Result<Stat, Reason>>, Reason>;

/// The rest of the driver's answer. `stats` are made to fit it: those whom it names are among them, even if they started
/// after these were read.
pub fn wait_for_driver(
    asking: NvmlQuery,
    deadline: Deadline,
    root: &Root,
    stats: &mut Stats,
) -> Answered {
    /// From then on others may have come too: workers of those who are there.
    const STALE: Duration = Duration::from_millis(100);
    let read = Instant::now();
    let answered = asking.finish(deadline);
    if !answered.files_answer {
        root.give_up_driver();
    }
    let gpus = answered.answer.gpus.iter().flatten();
    let mut named = gpus.flat_map(|gpu| gpu.processes.iter().flatten());
    let is_old = match stats {
        Ok(there) if !there.is_empty() => {
            read.elapsed() > STALE || named.any(|process| !there.contains_key(&Pid(process.pid)))
        }
        _ => false,
    };
    if is_old {
        *stats = process_reader::read_stats(root);
    }
    answered
}

/// The driver's answer without processes that started after it was given: those that it named have ended, and others have
/// their PIDs.
pub fn only_of_then(answered: Answered, stats: &Stats) -> DriverAnswer {
    let Answered { mut answer, at, .. } = answered;
    let (Ok(stats), Some(gpus)) = (stats, &mut answer.gpus) else {
        return answer;
    };
    for (gpu, at) in gpus.iter_mut().zip(at) {
        let then = ticks_after_boot(at);
        let is_of_then = |pid: u32| match stats.get(&Pid(pid)) {
            Some(Ok(stat)) => stat.start_time_ticks <= then,
            _ => true,
        };
        if let Some(processes) = &mut gpu.processes {
            processes.retain(|process| is_of_then(process.pid));
        }
    }
    answer
}

/// A moment in the unit in which the kernel tells when a process started. It is not asked of `/proc/uptime`, which in a
/// container may tell since when that is there (LXCFS).
pub fn ticks_after_boot(moment: Instant) -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let now = Duration::try_from(now).unwrap_or_default();
    let then = now.saturating_sub(moment.elapsed());
    let per_second = u128::from(rustix::param::clock_ticks_per_second());
    u64::try_from(then.as_nanos() * per_second / 1_000_000_000).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::nvml_answer::{DriverGpu, DriverProcess, ListKind};
    use crate::observe::process::stat::parse_stat;

    #[test]
    fn the_clock_of_answers_is_that_of_processes() {
        let stat = std::fs::read("/proc/self/stat").unwrap();
        let started = parse_stat(&stat).unwrap().start_time_ticks;
        assert!(started <= ticks_after_boot(Instant::now()));
        let second = rustix::param::clock_ticks_per_second();
        let hour_ago = Instant::now().checked_sub(Duration::from_secs(3600));
        let ago = hour_ago.map_or(0, ticks_after_boot);
        assert!(ago + 3599 * second <= ticks_after_boot(Instant::now()) || ago == 0);
    }

    #[test]
    fn whoever_started_after_the_answer_is_not_whom_the_driver_meant() {
        let now = Instant::now();
        let stat = |pid: u32, start: u64| {
            let zeros = "0 ".repeat(16);
            let text = format!("{pid} (x) S 1 {zeros} 0 {start} {zeros} 0 0 0\n");
            (Pid(pid), Ok(parse_stat(text.as_bytes()).unwrap()))
        };
        let then = ticks_after_boot(now);
        let hour = 3600 * rustix::param::clock_ticks_per_second();
        let stats: Stats = Ok([stat(7, 0), stat(8, then + hour)].into());
        let listed = |pid| DriverProcess {
            pid,
            kind: ListKind::Compute,
            used_memory_bytes: None,
            gpu_instance_id: None,
            compute_instance_id: None,
        };
        let gpu = DriverGpu {
            processes: Some([7, 8, 9].map(listed).into()),
            ..DriverGpu::default()
        };
        let answered = Answered {
            answer: DriverAnswer {
                gpus: Some(vec![gpu]),
                ..DriverAnswer::default()
            },
            at: vec![now],
            files_answer: true,
        };
        let gpus = only_of_then(answered, &stats).gpus.unwrap();
        let left = gpus[0].processes.iter().flatten();
        let left: Vec<u32> = left.map(|process| process.pid).collect();
        assert_eq!(left, [7, 9], "one that is not here may be elsewhere");
    }
}
