//! Compares our parsers with those of the `procfs` crate, on every process of the machine that runs the tests.

use std::io::ErrorKind;
use std::path::Path;

use procfs::process::{Stat, Status};
use procfs::{FromBufRead, FromRead, ProcessCGroups};

use crate::observe::process::{parse_cgroup, parse_stat, parse_status};

/// The bytes of one file of each process. Processes that vanish are skipped.
fn each_process(file: &str, mut compare: impl FnMut(&[u8])) -> usize {
    let mut compared = 0;
    for entry in std::fs::read_dir("/proc").unwrap() {
        let folder = entry.unwrap().path();
        if !is_process(&folder) {
            continue;
        }
        match std::fs::read(folder.join(file)) {
            Ok(bytes) if !bytes.is_empty() => {
                compare(&bytes);
                compared += 1;
            }
            Ok(_) => {}
            // ESRCH has no kind.
            Err(error) => assert!(
                matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::PermissionDenied
                ) || error.raw_os_error() == Some(3),
                "{error}"
            ),
        }
    }
    compared
}

fn is_process(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default().as_encoded_bytes();
    name.iter().all(u8::is_ascii_digit)
}

#[test]
fn stat_equals_that_of_procfs() {
    let compared = each_process("stat", |bytes| {
        let theirs = Stat::from_read(bytes).unwrap();
        let ours = parse_stat(bytes).unwrap();
        assert_eq!(ours.pid.0 as i32, theirs.pid);
        assert_eq!(ours.name, theirs.comm);
        assert_eq!(char::from(ours.state), theirs.state);
        assert_eq!(ours.ppid.0 as i32, theirs.ppid);
        // -1 while it is being collected.
        assert_eq!(ours.session.0 as i32, theirs.session.max(0));
        assert_eq!(ours.cpu_ticks, theirs.utime + theirs.stime);
        assert_eq!(ours.start_time_ticks, theirs.starttime);
        assert_eq!(Some(ours.last_cpu.0 as i32), theirs.processor);
    });
    assert!(compared > 0);
}

#[test]
fn status_equals_that_of_procfs() {
    let flat = |ranges: Option<Vec<(u32, u32)>>| {
        let ranges = ranges.unwrap_or_default().into_iter();
        ranges
            .flat_map(|(first, last)| first..=last)
            .collect::<Vec<u32>>()
    };
    let kib = |kib: Option<u64>| kib.unwrap_or_default() << 10;
    let mut compared = 0;
    each_process("status", |bytes| {
        // It refuses a process whose name is not UTF-8.
        let Ok(theirs) = Status::from_read(bytes) else {
            return;
        };
        compared += 1;
        let ours = parse_status(bytes).unwrap();
        assert_eq!(ours.uid, theirs.ruid);
        let inner: Vec<i32> = ours.inner_pids.iter().map(|pid| *pid as i32).collect();
        let theirs_inner = theirs.nspid.unwrap_or_default().into_iter().skip(1);
        assert_eq!(inner, theirs_inner.collect::<Vec<i32>>());
        let cpus: Vec<u32> = ours.affinity.iter().map(|cpu| cpu.0).collect();
        assert_eq!(cpus, flat(theirs.cpus_allowed_list));
        let mems = ours.mems_allowed.iter().flatten();
        assert_eq!(
            mems.map(|node| node.0).collect::<Vec<_>>(),
            flat(theirs.mems_allowed_list)
        );
        if let Some(resident) = ours.resident {
            assert_eq!(resident.anonymous.0, kib(theirs.rssanon));
            assert_eq!(resident.file.0, kib(theirs.rssfile));
            assert_eq!(resident.shared.0, kib(theirs.rssshmem));
            assert_eq!(resident.huge.0, kib(theirs.hugetlbpages));
        }
    });
    assert!(compared > 0);
}

#[test]
fn cgroup_equals_that_of_procfs() {
    let compared = each_process("cgroup", |bytes| {
        let theirs = ProcessCGroups::from_buf_read(bytes).unwrap();
        let ours = parse_cgroup(bytes).unwrap();
        assert_eq!(ours.len(), theirs.0.len());
        for (ours, theirs) in ours.iter().zip(theirs) {
            assert_eq!(ours.is_v2, theirs.hierarchy == 0);
            assert_eq!(ours.controllers, theirs.controllers);
            assert_eq!(ours.path, theirs.pathname);
        }
    });
    assert!(compared > 0);
}
