//! Addresses of PCI devices.

use std::fmt;
use std::str::FromStr;

/// A PCI function's address. The domain may need more than 16 bits (Intel VMD).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PciAddress {
    /// Domain, 32 bits.
    pub domain: u32,
    /// Bus.
    pub bus: u8,
    /// Device on the bus, 0 to 31.
    pub device: u8,
    /// Function of the device, 0 to 7.
    pub function: u8,
}

impl fmt::Display for PciAddress {
    /// As sysfs names it: `0000:10:1c.0`, lower case, the domain in four digits or more.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            domain,
            bus,
            device,
            function,
        } = self;
        write!(f, "{domain:04x}:{bus:02x}:{device:02x}.{function:x}")
    }
}

impl FromStr for PciAddress {
    type Err = ();

    /// Reads sysfs's form, NVML's (`00000000:10:1C.0`) and the short one without a domain
    /// (`10:1c.0`).
    fn from_str(text: &str) -> Result<Self, ()> {
        fn hex<T: TryFrom<u32>>(digits: &str) -> Result<T, ()> {
            // from_str_radix would take a sign.
            if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(());
            }
            let number = u32::from_str_radix(digits, 16).map_err(|_| ())?;
            T::try_from(number).map_err(|_| ())
        }
        let (rest, function) = text.rsplit_once('.').ok_or(())?;
        let (rest, device) = rest.rsplit_once(':').ok_or(())?;
        let (domain, bus) = rest.rsplit_once(':').unwrap_or(("0", rest));
        let address = Self {
            domain: hex(domain)?,
            bus: hex(bus)?,
            device: hex(device)?,
            function: hex(function)?,
        };
        if address.device > 31 || address.function > 7 {
            return Err(());
        }
        Ok(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads(text: &str, as_sysfs: &str) {
        assert_eq!(
            text.parse::<PciAddress>().map(|a| a.to_string()),
            Ok(as_sysfs.into())
        );
    }

    #[test]
    fn reads_every_way_an_address_is_written() {
        reads("00000000:10:1C.0", "0000:10:1c.0");
        reads("0001:00:00.0", "0001:00:00.0");
        reads("10000:00:04.0", "10000:00:04.0");
        reads("10:1c.0", "0000:10:1c.0");
    }

    #[test]
    fn refuses_what_is_no_address() {
        for text in [
            "",
            "0",
            "0000:10:1c",
            "0000:10:20.0",
            "0000:100:1c.0",
            "+0:10:1c.0",
            "0000:10:1c.8",
        ] {
            assert!(text.parse::<PciAddress>().is_err(), "{text}");
        }
    }
}
