//! What procfs tells of processes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use super::affinity::Affinities;
use super::readers::lock;
use super::root::{Folder, Root};
use crate::model::cpus::Cpu;
use crate::model::environment::Environment;
use crate::model::gap::{Fact, Gap, Reason};
use crate::model::gpu::DriverFiles;
use crate::model::memory::Memory;
use crate::model::process::{Pid, Process, Thread};
use crate::model::tenant::ControlGroup;
use crate::parse::cgroup::parse_cgroup;
use crate::parse::fd::{DriverFile, parse_driver_file, parse_pipe};
use crate::parse::numa_maps::NumaMaps;
use crate::parse::stat::{Stat, parse_stat};
use crate::parse::status::parse_status;
use crate::parse::value;
use crate::parse::words::{parse_command, parse_environment};

/// The kernel's release: `6.1.0-56-cloud-amd64`.
pub fn read_kernel(root: &Root) -> Option<String> {
    if let Ok(release) = root.read("proc/sys/kernel/osrelease") {
        return Some(value(&release).to_owned());
    }
    // Linux version 6.1.0-56-cloud-amd64 (…
    let version = root.read("proc/version").ok()?;
    Some(value(&version).split_whitespace().nth(2)?.to_owned())
}

/// `stat` of all processes. One that ended meanwhile is left out; for one that cannot be read it has the reason.
///
/// # Errors
/// The reason for a gap, where /proc cannot be listed.
pub fn read_stats(root: &Root) -> Result<BTreeMap<Pid, Result<Stat, Reason>>, Reason> {
    let pids = root.numbers("proc")?.into_iter().map(Pid);
    let stats = pids.map(|pid| (pid, read_stat(root, pid)));
    let ended = |stat: &Result<Stat, Reason>| match stat {
        Ok(stat) => stat.is_dead(),
        Err(reason) => root.is_live() && is_lost(reason),
    };
    Ok(stats.filter(|(_, stat)| !ended(stat)).collect())
}

/// One process's `stat`.
///
/// # Errors
/// The reason for a gap.
pub fn read_stat(root: &Root, pid: Pid) -> Result<Stat, Reason> {
    let stat = parse_stat(&root.read(&format!("proc/{pid}/stat"))?)?;
    if stat.pid != pid {
        return Err(Reason::Malformed(format!("stat of process {}", stat.pid)));
    }
    Ok(stat)
}

/// A process's argv.
///
/// # Errors
/// The reason for a gap.
pub fn read_command(root: &Root, pid: Pid) -> Result<Vec<String>, Reason> {
    Ok(parse_command(&root.read(&format!("proc/{pid}/cmdline"))?))
}

/// The files that a process has open, by descriptor.
///
/// # Errors
/// The reason for a gap.
pub fn read_open_files(root: &Root, pid: Pid) -> Result<BTreeMap<String, String>, Reason> {
    let folder = format!("proc/{pid}/fd");
    let names = root.names(&folder)?.into_iter();
    // One that was closed meanwhile is none that is open.
    let files = names.filter_map(|fd| {
        let target = root.link(&format!("{folder}/{fd}")).ok()?;
        Some((fd, target))
    });
    Ok(files.collect())
}

/// The files of NVIDIA's driver that a process has open.
///
/// # Errors
/// The reason for a gap.
pub fn read_driver_files(root: &Root, pid: Pid) -> Result<DriverFiles, Reason> {
    let mut files = DriverFiles::default();
    for target in read_open_files(root, pid)?.values() {
        match parse_driver_file(target) {
            None => {}
            Some(DriverFile::Other) => files.total += 1,
            Some(DriverFile::Gpu(minor)) => {
                files.total += 1;
                *files.by_minor.entry(minor).or_default() += 1;
            }
        }
    }
    Ok(files)
}

