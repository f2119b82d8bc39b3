//! `/proc/PID/mountinfo` (proc_pid_mountinfo(5)), of which only the file systems of huge pages matter.
//!
//! ```text
//! 36 35 0:31 / /dev/hugepages rw,nosuid shared:16 - hugetlbfs hugetlbfs rw,pagesize=2M
//! ```

use procfs::process::MountInfo;

use crate::machine::Reason;
use crate::observe::root::Root;
use crate::units::Pid;

/// The major and minor number of a device.
pub(crate) type Device = (u32, u32);

/// The devices of the hugetlbfs file systems that a process can see. None where the file cannot be read.
pub(crate) fn read_huge_mounts(root: &Root, pid: Pid) -> Vec<Device> {
    let mut devices = Vec::new();
    let path = format!("{}/mountinfo", root.process_folder(pid));
    // Without it, files on hugetlbfs count as ordinary files. Then less is found than the process's counter of huge pages
    // says, which is noticed.
    let _ = root.read_lines::<Reason>(&path, |line| {
        devices.extend(parse_huge_mount(line));
        Ok(())
    });
    devices
}

/// The device of the file system that this line mounts, if it is hugetlbfs.
pub(crate) fn parse_huge_mount(line: &[u8]) -> Option<Device> {
    // A host of containers has thousands of mounts: only lines that can matter are parsed.
    const MARK: &[u8] = b" - hugetlbfs ";
    if !line.windows(MARK.len()).any(|bytes| bytes == MARK) {
        return None;
    }
    let mount = MountInfo::from_line(&String::from_utf8_lossy(line)).ok()?;
    if mount.fs_type != "hugetlbfs" {
        return None;
    }
    let (major, minor) = mount.majmin.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_mounts_of_huge_pages_are_found() {
        let device = |line: &[u8]| parse_huge_mount(line);
        assert_eq!(
            device(b"36 35 0:31 / /dev/hugepages rw,nosuid shared:16 - hugetlbfs hugetlbfs rw,pagesize=2M"),
            Some((0, 31))
        );
        assert_eq!(
            device(b"36 35 0:31 / /mnt/\xff rw - hugetlbfs none rw"),
            Some((0, 31)),
            "a name that is not UTF-8"
        );
        assert_eq!(
            device(b"36 35 0:31 / /hugetlbfs rw - tmpfs hugetlbfs rw"),
            None
        );
        assert_eq!(device(b"36 35 0 / /x rw - hugetlbfs none rw"), None);
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), line in "[0-9: /-]{0,30} - hugetlbfs [a-z ]{0,9}") {
            let _ = parse_huge_mount(&bytes);
            let _ = parse_huge_mount(line.as_bytes());
        }

        #[test]
        fn no_fields_make_it_panic(fields in "([0-9]{1,12} ){2}[0-9:]{0,9}( [-/a-z:=,0-9]{0,9}){0,12}") {
            let _ = parse_huge_mount(fields.as_bytes());
        }
    }
}
