//! NVML at arm's length: asked by a process of our own, so that a library that crashes or never returns costs its answer
//! and nothing else.
//!
//! The program runs itself anew and reads what that one writes, a line for each [`Piece`]. Who takes too long is killed and
//! not waited for: one that sits in the driver, uninterruptibly, ends when the driver lets it. A GPU that does not answer
//! costs its own answer alone: another process asks for those behind it.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal};

use crate::machine::nvml_answer::DriverAnswer;
use crate::observe::gpu::nvml::{MOST_GPUS, Piece, ask, unanswered};
use crate::observe::patience::Patience;
use crate::observe::process::readers::Deadline;
use crate::units::seconds;

/// How many GPUs, or other steps, may fail to answer before no more are asked for.
const MOST_FAILURES: usize = 3;
/// The most that is read of one process's answer.
const LARGEST: u64 = 64 << 20;
/// So many pieces may wait to be taken: more than a whole answer has.
const MOST_WAITING: usize = 2 * MOST_GPUS as usize;

/// How to ask.
#[derive(Debug, Clone)]
pub struct NvmlClient {
    /// The library, where it is not found by itself.
    pub library: Option<PathBuf>,
    /// The program to run, which is to call [`answer`]; `None` to ask in this process, on a thread of its own.
    pub program: Option<Invocation>,
    /// How long the library may be silent.
    pub patience: Patience,
}

/// A program with its arguments, to which those that say what to ask for are added: the PID of the asker, the first GPU's
/// index and, if one was named, the library.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// What to execute.
    pub program: PathBuf,
    /// The arguments that make it answer.
    pub arguments: Vec<String>,
}

/// The driver's answer on its way.
#[derive(Debug)]
pub struct NvmlQuery {
    asker: NvmlClient,
    /// What is asked at the moment.
    errand: Errand,
    answer: DriverAnswer,
    answered: Vec<Instant>,
    files_answer: bool,
}

/// One go at asking.
#[derive(Debug)]
struct Errand {
    pieces: Receiver<(Piece, Instant)>,
    child: Option<Child>,
    patience: Patience,
    has_started: bool,
    last: Instant,
}

/// What the driver said.
#[derive(Debug, Default)]
pub struct Answered {
    /// All of it. GPUs that did not answer have an error.
    pub answer: DriverAnswer,
    /// When each of its GPUs had answered.
    pub at: Vec<Instant>,
    /// Whether the driver's files below `/proc` can be read without waiting for it.
    pub files_answer: bool,
}

impl NvmlClient {
    /// Begins to ask.
    pub fn start(self) -> NvmlQuery {
        NvmlQuery {
            errand: Errand::from(&self, 0),
            asker: self,
            answer: DriverAnswer::default(),
            answered: Vec::new(),
            files_answer: false,
        }
    }
}

/// How one go ended.
enum End {
    /// All is told.
    Whole,
    /// It did not get on.
    Failed(String),
    /// Another program than ours was run.
    Stranger,
}

impl NvmlQuery {
    /// Waits for the rest of the answer.
    pub fn finish(mut self, deadline: Deadline) -> Answered {
        let mut failures = 0;
        let mut gpus = Vec::new();
        let mut count: Option<u32> = None;
        loop {
            let mut refused = None;
            let end = self.errand.follow(deadline, |piece, at| match piece {
                Piece::Started => false,
                Piece::FilesAnswer => {
                    self.files_answer = true;
                    false
                }
                // Asked anew it may have another word, which does not undo the first.
                Piece::Driver(answer, _) if count.is_some() => {
                    refused = answer.error;
                    refused.is_some()
                }
                Piece::Driver(answer, there) => {
                    self.answer = answer;
                    // What comes through a pipe is believed no more than what comes from the library.
                    *count.insert(there.min(MOST_GPUS)) as usize <= gpus.len()
                }
                Piece::Gpu(gpu) => {
                    gpus.push(gpu);
                    self.answered.push(at);
                    count.is_some_and(|count| count as usize <= gpus.len())
                }
            });
            self.errand.stop();
            let end = match refused {
                Some(why) => End::Failed(why),
                None => end,
            };
            match end {
                End::Whole => break,
                End::Stranger => {
                    self.asker.program = None;
                    self.errand = Errand::from(&self.asker, gpus.len() as u32);
                }
                End::Failed(why) => {
                    failures += 1;
                    let Some(count) = count else {
                        self.answer.error = Some(why);
                        break;
                    };
                    let none_more = failures >= MOST_FAILURES || deadline.is_over();
                    let next = gpus.len() as u32 + 1;
                    let lost = if none_more { count } else { next.min(count) };
                    for index in gpus.len() as u32..lost {
                        gpus.push(unanswered(index, why.clone()));
                        self.answered.push(Instant::now());
                    }
                    if lost >= count {
                        break;
                    }
                    self.errand = Errand::from(&self.asker, lost);
                }
            }
        }
        if self.answer.error.is_none() {
            self.answer.gpus = Some(gpus);
        }
        Answered {
            answer: self.answer,
            at: self.answered,
            files_answer: self.files_answer,
        }
    }
}

