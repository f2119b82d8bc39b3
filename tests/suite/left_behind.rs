//! Processes and a driver that cannot be waited for and cannot be interrupted: the program ends nevertheless, and later runs
//! do not add a process each.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use serde_json::Value;

use crate::live::NO_DRIVER;
use crate::program::{Run, program};
use crate::support::{HANG, PATIENCE, passed_over, wait_for};

/// A process that locks its memory map without end as soon as a reader samples its pages (held_lock.py).
struct Holder(Child);

impl Holder {
    /// `None` where there can be none.
    fn new(place: &Path) -> Option<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/held_lock.py");
        let mut command = Command::new("python3");
        command.arg(script).arg(place).process_group(0);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        lines.read_line(&mut line).unwrap();
        let holder = Self(child);
        if line != "ready\n" {
            passed_over(line.trim_end());
            return None;
        }
        Some(holder)
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }

    /// The process of this program with a thread that waits for this one uninterruptibly.
    fn waiter(&self) -> Option<PathBuf> {
        let name = format!("reads {}\n", self.0.id());
        let text = |path: PathBuf| std::fs::read_to_string(path).unwrap_or_default();
        let mut processes = std::fs::read_dir("/proc").unwrap().flatten();
        let waits = |process: &std::fs::DirEntry| {
            let tasks = std::fs::read_dir(process.path().join("task"));
            let mut tasks = tasks.into_iter().flatten().flatten();
            tasks.any(|task| {
                let is_blocked = || text(task.path().join("stat")).contains(") D ");
                text(task.path().join("comm")) == name && is_blocked()
            })
        };
        processes.find(waits).map(|process| process.path())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let waiter = self.waiter();
        let group = format!("-{}", self.0.id());
        let mut kill = Command::new("kill");
        let _ = kill.args(["-s", "KILL", "--", &group]).status();
        let _ = self.0.wait();
        if let Some(waiter) = waiter {
            wait_for("the end of what was left behind", || {
                (!waiter.exists()).then_some(())
            });
        }
    }
}

/// The program; a process has 10 s to answer, and its pages are sampled for up to a second.
fn audit(pid: &str) -> Command {
    let mut command = program();
    command.env(PATIENCE, "5");
    command.args(["--json", "--pid", pid]).args(NO_DRIVER);
    command
}

fn reason(document: &Value, pid: &str, what: &str) -> String {
    let pid: u32 = pid.parse().unwrap();
    let gaps = document["incomplete"].as_array().unwrap();
    let mut gaps = gaps
        .iter()
        .filter(|gap| gap["pid"] == pid && gap["what"] == what);
    let gap = gaps.next();
    gap.map_or(String::new(), |gap| {
        gap["reason"].as_str().unwrap().to_owned()
    })
}

/// Holders until one has caught its reader, which takes some luck. `act` starts a reader of this PID.
fn caught<T>(act: impl Fn(&Holder) -> T) -> Option<(tempfile::TempDir, Holder, T)> {
    const TRIES: usize = 40;
    for _ in 0..TRIES {
        let place = tempfile::tempdir().unwrap();
        let holder = Holder::new(place.path())?;
        let acted = act(&holder);
        if holder.waiter().is_some() {
            return Some((place, holder, acted));
        }
    }
    panic!("no reader was ever caught");
}

#[test]
fn a_process_that_locks_its_memory_without_end_does_not_keep_the_program() {
    let run_once = |holder: &Holder| Run::from(audit(&holder.pid()).output().unwrap());
    let Some((_place, holder, first)) = caught(run_once) else {
        return;
    };
    let pid = holder.pid();
    assert_eq!(first.code, Some(3), "{}", first.stderr);
    let late = "did not answer within 10 s";
    assert_eq!(reason(&first.json(), &pid, "memory"), late);
    let waiter = holder.waiter().unwrap();
    let waiter_pid = waiter.file_name().unwrap().to_str().unwrap();
    for _ in 0..3 {
        let later = run_once(&holder);
        assert_eq!(later.code, Some(3), "{}", later.stderr);
        let document = later.json();
        assert_eq!(
            reason(&document, &pid, "memory"),
            format!(
                "not read: an earlier run of numa-audit (process {waiter_pid}) still waits for it"
            )
        );
        let processes = document["processes"].as_array().unwrap();
        let threads = &processes[0]["cpu"]["threads"]["total"];
        assert_eq!(threads, 2, "the CPU side is known: {document:#}");
    }
    assert_eq!(
        holder.waiter(),
        Some(waiter),
        "later runs left nothing behind"
    );
}

#[test]
fn sigkill_ends_the_program_and_its_pipe_while_a_reader_cannot_be_killed() {
    let start = |holder: &Holder| {
        let mut command = audit(&holder.pid());
        // It would wait for minutes.
        command.env(PATIENCE, "100").stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let ended = wait_for("a reader that is caught, or the end", || {
            let ended = child.try_wait().unwrap().is_some();
            (ended || holder.waiter().is_some()).then_some(ended)
        });
        (child, ended)
    };
    let Some((_place, _holder, (mut child, _))) = caught(start) else {
        return;
    };
    child.kill().unwrap();
    let mut output = child.stdout.take().unwrap();
    let (sender, ended) = mpsc::channel();
    std::thread::spawn(move || {
        let read = output.read_to_end(&mut Vec::new());
        let _ = sender.send(read.is_ok());
    });
    assert_eq!(ended.recv_timeout(HANG), Ok(true), "the pipe's end");
    child.wait().unwrap();
}

/// Why the driver was not asked, in a PID namespace with `count` processes that look like queries of the driver that earlier
/// runs left behind. `prefix` starts them. `None` where there can be no such namespace.
fn driver_gap_beside(count: usize, prefix: &str) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let copy = folder.path().join("numa-audit-nvml");
    std::fs::copy("/bin/sleep", &copy).unwrap();
    let script = format!(
        "for i in $(seq {count}); do {prefix} {} 600 & done
        while [ $(cat /proc/[0-9]*/comm 2>/dev/null | grep -c numa-audit-nvml) != {count} ]; do sleep 0.01; done
        \"$@\"; exit $?",
        copy.display()
    );
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "sh", "-c", &script, "sh"]);
    let program = program();
    command.arg(program.get_program());
    command.args(["topology", "--json"]).args(NO_DRIVER);
    let run = Run::from(command.output().unwrap());
    if run.stdout.is_empty() {
        passed_over(&run.stderr);
        return None;
    }
    let reason = run.json()["incomplete"][0]["reason"].clone();
    Some(reason.as_str().unwrap().to_owned())
}

#[test]
fn a_driver_for_which_many_runs_still_wait_is_not_asked() {
    let Some(few) = driver_gap_beside(7, "") else {
        return;
    };
    assert!(few.contains("/nonexistent"), "{few}");
    let many = driver_gap_beside(8, "").unwrap();
    let refusal = "not asked: 8 earlier runs of numa-audit still wait for the driver";
    assert!(many.starts_with(refusal), "{many}");
}

/// Otherwise any user could keep root from asking the driver.
#[test]
fn the_names_of_another_users_processes_do_not_count() {
    let other_user = "setpriv --reuid 65534";
    if let Some(reason) = driver_gap_beside(20, other_user) {
        assert!(reason.contains("/nonexistent"), "{reason}");
    }
}
