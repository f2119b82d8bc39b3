//! The files of AMD's KFD.
#![no_main]

use libfuzzer_sys::fuzz_target;
use numa_audit::observe::gpu::kfd::{parse_location, parse_number};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(address) = parse_location(bytes) {
        assert_eq!(address.to_string().parse(), Ok(address));
    }
    let _ = parse_number::<u32>(bytes);
    let _ = parse_number::<u64>(bytes);
});
