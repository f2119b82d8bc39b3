//! `numa-audit schema`.

use std::process::ExitCode;

use super::Trouble;
use super::output::print;
use crate::document;
use crate::print::json;

pub(crate) fn run() -> Result<ExitCode, Trouble> {
    print(&json::text(&document::schema()))?;
    Ok(ExitCode::SUCCESS)
}
