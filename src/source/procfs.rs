//! What procfs tells of processes.

use std::collections::{BTreeMap, BTreeSet};

use super::cpuset::Cpusets;
use super::memory::MemoryReader;
use super::root::Root;
use crate::model::environment::Environment;
use crate::model::gap::{Fact, Gap, Reason};
use crate::model::gpu::DriverFiles;
use crate::model::process::{Pid, Process, Thread};
use crate::model::tenant::ControlGroup;
use crate::parse::ask::parse_asks;
use crate::parse::cgroup::parse_cgroup;
use crate::parse::fd::{DriverFile, parse_driver_file, parse_pipe};
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
    let names = root.names("proc")?;
    let pids = names.iter().filter_map(|name| number(name)).map(Pid);
    let stats = pids.map(|pid| (pid, read_stat(root, pid)));
    let ended = |stat: &Result<Stat, Reason>| match stat {
        Ok(stat) => stat.is_dead(),
        Err(reason) => root.is_live() && is_lost(reason),
    };
    Ok(stats.filter(|(_, stat)| !ended(stat)).collect())
}

/// A PID's or TID's folder: the kernel writes neither a sign nor leading zeros.
pub fn number(name: &str) -> Option<u32> {
    let number: u32 = name.parse().ok()?;
    (number.to_string() == name).then_some(number)
}

/// A process's `stat`.
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

/// Reads all that the audit needs of one process. `None` if it ended meanwhile, which is no gap.
pub fn read_process(
    root: &Root,
    pid: Pid,
    stat: Stat,
    cpusets: &mut Cpusets,
    memory: &MemoryReader,
    gaps: &mut Vec<Gap>,
) -> Option<Process> {
    let mut reading = Reading {
        root,
        pid,
        gaps: Vec::new(),
    };
    let status = reading.file("status", Fact::Status, |text| Ok(parse_status(text)?));
    let environment = reading.or_gap(Fact::Environ, read_environment(root, pid));
    let command = reading.or_gap(Fact::Command, read_command(root, pid));
    let groups = reading.or_gap(Fact::Cgroup, read_cgroup(root, pid));
    let cpuset = groups.as_ref().map(|groups| cpusets.of(root, groups));
    let cpuset = cpuset.and_then(|cpuset| reading.or_gap(Fact::Cpuset, cpuset));
    let threads = reading.threads();
    let resident = status.as_ref().and_then(|status| status.resident);
    let memory = memory.read(root, pid, &stat, resident.as_ref(), groups.as_deref());
    let group_memory = memory
        .as_ref()
        .err()
        .and_then(|unread| unread.group.clone());
    let memory = reading.or_gap(Fact::Memory, memory.map_err(|unread| unread.reason));
    if memory
        .as_ref()
        .is_some_and(|memory| memory.policy.truncated)
    {
        let cut = Reason::Malformed("the kernel cut it at 63 characters".into());
        reading.or_gap::<()>(Fact::PolicyNodes, Err(cut));
    }
    if reading.gaps.iter().any(|gap| is_lost(&gap.reason)) && has_ended(root, pid, &stat) {
        return None;
    }
    gaps.append(&mut reading.gaps);
    Some(Process {
        pid,
        ppid: stat.ppid,
        start_time_ticks: stat.start_time_ticks,
        name: stat.name,
        asks: command.as_deref().map(parse_asks).unwrap_or_default(),
        command,
        uid: status.as_ref().map(|status| status.uid),
        last_cpu: stat.last_cpu,
        session: stat.session,
        environment,
        inner_pids: status
            .as_ref()
            .map(|status| status.inner_pids.clone())
            .unwrap_or_default(),
        mems_allowed: status
            .as_ref()
            .and_then(|status| status.mems_allowed.clone()),
        affinity: status.map(|status| status.affinity),
        threads,
        memory,
        group_memory,
        groups,
        cpuset: cpuset.flatten(),
        pipes: None,
    })
}

fn is_lost(reason: &Reason) -> bool {
    matches!(reason, Reason::Gone | Reason::Absent)
}

/// Whether the process of that start is no more. A recorded one cannot end.
pub(super) fn has_ended(root: &Root, pid: Pid, then: &Stat) -> bool {
    if !root.is_live() {
        return false;
    }
    let now = read_stat(root, pid);
    now.map_or(true, |now| {
        now.is_dead() || now.start_time_ticks != then.start_time_ticks
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
        let note = |reason| {
            self.gaps.push(Gap {
                pid: Some(self.pid),
                fact,
                reason,
            });
        };
        found.map_err(note).ok()
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

    fn threads(&mut self) -> Option<Vec<Thread>> {
        let names = self.root.names(&format!("proc/{}/task", self.pid));
        let names = self.or_gap(Fact::Threads, names)?;
        let mut tids: Vec<u32> = names.iter().filter_map(|name| number(name)).collect();
        tids.sort_unstable();
        Some(
            tids.into_iter()
                .filter_map(|tid| self.thread(tid))
                .collect(),
        )
    }

    /// `None` for a thread that ended meanwhile.
    fn thread(&mut self, tid: u32) -> Option<Thread> {
        let folder = format!("proc/{}/task/{tid}", self.pid);
        let read = |name: &str| self.root.read(&format!("{folder}/{name}"));
        let stat = read("stat").and_then(|text| Ok(parse_stat(&text)?));
        let affinity = read("status").and_then(|text| Ok(parse_status(&text)?.affinity));
        let lost = |reason: Option<&Reason>| reason.is_some_and(is_lost);
        if self.root.is_live() && (lost(stat.as_ref().err()) || lost(affinity.as_ref().err())) {
            return None;
        }
        let stat = self.or_gap(Fact::Thread(tid), stat);
        Some(Thread {
            tid,
            name: stat.as_ref().map(|stat| stat.name.clone()),
            start_time_ticks: stat.as_ref().map(|stat| stat.start_time_ticks),
            last_cpu: stat.map(|stat| stat.last_cpu),
            affinity: self.or_gap(Fact::Thread(tid), affinity),
        })
    }
}
