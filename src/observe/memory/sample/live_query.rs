//! Queries the nodes of a running process's pages, and leaves it time to go on with its work.

use std::io;
use std::time::Instant;

use crate::observe::memory::page_nodes;
use crate::observe::memory::sample::growth::PageQuery;
use crate::observe::memory::sample::pauses::Pauses;
use crate::units::Pid;

/// The queries of one process.
#[derive(Debug)]
pub(super) struct LiveQuery {
    /// The process, or a thread of it if its main thread has ended.
    pid: Pid,
    until: Instant,
    nodes: Vec<i32>,
    pauses: Pauses,
}

impl LiveQuery {
    pub(super) fn new(pid: Pid, until: Instant) -> Self {
        Self {
            pid,
            until,
            nodes: Vec::new(),
            pauses: Pauses::new(),
        }
    }
}

impl PageQuery for LiveQuery {
    fn nodes(&mut self, addresses: &[usize]) -> io::Result<&[i32]> {
        self.pauses.give_way();
        page_nodes(self.pid, addresses, &mut self.nodes)?;
        Ok(&self.nodes)
    }

    fn is_late(&self) -> bool {
        Instant::now() > self.until
    }
}
