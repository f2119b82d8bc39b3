//! A process with contexts on several GPUs, one of which is a sibling's only one.
//!
//! Why it costs: a rank that forgot torch.cuda.set_device holds memory on GPU 0, some 500 MiB and more, and copies through
//! it; and it belongs on several nodes at once, so that its verdict says less.
//!
//! What it cannot know: whether it is meant, as by peer access or a model that is spread by hand.
//!
//! What to do: torch.cuda.set_device(local_rank) before the first use of CUDA, or CUDA_VISIBLE_DEVICES for each rank.

use std::collections::BTreeMap;

use crate::audit::PlacedProcess;
use crate::audit::finding::{Evidence, Remedy, Severity, Value};
use crate::audit::rules::context::{gpus_of, pids_of};
use crate::audit::rules::words::{each, who};
use crate::audit::rules::{Rule, RuleContext, Violation};
use crate::units::{Pid, ranges};

pub(crate) const RULE: Rule = Rule {
    name: "stray-context",
    severity: Severity::Warning,
    text: include_str!("stray_context.rs"),
    check,
};

fn check(context: &RuleContext) -> Vec<Violation> {
    let jobs = context.jobs().into_iter();
    jobs.flat_map(|job| strays(&job)).collect()
}

/// Of one job: all that are on one sibling's GPU stand together.
fn strays(job: &[&PlacedProcess]) -> Vec<Violation> {
    let only = job
        .iter()
        .filter_map(|rank| match rank.membership.gpus.as_slice() {
            [gpu] => Some((*gpu, rank.process.pid)),
            _ => None,
        });
    let owners: BTreeMap<u32, Pid> = only.collect();
    let broken = owners.into_iter().filter_map(|(gpu, owner)| {
        let is_stray = |rank: &&&PlacedProcess| rank.membership.gpus.len() > 1 && rank.membership.gpus.contains(&gpu);
        let strays: Vec<&PlacedProcess> = job.iter().filter(is_stray).copied().collect();
        let gpus = gpus_of(&strays);
        let others: Vec<u32> = gpus.iter().copied().filter(|other| *other != gpu).collect();
        (!strays.is_empty()).then(|| Violation {
            message: format!(
                "{} {} a context on GPU {gpu}, which is that of {} sibling {owner}, besides {} own on {} {}",
                who(&strays),
                each(&strays, "has", "have"),
                each(&strays, "its", "their"),
                each(&strays, "its", "their"),
                if others.len() == 1 { "GPU" } else { "GPUs" },
                ranges(others),
            ),
            evidence: Evidence::from([
                ("siblings_gpu", Value::Count(gpu as usize)),
                ("sibling", Value::Pids(vec![owner])),
            ]),
            gpus,
            pids: pids_of(&strays),
            remedy: Remedy::in_words(
                "torch.cuda.set_device(local_rank) before the first use of CUDA, or CUDA_VISIBLE_DEVICES for each rank",
            ),
        })
    });
    broken.collect()
}
