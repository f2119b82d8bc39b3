//! This machine, whatever it is: without a driver, and as an ordinary user.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::program::{Run, program, run};

/// A library that is not there stands for a machine without a driver.
const NO_DRIVER: [&str; 2] = ["--nvml-lib", "/nonexistent/libnvidia-ml.so.1"];

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
        // Until it has become `sleep` it still is this test.
        let comm = format!("/proc/{}/comm", sleeper.0.id());
        while std::fs::read_to_string(&comm).unwrap() != "sleep\n" {
            std::thread::yield_now();
        }
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

/// A map is not about processes, and `topology` takes none.
#[test]
fn a_map_without_a_driver_does_not_tell_to_name_processes() {
    let run = run(["topology"].iter().chain(&NO_DRIVER));
    assert!(run.stdout.contains("? NVIDIA driver: "), "{}", run.stdout);
    assert!(!run.stdout.contains("--pid"), "{}", run.stdout);
}

#[test]
fn without_a_driver_it_says_so_and_what_to_do() {
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
fn a_named_process_is_read_right() {
    let sleeper = Sleeper::new();
    let pid = sleeper.pid();
    let run = run(NO_DRIVER.iter().copied().chain(["--json", "--pid", &pid]));
    let json = run.json();
    let process = &json["processes"][0];
    let started = process["started_at"].as_str().unwrap();
    let started = humantime::parse_rfc3339(started).unwrap();
    // To the second, both of the boot and of the process.
    let age = std::time::SystemTime::now().duration_since(started);
    assert!(age.unwrap().as_secs() < 120);
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

/// A shell that does this.
fn shell(script: &str) -> Sleeper {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    Sleeper(command.stdin(Stdio::null()).spawn().unwrap())
}

/// A process that does nothing but use CPU time.
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

#[test]
fn a_window_shows_the_cpu_time_that_was_used_in_it() {
    let busy = busy();
    let pid = busy.pid();
    let (start, before) = (Instant::now(), cpu_seconds(&pid));
    let arguments = ["--json", "--for", "1s", "--pid", &pid];
    let run = run(NO_DRIVER.iter().copied().chain(arguments));
    let used = cpu_seconds(&pid) - before;
    let rate = used / start.elapsed().as_secs_f64();
    let document = run.json();
    let window = &document["window"];
    assert!(window["seconds"].as_f64().unwrap() >= 1.0, "{window}");
    assert!(window["looks"].as_u64().unwrap() > 5, "{window}");
    let spent = document["processes"][0]["cpu"]["window"]["cpu_seconds_by_node"].as_object();
    let spent: f64 = spent.unwrap().values().map(|of| of.as_f64().unwrap()).sum();
    // Before and after the window it was busy too.
    assert!(spent > 0.0 && spent <= used + 0.02, "{spent} of {used}");
    let expected = rate * window["seconds"].as_f64().unwrap();
    assert!(spent > expected * 0.5, "{spent} of {expected}");
}

#[test]
fn a_window_takes_in_who_starts_in_it() {
    let parent = shell("sleep 0.5; timeout 4 sh -c 'while :; do :; done' & wait");
    let pid = parent.pid();
    let arguments = ["--json", "--for", "2s", "--pid", &pid];
    let document = run(NO_DRIVER.iter().copied().chain(arguments)).json();
    let spent = |process: &serde_json::Value| {
        let by_node = process["cpu"]["window"]["cpu_seconds_by_node"].as_object()?;
        by_node.values().next()?.as_f64()
    };
    let processes = document["processes"].as_array().unwrap().iter();
    let busy = processes.filter(|process| spent(process) > Some(0.1));
    let commands: Vec<_> = busy.map(|process| process["command"].clone()).collect();
    assert_eq!(commands, ["sh -c while :; do :; done"], "{document:#}");
}

#[test]
fn a_window_that_is_interrupted_tells_what_it_saw() {
    let busy = busy();
    let mut command = program();
    command
        .args(NO_DRIVER)
        .args(["--for", "1h", "--pid", &busy.pid()]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = child.spawn().unwrap();
    // Until it holds the signal back, it would end of it (SigCgt has a bit for each that is caught).
    let status = format!("/proc/{}/status", child.id());
    let catches = || {
        let text = std::fs::read_to_string(&status).unwrap();
        let caught = text.lines().find_map(|line| line.strip_prefix("SigCgt:\t"));
        u64::from_str_radix(caught.unwrap(), 16).unwrap() & (1 << (2 - 1)) != 0
    };
    while !catches() {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(300));
    let mut kill = Command::new("kill");
    assert!(
        kill.args(["-INT", &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    let run = Run::from(child.wait_with_output().unwrap());
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
        println!("not root: passed over");
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
fn a_snapshot_that_may_not_be_read() {
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
    // Not to be listed, and not to be entered.
    let _ = refused(0o700).and_then(|()| refused(0o744));
}

#[test]
fn a_closed_pipe_is_a_quiet_end() {
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
