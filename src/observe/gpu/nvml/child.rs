//! Queries NVML in a child process, so that a library that crashes or never returns only costs its own answer.
//!
//! The program starts itself again as the child and reads its output, one line for each [`NvmlMessage`]. A child that takes
//! too long is killed, without waiting for its end: one that is blocked uninterruptibly in the driver ends when the driver
//! returns. A GPU that does not answer only costs its own answer: another child queries the GPUs after it.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal};

use crate::machine::{DriverAnswer, DriverGpu, MOST_GPUS};
use crate::observe::deadline::Deadline;
use crate::observe::gpu::nvml::query::query;
use crate::observe::gpu::nvml::{NvmlMessage, failed_gpu};
use crate::observe::own_process;
use crate::observe::patience::Patience;
use crate::observe::process::left_behind;
use crate::units::seconds;

/// After this many failed attempts the remaining GPUs are not queried.
const MOST_FAILURES: usize = 3;
/// The most bytes that are read from one child.
const LARGEST: u64 = 64 << 20;

#[derive(Debug, Clone)]
pub(crate) struct NvmlClient {
    /// The library's path; `None` to search for it.
    pub(crate) library: Option<PathBuf>,
    /// The program of the child, which has to call [`answer`]; `None` to query in this process, on a thread.
    pub(crate) program: Option<Invocation>,
    /// How long the library may be silent.
    pub(crate) patience: Patience,
}

/// A program with its first arguments. These are added to them: the PID of this process, the index of the first GPU, `--`, and
/// the library's path if one was given.
#[derive(Debug, Clone)]
pub(crate) struct Invocation {
    /// The program's path.
    pub(crate) program: PathBuf,
    /// The arguments by which it calls [`answer`].
    pub(crate) arguments: Vec<String>,
}

/// A query that has been prepared, or is in progress: a child asks nothing before [`NvmlQuery::begin`].
#[derive(Debug)]
pub(crate) struct NvmlQuery {
    client: NvmlClient,
    attempt: Attempt,
}

/// One child, or one thread, that queries the driver.
#[derive(Debug)]
struct Attempt {
    messages: Receiver<(NvmlMessage, Instant)>,
    child: Option<Child>,
    /// The child waits for this to be closed before it asks.
    waits_for: Option<ChildStdin>,
    patience: Patience,
    has_started: bool,
    last_message: Instant,
}

/// The driver's complete answer.
#[derive(Debug, Default)]
pub(crate) struct NvmlReply {
    /// GPUs that did not answer have an error.
    pub(crate) answer: DriverAnswer,
    /// The time of each GPU's answer.
    pub(crate) answered_at: Vec<Instant>,
    /// Whether reads of the driver's files below `/proc` do not block.
    pub(crate) files_answer: bool,
}

impl NvmlClient {
    /// Prepares the query: a child takes some milliseconds to start.
    pub(crate) fn prepare(self) -> NvmlQuery {
        NvmlQuery {
            attempt: Attempt::from(&self, 0),
            client: self,
        }
    }
}

enum AttemptEnd {
    /// The answer is complete.
    Complete,
    Failed(String),
    /// The child was not this program: it ended without a message.
    OtherProgram,
}

impl NvmlQuery {
    /// Lets the child ask the driver.
    pub(crate) fn begin(&mut self) {
        self.attempt.waits_for = None;
        // The driver's time begins now.
        self.attempt.last_message = Instant::now();
    }

    /// Ends the query before it has begun: the reply has this error.
    pub(crate) fn refuse(mut self, why: String) -> NvmlReply {
        self.attempt.stop();
        let mut received = Received::default();
        received.driver.error = Some(why);
        received.into_reply()
    }

    /// Waits for the rest of the answer.
    pub(crate) fn finish(mut self, deadline: Deadline) -> NvmlReply {
        let mut failures = 0;
        let mut received = Received::default();
        loop {
            let take = |message, at| received.take(message, at);
            let end = self.attempt.receive(deadline, take);
            self.attempt.stop();
            let end = match received.refusal.take() {
                Some(why) => AttemptEnd::Failed(why),
                None => end,
            };
            match end {
                AttemptEnd::Complete => break,
                AttemptEnd::OtherProgram => {
                    self.client.program = None;
                    self.attempt = Attempt::from(&self.client, received.next());
                    self.begin();
                }
                AttemptEnd::Failed(why) => {
                    failures += 1;
                    let gives_up = failures >= MOST_FAILURES || deadline.is_over();
                    if received.skip(why, gives_up) {
                        break;
                    }
                    self.attempt = Attempt::from(&self.client, received.next());
                    self.begin();
                }
            }
        }
        received.into_reply()
    }
}

