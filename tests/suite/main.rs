//! The program as its users run it: its real binary on recorded machines and on this one.

mod arrows;
mod bad_input;
mod fixtures;
mod live;
mod machine;
mod peers;
mod print;
mod program;
mod record;
