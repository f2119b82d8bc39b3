//! `/sys/class/kfd/kfd`: KFD, the kernel's driver for computing on AMD's GPUs, with its GPUs and the processes that have
//! queues and memory there.
//!
//! Written after the kernel's kfd_topology.c and kfd_process.c; not tested on a machine with such a GPU. Only files are read
//! for which the kernel does not access the GPU: `sdma_GPUID` and `cu_occupancy` do.

use std::collections::{BTreeMap, BTreeSet};

use crate::machine::{Partition, Reason};
use crate::observe::process::is_ended;
use crate::observe::read::read_as;
use crate::observe::root::{Root, number as pid_number};
use crate::units::{Malformed, PciAddress, Pid, malformed, number, value};

const NODES: &str = "sys/class/kfd/kfd/topology/nodes";
const PROCESSES: &str = "sys/class/kfd/kfd/proc";

/// One GPU of KFD.
#[derive(Debug, Default)]
pub(crate) struct KfdGpu {
    /// Its partitions; one where it is not partitioned.
    pub(crate) partitions: BTreeSet<Partition>,
    /// The driver's name of the chip (`name`); `None` where it has no name.
    pub(crate) chip: Option<String>,
}

/// KFD's GPUs by address. A node that may not be read is left out: it is a GPU that the container does not have.
pub(crate) fn read_gpus(root: &Root) -> BTreeMap<PciAddress, KfdGpu> {
    let mut gpus: BTreeMap<PciAddress, KfdGpu> = BTreeMap::new();
    for node in root.names(NODES).unwrap_or_default() {
        let file = |name: &str| format!("{NODES}/{node}/{name}");
        let id = read_as(root, &file("gpu_id"), parse_number::<u32>);
        // CPUs are nodes too, with the id 0.
        let Some(id) = id.ok().filter(|id| *id != 0) else {
            continue;
        };
        let Ok(properties) = root.read(&file("properties")) else {
            continue;
        };
        let Ok((address, number)) = parse_location(&properties) else {
            continue;
        };
        let gpu = gpus.entry(address).or_default();
        gpu.partitions.insert(Partition {
            number,
            kfd_id: id,
            render_minor: parse_render_minor(&properties),
        });
        // The driver's name for every chip that describes itself.
        const NAMELESS: &str = "ip discovery";
        let chip = root.read(&file("name"));
        let chip = chip.map(|name| value(&name).to_owned());
        gpu.chip = chip
            .ok()
            .filter(|name| !name.is_empty() && name != NAMELESS);
    }
    gpus
}

/// The GPUs, by KFD's ids, that each process uses: those where it has a queue or, if it has no queue at all, those where it
/// has memory. A process that only opened `/dev/kfd` has an empty set. The PIDs are those of the host, also in a container.
pub(crate) fn read_processes(
    root: &Root,
) -> Result<BTreeMap<Pid, Result<BTreeSet<u32>, Reason>>, Reason> {
    let names = match root.names(PROCESSES) {
        Err(Reason::Absent) => Vec::new(),
        names => names?,
    };
    let pids = names.iter().filter_map(|name| pid_number(name)).map(Pid);
    let processes = pids.map(|pid| (pid, read_process(root, pid)));
    let has_ended =
        |gpus: &Result<_, Reason>| root.is_live() && gpus.as_ref().err().is_some_and(is_ended);
    Ok(processes.filter(|(_, gpus)| !has_ended(gpus)).collect())
}

fn read_process(root: &Root, pid: Pid) -> Result<BTreeSet<u32>, Reason> {
    let own = format!("{PROCESSES}/{pid}");
    let mut folders = vec![own.clone()];
    // From Linux 7.2 on a process may have several contexts: the folder of the first contains those of the others.
    let names = root.names(&own)?.into_iter();
    let contexts = names.filter(|name| name.starts_with("context_"));
    folders.extend(contexts.map(|name| format!("{own}/{name}")));
    let (mut with_queue, mut with_memory) = (BTreeSet::new(), BTreeSet::new());
    for folder in folders {
        let queues = format!("{folder}/queues");
        for queue in root.names(&queues).unwrap_or_default() {
            let gpu = read_as(root, &format!("{queues}/{queue}/gpuid"), parse_number);
            match gpu {
                // The queue was removed since the listing.
                Err(reason) if root.is_live() && is_ended(&reason) => {}
                gpu => drop(with_queue.insert(gpu?)),
            }
        }
        for name in root.names(&folder)? {
            let Some(id) = name.strip_prefix("vram_") else {
                continue;
            };
            let bytes = read_as(root, &format!("{folder}/{name}"), parse_number::<u64>)?;
            if bytes > 0 {
                with_memory.insert(parse_number(id.as_bytes())?);
            }
        }
    }
    Ok(if with_queue.is_empty() {
        with_memory
    } else {
        with_queue
    })
}

