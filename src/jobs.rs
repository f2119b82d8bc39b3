//! Which process belongs to which job, GPU and trainer.

pub mod attribution;
pub mod binding_requests;
pub mod framework;
pub mod process_tree;
pub mod scope;
pub mod tenant;
pub mod ties;
