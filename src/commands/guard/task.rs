//! A child that works while its parent does something else.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions};

use super::Pipes;

/// More than any audit prints: some kilobytes for each process.
const MOST_BYTES: usize = 256 << 20;

/// The bytes that are read at once: a whole pipe.
const CHUNK: usize = 64 << 10;

/// A child at work.
pub(in crate::commands) struct Task {
    child: Pid,
    pipes: Pipes<OwnedFd>,
    output: Vec<u8>,
    errors: Vec<u8>,
    is_output_open: bool,
}

/// How a child's work ended.
pub(in crate::commands) struct TaskEnd {
    /// Its exit code; `None` where it ended without one.
    pub(in crate::commands) code: Option<u8>,
    /// What it wrote to standard output.
    pub(in crate::commands) output: Vec<u8>,
    /// What it wrote to standard error.
    pub(in crate::commands) errors: Vec<u8>,
    /// The process, which [`Task::reap`] may have to wait for.
    pub(in crate::commands) child: Pid,
}

impl Task {
    pub(super) fn new(child: Pid, pipes: Pipes<OwnedFd>) -> io::Result<Self> {
        for pipe in [&pipes.output, &pipes.errors, &pipes.code] {
            rustix::io::ioctl_fionbio(pipe, true)?;
        }
        Ok(Self {
            child,
            pipes,
            output: Vec::new(),
            errors: Vec::new(),
            is_output_open: true,
        })
    }

    /// The files that become readable when there is something for [`Task::end`] to do.
    pub(in crate::commands) fn files(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let output = self.is_output_open.then(|| self.pipes.output.as_fd());
        [self.pipes.code.as_fd()].into_iter().chain(output)
    }

    /// Reads what the child has written so far. Returns its end if it has come.
    pub(in crate::commands) fn end(&mut self) -> Option<TaskEnd> {
        let mut code = [0];
        let code = match rustix::io::read(&self.pipes.code, &mut code) {
            Ok(1) => Some(code[0]),
            Err(Errno::AGAIN | Errno::INTR) => {
                self.is_output_open &= drain(&self.pipes.output, &mut self.output);
                return None;
            }
            _ => None,
        };
        // All of it was written before the code.
        drain(&self.pipes.output, &mut self.output);
        drain(&self.pipes.errors, &mut self.errors);
        Some(TaskEnd {
            code,
            output: std::mem::take(&mut self.output),
            errors: std::mem::take(&mut self.errors),
            child: self.child,
        })
    }

    /// Ends the child, as far as the kernel lets it end.
    pub(in crate::commands) fn kill(self) -> Pid {
        let _ = rustix::process::kill_process(self.child, Signal::KILL);
        self.child
    }

    /// Whether this child has ended, and is gone now. It does not wait for it.
    pub(in crate::commands) fn reap(child: Pid) -> bool {
        !matches!(
            rustix::process::waitpid(Some(child), WaitOptions::NOHANG),
            Ok(None) | Err(Errno::INTR)
        )
    }
}

/// Reads what is there. Returns whether more can come.
fn drain(pipe: &OwnedFd, text: &mut Vec<u8>) -> bool {
    let mut chunk = vec![0; CHUNK];
    loop {
        match rustix::io::read(pipe, &mut chunk) {
            Ok(0) => return false,
            Ok(_) if text.len() > MOST_BYTES => {}
            Ok(size) => text.extend_from_slice(&chunk[..size]),
            Err(Errno::INTR) => {}
            Err(error) => return error == Errno::AGAIN,
        }
    }
}
