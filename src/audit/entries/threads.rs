//! The threads of one process, for `watch`.

use crate::document::window::seconds;
use crate::document::{ThreadEntry, ThreadWindowEntry};
use crate::machine::{Machine, Process, Thread, ThreadActivity};
use crate::units::StartTicks;

/// The threads of a process of this machine, by TID.
pub(crate) fn threads(process: &Process, machine: &Machine) -> Vec<ThreadEntry> {
    let window = machine.window.as_ref();
    let activity = window.and_then(|window| window.processes.get(&process.pid));
    let activity = activity.filter(|of| of.start_time_ticks == process.start_time_ticks);
    let entry = |thread: &Thread| {
        let watched = activity.and_then(|of| of.threads.get(&thread.tid));
        let is_same = |of: &&ThreadActivity| {
            thread.start_time_ticks == Some(StartTicks::from(of.start_time_ticks))
        };
        let topology = &machine.topology;
        ThreadEntry {
            tid: thread.tid,
            name: thread.name.as_deref().map(str::to_owned),
            cpu: thread.last_cpu.map(|cpu| cpu.0),
            node: thread.last_cpu.and_then(|cpu| topology.node_of(cpu)),
            affinity: thread.affinity.as_deref().cloned(),
            affinity_nodes: thread
                .affinity
                .as_deref()
                .map_or_else(Default::default, |cpus| topology.nodes_of(cpus)),
            window: watched.filter(is_same).map(window_entry),
        }
    };
    process.threads.iter().flatten().map(entry).collect()
}

fn window_entry(watched: &ThreadActivity) -> ThreadWindowEntry {
    let times = watched.cpu_time.iter();
    ThreadWindowEntry {
        cpu_seconds_by_node: times.map(|(node, time)| (node, seconds(time))).collect(),
        migrations: watched.migrations,
    }
}
