//! The measurements.

use std::fs;
use std::io;
use std::iter;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::Size;
use crate::children::{Disturbed, Load};
use crate::figures::{Figures, meminfo};
use crate::programs::{Look, NUMA_AUDIT, Programs, Trouble, has_option, installed};
use crate::tree::{FIRST, Recorded};

/// All measurements of one run.
#[derive(Debug)]
pub struct Bench {
    size: Size,
    programs: Programs,
    figures: Figures,
    numastat: Option<PathBuf>,
    hwloc_ps: Option<PathBuf>,
    /// Whether numa-audit has `--memory sample|exact|none`.
    has_memory: bool,
    /// Another build of numa-audit, which takes turns with this one.
    before: Option<PathBuf>,
}

impl Bench {
    /// Prepares everything except the loads.
    pub fn new(size: Size, before: Option<PathBuf>) -> Result<Self, Trouble> {
        let mut bench = Self {
            size,
            programs: Programs::compile()?,
            figures: Figures::default(),
            numastat: installed("numastat"),
            hwloc_ps: installed("hwloc-ps"),
            has_memory: has_option("--memory")?,
            before,
        };
        if bench.numastat.is_none() {
            bench
                .figures
                .skip("numastat, which is not installed (package numactl)".into());
        }
        if bench.hwloc_ps.is_none() {
            bench
                .figures
                .skip("hwloc-ps, which is not installed (package hwloc-nox)".into());
        }
        if !bench.has_memory {
            bench.figures.skip(
                "--memory, which this numa-audit does not know: it reads numa_maps whole".into(),
            );
        }
        Ok(bench)
    }

    /// Measures everything; returns the tables.
    pub fn run(mut self) -> Result<String, Trouble> {
        self.affinity()?;
        for (processes, mib) in self.size.memory {
            self.memory(processes, mib)?;
        }
        self.recorded()?;
        self.disturbance()?;
        let disturbed = format!(
            "a process of {} that maps and unmaps memory",
            gib(self.size.disturbed)
        );
        Ok(self.figures.markdown(self.size.runs, &disturbed))
    }

    /// Whether this much memory and another GiB are available; if not, notes what is left out.
    fn has_room(&mut self, mib: usize, what: &str) -> bool {
        let available = meminfo("MemAvailable").unwrap_or(0) >> 10;
        let has_room = available > mib + 1024;
        if !has_room {
            let needed = gib(mib + 1024);
            self.figures.skip(format!(
                "{what}: {} available, and it takes {needed}",
                gib(available)
            ));
        }
        has_room
    }

    /// numa-audit as JSON, with this value of `--memory`; without it where it has no such option.
    fn audit(&self, name: &str, memory: Option<&str>, pids: &str) -> Look {
        let mut look = self.table(name, memory, pids);
        look.arguments.push("--json".into());
        look
    }

    /// The same as tables.
    fn table(&self, name: &str, memory: Option<&str>, pids: &str) -> Look {
        let memory = memory.filter(|_| self.has_memory);
        let ways = memory.map(|memory| ["--memory", memory]);
        let arguments = ["--pid", pids].into_iter();
        Look::new(
            name,
            Path::new(NUMA_AUDIT),
            arguments.chain(ways.into_iter().flatten()),
        )
    }

    fn floor(&self, name: &str, what: &str, pids: &[String]) -> Look {
        let pids = pids.iter().map(String::as_str);
        Look::new(
            name,
            &self.programs.path("floor"),
            iter::once(what).chain(pids),
        )
    }

    fn numastat(&self, name: &str, pids: &[String]) -> Option<Look> {
        let pids = pids.iter().map(String::as_str);
        let program = self.numastat.as_ref()?;
        Some(Look::new(name, program, iter::once("-p").chain(pids)))
    }

    fn compare(&mut self, load: &str, looks: &[Look]) -> Result<(), Trouble> {
        let looks = self.with_before(looks);
        let costs = self.programs.compare(&looks, self.size.runs)?;
        for (look, cost) in looks.iter().zip(costs) {
            self.figures.cost(load, &look.name, cost);
        }
        Ok(())
    }

    /// Before each run of numa-audit the same of the other build, if there is one.
    fn with_before(&self, looks: &[Look]) -> Vec<Look> {
        let before = |look: &Look| {
            let program = self.before.clone()?;
            (look.program == Path::new(NUMA_AUDIT)).then(|| Look {
                name: format!("before: {}", look.name),
                program,
                ..look.clone()
            })
        };
        let both = looks
            .iter()
            .flat_map(|look| [before(look), Some(look.clone())]);
        both.flatten().collect()
    }

