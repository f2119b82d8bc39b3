//! The machine that the tests run on: without a driver, and as an ordinary user.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::program::{Run, program, run};
use crate::support::{HANG, WITH_SIGNALS, passed_over, reader_of, wait_for};

/// A library that does not exist: as on a machine without a driver.
pub const NO_DRIVER: [&str; 2] = ["--nvml-lib", "/nonexistent/libnvidia-ml.so.1"];

/// A process that does nothing, and ends with the test.
pub struct Sleeper(pub Child);

impl Sleeper {
    pub fn new() -> Self {
        let mut command = Command::new("sleep");
        command
            .arg("600")
            .stdin(Stdio::null())
            .env("WANDB_API_KEY", "hunter2")
            .env("RANK", "3");
        let sleeper = Self(command.spawn().unwrap());
        // Until exec it still is this test.
        let comm = format!("/proc/{}/comm", sleeper.0.id());
        wait_for("sleep", || {
            let comm = std::fs::read_to_string(&comm).unwrap();
            (comm == "sleep\n").then_some(())
        });
        sleeper
    }

    pub fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The map has no processes, and `topology` does not take `--pid`.
#[test]
fn the_map_without_a_driver_does_not_recommend_pid() {
    let run = run(["topology"].iter().chain(&NO_DRIVER));
    assert!(run.stdout.contains("? NVIDIA driver: "), "{}", run.stdout);
    assert!(!run.stdout.contains("--pid"), "{}", run.stdout);
}

#[test]
fn a_missing_driver_is_reported_with_what_to_do() {
    let run = run(NO_DRIVER);
    assert_eq!(run.code, Some(3));
    assert_eq!(run.stderr, "");
    let words: Vec<&str> = run.stdout.split_whitespace().collect();
    let text = words.join(" ");
    assert!(
        text.contains("? NVIDIA driver: /nonexistent/libnvidia-ml.so.1: cannot open"),
        "{text}"
    );
    assert!(
        text.contains("--pid PID") && text.contains("--snapshot PATH"),
        "{text}"
    );
    let json = crate::program::run(NO_DRIVER.iter().chain(&["--json"])).json();
    assert_eq!(json["summary"]["verdict"], "unknown");
    assert_eq!(json["incomplete"][0]["what"], "NVIDIA driver");
}

#[test]
fn a_named_process_is_read_correctly() {
    let sleeper = Sleeper::new();
    let pid = sleeper.pid();
    let run = run(NO_DRIVER.iter().copied().chain(["--json", "--pid", &pid]));
    let json = run.json();
    let process = &json["processes"][0];
    let started = process["started_at"].as_str().unwrap();
    let started = humantime::parse_rfc3339(started).unwrap();
    // The boot time and the process's start are known to the second.
    let age = std::time::SystemTime::now().duration_since(started);
    assert!(age.unwrap() < HANG);
    assert_eq!(process["name"], "sleep");
    assert_eq!(process["command"], "sleep 600");
    assert_eq!(process["rank"], 3);
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let allowed = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:\t"));
    assert_eq!(process["cpu"]["affinity"], allowed.unwrap());
    assert_eq!(process["cpu"]["threads"]["total"], 1);
}

/// A shell that runs this script.
fn shell(script: &str) -> Sleeper {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    Sleeper(command.stdin(Stdio::null()).spawn().unwrap())
}

/// A process that only uses CPU time.
fn busy() -> Sleeper {
    shell("while :; do :; done")
}

/// The CPU time of a process, in seconds (fields 14 and 15 of stat).
fn cpu_seconds(pid: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, behind) = stat.rsplit_once(')').unwrap();
    let ticks = behind.split_whitespace().skip(11).take(2);
    ticks
        .map(|ticks| ticks.parse::<f64>().unwrap())
        .sum::<f64>()
        / 100.0
}

/// A run with a window that goes on until [`Watching::interrupt`].
struct Watching(Child);

