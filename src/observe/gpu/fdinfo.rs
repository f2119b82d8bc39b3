//! `/proc/PID/fdinfo/N` of a DRM device file (the kernel's Documentation/gpu/drm-usage-stats.rst).

use crate::units::{Bytes, Malformed, PciAddress, malformed, number};

/// One client of a DRM driver: an open file, which several descriptors and processes may share.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct DrmClient {
    /// `drm-pdev`: the device; `None` where the driver does not report it, and where the device is not on PCI.
    pub(crate) address: Option<PciAddress>,
    /// `drm-client-id`: unique among the clients of a device; `None` where the driver does not report it.
    pub(crate) id: Option<u64>,
    /// Whether any engine was busy for it (`drm-engine-*`, in ns, or `drm-cycles-*`); `None` where no engine is listed.
    /// amdgpu lists only engines that were busy.
    pub(crate) has_run: Option<bool>,
    /// The largest size in one region of the device's own memory, resident or allocated. `None` where no such region is
    /// listed, as for an integrated GPU.
    pub(crate) device_memory: Option<Bytes>,
}

impl DrmClient {
    /// Whether it reports engines or memory.
    pub(crate) fn reports_work(&self) -> bool {
        self.has_run.is_some() || self.device_memory.is_some()
    }
}

/// Parses `fdinfo`: lines of the form `drm-resident-vram: 64 KiB`. Other lines are ignored.
pub(crate) fn parse_fdinfo(bytes: &[u8]) -> Result<DrmClient, Malformed> {
    let mut client = DrmClient::default();
    for line in bytes.split(|byte| *byte == b'\n') {
        let Some((key, value)) = std::str::from_utf8(line)
            .ok()
            .and_then(|line| line.split_once(':'))
        else {
            continue;
        };
        let value = value.trim();
        if key == "drm-pdev" {
            client.address = value.parse().ok();
        } else if key == "drm-client-id" {
            client.id = Some(number("drm-client-id", value.as_bytes())?);
        } else if is_engine(key) {
            let (busy, _) = amount(value)?;
            client.has_run = Some(client.has_run == Some(true) || busy > 0);
        } else if is_device_memory(key) {
            client.device_memory = client.device_memory.max(Some(size(value)?));
        }
    }
    Ok(client)
}

/// `drm-engine-capacity-*` is the number of engines, and `drm-total-cycles-*` the time that passed.
fn is_engine(key: &str) -> bool {
    let engine = key.strip_prefix("drm-engine-");
    engine.is_some_and(|engine| !engine.starts_with("capacity-")) || key.starts_with("drm-cycles-")
}

/// The device's own memory is `vram` (amdgpu), `vram0` (xe), `local0` (i915). Other regions are memory of the host.
fn is_device_memory(key: &str) -> bool {
    let sizes = ["drm-resident-", "drm-memory-", "drm-total-"];
    let mut regions = sizes.iter().filter_map(|prefix| key.strip_prefix(prefix));
    regions.any(|region| region.starts_with("vram") || region.starts_with("local"))
}

/// A number, and its unit or an empty text.
fn amount(value: &str) -> Result<(u64, &str), Malformed> {
    let (digits, unit) = value.split_once(char::is_whitespace).unwrap_or((value, ""));
    Ok((number("fdinfo", digits.as_bytes())?, unit.trim()))
}

fn size(value: &str) -> Result<Bytes, Malformed> {
    let (size, unit) = amount(value)?;
    let bytes = match unit {
        "" => Some(Bytes(size)),
        "KiB" => Bytes::from_kib(size),
        "MiB" => size.checked_mul(1024).and_then(Bytes::from_kib),
        _ => None,
    };
    bytes.map_or_else(|| malformed("a size in fdinfo", value.as_bytes()), Ok)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parses_the_lines_of_amdgpu() {
        let client = parse_fdinfo(
            b"pos:\t0\nflags:\t02100002\nmnt_id:\t25\nino:\t542\ndrm-driver:\tamdgpu\ndrm-client-id:\t19\n\
            drm-pdev:\t0000:c1:00.0\npasid:\t32770\ndrm-memory-vram:\t72 KiB\ndrm-memory-gtt: \t2048 KiB\n\
            drm-memory-cpu: \t0 KiB\namd-evicted-vram:\t9 KiB\ndrm-engine-compute:\t46464671 ns\n",
        );
        let client = client.unwrap();
        assert_eq!(client.address, "0000:c1:00.0".parse().ok());
        assert_eq!(client.id, Some(19));
        assert_eq!(client.has_run, Some(true));
        assert_eq!(client.device_memory, Some(Bytes(72 << 10)));
    }

    #[test]
    fn parses_the_lines_of_i915_and_xe() {
        let i915 = parse_fdinfo(
            b"drm-driver:\ti915\ndrm-client-id:\t7\ndrm-pdev:\t0000:00:02.0\ndrm-total-system0:\t999 MiB\n\
            drm-engine-render:\t0 ns\ndrm-engine-video:\t0 ns\ndrm-engine-capacity-video:\t2\n",
        );
        let i915 = i915.unwrap();
        assert_eq!((i915.has_run, i915.device_memory), (Some(false), None));
        let xe = parse_fdinfo(
            b"drm-driver:\txe\ndrm-total-vram0:\t0\ndrm-resident-vram0:\t3 MiB\ndrm-cycles-ccs:\t28257900\n\
            drm-total-cycles-ccs:\t7655183225\n",
        );
        let xe = xe.unwrap();
        assert_eq!(
            (xe.has_run, xe.device_memory),
            (Some(true), Some(Bytes(3 << 20)))
        );
        let idle = parse_fdinfo(b"drm-cycles-ccs:\t0\ndrm-total-cycles-ccs:\t7655183225\n");
        assert_eq!(idle.unwrap().has_run, Some(false));
    }

    #[test]
    fn files_of_other_drivers_report_nothing() {
        for text in [
            "",
            "pos:\t0\nflags:\t02\neventfd-count: 1\n",
            "drm-driver:\tnvidia-drm\n",
        ] {
            let client = parse_fdinfo(text.as_bytes()).unwrap();
            assert!(!client.reports_work(), "{text}");
            assert_eq!(client.address, None, "{text}");
        }
    }

    #[test]
    fn a_value_that_is_not_an_amount_is_malformed() {
        for line in [
            "drm-engine-gfx:\t-1 ns",
            "drm-engine-gfx:\t99999999999999999999 ns",
            "drm-resident-vram:\t18446744073709551615 KiB",
            "drm-resident-vram:\t18446744073709551615 MiB",
            "drm-resident-vram:\t1 parsec",
            "drm-resident-vram:",
            "drm-client-id:\tx",
        ] {
            assert!(parse_fdinfo(line.as_bytes()).is_err(), "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_fdinfo(&bytes);
        }

        #[test]
        fn no_value_panics(key in "drm-(pdev|client-id|engine-x|cycles-x|total-vram)", value in "[ \t0-9a-zA-Z:.-]{0,30}") {
            let _ = parse_fdinfo(format!("{key}:{value}\n").as_bytes());
        }
    }
}
