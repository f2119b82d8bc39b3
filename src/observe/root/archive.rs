//! Reads a `.tar.gz` into memory, without writing to disk.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use tar::{Archive, EntryType};

use crate::observe::root::{RecordedEntry, RecordedTree};

/// The most bytes that an archive may unpack to, headers included. A recording of 4 trainers with 16 workers and 1,400 threads
/// has 10 MiB.
const LARGEST_UNPACKED: u64 = 512 << 20;

/// Whether a file starts with the magic number of gzip.
pub(crate) fn is_gzip(file: &File) -> bool {
    let mut start = [0; 2];
    file.read_exact_at(&mut start, 0).is_ok() && start == [0x1f, 0x8b]
}

/// The kernel's PATH_MAX.
const LONGEST_NAME: usize = 4096;

/// The entries of an archive. If one folder contains all of them, it is removed from their paths.
///
/// # Errors
/// When it is not such an archive, is cut or corrupt, unpacks to more than 512 MiB, or has entries that no recording has:
/// absolute names, `..`, devices, hard links.
pub(crate) fn read_archive(file: File) -> io::Result<RecordedTree> {
    let stream = MultiGzDecoder::new(BufReader::new(file)).take(LARGEST_UNPACKED);
    let mut archive = Archive::new(TrailingZeros { stream, zeros: 0 });
    let mut tree = RecordedTree::default();
    let mut unpacked = 0;
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        if path.as_os_str().len() > LONGEST_NAME {
            return Err(io::Error::other(
                "an entry has a name of more than 4096 bytes",
            ));
        }
        let Some(name) = plain(&path) else {
            return Err(refuse(&path, "leads out of the archive"));
        };
        match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                // A sparse file can be much larger than its part of the archive.
                let mut bytes = Vec::new();
                let room = LARGEST_UNPACKED - unpacked;
                if entry.size() > room
                    || entry.by_ref().take(room).read_to_end(&mut bytes)? as u64 == room
                {
                    return Err(refuse(&path, "makes it unpack to more than 512 MiB"));
                }
                unpacked += bytes.len() as u64;
                tree.insert(name, RecordedEntry::File(bytes));
            }
            EntryType::Symlink => match entry.link_name()? {
                Some(target) if target.as_os_str().len() <= LONGEST_NAME => {
                    tree.insert(name, RecordedEntry::Link(target.into_owned()));
                }
                _ => return Err(refuse(&path, "is a link to nowhere")),
            },
            EntryType::Directory => tree.insert(name, RecordedEntry::Folder),
            EntryType::XGlobalHeader => {}
            _ => {
                return Err(refuse(
                    &path,
                    "is neither a file nor a folder nor a symbolic link",
                ));
            }
        }
    }
    // The checksum follows the last entry. An archive that was cut has none.
    let mut stream = archive.into_inner();
    io::copy(&mut stream, &mut io::sink())?;
    if stream.stream.limit() == 0 {
        return Err(io::Error::other("it unpacks to more than 512 MiB"));
    }
    if stream.zeros < END_MARK {
        return Err(io::Error::other(
            "it was cut: the mark at its end is missing",
        ));
    }
    Ok(without_outer_folder(tree))
}

/// A tar archive ends in two blocks of zeros.
const END_MARK: usize = 1024;

/// Counts the zeros at the end of the bytes that were read so far.
struct TrailingZeros<R> {
    stream: R,
    zeros: usize,
}

impl<R: Read> Read for TrailingZeros<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.stream.read(buffer)?;
        let read = &buffer[..size];
        match read.iter().rposition(|byte| *byte != 0) {
            Some(last) => self.zeros = size - 1 - last,
            None => self.zeros += size,
        }
        Ok(size)
    }
}

fn refuse(path: &Path, why: &str) -> io::Error {
    io::Error::other(format!("its entry {path:?} {why}"))
}

/// The path without `./`. `None` for an absolute path and for a path with `..`.
fn plain(path: &Path) -> Option<PathBuf> {
    let components = path.components().filter(|part| *part != Component::CurDir);
    let names = components.map(|part| match part {
        Component::Normal(name) => Some(name),
        _ => None,
    });
    names.collect()
}

/// `tar -czf x.tar.gz x` puts everything below `x/`.
fn without_outer_folder(tree: RecordedTree) -> RecordedTree {
    let is_recording = |name: &str| ["snapshot.json", "proc", "sys"].contains(&name);
    match tree.names("").unwrap_or_default().as_slice() {
        [outer] if !is_recording(outer) => tree.below(outer),
        _ => tree,
    }
}
