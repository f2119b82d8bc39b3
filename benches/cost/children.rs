//! The processes that are measured. They end with this program, however it ends (PR_SET_PDEATHSIG in load.c and stall.c), and
//! when they are dropped.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::programs::Trouble;

/// A child that prints `ready PID...` when it is ready.
#[derive(Debug)]
struct Ready {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    pids: Vec<String>,
}

impl Ready {
    fn start(program: &Path, arguments: &[usize]) -> Result<Self, Trouble> {
        let mut command = Command::new(program);
        command.args(arguments.iter().map(ToString::to_string));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("no pipes to a child".into());
        };
        let mut ready = Self {
            child,
            input,
            output: BufReader::new(output),
            pids: Vec::new(),
        };
        let line = ready.line()?;
        let pids = line.strip_prefix("ready ").ok_or("a child is not ready")?;
        ready.pids = pids.split_whitespace().map(String::from).collect();
        Ok(ready)
    }

    fn line(&mut self) -> Result<String, Trouble> {
        let mut line = String::new();
        match self.output.read_line(&mut line)? {
            0 => Err("a child has ended".into()),
            _ => Ok(line),
        }
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processes that do nothing.
#[derive(Debug)]
pub struct Load(Ready);

impl Load {
    /// Starts this many processes, each with this many threads and MiB in 4 KiB pages.
    pub fn start(
        program: &Path,
        processes: usize,
        threads: usize,
        mib: usize,
    ) -> Result<Self, Trouble> {
        Ok(Self(Ready::start(program, &[processes, threads, mib])?))
    }

    /// The parent of all.
    pub fn parent(&self) -> &str {
        &self.0.pids[0]
    }

    /// The processes.
    pub fn pids(&self) -> &[String] {
        &self.0.pids[1..]
    }
}

/// A process that maps and unmaps memory, and reports how long that took.
#[derive(Debug)]
pub struct Disturbed(Ready);

/// How long a map and unmap took, in microseconds.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    /// The longest.
    pub worst: f64,
    /// 99 of 100 were shorter.
    pub p99: f64,
}

impl Disturbed {
    /// Starts one with this many MiB in 4 KiB pages.
    pub fn start(program: &Path, mib: usize) -> Result<Self, Trouble> {
        Ok(Self(Ready::start(program, &[mib])?))
    }

    /// Its PID.
    pub fn pid(&self) -> &str {
        &self.0.pids[0]
    }

    /// Makes it work for this many milliseconds.
    pub fn begin(&mut self, milliseconds: u64) -> Result<(), Trouble> {
        Ok(writeln!(self.0.input, "{milliseconds}")?)
    }

    /// Its answer, when that time is over.
    pub fn end(&mut self) -> Result<Waits, Trouble> {
        let line = self.0.line()?;
        let mut numbers = line.split_whitespace().map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(worst)), Some(Ok(p99))) => Ok(Waits { worst, p99 }),
            _ => Err(format!("no waits: {line}").into()),
        }
    }
}
