//! The forms of a document. Each returns text or writes it; `main` decides where to.

pub(crate) mod age;
pub(crate) mod cells;
pub(crate) mod columns;
pub(crate) mod csv;
pub(crate) mod diff;
pub(crate) mod diff_json;
pub(crate) mod explain;
pub(crate) mod gaps;
pub(crate) mod json;
pub(crate) mod remedies;
pub(crate) mod rows;
pub(crate) mod table;
pub(crate) mod terminal;
pub(crate) mod topology;
