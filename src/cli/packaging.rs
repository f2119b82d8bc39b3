//! Subcommands for those who install the program: manual pages and shell completions.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

/// The arguments of `man`.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Print the page of this subcommand instead of the main page.
    #[arg(conflicts_with = "dir")]
    pub(crate) subcommand: Option<String>,
    /// Write all pages to this folder, which is made if it is missing.
    ///
    /// Pages that are there already are replaced.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,
}

/// The names for NodeName= in a file of Slurm: it separates words by blanks, and a # begins a comment.
pub(super) fn slurm_nodes(text: &str) -> Result<String, String> {
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.,[]".contains(&byte);
    match text.bytes().all(is_of_name) {
        true => Ok(text.to_owned()),
        false => Err("not names of nodes such as n1 or n[1-4]".to_owned()),
    }
}

/// The arguments of `completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell that is to complete arguments of numa-audit.
    pub(crate) shell: CompletionShell,
}

/// A shell for which there are completions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CompletionShell {
    /// GNU bash, with or without the package bash-completion.
    Bash,
    /// zsh: a function _numa-audit for a folder of $fpath.
    Zsh,
    /// fish.
    Fish,
}
