//! The parent's side: passes on what the child writes, and signals.

use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions};
use signal_hook::low_level::emulate_default_handler;

use super::Pipes;
use super::signals::Signals;
use crate::commands::trouble::Trouble;
use crate::observe::own_process;

/// The time between two checks whether the child has ended without closing its pipes: one of its threads cannot end.
const ROUND: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

/// The bytes that are passed on at once: a whole pipe.
const CHUNK: usize = 64 << 10;

/// How long to wait for the end of a child that has reported its code. Usually it takes less than a millisecond.
const END: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 500_000_000,
};

/// Passes on the child's output until it has reported its exit code, and these signals to the child.
///
/// # Errors
/// Where the output cannot be written, or the child ended without a code.
pub(super) fn relay(child: Pid, pipes: Pipes<OwnedFd>, signals: &[i32]) -> Result<u8, Trouble> {
    for pipe in [&pipes.output, &pipes.errors, &pipes.code] {
        rustix::io::ioctl_fionbio(pipe, true)?;
    }
    let mut relay = Relay {
        child,
        pipes,
        // Without them a signal ends this process, and with it the child.
        signals: Signals::hold(signals).ok(),
        passed_on: None,
        output: Ok(()),
        buffer: vec![0; CHUNK],
    };
    let end = relay.wait_for_code();
    relay.pass_on_output();
    match end {
        End::Code(code) => {
            relay.wait_for_end();
            relay.output.map(|()| code)
        }
        End::Closed => Err(relay.why_it_ended(WaitOptions::empty())),
        // Its status is only to be had once all its threads have ended.
        End::Stuck => Err(relay.why_it_ended(WaitOptions::NOHANG)),
    }
}

/// How the work of the child ended.
enum End {
    /// It reported this code.
    Code(u8),
    /// It closed its files without a code.
    Closed,
    /// Its main thread ended without a code, and another thread cannot end.
    Stuck,
}

struct Relay {
    child: Pid,
    pipes: Pipes<OwnedFd>,
    signals: Option<Signals>,
    /// The last signal that was passed on.
    passed_on: Option<i32>,
    /// Why nothing more can be written to standard output.
    output: Result<(), Trouble>,
    buffer: Vec<u8>,
}

impl Relay {
    fn wait_for_code(&mut self) -> End {
        loop {
            let is_idle = !self.wait();
            if let Some(signal) = self.signals.as_ref().and_then(Signals::take) {
                self.pass_on_signal(signal);
            }
            self.pass_on_output();
            let mut code = [0];
            match rustix::io::read(&self.pipes.code, &mut code) {
                Ok(1) => return End::Code(code[0]),
                Err(Errno::AGAIN | Errno::INTR) => {}
                _ => return End::Closed,
            }
            let pid = self.child.as_raw_nonzero().get().unsigned_abs();
            if is_idle && own_process::has_ended_main_thread(pid) {
                return End::Stuck;
            }
        }
    }

    /// Waits until there is something to do, for a while. Returns whether there is.
    fn wait(&self) -> bool {
        let readable = |file| PollFd::from_borrowed_fd(file, PollFlags::IN);
        let pipes = &self.pipes;
        let mut files = vec![readable(pipes.code.as_fd())];
        files.extend(
            self.signals
                .as_ref()
                .map(|signals| readable(signals.file())),
        );
        files.extend([&pipes.output, &pipes.errors].map(|pipe| readable(pipe.as_fd())));
        poll(&mut files, Some(&ROUND)).is_ok_and(|ready| ready > 0)
    }

    fn pass_on_signal(&mut self, number: i32) {
        // Real-time signals have no names.
        let signal = Signal::from_named_raw(number).unwrap_or(Signal::TERM);
        self.passed_on = Some(signal.as_raw());
        let _ = rustix::process::kill_process(self.child, signal);
    }

    /// Passes on what the child has written so far.
    fn pass_on_output(&mut self) {
        while let Some(size) = read(&self.pipes.errors, &mut self.buffer) {
            let _ = io::stderr().write_all(&self.buffer[..size]);
        }
        while let Some(size) = read(&self.pipes.output, &mut self.buffer) {
            if self.output.is_ok() {
                self.output = write(&self.buffer[..size]);
            }
        }
    }

    /// Waits for the child's end, so that it is not left as a zombie and its CPU time is counted. Threads that cannot end are
    /// not waited for.
    fn wait_for_end(&self) {
        let mut files = [PollFd::new(&self.pipes.code, PollFlags::IN)];
        if poll(&mut files, Some(&END)).is_ok_and(|ready| ready > 0) {
            // Its files are closed: it is about to end.
            let _ = rustix::process::waitpid(Some(self.child), WaitOptions::empty());
        }
    }

    /// Ends this process by the signal that ended the child; else returns what to report.
    fn why_it_ended(&self, options: WaitOptions) -> Trouble {
        let status = rustix::process::waitpid(Some(self.child), options);
        let status = status.ok().flatten().map(|(_, status)| status);
        let signal = match status {
            Some(status) => status.terminating_signal(),
            None => self.passed_on,
        };
        if let Some(signal) = signal.filter(|_| signal == self.passed_on) {
            let _ = emulate_default_handler(signal);
        }
        match signal {
            Some(libc::SIGKILL) => {
                "the process that reads was killed (signal 9), perhaps for lack of memory".into()
            }
            Some(signal) => format!("the process that reads crashed (signal {signal})").into(),
            None => "the process that reads ended early".into(),
        }
    }
}

/// Reads what is there; `None` where nothing is.
fn read(pipe: &OwnedFd, buffer: &mut [u8]) -> Option<usize> {
    let size = rustix::io::retry_on_intr(|| rustix::io::read(pipe, &mut *buffer));
    size.ok().filter(|size| *size > 0)
}

/// Writes to standard output. A reader that closes the pipe early is not an error.
fn write(bytes: &[u8]) -> Result<(), Trouble> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(format!("cannot write the output: {error}").into())
        }
        _ => Ok(()),
    }
}
