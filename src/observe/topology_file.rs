//! Reads a topology file that somebody names.

use std::path::{Path, PathBuf};

use crate::machine::topology::PciNodes;
use crate::observe::root::named_file::read_named;
use crate::observe::topology_xml::parse_topology_file;

/// Why a topology file cannot be used: one sentence with its path.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the topology file {}: {why}", path.display())]
pub struct TopologyFileError {
    path: PathBuf,
    why: String,
}

/// In MiB. lstopo's file of a machine with 8 GPUs and hundreds of CPUs has less than 1.
const LARGEST: u64 = 16;

/// The places of PCI devices that a file of NCCL's or hwloc's tells.
///
/// # Errors
/// When it cannot be read, is neither, or places no device.
pub fn read_topology_file(path: &Path) -> Result<PciNodes, TopologyFileError> {
    let refuse = |why: String| TopologyFileError {
        path: path.to_owned(),
        why,
    };
    let bytes = read_named(path, LARGEST).map_err(|error| refuse(error.to_string()))?;
    parse(&bytes).map_err(refuse)
}

/// What a topology file says, from its bytes.
pub(crate) fn parse(bytes: &[u8]) -> Result<PciNodes, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    parse_topology_file(text).map_err(|error| error.to_string())
}
