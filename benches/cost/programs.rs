//! The programs that are compared, and the cost of one run.

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};

/// An error that ends the benchmark.
pub type Trouble = Box<dyn Error>;

/// Our own program, as cargo built it for this bench.
pub const NUMA_AUDIT: &str = env!("CARGO_BIN_EXE_numa-audit");

/// The C programs of this folder, compiled, and a temporary folder.
#[derive(Debug)]
pub struct Programs {
    folder: tempfile::TempDir,
    interrupted: Arc<AtomicBool>,
}

impl Programs {
    /// Compiles them with `cc`.
    pub fn compile() -> Result<Self, Trouble> {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
        }
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches");
        for name in ["load", "floor", "stall", "meter"] {
            let mut cc = Command::new("cc");
            cc.args(["-O2", "-Wall", "-Wextra", "-pthread", "-o"])
                .arg(folder.path().join(name))
                .arg(sources.join(format!("{name}.c")));
            let status = cc.status().map_err(|error| format!("cc: {error}"))?;
            if !status.success() {
                return Err(format!("cc cannot compile {name}.c").into());
            }
        }
        Ok(Self {
            folder,
            interrupted,
        })
    }

    /// One of them.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A folder for temporary files, which is deleted at the end.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// An error once the user interrupts.
    pub fn go_on(&self) -> Result<(), Trouble> {
        match self.interrupted.load(Ordering::Relaxed) {
            true => Err("interrupted".into()),
            false => Ok(()),
        }
    }

    /// The median cost of this many runs of each program. They take turns, so that other work on the machine affects all alike.
    pub fn compare(&self, looks: &[Look], runs: usize) -> Result<Vec<Cost>, Trouble> {
        let mut costs = vec![Vec::new(); looks.len()];
        for _ in 0..runs {
            for (look, costs) in looks.iter().zip(&mut costs) {
                costs.push(self.run(look)?);
            }
        }
        Ok(costs.iter().map(|costs| Cost::median(costs)).collect())
    }

    fn run(&self, look: &Look) -> Result<Cost, Trouble> {
        let Look {
            program, arguments, ..
        } = look;
        self.go_on()?;
        let file = self.path("cost");
        let mut meter = Command::new(self.path("meter"));
        meter.arg(&file).arg(program).args(arguments);
        let output = meter
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .output()?;
        self.go_on()?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            return Err(format!("meter: {said}").into());
        }
        let text = fs::read_to_string(&file)?;
        let numbers: Vec<f64> = text
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        let [user, system, wall, peak, status] = numbers[..] else {
            return Err(format!("no cost: {text}").into());
        };
        // Ours exits with 1 and 3 for what it found, and hwloc-ps with 1 where a process had ended.
        if ![0.0, 1.0, 3.0].contains(&status) {
            return Err(format!("{} exits with {status}: {said}", program.display()).into());
        }
        Ok(Cost {
            cpu_ms: (user + system) / 1e3,
            wall_ms: wall / 1e3,
            peak_mib: peak / 1024.0,
        })
    }
}

/// A program and its arguments.
#[derive(Debug, Clone)]
pub struct Look {
    /// The name in the table.
    pub name: String,
    /// The program's file.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

impl Look {
    /// With this name and these arguments.
    pub fn new<'a>(
        name: &str,
        program: &Path,
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        Self {
            name: name.into(),
            program: program.into(),
            arguments: arguments.into_iter().map(String::from).collect(),
        }
    }
}

/// The cost of one run.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// User and system time.
    pub cpu_ms: f64,
    /// From its start to its end.
    pub wall_ms: f64,
    /// The peak resident memory.
    pub peak_mib: f64,
}

impl Cost {
    fn median(costs: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| {
            let mut sorted: Vec<f64> = costs.iter().map(figure).collect();
            sorted.sort_by(f64::total_cmp);
            sorted[sorted.len() / 2]
        };
        Self {
            cpu_ms: of(|cost| cost.cpu_ms),
            wall_ms: of(|cost| cost.wall_ms),
            peak_mib: of(|cost| cost.peak_mib),
        }
    }
}

/// The path of another program, if it is installed.
pub fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut found = std::env::split_paths(&path).map(|folder| folder.join(name));
    found.find(|file| file.is_file())
}

/// Whether numa-audit knows an option.
pub fn has_option(option: &str) -> io::Result<bool> {
    let help = Command::new(NUMA_AUDIT).arg("--help").output()?;
    Ok(String::from_utf8_lossy(&help.stdout).contains(&format!("{option} ")))
}
