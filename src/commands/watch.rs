//! `numa-audit watch`.
//!
//! This process has the terminal, and reads nothing that can block: the observer does (`numa-audit watch ... --observer`, started
//! again as the audits of `metrics` are). Each answer of the observer is an audit; the screen asks for the next one.

mod client;
mod locale;
mod observer;
mod question;
#[cfg(test)]
mod screen_tests;
mod session;
mod tty;

use super::trouble::Trouble;
use crate::cli::WatchArgs;

pub(super) fn run(arguments: &WatchArgs) -> Result<u8, Trouble> {
    match arguments.observer {
        true => observer::run(arguments),
        false => session::run(arguments),
    }
}
