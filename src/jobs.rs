//! Which process belongs to which job, GPU and trainer: pure decisions about facts that `observe` reads.

pub mod attribution;
pub mod binding_requests;
pub mod gpu_users;
pub mod known_programs;
pub mod scheduler;
pub mod scope;
pub(crate) mod selection;
pub(crate) mod ties;
pub(crate) mod tree;
