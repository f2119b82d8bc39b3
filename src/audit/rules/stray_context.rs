//! A process with contexts on several GPUs, one of which is a sibling's only one.
//!
//! Why it costs: a rank that forgot torch.cuda.set_device holds memory on GPU 0, some 500 MiB and more, and copies through
//! it; and it belongs on several nodes at once, so that its verdict says less.
//!
//! What it cannot know: whether it is meant, as by peer access or a model that is spread by hand.
//!
//! What to do: torch.cuda.set_device(local_rank) before the first use of CUDA, or CUDA_VISIBLE_DEVICES for each rank.

use super::{Broken, Rule, Scene};
use crate::audit::finding::{Evidence, Remedy, Severity, Value};
use crate::model::cpus::ranges;

pub(super) const RULE: Rule = Rule {
    name: "stray-context",
    severity: Severity::Warning,
    text: include_str!("stray_context.rs"),
    check,
};

fn check(scene: &Scene) -> Vec<Broken> {
    let broken = scene.jobs().into_iter().flat_map(|job| {
        let only: Vec<(u32, u32)> = job
            .iter()
            .filter_map(|rank| match rank.part.gpus.as_slice() {
                [gpu] => Some((*gpu, rank.process.pid.0)),
                _ => None,
            })
            .collect();
        let of_several = job.into_iter().filter(|rank| rank.part.gpus.len() > 1);
        let strays = of_several.filter_map(move |rank| {
            let (gpu, owner) = only.iter().find(|(gpu, _)| rank.part.gpus.contains(gpu))?;
            let pid = rank.process.pid;
            Some(Broken {
                gpus: rank.part.gpus.clone(),
                pids: vec![pid],
                message: format!(
                    "trainer {pid} has contexts on GPUs {}, and GPU {gpu} is that of its sibling {owner}",
                    ranges(rank.part.gpus.iter().copied()),
                ),
                evidence: Evidence::from([
                    ("contexts", Value::Count(rank.part.gpus.len())),
                    ("siblings_gpu", Value::Count(*gpu as usize)),
                ]),
                remedy: Remedy::in_words(
                    "torch.cuda.set_device(local_rank) before the first use of CUDA, or CUDA_VISIBLE_DEVICES for each rank",
                ),
            })
        });
        strays.collect::<Vec<_>>()
    });
    broken.collect()
}
