//! `numa-audit ask-nvml`: the process of this program that asks the driver, which may never answer.

use super::exit_code;
use super::trouble::Trouble;
use crate::cli::AskNvmlArgs;
use crate::observe::{Invocation, answer};

pub(super) fn run(arguments: &AskNvmlArgs) -> Result<u8, Trouble> {
    answer(
        arguments.parent,
        arguments.from,
        arguments.library.as_deref(),
    )?;
    Ok(exit_code::OK)
}

/// How to start this command. The link leads to the running program, even if its file was replaced or deleted.
pub(super) fn invocation() -> Invocation {
    Invocation {
        program: "/proc/self/exe".into(),
        arguments: vec!["ask-nvml".to_owned()],
    }
}
