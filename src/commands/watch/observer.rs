//! The process that observes for the screen (`watch --observer`).
//!
//! It reads `stat` of the threads again and again, so that each window begins where the last one ended. For each question it
//! starts a child, as the guard does: the child audits, answers and ends, or is left behind. So what no process can block is read
//! here, and all else in the child.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::Signal;
use serde::Deserialize;

use super::question::{Question, Questions};
use crate::audit::audit;
use crate::audit::entries::threads::threads;
use crate::cli::WatchArgs;
use crate::commands::guard::{Started, Task, TaskEnd, start};
use crate::commands::settings::{expected, limits, settings};
use crate::commands::source::{self, limit};
use crate::commands::trouble::Trouble;
use crate::commands::waiting::wait;
use crate::commands::{exit_code, started_again};
use crate::document::{Audited, Reply};
use crate::machine::Window;
use crate::observe::{Continuous, observe};
use crate::units::Pid;

/// Answers questions until standard input ends.
pub(super) fn run(arguments: &WatchArgs) -> Result<u8, Trouble> {
    started_again::take_name();
    // Nothing is left to do when the screen has ended.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let limit = limit(&arguments.machine, Duration::ZERO)?;
    let sampling = match arguments.machine.snapshot {
        Some(_) => None,
        None => {
            let source = source::source(&arguments.machine)?;
            Some(Continuous::new(&source, arguments.every))
        }
    };
    let mut observer = Observer {
        arguments,
        limit,
        sampling,
        questions: Questions::default(),
        watched_at: None,
        work: None,
        ending: Vec::new(),
    };
    rustix::io::ioctl_fionbio(io::stdin(), true)?;
    loop {
        observer.wait();
        if !observer.read_questions()? {
            return Ok(exit_code::OK);
        }
        observer.sample();
        observer.answer()?;
        if let Some(code) = observer.begin_work()? {
            return Ok(code);
        }
    }
}

struct Observer<'a> {
    arguments: &'a WatchArgs,
    /// How long one audit may take.
    limit: Duration,
    /// `None` for a recording.
    sampling: Option<Continuous>,
    questions: Questions,
    /// When the last question came, or the last answer went.
    watched_at: Option<Instant>,
    work: Option<(Task, Instant)>,
    /// Children that were killed, or have answered, and are not gone yet.
    ending: Vec<rustix::process::Pid>,
}

