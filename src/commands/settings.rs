//! How to judge, from the arguments.

use std::collections::BTreeSet;
use std::path::Path;

use super::names::{gpu_named, job_named, rule_named, user_named};
use super::trouble::Trouble;
use crate::audit::place::Hints;
use crate::audit::{Limits, Scope, Settings};
use crate::cli::{HomeNodeArgs, JudgementArgs};
use crate::document::Expected;
use crate::machine::Machine;
use crate::observe::{read_expected, read_topology_file};
use crate::units::Bytes;

/// Without what is expected: that is read before the machine.
pub(super) fn settings(
    judgement: &JudgementArgs,
    home_nodes: &HomeNodeArgs,
    machine: &Machine,
) -> Result<Settings, Trouble> {
    let allowed = judgement.allow.iter();
    let allowed = allowed.map(|name| Ok(rule_named(name)?.name));
    Ok(Settings {
        limits: limits(judgement),
        scope: scope(judgement, machine)?,
        hints: hints(home_nodes, machine)?,
        strict_node: judgement.strict_node,
        allowed: allowed.collect::<Result<_, Trouble>>()?,
        ..Settings::default()
    })
}

/// How much memory may be off the local nodes.
pub(super) fn limits(judgement: &JudgementArgs) -> Limits {
    Limits {
        remote_percent: judgement.remote_percent,
        remote_bytes: Bytes(u64::from(judgement.remote_mib) << 20),
    }
}

/// The file of --expect.
pub(super) fn expected(file: Option<&Path>) -> Result<Option<Expected>, Trouble> {
    Ok(file.map(read_expected).transpose()?)
}

pub(super) fn hints(arguments: &HomeNodeArgs, machine: &Machine) -> Result<Hints, Trouble> {
    let mut hints = Hints::default();
    if let Some(path) = &arguments.topology {
        hints.places = read_topology_file(path)?;
    }
    let nodes = machine.topology.nodes();
    for given in &arguments.gpu_node {
        if let Some(node) = given.nodes.iter().find(|node| !nodes.contains_key(node)) {
            return Err(format!("no node {node} here, for GPU {:?}", given.gpu).into());
        }
        match gpu_named(&given.gpu, machine)? {
            Some(gpu) => drop(hints.overrides.insert(gpu, given.nodes.clone())),
            None => hints.unknown_gpus.push(given.gpu.clone()),
        }
    }
    Ok(hints)
}

fn scope(judgement: &JudgementArgs, machine: &Machine) -> Result<Scope, Trouble> {
    let (mut gpus, mut unknown_gpus) = (BTreeSet::new(), Vec::new());
    for name in &judgement.gpu {
        match gpu_named(name, machine)? {
            Some(gpu) => drop(gpus.insert(gpu)),
            None => unknown_gpus.push(name.clone()),
        }
    }
    let user = judgement.user.as_ref();
    let uid = user.map(|name| user_named(name, machine)).transpose()?;
    let job = judgement.job.as_deref();
    let job = job.map(job_named).transpose()?;
    Ok(Scope {
        gpus: (!judgement.gpu.is_empty()).then_some(gpus),
        unknown_gpus,
        uid,
        job,
    })
}