    /// The CPUs and the affinity of many threads.
    fn affinity(&mut self) -> Result<(), Trouble> {
        let (processes, threads) = self.size.crowd;
        if !self.has_room(threads / 8, "the many threads") {
            return Ok(());
        }
        let load = Load::start(
            &self.programs.path("load"),
            processes,
            threads / processes,
            0,
        )?;
        let name = match self.has_memory {
            true => "numa-audit --memory none",
            false => "numa-audit (with numa_maps)",
        };
        let as_json = format!("{name} --json");
        let mut looks = vec![
            self.table(name, Some("none"), load.parent()),
            self.audit(&as_json, Some("none"), load.parent()),
        ];
        if let Some(hwloc_ps) = &self.hwloc_ps {
            // It takes one process or all.
            let name = format!("hwloc-ps -a -t (all {} processes here)", processes_here()?);
            looks.push(Look::new(&name, hwloc_ps, ["-a", "-t"]));
        }
        looks.push(self.floor(
            "floor: the same files and system calls",
            "affinity",
            load.pids(),
        ));
        let what = format!("CPUs of {processes} processes with {threads} threads");
        self.compare(&what, &looks)
    }

    /// The memory of large processes.
    fn memory(&mut self, processes: usize, mib: usize) -> Result<(), Trouble> {
        let word = if processes == 1 {
            "process"
        } else {
            "processes"
        };
        let what = format!("memory of {processes} {word} of {}", gib(mib));
        if !self.has_room(processes * mib, &what) {
            return Ok(());
        }
        let load = Load::start(&self.programs.path("load"), processes, 1, mib)?;
        let pids = load.pids().join(",");
        let mut looks = vec![self.audit("numa-audit", None, &pids)];
        if self.has_memory {
            looks.push(self.audit("numa-audit --memory exact", Some("exact"), &pids));
        }
        looks.extend(self.numastat("numastat -p", load.pids()));
        looks.push(self.floor("floor: numa_maps", "memory", load.pids()));
        self.compare(&what, &looks)
    }

    /// A recorded machine with very many threads.
    fn recorded(&mut self) -> Result<(), Trouble> {
        let folder = tempfile::tempdir_in(self.programs.folder())?;
        let mut recorded = Recorded::new(folder.path().join("tree"))?;
        let first = FIRST.to_string();
        for threads in self.size.recorded {
            self.programs.go_on()?;
            recorded.grow(threads)?;
            let path = recorded.folder().display().to_string();
            let mut look = self.audit("numa-audit --snapshot", None, &first);
            look.arguments.extend(["--snapshot".into(), path]);
            self.compare(&format!("a recording of {threads} threads"), &[look])?;
        }
        Ok(())
    }

    /// How long a process has to wait for its own memory while a program reads it.
    fn disturbance(&mut self) -> Result<(), Trouble> {
        let mib = self.size.disturbed;
        if !self.has_room(mib, "the disturbance") {
            return Ok(());
        }
        let mut disturbed = Disturbed::start(&self.programs.path("stall"), mib)?;
        let pids = [disturbed.pid().to_owned()];
        let mut looks = vec![None, Some(self.audit("numa-audit", None, &pids[0]))];
        if self.has_memory {
            // It never holds the lock of the process's memory for long: its figure is the cost of sharing the CPUs.
            let none = self.audit("numa-audit --memory none", Some("none"), &pids[0]);
            let exact = self.audit("numa-audit --memory exact", Some("exact"), &pids[0]);
            looks.extend([Some(none), Some(exact)]);
        }
        looks.extend(self.numastat("numastat -p", &pids).map(Some));
        for look in looks {
            self.programs.go_on()?;
            let ended = AtomicBool::new(false);
            let waits = thread::scope(|scope| {
                disturbed.begin(self.size.disturbance)?;
                let looking = scope.spawn(|| look_until(&ended, look.as_ref()));
                let waits = disturbed.end();
                ended.store(true, Ordering::Relaxed);
                match looking.join() {
                    Ok(Ok(())) => waits,
                    Ok(Err(error)) => Err(error.into()),
                    Err(_) => Err("looking at it failed".into()),
                }
            })?;
            let name = look.map(|look| format!("{}, repeatedly", look.name));
            self.figures
                .waits(name.as_deref().unwrap_or("nothing"), waits);
        }
        Ok(())
    }
}

/// Runs the program in a loop.
fn look_until(ended: &AtomicBool, look: Option<&Look>) -> io::Result<()> {
    let Some(look) = look else { return Ok(()) };
    while !ended.load(Ordering::Relaxed) {
        let mut command = Command::new(&look.program);
        command.args(&look.arguments).stdin(Stdio::null());
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
    }
    Ok(())
}

/// The number of processes on this machine, kernel threads included.
fn processes_here() -> io::Result<usize> {
    let names =
        fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.filter(|name| name.parse::<u32>().is_ok()).count())
}

fn gib(mib: usize) -> String {
    match mib % 1024 {
        0 => format!("{} GiB", mib / 1024),
        _ if mib > 10_240 => format!("{:.1} GiB", mib as f64 / 1024.0),
        _ => format!("{mib} MiB"),
    }
}
