//! A stand-in for `libnvidia-ml.so.1`, loaded in the same way as the real library.
//!
//! It answers from the file in the environment variable `STAND_IN_NVML`, which it reads at each call. Each line is one of:
//!
//! ```text
//! driver 580.159.04
//! gpu INDEX PCI MINOR UUID TOTAL_BYTES USED_BYTES CPUS NODES NAME...     CPUS and NODES are lists, or - for no answer
//! process INDEX compute|graphics|mps PID BYTES [GPU_INSTANCE COMPUTE_INSTANCE]
//! mig INDEX GPU_INSTANCE COMPUTE_INSTANCE UUID    a MIG device; its GPU has MIG on
//! fail instance GPU_INSTANCE CODE                 the calls for its process lists return CODE
//! fail init CODE                 nvmlInit_v2 returns CODE (nvmlReturn_t)
//! fail gpu INDEX CODE            the call for the GPU's handle returns CODE
//! fail processes INDEX CODE      the calls for its process lists return CODE
//! fail uuid|name|pci|minor|memory INDEX CODE    the call for this answer about the GPU returns CODE
//! grow COUNT                     this many processes start between the call for their number and the call for the list
//! entries 32                     functions _v3 write entries of 32 bytes, as drivers 535.43 to 535.86 do
//! hang init|gpu INDEX|processes INDEX    the call never returns
//! crash init|gpu INDEX           the call ends in a segmentation fault
//! print WORDS...                 nvmlInit_v2 prints the words to standard output
//! fork SECONDS                   nvmlInit_v2 starts a child that sleeps for this time
//! ```
//!
//! With the feature `v2-only` it has no functions of version 3, like drivers before 510.

#![allow(non_snake_case, clippy::missing_safety_doc)] // NVML's names and signatures.

use std::ffi::{c_char, c_int, c_uint, c_ulong, c_ulonglong};
use std::sync::atomic::{AtomicU32, Ordering};

const SUCCESS: c_uint = 0;
const UNINITIALIZED: c_uint = 1;
const INVALID_ARGUMENT: c_uint = 2;
const NOT_SUPPORTED: c_uint = 3;
const NOT_FOUND: c_uint = 6;
const INSUFFICIENT_SIZE: c_uint = 7;

/// The words of each line of the file.
fn lines() -> Vec<Vec<String>> {
    let path = std::env::var_os("STAND_IN_NVML").unwrap_or_default();
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let words = |line: &str| line.split_whitespace().map(String::from).collect();
    text.lines()
        .map(words)
        .filter(|words: &Vec<String>| !words.is_empty())
        .collect()
}

/// The other words of the first line that starts with these.
fn find(start: &[&str]) -> Option<Vec<String>> {
    let starts = |line: &Vec<String>| {
        line.len() >= start.len() && line.iter().zip(start).all(|(a, b)| a == b)
    };
    lines()
        .into_iter()
        .find(starts)
        .map(|line| line[start.len()..].to_vec())
}

