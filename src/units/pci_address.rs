//! Addresses of PCI devices.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::units::text::{Malformed, malformed};

/// A PCI function's address. The domain may need more than 16 bits (Intel VMD).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PciAddress {
    /// The domain.
    pub(crate) domain: u32,
    /// The bus.
    pub(crate) bus: u8,
    /// The device on the bus, 0 to 31.
    pub(crate) device: u8,
    /// The function of the device, 0 to 7.
    pub(crate) function: u8,
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
    type Err = Malformed;

    /// Reads sysfs's form, NVML's (`00000000:10:1C.0`) and the short form without a domain (`10:1c.0`).
    fn from_str(text: &str) -> Result<Self, Malformed> {
        match parse(text) {
            Some(address) => Ok(address),
            None => malformed("not a PCI address", text.as_bytes()),
        }
    }
}

fn parse(text: &str) -> Option<PciAddress> {
    fn hex<T: TryFrom<u32>>(digits: &str) -> Option<T> {
        // from_str_radix would accept a sign.
        let is_plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u32::from_str_radix(digits, 16).ok().filter(|_| is_plain)?;
        T::try_from(number).ok()
    }
    let (rest, function) = text.rsplit_once('.')?;
    let (rest, device) = rest.rsplit_once(':')?;
    let (domain, bus) = rest.rsplit_once(':').unwrap_or(("0", rest));
    let address = PciAddress {
        domain: hex(domain)?,
        bus: hex(bus)?,
        device: hex(device)?,
        function: hex(function)?,
    };
    (address.device <= 31 && address.function <= 7).then_some(address)
}

impl Serialize for PciAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PciAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads(text: &str, in_sysfs: &str) {
        assert_eq!(
            text.parse::<PciAddress>().map(|a| a.to_string()),
            Ok(in_sysfs.into())
        );
    }

    #[test]
    fn all_forms_of_an_address_are_read() {
        reads("00000000:10:1C.0", "0000:10:1c.0");
        reads("0001:00:00.0", "0001:00:00.0");
        reads("10000:00:04.0", "10000:00:04.0");
        reads("10:1c.0", "0000:10:1c.0");
    }

    #[test]
    fn other_text_is_refused() {
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

    #[test]
    fn an_address_in_json_is_its_text() {
        let address: PciAddress = "10:1c.0".parse().unwrap();
        let json = serde_json::to_string(&address).unwrap();
        assert_eq!(json, r#""0000:10:1c.0""#);
        assert_eq!(serde_json::from_str::<PciAddress>(&json).unwrap(), address);
        assert!(serde_json::from_str::<PciAddress>(r#""10""#).is_err());
    }
}
