//! Devices that may compute and whose processes are unknown: accelerators that are no GPU, and GPUs that were given away.

use std::collections::BTreeMap;

use crate::machine::{DeviceUser, Fact, Gap, PciDevice, Reason};

/// A gap for the devices of each kind.
pub(crate) fn gaps(devices: &[PciDevice], users: &[DeviceUser]) -> Vec<Gap> {
    let mut kinds: BTreeMap<(bool, String), Vec<&PciDevice>> = BTreeMap::new();
    for device in devices.iter().filter(|device| device.may_compute) {
        let key = (device.is_given_away(), name(device));
        kinds.entry(key).or_default().push(device);
    }
    let users = |given_away: bool| {
        let is_vfio = |user: &&DeviceUser| {
            user.files.iter().any(|file| file.starts_with("/dev/vfio/")) == given_away
        };
        holders(&users.iter().filter(is_vfio).collect::<Vec<_>>())
    };
    let kinds = kinds.into_iter();
    kinds
        .map(|((is_given_away, name), devices)| Gap {
            pid: None,
            fact: Fact::DeviceProcesses(named(&name, &devices)),
            reason: Reason::Failed(format!(
                "{}{}; name processes with --pid PID",
                if is_given_away {
                    "given to a virtual machine (driver vfio-pci)"
                } else {
                    "this program does not know how to list their processes"
                },
                users(is_given_away)
            )),
        })
        .collect()
}

/// `Huawei 19e5:d802`
pub(crate) fn name(device: &PciDevice) -> String {
    let id = |id: Option<u32>| id.map_or("?".to_owned(), |id| format!("{id:04x}"));
    let ids = format!("{}:{}", id(device.vendor), id(device.device));
    let vendor = device.vendor_name();
    vendor.map_or_else(|| ids.clone(), |vendor| format!("{vendor} {ids}"))
}

/// `4 accelerators Huawei 19e5:d802 (0000:81:00.0, ...)`
fn named(name: &str, devices: &[&PciDevice]) -> String {
    const SHOWN: usize = 4;
    let addresses = devices.iter().take(SHOWN);
    let addresses = addresses.map(|device| device.address.to_string());
    let more = (devices.len() > SHOWN).then(|| "...".to_owned());
    let addresses: Vec<String> = addresses.chain(more).collect();
    let word = match devices.len() {
        1 => "accelerator",
        _ => "accelerators",
    };
    let (count, addresses) = (devices.len(), addresses.join(", "));
    format!("{count} {word} {name} ({addresses})")
}

/// `; process 100 (python3) has /dev/davinci0 open`
fn holders(users: &[&DeviceUser]) -> String {
    const SHOWN: usize = 8;
    let shown = users.iter().take(SHOWN).map(|user| {
        let (pid, name, files) = (user.pid, &user.name, user.files.join(", "));
        format!("; process {pid} ({name}) has {files} open")
    });
    let rest = users.len().saturating_sub(SHOWN);
    let rest = (rest > 0).then(|| format!("; so do {rest} more with such files"));
    shown.chain(rest).collect()
}
