//! What `/proc/PID/fd/N` links to.

use crate::units::number;

/// A file of NVIDIA's driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriverFile {
    /// `/dev/nvidiaN`: the GPU of that minor number.
    Gpu(u32),
    /// Any other: `/dev/nvidiactl`, `/dev/nvidia-uvm`, `/dev/nvidia-caps/…`, WSL's `/dev/dxg`.
    Other,
}

/// Whether a link's text names a file of NVIDIA's driver.
pub fn parse_driver_file(target: &str) -> Option<DriverFile> {
    if target == "/dev/dxg" {
        return Some(DriverFile::Other);
    }
    let rest = target.strip_prefix("/dev/nvidia")?;
    match rest.parse() {
        Ok(minor) if rest.bytes().all(|byte| byte.is_ascii_digit()) => Some(DriverFile::Gpu(minor)),
        _ => Some(DriverFile::Other),
    }
}

/// The inode of a pipe, `pipe:[12]`.
pub fn parse_pipe(target: &str) -> Option<u64> {
    let inode = target.strip_prefix("pipe:[")?.strip_suffix(']')?;
    number("a pipe's inode", inode.as_bytes()).ok()
}

/// The one file through which AMD's GPUs are computed on.
pub const KFD_FILE: &str = "/dev/kfd";

/// The name of a DRM driver's file, of whatever vendor: `renderD128` of `/dev/dri/renderD128`.
pub fn parse_drm_file(target: &str) -> Option<&str> {
    let name = target.strip_prefix("/dev/dri/")?;
    (!name.is_empty() && !name.contains('/')).then_some(name)
}

/// Whether a link's text names a file of any GPU's driver.
pub fn is_gpu_file(target: &str) -> bool {
    parse_driver_file(target).is_some() || parse_drm_file(target).is_some() || target == KFD_FILE
}

/// Whether a recording keeps that a process has this open: the file of a GPU's driver, or a pipe, which ties workers to
/// their trainers. Anything else is no business of an audit.
pub fn is_kept(target: &str) -> bool {
    is_gpu_file(target) || parse_pipe(target).is_some()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tells_pipes() {
        assert_eq!(parse_pipe("pipe:[4711]"), Some(4711));
        for no in ["pipe:[]", "pipe:[+1]", "socket:[1]", "/tmp/pipe:[1]"] {
            assert_eq!(parse_pipe(no), None, "{no}");
        }
    }

    #[test]
    fn tells_the_drivers_files() {
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
    fn tells_the_files_of_other_drivers() {
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

    proptest! {
        #[test]
        fn no_link_makes_it_panic(target in "(/dev/nvidia|/dev/dri/|pipe:\\[|.{0,9})[0-9]{0,22}.{0,9}\\]?") {
            let is_one = parse_driver_file(&target).is_some() || parse_drm_file(&target).is_some();
            prop_assert!(!is_one || is_gpu_file(&target));
            let _ = parse_pipe(&target);
        }
    }
}
