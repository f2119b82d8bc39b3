//! Boots a guest and returns the files that it wrote.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::arm64;
use crate::support::passed_over;

/// The programs that the lab needs, with their packages.
const NEEDED: &[(&str, &str)] = &[
    ("cpio", "cpio"),
    ("busybox", "busybox-static"),
    ("numastat", "numactl"),
    ("hwloc-calc", "hwloc-nox"),
    ("gcc", "gcc"),
    ("script", "bsdutils"),
    ("strip", "binutils"),
    ("python3", "python3-minimal"),
];

fn has(program: &str) -> bool {
    let mut find = Command::new("bash");
    find.args(["-c", &format!("type -P {program}")]);
    find.output().unwrap().status.success()
}

/// Whether the programs that the lab and this emulator need are installed.
fn is_equipped(kernel: Kernel) -> bool {
    let needed = NEEDED.iter().chain(kernel.needed());
    let missing = needed.filter(|(program, _)| !has(program));
    let packages: Vec<&str> = missing.map(|(_, package)| *package).collect();
    if packages.is_empty() {
        return true;
    }
    passed_over(&format!(
        "the lab needs programs: apt-get install {}",
        packages.join(" ")
    ));
    false
}

/// Builds the stand-in for NVML; gives the library's path.
pub fn stand_in(features: &[&str]) -> PathBuf {
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("stand-in{}", features.concat()));
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args([
            "build",
            "--quiet",
            "--locked",
            "--package",
            "stand-in-nvml",
            "--target-dir",
        ])
        .arg(&folder);
    cargo
        .args(["--features", &features.join(",")])
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    assert!(cargo.status().unwrap().success());
    folder.join("debug/libnvidia_ml.so")
}

/// The kernel that a guest boots, from Debian.
#[derive(Clone, Copy)]
pub enum Kernel {
    /// That of the host's release.
    Release,
    /// The newer one of its backports.
    Backports,
    /// That for arm64 with pages of 16 KiB.
    Arm64,
}

/// What a guest is given.
pub struct Programs {
    pub numa_audit: PathBuf,
    pub stand_in: PathBuf,
    /// The program that removes their symbols.
    pub strip: &'static str,
}

impl Programs {
    /// Copies them, without symbols: they are not needed there, and the emulated processor would have to unpack them.
    fn put(&self, folder: &Path) {
        for (from, to) in [
            (&self.numa_audit, "numa-audit"),
            (&self.stand_in, "libnvidia_ml.so"),
        ] {
            let mut strip = Command::new(self.strip);
            strip.arg("-o").arg(folder.join(to)).arg(from);
            assert!(strip.status().unwrap().success());
        }
    }
}

impl Kernel {
    /// The value that the lab's scripts take.
    fn word(self) -> &'static str {
        match self {
            Self::Release => "",
            Self::Backports => "backports",
            Self::Arm64 => "arm64",
        }
    }

    /// The programs that only this kernel needs, with their packages.
    fn needed(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Release | Self::Backports => &[("qemu-system-x86_64", "qemu-system-x86")],
            Self::Arm64 => arm64::NEEDED,
        }
    }

    /// What runs under this kernel, or why it cannot be had.
    fn programs(self) -> Result<Programs, String> {
        match self {
            Self::Release | Self::Backports => Ok(Programs {
                numa_audit: PathBuf::from(env!("CARGO_BIN_EXE_numa-audit")),
                stand_in: stand_in(&[]),
                strip: "strip",
            }),
            Self::Arm64 => arm64::programs(),
        }
    }
}

/// The exit code of build.sh where a kernel is not available.
const NO_SUCH_KERNEL: i32 = 3;

/// The files that a guest wrote.
pub struct Left {
    folder: PathBuf,
}

impl Left {
    /// Boots a machine of this shape and runs a scenario there. `None` where the lab is not equipped.
    pub fn of(shape: &str, scenario: &str) -> Option<Self> {
        Self::with_kernel(shape, scenario, Kernel::Release)
    }

    /// The same with this kernel; `None` also where it is not available.
    pub fn with_kernel(shape: &str, scenario: &str, kernel: Kernel) -> Option<Self> {
        if !is_equipped(kernel) {
            return None;
        }
        let programs = match kernel.programs() {
            Ok(programs) => programs,
            Err(reason) => {
                passed_over(&reason);
                return None;
            }
        };
        let lab = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab");
        let build = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lab");
        let built = Command::new(lab.join("build.sh"))
            .arg(&build)
            .env("LAB_KERNEL", kernel.word())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&built.stderr);
        if built.status.code() == Some(NO_SUCH_KERNEL) {
            passed_over(&format!(
                "the kernel for {shape} is not available here: {said}"
            ));
            return None;
        }
        assert!(built.status.success(), "{said}");
        let own = build.join(format!("{shape}-{scenario}{}", kernel.word()));
        let _ = fs::remove_dir_all(&own);
        fs::create_dir_all(&own).unwrap();
        programs.put(&own);
        fs::copy(lab.join("guest").join(scenario), own.join("scenario")).unwrap();
        let out = own.join("out");
        let mut run = Command::new(lab.join("run.sh"));
        run.arg(&build).arg(shape).arg(&out);
        run.env("LAB_KERNEL", kernel.word());
        run.arg(own.join("scenario"))
            .arg(own.join("numa-audit"))
            .arg(own.join("libnvidia_ml.so"));
        run.arg(lab.join("guest/jobs"));
        let shape_file = lab.join("guest/shapes").join(shape);
        if shape_file.exists() {
            let copy = own.join("shape");
            fs::copy(shape_file, &copy).unwrap();
            run.arg(copy);
        }
        let ran = run.output().unwrap();
        let left = Self { folder: out };
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(
            ran.status.success(),
            "{shape}: {said}{}",
            left.text_or_nothing("stderr")
        );
        Some(left)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn text_or_nothing(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    #[track_caller]
    pub fn text(&self, name: &str) -> String {
        match fs::read_to_string(self.path(name)) {
            Ok(text) => text,
            Err(error) => panic!("{name}: {error}; {}", self.text_or_nothing("stderr")),
        }
    }

    #[track_caller]
    pub fn json(&self, name: &str) -> Value {
        match serde_json::from_str(&self.text(name)) {
            Ok(document) => document,
            Err(error) => panic!(
                "{name}: {error}; {}",
                self.text_or_nothing(&format!("{name}.err"))
            ),
        }
    }

    /// The program's exit code of one call.
    #[track_caller]
    pub fn code(&self, name: &str) -> i32 {
        self.text(&format!("{name}.rc")).trim().parse().unwrap()
    }

    /// The PID of a job of the scenario.
    #[track_caller]
    pub fn job(&self, name: &str) -> u64 {
        let jobs = self.text("jobs");
        let pid = jobs
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        pid.unwrap_or_else(|| panic!("no job {name} in {jobs}"))
            .parse()
            .unwrap()
    }
}
