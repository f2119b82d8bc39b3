//! The arguments of `fleet`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use crate::cli::{FailOn, OutputArgs, PageArgs};
use crate::units::{Malformed, parse_host_list};

/// The arguments of `fleet`.
#[derive(Debug, Args)]
pub(crate) struct FleetArgs {
    /// Files of JSON documents, folders of them, recordings; `-` is standard input.
    #[arg(required = true, value_name = "FILE|FOLDER|-")]
    pub(crate) paths: Vec<PathBuf>,
    /// The hosts that must be there, such as node[01-16,20],login.
    ///
    /// The list is written as Slurm writes it. A host without a document is named, and the exit code is 3 if it is not 1. A
    /// name without a domain stands for the same name with any domain.
    #[arg(long, value_name = "LIST", help_heading = "Judgement")]
    pub(crate) hosts: Option<HostList>,
    /// Compare every machine with a saved audit, map, plan or topology file.
    ///
    /// As the --expect of an audit. `-` is standard input.
    #[arg(long, value_name = "FILE", help_heading = "Judgement")]
    pub(crate) expect: Option<PathBuf>,
    /// Exit with 1 from this verdict on.
    #[arg(
        long,
        value_name = "VERDICT",
        default_value = "mismatch",
        help_heading = "Judgement"
    )]
    pub(crate) fail_on: FailOn,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) page: PageArgs,
    /// Print one row for each machine, and lists in full.
    #[arg(long, conflicts_with = "json", help_heading = "Output")]
    pub(crate) all: bool,
}

/// A list of hosts.
#[derive(Debug, Clone)]
pub(crate) struct HostList(pub(crate) Vec<String>);

impl FromStr for HostList {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        parse_host_list(text).map(Self)
    }
}
