//! The files of AMD's KFD.
#![no_main]

use libfuzzer_sys::fuzz_target;
use numa_audit::observe::gpu::kfd::{parse_location, parse_number, parse_render_minor};

fuzz_target!(|bytes: &[u8]| {
    let _ = parse_render_minor(bytes);
    if let Ok((address, _)) = parse_location(bytes) {
        assert_eq!(address.to_string().parse(), Ok(address));
    }
    let _ = parse_number::<u32>(bytes);
    let _ = parse_number::<u64>(bytes);
});
