//! What was typed, as the library takes it.

use std::collections::BTreeSet;

use crate::audit::place::home::Hints;
use crate::audit::rules::Rule;
use crate::audit::{Limits, Scope, Settings};
use crate::cli::{Cli, Judge, MemoryHow};
use crate::document::outline::Expected;
use crate::machine::gpu::Gpu;
use crate::machine::{Machine, Origin};
use crate::observe::{
    Invocation, MemoryReading, Patience, Source, Subjects, read_expected, read_topology_file,
    user_number,
};
use crate::units::{Bytes, PciAddress, Pid, ranges};

use super::Trouble;

/// How to judge this machine.
pub fn settings(
    cli: &Cli,
    judge: &Judge,
    expected: Option<Expected>,
    machine: &Machine,
) -> Result<Settings, Trouble> {
    let default = Limits::default();
    let mib = judge.remote_mib.map(|mib| Bytes(u64::from(mib) << 20));
    let allowed = judge.allow.iter().map(|name| Ok(rule_named(name)?.name));
    Ok(Settings {
        limits: Limits {
            remote_percent: judge.remote_percent.unwrap_or(default.remote_percent),
            remote_bytes: mib.unwrap_or(default.remote_bytes),
        },
        scope: scope(judge, machine)?,
        hints: hints(cli, machine)?,
        strict_node: judge.strict_node,
        expected,
        allowed: allowed.collect::<Result<_, Trouble>>()?,
    })
}

pub fn rule_named(name: &str) -> Result<&'static Rule, Trouble> {
    Rule::named(name).ok_or_else(|| format!("no rule {name:?}: numa-audit rules lists them").into())
}

pub fn source(cli: &Cli) -> Result<Source, Trouble> {
    let source = match &cli.from.snapshot {
        Some(path) => Source::snapshot(path)?,
        None => Source::live(cli.from.nvml_lib.clone()),
    };
    let source = source.asking_through(oneself());
    let patience = patience()?;
    let usual = patience.times(Source::USUAL_DEADLINE);
    let source = source.patience(patience);
    let source = source.within(cli.from.deadline.unwrap_or(usual));
    Ok(
        source.reading_memory(match cli.from.memory.unwrap_or_default() {
            MemoryHow::Sample => MemoryReading::Sample,
            MemoryHow::Exact => MemoryReading::Exact,
            MemoryHow::None => MemoryReading::None,
        }),
    )
}

/// See [`Patience`].
pub fn patience() -> Result<Patience, Trouble> {
    let value = std::env::var_os(Patience::VARIABLE);
    let value = value.as_ref().map(|value| value.to_string_lossy());
    Ok(Patience::from_variable(value.as_deref())?)
}

/// What this machine is to equal, if that was asked for.
pub fn expected(cli: &Cli) -> Result<Option<Expected>, Trouble> {
    let file = cli.places.expect.as_deref();
    Ok(file.map(read_expected).transpose()?)
}

/// This program as one that asks NVML. The link leads to what is running, even if that was replaced or deleted since, or
/// never had a name.
pub fn oneself() -> Invocation {
    Invocation {
        program: "/proc/self/exe".into(),
        arguments: vec!["ask-nvml".to_owned()],
    }
}

pub fn subjects(cli: &Cli) -> Subjects {
    match cli.from.pid.as_slice() {
        [] => Subjects::GpuUsers,
        pids => Subjects::Named(pids.iter().copied().map(Pid).collect()),
    }
}

pub fn hints(cli: &Cli, machine: &Machine) -> Result<Hints, Trouble> {
    let mut hints = Hints::default();
    if let Some(path) = &cli.places.topology {
        hints.places = read_topology_file(path)?;
    }
    for given in &cli.places.gpu_node {
        if let Some(node) = given
            .nodes
            .iter()
            .find(|node| !machine.topology.nodes().contains_key(node))
        {
            return Err(format!("no node {node} here, for GPU {:?}", given.gpu).into());
        }
        hints
            .overrides
            .insert(gpu_named(&given.gpu, machine)?, given.nodes.clone());
    }
    Ok(hints)
}

fn scope(judge: &Judge, machine: &Machine) -> Result<Scope, Trouble> {
    let gpus = judge.gpu.iter().map(|name| gpu_named(name, machine));
    let gpus = gpus.collect::<Result<BTreeSet<u32>, Trouble>>()?;
    let uid = judge.user.as_ref().map(|name| user_named(name, machine));
    Ok(Scope {
        gpus: (!judge.gpu.is_empty()).then_some(gpus),
        uid: uid.transpose()?,
    })
}

/// A GPU by its index, its PCI address, or its UUID, of which the beginning is enough.
fn gpu_named(name: &str, machine: &Machine) -> Result<u32, Trouble> {
    let address = name.parse::<PciAddress>().ok();
    let index = name.parse::<u32>().ok();
    let matches = |gpu: &&Gpu| {
        let by_uuid = gpu
            .uuid
            .as_ref()
            .is_some_and(|uuid| name.len() > 4 && uuid.starts_with(name));
        by_uuid || index == Some(gpu.index) || (address.is_some() && gpu.address == address)
    };
    let found: Vec<u32> = machine
        .gpus
        .iter()
        .filter(matches)
        .map(|gpu| gpu.index)
        .collect();
    match found.as_slice() {
        [one] => Ok(*one),
        [] if machine.gpus.is_empty() => {
            Err(format!("no GPU {name:?}: there is none at all").into())
        }
        [] => {
            let there = ranges(machine.gpus.iter().map(|gpu| gpu.index));
            Err(format!("no GPU {name:?}: there are {there}").into())
        }
        _ => Err(format!("{name:?} begins the UUIDs of several GPUs").into()),
    }
}

fn user_named(name: &str, machine: &Machine) -> Result<u32, Trouble> {
    let patience = patience()?;
    let named = machine.users.iter().find(|(_, user)| *user == name);
    let named = named.map(|(uid, _)| *uid).or_else(|| {
        // One who has no process here.
        let is_live = machine.host.origin == Origin::Live;
        is_live.then(|| user_number(name, patience)).flatten()
    });
    match (named, name.parse()) {
        (Some(uid), _) => Ok(uid),
        (None, Ok(uid)) => Ok(uid),
        (None, Err(_)) => Err(format!("no user {name:?} is known here").into()),
    }
}
