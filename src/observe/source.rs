//! The machine to observe, and the processes of it to read.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::machine::{DriverAnswer, Reason};
use crate::observe::deadline::Deadline;
use crate::observe::gpu::nvml::{Invocation, NvmlClient, drop_later_processes, finish_query};
use crate::observe::memory::MemoryReading;
use crate::observe::patience::Patience;
use crate::observe::process::{Stats, left_behind, read_stats};
use crate::observe::root::{Manifest, PartKept, Root};
use crate::units::{Limits, Pid};

/// The machine to observe.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) root: Arc<Root>,
    nvml: NvmlSource,
    pub(crate) manifest: Manifest,
    pub(crate) memory: MemoryReading,
    /// Whether the policy of each thread is read.
    pub(crate) thread_policies: bool,
    /// Where it matters how exact a sample of memory is.
    pub(crate) limits: Limits,
    pub(crate) time_limit: Duration,
}

/// Where NVML's answers come from.
#[derive(Debug)]
pub(crate) enum NvmlSource {
    /// The library, at a given path or where the system has it.
    Library(NvmlClient),
    /// A recording's `nvml.json`.
    Recorded(DriverAnswer),
}

/// The processes to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subjects {
    /// No process: the machine alone.
    MachineOnly,
    /// The processes that hold a GPU context, with the processes that belong to them. In a recording of named processes:
    /// those.
    GpuUsers,
    /// These processes and their descendants, whether or not they use a GPU.
    Named(Vec<Pid>),
}

impl Source {
    /// The usual limit of [`Source::within`].
    pub(crate) const USUAL_DEADLINE: Duration = Duration::from_secs(30);

    pub(crate) fn new(root: Root, nvml: NvmlSource, manifest: Manifest) -> Self {
        Self {
            root: Arc::new(root),
            nvml,
            manifest,
            memory: MemoryReading::default(),
            thread_policies: true,
            limits: Limits::default(),
            time_limit: Self::USUAL_DEADLINE,
        }
    }

    /// The running machine. `nvml` is the path of the library; `None` searches it where the system has it. NVML runs in this
    /// process: [`Source::asking_through`] is safer.
    pub(crate) fn live(nvml: Option<PathBuf>) -> Self {
        Self::live_from(Root::live(), nvml)
    }

    /// The running machine. The bytes of all files that are read, or parts of them, are kept for a recording, which has every page of memory.
    pub(crate) fn live_tapped(nvml: Option<PathBuf>, part_kept: PartKept) -> Self {
        Self::live_from(Root::live().tapped(part_kept), nvml).reading_memory(MemoryReading::Exact)
    }

    fn live_from(root: Root, nvml: Option<PathBuf>) -> Self {
        let client = NvmlClient {
            library: nvml,
            program: None,
            patience: Patience::default(),
        };
        Self::new(root, NvmlSource::Library(client), Manifest::default())
    }

    /// Runs NVML in a child process, so that a crash of the library does not end this program. The child has to call
    /// [`crate::observe::answer`] with the last two or three of its arguments.
    pub(crate) fn asking_through(mut self, child: Invocation) -> Self {
        if let NvmlSource::Library(client) = &mut self.nvml {
            client.program = Some(child);
        }
        self
    }

    /// Whether this process is a child of the same program, and only reads for it: then neither belongs to the machine.
    pub(crate) fn in_child(mut self, is_child: bool) -> Self {
        if let Some(root) = Arc::get_mut(&mut self.root) {
            root.set_in_child(is_child);
        }
        self
    }

    /// Limits the time of an observation. What was not read by then is missing.
    pub(crate) fn within(mut self, time_limit: Duration) -> Self {
        self.time_limit = time_limit;
        self
    }

    /// How long single processes and the driver may take. The deadline still holds. Nothing of a recording is waited for, and
    /// its gaps name the usual limits.
    pub(crate) fn with_patience(mut self, patience: Patience) -> Self {
        // The root is shared only once an observation has begun.
        if let Some(root) = Arc::get_mut(&mut self.root)
            && root.is_live()
        {
            root.set_patience(patience);
        }
        if let NvmlSource::Library(client) = &mut self.nvml {
            client.patience = patience;
        }
        self
    }

    /// How the memory of running processes is read.
    pub(crate) fn reading_memory(mut self, memory: MemoryReading) -> Self {
        self.memory = memory;
        self
    }

    /// Whether the policy of each thread is read: its own file of each, which is as much work as all else of a data loader. No
    /// verdict needs it.
    pub(crate) fn reading_thread_policies(mut self, thread_policies: bool) -> Self {
        self.thread_policies = thread_policies;
        self
    }

    /// How much memory may be elsewhere. A sample goes on while a share may be on either side of these limits.
    pub(crate) fn judged_by(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Queries the driver. While it answers, `meanwhile` runs and `stat` of all processes is read.
    pub(crate) fn query_driver<T>(
        &self,
        deadline: Deadline,
        subjects: &Subjects,
        meanwhile: impl FnOnce() -> T,
    ) -> (DriverAnswer, Stats, T) {
        let mut query = match &self.nvml {
            NvmlSource::Library(client) => Ok(client.clone().prepare()),
            NvmlSource::Recorded(answer) => Err(answer.clone()),
        };
        let is_live = query.is_ok();
        let mut stats = match subjects {
            Subjects::MachineOnly if !is_live => Ok(BTreeMap::new()),
            _ => read_stats(&self.root),
        };
        let read_at = Instant::now();
        let held = left_behind::driver_is_held(&self.root, &stats);
        if let (Ok(query), None) = (&mut query, &held) {
            query.begin();
        }
        let read = meanwhile();
        let answer = match (query, held) {
            (Ok(query), Some(why)) => {
                self.root.give_up_driver(Reason::Failed(why.clone()));
                query.refuse(why).answer
            }
            (Ok(query), None) => {
                let reply = finish_query(query, deadline, &self.root, &mut stats, read_at);
                drop_later_processes(reply, &stats)
            }
            (Err(answer), _) => answer,
        };
        (answer, stats, read)
    }
}
