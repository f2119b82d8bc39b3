//! `numa-audit man`.

mod exit_status;
mod page;
mod sections;

use super::folder::write_files;
use super::output::print_by;
use super::{Trouble, exit_code};
use crate::cli::ManArgs;
use page::{Page, pages};

pub(crate) fn run(arguments: &ManArgs) -> Result<u8, Trouble> {
    let pages = pages()?;
    match &arguments.dir {
        Some(folder) => {
            let files = pages.iter().map(|page| (&*page.file_name, &*page.source));
            write_files(folder, files)?;
        }
        None => {
            let page = of_subcommand(&pages, arguments.subcommand.as_deref())?;
            print_by(|out| out.write_all(&page.source))?;
        }
    }
    Ok(exit_code::OK)
}

fn of_subcommand<'a>(pages: &'a [Page], subcommand: Option<&str>) -> Result<&'a Page, Trouble> {
    let found = pages
        .iter()
        .find(|page| page.subcommand.as_deref() == subcommand);
    found.ok_or_else(|| {
        let name = subcommand.unwrap_or_default();
        format!("there is no subcommand {name:?}; numa-audit --help lists them").into()
    })
}
