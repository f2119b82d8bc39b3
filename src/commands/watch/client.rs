//! The screen's side of the observer: starts it, asks it, and takes its answers.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use super::question::Question;
use crate::commands::started_again;
use crate::document::Reply;

/// More than any answer has: some kilobytes for each process, and some hundred bytes for each thread of one.
const MOST_BYTES: usize = 256 << 20;

/// Asks for audits. It ends the observer when it is dropped.
pub(super) struct Client {
    /// How long the observer itself waits for an audit.
    limit: Duration,
    running: Option<Running>,
    asked_at: Option<Instant>,
    /// Killed, and not gone yet.
    ending: Vec<Child>,
}

struct Running {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    stderr: ChildStderr,
    /// What was read of an answer that is not complete.
    begun: Vec<u8>,
    errors: Vec<u8>,
}

impl Client {
    /// Nothing is started before the first question.
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            running: None,
            asked_at: None,
            ending: Vec::new(),
        }
    }

    /// Whether an answer is to come.
    pub(super) fn is_waiting(&self) -> bool {
        self.asked_at.is_some()
    }

    /// Asks for an audit, and starts the observer if there is none.
    ///
    /// # Errors
    /// Where it cannot be started or asked, with the reason. The next question starts another one.
    pub(super) fn ask(&mut self, question: Question) -> Result<(), String> {
        self.ending
            .retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        let running = match &mut self.running {
            Some(running) => running,
            None => {
                let started = Running::start();
                let started = started.map_err(|error| format!("cannot observe: {error}"))?;
                self.running.insert(started)
            }
        };
        // A line fits into an empty pipe: all earlier questions were answered.
        let asked = running.stdin.write_all(question.line().as_bytes());
        if !running.read() || asked.is_err() {
            let why = running.why_it_ended();
            self.stop();
            return Err(why);
        }
        self.asked_at = Some(Instant::now());
        Ok(())
    }

    /// Becomes readable when there may be an answer.
    pub(super) fn files(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let running = self.running.iter();
        running.flat_map(|running| [running.stdout.as_fd(), running.stderr.as_fd()])
    }

    /// The answer that has come, or why there is none.
    pub(super) fn answer(&mut self) -> Option<Reply> {
        /// The observer gives up earlier.
        const GRACE: Duration = Duration::from_secs(10);
        let running = self.running.as_mut()?;
        let is_open = running.read();
        if let Some(end) = running.begun.iter().position(|byte| *byte == b'\n') {
            let rest = running.begun.split_off(end + 1);
            let line = std::mem::replace(&mut running.begun, rest);
            self.asked_at = None;
            let reply = serde_json::from_slice(&line);
            return Some(reply.unwrap_or_else(|error| {
                Reply::Trouble(format!("cannot read the answer: {error}"))
            }));
        }
        let is_overdue = self
            .asked_at
            .is_some_and(|at| at.elapsed() > self.limit + GRACE);
        let text = match (is_open, is_overdue) {
            (true, false) => return None,
            (true, true) => "the process that observes does not answer".to_owned(),
            (false, _) => running.why_it_ended(),
        };
        self.stop();
        Some(Reply::Trouble(text))
    }

    /// Ends the observer, and with it what it started.
    fn stop(&mut self) {
        self.asked_at = None;
        if let Some(mut running) = self.running.take() {
            let _ = running.child.kill();
            self.ending.push(running.child);
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        /// Usually it takes less than a millisecond.
        const END: Duration = Duration::from_millis(200);
        self.stop();
        let start = Instant::now();
        while start.elapsed() < END && !self.ending.is_empty() {
            self.ending
                .retain_mut(|child| matches!(child.try_wait(), Ok(None)));
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Running {
    fn start() -> io::Result<Self> {
        let mut command = Command::new("/proc/self/exe");
        command.arg0(started_again::own_name());
        command.args(std::env::args_os().skip(1)).arg("--observer");
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // The keys of the terminal are for the screen alone.
        let mut child = command.process_group(0).spawn()?;
        let missing = || io::Error::other("a pipe is missing");
        let running = Self {
            stdin: child.stdin.take().ok_or_else(missing)?,
            stdout: child.stdout.take().ok_or_else(missing)?,
            stderr: child.stderr.take().ok_or_else(missing)?,
            child,
            begun: Vec::new(),
            errors: Vec::new(),
        };
        rustix::io::ioctl_fionbio(&running.stdout, true)?;
        rustix::io::ioctl_fionbio(&running.stderr, true)?;
        Ok(running)
    }

    /// Reads what is there. Returns whether more can come.
    fn read(&mut self) -> bool {
        let is_open = drain(&mut self.stdout, &mut self.begun);
        drain(&mut self.stderr, &mut self.errors);
        // Of many errors the last ones count.
        const MOST_ERRORS: usize = 16 << 10;
        let surplus = self.errors.len().saturating_sub(MOST_ERRORS);
        self.errors.drain(..surplus);
        is_open
    }

    fn why_it_ended(&mut self) -> String {
        let text = String::from_utf8_lossy(&self.errors);
        let last = text.lines().map(str::trim).rfind(|line| !line.is_empty());
        if let Some(line) = last {
            return line.strip_prefix("numa-audit: ").unwrap_or(line).to_owned();
        }
        match self.child.try_wait() {
            Ok(Some(status)) => format!("the process that observes ended ({status})"),
            _ => "the process that observes ended".to_owned(),
        }
    }
}

/// Reads what is there. Returns whether more can come.
fn drain(pipe: &mut impl Read, text: &mut Vec<u8>) -> bool {
    let mut chunk = vec![0; 64 << 10];
    loop {
        match pipe.read(&mut chunk) {
            Ok(0) => return false,
            Ok(size) if text.len() + size > MOST_BYTES => return false,
            Ok(size) => text.extend_from_slice(&chunk[..size]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
    }
}