/// What a process's environment tells.
///
/// # Errors
/// The reason for a gap.
pub fn read_environment(root: &Root, pid: Pid) -> Result<Environment, Reason> {
    Ok(parse_environment(
        &root.read(&format!("proc/{pid}/environ"))?,
    ))
}

/// The inodes of the pipes that a process holds. Standard input and outputs tell of a shell's pipeline.
///
/// # Errors
/// The reason for a gap.
pub fn read_pipes(root: &Root, pid: Pid) -> Result<BTreeSet<u64>, Reason> {
    const STANDARD: &[&str] = &["0", "1", "2"];
    let folder = format!("proc/{pid}/fd");
    let names = root.names(&folder)?.into_iter();
    let names = names.filter(|name| !STANDARD.contains(&name.as_str()));
    let targets = names.filter_map(|name| root.link(&format!("{folder}/{name}")).ok());
    Ok(targets.filter_map(|target| parse_pipe(&target)).collect())
}

/// A process's control groups.
///
/// # Errors
/// The reason for a gap.
pub fn read_cgroup(root: &Root, pid: Pid) -> Result<Vec<ControlGroup>, Reason> {
    Ok(parse_cgroup(&root.read(&format!("proc/{pid}/cgroup"))?)?)
}

/// Reads what the audit needs of one process and what does not make the reader wait for it. With it the gaps.
pub fn read_process(root: &Root, pid: Pid, stat: Stat) -> (Process, Vec<Gap>) {
    let mut reading = Reading {
        root,
        pid,
        gaps: Vec::new(),
    };
    let status = reading.file("status", Fact::Status, |text| Ok(parse_status(text)?));
    let groups = reading.or_gap(Fact::Cgroup, read_cgroup(root, pid));
    let threads = reading.threads(stat.last_cpu);
    let process = Process {
        ppid: stat.ppid,
        start_time_ticks: stat.start_time_ticks,
        name: stat.name,
        uid: status.as_ref().map(|status| status.uid),
        last_cpu: stat.last_cpu,
        session: stat.session,
        inner_pids: status
            .as_ref()
            .map(|status| status.inner_pids.clone())
            .unwrap_or_default(),
        mems_allowed: status
            .as_ref()
            .and_then(|status| status.mems_allowed.clone()),
        affinity: status.map(|status| status.affinity),
        threads,
        groups,
        ..Process::bare(pid)
    };
    (process, reading.gaps)
}

/// What is read of a process's memory, in this order, as far as it has answered: what takes longest comes last.
#[derive(Debug, Default)]
pub struct OfMemory {
    /// argv.
    pub command: Option<Result<Vec<String>, Reason>>,
    /// The environment.
    pub environment: Option<Result<Environment, Reason>>,
    /// Policy and pages.
    pub memory: Option<Result<Memory, Reason>>,
}

/// Reads of a process's memory, which may take as long as the process likes.
pub fn read_of_memory(root: &Root, pid: Pid, found: &Mutex<OfMemory>) {
    let command = read_command(root, pid);
    lock(found).command = Some(command);
    let environment = read_environment(root, pid);
    lock(found).environment = Some(environment);
    let memory = read_memory(root, pid);
    lock(found).memory = Some(memory);
}

impl OfMemory {
    /// Puts what was found into the process; `cut` is why there is no more.
    pub fn put(self, process: &mut Process, cut: Option<Reason>, gaps: &mut Vec<Gap>) {
        let cut = cut.unwrap_or(Reason::Gone);
        let pid = process.pid;
        process.environment = or_gap(self.environment, pid, Fact::Environ, &cut, gaps);
        process.command = or_gap(self.command, pid, Fact::Command, &cut, gaps);
        process.memory = or_gap(self.memory, pid, Fact::Memory, &cut, gaps);
        let policy = process.memory.as_ref().map(|memory| &memory.policy);
        if policy.is_some_and(|policy| policy.truncated) {
            gaps.push(Gap {
                pid: Some(pid),
                fact: Fact::PolicyNodes,
                reason: Reason::Malformed("the kernel cut it at 63 characters".into()),
            });
        }
    }
}

