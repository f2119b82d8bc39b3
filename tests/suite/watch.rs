//! `watch`, in a terminal.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use rustix::process::Signal;

use crate::live::{NO_DRIVER, Sleeper};
use crate::program::{Run, program};
use crate::pty::{Pty, children, state};
use crate::support::{passed_over, wait_for};

const RECORDING: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/fixtures/p4d-do-not-match.tar.gz"
);

fn recording(columns: u16, lines: u16) -> Pty {
    let mut pty = Pty::watch(columns, lines, &["--snapshot", RECORDING]);
    pty.shows("trainer 254");
    assert!(pty.is_taken());
    pty
}

/// The screen of a process that does nothing.
fn live(sleeper: &Sleeper, more: &[&str]) -> Pty {
    let pid = sleeper.0.id().to_string();
    let mut arguments = vec!["--every", "500ms", "--pid", &pid];
    arguments.extend(NO_DRIVER);
    arguments.extend(more);
    let mut pty = Pty::watch(100, 24, &arguments);
    pty.shows(&pid);
    pty
}

/// All processes of this one are gone.
fn are_gone(pids: &[u32]) {
    for pid in pids {
        wait_for("the end of what it started", || {
            state(*pid).is_none().then_some(())
        });
    }
}

#[test]
fn the_user_ends_it_and_the_terminal_is_as_before() {
    for (columns, lines, end) in [(80, 24, "q"), (200, 50, "\x1b"), (40, 8, "\x03")] {
        let mut pty = recording(columns, lines);
        let observer = pty.observer();
        pty.press(end);
        assert_eq!(pty.end().code(), Some(0), "{}", pty.contents());
        pty.is_as_before();
        are_gone(&[observer]);
    }
}

#[test]
fn keys_do_what_the_help_says() {
    let mut pty = recording(80, 24);
    pty.press("?");
    pty.shows("choose the column to sort by");
    pty.press("\x1b");
    pty.shows("worker ×4");
    pty.press("a");
    pty.shows_that("a row for each worker", |screen| {
        screen.matches(" worker ").count() == 4
    });
    pty.press("\x1b[B\x1b[B\r");
    pty.shows("worker 266 (GPU 0): MISMATCH");
    // An Escape that comes alone is the key of that name.
    pty.press("\x1b");
    pty.shows("FINDINGS");
    pty.press("/");
    pty.shows("Filter: _");
    pty.press("launcher\r");
    pty.shows_that("only launchers", |screen| !screen.contains(" worker "));
    pty.press("q");
    assert_eq!(pty.end().code(), Some(0));
    pty.is_as_before();
}

#[test]
fn the_screen_has_the_size_of_the_terminal() {
    let mut pty = recording(80, 24);
    assert!(!pty.contents().contains("KINDS OF"));
    pty.resize(200, 50);
    pty.shows("KINDS OF");
    pty.resize(30, 6);
    pty.shows("Too small: 30x6, needs 40x8");
    pty.resize(80, 24);
    pty.shows("FINDINGS  4");
    pty.press("q");
    assert_eq!(pty.end().code(), Some(0));
    pty.is_as_before();
}

#[test]
fn a_signal_ends_it_as_it_ends_others_and_the_terminal_is_as_before() {
    for signal in [
        Signal::INT,
        Signal::TERM,
        Signal::HUP,
        Signal::QUIT,
        Signal::USR1,
    ] {
        let mut pty = recording(80, 24);
        let observer = pty.observer();
        pty.signal(signal);
        assert_eq!(pty.end().signal(), Some(signal.as_raw()));
        pty.is_as_before();
        are_gone(&[observer]);
    }
}

#[test]
fn a_stop_gives_the_terminal_back_and_the_end_of_the_stop_takes_it_again() {
    let mut pty = recording(80, 24);
    let pid = pty.child.id();
    let stopped = || wait_for("the stop", || (state(pid)? == 'T').then_some(()));
    for by_key in [true, false] {
        match by_key {
            true => pty.press("\x1a"),
            false => pty.signal(Signal::TSTP),
        }
        stopped();
        pty.shows_that("the usual screen", |screen| !screen.contains("trainer"));
        pty.is_as_before();
        pty.signal(Signal::CONT);
        pty.shows("trainer 254");
        assert!(pty.is_taken());
    }
    // One that no program can see: the shell takes the terminal, and may change it.
    pty.signal(Signal::STOP);
    stopped();
    pty.resize(100, 30);
    pty.signal(Signal::CONT);
    pty.shows("MEM BINDING");
    pty.press("q");
    assert_eq!(pty.end().code(), Some(0));
    pty.is_as_before();
}

#[test]
fn a_terminal_that_is_gone_ends_it() {
    for in_session in [true, false] {
        let sleeper = Sleeper::new();
        let pid = sleeper.0.id().to_string();
        let mut arguments = vec!["--every", "500ms", "--pid", &pid];
        arguments.extend(NO_DRIVER);
        let mut pty = match in_session {
            true => Pty::watch(80, 24, &arguments),
            false => Pty::watch_without_session(80, 24, &arguments),
        };
        pty.shows(&pid);
        let observer = pty.observer();
        let mut child = pty.close();
        let status = wait_for("its end", || child.try_wait().unwrap());
        // The kernel sends SIGHUP to the session alone, and the end of the terminal may be seen before it.
        let is_hangup = in_session && status.signal() == Some(Signal::HUP.as_raw());
        assert!(is_hangup || status.code() == Some(2), "{status}");
        are_gone(&[observer]);
    }
}

