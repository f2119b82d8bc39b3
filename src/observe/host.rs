//! Facts of the host: its name, its kernel, its boot time.

use std::time::SystemTime;

use crate::machine::Host;
use crate::observe::own_process::{own_jobs, own_place, scheduler_node};
use crate::observe::root::{Manifest, Root};
use crate::units::value;
use crate::words::Origin;

/// The host name comes from the system or from the recording's manifest. Kernel and boot time come from files, so that
/// a recording has them too.
pub(crate) fn read_host(root: &Root, manifest: &Manifest) -> Host {
    let (hostname, recorded_at, origin) = if root.is_live() {
        let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        (sysinfo::System::host_name(), Some(now), Origin::Live)
    } else {
        let (hostname, recorded_at) = (&manifest.hostname, &manifest.recorded_at);
        (hostname.clone(), recorded_at.clone(), Origin::Snapshot)
    };
    Host {
        hostname,
        kernel: read_kernel(root),
        recorded_at,
        started: read_boot_time(root),
        origin,
        driver_version: None,
        scheduler_node: scheduler_node().filter(|_| root.is_live()),
        observer_jobs: match root.is_live() {
            true => own_jobs(),
            false => Vec::new(),
        },
        observer_place: own_place().filter(|_| root.is_live()),
    }
}

/// The kernel's release: `6.1.0-56-cloud-amd64`.
fn read_kernel(root: &Root) -> Option<String> {
    if let Ok(release) = root.read("proc/sys/kernel/osrelease") {
        return Some(value(&release).to_owned());
    }
    // Linux version 6.1.0-56-cloud-amd64 (…
    let version = root.read("proc/version").ok()?;
    Some(value(&version).split_whitespace().nth(2)?.to_owned())
}

/// `btime` of `/proc/stat`, in seconds since 1970. The `procfs` crate would parse the line of every CPU for it, and refuse a
/// recording without them.
fn read_boot_time(root: &Root) -> Option<u64> {
    let text = root.read("proc/stat").ok()?;
    let mut lines = text.split(|byte| *byte == b'\n');
    value(lines.find_map(|line| line.strip_prefix(b"btime "))?)
        .parse()
        .ok()
}
