//! Signals that end the program, held while it has an unfinished recording.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGBUS, SIGCHLD, SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH};
use signal_hook::{flag, low_level};

/// The signals of Linux. The C library has 32 and 33 for itself.
const ALL: [std::ops::RangeInclusive<i32>; 2] = [1..=31, 34..=64];

/// These do not end a program. SIGBUS does, but cannot be held: it is the program's own fault, which would come again.
const OTHERS: &[i32] = &[
    SIGBUS, SIGCHLD, SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH,
];

/// While this value exists, signals do not end the program.
pub(crate) struct HeldSignals {
    /// The number of the last one; 0 where none came.
    came: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
}

impl HeldSignals {
    /// Holds all signals from now on that would end the program. One that is ignored, as Ctrl-C in a shell's background, stays
    /// ignored.
    pub(crate) fn hold() -> Self {
        let held = Self {
            came: Arc::default(),
            is_over: Arc::default(),
        };
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = ignored(&status);
        let is_held = |signal: &i32| {
            let is_forbidden = signal_hook_forbids(*signal);
            !is_forbidden && !OTHERS.contains(signal) && ignored >> (signal - 1) & 1 == 0
        };
        for signal in ALL.into_iter().flatten().filter(is_held) {
            let number = usize::try_from(signal).unwrap_or_default();
            // Where one cannot be held it ends the program as always. The order matters: the default comes after the end.
            let _ = flag::register_conditional_default(signal, held.is_over.clone());
            let _ = flag::register_usize(signal, held.came.clone(), number);
        }
        held
    }

    /// Whether one came: the program should clean up.
    pub(crate) fn has_come(&self) -> bool {
        self.came.load(Ordering::SeqCst) != 0
    }

    /// Ends the program by the signal that came, if one did.
    ///
    /// # Errors
    /// Where it did not end the program: not every signal can be given its default again.
    pub(crate) fn obey(&self) -> io::Result<()> {
        self.is_over.store(true, Ordering::SeqCst);
        let signal = self.came.load(Ordering::SeqCst);
        if signal == 0 {
            return Ok(());
        }
        let number = i32::try_from(signal).unwrap_or_default();
        let _ = low_level::emulate_default_handler(number);
        Err(io::Error::other(format!("ended by signal {signal}")))
    }
}

impl Drop for HeldSignals {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
    }
}

fn signal_hook_forbids(signal: i32) -> bool {
    signal_hook::consts::FORBIDDEN.contains(&signal)
}

/// The mask of ignored signals in `/proc/PID/status`; 0 where it is unknown.
fn ignored(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        assert_eq!(ignored("SigBlk:\t00\nSigIgn:\t0000000000001003\n"), 0x1003);
        assert_eq!(ignored("SigIgn:\tx\n"), 0);
        assert_eq!(ignored(""), 0);
    }
}
