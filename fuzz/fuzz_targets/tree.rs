//! A whole recorded machine, some of whose files are not as any kernel writes them.
#![no_main]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use numa_audit::observe::{RecordedEntry, RecordedTree, Root, Source};
use numa_audit_fuzz::{audit_and_print, small_machine};

/// What is done to one of the files; which one is a number modulo their count.
#[derive(Debug, Arbitrary)]
enum Change<'a> {
    /// Other bytes.
    Replace(u16, &'a [u8]),
    /// Bytes written over those at a place, modulo the length.
    Overwrite(u16, u16, &'a [u8]),
    /// Bytes between those at a place.
    Insert(u16, u16, &'a [u8]),
    /// Cut at a length.
    Cut(u16, u16),
    /// A number in it, modulo the count of numbers, becomes this one.
    Number(u16, u8, u64),
    /// Another file's bytes.
    Copy(u16, u16),
    /// Not there.
    Remove(u16),
    /// A link to another.
    Link(u16, u16),
    /// A link to wherever.
    LinkAnywhere(u16, &'a str),
    /// A folder.
    Folder(u16),
    /// A file of a new name beside it.
    Add(u16, &'a str, &'a [u8]),
}

static MACHINE: LazyLock<Vec<(PathBuf, RecordedEntry)>> = LazyLock::new(small_machine);

/// Where the digits of the number are that `which` names.
fn number(bytes: &[u8], which: u8) -> Option<std::ops::Range<usize>> {
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let starts: Vec<usize> = (0..bytes.len())
        .filter(|at| is_digit(*at) && (*at == 0 || !is_digit(*at - 1)))
        .collect();
    let start = *starts.get(usize::from(which) % starts.len().max(1))?;
    let end = (start..).find(|at| !is_digit(*at))?;
    Some(start..end)
}

fn apply(change: &Change, machine: &[(PathBuf, RecordedEntry)], tree: &mut RecordedTree) {
    let entry = |which: u16| &machine[usize::from(which) % machine.len()];
    let path = |which: u16| entry(which).0.clone();
    let bytes = |which: u16| match tree.entries().get(&entry(which).0) {
        Some(RecordedEntry::File(bytes)) => bytes.clone(),
        _ => Vec::new(),
    };
    match *change {
        Change::Replace(which, new) => tree.insert(path(which), RecordedEntry::File(new.to_owned())),
        Change::Overwrite(which, at, new) => {
            let mut bytes = bytes(which);
            let at = usize::from(at) % bytes.len().max(1);
            let end = bytes.len().min(at + new.len());
            bytes.splice(at..end, new.iter().copied());
            tree.insert(path(which), RecordedEntry::File(bytes));
        }
        Change::Insert(which, at, new) => {
            let mut bytes = bytes(which);
            let at = usize::from(at) % (bytes.len() + 1);
            bytes.splice(at..at, new.iter().copied());
            tree.insert(path(which), RecordedEntry::File(bytes));
        }
        Change::Cut(which, length) => {
            let mut bytes = bytes(which);
            bytes.truncate(usize::from(length));
            tree.insert(path(which), RecordedEntry::File(bytes));
        }
        Change::Number(which, at, new) => {
            let mut bytes = bytes(which);
            if let Some(digits) = number(&bytes, at) {
                bytes.splice(digits, new.to_string().into_bytes());
            }
            tree.insert(path(which), RecordedEntry::File(bytes));
        }
        Change::Copy(which, from) => {
            let bytes = bytes(from);
            tree.insert(path(which), RecordedEntry::File(bytes));
        }
        Change::Remove(which) => {
            let gone = path(which);
            tree.retain(|path| path != gone);
        }
        Change::Link(which, to) => {
            let target = Path::new("/").join(path(to));
            tree.insert(path(which), RecordedEntry::Link(target));
        }
        Change::LinkAnywhere(which, target) => {
            tree.insert(path(which), RecordedEntry::Link(target.into()));
        }
        Change::Folder(which) => tree.insert(path(which), RecordedEntry::Folder),
        Change::Add(which, name, new) => {
            // An archive's reader lets plain names through alone.
            if !["", ".", ".."].contains(&name) && !name.contains(['/', '\0']) {
                tree.insert(
                    path(which).with_file_name(name),
                    RecordedEntry::File(new.to_owned()),
                );
            }
        }
    }
}

fuzz_target!(|input: (u8, Vec<Change>)| {
    let (form, changes) = input;
    let machine = &*MACHINE;
    let mut tree = RecordedTree::default();
    for (path, entry) in machine {
        tree.insert(path.clone(), entry.clone());
    }
    for change in &changes {
        apply(change, machine, &mut tree);
    }
    if let Ok(source) = Source::recorded(Root::archive(tree), Path::new("fuzzed")) {
        audit_and_print(source, form);
    }
});
