//! Signals that end the program, held while it has an unfinished recording.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::{flag, low_level};

use crate::observe::own_process::deadly_signals;

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
        for signal in deadly_signals() {
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
