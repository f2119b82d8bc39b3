//! codemap
pub mod audit;
pub mod cli;
pub mod model;
pub mod parse;
pub mod record;
pub mod report;
pub mod source;
