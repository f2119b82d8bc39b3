//! What standard output and standard error were when the program started.
//!
//! Rust's runtime opens /dev/null in place of a closed standard output before `main`, and writing to that succeeds. It
//! also takes an output that is not open for writing for one that nobody reads. A function in .init_array runs earlier.
//!
//! A command in a child process (`guard.rs`) writes into pipes: there the terminals of the start count.

#![allow(unsafe_code)] // For the name of the section, and a call before `main`.

use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

static WAS_CLOSED: AtomicBool = AtomicBool::new(false);
static IS_READ_ONLY: AtomicBool = AtomicBool::new(false);

#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = look;

extern "C" fn look() {
    // SAFETY: this call has no pointer, and a wrong descriptor is an error.
    let flags = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFL) };
    WAS_CLOSED.store(flags == -1, Ordering::Relaxed);
    let is_read_only = flags != -1 && flags & libc::O_ACCMODE == libc::O_RDONLY;
    IS_READ_ONLY.store(is_read_only, Ordering::Relaxed);
}

/// Why nothing can be written to standard output; `None` where that is not known before it is tried.
pub(super) fn fault() -> Option<&'static str> {
    if WAS_CLOSED.load(Ordering::Relaxed) {
        Some("standard output is closed")
    } else if IS_READ_ONLY.load(Ordering::Relaxed) {
        Some("standard output is not open for writing")
    } else {
        None
    }
}

/// What one stream is.
#[derive(Debug, Clone, Copy)]
pub(super) struct StreamKind {
    pub(super) is_terminal: bool,
    /// The width of the terminal; `None` where there is none, or it is unknown.
    pub(super) columns: Option<u16>,
}

impl StreamKind {
    fn of(stream: &(impl AsFd + IsTerminal)) -> Self {
        let is_terminal = stream.is_terminal();
        let size = is_terminal
            .then(|| rustix::termios::tcgetwinsize(stream).ok())
            .flatten();
        let columns = size.map(|size| size.ws_col).filter(|columns| *columns > 0);
        Self {
            is_terminal,
            columns,
        }
    }
}

/// Keeps what both streams are now.
pub(super) fn look_at_terminals() {
    let _ = (output(), errors());
}

/// Standard output. The first call looks, later ones have its answer.
pub(super) fn output() -> StreamKind {
    static KIND: OnceLock<StreamKind> = OnceLock::new();
    *KIND.get_or_init(|| StreamKind::of(&std::io::stdout()))
}

/// Standard error, likewise.
pub(super) fn errors() -> StreamKind {
    static KIND: OnceLock<StreamKind> = OnceLock::new();
    *KIND.get_or_init(|| StreamKind::of(&std::io::stderr()))
}
