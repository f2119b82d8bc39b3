//! What the running system shows of this program's own processes, whatever machine is observed.

use std::fs::{self, File};
use std::io;

use crate::observe::process::parse_stat;

/// Whether the main thread of this process has ended: others of its threads may live. True for a process that does not exist.
pub(crate) fn has_ended_main_thread(pid: u32) -> bool {
    let stat = fs::read(format!("/proc/{pid}/stat"));
    let stat = stat.ok().and_then(|text| parse_stat(&text).ok());
    stat.is_none_or(|stat| stat.is_dead())
}

/// Whether the calling thread is this process's only one.
///
/// # Errors
/// Where `/proc` cannot be read.
pub(crate) fn is_single_threaded() -> io::Result<bool> {
    Ok(fs::read_dir("/proc/self/task")?.count() == 1)
}

/// The signals that this process ignores, one bit each (SigIgn in `/proc/PID/status`); none where that cannot be read.
pub(crate) fn ignored_signals() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
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
        // The runtime of Rust ignores broken pipes.
        assert_eq!(ignored_signals() >> (libc::SIGPIPE - 1) & 1, 1);
        let thread = std::thread::spawn(is_single_threaded);
        assert!(!thread.join().unwrap().unwrap());
    }
}