fn number(word: Option<&String>) -> u64 {
    word.and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// The code of a `fail` line.
fn failure(what: &[&str]) -> Option<c_uint> {
    find(&[&["fail"], what].concat()).map(|rest| number(rest.first()) as c_uint)
}

/// Does not return if there is a `hang` line, and crashes if there is a `crash` line.
fn misbehave(what: &[&str]) {
    while find(&[&["hang"], what].concat()).is_some() {
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
    if find(&[&["crash"], what].concat()).is_some() {
        // No memory is mapped there.
        unsafe { std::ptr::without_provenance_mut::<u8>(8).write_volatile(1) };
    }
}

/// A handle is the GPU's index plus one, so that it is not null. A MIG device has its slot plus one in the higher bits.
type Device = usize;

const SLOT_SHIFT: u32 = 16;

fn index(device: Device) -> String {
    ((device & ((1 << SLOT_SHIFT) - 1)) - 1).to_string()
}

fn gpu(device: Device) -> Option<Vec<String>> {
    find(&["gpu", &index(device)])
}

/// The words after `mig INDEX` of each MIG device of a GPU.
fn mig_devices(device: Device) -> Vec<Vec<String>> {
    let own = |line: &Vec<String>| line.len() > 4 && line[0] == "mig" && line[1] == index(device);
    let devices = lines().into_iter().filter(own);
    devices.map(|line| line[2..].to_vec()).collect()
}

/// The words of a MIG device; `None` for a GPU.
fn mig_device(device: Device) -> Option<Vec<String>> {
    mig_devices(device)
        .get((device >> SLOT_SHIFT).checked_sub(1)?)
        .cloned()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetMigMode(
    device: Device,
    current: *mut c_uint,
    pending: *mut c_uint,
) -> c_uint {
    let is_on = c_uint::from(!mig_devices(device).is_empty());
    unsafe { (*current, *pending) = (is_on, is_on) };
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetMaxMigDeviceCount(_: Device, count: *mut c_uint) -> c_uint {
    unsafe { *count = 7 };
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetMigDeviceHandleByIndex(
    device: Device,
    at: c_uint,
    to: *mut Device,
) -> c_uint {
    if at as usize >= mig_devices(device).len() {
        return NOT_FOUND;
    }
    unsafe { *to = device | (at as usize + 1) << SLOT_SHIFT };
    SUCCESS
}

/// Writes one of the numbers of a MIG device.
unsafe fn put_instance(device: Device, field: usize, to: *mut c_uint) -> c_uint {
    let Some(words) = mig_device(device) else {
        return INVALID_ARGUMENT;
    };
    unsafe { *to = number(words.get(field)) as c_uint };
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetGpuInstanceId(device: Device, to: *mut c_uint) -> c_uint {
    unsafe { put_instance(device, 0, to) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetComputeInstanceId(device: Device, to: *mut c_uint) -> c_uint {
    unsafe { put_instance(device, 1, to) }
}

unsafe fn put(text: &str, to: *mut c_char, room: c_uint) -> c_uint {
    if text.len() >= room as usize {
        return INSUFFICIENT_SIZE;
    }
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr().cast(), to, text.len());
        *to.add(text.len()) = 0;
    }
    SUCCESS
}

unsafe fn put_list(list: Option<&String>, room: c_uint, to: *mut c_ulong) -> c_uint {
    let Some(list) = list.filter(|list| *list != "-") else {
        return NOT_SUPPORTED;
    };
    let mut words = vec![0 as c_ulong; room as usize];
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        for bit in first.parse().unwrap_or(0)..=last.parse().unwrap_or(0usize) {
            match words.get_mut(bit / 64) {
                Some(word) => *word |= 1 << (bit % 64),
                None => return INSUFFICIENT_SIZE,
            }
        }
    }
    unsafe { std::ptr::copy_nonoverlapping(words.as_ptr(), to, words.len()) };
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn nvmlInit_v2() -> c_uint {
    misbehave(&["init"]);
    if let Some(words) = find(&["print"]) {
        println!("{}", words.join(" "));
    }
    if let Some(seconds) = find(&["fork"]) {
        let _ = std::process::Command::new("sleep").args(seconds).spawn();
    }
    match std::env::var_os("STAND_IN_NVML") {
        None => UNINITIALIZED,
        Some(_) => failure(&["init"]).unwrap_or(SUCCESS),
    }
}

#[unsafe(no_mangle)]
extern "C" fn nvmlShutdown() -> c_uint {
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlSystemGetDriverVersion(to: *mut c_char, room: c_uint) -> c_uint {
    let version = find(&["driver"]).unwrap_or_default().join(" ");
    unsafe { put(&version, to, room) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetCount_v2(count: *mut c_uint) -> c_uint {
    let gpus = lines().iter().filter(|line| line[0] == "gpu").count();
    unsafe { *count = gpus as c_uint };
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetHandleByIndex_v2(index: c_uint, to: *mut Device) -> c_uint {
    misbehave(&["gpu", &index.to_string()]);
    if let Some(code) = failure(&["gpu", &index.to_string()]) {
        return code;
    }
    unsafe { *to = index as usize + 1 };
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetUUID(device: Device, to: *mut c_char, room: c_uint) -> c_uint {
    if let Some(code) = failure(&["uuid", &index(device)]) {
        return code;
    }
    let words = mig_device(device).or_else(|| gpu(device));
    let uuid = words.and_then(|words| words.get(2).cloned());
    unsafe { put(&uuid.unwrap_or_default(), to, room) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetName(device: Device, to: *mut c_char, room: c_uint) -> c_uint {
    if let Some(code) = failure(&["name", &index(device)]) {
        return code;
    }
    let words = gpu(device).unwrap_or_default();
    unsafe { put(&words.get(7..).unwrap_or_default().join(" "), to, room) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetMinorNumber(device: Device, to: *mut c_uint) -> c_uint {
    if let Some(code) = failure(&["minor", &index(device)]) {
        return code;
    }
    unsafe { *to = number(gpu(device).unwrap_or_default().get(1)) as c_uint };
    SUCCESS
}

/// nvmlPciInfo_t
#[repr(C)]
pub struct PciInfo {
    bus_id_legacy: [c_char; 16],
    domain: c_uint,
    bus: c_uint,
    device: c_uint,
    device_id: c_uint,
    subsystem_id: c_uint,
    bus_id: [c_char; 32],
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetPciInfo_v3(device: Device, to: *mut PciInfo) -> c_uint {
    if let Some(code) = failure(&["pci", &index(device)]) {
        return code;
    }
    let address = gpu(device)
        .and_then(|words| words.first().cloned())
        .unwrap_or_default();
    unsafe {
        to.write_bytes(0, 1);
        let room = address.len().min(32);
        // 32 letters leave no room for the NUL.
        std::ptr::copy_nonoverlapping(address.as_ptr(), (&raw mut (*to).bus_id).cast::<u8>(), room);
    }
    SUCCESS
}

/// nvmlMemory_t
#[repr(C)]
pub struct FirstMemory {
    total: c_ulonglong,
    free: c_ulonglong,
    used: c_ulonglong,
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetMemoryInfo(device: Device, to: *mut FirstMemory) -> c_uint {
    let words = gpu(device).unwrap_or_default();
    let (total, used) = (number(words.get(3)), number(words.get(4)));
    let free = total.saturating_sub(used);
    unsafe { *to = FirstMemory { total, free, used } };
    SUCCESS
}

/// nvmlMemory_v2_t
#[cfg(not(feature = "v2-only"))]
#[repr(C)]
pub struct Memory {
    version: c_uint,
    total: c_ulonglong,
    reserved: c_ulonglong,
    free: c_ulonglong,
    used: c_ulonglong,
}

#[cfg(not(feature = "v2-only"))]
#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetMemoryInfo_v2(device: Device, to: *mut Memory) -> c_uint {
    if let Some(code) = failure(&["memory", &index(device)]) {
        return code;
    }
    let words = gpu(device).unwrap_or_default();
    let (total, used) = (number(words.get(3)), number(words.get(4)));
    unsafe {
        (*to).total = total;
        (*to).reserved = 0;
        (*to).free = total.saturating_sub(used);
        (*to).used = used;
    }
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetCpuAffinity(
    device: Device,
    room: c_uint,
    to: *mut c_ulong,
) -> c_uint {
    unsafe { put_list(gpu(device).unwrap_or_default().get(5), room, to) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetMemoryAffinity(
    device: Device,
    room: c_uint,
    to: *mut c_ulong,
    _scope: c_int,
) -> c_uint {
    unsafe { put_list(gpu(device).unwrap_or_default().get(6), room, to) }
}

/// The calls for compute lists: the first of two only reads the length.
static CALLS: AtomicU32 = AtomicU32::new(0);

unsafe fn put_processes(
    device: Device,
    kind: &str,
    entry: usize,
    count: *mut c_uint,
    to: *mut u8,
) -> c_uint {
    let (index, instance) = (index(device), mig_device(device));
    let refused = match &instance {
        Some(words) => failure(&["instance", &words[0]]),
        None => failure(&["processes", &index]),
    };
    if let Some(code) = refused {
        return code;
    }
    misbehave(&["processes", &index]);
    if count.is_null() {
        return INVALID_ARGUMENT;
    }
    let listed = lines()
        .into_iter()
        .filter(|line| line[..].len() >= 5 && line[0] == "process");
    let mut listed: Vec<Vec<String>> = listed
        .filter(|line| line[1] == index && line[2] == kind)
        .filter(|line| instance.as_ref().is_none_or(|own| line[5..] == own[..2]))
        .map(|line| line[3..].to_vec())
        .collect();
    let grown = find(&["grow"]).map_or(0, |rest| number(rest.first()));
    if kind == "compute" && CALLS.fetch_add(1, Ordering::Relaxed) > 0 {
        let more = (0..grown).map(|n| vec![(900_000 + n).to_string(), "1".to_owned()]);
        listed.extend(more);
    }
    let room = unsafe { *count } as usize;
    unsafe { *count = listed.len() as c_uint };
    if room < listed.len() || (to.is_null() && !listed.is_empty()) {
        return INSUFFICIENT_SIZE;
    }
    for (at, words) in listed.iter().enumerate() {
        let mut bytes = vec![0xFF; entry];
        bytes[0..4].copy_from_slice(&(number(words.first()) as u32).to_ne_bytes());
        bytes[4..8].fill(0);
        bytes[8..16].copy_from_slice(&number(words.get(1)).to_ne_bytes());
        if entry >= 24 {
            for (field, word) in [(16, words.get(2)), (20, words.get(3))] {
                let instance = word.map_or(u32::MAX, |_| number(word) as u32);
                bytes[field..field + 4].copy_from_slice(&instance.to_ne_bytes());
            }
        }
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to.add(at * entry), entry) };
    }
    SUCCESS
}

macro_rules! process_lists {
    ($($name:ident: $kind:literal, $entry:expr;)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(device: Device, count: *mut c_uint, to: *mut u8) -> c_uint {
            unsafe { put_processes(device, $kind, $entry, count, to) }
        }
    )*};
}

/// The size of an entry under the name `_v3`.
#[cfg(not(feature = "v2-only"))]
fn v3_entry() -> usize {
    find(&["entries"]).map_or(24, |rest| number(rest.first()) as usize)
}

#[cfg(not(feature = "v2-only"))]
process_lists! {
    nvmlDeviceGetComputeRunningProcesses_v3: "compute", v3_entry();
    nvmlDeviceGetGraphicsRunningProcesses_v3: "graphics", v3_entry();
    nvmlDeviceGetMPSComputeRunningProcesses_v3: "mps", v3_entry();
}

process_lists! {
    nvmlDeviceGetComputeRunningProcesses_v2: "compute", 24;
    nvmlDeviceGetGraphicsRunningProcesses_v2: "graphics", 24;
    nvmlDeviceGetComputeRunningProcesses: "compute", 16;
}
