//! Brings the driver's answer and the list of processes to the same moment.

use std::time::{Duration, Instant};

use crate::machine::{DriverAnswer, Reason};
use crate::observe::deadline::Deadline;
use crate::observe::gpu::nvml::{NvmlQuery, NvmlReply};
use crate::observe::process::{Stats, read_stats, ticks_after_boot};
use crate::observe::root::Root;
use crate::units::Pid;

/// Waits for the driver's answer. Reads `stats`, of the moment `read_at`, again where they are too old for it: where it names a process that started
/// since, or where the driver took long.
pub(crate) fn finish_query(
    query: NvmlQuery,
    deadline: Deadline,
    root: &Root,
    stats: &mut Stats,
    read_at: Instant,
) -> NvmlReply {
    /// After this time other processes may be new too, such as the workers of known trainers.
    const STALE: Duration = Duration::from_millis(100);
    let reply = query.finish(deadline);
    if !reply.files_answer {
        let why = reply.answer.error.clone();
        let why = why.unwrap_or_else(|| "the driver did not answer".to_owned());
        root.give_up_driver(Reason::Failed(format!("not read: {why}")));
    }
    let gpus = reply.answer.gpus.iter().flatten();
    let mut named = gpus.flat_map(|gpu| gpu.processes.iter().flatten());
    let is_old = match stats {
        Ok(known) if !known.is_empty() => {
            read_at.elapsed() > STALE || named.any(|process| !known.contains_key(&Pid(process.pid)))
        }
        _ => false,
    };
    if is_old {
        *stats = read_stats(root);
    }
    reply
}

/// Drops processes that started after NVML answered: NVML meant an earlier process with that PID.
pub(crate) fn drop_later_processes(reply: NvmlReply, stats: &Stats) -> DriverAnswer {
    let NvmlReply {
        mut answer,
        answered_at,
        ..
    } = reply;
    let (Ok(stats), Some(gpus)) = (stats, &mut answer.gpus) else {
        return answer;
    };
    for (gpu, at) in gpus.iter_mut().zip(answered_at) {
        let answered_at = ticks_after_boot(at);
        let started_before = |pid: u32| match stats.get(&Pid(pid)) {
            Some(Ok(stat)) => stat.start_time_ticks <= answered_at,
            _ => true,
        };
        if let Some(processes) = &mut gpu.processes {
            processes.retain(|process| started_before(process.pid));
        }
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{DriverGpu, DriverProcess, ListKind};
    use crate::observe::process::parse_stat;

    #[test]
    fn a_process_that_started_after_the_answer_is_dropped() {
        let now = Instant::now();
        let stat = |pid: u32, start: u64| {
            let zeros = "0 ".repeat(16);
            let text = format!("{pid} (x) S 1 {zeros} 0 {start} {zeros} 0 0 0\n");
            (Pid(pid), Ok(parse_stat(text.as_bytes()).unwrap()))
        };
        let answered_at = ticks_after_boot(now);
        let hour = 3600 * rustix::param::clock_ticks_per_second();
        let stats: Stats = Ok([stat(7, 0), stat(8, answered_at + hour)].into());
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
        let reply = NvmlReply {
            answer: DriverAnswer {
                gpus: Some(vec![gpu]),
                ..DriverAnswer::default()
            },
            answered_at: vec![now],
            files_answer: true,
        };
        let gpus = drop_later_processes(reply, &stats).gpus.unwrap();
        let left = gpus[0].processes.iter().flatten();
        let left: Vec<u32> = left.map(|process| process.pid).collect();
        assert_eq!(
            left,
            [7, 9],
            "a process without stat may be in another PID namespace"
        );
    }
}
