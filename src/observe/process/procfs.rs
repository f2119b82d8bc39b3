//! What procfs tells of processes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use crate::jobs::binding_requests::parse_binding_requests;
use crate::jobs::gpu_users::nvidia::DriverFiles;
use crate::machine::environment::Environment;
use crate::machine::gap::{Fact, Gap, Reason};
use crate::machine::memory::Memory;
use crate::machine::process::{ControlGroup, Process, Thread};
use crate::observe::memory::{MemoryReader, Unread};
use crate::observe::process::affinity::Affinities;
use crate::observe::process::cgroup::parse_cgroup;
use crate::observe::process::fd::{DriverFile, parse_driver_file, parse_pipe};
use crate::observe::process::readers::lock;
use crate::observe::process::stat::{Stat, parse_stat};
use crate::observe::process::status::{Resident, parse_status};
use crate::observe::process::words::{LONGEST_COMMAND, parse_command, parse_environment};
use crate::observe::root::{Folder, Root};
use crate::units::{Cpu, Pid, value};

/// The kernel's release: `6.1.0-56-cloud-amd64`.
pub fn read_kernel(root: &Root) -> Option<String> {
    if let Ok(release) = root.read("proc/sys/kernel/osrelease") {
        return Some(value(&release).to_owned());
    }
    // Linux version 6.1.0-56-cloud-amd64 (…
    let version = root.read("proc/version").ok()?;
    Some(value(&version).split_whitespace().nth(2)?.to_owned())
}

