//! A tree of files in memory: an unpacked archive, or a recording before it is written.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// Files, links and folders, by path from the root.
#[derive(Debug, Clone, Default)]
pub(crate) struct RecordedTree {
    entries: BTreeMap<PathBuf, RecordedEntry>,
}

/// An entry of a recorded tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RecordedEntry {
    /// The bytes of a regular file.
    File(Vec<u8>),
    /// The target of a symbolic link.
    Link(PathBuf),
    /// A folder that may be empty. The folders above an entry need no entry.
    Folder,
}

/// The kernel follows this number of links before it reports ELOOP.
const MOST_LINKS: usize = 40;

impl RecordedTree {
    /// Adds an entry. The path has only plain names.
    pub(crate) fn insert(&mut self, path: impl Into<PathBuf>, entry: RecordedEntry) {
        self.entries.insert(path.into(), entry);
    }

    /// All entries, by path.
    pub(crate) fn entries(&self) -> &BTreeMap<PathBuf, RecordedEntry> {
        &self.entries
    }

    /// The same, as a value: to change a tree without a second one.
    pub(crate) fn into_entries(self) -> impl Iterator<Item = (PathBuf, RecordedEntry)> {
        self.entries.into_iter()
    }

    /// The tree below one of its folders.
    pub(crate) fn below(self, folder: &str) -> Self {
        let entries = self.entries.into_iter().filter_map(|(path, entry)| {
            let rest = path.strip_prefix(folder).ok()?.to_owned();
            Some((rest, entry))
        });
        Self {
            entries: entries.collect(),
        }
    }

    /// Keeps only the entries whose path `keep` accepts.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&Path) -> bool) {
        self.entries.retain(|path, _| keep(path));
    }

    /// The bytes of a file. Links are followed within the tree.
    pub(crate) fn file(&self, path: &str) -> Option<&[u8]> {
        match self.entries.get(&self.resolve(Path::new(path))?)? {
            RecordedEntry::File(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The target of a link; `None` where there is no link with this path.
    pub(crate) fn link(&self, path: &str) -> Option<PathBuf> {
        let path = Path::new(path);
        let own = self.resolve(path.parent()?)?.join(path.file_name()?);
        match self.entries.get(&own)? {
            RecordedEntry::Link(target) => Some(target.clone()),
            _ => None,
        }
    }

    /// The names in a folder, unsorted and without repeats; `None` where there is no such folder.
    pub(crate) fn names(&self, path: &str) -> Option<Vec<String>> {
        let folder = self.resolve(Path::new(path))?;
        let below = self.entries.range(folder.clone()..);
        let below = below.take_while(|(path, _)| path.starts_with(&folder));
        let (mut found, mut names) = (false, Vec::<String>::new());
        for (path, entry) in below {
            let Ok(rest) = path.strip_prefix(&folder) else {
                continue;
            };
            match rest.components().next() {
                None => found = *entry == RecordedEntry::Folder,
                Some(name) => {
                    found = true;
                    if let Some(name) = name.as_os_str().to_str()
                        && names.last().is_none_or(|last| last != name)
                    {
                        names.push(name.to_owned());
                    }
                }
            }
        }
        found.then_some(names)
    }

    /// The path with all links followed, as if the tree were the root of the file system.
    fn resolve(&self, path: &Path) -> Option<PathBuf> {
        let mut links = 0;
        let mut todo: Vec<PathBuf> = vec![path.to_owned()];
        let mut at = PathBuf::new();
        while let Some(path) = todo.pop() {
            let mut components = path.components();
            match components.next() {
                None | Some(Component::Prefix(_)) => continue,
                Some(Component::RootDir) => at.clear(),
                Some(Component::CurDir) => {}
                Some(Component::ParentDir) => {
                    at.pop();
                }
                Some(Component::Normal(name)) => {
                    at.push(name);
                    if let Some(RecordedEntry::Link(target)) = self.entries.get(&at) {
                        links += 1;
                        if links > MOST_LINKS {
                            return None;
                        }
                        at.pop();
                        todo.push(components.as_path().to_owned());
                        todo.push(target.clone());
                        continue;
                    }
                }
            }
            todo.push(components.as_path().to_owned());
        }
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(entries: &[(&str, RecordedEntry)]) -> RecordedTree {
        let mut tree = RecordedTree::default();
        for (path, entry) in entries {
            tree.insert(path, entry.clone());
        }
        tree
    }

    #[test]
    fn links_do_not_lead_out_of_the_tree() {
        let tree = tree(&[
            ("sys/devices/a/numa_node", RecordedEntry::File(b"1".into())),
            ("sys/bus/a", RecordedEntry::Link("../devices/a".into())),
            (
                "sys/bus/out",
                RecordedEntry::Link("../../../../../sys/devices/a".into()),
            ),
            (
                "sys/bus/absolute",
                RecordedEntry::Link("/sys/devices/a".into()),
            ),
            ("sys/bus/circle", RecordedEntry::Link("circle".into())),
        ]);
        for path in ["sys/bus/a", "sys/bus/out", "sys/bus/absolute"] {
            let file = format!("{path}/numa_node");
            assert_eq!(tree.file(&file), Some(&b"1"[..]), "{path}");
        }
        assert_eq!(tree.file("sys/bus/circle"), None);
        assert_eq!(tree.file("sys/bus/none"), None);
    }

    #[test]
    fn folders_are_listed_with_or_without_an_entry() {
        let tree = tree(&[
            ("proc/12/task/12/stat", RecordedEntry::File(vec![])),
            ("proc/12/task/13/stat", RecordedEntry::File(vec![])),
            ("proc/12-x", RecordedEntry::Folder),
            ("proc/stat", RecordedEntry::File(vec![])),
        ]);
        assert_eq!(tree.names("proc/12/task").unwrap(), ["12", "13"]);
        assert_eq!(tree.names("proc/12-x").unwrap(), [""; 0]);
        assert_eq!(tree.names("proc/stat"), None);
        assert_eq!(tree.names("proc/13"), None);
        assert_eq!(tree.names("").unwrap(), ["proc"]);
    }
}
