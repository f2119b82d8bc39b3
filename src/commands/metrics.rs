//! `numa-audit metrics`.
//!
//! To print once is a command like the others. To go on, or to write a file, this process starts the program again for each
//! audit (`/proc/self/exe metrics ... --once`, round.rs) and takes its output. So an audit has a process that may fork, as the
//! guard needs it, although this one has a thread that answers scrapes; an audit that hangs can be ended; and it inherits
//! neither sockets nor handlers of signals.

mod audited;
mod connection;
mod latest;
mod request;
mod round;
mod rounds;
mod server;

use super::started_again;
use super::trouble::Trouble;
use crate::cli::MetricsArgs;

pub(super) fn run(arguments: &MetricsArgs) -> Result<u8, Trouble> {
    let is_printed = arguments.output.is_none() && arguments.listen.is_none();
    if arguments.once {
        started_again::take_name();
        audited::print(arguments)
    } else if is_printed && arguments.every.is_none() {
        audited::print(arguments)
    } else {
        rounds::run(arguments)
    }
}
