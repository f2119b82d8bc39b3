//! What the name of a mapped file says about the kind of memory.

use crate::machine::Backing;
use crate::units::number;

/// The kind of memory behind a file name. `name` is without the kernel's mark of a deleted file.
pub(crate) fn backing_of_file(name: &[u8], deleted: bool) -> Backing {
    let starts = |start: &[u8]| name.starts_with(start);
    let is_numbered = |start: &[u8]| {
        let rest = name.strip_prefix(start).unwrap_or_default();
        !rest.is_empty() && rest.iter().all(u8::is_ascii_digit)
    };
    // `/SYSV` and the segment's key in eight hexadecimal digits.
    let is_segment = || {
        let key = name.strip_prefix(b"/SYSV").unwrap_or_default();
        key.len() == 8 && key.iter().all(u8::is_ascii_hexdigit)
    };
    match name {
        // A shared anonymous mapping shows as a deleted file of this name. The device itself is never deleted.
        b"/dev/zero" if deleted => Backing::SharedAnonymous,
        b"/dev/nvidia-uvm" => Backing::UnifiedMemory,
        b"/dev/nvidiactl" => Backing::DriverBuffer,
        _ if is_numbered(b"/dev/nvidia") => Backing::DriverBuffer,
        _ if starts(b"/dev/shm/") || starts(b"/memfd:") || is_segment() => Backing::Shared,
        _ => Backing::File,
    }
}

/// The names of PyTorch's shared memory start with this. The creator's PID and an underscore follow ("/torch_{}_{}_{}" in
/// libtorch_cpu).
pub(crate) const TORCH_PREFIX: &[u8] = b"/dev/shm/torch_";

/// The PID of the process that created a piece of PyTorch's shared memory.
pub(crate) fn torch_maker(name: &[u8]) -> Option<u32> {
    let rest = name.strip_prefix(TORCH_PREFIX)?;
    let end = rest.iter().position(|byte| *byte == b'_')?;
    number("PID", &rest[..end]).ok()
}
