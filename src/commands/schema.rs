//! `numa-audit schema`.

use super::output::print;
use super::{Trouble, exit_code};
use crate::cli::{SchemaArgs, SchemaOf};
use crate::document;
use crate::print::json;

pub(crate) fn run(arguments: &SchemaArgs) -> Result<u8, Trouble> {
    let schema = match arguments.of {
        SchemaOf::Audit => document::schema(),
        SchemaOf::Fleet => document::fleet_schema(),
        SchemaOf::Plan => document::plan_schema(),
    };
    print(&json::text(&schema))?;
    Ok(exit_code::OK)
}