/// What the attempts have answered together.
#[derive(Debug, Default)]
struct Received {
    driver: DriverAnswer,
    /// The number of GPUs; `None` until the driver has answered.
    count: Option<u32>,
    gpus: Vec<DriverGpu>,
    /// The time of each GPU's answer.
    answered_at: Vec<Instant>,
    files_answer: bool,
    /// Why the driver refused a later attempt.
    refusal: Option<String>,
}

impl Received {
    /// Returns whether this was the last message of the attempt.
    fn take(&mut self, message: NvmlMessage, at: Instant) -> bool {
        match message {
            NvmlMessage::Started => false,
            NvmlMessage::FilesAnswer => {
                self.files_answer = true;
                false
            }
            // A later attempt may get another answer, which does not replace the first.
            NvmlMessage::Driver(driver, _) if self.count.is_some() => {
                self.refusal = driver.error;
                self.refusal.is_some()
            }
            NvmlMessage::Driver(driver, gpu_count) => {
                self.driver = driver;
                // The child's output is not trusted more than the library.
                self.count = Some(gpu_count.min(MOST_GPUS));
                self.is_complete()
            }
            NvmlMessage::Gpu(gpu) => {
                self.gpus.push(gpu);
                self.answered_at.push(at);
                self.is_complete()
            }
        }
    }

    /// The index of the first GPU without an answer.
    fn next(&self) -> u32 {
        self.gpus.len() as u32
    }

    fn is_complete(&self) -> bool {
        self.count.is_some_and(|count| count <= self.next())
    }

    /// Skips the GPU that failed, or all that are left. Returns whether nothing is left to query.
    fn skip(&mut self, why: String, all: bool) -> bool {
        let Some(count) = self.count else {
            self.driver.error = Some(why);
            return true;
        };
        let end = if all {
            count
        } else {
            count.min(self.next() + 1)
        };
        for index in self.next()..end {
            self.gpus.push(failed_gpu(index, why.clone()));
            self.answered_at.push(Instant::now());
        }
        self.is_complete()
    }

    fn into_reply(self) -> NvmlReply {
        let mut answer = self.driver;
        if answer.error.is_none() {
            answer.gpus = Some(self.gpus);
        }
        NvmlReply {
            answer,
            answered_at: self.answered_at,
            files_answer: self.files_answer,
        }
    }
}

impl Attempt {
    /// Queries the GPUs from this index on.
    fn from(client: &NvmlClient, index: u32) -> Self {
        let (sender, messages) = mpsc::channel();
        let library = client.library.clone();
        let program = client.program.as_ref();
        let child = program.and_then(|program| run(program, index, library.as_deref()).ok());
        let mut child = child;
        let lines = child.as_mut().and_then(|child| child.stdout.take());
        let waits_for = child.as_mut().and_then(|child| child.stdin.take());
        let has_started = child.is_none();
        let thread = std::thread::Builder::new().name("driver".into());
        // Where no thread can be started the channel is closed, which `receive` reports.
        let _ = thread.spawn(move || match lines {
            Some(lines) => forward(lines, &sender),
            None => {
                let send = |message| drop(sender.send((message, Instant::now())));
                query(library.as_deref(), index, &mut { send });
            }
        });
        Self {
            messages,
            child,
            waits_for,
            patience: client.patience,
            has_started,
            last_message: Instant::now(),
        }
    }

    /// Calls `take` with each message until it returns true for the last one.
    fn receive(
        &mut self,
        deadline: Deadline,
        mut take: impl FnMut(NvmlMessage, Instant) -> bool,
    ) -> AttemptEnd {
        loop {
            let patience = if self.has_started {
                self.patience.driver()
            } else {
                self.patience.start_of_child()
            };
            let wait = patience.saturating_sub(self.last_message.elapsed());
            let is_late = deadline.left() < wait;
            match self.messages.recv_timeout(wait.min(deadline.left())) {
                Ok((message, at)) => {
                    self.has_started = true;
                    self.last_message = self.last_message.max(at);
                    if take(message, at) {
                        return AttemptEnd::Complete;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    let wait = if is_late { deadline.allowed } else { patience };
                    return AttemptEnd::Failed(format!(
                        "the driver did not answer within {}",
                        seconds(wait)
                    ));
                }
                Err(RecvTimeoutError::Disconnected) if !self.has_started => {
                    return AttemptEnd::OtherProgram;
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return AttemptEnd::Failed(self.how_it_ended());
                }
            }
        }
    }

    /// Why the channel was closed.
    fn how_it_ended(&mut self) -> String {
        use std::os::unix::process::ExitStatusExt;
        let Some(child) = &mut self.child else {
            return "the driver could not be queried: neither a process nor a thread could be started".to_owned();
        };
        let status = status(child, self.patience);
        if status.is_some() {
            // From here on another process may have its PID.
            self.child = None;
        }
        match status.and_then(|status| status.signal()) {
            Some(signal) => format!("the driver's library crashed (signal {signal})"),
            None => "the driver's library ended the process that queried it".to_owned(),
        }
    }

    /// Kills the child and the processes that the library started there, without waiting for their end.
    fn stop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        // The child leads its own session.
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let _ = group.map(|group| rustix::process::kill_process_group(group, Signal::KILL));
        let _ = child.kill();
        if matches!(child.try_wait(), Ok(None)) {
            // A program that uses this crate as a library must not keep a zombie.
            let reaper = std::thread::Builder::new().name("reaper".into());
            let _ = reaper.spawn(move || child.wait());
        }
    }
}

