//! A recording's archive: the bytes of its tar, within gzip that only stores them.
#![no_main]

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use libfuzzer_sys::fuzz_target;
use numa_audit::observe::Source;
use numa_audit_fuzz::audit_and_print;
use rustix::fs::{MemfdFlags, memfd_create};

fuzz_target!(|tar: &[u8]| {
    let file = memfd_create("archive.tar.gz", MemfdFlags::CLOEXEC).expect("a file in memory");
    let mut gzip = GzEncoder::new(File::from(file), Compression::none());
    gzip.write_all(tar).expect("room for it");
    let file = gzip.finish().expect("room for it");
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    if let Ok(source) = Source::snapshot(&path) {
        audit_and_print(
            source,
            tar.iter().fold(0, |sum, byte| sum.wrapping_add(*byte)),
        );
    }
});
