//! The name of a process for which this program was started again, as /proc/self/exe.

use std::ffi::OsString;
use std::path::Path;

/// The name by which later runs of this program find one that was left behind.
pub(super) fn own_name() -> OsString {
    let name = rustix::thread::name().ok();
    let name = name.map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| env!("CARGO_PKG_NAME").to_owned())
        .into()
}

/// The kernel names a process after the path that it was started by, which is `exe` here: takes the name of the process that
/// started it instead.
pub(super) fn take_name() {
    let name = std::env::args_os().next();
    let name = name.as_deref().and_then(|name| Path::new(name).file_name());
    let name = name.map(|name| name.as_encoded_bytes().to_owned());
    if let Some(name) = name.and_then(|name| std::ffi::CString::new(name).ok()) {
        // The name only helps later runs.
        let _ = rustix::thread::set_name(&name);
    }
}
