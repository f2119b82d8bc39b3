//! A document as a page: one file that a browser opens from a disk, without a request to anywhere.
//!
//! Everything is there without script: the script only sorts, filters and copies. No letter of the page acts on its reader
//! (`page.rs`), whatever a process or a saved document chose; maud escapes what HTML could take for its own.

mod audit;
#[cfg(test)]
mod contrast;
mod diff;
mod distances;
mod findings;
mod fleet;
mod gaps;
mod machine;
mod mark;
mod page;
mod processes;
mod result;
mod scroll;
mod window;

pub(crate) use audit::audit;
pub(crate) use diff::diff;
pub(crate) use fleet::{FleetPage, FleetSection};
