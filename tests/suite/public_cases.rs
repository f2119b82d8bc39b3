//! Machines made up after public bug reports. Each test is one report: the facts of the machine, and what a right audit says.

mod devices;
mod launchers;
mod made_up;
mod placement;
