//! What the running system shows of this program's own processes, whatever machine is observed.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::process::WaitOptions;
use signal_hook::consts::{
    FORBIDDEN, SIGBUS, SIGCHLD, SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH,
};

use crate::jobs::{JOB_VARIABLES, jobs_of_variables, scheduler_jobs};
use crate::machine::{Environment, ObserverPlace, SchedulerJob};
use crate::observe::process::{parse_cgroup, parse_stat, parse_status};

/// Whether the main thread of this process has ended: others of its threads may live. True for a process that does not exist.
pub(crate) fn has_ended_main_thread(pid: u32) -> bool {
    let stat = fs::read(format!("/proc/{pid}/stat"));
    let stat = stat.ok().and_then(|text| parse_stat(&text).ok());
    stat.is_none_or(|stat| stat.is_dead())
}

/// The jobs of schedulers that this program itself runs in. Its control group may be out of sight: then only the variables count.
pub(crate) fn own_jobs() -> Vec<SchedulerJob> {
    let groups = fs::read("/proc/self/cgroup");
    let groups = groups.ok().and_then(|text| parse_cgroup(&text).ok());
    let values = JOB_VARIABLES.map(|(_, name)| std::env::var_os(name));
    let values = values
        .each_ref()
        .map(|value| Some(value.as_ref()?.as_bytes()));
    let environment = Environment {
        scheduler_jobs: jobs_of_variables(values),
        ..Environment::default()
    };
    scheduler_jobs(&groups.unwrap_or_default(), Some(&environment))
}

/// Where this program may run. `None` where it cannot be read.
pub(crate) fn own_place() -> Option<ObserverPlace> {
    let status = fs::read("/proc/self/status").ok()?;
    let status = parse_status(&status).ok()?;
    Some(ObserverPlace {
        cpus: status.affinity,
        memory_nodes: status.mems_allowed,
    })
}

/// The name that a scheduler gave this machine, with the variable that has it: Slurm's may differ from the host's name. `None`
/// where this program was not started by it.
pub(crate) fn scheduler_node() -> Option<(String, &'static str)> {
    /// As long as a host's name may be.
    const LONGEST: usize = 255;
    const VARIABLE: &str = "SLURMD_NODENAME";
    let name = std::env::var_os(VARIABLE)?;
    let is_name = !name.is_empty() && name.len() <= LONGEST;
    is_name.then(|| (name.to_string_lossy().into_owned(), VARIABLE))
}

/// Whether the calling thread is this process's only one.
///
/// # Errors
/// Where `/proc` cannot be read.
pub(crate) fn is_single_threaded() -> io::Result<bool> {
    Ok(fs::read_dir("/proc/self/task")?.count() == 1)
}

/// The signals that would end this process and can be handled. Those that the caller ignores stay out, as `nohup` and a shell's
/// background want it.
pub(crate) fn deadly_signals() -> Vec<i32> {
    /// Those of Linux. The C library has 32 and 33 for itself.
    const ALL: [std::ops::RangeInclusive<i32>; 2] = [1..=31, 34..=64];
    /// These do not end a program. SIGBUS does, but it is the program's own fault, which would come again.
    const OTHERS: &[i32] = &[
        SIGBUS, SIGCHLD, SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH,
    ];
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = ignored_signals(&status);
    let is_deadly = |signal: &i32| {
        let is_other = OTHERS.contains(signal) || FORBIDDEN.contains(signal);
        !is_other && ignored >> (signal - 1) & 1 == 0
    };
    ALL.into_iter().flatten().filter(is_deadly).collect()
}

/// The mask of ignored signals in `/proc/PID/status`; 0 where it is unknown.
fn ignored_signals(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.unwrap_or_default()
}

/// Waits until this process has no children, at most for this long. Children that are left go to
/// the init process: in a container that is often a program that never waits for them, so that they stay zombies.
pub(crate) fn wait_for_children(most: Duration) {
    let start = Instant::now();
    while let Ok(ended) = rustix::process::wait(WaitOptions::NOHANG) {
        match ended {
            Some(_) => {}
            None if start.elapsed() < most => std::thread::sleep(Duration::from_millis(1)),
            None => return,
        }
    }
}

/// The file that standard output leads to, opened again so that writing to it never waits. Other programs that
/// have the terminal open are not affected.
///
/// # Errors
/// Where it cannot be opened, as another user's terminal.
pub(crate) fn reopened_output() -> io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(CWD, "/proc/self/fd/1", flags, Mode::empty());
    Ok(file?)
}

/// Replaces standard input by `/dev/null`.
///
/// # Errors
/// Where that cannot be opened.
pub(crate) fn close_standard_input() -> io::Result<()> {
    Ok(rustix::stdio::dup2_stdin(File::open("/dev/null")?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_process_is_known() {
        let own = std::process::id();
        assert!(!has_ended_main_thread(own) && has_ended_main_thread(0));
        let thread = std::thread::spawn(is_single_threaded);
        assert!(!thread.join().unwrap().unwrap());
    }

    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        assert_eq!(
            ignored_signals("SigBlk:\t00\nSigIgn:\t0000000000001003\n"),
            0x1003
        );
        assert_eq!(ignored_signals("SigIgn:\tx\n"), 0);
        assert_eq!(ignored_signals(""), 0);
    }

    #[test]
    fn signals_that_end_a_program_are_deadly() {
        let deadly = deadly_signals();
        for signal in [libc::SIGUSR1, libc::SIGALRM, libc::SIGPWR, 40] {
            assert!(deadly.contains(&signal), "{signal}");
        }
        // The runtime of Rust ignores broken pipes.
        for signal in [libc::SIGCONT, libc::SIGKILL, libc::SIGPIPE] {
            assert!(!deadly.contains(&signal), "{signal}");
        }
    }
}
