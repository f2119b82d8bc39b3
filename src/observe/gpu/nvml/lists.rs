//! NVML's process lists, read in a way that is safe with every driver.
//!
//! Drivers 535.43 to 535.86 write entries of 32 bytes where all other drivers write 24 bytes under the same function name: a
//! buffer for 24 would overflow. So the buffer here has room for 32, and what was written shows the size.
#![allow(unsafe_code)] // The wrapper's calls have buffers for 24 bytes an entry, and it has no call for instance ids.

use std::collections::BTreeSet;
use std::ffi::{c_uint, c_void};

use nvml_wrapper::Nvml;
use nvml_wrapper::device::Device;
use nvml_wrapper::error::{NvmlError, nvml_sym, nvml_try, nvml_try_count};
use nvml_wrapper_sys::bindings::{nvmlDevice_t, nvmlReturn_t};

use crate::machine::{DriverProcess, ListKind};

/// A function of NVML that fills a list of processes, for any layout of the entries.
type Fill = unsafe extern "C" fn(nvmlDevice_t, *mut c_uint, *mut c_void) -> nvmlReturn_t;

/// The layout of the entries, by the version in the function's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EntryVersion {
    /// PID and memory: 16 bytes.
    V1,
    /// The MIG instances too: 24 bytes; 32 for `_v3` of some drivers.
    V2OrV3,
}