impl Observer<'_> {
    /// After so many intervals without a question nothing is sampled: the screen is paused or stopped.
    const IDLE: u32 = 5;

    /// Whether somebody looks at what is sampled.
    fn is_watched(&self) -> bool {
        let patience = self.arguments.every * Self::IDLE;
        self.work.is_some() || self.watched_at.is_some_and(|at| at.elapsed() < patience)
    }

    fn wait(&self) {
        let until = match &self.work {
            Some((_, until)) => *until,
            None => Instant::now() + self.limit,
        };
        let next = self.sampling.as_ref().and_then(Continuous::next);
        let next = next.filter(|_| self.is_watched());
        let stdin = io::stdin();
        let mut files = vec![stdin.as_fd()];
        files.extend(self.work.iter().flat_map(|(task, _)| task.files()));
        wait(&files, next.map_or(until, |next| next.min(until)));
    }

    /// Returns whether more questions can come.
    fn read_questions(&mut self) -> io::Result<bool> {
        let mut bytes = [0; 256];
        match rustix::io::read(io::stdin(), &mut bytes) {
            Ok(0) => Ok(false),
            Ok(size) => {
                if !self.is_watched()
                    && let Some(sampling) = &mut self.sampling
                {
                    sampling.begin();
                }
                self.questions.add(&bytes[..size]);
                self.watched_at = Some(Instant::now());
                Ok(true)
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    fn sample(&mut self) {
        let is_watched = self.is_watched();
        if let Some(sampling) = &mut self.sampling
            && is_watched
            && sampling.next().is_some_and(|next| next <= Instant::now())
        {
            sampling.round();
        }
    }

    /// Starts an audit, if a question has come and none is at work. Returns the code of the child, in the child.
    fn begin_work(&mut self) -> Result<Option<u8>, Trouble> {
        self.ending.retain(|child| !Task::reap(*child));
        if self.work.is_some() {
            return Ok(None);
        }
        let Some(question) = self.questions.take() else {
            return Ok(None);
        };
        let window = self.sampling.as_mut().and_then(Continuous::take);
        match start(|| work(self.arguments, &question, window))? {
            Started::Child(code) => return Ok(Some(code)),
            Started::Parent(task) => self.work = Some((task, Instant::now() + self.limit)),
        }
        Ok(None)
    }

    /// Passes the answer on, if there is one.
    fn answer(&mut self) -> Result<(), Trouble> {
        let Some((task, until)) = &mut self.work else {
            return Ok(());
        };
        if let Some(end) = task.end() {
            self.work = None;
            // However long that took, somebody waited for it.
            self.watched_at = Some(Instant::now());
            self.ending.push(end.child);
            if end.code == Some(exit_code::OK) {
                self.follow(&end.output);
                return pass_on(&end.output);
            }
            return pass_on(&line(&Reply::Trouble(why(&end)))?);
        }
        if Instant::now() >= *until
            && let Some((task, _)) = self.work.take()
        {
            // The guard's words: what it reads may not let it end.
            self.ending.push(task.kill());
            let limit = humantime::format_duration(self.limit);
            let text = format!("an audit did not end within {limit}");
            return pass_on(&line(&Reply::Trouble(text))?);
        }
        Ok(())
    }

    /// Samples the processes of this answer from now on.
    fn follow(&mut self, answer: &[u8]) {
        if let Some(sampling) = &mut self.sampling
            && let Ok(Followed::Audited(audited)) = serde_json::from_slice(answer)
        {
            let processes = audited.document.processes.into_iter();
            let known = processes.filter_map(|of| Some((of.pid, of.start_time_ticks?)));
            sampling.follow(&known.collect());
        }
    }
}

/// What is read of an answer.
#[derive(Deserialize)]
enum Followed {
    Audited(FollowedAudit),
}

#[derive(Deserialize)]
struct FollowedAudit {
    document: FollowedDocument,
}

#[derive(Deserialize)]
struct FollowedDocument {
    processes: Vec<FollowedProcess>,
}

#[derive(Deserialize)]
struct FollowedProcess {
    pid: Pid,
    start_time_ticks: Option<u64>,
}

/// In the child: audits, and prints the answer.
fn work(arguments: &WatchArgs, question: &Question, window: Option<Window>) -> Result<u8, Trouble> {
    let expected = expected(arguments.expect.as_deref())?;
    let source = source::source(&arguments.machine)?
        .reading_memory(arguments.memory.reading())
        // No screen shows them.
        .reading_thread_policies(false)
        .judged_by(limits(&arguments.judgement));
    let subjects = source::subjects(&arguments.pid);
    let mut machine = observe(source, &subjects).machine;
    machine.window = window;
    if question.is_first {
        source::ensure_named_are_there(&machine)?;
    } else {
        source::forget_ended(&mut machine);
    }
    let mut settings = settings(&arguments.judgement, &arguments.home_nodes, &machine)?;
    settings.expected = expected;
    // A recording is read once: then all threads are there, whatever is opened.
    let is_recording = arguments.machine.snapshot.is_some();
    let open = machine.processes.iter();
    let open = open.filter(|of| is_recording || question.open == Some(of.pid));
    let threads: BTreeMap<_, _> = open.map(|of| (of.pid, threads(of, &machine))).collect();
    let document = audit(machine, &settings);
    let audited = Audited { document, threads };
    pass_on(&line(&Reply::Audited(audited.into()))?)?;
    Ok(exit_code::OK)
}

fn line(reply: &Reply) -> Result<Vec<u8>, Trouble> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    Ok(line)
}

fn pass_on(line: &[u8]) -> Result<(), Trouble> {
    let mut stdout = io::stdout().lock();
    Ok(stdout.write_all(line).and_then(|()| stdout.flush())?)
}

/// Why there is no answer.
fn why(end: &TaskEnd) -> String {
    let text = String::from_utf8_lossy(&end.errors);
    let last = text.lines().map(str::trim).rfind(|line| !line.is_empty());
    match last {
        Some(line) => {
            let own = line.strip_prefix("numa-audit: ");
            own.unwrap_or(line).to_owned()
        }
        None => "the process that reads ended early".to_owned(),
    }
}
