//! Reads and parses one file.

use std::cell::Cell;

use crate::machine::Reason;
use crate::observe::root::Root;
use crate::units::Malformed;

thread_local! {
    /// The buffer of the last file: a thread reads thousands of small ones.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

pub(crate) fn read_as<T>(
    root: &Root,
    path: &str,
    parse: impl FnOnce(&[u8]) -> Result<T, Malformed>,
) -> Result<T, Reason> {
    let mut bytes = BUFFER.take();
    let read = root.read_into(path, &mut bytes);
    let parsed = read.and_then(|()| Ok(parse(&bytes)?));
    BUFFER.set(bytes);
    parsed
}
