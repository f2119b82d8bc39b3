//! The document: all that leaves the program.

pub mod outline;
pub mod read;
