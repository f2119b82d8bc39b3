//! Help, version and wrong arguments: clap returns all of them as an error.

use std::io::{self, Write};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Error};

use super::output::{print as print_text, terminal, terminal_of};
use super::trouble::Trouble;
use super::{exit_code, streams_at_start};
use crate::cli::{Cli, ColorArgs};
use crate::print::ColorChoice;

pub(super) fn print(error: Error) -> Result<u8, Trouble> {
    let error = in_our_words(error);
    let auto = ColorArgs {
        color: ColorChoice::Auto,
    };
    let text = |color| {
        let text = error.render();
        if color {
            text.ansi().to_string()
        } else {
            text.to_string()
        }
    };
    if error.use_stderr() {
        let stderr = io::stderr();
        let color = terminal_of(streams_at_start::errors(), &auto).color;
        let _ = write!(&stderr, "{}", text(color));
        Ok(exit_code::COULD_NOT_RUN)
    } else {
        print_text(&text(terminal(&auto).color))?;
        Ok(exit_code::OK)
    }
}

/// After options of the audit, clap takes any further word for a subcommand and reports a conflict, or for one more value of
/// --pid.
fn in_our_words(error: Error) -> Error {
    let kind = match error.kind() {
        ErrorKind::ArgumentConflict => ContextKind::InvalidSubcommand,
        ErrorKind::ValueValidation => ContextKind::InvalidValue,
        _ => return error,
    };
    let Some(ContextValue::String(word)) = error.get(kind) else {
        return error;
    };
    let mut command = Cli::command();
    if command.find_subcommand(word).is_some() {
        let message = format!("options stand after the subcommand: numa-audit {word} [OPTIONS]");
        command.error(ErrorKind::ArgumentConflict, message)
    } else if kind == ContextKind::InvalidSubcommand {
        let message = format!("unexpected argument '{word}' found");
        command.error(ErrorKind::UnknownArgument, message)
    } else {
        error
    }
}