/// The value of a line in a node's `properties`: lines of a name and a number.
fn property<'a>(bytes: &'a [u8], name: &str) -> Option<&'a str> {
    let mut fields = value(bytes).lines().filter_map(|line| line.split_once(' '));
    fields.find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// Parses N of `/dev/dri/renderDN` in a node's `properties`; 0 and -1 are a node without one.
pub(crate) fn parse_render_minor(bytes: &[u8]) -> Option<u32> {
    let minor = property(bytes, "drm_render_minor")?.parse().ok();
    minor.filter(|minor| *minor != 0 && *minor < u32::MAX)
}

/// Parses the PCI address and the number of the partition in a node's `properties`. The lower 16 bits of `location_id` are bus,
/// device and function, the highest 4 bits the number of the partition; `domain` has its own line.
pub(crate) fn parse_location(bytes: &[u8]) -> Result<(PciAddress, u32), Malformed> {
    let field = |name: &str| property(bytes, name);
    let Some(location) = field("location_id") else {
        return malformed("no location_id in KFD's properties", bytes);
    };
    let location: u32 = number("location_id", location.as_bytes())?;
    let [.., bus, slot] = location.to_be_bytes();
    // Older kernels do not write it: they support domain 0 only.
    let domain = field("domain").map(|domain| number("domain", domain.as_bytes()));
    let address = PciAddress {
        domain: domain.transpose()?.unwrap_or(0),
        bus,
        device: slot >> 3,
        function: slot & 7,
    };
    Ok((address, location >> 28))
}

/// Parses a file of one number: `gpu_id`, a queue's `gpuid`, or the bytes of `vram_GPUID`.
pub(crate) fn parse_number<T: TryFrom<u64>>(bytes: &[u8]) -> Result<T, Malformed> {
    number("a number of KFD", value(bytes).as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn is_at(properties: &str, address: &str, partition: u32) {
        let read = parse_location(properties.as_bytes());
        let read = read.map(|(address, number)| (address.to_string(), number));
        assert_eq!(read, Ok((address.into(), partition)));
    }

    #[test]
    fn parses_the_address_of_a_gpu() {
        is_at(
            "cpu_cores_count 0\nsimd_count 440\nlocation_id 49408\ndomain 0\ndrm_render_minor 128\n",
            "0000:c1:00.0",
            0,
        );
        is_at("location_id 1283\ndomain 2\n", "0002:05:00.3", 0);
        // The sixth partition.
        is_at("location_id 1342178560\ndomain 0\n", "0000:05:00.0", 5);
        is_at("location_id 256\n", "0000:01:00.0", 0);
        let minor = |text: &str| parse_render_minor(text.as_bytes());
        assert_eq!(minor("drm_render_minor 130\n"), Some(130));
        for none in [
            "",
            "drm_render_minor 0\n",
            "drm_render_minor -1\n",
            "drm_render_minor 4294967295\n",
        ] {
            assert_eq!(minor(none), None, "{none}");
        }
    }

    #[test]
    fn a_missing_address_is_malformed() {
        for text in [
            "",
            "location_id\n",
            "location_id -1\n",
            "location_id 4294967296\n",
            "location_id 256\ndomain x\n",
        ] {
            assert!(parse_location(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn parses_numbers() {
        assert_eq!(parse_number(b"49391"), Ok(49391_u32));
        assert_eq!(parse_number(b"0\n"), Ok(0_u64));
        assert!(parse_number::<u32>(b"4294967296\n").is_err());
        assert!(parse_number::<u64>(b"").is_err());
    }

    proptest! {
        #[test]
        fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse_location(&bytes);
            let _ = parse_render_minor(&bytes);
            let _ = parse_number::<u32>(&bytes);
        }

        #[test]
        fn every_location_is_an_address(location in any::<u32>(), domain in any::<u32>()) {
            let text = format!("location_id {location}\ndomain {domain}\n");
            let (address, _) = parse_location(text.as_bytes()).unwrap();
            prop_assert_eq!(address.to_string().parse(), Ok(address));
        }
    }
}
