//! The forms that a report takes. Each gives text back; who prints it is `main`.

pub mod age;
pub mod cells;
pub mod columns;
pub mod diff;
pub mod diff_json;
pub mod explain;
pub mod gaps;
pub mod json;
pub mod remedies;
pub mod rows;
pub mod table;
pub mod terminal;
pub mod topology;
