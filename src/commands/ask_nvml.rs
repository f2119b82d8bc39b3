//! `numa-audit ask-nvml`: the process of this program that asks the driver, which may never answer.

use std::process::ExitCode;

use super::Trouble;
use crate::cli::AskNvmlArgs;
use crate::observe::{Invocation, answer};

pub fn run(arguments: &AskNvmlArgs) -> Result<ExitCode, Trouble> {
    answer(
        arguments.parent,
        arguments.from,
        arguments.library.as_deref(),
    )?;
    Ok(ExitCode::SUCCESS)
}

/// How to start this command. The link leads to the running program, even if its file was replaced or deleted.
pub fn invocation() -> Invocation {
    Invocation {
        program: "/proc/self/exe".into(),
        arguments: vec!["ask-nvml".to_owned()],
    }
}
