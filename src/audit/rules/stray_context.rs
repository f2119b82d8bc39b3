//! A rank has contexts on several GPUs, and one of these GPUs is the only GPU of another rank of the same job.
//!
//! Why it costs: a rank that does not call torch.cuda.set_device holds memory on GPU 0 (500 MiB or more) and copies through
//! it. It then belongs on several nodes at once, so its verdict says less.
//!
//! What it cannot know: whether it is intended, for example for peer access or for a model that is spread over GPUs.
//!
//! What to do: call torch.cuda.set_device(local_rank) before the first use of CUDA, or set CUDA_VISIBLE_DEVICES for each
//! rank.

use std::collections::BTreeMap;

use crate::audit::finding::{Evidence, Remedy, Severity, Value};
use crate::audit::rules::{Group, Rule, RuleContext, Violation, gpu_names};
use crate::units::Pid;

pub(crate) const RULE: Rule = Rule {
    name: "stray-context",
    severity: Severity::Warning,
    text: include_str!("stray_context.rs"),
    check,
};

fn check(context: &RuleContext) -> Vec<Violation> {
    context.jobs().iter().flat_map(violations).collect()
}

/// One violation for each GPU on which ranks have stray contexts.
fn violations(job: &Group) -> Vec<Violation> {
    let owners: BTreeMap<u32, Pid> = job
        .iter()
        .filter_map(|rank| match rank.membership.gpus.as_slice() {
            [gpu] => Some((*gpu, rank.process.pid)),
            _ => None,
        })
        .collect();
    owners
        .into_iter()
        .filter_map(|(gpu, owner)| violation(job, gpu, owner))
        .collect()
}

fn violation(job: &Group, gpu: u32, owner: Pid) -> Option<Violation> {
    let strays = job.iter().filter(|rank| {
        let gpus = &rank.membership.gpus;
        gpus.len() > 1 && gpus.contains(&gpu)
    });
    let strays = Group::new(strays.collect())?;
    let mut own = strays.gpus();
    own.retain(|other| *other != gpu);
    let message = format!(
        "{} {} a context on GPU {gpu}, which belongs to trainer {owner} of the same job, besides {} own {}",
        strays.names(),
        strays.agree("has", "have"),
        strays.agree("its", "their"),
        gpu_names(&own),
    );
    let evidence = Evidence::from([
        ("siblings_gpu", Value::Count(gpu as usize)),
        ("sibling", Value::Pids(vec![owner])),
    ]);
    let remedy = Remedy::in_words(
        "call torch.cuda.set_device(local_rank) before the first use of CUDA, or set CUDA_VISIBLE_DEVICES for each rank",
    );
    Some(Violation::by(&strays, message, evidence, remedy))
}
