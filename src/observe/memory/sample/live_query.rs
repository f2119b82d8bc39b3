//! Queries the nodes of a running process's pages, and leaves it time to go on with its work.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::observe::memory::page_nodes;
use crate::observe::memory::sample::growth::{PAGES_OF_CALL, PageQuery};
use crate::units::Pid;

/// The pause after each call. Without it this program takes the mmap lock again before the process, which has to wake up first,
/// can take it. The kernel lets that go on for 4 ms (RWSEM_WAIT_TIMEOUT in its kernel/locking/rwsem.c), and such waits were
/// measured.
pub(super) const PAUSE: Duration = Duration::from_micros(50);

/// The queries of one process.
#[derive(Debug)]
pub(super) struct LiveQuery {
    /// The process, or a thread of it if its main thread has ended.
    pid: Pid,
    until: Instant,
    nodes: Vec<i32>,
    /// How many pages were queried since the last pause.
    since_pause: u64,
}

impl LiveQuery {
    pub(super) fn new(pid: Pid, until: Instant) -> Self {
        Self {
            pid,
            until,
            nodes: Vec::new(),
            since_pause: 0,
        }
    }
}

impl PageQuery for LiveQuery {
    fn nodes(&mut self, addresses: &[usize]) -> io::Result<&[i32]> {
        // Calls for a few pages each share a pause.
        let pages = addresses.len() as u64;
        if self.since_pause > 0 && self.since_pause + pages > PAGES_OF_CALL {
            thread::sleep(PAUSE);
            self.since_pause = 0;
        }
        page_nodes(self.pid, addresses, &mut self.nodes)?;
        self.since_pause += pages;
        Ok(&self.nodes)
    }

    fn is_late(&self) -> bool {
        Instant::now() > self.until
    }
}
