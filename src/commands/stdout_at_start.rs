//! Whether standard output was closed when the program started, or open for reading only.
//!
//! Rust's runtime opens /dev/null in place of a closed standard output before `main`, and writing to that succeeds. It
//! also takes an output that is not open for writing for one that nobody reads. A function in .init_array runs earlier.

#![allow(unsafe_code)] // For the name of the section, and a call before `main`.

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

/// Why nothing can be written to it; `None` where that is not known before it is tried.
pub(super) fn fault() -> Option<&'static str> {
    if WAS_CLOSED.load(Ordering::Relaxed) {
        Some("standard output is closed")
    } else if IS_READ_ONLY.load(Ordering::Relaxed) {
        Some("standard output is not open for writing")
    } else {
        None
    }
}
