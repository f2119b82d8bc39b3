//! Reads and parses one file.

use crate::machine::Reason;
use crate::observe::root::Root;
use crate::units::Malformed;

pub(crate) fn read_as<T>(
    root: &Root,
    path: &str,
    parse: impl FnOnce(&[u8]) -> Result<T, Malformed>,
) -> Result<T, Reason> {
    Ok(parse(&root.read(path)?)?)
}
