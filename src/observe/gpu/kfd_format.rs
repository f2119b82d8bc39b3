//! The files of AMD's KFD, the kernel's driver for computing: `/sys/class/kfd/kfd/topology/nodes/N/properties` and the
//! numbers in `/sys/class/kfd/kfd/proc` (kfd_topology.c and kfd_process.c of amdkfd).

use crate::units::{Malformed, PciAddress, malformed, number, value};

/// The PCI address of a node's `properties`: lines of a name and a number, of which `location_id` has bus, device and
/// function in its lower 16 bits and `domain` the rest. The bits above are the number of a partition.
pub fn parse_location(bytes: &[u8]) -> Result<PciAddress, Malformed> {
    let field = |name: &str| {
        let mut fields = value(bytes).lines().filter_map(|line| line.split_once(' '));
        fields.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let Some(location) = field("location_id") else {
        return malformed("no location_id in KFD's properties", bytes);
    };
    let location: u32 = number("location_id", location.as_bytes())?;
    let [.., bus, slot] = location.to_be_bytes();
    // Older kernels have no domain there: they know the first alone.
    let domain = field("domain").map(|domain| number("domain", domain.as_bytes()));
    Ok(PciAddress {
        domain: domain.transpose()?.unwrap_or(0),
        bus,
        device: slot >> 3,
        function: slot & 7,
    })
}

/// Reads a file of one number: `gpu_id`, `gpuid` of a queue, or the bytes of `vram_GPUID`.
pub fn parse_number<T: std::str::FromStr>(bytes: &[u8]) -> Result<T, Malformed> {
    number("a number of KFD's", value(bytes).as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn is_at(properties: &str, address: &str) {
        let read = parse_location(properties.as_bytes()).map(|address| address.to_string());
        assert_eq!(read, Ok(address.into()));
    }

    #[test]
    fn reads_where_a_gpu_is() {
        is_at(
            "cpu_cores_count 0\nsimd_count 440\nlocation_id 49408\ndomain 0\ndrm_render_minor 128\n",
            "0000:c1:00.0",
        );
        is_at("location_id 1283\ndomain 2\n", "0002:05:00.3");
        // The sixth partition.
        is_at("location_id 1342178560\ndomain 0\n", "0000:05:00.0");
        is_at("location_id 256\n", "0000:01:00.0");
    }

    #[test]
    fn refuses_what_is_nowhere() {
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
    fn reads_numbers() {
        assert_eq!(parse_number(b"49391"), Ok(49391_u32));
        assert_eq!(parse_number(b"0\n"), Ok(0_u64));
        assert!(parse_number::<u32>(b"4294967296\n").is_err());
        assert!(parse_number::<u64>(b"").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse_location(&bytes);
            let _ = parse_number::<u32>(&bytes);
        }

        #[test]
        fn every_location_is_an_address(location in any::<u32>(), domain in any::<u32>()) {
            let text = format!("location_id {location}\ndomain {domain}\n");
            let address = parse_location(text.as_bytes()).unwrap();
            prop_assert_eq!(address.to_string().parse(), Ok(address));
        }
    }
}
