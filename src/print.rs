//! The forms of a document. Each returns text or writes it; `commands` decides where it goes.

pub(crate) mod age;
pub(crate) mod cells;
pub(crate) mod columns;
pub(crate) mod csv;
pub(crate) mod diff;
pub(crate) mod diff_json;
pub(crate) mod explain;
pub(crate) mod fleet;
pub(crate) mod gaps;
pub(crate) mod gres;
pub(crate) mod html;
pub(crate) mod json;
pub(crate) mod metrics;
pub(crate) mod node_table;
pub(crate) mod nodes;
pub(crate) mod picture;
pub(crate) mod plan;
pub(crate) mod quiet;
pub(crate) mod remedies;
pub(crate) mod rows;
pub(crate) mod table;
pub(crate) mod terminal;
pub(crate) mod topology;

pub(crate) use cells::{
    binding, color, cpus, known, or_unknown, processes, role, shortened, verdict,
};
pub(crate) use columns::{ColumnRoom, Filled, draw};
pub(crate) use table::{counts, findings, head};
pub(crate) use terminal::{ColorChoice, Surroundings, Terminal, acts, cell, harmless, is_utf8};
