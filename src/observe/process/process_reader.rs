//! The order in which the files of one process are read.
//!
//! First those that the kernel answers at once, and that decide most: `status` has the affinity. Then what a process may have
//! any number of: threads and open files. Then those for which it needs the process's memory lock: a process that is
//! stuck with this lock blocks the reader, but its other facts are known by then. The memory itself takes longest and comes
//! last.

use std::collections::BTreeSet;
use std::sync::Mutex;

use crate::jobs::parse_binding_requests;
use crate::machine::{Environment, Fact, Gaps, Memory, Process, Reason, Thread};
use crate::observe::deadline::Deadline;
use crate::observe::memory::{MemoryReader, UnreadMemory};
use crate::observe::process::{
    Resident, SharedGroups, Stat, lock, read_command, read_environment, read_pipes, read_status,
    read_threads,
};
use crate::observe::root::Root;
use crate::units::Pid;

pub(crate) struct ProcessReader<'a> {
    pub(crate) root: &'a Root,
    pub(crate) pid: Pid,
}

/// A process without its threads, argv, environment and memory.
#[derive(Debug)]
pub(crate) struct PartialProcess {
    pub(crate) process: Process,
    pub(crate) gaps: Gaps,
    pub(crate) memory_input: MemoryInput,
}

/// What a process may have any number of.
#[derive(Debug, Default)]
pub(crate) struct NumerousFacts {
    threads: Option<Vec<Thread>>,
    pipes: Option<BTreeSet<u64>>,
    gaps: Gaps,
}

/// What [`MemoryReader`] needs to know of a process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MemoryInput {
    start_time_ticks: u64,
    resident: Option<Resident>,
}

/// The facts that need the process's memory lock, in the order in which they are read. `None`: not read yet.
#[derive(Debug, Default)]
pub(crate) struct LockedFacts {
    command: Option<Result<Vec<String>, Reason>>,
    environment: Option<Result<Environment, Reason>>,
    memory: Option<Result<Memory, UnreadMemory>>,
}

impl ProcessReader<'_> {
    /// The first step: a few files, and none of them blocks.
    pub(crate) fn read_first(&self, stat: &Stat, groups: &SharedGroups) -> PartialProcess {
        let Self { root, pid } = *self;
        let mut gaps = Gaps::default();
        let status = gaps.value_or_note(pid, Fact::Status, read_status(root, pid));
        let groups = gaps.value_or_note(pid, Fact::Cgroup, groups.of(root, pid));
        let memory_input = MemoryInput {
            start_time_ticks: stat.start_time_ticks,
            resident: status.as_ref().and_then(|status| status.resident),
        };
        let mut process = Process {
            pid,
            ppid: stat.ppid,
            start_time_ticks: stat.start_time_ticks,
            name: stat.name.clone(),
            last_cpu: stat.last_cpu,
            session: stat.session,
            threads: None,
            groups,
            pipes: None,
            inner_pids: Vec::new(),
            uid: None,
            affinity: None,
            mems_allowed: None,
            command: None,
            asks: Vec::new(),
            memory: None,
            group_memory: None,
            swap: None,
            cpu_quota: None,
            environment: None,
            cpuset: None,
        };
        if let Some(status) = status {
            process.uid = Some(status.uid);
            process.inner_pids = status.inner_pids;
            process.affinity = Some(status.affinity);
            process.mems_allowed = status.mems_allowed;
            process.swap = gaps
                .value_or_note(self.pid, Fact::Swap, status.swap)
                .flatten();
        }
        PartialProcess {
            process,
            gaps,
            memory_input,
        }
    }

    /// The second step: never blocks, but a process may have any number of threads and open files.
    pub(crate) fn read_numerous(
        &self,
        stat: &Stat,
        with_pipes: bool,
        until: Deadline,
    ) -> NumerousFacts {
        let Self { root, pid } = *self;
        let mut gaps = Gaps::default();
        let threads = read_threads(root, pid, stat, &mut gaps);
        let pipes = with_pipes.then(|| read_pipes(root, pid, until));
        NumerousFacts {
            threads,
            pipes: pipes.and_then(|pipes| gaps.value_or_note(pid, Fact::OpenFiles, pipes)),
            gaps,
        }
    }

    /// The third step: may block for as long as the process holds its memory lock. Each fact is put into `found` as soon as
    /// it is read. `input` is `None` where the first step did not finish: then the memory is not read.
    pub(crate) fn read_locked(
        &self,
        input: Option<&MemoryInput>,
        memory: &MemoryReader,
        longest_command: usize,
        found: &Mutex<LockedFacts>,
    ) {
        let Self { root, pid } = *self;
        let command = read_command(root, pid, longest_command);
        lock(found).command = Some(command);
        let environment = read_environment(root, pid);
        lock(found).environment = Some(environment);
        if let Some(input) = input {
            let memory = memory.read(root, pid, input.start_time_ticks, input.resident.as_ref());
            lock(found).memory = Some(memory);
        }
    }
}

impl NumerousFacts {
    /// Adds the facts to the process.
    pub(crate) fn add_to(mut self, process: &mut Process, gaps: &mut Gaps) {
        process.threads = self.threads;
        process.pipes = self.pipes;
        gaps.append(&mut self.gaps);
    }
}

impl LockedFacts {
    /// Adds the facts to the process. `cut` is the reason for those that were not read.
    pub(crate) fn add_to(self, process: &mut Process, cut: Option<Reason>, gaps: &mut Gaps) {
        let pid = Some(process.pid);
        let cut = cut.unwrap_or(Reason::Gone);
        let environment = self.environment.unwrap_or_else(|| Err(cut.clone()));
        process.environment = gaps.value_or_note(pid, Fact::Environ, environment);
        let command = self.command.unwrap_or_else(|| Err(cut.clone()));
        process.command = gaps.value_or_note(pid, Fact::Command, command);
        process.asks = process
            .command
            .as_deref()
            .map(parse_binding_requests)
            .unwrap_or_default();
        let memory = match self.memory {
            Some(Err(unread)) => {
                process.group_memory = unread.group;
                Err(unread.reason)
            }
            Some(Ok(memory)) => Ok(memory),
            None => Err(cut),
        };
        process.memory = gaps.value_or_note(pid, Fact::Memory, memory);
        let policy = process.memory.as_ref().map(|memory| &memory.policy);
        if policy.is_some_and(|policy| policy.truncated) {
            gaps.note(
                pid,
                Fact::PolicyNodes,
                Reason::Malformed("the kernel cut it at 63 characters".into()),
            );
        }
    }
}
