//! A wait that Ctrl-C ends without ending the program.

use std::io::{self, ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::SIGINT;
use signal_hook::{flag, low_level};

/// While this value exists, the first Ctrl-C ends the wait. The second one, and one that comes later, ends the program.
#[derive(Debug)]
pub(crate) struct Interrupt {
    woken: UnixStream,
    is_over: Arc<AtomicBool>,
}

impl Interrupt {
    /// Handles Ctrl-C from now on. It fails where no file descriptor is available.
    pub(crate) fn hold() -> io::Result<Self> {
        let (woken, wakes) = UnixStream::pair()?;
        let is_over = Arc::new(AtomicBool::new(false));
        // The order matters: at the first signal the flag is not yet set.
        flag::register_conditional_default(SIGINT, is_over.clone())?;
        flag::register(SIGINT, is_over.clone())?;
        low_level::pipe::register(SIGINT, wakes)?;
        Ok(Self { woken, is_over })
    }

    /// Waits until `then`. Returns whether Ctrl-C came first.
    pub(crate) fn wait_until(&mut self, then: Instant) -> bool {
        loop {
            let left = then.saturating_duration_since(Instant::now());
            // A timeout of 0 would wait without end.
            if left.is_zero() {
                return self.is_over.load(Ordering::SeqCst);
            }
            let waited = self
                .woken
                .set_read_timeout(Some(left.max(Duration::from_micros(1))))
                .and_then(|()| self.woken.read(&mut [0]));
            match waited.map_err(|error| error.kind()) {
                Err(ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => {}
                _ => return true,
            }
        }
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_ends_at_its_time_or_at_an_interrupt() {
        let mut interrupt = Interrupt::hold().unwrap();
        let start = Instant::now();
        assert!(!interrupt.wait_until(start + Duration::from_millis(30)));
        assert!(start.elapsed() >= Duration::from_millis(30));
        low_level::raise(SIGINT).unwrap();
        assert!(interrupt.wait_until(start + Duration::from_secs(3600)));
        // Only a missed signal takes so long.
        assert!(start.elapsed() < Duration::from_secs(1800));
        assert!(interrupt.wait_until(Instant::now()), "it stays interrupted");
    }
}
