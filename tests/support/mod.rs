//! What both test programs (suite and lab) use.

use std::time::{Duration, Instant};

/// Only a hang takes so long, however busy the machine is.
pub const HANG: Duration = Duration::from_secs(300);

/// The variable that multiplies the program's own time limits (src/observe/patience.rs).
pub const PATIENCE: &str = "NUMA_AUDIT_PATIENCE";

/// A factor under which nothing that works is taken for stuck, however busy the machine is.
pub const PATIENT: &str = "100";

/// Reports a test that cannot run here. With `NUMA_AUDIT_TESTS=all`, which .ci/run sets, this is a failure.
#[track_caller]
pub fn passed_over(reason: &str) {
    let must_run = std::env::var_os("NUMA_AUDIT_TESTS").is_some_and(|value| value == "all");
    assert!(!must_run, "this test must run here: {reason}");
    println!("passed over: {reason}");
}

/// What starts a program that a signal ends, before the program's own name. A shell script that starts the tests in the
/// background makes them ignore Ctrl-C, and what they start inherits that.
pub const WITH_SIGNALS: [&str; 2] = ["env", "--default-signal=HUP,INT,TERM"];

/// Waits until `find` gives something.
#[track_caller]
pub fn wait_for<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(start.elapsed() < HANG, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The process that reads for this running program: a child of the same name.
pub fn reader_of(program: u32) -> Option<u32> {
    let children = format!("/proc/{program}/task/{program}/children");
    let children = std::fs::read_to_string(children).ok()?;
    let mut pids = children.split_whitespace();
    let is_reader = |pid: &&str| {
        let comm = std::fs::read_to_string(format!("/proc/{pid}/comm"));
        comm.is_ok_and(|comm| comm == "numa-audit\n")
    };
    pids.find(is_reader)?.parse().ok()
}