/// The exit status of a child that has just closed its output.
fn status(child: &mut Child, patience: Patience) -> Option<ExitStatus> {
    let start = Instant::now();
    while start.elapsed() < patience.end_of_child() {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    None
}

fn run(invocation: &Invocation, from: u32, library: Option<&Path>) -> std::io::Result<Child> {
    let mut command = Command::new(&invocation.program);
    command
        .args(&invocation.arguments)
        .arg(std::process::id().to_string())
        .arg(from.to_string())
        .arg("--")
        .args(library.map(Path::as_os_str))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // The library may print errors that it also returns.
        .stderr(Stdio::null());
    command.spawn()
}

/// Sends on the messages that the child writes.
fn forward(lines: ChildStdout, sender: &Sender<(NvmlMessage, Instant)>) {
    let mut lines = BufReader::new(lines.take(LARGEST));
    let mut line = Vec::new();
    while lines
        .read_until(b'\n', &mut line)
        .is_ok_and(|size| size > 0)
    {
        let Ok(message) = serde_json::from_slice(&line) else {
            return;
        };
        if sender.send((message, Instant::now())).is_err() {
            return;
        }
        line.clear();
    }
}

/// Waits until the parent lets this process ask, and replaces standard input by `/dev/null`.
fn wait_for_end_of_input() -> std::io::Result<()> {
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    own_process::close_standard_input()
}

/// Takes standard output for the messages alone: what the library prints, or a program that it starts, goes to `/dev/null`.
fn take_standard_output() -> std::io::Result<File> {
    /// The first descriptor that is not a standard one.
    const FIRST_OTHER: i32 = 3;
    let own = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), FIRST_OTHER)?;
    rustix::stdio::dup2_stdout(File::options().write(true).open("/dev/null")?)?;
    Ok(File::from(own))
}

/// The child's part: writes one line for each message to standard output, from this GPU's index on. It ends when the process
/// `parent` ends.
///
/// # Errors
/// When standard output cannot be used.
pub(crate) fn answer(parent: u32, from: u32, library: Option<&Path>) -> std::io::Result<()> {
    left_behind::name_nvml_child();
    // The answer does not depend on these calls.
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    let _ = rustix::process::setsid();
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let _ = rustix::process::setrlimit(Resource::Core, none);
    let is_parent = |pid: Pid| u32::try_from(pid.as_raw_nonzero().get()) == Ok(parent);
    if !rustix::process::getppid().is_some_and(is_parent) {
        // It ended before the death signal was set.
        return Ok(());
    }
    let mut out = take_standard_output()?;
    let mut send = |message| {
        let mut line = serde_json::to_vec(&message).unwrap_or_default();
        line.push(b'\n');
        let _ = out.write_all(&line);
    };
    send(NvmlMessage::Started);
    wait_for_end_of_input()?;
    query(library, from, &mut send);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer where this script is the child.
    fn answer_of(script: &str) -> DriverAnswer {
        let client = NvmlClient {
            library: None,
            program: Some(Invocation {
                program: "/bin/sh".into(),
                arguments: vec!["-c".to_owned(), script.to_owned()],
            }),
            patience: Patience::default(),
        };
        let deadline = Deadline::within(Duration::from_secs(600));
        client.prepare().finish(deadline).answer
    }

    #[test]
    fn a_count_of_four_billion_gpus_is_limited() {
        let answer = answer_of(r#"echo '"started"'; echo '{"driver":[{},4294967295]}'"#);
        let gpus = answer.gpus.unwrap();
        assert_eq!(gpus.len(), MOST_GPUS as usize);
        assert!(gpus.iter().all(|gpu| gpu.error.is_some()));
    }
}
