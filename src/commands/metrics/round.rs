//! One audit in a process of its own.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::commands::guard::Signals;
use crate::commands::started_again;
use crate::commands::waiting::wait;

/// More than any audit prints: a GPU has some kilobytes.
const MOST_BYTES: usize = 16 << 20;

/// The longest wait between two looks at what cannot be polled for.
const LOOK: Duration = Duration::from_millis(20);

/// How one audit ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// With this text.
    Text(Vec<u8>),
    /// With an exit code that is not 0. It has printed why.
    Refused,
    /// Otherwise, for this reason.
    Failed(String),
    /// A signal came that ends this program.
    Signal(i32),
}

/// Starts audits, and ends those that take too long.
pub(super) struct Rounds {
    arguments: Vec<OsString>,
    /// How long one may take.
    limit: Duration,
    /// Killed and not ended yet: a process that the kernel lets wait is not waited for here.
    ending: Vec<Child>,
}

impl Rounds {
    /// Audits by the arguments of this process.
    pub(super) fn new(limit: Duration) -> Self {
        let once = OsString::from("--once");
        Self {
            arguments: std::env::args_os().skip(1).chain([once]).collect(),
            limit,
            ending: Vec::new(),
        }
    }

    /// Audits once.
    pub(super) fn audit(&mut self, signals: &Signals) -> Outcome {
        self.ending.retain_mut(|child| has_ended(child).is_none());
        let mut child = match self.start() {
            Ok(child) => child,
            Err(error) => return Outcome::Failed(format!("cannot start an audit: {error}")),
        };
        let until = Instant::now() + self.limit;
        let outcome = match child.stdout.take() {
            Some(stdout) => self.outcome(&mut child, stdout, signals, until),
            None => Outcome::Failed("an audit has no output".to_owned()),
        };
        if has_ended(&mut child).is_none() {
            // The guard's child and the one that asks NVML end with it.
            let _ = child.kill();
            self.ending.push(child);
        }
        outcome
    }

    fn start(&self) -> io::Result<Child> {
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0(started_again::own_name())
            .args(&self.arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        // This process decides which signals end it.
        command.process_group(0).spawn()
    }

    fn outcome(
        &self,
        child: &mut Child,
        mut stdout: ChildStdout,
        signals: &Signals,
        until: Instant,
    ) -> Outcome {
        let mut text = Vec::new();
        let mut is_open = true;
        if let Err(error) = rustix::io::ioctl_fionbio(&stdout, true) {
            return Outcome::Failed(format!("cannot read an audit: {error}"));
        }
        loop {
            if let Some(signal) = signals.take() {
                return Outcome::Signal(signal);
            }
            if Instant::now() >= until {
                let limit = humantime::format_duration(self.limit);
                return Outcome::Failed(format!("an audit did not end within {limit}"));
            }
            if is_open {
                wait(&[signals.file(), stdout.as_fd()], until);
                match read(&mut stdout, &mut text) {
                    Ok(open) => is_open = open,
                    Err(error) => return Outcome::Failed(format!("cannot read an audit: {error}")),
                }
            } else if let Some(status) = has_ended(child) {
                return ended(status, text);
            } else {
                wait(&[signals.file()], until.min(Instant::now() + LOOK));
            }
        }
    }
}

/// Waits for a signal until `then`. Returns it.
pub(super) fn wait_for_signal(signals: &Signals, then: Instant) -> Option<i32> {
    loop {
        let signal = signals.take();
        if signal.is_some() || Instant::now() >= then {
            return signal;
        }
        wait(&[signals.file()], then);
    }
}

/// Reads what is there. Returns whether more can come.
fn read(stdout: &mut ChildStdout, text: &mut Vec<u8>) -> io::Result<bool> {
    let mut chunk = [0; 16 << 10];
    loop {
        match stdout.read(&mut chunk) {
            Ok(0) => return Ok(false),
            Ok(size) if text.len() + size > MOST_BYTES => {
                return Err(io::Error::other("it prints too much"));
            }
            Ok(size) => text.extend_from_slice(&chunk[..size]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) => return Err(error),
        }
    }
}

fn ended(status: ExitStatus, text: Vec<u8>) -> Outcome {
    match status.code() {
        Some(0) if !text.is_empty() => Outcome::Text(text),
        Some(_) => Outcome::Refused,
        None => Outcome::Failed(format!("an audit ended by {status}")),
    }
}

/// One that cannot be asked for counts as ended.
fn has_ended(child: &mut Child) -> Option<ExitStatus> {
    child
        .try_wait()
        .unwrap_or_else(|_| Some(ExitStatus::default()))
}
