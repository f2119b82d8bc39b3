//! Writes files that are no part of an observation to a folder: the manual pages, the variables of ranks.

use std::fs;
use std::path::{Path, PathBuf};

use super::Trouble;
use super::replaced_file::{self, Readers};

/// Writes files, by name, to a folder that need not exist. Files of these names are replaced, each as a whole.
///
/// # Errors
/// Where the folder or a file cannot be written, or something with such a name is no regular file: in a folder that others may
/// write to, a link would lead to a file of the user's, and a FIFO would not return. Nothing is written then.
pub(super) fn write_files<'a>(
    folder: &Path,
    files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Result<(), Trouble> {
    fs::create_dir_all(folder)
        .map_err(|error| format!("cannot write {}: {error}", folder.display()))?;
    let files = files
        .into_iter()
        .map(|(name, text)| (folder.join(name), text));
    let files: Vec<(PathBuf, &[u8])> = files.collect();
    for (path, _) in &files {
        replaced_file::ensure_writable(path)?;
    }
    let mut files = files.iter();
    files.try_for_each(|(path, text)| replaced_file::write(path, text, Readers::Umask))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn no_link_is_followed_and_then_nothing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let (target, plans) = (folder.path().join("target"), folder.path().join("plans"));
        fs::write(&target, "kept").unwrap();
        let files = [("rank0.env", b"a".as_slice()), ("rank1.env", b"b")];
        write_files(&plans, files).unwrap();
        write_files(&plans, files).unwrap();
        assert_eq!(fs::read(plans.join("rank1.env")).unwrap(), b"b");
        fs::remove_file(plans.join("rank0.env")).unwrap();
        fs::remove_file(plans.join("rank1.env")).unwrap();
        symlink(&target, plans.join("rank1.env")).unwrap();
        let error = write_files(&plans, files).unwrap_err().to_string();
        assert!(error.ends_with("rank1.env: it is a link"), "{error}");
        assert_eq!(fs::read_to_string(&target).unwrap(), "kept");
        assert_eq!(fs::read_dir(&plans).unwrap().count(), 1);
    }
}
