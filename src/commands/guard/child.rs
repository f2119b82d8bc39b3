//! The child's side.

#![allow(unsafe_code)] // For fork(2).

use std::io;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal};

use super::Pipes;
use crate::commands::exit_code;
use crate::observe::own_process;

/// How long to wait for the end of children that were killed. One that is blocked in the driver is left behind.
const END_OF_CHILDREN: Duration = Duration::from_millis(400);

static IS_CHILD: AtomicBool = AtomicBool::new(false);

/// Whether this process was started by [`super::run`].
pub(in crate::commands) fn is_child() -> bool {
    IS_CHILD.load(Ordering::Relaxed)
}

/// Which of the two processes this is.
pub(super) enum Fork {
    Parent { child: Pid },
    Child { parent: Pid },
}

/// Divides this process in two.
///
/// # Errors
/// Where no process can be started, or this one has other threads: only the calling thread goes on in the child, and locks
/// that the others hold would never be released there.
pub(super) fn fork() -> io::Result<Fork> {
    if !own_process::is_single_threaded()? {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let parent = rustix::process::getpid();
    // SAFETY: this is the only thread.
    match unsafe { libc::fork() } {
        0 => Ok(Fork::Child { parent }),
        child => match Pid::from_raw(child) {
            Some(child) if child.as_raw_nonzero().get() > 0 => Ok(Fork::Parent { child }),
            _ => Err(io::Error::last_os_error()),
        },
    }
}

/// Makes this process independent of the caller's files and terminal, and lets it end when `parent` ends.
pub(super) fn begin(pipes: &Pipes<OwnedFd>, parent: Pid) -> io::Result<()> {
    IS_CHILD.store(true, Ordering::Relaxed);
    // Later runs find it by this name, also where the program was started as /proc/self/exe.
    let _ = rustix::thread::set_name(c"numa-audit");
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if rustix::process::getppid() != Some(parent) {
        // It ended before the death signal was set.
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    // The parent passes on the terminal's signals. Both would get them in one group.
    let _ = rustix::process::setpgid(None, None);
    own_process::close_standard_input()?;
    rustix::stdio::dup2_stdout(&pipes.output)?;
    rustix::stdio::dup2_stderr(&pipes.errors)?;
    Ok(())
}

/// Reports the exit code, after all output. Returns the code of this process.
pub(super) fn report(pipes: Pipes<OwnedFd>, code: io::Result<u8>) -> u8 {
    let code = code.unwrap_or(exit_code::COULD_NOT_RUN);
    // Where nobody reads it, nothing is left to do.
    let _ = rustix::io::write(&pipes.code, &[code]);
    // The child that asks NVML was killed, and takes a moment to end.
    own_process::wait_for_children(END_OF_CHILDREN);
    // The end of this pipe shows the parent that all threads have ended: only the kernel may close it.
    let _ = pipes.code.into_raw_fd();
    code
}
