//! Which process belongs to which job, GPU and trainer.

pub mod ask;
pub mod attribution;
pub mod family;
pub mod framework;
pub mod scope;
pub mod tenant;
pub mod ties;