fn or_gap<T>(
    found: Option<Result<T, Reason>>,
    pid: Pid,
    fact: Fact,
    cut: &Reason,
    gaps: &mut Vec<Gap>,
) -> Option<T> {
    let note = |reason| {
        gaps.push(Gap {
            pid: Some(pid),
            fact,
            reason,
        });
    };
    found.unwrap_or_else(|| Err(cut.clone())).map_err(note).ok()
}

fn is_lost(reason: &Reason) -> bool {
    matches!(reason, Reason::Gone | Reason::Absent)
}

/// Whether the process of that start is no more, so that what was read of that PID may be another's. A recorded one cannot
/// end.
pub fn has_ended(root: &Root, process: &Process) -> bool {
    if !root.is_live() {
        return false;
    }
    let now = read_stat(root, process.pid);
    now.map_or(true, |now| {
        now.is_dead() || now.start_time_ticks != process.start_time_ticks
    })
}

fn read_memory(root: &Root, pid: Pid) -> Result<Memory, Reason> {
    let mut maps = NumaMaps::default();
    root.read_lines(&format!("proc/{pid}/numa_maps"), |line| maps.line(line))?;
    // The kernel shows nothing of a process that is about to end, and of its own threads.
    maps.finish().ok_or(Reason::Absent)
}

/// One process being read, with its gaps so far.
struct Reading<'a> {
    root: &'a Root,
    pid: Pid,
    gaps: Vec<Gap>,
}

impl Reading<'_> {
    fn or_gap<T>(&mut self, fact: Fact, found: Result<T, Reason>) -> Option<T> {
        or_gap(Some(found), self.pid, fact, &Reason::Gone, &mut self.gaps)
    }

    fn file<T>(
        &mut self,
        name: &str,
        fact: Fact,
        parse: impl FnOnce(&[u8]) -> Result<T, Reason>,
    ) -> Option<T> {
        let text = self.root.read(&format!("proc/{}/{name}", self.pid));
        self.or_gap(fact, text.and_then(|text| parse(&text)))
    }

    fn threads(&mut self, of_main: Cpu) -> Option<Vec<Thread>> {
        let tids = self.root.numbers(&format!("proc/{}/task", self.pid));
        let tids = self.or_gap(Fact::Threads, tids)?;
        let mut affinities = Affinities::new(self.root);
        let folder = self.root.folder_at(format!("proc/{}/task", self.pid));
        let mut buffer = Vec::new();
        let mut threads = Vec::with_capacity(tids.len());
        for tid in tids {
            // The process's own `stat` is its main thread's. A recording has both.
            let known = tid == self.pid.0 && self.root.is_live() && !self.root.is_tapped();
            let known = known.then_some(of_main);
            threads.extend(self.thread(tid, known, &folder, &mut affinities, &mut buffer));
        }
        Some(threads)
    }

    /// `None` for a thread that ended meanwhile.
    fn thread(
        &mut self,
        tid: u32,
        last_cpu: Option<Cpu>,
        folder: &Folder,
        affinities: &mut Affinities,
        buffer: &mut Vec<u8>,
    ) -> Option<Thread> {
        let last_cpu = last_cpu.map_or_else(
            || {
                let stat = format!("{tid}/stat");
                self.root.read_below(folder, &stat, buffer)?;
                Ok(parse_stat(buffer)?.last_cpu)
            },
            Ok,
        );
        let affinity = affinities.of(tid, folder, buffer);
        let lost = |reason: Option<&Reason>| reason.is_some_and(is_lost);
        if self.root.is_live() && (lost(last_cpu.as_ref().err()) || lost(affinity.as_ref().err())) {
            return None;
        }
        Some(Thread {
            last_cpu: self.or_gap(Fact::Thread(tid), last_cpu),
            affinity: self.or_gap(Fact::Thread(tid), affinity),
        })
    }
}
