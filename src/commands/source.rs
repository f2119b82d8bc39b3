//! The machine and the processes that the arguments name.

use std::collections::BTreeSet;
use std::time::Duration;

use super::trouble::Trouble;
use super::{ask_nvml, guard};
use crate::cli::{MachineArgs, PidArgs};
use crate::machine::{Fact, Machine, Reason};
use crate::observe::{Patience, Source, Subjects};
use crate::units::Pid;

pub(super) fn source(arguments: &MachineArgs) -> Result<Source, Trouble> {
    let source = match &arguments.snapshot {
        Some(path) => Source::snapshot(path)?,
        None => Source::live(arguments.nvml.nvml_lib.clone()),
    };
    let patience = patience()?;
    let usual = patience.times(Source::USUAL_DEADLINE);
    Ok(source
        .in_child(guard::is_child())
        .asking_through(ask_nvml::invocation())
        .with_patience(patience)
        .within(arguments.deadline.unwrap_or(usual)))
}

/// See [`Patience`].
pub(super) fn patience() -> Result<Patience, Trouble> {
    let value = std::env::var_os(Patience::VARIABLE);
    let value = value.as_ref().map(|value| value.to_string_lossy());
    Ok(Patience::from_variable(value.as_deref())?)
}

/// How much longer than its own deadline an audit in another process may take before it is ended: it also starts, judges and
/// prints.
const GRACE: Duration = Duration::from_secs(10);

/// How long one audit in another process may take. Its own deadline usually ends it earlier; this one holds if that does not.
pub(super) fn limit(arguments: &MachineArgs, window: Duration) -> Result<Duration, Trouble> {
    let patience = patience()?;
    let usual = patience.times(Source::USUAL_DEADLINE);
    let deadline = arguments.deadline.unwrap_or(usual);
    Ok(deadline
        .saturating_add(window)
        .saturating_add(patience.times(GRACE)))
}

pub(super) fn subjects(arguments: &PidArgs) -> Subjects {
    if arguments.pid.is_empty() {
        Subjects::GpuUsers
    } else {
        Subjects::Named(arguments.pid.clone())
    }
}

/// Later than at the start, a process that was named and does not exist has ended: nothing is missing then.
pub(super) fn forget_ended(machine: &mut Machine) {
    let read: BTreeSet<Pid> = machine.processes.iter().map(|of| of.pid).collect();
    let has_ended = |pid: &Pid| !read.contains(pid);
    let named = machine.named.clone();
    machine.gaps.retain(|gap| {
        let is_end = matches!(gap.reason, Reason::Absent | Reason::Gone);
        let is_of_ended = gap
            .pid
            .is_some_and(|pid| named.contains(&pid) && has_ended(&pid));
        !(gap.fact == Fact::Process && is_end && is_of_ended)
    });
}

/// A PID that was typed and does not exist is a mistake, not a gap.
pub(super) fn ensure_named_are_there(machine: &Machine) -> Result<(), Trouble> {
    let read: BTreeSet<Pid> = machine.processes.iter().map(|of| of.pid).collect();
    let unseen = machine.gaps.iter().filter(|gap| gap.fact == Fact::Process);
    let mut unseen = unseen.filter_map(|gap| Some((gap.pid?, &gap.reason)));
    // NVML may list a PID of another namespace that a process here has too.
    let is_unread = |pid: &Pid| machine.named.contains(pid) && !read.contains(pid);
    match unseen.find(|(pid, _)| is_unread(pid)) {
        Some((pid, Reason::Absent | Reason::Gone)) => {
            Err(format!("there is no process {pid}").into())
        }
        // It exists, and the rest of the machine can be reported.
        Some((_, Reason::TimedOut(_) | Reason::Late(_))) => Ok(()),
        Some((pid, reason)) => Err(format!("process {pid} cannot be read: {reason}").into()),
        None => Ok(()),
    }
}
