//! `numa-audit schema`.

use super::output::print;
use super::{Trouble, exit_code};
use crate::document;
use crate::print::json;

pub(crate) fn run() -> Result<u8, Trouble> {
    print(&json::text(&document::schema()))?;
    Ok(exit_code::OK)
}
