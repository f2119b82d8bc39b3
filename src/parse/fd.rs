//! What `/proc/PID/fd/N` links to.

use super::number;

/// A file of NVIDIA's driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriverFile {
    /// `/dev/nvidiaN`: the GPU of that minor number.
    Gpu(u32),
    /// Any other: `/dev/nvidiactl`, `/dev/nvidia-uvm`, `/dev/nvidia-caps/…`, WSL's `/dev/dxg`.
    Other,
}

/// Whether a link's text names a file of the driver's.
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

#[cfg(test)]
mod tests {
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
}
