//! Reads and parses one file, and notes a gap where that fails.

use crate::machine::gap::{Fact, Gap, Reason};
use crate::observe::root::Root;
use crate::units::{Malformed, Pid};

pub(crate) fn read_as<T>(
    root: &Root,
    path: &str,
    parse: impl FnOnce(&[u8]) -> Result<T, Malformed>,
) -> Result<T, Reason> {
    Ok(parse(&root.read(path)?)?)
}

/// The value. Where there is none, adds a gap and returns `None`.
pub(crate) fn or_gap<T>(
    result: Result<T, Reason>,
    pid: Option<Pid>,
    fact: Fact,
    gaps: &mut Vec<Gap>,
) -> Option<T> {
    let note = |reason| gaps.push(Gap { pid, fact, reason });
    result.map_err(note).ok()
}
