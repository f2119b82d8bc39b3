//! Runs a command that reads processes in a child process that can be left behind.
//!
//! A process can keep its memory map locked without end, and the kernel lets no signal end a thread that waits for this
//! lock in move_pages(2), not even SIGKILL: neither does the thread's process end. So a child reads and judges, and this
//! process passes on what it prints. It ends as soon as the child has reported its exit code, even if some of the child's
//! threads cannot end. The child has no file of the caller open: the reader of a pipe is not kept waiting by it.

mod child;
mod parent;
mod signals;
mod task;

use std::os::fd::OwnedFd;

use rustix::pipe::{PipeFlags, pipe_with};

use super::trouble::Trouble;
use super::{code_of, streams_at_start};
use child::Fork;

pub(super) use child::is_child;
pub(super) use signals::Signals;
pub(super) use task::{Task, TaskEnd};

/// What the child writes, and what the parent reads.
struct Pipes<T> {
    output: T,
    errors: T,
    /// The exit code, as one byte, after all else.
    code: T,
}

/// Runs `work` in a child process and returns its exit code, or in this process where none can be started. Both processes
/// return from this function: the child then has nothing left to do. The child gets the signals `passed_on`; any other signal
/// that ends this process ends both.
///
/// # Errors
/// Where the output cannot be written, or the child ends without a code.
pub(super) fn run(
    passed_on: &[i32],
    work: impl FnOnce() -> Result<u8, Trouble>,
) -> Result<u8, Trouble> {
    // The child writes into pipes, and has to know what they lead to.
    streams_at_start::look_at_terminals();
    let Ok((reads, writes)) = pipes() else {
        return work();
    };
    match child::fork() {
        Ok(Fork::Child { parent }) => {
            drop(reads);
            let code = child::begin(&writes, parent).map(|()| code_of(work()));
            Ok(child::report(writes, code))
        }
        Ok(Fork::Parent { child }) => {
            drop(writes);
            parent::relay(child, reads, passed_on)
        }
        Err(_) => work(),
    }
}

/// Which of the two processes this is, after [`start`].
pub(super) enum Started {
    /// The child, which has done its work and has nothing left to do but to end with this code.
    Child(u8),
    /// The parent, which goes on.
    Parent(Task),
}

/// Does `work` in a child process, while this one goes on. Both processes return from this function.
///
/// # Errors
/// Where no process can be started.
pub(super) fn start(work: impl FnOnce() -> Result<u8, Trouble>) -> std::io::Result<Started> {
    let (reads, writes) = pipes()?;
    match child::fork()? {
        Fork::Child { parent } => {
            drop(reads);
            let code = child::begin(&writes, parent).map(|()| code_of(work()));
            Ok(Started::Child(child::report(writes, code)))
        }
        Fork::Parent { child } => {
            drop(writes);
            Ok(Started::Parent(Task::new(child, reads)?))
        }
    }
}

fn pipes() -> rustix::io::Result<(Pipes<OwnedFd>, Pipes<OwnedFd>)> {
    let pipe = || pipe_with(PipeFlags::CLOEXEC);
    let (output, errors, code) = (pipe()?, pipe()?, pipe()?);
    let reads = Pipes {
        output: output.0,
        errors: errors.0,
        code: code.0,
    };
    let writes = Pipes {
        output: output.1,
        errors: errors.1,
        code: code.1,
    };
    Ok((reads, writes))
}