impl Errand {
    /// Asks for the GPUs from this index on.
    fn from(asker: &NvmlClient, index: u32) -> Self {
        let (tell, pieces) = mpsc::sync_channel(MOST_WAITING);
        let library = asker.library.clone();
        let program = asker.program.as_ref();
        let child = program.and_then(|program| run(program, index, library.as_deref()).ok());
        let (child, lines) = match child {
            Some(mut child) => {
                let lines = child.stdout.take();
                (Some(child), lines)
            }
            None => (None, None),
        };
        let has_started = child.is_none();
        let thread = std::thread::Builder::new().name("driver".into());
        // Where no thread can be had nobody tells anything, and that is seen.
        let _ = thread.spawn(move || match lines {
            Some(lines) => pass_on(lines, &tell),
            None => {
                let tell = |piece| drop(tell.send((piece, Instant::now())));
                ask(library.as_deref(), index, &mut { tell });
            }
        });
        Self {
            pieces,
            child,
            patience: asker.patience,
            has_started,
            last: Instant::now(),
        }
    }

    /// Hands the pieces over as they come, until `take` has the last of them.
    fn follow(&mut self, deadline: Deadline, mut take: impl FnMut(Piece, Instant) -> bool) -> End {
        loop {
            let patience = match self.has_started {
                true => self.patience.driver(),
                false => self.patience.start_of_child(),
            };
            let wait = patience.saturating_sub(self.last.elapsed());
            let is_late = deadline.left() < wait;
            match self.pieces.recv_timeout(wait.min(deadline.left())) {
                Ok((piece, at)) => {
                    (self.has_started, self.last) = (true, at);
                    if take(piece, at) {
                        return End::Whole;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    let wait = if is_late { deadline.whole } else { patience };
                    return End::Failed(format!(
                        "the driver did not answer within {}",
                        seconds(wait)
                    ));
                }
                Err(RecvTimeoutError::Disconnected) if !self.has_started => return End::Stranger,
                Err(RecvTimeoutError::Disconnected) => return End::Failed(self.how_it_ended()),
            }
        }
    }

    /// Why there will be no more, where the sender is gone.
    fn how_it_ended(&mut self) -> String {
        use std::os::unix::process::ExitStatusExt;
        let Some(child) = &mut self.child else {
            return "the driver could not be asked: no process and no thread can be had".to_owned();
        };
        let status = status(child, self.patience);
        if status.is_some() {
            // Its number may be another's from here on.
            self.child = None;
        }
        match status.and_then(|status| status.signal()) {
            Some(signal) => format!("the driver's library crashed (signal {signal})"),
            None => "the driver's library ended the program that asked it".to_owned(),
        }
    }

    /// Ends the process that asks, if it has not ended, and what the library started there, without waiting for their end.
    fn stop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        // It leads a session of its own.
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let _ = group.map(|group| rustix::process::kill_process_group(group, Signal::KILL));
        let _ = child.kill();
        if matches!(child.try_wait(), Ok(None)) {
            // Nobody needs to know when; but whoever uses this as a library wants no zombie.
            let reaper = std::thread::Builder::new().name("reaper".into());
            let _ = reaper.spawn(move || child.wait());
        }
    }
}

/// How a process ended that has closed its output just now.
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
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // The library may have its own words for what it also returns.
        .stderr(Stdio::null());
    command.spawn()
}

/// Reads the pieces that the other process writes.
fn pass_on(lines: ChildStdout, tell: &SyncSender<(Piece, Instant)>) {
    let mut lines = BufReader::new(lines.take(LARGEST));
    let mut line = Vec::new();
    while lines
        .read_until(b'\n', &mut line)
        .is_ok_and(|size| size > 0)
    {
        let Ok(piece) = serde_json::from_slice(&line) else {
            return;
        };
        if tell.send((piece, Instant::now())).is_err() {
            return;
        }
        line.clear();
    }
}

/// Standard output for our own words alone: what the library prints, or leaves to a program that it runs, is no part of the
/// answer.
fn take_standard_output() -> std::io::Result<File> {
    /// The first that is none of the standard ones.
    const FIRST_OTHER: i32 = 3;
    let own = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), FIRST_OTHER)?;
    rustix::stdio::dup2_stdout(File::options().write(true).open("/dev/null")?)?;
    Ok(File::from(own))
}

/// Answers for the process `parent` to standard output, a line for each piece, from this GPU's index on. Ends with that
/// process.
///
/// # Errors
/// Where there is nothing to answer to.
pub fn answer(parent: u32, from: u32, library: Option<&Path>) -> std::io::Result<()> {
    // None of these is needed for an answer.
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    let _ = rustix::process::setsid();
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let _ = rustix::process::setrlimit(Resource::Core, none);
    let is_parent = |pid: Pid| u32::try_from(pid.as_raw_nonzero().get()) == Ok(parent);
    if !rustix::process::getppid().is_some_and(is_parent) {
        // It ended before it could be noticed.
        return Ok(());
    }
    let mut out = take_standard_output()?;
    let mut tell = |piece| {
        let mut line = serde_json::to_vec(&piece).unwrap_or_default();
        line.push(b'\n');
        let _ = out.write_all(&line);
    };
    tell(Piece::Started);
    ask(library, from, &mut tell);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a program says that runs this script in place of asking.
    fn told_by(script: &str) -> DriverAnswer {
        let asker = NvmlClient {
            library: None,
            program: Some(Invocation {
                program: "/bin/sh".into(),
                arguments: vec!["-c".to_owned(), script.to_owned()],
            }),
            patience: Patience::default(),
        };
        let deadline = Deadline::within(Duration::from_secs(600));
        asker.start().finish(deadline).answer
    }

    #[test]
    fn four_billion_gpus_are_not_believed() {
        let answer = told_by(r#"echo '"started"'; echo '{"driver":[{},4294967295]}'"#);
        let gpus = answer.gpus.unwrap();
        assert_eq!(gpus.len(), MOST_GPUS as usize);
        assert!(gpus.iter().all(|gpu| gpu.error.is_some()));
    }
}
