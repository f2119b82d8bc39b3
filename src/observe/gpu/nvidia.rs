//! The files of NVIDIA's kernel module: `/proc/driver/nvidia/gpus/ADDRESS/{information,numa_status}` (nv-procfs.c of
//! NVIDIA's open kernel modules).

use std::collections::{BTreeMap, BTreeSet};

use crate::machine::{Fact, Gaps, Gpu, Reason};
use crate::observe::read::read_as;
use crate::observe::root::Root;
use crate::units::{Malformed, NodeId, PciAddress, malformed, number, value};

const GPUS: &str = "proc/driver/nvidia/gpus";

/// The addresses of the GPUs of the kernel module.
pub(crate) fn addresses(root: &Root) -> Vec<PciAddress> {
    let names = root.names(GPUS).unwrap_or_default();
    names.iter().filter_map(|name| name.parse().ok()).collect()
}

/// A GPU as the kernel module describes it, without NVML.
pub(crate) fn read_gpu(root: &Root, address: PciAddress, index: u32) -> Gpu {
    gpu(address, index, read_information(root, address))
}

pub(crate) fn gpu(address: PciAddress, index: u32, information: GpuInformation) -> Gpu {
    Gpu {
        index,
        uuid: information.uuid,
        name: information.name,
        address: Some(address),
        minor: information.minor,
        ..Gpu::default()
    }
}

/// `information` of a GPU; empty where it cannot be read.
pub(crate) fn read_information(root: &Root, address: PciAddress) -> GpuInformation {
    let information = root.read(&format!("{GPUS}/{address}/information"));
    let information = information.map(|text| parse_information(&text));
    information.unwrap_or_default()
}

/// The NUMA node that is the GPU's own memory. A GPU whose memory is not a node has no such file.
pub(crate) fn read_memory_node(root: &Root, gpu: &Gpu, gaps: &mut Gaps) -> Option<NodeId> {
    let file = format!("{GPUS}/{}/numa_status", gpu.address?);
    match read_as(root, &file, parse_numa_status) {
        Err(Reason::Absent) => None,
        node => gaps
            .value_or_note(None, Fact::GpuMemoryNode(gpu.index), node)
            .flatten(),
    }
}

/// Reads the files of all GPUs, also those that are not needed. The kernel module writes them under its own locks, so a read may
/// block uninterruptibly: a process that can be left behind does it first.
pub(crate) fn read_all(root: &Root) -> BTreeMap<PciAddress, GpuInformation> {
    let read = |address: PciAddress| {
        let _ = root.read(&format!("{GPUS}/{address}/numa_status"));
        (address, read_information(root, address))
    };
    addresses(root).into_iter().map(read).collect()
}

/// The GPUs that their files describe so far that NVML need not be asked for their name, UUID and minor number. None where the
/// files and NVML do not list as many GPUs: then the files may be those of others.
pub(crate) fn described(
    files: &BTreeMap<PciAddress, GpuInformation>,
    listed: u32,
) -> BTreeSet<PciAddress> {
    let used = files.iter().filter(|(_, file)| !file.is_excluded);
    if u32::try_from(used.clone().count()) != Ok(listed) {
        return BTreeSet::new();
    }
    let is_whole =
        |file: &GpuInformation| file.name.is_some() && file.uuid.is_some() && file.minor.is_some();
    used.filter(|(_, file)| is_whole(file))
        .map(|(address, _)| *address)
        .collect()
}

/// The lines of `information` that the audit needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct GpuInformation {
    /// `Model`.
    pub(crate) name: Option<String>,
    /// `GPU UUID`.
    pub(crate) uuid: Option<String>,
    /// `Device Minor`.
    pub(crate) minor: Option<u32>,
    /// `GPU Excluded`: the driver was told not to use it.
    pub(crate) is_excluded: bool,
}

/// The value of a line `NAME: VALUE`.
fn field<'a>(bytes: &'a [u8], name: &str) -> Option<&'a str> {
    let lines = value(bytes).lines();
    let mut fields = lines.filter_map(|line| line.split_once(':'));
    fields
        .find(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim())
}

