//! Reads a file that somebody names on the command line.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// All of it, if it is no larger than `largest` mebibytes.
pub(crate) fn read_named(path: &Path, largest: u64) -> io::Result<Vec<u8>> {
    let refuse = || io::Error::other(format!("it is no file of at most {largest} MiB"));
    let file = open_named(path)?;
    let metadata = file.metadata()?;
    let limit = largest << 20;
    if !metadata.is_file() || metadata.len() > limit {
        return Err(refuse());
    }
    let mut bytes = Vec::new();
    // It may grow meanwhile.
    file.take(limit + 1).read_to_end(&mut bytes)?;
    match u64::try_from(bytes.len()) {
        Ok(length) if length <= limit => Ok(bytes),
        _ => Err(refuse()),
    }
}

/// Not blocking: a FIFO is refused instead of waited for.
pub(crate) fn open_named(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}
