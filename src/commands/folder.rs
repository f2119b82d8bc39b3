//! Writes files that are no part of an observation to a folder: the manual pages, the variables of ranks.

use std::fs;
use std::path::Path;

use super::Trouble;

/// Writes files, by name, to a folder that need not exist. Files of these names are replaced.
///
/// # Errors
/// Where the folder or a file cannot be written.
pub(super) fn write_files<'a>(
    folder: &Path,
    files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Result<(), Trouble> {
    let cannot = |path: &Path, error| format!("cannot write {}: {error}", path.display());
    fs::create_dir_all(folder).map_err(|error| cannot(folder, error))?;
    for (name, text) in files {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|error| cannot(&path, error))?;
    }
    Ok(())
}
