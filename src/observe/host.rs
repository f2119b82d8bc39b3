//! The kernel's release and the time of the last boot.

use crate::observe::root::Root;
use crate::units::value;

/// Such as `6.1.0-56-cloud-amd64`.
pub(crate) fn read_kernel(root: &Root) -> Option<String> {
    if let Ok(release) = root.read("proc/sys/kernel/osrelease") {
        return Some(value(&release).to_owned());
    }
    // Linux version 6.1.0-56-cloud-amd64 (…
    let version = root.read("proc/version").ok()?;
    Some(value(&version).split_whitespace().nth(2)?.to_owned())
}

/// Seconds since 1970: `btime` of `/proc/stat`. The `procfs` crate would parse the line of every CPU for it, and refuse a
/// recording without them.
pub(crate) fn read_boot_time(root: &Root) -> Option<u64> {
    let text = root.read("proc/stat").ok()?;
    let mut lines = text.split(|byte| *byte == b'\n');
    value(lines.find_map(|line| line.strip_prefix(b"btime "))?)
        .parse()
        .ok()
}
