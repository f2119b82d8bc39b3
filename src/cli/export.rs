//! Options that write a form of the document to a file, besides what is printed.

use std::path::PathBuf;

use clap::Args;

/// Files to write.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct ExportArgs {
    /// Write a picture too: the NUMA nodes with their GPUs, and each process where it runs.
    ///
    /// FILE is an SVG file, which is replaced as a whole; `-` is standard output, and then nothing else is printed.
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) page: PageArgs,
}

/// A page to write.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct PageArgs {
    /// Write a page for a browser too: the picture, the tables, and the findings with their explanations.
    ///
    /// FILE is one HTML file, which is replaced as a whole. It can be opened from a disk and makes no network requests. `-` is
    /// standard output, and then nothing else is printed.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}