/// The processes of a GPU, by list and PID, and the first error: with an error some may be missing. `None` where no list
/// could be read. A list that the driver does not support is empty.
pub(crate) fn processes(
    nvml: &Nvml,
    device: &Device,
) -> (Option<Vec<DriverProcess>>, Option<NvmlError>) {
    let (mut found, mut first_error) = (None, None);
    for kind in [ListKind::Compute, ListKind::Graphics, ListKind::Mps] {
        match list(nvml, device, kind) {
            Ok(processes) => found.get_or_insert_with(Vec::new).extend(processes),
            Err(error) if kind != ListKind::Compute && is_unsupported(&error) => {}
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    if let Some(found) = &mut found {
        let mut seen = BTreeSet::new();
        found.retain(|process| {
            let instance = (process.gpu_instance_id, process.compute_instance_id);
            seen.insert((process.kind, process.pid, instance))
        });
        found.sort_by_key(|process| (process.kind, process.pid));
    }
    (found, first_error)
}

/// The ids of the GPU instance and the compute instance of a MIG device.
pub(crate) fn instance_ids(nvml: &Nvml, device: &Device) -> Result<(u32, u32), NvmlError> {
    let lib = nvml.lib();
    let gpu_instance = nvml_sym(lib.nvmlDeviceGetGpuInstanceId.as_ref())?;
    let compute_instance = nvml_sym(lib.nvmlDeviceGetComputeInstanceId.as_ref())?;
    let (mut gpu, mut compute) = (0, 0);
    // SAFETY: the handle belongs to an initialised library, and each function writes one c_uint.
    unsafe {
        nvml_try(gpu_instance(device.handle(), &mut gpu))?;
        nvml_try(compute_instance(device.handle(), &mut compute))?;
    }
    Ok((gpu, compute))
}

/// Whether the driver, or the GPU, has no such question.
pub(crate) fn is_unsupported(error: &NvmlError) -> bool {
    use NvmlError::{FailedToLoadSymbol, FunctionNotFound, NotSupported};
    matches!(
        error,
        FailedToLoadSymbol(_) | FunctionNotFound | NotSupported
    )
}

/// Calls the newest function that the driver has.
fn list(nvml: &Nvml, device: &Device, kind: ListKind) -> Result<Vec<DriverProcess>, NvmlError> {
    let mut missing = None;
    for (fill, version) in functions(nvml, kind) {
        match fill.and_then(|fill| read(fill, device, version)) {
            Ok(entries) => {
                let entries = entries.into_iter();
                return Ok(entries.map(|entry| entry.of(kind)).collect());
            }
            Err(error @ (NvmlError::FailedToLoadSymbol(_) | NvmlError::FunctionNotFound)) => {
                missing = missing.or(Some(error));
            }
            Err(error) => return Err(error),
        }
    }
    Err(missing.unwrap_or(NvmlError::NotSupported))
}

/// NVML's functions for this list, newest first.
fn functions(nvml: &Nvml, kind: ListKind) -> Vec<(Result<Fill, NvmlError>, EntryVersion)> {
    let lib = nvml.lib();
    // The functions differ only in the type of the last argument's pointer.
    macro_rules! function {
        ($name:ident, $version:ident) => {
            (
                nvml_sym(lib.$name.as_ref()).map(|function| {
                    // SAFETY: only the type of one pointer argument changes, and `EntryVersion` says which
                    // entries the function writes there.
                    unsafe { std::mem::transmute::<_, Fill>(*function) }
                }),
                EntryVersion::$version,
            )
        };
    }
    match kind {
        ListKind::Compute => vec![
            function!(nvmlDeviceGetComputeRunningProcesses_v3, V2OrV3),
            function!(nvmlDeviceGetComputeRunningProcesses_v2, V2OrV3),
            function!(nvmlDeviceGetComputeRunningProcesses, V1),
        ],
        ListKind::Graphics => vec![
            function!(nvmlDeviceGetGraphicsRunningProcesses_v3, V2OrV3),
            function!(nvmlDeviceGetGraphicsRunningProcesses_v2, V2OrV3),
            function!(nvmlDeviceGetGraphicsRunningProcesses, V1),
        ],
        ListKind::Mps => vec![
            function!(nvmlDeviceGetMPSComputeRunningProcesses_v3, V2OrV3),
            function!(nvmlDeviceGetMPSComputeRunningProcesses_v2, V2OrV3),
            function!(nvmlDeviceGetMPSComputeRunningProcesses, V1),
        ],
    }
}

/// The largest entry of any driver, in bytes.
const LARGEST_ENTRY: usize = 32;
/// Fills the buffer before the call. No entry ends with it: the last field is an instance id or a number of bytes.
const UNWRITTEN: u8 = 0xAA;
/// Room for processes that start between the call for their number and the call for the list.
const SPARE: c_uint = 16;
/// How often the list is read when it still does not fit.
const TRIES: usize = 4;

fn read(fill: Fill, device: &Device, version: EntryVersion) -> Result<Vec<RawEntry>, NvmlError> {
    let mut wanted: c_uint = 0;
    // SAFETY: the handle belongs to an initialised library; with a count of 0 only the count is written.
    nvml_try_count(unsafe { fill(device.handle(), &mut wanted, std::ptr::null_mut()) })?;
    let mut result = Ok(Vec::new());
    for _ in 0..TRIES {
        let room = wanted.saturating_add(SPARE).min(1 << 16);
        // Entries contain u64 values: the buffer is aligned for them.
        let mut words = vec![u64::from_ne_bytes([UNWRITTEN; 8]); room as usize * LARGEST_ENTRY / 8];
        let mut count = room;
        // SAFETY: the buffer has room for `count` entries of the largest size.
        let code = unsafe { fill(device.handle(), &mut count, words.as_mut_ptr().cast()) };
        result = nvml_try(code).map(|()| {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
            entries(&bytes, count.min(room) as usize, version)
        });
        match result {
            Err(NvmlError::InsufficientSize(_)) => wanted = count.max(room.saturating_mul(2)),
            _ => break,
        }
    }
    result
}

/// One entry, as the driver wrote it.
#[derive(Debug, PartialEq, Eq)]
struct RawEntry {
    pid: u32,
    used_memory: u64,
    instances: Option<(u32, u32)>,
}

impl RawEntry {
    fn of(self, kind: ListKind) -> DriverProcess {
        // NVML writes the maximum for "no instance" and for "memory unknown".
        let instance = |id: u32| (id != u32::MAX).then_some(id);
        DriverProcess {
            pid: self.pid,
            kind,
            used_memory_bytes: (self.used_memory != u64::MAX).then_some(self.used_memory),
            gpu_instance_id: self.instances.and_then(|(gpu, _)| instance(gpu)),
            compute_instance_id: self.instances.and_then(|(_, compute)| instance(compute)),
        }
    }
}

/// Splits what was written into `count` entries. The last written byte shows their size.
fn entries(bytes: &[u8], count: usize, version: EntryVersion) -> Vec<RawEntry> {
    let end_of = |is_filler: fn(&u8) -> bool| {
        let last = bytes.iter().rposition(|byte| !is_filler(byte));
        last.map_or(0, |last| last + 1)
    };
    let mut written = end_of(|byte| *byte == UNWRITTEN);
    if written > count * LARGEST_ENTRY {
        // The driver cleared the whole buffer first: zeros at the end are not entries.
        written = end_of(|byte| *byte == 0);
    }
    let size = match version {
        EntryVersion::V1 => 16,
        EntryVersion::V2OrV3 if written > count * 24 => LARGEST_ENTRY,
        EntryVersion::V2OrV3 => 24,
    };
    let entries = bytes.chunks_exact(size).take(count);
    entries
        .filter_map(|entry| raw_entry(entry, version))
        .collect()
}

fn raw_entry(entry: &[u8], version: EntryVersion) -> Option<RawEntry> {
    let u32_at = |at: usize| Some(u32::from_ne_bytes(entry.get(at..at + 4)?.try_into().ok()?));
    let u64_at = |at: usize| Some(u64::from_ne_bytes(entry.get(at..at + 8)?.try_into().ok()?));
    Some(RawEntry {
        pid: u32_at(0)?,
        used_memory: u64_at(8)?,
        instances: match version {
            EntryVersion::V1 => None,
            EntryVersion::V2OrV3 => Some((u32_at(16)?, u32_at(20)?)),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The buffer after a driver with entries of `size` bytes has written these PIDs.
    fn written(pids: &[u32], size: usize) -> Vec<u8> {
        let mut bytes = vec![UNWRITTEN; (pids.len() + 16) * LARGEST_ENTRY];
        for (pid, at) in pids.iter().zip((0..).step_by(size)) {
            bytes[at..at + 4].copy_from_slice(&pid.to_ne_bytes());
            bytes[at + 8..at + 16].copy_from_slice(&(2u64 << 30).to_ne_bytes());
            bytes[at + 16..at + size].fill(0xFF);
        }
        bytes
    }

    #[test]
    fn finds_the_size_of_the_entries() {
        let pids: Vec<u32> = (1000..1040).collect();
        for (size, version) in [
            (16, EntryVersion::V1),
            (24, EntryVersion::V2OrV3),
            (32, EntryVersion::V2OrV3),
        ] {
            for count in [0, 1, 2, 15, 16, 40] {
                let read = entries(&written(&pids[..count], size), count, version);
                let read: Vec<u32> = read.iter().map(|entry| entry.pid).collect();
                assert_eq!(read, pids[..count], "{count} entries of {size} bytes");
            }
        }
    }

    #[test]
    fn a_value_that_the_driver_does_not_know_is_none() {
        let raw = RawEntry {
            pid: 7,
            used_memory: u64::MAX,
            instances: Some((u32::MAX, 3)),
        };
        let process = raw.of(ListKind::Compute);
        assert_eq!(process.used_memory_bytes, None);
        assert_eq!(process.gpu_instance_id, None);
        assert_eq!(process.compute_instance_id, Some(3));
    }
}