#[test]
fn a_terminal_that_takes_nothing_does_not_keep_it_from_ending() {
    let mut pty = recording(200, 50);
    // Every key gives another screen, and nobody reads them.
    for _ in 0..200 {
        pty.press("?");
    }
    let pid = pty.child.id();
    wait_for("a state of waiting", || (state(pid)? == 'S').then_some(()));
    std::thread::sleep(std::time::Duration::from_millis(300));
    pty.signal(Signal::TERM);
    let status = wait_for("its end", || pty.child.try_wait().unwrap());
    assert_eq!(status.signal(), Some(Signal::TERM.as_raw()));
}

#[test]
fn without_a_terminal_it_says_so() {
    let arguments = ["watch", "--snapshot", RECORDING];
    let run = Run::from(program().args(arguments).output().unwrap());
    run.fails_with(
        "watch needs a terminal for its input and its output; without one `numa-audit` prints a table",
    );
}

#[test]
fn what_cannot_run_is_said_on_the_usual_screen() {
    for (arguments, text) in [
        (
            &["--pid", "4194304"][..],
            "numa-audit: there is no process 4194304",
        ),
        (&["--snapshot", "/nonexistent"], "numa-audit: "),
        (
            &["--snapshot", RECORDING, "--gpu", "7"],
            "numa-audit: no GPU \"7\": there are 0",
        ),
        (
            &["--expect", "-"],
            "numa-audit: each audit reads the file of --expect",
        ),
    ] {
        let mut all = arguments.to_vec();
        if !arguments.contains(&"--snapshot") {
            all.extend(NO_DRIVER);
        }
        let mut pty = Pty::watch(80, 24, &all);
        assert_eq!(pty.end().code(), Some(2), "{}", pty.contents());
        assert!(pty.contents().contains(text), "{}", pty.contents());
        pty.is_as_before();
    }
}

#[test]
fn what_changes_is_seen() {
    let sleeper = Sleeper::new();
    let pid = sleeper.0.id().to_string();
    let mut pty = live(&sleeper, &[]);
    pty.shows("every 500 ms");
    let mut taskset = Command::new("taskset");
    let before = taskset.args(["-cp", &pid]).output().unwrap();
    let before = String::from_utf8(before.stdout).unwrap();
    let list = before.trim().rsplit(' ').next().unwrap();
    let last = list.rsplit([',', '-']).next().unwrap();
    if last == list {
        passed_over("this machine has one CPU");
        return;
    }
    let mut taskset = Command::new("taskset");
    assert!(
        taskset
            .args(["-cp", last, &pid])
            .output()
            .unwrap()
            .status
            .success()
    );
    let screen = pty.shows(&format!("process {pid} may run on {last}, before on "));
    assert!(screen.contains(">*"), "{screen}");
    // Its end is no trouble: the others would still be shown.
    drop(sleeper);
    let screen = pty.shows(&format!("process {pid} has ended"));
    assert!(screen.contains("No process to show."), "{screen}");
    pty.press("q");
    assert_eq!(pty.end().code(), Some(0));
}

#[test]
fn the_threads_of_an_open_process_come() {
    let sleeper = Sleeper::new();
    let pid = sleeper.0.id().to_string();
    let mut pty = live(&sleeper, &[]);
    pty.resize(100, 60);
    pty.press("\r");
    let row = |screen: &str| {
        screen
            .lines()
            .any(|line| line.trim_start().starts_with(&pid))
    };
    pty.shows_that("the thread with its TID", row);
    pty.shows("Threads (1)");
}

#[test]
fn an_observer_that_does_not_answer_is_seen_and_one_that_ends_is_replaced() {
    let sleeper = Sleeper::new();
    let mut pty = live(&sleeper, &[]);
    let observer = pty.observer();
    let signal = |signal| {
        let pid = i32::try_from(observer).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    };
    signal(Signal::STOP);
    pty.shows("last answer ");
    signal(Signal::CONT);
    pty.shows_that("an answer", |screen| !screen.contains("last answer "));
    signal(Signal::KILL);
    pty.shows("s ago: no answer: the process that observes ended");
    pty.shows_that("an answer", |screen| !screen.contains("No answer"));
    let next = wait_for("another observer", || {
        children(pty.child.id())
            .into_iter()
            .find(|pid| *pid != observer)
    });
    pty.press("q");
    assert_eq!(pty.end().code(), Some(0));
    are_gone(&[next]);
}

#[test]
fn a_pause_asks_for_nothing() {
    let sleeper = Sleeper::new();
    let mut pty = live(&sleeper, &[]);
    pty.press("p");
    pty.shows("PAUSED");
    pty.shows("PAUSED, 2 s ago");
    pty.press(" ");
    pty.shows_that("an answer", |screen| !screen.contains("PAUSED"));
}
