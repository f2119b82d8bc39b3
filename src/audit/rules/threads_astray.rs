//! A process's main thread is held on its GPU's nodes, and other threads are not.
//!
//! Why it costs: affinity is each thread's own. Threads that were there before a late binding keep the old one, and
//! taskset without -a moves the main thread alone; what runs elsewhere touches memory there and crosses the interconnect.
//!
//! What it cannot know: what these threads do. Some only wait; NCCL binds its own near the GPU by itself.
//!
//! What to do: bind before the process starts its threads. taskset -a moves those that are there.

use super::{Broken, Rule, Scene};
use crate::audit::Audited;
use crate::audit::cpu::{Standing, Threads};
use crate::audit::finding::{Evidence, Severity, Value};
use crate::audit::remedy::bind;
use crate::audit::words::subject;

pub(super) const RULE: Rule = Rule {
    name: "threads-astray",
    severity: Severity::Warning,
    text: include_str!("threads_astray.rs"),
    check,
};

fn check(scene: &Scene) -> Vec<Broken> {
    if scene.is_single_node() {
        return Vec::new();
    }
    let has_loose = |audited: &Audited| {
        let threads = audited.cpu.threads.as_ref();
        let loose = threads.and_then(|threads| threads.loose);
        audited.cpu.standing == Some(Standing::Held) && loose > Some(0)
    };
    let broken = scene.groups(has_loose).into_iter().map(|group| {
        let threads = || group.iter().filter_map(|audited| audited.cpu.threads.as_ref());
        let sum = |count: fn(&Threads) -> usize| threads().map(count).sum::<usize>();
        let loose = sum(|threads| threads.loose.unwrap_or(0));
        let (total, astray) = (sum(|threads| threads.total), sum(|threads| threads.astray.unwrap_or(0)));
        Broken::by(
            &group,
            format!(
                "{} held there by the main thread alone: {loose} of {total} threads may leave, {astray} last ran elsewhere",
                subject(&group),
            ),
            Evidence::from([
                ("home_nodes", Value::Nodes(group[0].home_nodes.clone())),
                ("threads", Value::Count(total)),
                ("threads_loose", Value::Count(loose)),
                ("threads_astray", Value::Count(astray)),
            ]),
            bind(scene, &group),
        )
    });
    broken.collect()
}
