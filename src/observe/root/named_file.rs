//! Reads a file that is named on the command line.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// The bytes of a regular file of at most `largest_in_mib`.
pub(crate) fn read_named(path: &Path, largest_in_mib: u64) -> io::Result<Vec<u8>> {
    let refuse = || {
        io::Error::other(format!(
            "it is not a regular file of at most {largest_in_mib} MiB"
        ))
    };
    let file = open_named(path)?;
    let metadata = file.metadata()?;
    let limit = largest_in_mib << 20;
    if !metadata.is_file() || metadata.len() > limit {
        return Err(refuse());
    }
    let mut bytes = Vec::new();
    // The file may grow while it is read.
    file.take(limit + 1).read_to_end(&mut bytes)?;
    match u64::try_from(bytes.len()) {
        Ok(length) if length <= limit => Ok(bytes),
        _ => Err(refuse()),
    }
}

/// Opens a file without blocking, so that a FIFO can be refused.
pub(crate) fn open_named(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}
