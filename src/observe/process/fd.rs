//! The targets of the links `/proc/PID/fd/N`: parsers only. `open_files.rs` reads them, and `Root` needs them for a recording.

use crate::units::number;

/// A device file of NVIDIA's driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DriverFile {
    /// `/dev/nvidiaN`: the GPU of that minor number.
    Gpu(u32),
    /// Any other file: `/dev/nvidiactl`, `/dev/nvidia-uvm`, `/dev/nvidia-caps/…`, WSL's `/dev/dxg`.
    Other,
}

/// Parses a link's target; `None` where it is not a file of NVIDIA's driver.
pub(crate) fn parse_driver_file(target: &str) -> Option<DriverFile> {
    if target == "/dev/dxg" {
        return Some(DriverFile::Other);
    }
    let rest = target.strip_prefix("/dev/nvidia")?;
    match rest.parse() {
        Ok(minor) if rest.bytes().all(|byte| byte.is_ascii_digit()) => Some(DriverFile::Gpu(minor)),
        _ => Some(DriverFile::Other),
    }
}

/// Parses the inode of a pipe: `pipe:[12]`.
pub(crate) fn parse_pipe(target: &str) -> Option<u64> {
    let inode = target.strip_prefix("pipe:[")?.strip_suffix(']')?;
    number("a pipe's inode", inode.as_bytes()).ok()
}

/// The device file for computing on AMD's GPUs.
pub(crate) const KFD_FILE: &str = "/dev/kfd";

/// Parses the name of a DRM device file of any vendor: `renderD128` of `/dev/dri/renderD128`.
pub(crate) fn parse_drm_file(target: &str) -> Option<&str> {
    let name = target.strip_prefix("/dev/dri/")?;
    (!name.is_empty() && !name.contains('/')).then_some(name)
}

/// Whether the target is the file of one accelerator that is no GPU, or of devices that were given to a virtual machine.
pub(crate) fn is_accelerator_file(target: &str) -> bool {
    /// Each is followed by the number of the device.
    const STEMS: &[&str] = &[
        "/dev/accel/accel",
        "/dev/cambricon_dev",
        "/dev/davinci",
        "/dev/hl",
        "/dev/ipu",
        "/dev/neuron",
        "/dev/tenstorrent/",
        "/dev/vfio/",
        "/dev/vfio/devices/vfio",
    ];
    let mut rests = STEMS.iter().filter_map(|stem| target.strip_prefix(stem));
    rests.any(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether the target is a device file of a GPU driver of any vendor.
pub(crate) fn is_gpu_file(target: &str) -> bool {
    parse_driver_file(target).is_some() || parse_drm_file(target).is_some() || target == KFD_FILE
}

/// Whether a recording keeps this link: it keeps device files of GPU drivers and accelerators, and pipes, which connect workers with their
/// trainers. An audit needs no other open file.
pub(crate) fn is_kept(target: &str) -> bool {
    is_gpu_file(target) || is_accelerator_file(target) || parse_pipe(target).is_some()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parses_pipes() {
        assert_eq!(parse_pipe("pipe:[4711]"), Some(4711));
        for no in ["pipe:[]", "pipe:[+1]", "socket:[1]", "/tmp/pipe:[1]"] {
            assert_eq!(parse_pipe(no), None, "{no}");
        }
    }

    #[test]
    fn recognizes_files_of_nvidias_driver() {
        assert_eq!(
            parse_driver_file("/dev/nvidia12"),
            Some(DriverFile::Gpu(12))
        );
        for other in [
            "/dev/nvidiactl",
            "/dev/nvidia-uvm",
            "/dev/nvidia-caps/nvidia-cap1",
            "/dev/nvidia+1",
            "/dev/dxg",
        ] {
            assert_eq!(parse_driver_file(other), Some(DriverFile::Other), "{other}");
        }
        for no in ["/dev/null", "pipe:[12]", "/home/dev/nvidia0", ""] {
            assert_eq!(parse_driver_file(no), None, "{no}");
        }
    }

    #[test]
    fn recognizes_files_of_other_drivers() {
        assert_eq!(parse_drm_file("/dev/dri/renderD128"), Some("renderD128"));
        assert_eq!(parse_drm_file("/dev/dri/card0"), Some("card0"));
        for no in ["/dev/dri/", "/dev/dri/a/b", "/dev/drinks", "/dev/kfd", ""] {
            assert_eq!(parse_drm_file(no), None, "{no}");
        }
        for target in ["/dev/dri/card0", "/dev/kfd", "/dev/nvidia0"] {
            assert!(is_gpu_file(target), "{target}");
        }
        assert!(!is_gpu_file("/dev/kfd (deleted)") && !is_gpu_file("/home/ann/secret"));
    }

    #[test]
    fn recognizes_files_of_accelerators() {
        for target in [
            "/dev/davinci0",
            "/dev/accel/accel12",
            "/dev/vfio/7",
            "/dev/vfio/devices/vfio0",
            "/dev/hl3",
        ] {
            assert!(is_accelerator_file(target) && is_kept(target), "{target}");
        }
        for no in [
            "/dev/davinci_manager",
            "/dev/vfio/vfio",
            "/dev/davinci",
            "/dev/hl3 (deleted)",
            "/tmp/dev/hl3",
        ] {
            assert!(!is_accelerator_file(no), "{no}");
        }
    }

    proptest! {
        #[test]
        fn no_target_panics(target in "(/dev/nvidia|/dev/dri/|pipe:\\[|.{0,9})[0-9]{0,22}.{0,9}\\]?") {
            let is_one = parse_driver_file(&target).is_some() || parse_drm_file(&target).is_some();
            prop_assert!(!is_one || is_gpu_file(&target));
            let _ = parse_pipe(&target);
        }
    }
}
