//! The screen of `watch`: a state, what changes it, and how it is drawn. It knows no terminal, no clock and no process: keys,
//! answers and the time come in as events, and a frame comes out.

pub(crate) mod activity;
pub(crate) mod bars;
pub(crate) mod changes;
pub(crate) mod draw;
pub(crate) mod explained;
pub(crate) mod frame;
pub(crate) mod help;
pub(crate) mod input;
pub(crate) mod layout;
pub(crate) mod list;
pub(crate) mod look;
pub(crate) mod opened;
pub(crate) mod order;
pub(crate) mod replied;
pub(crate) mod state;
pub(crate) mod update;

pub(crate) use draw::draw;
pub(crate) use input::{Input, Key};
pub(crate) use look::Look;
pub(crate) use state::{Options, State};
pub(crate) use update::{Event, update};
