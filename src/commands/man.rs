//! `numa-audit man`.

mod exit_status;
mod page;
mod sections;

use std::fs;
use std::path::Path;

use super::output::print_by;
use super::{Trouble, exit_code};
use crate::cli::ManArgs;
use page::{Page, pages};

pub(crate) fn run(arguments: &ManArgs) -> Result<u8, Trouble> {
    let pages = pages()?;
    match &arguments.dir {
        Some(folder) => write_all(&pages, folder)?,
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

fn write_all(pages: &[Page], folder: &Path) -> Result<(), Trouble> {
    let cannot = |path: &Path, error| format!("cannot write {}: {error}", path.display());
    fs::create_dir_all(folder).map_err(|error| cannot(folder, error))?;
    for page in pages {
        let path = folder.join(&page.file_name);
        fs::write(&path, &page.source).map_err(|error| cannot(&path, error))?;
    }
    Ok(())
}
