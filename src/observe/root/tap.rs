//! What a recording keeps of the files that are read.

use std::collections::BTreeSet;
use std::path::Path;

use crate::observe::root::RecordedTree;
use crate::units::Pid;

/// What a recording keeps of a file's bytes, by its path; `None` for all of them. It is asked when the file is read: until the
/// end of an observation whole environments would take gigabytes.
pub(crate) type PartKept = fn(path: &Path, bytes: &[u8]) -> Option<Vec<u8>>;

/// Everything that was read through a [`crate::observe::root::Root`].
#[derive(Debug, Default)]
pub(crate) struct Tap {
    /// The bytes of every file, as the kernel gave them, or the part of them that is kept.
    pub(crate) tree: RecordedTree,
    /// Files that this user may not read.
    pub(crate) denied: BTreeSet<String>,
    /// Processes whose memory did not answer in time.
    pub(crate) silent: BTreeSet<Pid>,
}

/// Whether a recording has to keep the names in this folder. This is so where a name itself is a fact (`net/eth0` of a
/// device). Elsewhere a name only leads to files, which are kept when they are read.
pub(crate) fn keeps_names_of(folder: &str) -> bool {
    let is_device =
        folder.starts_with("sys/devices/") && !folder.starts_with("sys/devices/system/");
    is_device || folder.starts_with("sys/bus/pci/devices/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_keeps_the_names_of_devices_on_every_bus() {
        for path in [
            "sys/devices/pci0000:0f/0000:0f:00.0/0000:10:00.0/net",
            "sys/devices/LNXSYSTM:00/LNXSYBUS:00/ACPI0004:00/VMBUS:00/x/pci0001:00/0001:00:00.0/net",
            "sys/devices/platform/soc/pci0000:00/0000:00:01.0/nvme",
            "sys/bus/pci/devices/0000:10:00.0/net",
        ] {
            assert!(keeps_names_of(path), "{path}");
        }
        for path in [
            "sys/devices/system/node",
            "sys/bus/pci/devices",
            "proc",
            "proc/1/fd",
        ] {
            assert!(!keeps_names_of(path), "{path}");
        }
    }
}