/// Parses `information`.
pub(crate) fn parse_information(bytes: &[u8]) -> GpuInformation {
    let text = |name: &str| {
        // Before the first use of the GPU the UUID consists of question marks.
        field(bytes, name).filter(|value| !value.is_empty() && !value.contains("??"))
    };
    GpuInformation {
        name: text("Model").map(str::to_owned),
        uuid: text("GPU UUID").map(str::to_owned),
        minor: text("Device Minor").and_then(|minor| number("minor", minor.as_bytes()).ok()),
        is_excluded: field(bytes, "GPU Excluded") == Some("Yes"),
    }
}

/// Parses `numa_status`: the node of the GPU's own memory, where it is a node (Grace, POWER9). `None` while it is not online.
pub(crate) fn parse_numa_status(bytes: &[u8]) -> Result<Option<NodeId>, Malformed> {
    match (field(bytes, "Node"), field(bytes, "Status")) {
        (Some(node), Some("online")) => Ok(Some(NodeId(number("numa_status", node.as_bytes())?))),
        (Some(_), Some(_)) => Ok(None),
        _ => malformed("numa_status", bytes),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parses_information_of_a_gpu() {
        let text = b"Model: \t\t NVIDIA H200\nIRQ:   \t\t 32\nGPU UUID: \t GPU-e479aa74\nDevice Minor: \t 3\n";
        let read = parse_information(text);
        assert_eq!(read.name.as_deref(), Some("NVIDIA H200"));
        assert_eq!(read.uuid.as_deref(), Some("GPU-e479aa74"));
        assert_eq!(read.minor, Some(3));
        let unused = b"GPU UUID: \t GPU-????????-????-????-????-????????????\n";
        assert_eq!(parse_information(unused), GpuInformation::default());
    }

    #[test]
    fn parses_the_node_of_the_gpus_own_memory() {
        let status = b"Node:\t\t255\nStatus:\t\tonline\nAddress:\t800000000\n";
        assert_eq!(parse_numa_status(status), Ok(Some(NodeId(255))));
        assert_eq!(parse_numa_status(b"Node: 2\nStatus: offline\n"), Ok(None));
        assert!(parse_numa_status(b"Node: x\nStatus: online\n").is_err());
        assert!(parse_numa_status(b"").is_err());
    }

    #[test]
    fn nvml_is_asked_unless_the_files_describe_the_same_gpus() {
        let whole = || parse_information(b"Model: NVIDIA H200\nGPU UUID: GPU-1\nDevice Minor: 3\n");
        let address = |bus: u32| format!("0000:{bus:02x}:00.0").parse().unwrap();
        let files = |all: Vec<GpuInformation>| (1..).map(address).zip(all).collect();
        let two = files(vec![whole(), whole()]);
        assert_eq!(described(&two, 2), BTreeSet::from([address(1), address(2)]));
        assert_eq!(described(&two, 1), BTreeSet::new());
        assert_eq!(described(&two, 3), BTreeSet::new());
        let unused = parse_information(b"Model: NVIDIA H200\nGPU UUID: GPU-??\nDevice Minor: 1\n");
        let with_unused = files(vec![unused, whole()]);
        assert_eq!(described(&with_unused, 2), BTreeSet::from([address(2)]));
        let excluded = GpuInformation {
            is_excluded: true,
            ..whole()
        };
        let with_excluded = files(vec![excluded, whole()]);
        assert_eq!(described(&with_excluded, 1), BTreeSet::from([address(2)]));
        assert_eq!(described(&with_excluded, 2), BTreeSet::new());
    }

    proptest! {
        #[test]
        fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse_information(&bytes);
            let _ = parse_numa_status(&bytes);
        }

        #[test]
        fn a_number_is_accepted_if_it_fits(value in "[-+]?[0-9]{1,22}") {
            let fits = value.bytes().all(|byte| byte.is_ascii_digit()) && value.parse::<u32>().is_ok();
            let node = parse_numa_status(format!("Node: {value}\nStatus: online\n").as_bytes());
            prop_assert_eq!(node.is_ok(), fits);
            let information = parse_information(format!("Device Minor: {value}\n").as_bytes());
            prop_assert_eq!(information.minor.is_some(), fits);
        }
    }
}
