//! The forms of a document. Each returns text or writes it; `main` decides where to.

pub(crate) mod age;
pub(crate) mod cells;
pub(crate) mod columns;
pub mod csv;
pub mod diff;
pub mod diff_json;
pub mod explain;
pub mod gaps;
pub mod json;
pub mod remedies;
pub(crate) mod rows;
pub mod table;
pub mod terminal;
pub mod topology;
