//! Options that say how to print.

use clap::Args;

use crate::print::ColorChoice;

/// How to print.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Print one JSON document instead of text.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) color: ColorArgs,
}

/// Whether to print in colour.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct ColorArgs {
    /// When to use colour.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: ColorChoice,
}

/// How to draw a map.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct MapArgs {
    /// Draw the map with ASCII letters only. Without it, that depends on the locale.
    #[arg(long)]
    pub(crate) ascii: bool,
}
