//! `numa-audit completions`.

use clap::builder::PossibleValue;
use clap::{Arg, Command, CommandFactory};
use clap_complete::{Shell, generate};

use super::output::print;
use super::{Trouble, exit_code};
use crate::audit::rules::RULES;
use crate::cli::{Cli, CompletionShell, CompletionsArgs};

const NAME: &str = env!("CARGO_PKG_NAME");

pub(crate) fn run(arguments: &CompletionsArgs) -> Result<u8, Trouble> {
    print(&script(arguments.shell))?;
    Ok(exit_code::OK)
}

fn script(shell: CompletionShell) -> String {
    let mut command = with_rules(without_hidden_subcommands(&Cli::command()));
    let mut script = Vec::new();
    let generator = match shell {
        CompletionShell::Bash => Shell::Bash,
        CompletionShell::Zsh => Shell::Zsh,
        CompletionShell::Fish => Shell::Fish,
    };
    generate(generator, &mut command, NAME, &mut script);
    let script = String::from_utf8_lossy(&script);
    let mut script = corrected(shell, &script);
    if shell == CompletionShell::Fish {
        script += &fish_positionals(&command);
    }
    script
}

/// The script without two faults of clap_complete 4.6.12.
fn corrected(shell: CompletionShell, script: &str) -> String {
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

/// The lines for the values of arguments that are not options: clap_complete writes none for fish.
fn fish_positionals(command: &Command) -> String {
    let mut lines = String::new();
    for subcommand in command.get_subcommands() {
        let values = subcommand
            .get_positionals()
            .flat_map(Arg::get_possible_values);
        let names: Vec<String> = values.map(|value| value.get_name().to_owned()).collect();
        if !names.is_empty() {
            let (name, names) = (subcommand.get_name(), names.join(" "));
            lines += &format!(
                "complete -c {NAME} -n \"__fish_numa_audit_using_subcommand {name}\" -f -a \"{names}\"\n"
            );
        }
    }
    lines
}

/// The same with the rules' names as the values of `explain` and --allow. They are not the arguments' own values: an audit
/// answers a wrong name with where the list is, and the help would have all of them.
fn with_rules(command: Command) -> Command {
    let named = |argument: Arg| match argument.get_value_names() {
        Some([name]) if name == "RULE" => argument.value_parser(rules()),
        _ => argument,
    };
    let in_subcommand = |command: Command| command.mut_args(named);
    command.mut_args(named).mut_subcommands(in_subcommand)
}

fn rules() -> Vec<PossibleValue> {
    let names = RULES.iter().map(|rule| rule.name);
    names.map(PossibleValue::new).collect()
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
