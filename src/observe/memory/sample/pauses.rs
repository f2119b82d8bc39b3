//! Pauses between calls that take the mmap lock of another process.

use std::thread;
use std::time::{Duration, Instant};

/// How long to go on without a pause. The process may have to wait for so long, beside the time of one call.
const SPELL: Duration = Duration::from_micros(200);

/// The length of a pause. Without it this program takes the mmap lock again before the process, which has to wake up first, can
/// take it. The kernel lets that go on for 4 ms (RWSEM_WAIT_TIMEOUT in its kernel/locking/rwsem.c), and such waits were measured.
const PAUSE: Duration = Duration::from_micros(50);

/// Keeps the pauses while one process is read. A pause costs as much CPU time as the queries of some dozen pages: so there is one
/// for each spell and not for each call.
#[derive(Debug)]
pub(super) struct Pauses {
    since: Instant,
}

impl Pauses {
    pub(super) fn new() -> Self {
        Self {
            since: Instant::now(),
        }
    }

    /// Pauses if the last pause was a spell ago.
    pub(super) fn give_way(&mut self) {
        if self.since.elapsed() >= SPELL {
            thread::sleep(PAUSE);
            self.since = Instant::now();
        }
    }
}
