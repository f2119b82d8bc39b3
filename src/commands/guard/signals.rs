//! The signals that the parent passes on to its child.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use signal_hook::consts as signal;
use signal_hook::{flag, low_level};

use crate::observe::own_process::ignored_signals;

/// The signals that end a process by default and that can be sent from outside. The child may have something to clean up, or,
/// with `--for`, an audit to print.
const PASSED_ON: &[i32] = &[
    signal::SIGHUP,
    signal::SIGINT,
    signal::SIGQUIT,
    signal::SIGUSR1,
    signal::SIGUSR2,
    signal::SIGALRM,
    signal::SIGTERM,
    signal::SIGXCPU,
    signal::SIGXFSZ,
    signal::SIGVTALRM,
    signal::SIGPROF,
    signal::SIGIO,
    libc::SIGPWR,
    libc::SIGSTKFLT,
];

/// Signals that arrived.
pub(super) struct Signals {
    woken: UnixStream,
    last: Arc<AtomicUsize>,
}

impl Signals {
    /// Collects signals from now on. Those that the caller ignores stay ignored, as `nohup` wants it.
    pub(super) fn hold() -> io::Result<Self> {
        let (woken, wakes) = UnixStream::pair()?;
        woken.set_nonblocking(true)?;
        let last = Arc::new(AtomicUsize::new(0));
        let ignored = ignored_signals();
        for number in PASSED_ON {
            if ignored >> (number - 1) & 1 == 0 {
                flag::register_usize(*number, last.clone(), number.unsigned_abs() as usize)?;
                low_level::pipe::register(*number, wakes.try_clone()?)?;
            }
        }
        Ok(Self { woken, last })
    }

    /// Becomes readable when a signal arrives.
    pub(super) fn file(&self) -> BorrowedFd<'_> {
        self.woken.as_fd()
    }

    /// The signal that arrived, if one did since the last call. Of several it is the last one.
    pub(super) fn take(&self) -> Option<i32> {
        let _ = (&self.woken).read(&mut [0; 64]);
        let number = self.last.swap(0, Ordering::SeqCst);
        i32::try_from(number).ok().filter(|number| *number != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_taken_once() {
        let signals = Signals::hold().unwrap();
        assert_eq!(signals.take(), None);
        low_level::raise(signal::SIGUSR2).unwrap();
        assert_eq!(signals.take(), Some(signal::SIGUSR2));
        assert_eq!(signals.take(), None);
    }
}
