//! The program: parses the command line, runs a command and turns its outcome into an exit code.

mod ask_nvml;
mod audit;
mod completions;
mod diff;
mod exit_code;
mod explain;
mod export;
mod fleet;
mod folder;
mod guard;
mod man;
mod metrics;
mod missing_job;
mod names;
mod output;
mod plan;
mod record;
mod replaced_file;
mod rules;
mod schema;
mod settings;
mod show;
mod source;
mod started_again;
mod streams_at_start;
mod topology;
mod trouble;
mod usage;
mod waiting;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, CliCommand};
use trouble::{Trouble, complain};

/// Runs the command line.
pub fn main() -> ExitCode {
    let outcome = match Cli::try_parse() {
        Ok(cli) => run(&cli),
        Err(error) => usage::print(error),
    };
    ExitCode::from(code_of(outcome))
}

/// Reports what went wrong.
fn code_of(outcome: Result<u8, Trouble>) -> u8 {
    outcome.unwrap_or_else(|trouble| {
        complain(&trouble);
        exit_code::COULD_NOT_RUN
    })
}

fn run(cli: &Cli) -> Result<u8, Trouble> {
    match &cli.command {
        None => audit::run(&cli.audit),
        Some(CliCommand::Audit(arguments)) => audit::run(arguments),
        Some(CliCommand::Topology(arguments)) => topology::run(arguments),
        Some(CliCommand::Diff(arguments)) => diff::run(arguments),
        Some(CliCommand::Show(arguments)) => show::run(arguments),
        Some(CliCommand::Metrics(arguments)) => metrics::run(arguments),
        Some(CliCommand::Watch(arguments)) => watch::run(arguments),
        Some(CliCommand::Fleet(arguments)) => fleet::run(arguments),
        Some(CliCommand::Plan(arguments)) => plan::run(arguments),
        Some(CliCommand::Schema(arguments)) => schema::run(arguments),
        Some(CliCommand::Record(arguments)) => record::run(arguments),
        Some(CliCommand::Rules(arguments)) => rules::run(arguments),
        Some(CliCommand::Explain(arguments)) => explain::run(arguments),
        Some(CliCommand::Man(arguments)) => man::run(arguments),
        Some(CliCommand::Completions(arguments)) => completions::run(arguments),
        Some(CliCommand::AskNvml(arguments)) => ask_nvml::run(arguments),
    }
}