/// When the machine was started, in seconds since 1970: `btime` of `/proc/stat`.
pub fn read_boot_time(root: &Root) -> Option<u64> {
    let text = root.read("proc/stat").ok()?;
    let mut lines = text.split(|byte| *byte == b'\n');
    value(lines.find_map(|line| line.strip_prefix(b"btime "))?)
        .parse()
        .ok()
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

/// A process's threads, ascending; none of one that ended.
pub fn tids(root: &Root, pid: Pid) -> Vec<u32> {
    root.numbers(&format!("proc/{pid}/task"))
        .unwrap_or_default()
}

/// A process's argv.
///
/// # Errors
/// The reason for a gap.
pub fn read_command(root: &Root, pid: Pid) -> Result<Vec<String>, Reason> {
    // One byte more tells that there are more.
    let most = LONGEST_COMMAND as u64 + 1;
    let start = root.read_start(&format!("proc/{pid}/cmdline"), most)?;
    Ok(parse_command(&start))
}

/// Hands over the files that a process has open, each with its descriptor. Nothing of them is kept: half a million
/// descriptors may name one file, by a path of 4 KiB.
///
/// # Errors
/// The reason for a gap.
pub fn each_open_file(
    root: &Root,
    pid: Pid,
    mut take: impl FnMut(&str, &str),
) -> Result<(), Reason> {
    let folder = format!("proc/{pid}/fd");
    for fd in root.names(&folder)? {
        // One that was closed meanwhile is none that is open.
        if let Ok(target) = root.link(&format!("{folder}/{fd}")) {
            take(&fd, &target);
        }
    }
    Ok(())
}

/// The files of NVIDIA's driver that a process has open.
///
/// # Errors
/// The reason for a gap.
pub(crate) fn read_driver_files(root: &Root, pid: Pid) -> Result<DriverFiles, Reason> {
    let mut files = DriverFiles::default();
    each_open_file(root, pid, |_, target| match parse_driver_file(target) {
        None => {}
        Some(DriverFile::Other) => files.total += 1,
        Some(DriverFile::Gpu(minor)) => {
            files.total += 1;
            *files.by_minor.entry(minor).or_default() += 1;
        }
    })?;
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

/// A process of which everything is known that does not make the reader wait for it.
#[derive(Debug)]
pub struct Draft {
    /// Without what is in its memory.
    pub process: Process,
    /// What could not be learnt so far.
    pub gaps: Vec<Gap>,
    resident: Option<Resident>,
}

/// What is to be known of a process before its memory is read.
#[derive(Debug)]
pub struct BeforeMemory {
    start_time_ticks: u64,
    resident: Option<Resident>,
}

impl Draft {
    /// What reading its memory rests on.
    pub fn before_memory(&self) -> BeforeMemory {
        BeforeMemory {
            start_time_ticks: self.process.start_time_ticks,
            resident: self.resident,
        }
    }
}

/// Reads what the audit needs of one process and what does not make the reader wait for it.
pub fn read_process(root: &Root, pid: Pid, stat: Stat) -> Draft {
    let mut reading = Reading {
        root,
        pid,
        gaps: Vec::new(),
    };
    let status = reading.file("status", Fact::Status, |text| Ok(parse_status(text)?));
    let groups = reading.or_gap(Fact::Cgroup, read_cgroup(root, pid));
    let threads = reading.threads(&stat);
    let resident = status.as_ref().and_then(|status| status.resident);
    let process = Process {
        pid,
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
        command: None,
        asks: Vec::new(),
        memory: None,
        group_memory: None,
        environment: None,
        cpuset: None,
        pipes: None,
    };
    Draft {
        process,
        gaps: reading.gaps,
        resident,
    }
}

/// What is read of a process's memory, in this order, as far as it has answered: what takes longest comes last.
#[derive(Debug, Default)]
pub struct OfMemory {
    /// argv.
    pub command: Option<Result<Vec<String>, Reason>>,
    /// The environment.
    pub environment: Option<Result<Environment, Reason>>,
    /// Policy and pages.
    pub memory: Option<Result<Memory, Unread>>,
}

/// Reads of a process's memory, which may take as long as the process likes.
pub fn read_of_memory(
    root: &Root,
    pid: Pid,
    before: Option<&BeforeMemory>,
    memory: &MemoryReader,
    found: &Mutex<OfMemory>,
) {
    let command = read_command(root, pid);
    lock(found).command = Some(command);
    let environment = read_environment(root, pid);
    lock(found).environment = Some(environment);
    // One that was left behind before that is not asked for more.
    let Some(before) = before else { return };
    let memory = memory.read(root, pid, before.start_time_ticks, before.resident.as_ref());
    lock(found).memory = Some(memory);
}

impl OfMemory {
    /// Puts what was found into the process; `cut` is why there is no more.
    pub fn put(self, process: &mut Process, cut: Option<Reason>, gaps: &mut Vec<Gap>) {
        let cut = cut.unwrap_or(Reason::Gone);
        let pid = process.pid;
        process.environment = or_gap(self.environment, pid, Fact::Environ, &cut, gaps);
        process.command = or_gap(self.command, pid, Fact::Command, &cut, gaps);
        process.asks = process
            .command
            .as_deref()
            .map(parse_binding_requests)
            .unwrap_or_default();
        let memory = self.memory.map(|memory| {
            memory.map_err(|unread| {
                process.group_memory = unread.group;
                unread.reason
            })
        });
        process.memory = or_gap(memory, pid, Fact::Memory, &cut, gaps);
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
pub fn has_ended(root: &Root, pid: Pid, start_time_ticks: u64) -> bool {
    if !root.is_live() {
        return false;
    }
    let now = read_stat(root, pid);
    now.map_or(true, |now| {
        now.is_dead() || now.start_time_ticks != start_time_ticks
    })
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

    fn threads(&mut self, of_main: &Stat) -> Option<Vec<Thread>> {
        let folder = self.root.folder_at(format!("proc/{}/task", self.pid));
        let tids = self.or_gap(Fact::Threads, self.root.numbers_in(&folder))?;
        let mut own = OfThreads {
            root: self.root,
            folder: &folder,
            affinities: Affinities::new(self.root),
            name: Arc::from(of_main.name.as_str()),
            buffer: Vec::new(),
        };
        // The process's own `stat` is its main thread's. A recording has both.
        let is_known = self.root.is_live() && !self.root.is_tapped();
        let mut threads = Vec::with_capacity(tids.len());
        for tid in tids {
            let known = is_known && tid == self.pid.0;
            threads.extend(self.thread(tid, known.then_some(of_main), &mut own));
        }
        Some(threads)
    }

    /// `None` for a thread that ended meanwhile.
    fn thread(&mut self, tid: u32, known: Option<&Stat>, own: &mut OfThreads) -> Option<Thread> {
        let moment = match known {
            Some(stat) => Ok(own.moment(stat)),
            None => own.read_moment(tid),
        };
        let affinity = own.affinities.of(tid, own.folder, &mut own.buffer);
        let lost = |reason: Option<&Reason>| reason.is_some_and(is_lost);
        if self.root.is_live() && (lost(moment.as_ref().err()) || lost(affinity.as_ref().err())) {
            return None;
        }
        let moment = self.or_gap(Fact::Thread(tid), moment);
        Some(Thread {
            tid,
            name: moment.as_ref().map(|moment| moment.name.clone()),
            start_time_ticks: moment.as_ref().map(|moment| moment.start_time_ticks),
            last_cpu: moment.map(|moment| moment.last_cpu),
            affinity: self.or_gap(Fact::Thread(tid), affinity),
        })
    }
}

/// What the threads of one process are read with.
struct OfThreads<'a> {
    root: &'a Root,
    folder: &'a Folder,
    affinities: Affinities<'a>,
    /// The last name. Most are alike, and share one.
    name: Arc<str>,
    buffer: Vec<u8>,
}

/// What a thread's `stat` tells.
struct Moment {
    name: Arc<str>,
    start_time_ticks: u64,
    last_cpu: Cpu,
}

impl OfThreads<'_> {
    fn read_moment(&mut self, tid: u32) -> Result<Moment, Reason> {
        let path = format!("{tid}/stat");
        self.root.read_below(self.folder, &path, &mut self.buffer)?;
        let stat = parse_stat(&self.buffer)?;
        Ok(self.moment(&stat))
    }

    fn moment(&mut self, stat: &Stat) -> Moment {
        if *self.name != *stat.name {
            self.name = Arc::from(stat.name.as_str());
        }
        Moment {
            name: self.name.clone(),
            start_time_ticks: stat.start_time_ticks,
            last_cpu: stat.last_cpu,
        }
    }
}