impl Watching {
    /// Returns when the program has looked at least once and waits for its next look: it is blocked in recv(2) on
    /// the socket that the signal writes to.
    fn start(pid: &str, arguments: &[&str]) -> Self {
        // Ctrl-C is ignored where a script has started the tests in its background.
        let plain = program();
        let mut command = Command::new(WITH_SIGNALS[0]);
        command.args(&WITH_SIGNALS[1..]).arg(plain.get_program());
        command.stdin(Stdio::null());
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.args(NO_DRIVER).args(["--for", "1h", "--pid", pid]);
        let child = command.args(arguments).stdout(Stdio::piped());
        let child = child.stderr(Stdio::piped()).spawn().unwrap();
        wait_for("a window that is open", || {
            let reader = reader_of(child.id())?;
            let file = |name: &str| std::fs::read_to_string(format!("/proc/{reader}/{name}"));
            let status = file("status").unwrap();
            let caught = status
                .lines()
                .find_map(|line| line.strip_prefix("SigCgt:\t"));
            let catches_sigint = u64::from_str_radix(caught.unwrap(), 16).unwrap() & 2 != 0;
            let call = file("syscall").unwrap();
            let is_waiting = call.split(' ').next() == Some(&libc::SYS_recvfrom.to_string());
            (catches_sigint && is_waiting).then_some(())
        });
        Self(child)
    }

    fn interrupt(self) -> Run {
        let id = self.0.id().to_string();
        let sent = Command::new("kill").args(["-INT", &id]).status();
        assert!(sent.unwrap().success());
        Run::from(self.0.wait_with_output().unwrap())
    }
}

/// Waits until a process has used this much more CPU time.
fn wait_for_cpu_time(pid: &str, seconds: f64) {
    let before = cpu_seconds(pid);
    wait_for("CPU time", || {
        (cpu_seconds(pid) > before + seconds).then_some(())
    });
}

/// The CPU time of a process in the window, in seconds.
fn spent(process: &serde_json::Value) -> f64 {
    let by_node = process["cpu"]["window"]["cpu_seconds_by_node"].as_object();
    let by_node = by_node.into_iter().flatten();
    by_node.map(|(_, seconds)| seconds.as_f64().unwrap()).sum()
}

#[test]
fn a_window_lasts_as_long_as_asked() {
    let busy = busy();
    let arguments = ["--json", "--for", "1s", "--pid", &busy.pid()];
    let document = run(NO_DRIVER.iter().copied().chain(arguments)).json();
    let window = &document["window"];
    assert!(window["seconds"].as_f64().unwrap() >= 1.0, "{window}");
    assert!(window["looks"].as_u64().unwrap() >= 2, "{window}");
}

/// How much CPU time the process gets depends on the scheduler: so the window is compared with what the kernel counted in
/// a shorter and in a longer time.
#[test]
fn a_window_shows_the_cpu_time_that_was_used_in_it() {
    let busy = busy();
    let pid = busy.pid();
    let before = cpu_seconds(&pid);
    let watching = Watching::start(&pid, &["--json"]);
    let since_first_look = cpu_seconds(&pid);
    wait_for_cpu_time(&pid, 0.5);
    let until_last_look = cpu_seconds(&pid);
    let document = watching.interrupt().json();
    let after = cpu_seconds(&pid);
    let spent = spent(&document["processes"][0]);
    // The kernel counts in steps of 10 ms.
    assert!(spent <= after - before + 0.02, "{spent}");
    assert!(
        spent >= until_last_look - since_first_look - 0.02,
        "{spent}"
    );
}

#[test]
fn a_window_includes_processes_that_start_in_it() {
    let place = tempfile::tempdir().unwrap();
    let (begin, pid_file) = (place.path().join("begin"), place.path().join("pid"));
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    // `timeout` ends the busy process even where this test fails.
    let parent = shell(&format!(
        "until [ -e {} ]; do sleep 0.05; done; timeout 600 sh -c 'while :; do :; done' & echo $! >{}; wait",
        path(&begin),
        path(&pid_file)
    ));
    let watching = Watching::start(&parent.pid(), &["--json"]);
    std::fs::write(&begin, "").unwrap();
    let timeout: String = wait_for("the new process", || {
        let pid = std::fs::read_to_string(&pid_file).unwrap_or_default();
        pid.ends_with('\n').then(|| pid.trim().to_owned())
    });
    let child: String = wait_for("its child", || {
        let children = format!("/proc/{timeout}/task/{timeout}/children");
        let children = std::fs::read_to_string(children).unwrap();
        children.split_whitespace().next().map(str::to_owned)
    });
    wait_for_cpu_time(&child, 0.3);
    let document = watching.interrupt().json();
    let _ = Command::new("kill").arg(&timeout).status();
    let processes = document["processes"].as_array().unwrap().iter();
    let busy = processes.filter(|process| spent(process) > 0.2);
    let commands: Vec<_> = busy.map(|process| process["command"].clone()).collect();
    assert_eq!(commands, ["sh -c while :; do :; done"], "{document:#}");
}

