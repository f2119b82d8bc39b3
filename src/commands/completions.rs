//! `numa-audit completions`.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use super::Trouble;
use super::output::print_by;
use crate::cli::{Cli, CompletionShell, CompletionsArgs};

pub(crate) fn run(arguments: &CompletionsArgs) -> Result<ExitCode, Trouble> {
    let shell = match arguments.shell {
        CompletionShell::Bash => Shell::Bash,
        CompletionShell::Zsh => Shell::Zsh,
        CompletionShell::Fish => Shell::Fish,
    };
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    generate(shell, &mut command, name, &mut script);
    print_by(|out| out.write_all(&script))?;
    Ok(ExitCode::SUCCESS)
}
