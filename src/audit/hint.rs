//! What would help against a gap.

use crate::audit::place::GpuPlace;
use crate::machine::{Fact, Gap, Reason};
use crate::words::Origin;

/// What the advice depends on besides the gap.
pub(crate) struct Circumstances<'a> {
    pub(crate) gpus: &'a [GpuPlace],
    pub(crate) origin: Origin,
    /// Whether processes are a part of the document, and whether there are any.
    pub(crate) processes: Option<usize>,
}

/// What would help; `None` where nothing is known to help.
pub(crate) fn hint(gap: &Gap, around: &Circumstances) -> Option<&'static str> {
    let is_named = || {
        let mut gpus = around.gpus.iter();
        gpus.any(|gpu| gap.pid.is_some_and(|pid| gpu.used_by(pid).is_some()))
    };
    Some(match (&gap.fact, &gap.reason, around.origin) {
        (Fact::Driver, ..) => match around.processes? {
            0 => {
                "without an answer of the driver it is unknown which processes use a GPU: name processes with --pid PID, or \
                 a recording with --snapshot PATH"
            }
            // Processes were named with --pid.
            _ => "whether the processes use a GPU is unknown",
        },
        (Fact::Process, Reason::Absent, _) if is_named() => {
            "the driver lists it, and it is not visible here: it has ended, runs in another PID namespace, or is hidden \
             (hidepid)"
        }
        (_, Reason::Denied, Origin::Snapshot) => {
            "the user that made the recording was not permitted to read it"
        }
        (Fact::Memory | Fact::Environ, Reason::Denied, _) => {
            "run as its owner or as root (CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH)"
        }
        (_, Reason::Denied, _) => "run as root",
        (_, Reason::TimedOut(_), Origin::Live) => {
            "it is stuck in the kernel (/proc/PID/stack may show where)"
        }
        (_, Reason::Late(_), _) => "--deadline gives more time",
        _ => return None,
    })
}
