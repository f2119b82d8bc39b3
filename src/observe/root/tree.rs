//! A tree of files held in memory: an unpacked archive, or what a recording will be.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// Files, links and folders by their path from the root.
#[derive(Debug, Clone, Default)]
pub struct RecordedTree {
    entries: BTreeMap<PathBuf, RecordedEntry>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordedEntry {
    /// A regular file with its bytes.
    File(Vec<u8>),
    /// A symbolic link with its text.
    Link(PathBuf),
    /// A folder that stands for itself. Those above an entry need none.
    Folder,
}

/// As many links as the kernel follows before it says ELOOP.
const MOST_LINKS: usize = 40;

impl RecordedTree {
    /// Puts an entry at a path of plain names.
    pub fn insert(&mut self, path: impl Into<PathBuf>, entry: RecordedEntry) {
        self.entries.insert(path.into(), entry);
    }

    /// All entries by path.
    pub fn entries(&self) -> &BTreeMap<PathBuf, RecordedEntry> {
        &self.entries
    }

    /// The tree that is below one of its folders.
    pub fn below(self, folder: &str) -> Self {
        let entries = self.entries.into_iter().filter_map(|(path, entry)| {
            let rest = path.strip_prefix(folder).ok()?.to_owned();
            Some((rest, entry))
        });
        Self {
            entries: entries.collect(),
        }
    }

    /// Drops the entries for which `keep` says no.
    pub fn retain(&mut self, mut keep: impl FnMut(&Path) -> bool) {
        self.entries.retain(|path, _| keep(path));
    }

    /// The bytes of a file; links are followed, and never lead out of the tree.
    pub fn file(&self, path: &str) -> Option<&[u8]> {
        match self.entries.get(&self.resolve(Path::new(path))?)? {
            RecordedEntry::File(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// A link's text; `None` where there is no link of that name.
    pub fn link(&self, path: &str) -> Option<PathBuf> {
        let path = Path::new(path);
        let own = self.resolve(path.parent()?)?.join(path.file_name()?);
        match self.entries.get(&own)? {
            RecordedEntry::Link(target) => Some(target.clone()),
            _ => None,
        }
    }

    /// The names in a folder, in no order and without repeats; `None` where there is no such folder.
    pub fn names(&self, path: &str) -> Option<Vec<String>> {
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

    /// Follows links as if the tree were the root of the file system.
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
    fn follows_links_within_itself_alone() {
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
    fn lists_folders_whether_or_not_they_have_an_entry() {
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
