//! `numa-audit completions`.

use clap::{Command, CommandFactory};
use clap_complete::{Shell, generate};

use super::output::print;
use super::{Trouble, exit_code};
use crate::cli::{Cli, CompletionShell, CompletionsArgs};

const NAME: &str = env!("CARGO_PKG_NAME");

pub(crate) fn run(arguments: &CompletionsArgs) -> Result<u8, Trouble> {
    print(&script(arguments.shell))?;
    Ok(exit_code::OK)
}

fn script(shell: CompletionShell) -> String {
    let mut command = without_hidden_subcommands(&Cli::command());
    let mut script = Vec::new();
    let generator = match shell {
        CompletionShell::Bash => Shell::Bash,
        CompletionShell::Zsh => Shell::Zsh,
        CompletionShell::Fish => Shell::Fish,
    };
    generate(generator, &mut command, NAME, &mut script);
    let script = String::from_utf8_lossy(&script);
    mended(shell, &script)
}

/// The script without two faults of clap_complete 4.6.12.
fn mended(shell: CompletionShell, script: &str) -> String {
    match shell {
        // Where the program's name has a hyphen, one state has two names, and nothing is completed behind a subcommand
        // (clap's issue 6421).
        CompletionShell::Bash => script.replace("numa__subcmd__audit", "numa__audit"),
        // Behind an option of the program itself that needs a value, argparse fails as the value is not there yet. Then
        // files are offered instead of the allowed values.
        CompletionShell::Fish => {
            let parse = "argparse -s (__fish_numa_audit_global_optspecs) -- $cmd";
            let again = format!("{parse} 2>/dev/null\n    or {parse} \"\" 2>/dev/null\n");
            script.replace(&format!("{parse} 2>/dev/null\n"), &again)
        }
        CompletionShell::Zsh => script.to_owned(),
    }
}

/// The completions would offer them too.
fn without_hidden_subcommands(whole: &Command) -> Command {
    let shown = whole.get_subcommands().filter(|one| !one.is_hide_set());
    Command::new(NAME)
        .version(env!("CARGO_PKG_VERSION"))
        .args_conflicts_with_subcommands(true)
        .args(whole.get_arguments().cloned())
        .subcommands(shown.cloned())
}
