//! Reads a topology file that somebody names.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::model::topology::Places;
use crate::parse::topology_file::parse_topology_file;

/// Why a topology file cannot be used: one sentence with its path.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the topology file {}: {why}", path.display())]
pub struct TopologyFileError {
    path: PathBuf,
    why: String,
}

/// lstopo's file of a machine with 8 GPUs and hundreds of CPUs has less than 1 MiB.
const LARGEST: u64 = 16 << 20;

/// The places of PCI devices that a file of NCCL's or hwloc's tells.
///
/// # Errors
/// When it cannot be read, is neither, or places no device.
pub fn read_topology_file(path: &Path) -> Result<Places, TopologyFileError> {
    let refuse = |why: String| TopologyFileError {
        path: path.to_owned(),
        why,
    };
    let text = read(path).map_err(|error| refuse(error.to_string()))?;
    parse_topology_file(&text).map_err(|error| refuse(error.to_string()))
}

fn read(path: &Path) -> io::Result<String> {
    // Not blocking: a FIFO is refused instead of waited for.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() > LARGEST {
        return Err(io::Error::other("it is no file of at most 16 MiB"));
    }
    let mut text = String::new();
    file.take(LARGEST).read_to_string(&mut text)?;
    Ok(text)
}