#[test]
fn an_interrupted_window_reports_what_it_saw() {
    let busy = busy();
    let run = Watching::start(&busy.pid(), &[]).interrupt();
    assert!(
        run.stdout.contains(" of 3600 s (interrupted), "),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains(&busy.pid()), "{}", run.stdout);
}

/// The program as user 65534; `None` where the tests do not run as root.
fn as_nobody(arguments: &[&str]) -> Option<Run> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    if !status.lines().any(|line| line.starts_with("Uid:\t0\t")) {
        passed_over("not root");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let binary = folder.path().join("numa-audit");
    std::fs::copy(program().get_program(), &binary).unwrap();
    for path in [folder.path(), &binary] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = Command::new(&binary);
    command
        .args(arguments)
        .current_dir("/")
        .uid(65534)
        .gid(65534);
    Some(Run::from(command.output().unwrap()))
}

#[test]
fn another_users_memory_is_unknown_and_never_zero() {
    let sleeper = Sleeper::new();
    let pid = sleeper.pid();
    let arguments = [NO_DRIVER[0], NO_DRIVER[1], "--pid", &pid];
    let Some(table) = as_nobody(&arguments) else {
        return;
    };
    assert_eq!(table.code, Some(3));
    let text = table
        .stdout
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let why = format!("? memory of process {pid}: permission denied; run as its owner or as root");
    assert!(text.contains(&why), "{text}");
    let json = as_nobody(&[&arguments[..], &["--json"]].concat())
        .unwrap()
        .json();
    let process = &json["processes"][0];
    assert_eq!(process["memory"]["by_node_bytes"], serde_json::Value::Null);
    assert_eq!(process["memory"]["verdict"], "unknown");
    assert!(process["cpu"]["node"].is_u64(), "the CPU side is there");
    let denied = json["incomplete"].as_array().unwrap().iter();
    let denied = denied.filter(|gap| gap["reason"] == "permission denied");
    let facts: Vec<_> = denied.map(|gap| gap["what"].as_str().unwrap()).collect();
    assert_eq!(facts, ["environ", "memory"]);
}

#[test]
fn a_snapshot_without_permission_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("snapshot.json"), "{\"format\": 1}").unwrap();
    let path = folder.path().to_str().unwrap();
    let refused = |mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        let run = as_nobody(&["--snapshot", path])?;
        run.fails_with(&format!(
            "cannot read the snapshot {path}: Permission denied (os error 13)"
        ));
        Some(())
    };
    // Neither listed nor entered.
    let _ = refused(0o700).and_then(|()| refused(0o744));
}

#[test]
fn a_closed_pipe_ends_it_without_a_message() {
    let mut command = program();
    command
        .args(NO_DRIVER)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let run = Run::from(child.wait_with_output().unwrap());
    assert_eq!(run.stderr, "");
    assert_eq!(run.code, Some(3));
}

/// Runs the program as process 1 of a container would that waits for nothing but what it started. Prints how many other
/// processes were left to it.
const ADOPTING_PARENT: &str = "
import ctypes, os, subprocess, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
for _ in range(5):
    subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
left = 0
try:
    while True:
        os.waitpid(-1, 0)
        left += 1
except ChildProcessError:
    print(left)
";

/// A library whose process takes a while to end: the kernel has to free its memory.
const SLOW_TO_END: &str = "
#include <stdlib.h>
#include <string.h>
__attribute__((constructor)) static void fill(void) { memset(malloc(100 << 20), 1, 100 << 20); }
";

#[test]
fn an_audit_leaves_no_zombie_to_whoever_adopts_it() {
    let folder = tempfile::tempdir().unwrap();
    let (source, library) = (folder.path().join("slow.c"), folder.path().join("slow.so"));
    std::fs::write(&source, SLOW_TO_END).unwrap();
    let mut compiler = Command::new("gcc");
    compiler.args(["-shared", "-fPIC", "-o"]);
    match compiler.arg(&library).arg(&source).status() {
        Ok(status) => assert!(status.success()),
        Err(_) => return passed_over("gcc is needed"),
    }
    let mut parent = Command::new("python3");
    parent.args(["-c", ADOPTING_PARENT]);
    parent.arg(program().get_program());
    let output = parent.arg("--nvml-lib").arg(library).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0\n");
}
