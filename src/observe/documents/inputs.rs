//! The files behind a path: itself, or those of a folder.

use std::fs;
use std::path::{Path, PathBuf};

/// Something to read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// A file of documents, or the archive of a recording.
    File(PathBuf),
    /// The folder of a recording.
    Recording(PathBuf),
    /// A file of a folder with another name than documents have.
    PassedOver(PathBuf),
    /// A folder that cannot be listed, or has no documents; with the reason.
    Unreadable(PathBuf, String),
}

/// Folders in folders are searched so deep.
const DEEPEST: usize = 8;

/// How the names of documents and recordings end.
const ENDINGS: [&str; 5] = [".json", ".jsonl", ".ndjson", ".tar.gz", ".tgz"];

/// The files of a path, sorted by name. Of a folder those that are named as documents and recordings are, and those of its
/// folders.
pub(super) fn inputs(path: &Path) -> Vec<Input> {
    if !path.is_dir() {
        return vec![Input::File(path.to_owned())];
    }
    let mut inputs = Vec::new();
    folder(path, 0, &mut inputs);
    let is_read = |input: &Input| !matches!(input, Input::PassedOver(_));
    if !inputs.iter().any(is_read) {
        let why = "no file of the folder is named as a document or a recording is (.json, .tar.gz)";
        inputs.push(Input::Unreadable(path.to_owned(), why.to_owned()));
    }
    inputs
}

fn folder(path: &Path, depth: usize, inputs: &mut Vec<Input>) {
    if is_recording(path) {
        return inputs.push(Input::Recording(path.to_owned()));
    }
    let listed = fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut entries = match listed {
        Ok(entries) if depth < DEEPEST => entries,
        Ok(_) => return unreadable(path, "it is too deep in other folders", inputs),
        Err(error) => return unreadable(path, &error.to_string(), inputs),
    };
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // A link to a folder could lead in a circle.
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if name.starts_with('.') {
            inputs.push(Input::PassedOver(entry.path()));
        } else if is_folder {
            folder(&entry.path(), depth + 1, inputs);
        } else if ENDINGS.iter().any(|ending| name.ends_with(ending)) {
            inputs.push(Input::File(entry.path()));
        } else {
            inputs.push(Input::PassedOver(entry.path()));
        }
    }
}

fn unreadable(path: &Path, why: &str, inputs: &mut Vec<Input>) {
    inputs.push(Input::Unreadable(path.to_owned(), why.to_owned()));
}

fn is_recording(path: &Path) -> bool {
    path.join("snapshot.json").is_file() || path.join("proc").is_dir() || path.join("sys").is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_a_folder_are_sorted_and_chosen_by_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["b/n1/proc", "b/x", "loop"] {
            fs::create_dir_all(path(name)).unwrap();
        }
        for name in [
            "10.json",
            "a.err",
            ".hidden.json",
            "b/n1/snapshot.json",
            "b/x/1.tar.gz",
        ] {
            fs::write(path(name), "").unwrap();
        }
        std::os::unix::fs::symlink(folder.path(), path("loop/again")).unwrap();
        assert_eq!(
            inputs(folder.path()),
            [
                Input::PassedOver(path(".hidden.json")),
                Input::File(path("10.json")),
                Input::PassedOver(path("a.err")),
                Input::Recording(path("b/n1")),
                Input::File(path("b/x/1.tar.gz")),
                Input::PassedOver(path("loop/again")),
            ]
        );
    }
}
