//! Whether standard output was closed when the program started.
//!
//! Rust's runtime opens /dev/null in place of a closed standard output before `main`, and writing to that succeeds. A
//! function in .init_array runs earlier.

#![allow(unsafe_code)] // For the name of the section.

use std::sync::atomic::{AtomicBool, Ordering};

static WAS_CLOSED: AtomicBool = AtomicBool::new(false);

#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = look;

extern "C" fn look() {
    let is_closed = rustix::io::fcntl_getfd(rustix::stdio::stdout()).is_err();
    WAS_CLOSED.store(is_closed, Ordering::Relaxed);
}

pub fn was_closed() -> bool {
    WAS_CLOSED.load(Ordering::Relaxed)
}
