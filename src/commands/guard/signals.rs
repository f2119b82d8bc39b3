//! The signals that the parent passes on to its child.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use signal_hook::{flag, low_level};

/// Signals that arrived.
pub(in crate::commands) struct Signals {
    woken: UnixStream,
    /// Without it the other end would be closed, and always ready, where there is no signal to wait for.
    _wakes: UnixStream,
    last: Arc<AtomicUsize>,
}

impl Signals {
    /// Collects these signals from now on.
    pub(in crate::commands) fn hold(signals: &[i32]) -> io::Result<Self> {
        let (woken, wakes) = UnixStream::pair()?;
        woken.set_nonblocking(true)?;
        let last = Arc::new(AtomicUsize::new(0));
        for signal in signals.iter().copied() {
            let number = usize::try_from(signal).unwrap_or_default();
            flag::register_usize(signal, last.clone(), number)?;
            low_level::pipe::register(signal, wakes.try_clone()?)?;
        }
        Ok(Self {
            woken,
            _wakes: wakes,
            last,
        })
    }

    /// Becomes readable when a signal arrives.
    pub(in crate::commands) fn file(&self) -> BorrowedFd<'_> {
        self.woken.as_fd()
    }

    /// The signal that arrived, if one did since the last call. Of several it is the last one.
    pub(in crate::commands) fn take(&self) -> Option<i32> {
        let _ = (&self.woken).read(&mut [0; 64]);
        let number = self.last.swap(0, Ordering::SeqCst);
        i32::try_from(number).ok().filter(|number| *number != 0)
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;

    #[test]
    fn a_signal_is_taken_once() {
        let signals = Signals::hold(&[libc::SIGUSR2]).unwrap();
        assert_eq!(signals.take(), None);
        low_level::raise(libc::SIGUSR2).unwrap();
        assert_eq!(signals.take(), Some(libc::SIGUSR2));
        assert_eq!(signals.take(), None);
    }

    /// Otherwise who waits for signals would use a whole CPU.
    #[test]
    fn without_a_signal_nothing_is_ready() {
        for numbers in [&[][..], &[libc::SIGUSR1]] {
            let signals = Signals::hold(numbers).unwrap();
            let mut files = [PollFd::from_borrowed_fd(signals.file(), PollFlags::IN)];
            let now = Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            };
            assert_eq!(poll(&mut files, Some(&now)), Ok(0), "{numbers:?}");
        }
    }
}
