//! Which process belongs to which job, GPU and trainer: pure decisions about facts that `observe` reads.

pub(crate) mod attribution;
pub(crate) mod binding_requests;
pub(crate) mod gpu_users;
pub(crate) mod known_programs;
pub(crate) mod scheduler;
pub(crate) mod scope;
pub(crate) mod selection;
pub(crate) mod ties;
pub(crate) mod tree;
