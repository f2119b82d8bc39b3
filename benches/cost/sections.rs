//! What is measured, one after the other.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::Size;
use crate::children::{Disturbed, Load};
use crate::figures::{Figures, meminfo};
use crate::programs::{NUMA_AUDIT, Programs, Trouble, has_option, installed};
use crate::tree::{FIRST, Recorded};

/// All measurements of one run.
#[derive(Debug)]
pub struct Bench {
    size: Size,
    programs: Programs,
    figures: Figures,
    numastat: Option<PathBuf>,
    hwloc_ps: Option<PathBuf>,
    /// Whether ours has `--memory sample|exact|none`.
    has_memory: bool,
}

impl Bench {
    /// Gets everything ready but the loads.
    pub fn new(size: Size) -> Result<Self, Trouble> {
        let mut bench = Self {
            size,
            programs: Programs::compile()?,
            figures: Figures::default(),
            numastat: installed("numastat"),
            hwloc_ps: installed("hwloc-ps"),
            has_memory: has_option("--memory")?,
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

    /// Measures everything; gives the tables.
    pub fn run(mut self) -> Result<String, Trouble> {
        self.affinity()?;
        for (processes, mib) in self.size.memory {
            self.memory(processes, mib)?;
        }
        self.recorded()?;
        self.disturbance()?;
        let disturbed = format!(
            "A process of {} that maps and unmaps",
            gib(self.size.disturbed)
        );
        Ok(self.figures.markdown(self.size.runs, &disturbed))
    }

    /// Whether there is this much memory and a GiB to spare; if not, says what is left out.
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

    /// Our program's arguments for this way to look at memory; the default where it knows no such ways.
    fn audit<'a>(&self, memory: Option<&'a str>, pids: &'a str) -> Vec<&'a str> {
        let mut arguments = vec!["--json", "--pid", pids];
        if let Some(memory) = memory.filter(|_| self.has_memory) {
            arguments.extend(["--memory", memory]);
        }
        arguments
    }

    fn cost(
        &mut self,
        load: &str,
        name: &str,
        program: &Path,
        arguments: &[&str],
    ) -> Result<(), Trouble> {
        let cost = self.programs.measure(program, arguments, self.size.runs)?;
        self.figures.cost(load, name, cost);
        Ok(())
    }

    /// Where many threads run and may run.
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
        let what = format!("where {processes} processes of {threads} threads run");
        let pids: Vec<&str> = load.pids().iter().map(String::as_str).collect();
        let name = match self.has_memory {
            true => "numa-audit --memory none",
            false => "numa-audit (with numa_maps)",
        };
        let audit = self.audit(Some("none"), load.parent());
        self.cost(&what, name, Path::new(NUMA_AUDIT), &audit)?;
        if let Some(hwloc_ps) = self.hwloc_ps.clone() {
            self.cost(&what, "hwloc-ps -a -t", &hwloc_ps, &["-a", "-t"])?;
        }
        let floor = [&["affinity"], &pids[..]].concat();
        self.cost(
            &what,
            "floor: stat, sched_getaffinity",
            &self.programs.path("floor"),
            &floor,
        )
    }

    /// Where big processes' memory lies.
    fn memory(&mut self, processes: usize, mib: usize) -> Result<(), Trouble> {
        let what = format!(
            "where the memory of {processes} processes of {} lies",
            gib(mib)
        );
        if !self.has_room(processes * mib, &what) {
            return Ok(());
        }
        let load = Load::start(&self.programs.path("load"), processes, 1, mib)?;
        let pids: Vec<&str> = load.pids().iter().map(String::as_str).collect();
        let listed = pids.join(",");
        self.cost(
            &what,
            "numa-audit",
            Path::new(NUMA_AUDIT),
            &self.audit(None, &listed),
        )?;
        if self.has_memory {
            let exact = self.audit(Some("exact"), &listed);
            self.cost(
                &what,
                "numa-audit --memory exact",
                Path::new(NUMA_AUDIT),
                &exact,
            )?;
        }
        if let Some(numastat) = self.numastat.clone() {
            let arguments = [&["-p"], &pids[..]].concat();
            self.cost(&what, "numastat -p", &numastat, &arguments)?;
        }
        let floor = [&["memory"], &pids[..]].concat();
        self.cost(
            &what,
            "floor: numa_maps",
            &self.programs.path("floor"),
            &floor,
        )
    }

    /// Very many threads, of a machine that was recorded.
    fn recorded(&mut self) -> Result<(), Trouble> {
        let folder = tempfile::tempdir_in(self.programs.folder())?;
        let mut recorded = Recorded::new(folder.path().join("tree"))?;
        let first = FIRST.to_string();
        for threads in self.size.recorded {
            self.programs.go_on()?;
            recorded.grow(threads)?;
            let path = recorded.folder().display().to_string();
            let mut arguments = self.audit(None, &first);
            arguments.extend(["--snapshot", &path]);
            let what = format!("a recorded machine of {threads} threads");
            self.cost(
                &what,
                "numa-audit --snapshot",
                Path::new(NUMA_AUDIT),
                &arguments,
            )?;
        }
        Ok(())
    }

    /// How long a process has to wait for its own memory while others look at it.
    fn disturbance(&mut self) -> Result<(), Trouble> {
        let mib = self.size.disturbed;
        if !self.has_room(mib, "the disturbance") {
            return Ok(());
        }
        let mut disturbed = Disturbed::start(&self.programs.path("stall"), mib)?;
        let pid = disturbed.pid().to_owned();
        let ours = |memory| {
            Some(Look {
                program: NUMA_AUDIT.into(),
                arguments: self
                    .audit(memory, &pid)
                    .into_iter()
                    .map(String::from)
                    .collect(),
            })
        };
        let mut ways = vec![
            ("nothing", None),
            ("numa-audit, again and again", ours(None)),
        ];
        if self.has_memory {
            ways.push((
                "numa-audit --memory exact, again and again",
                ours(Some("exact")),
            ));
        }
        if let Some(numastat) = &self.numastat {
            let look = Look {
                program: numastat.clone(),
                arguments: vec!["-p".into(), pid.clone()],
            };
            ways.push(("numastat -p, again and again", Some(look)));
        }
        for (name, look) in ways {
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
            self.figures.waits(name, waits);
        }
        Ok(())
    }
}

/// A program's look at the process.
#[derive(Debug)]
struct Look {
    program: PathBuf,
    arguments: Vec<String>,
}

/// Looks again and again.
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

fn gib(mib: usize) -> String {
    match mib % 1024 {
        0 => format!("{} GiB", mib / 1024),
        _ if mib > 10_240 => format!("{:.1} GiB", mib as f64 / 1024.0),
        _ => format!("{mib} MiB"),
    }
}
