//! `/proc/PID/mountinfo`, of which only the file systems of huge pages matter (proc_pid_mountinfo(5)).

/// The device of the file system that this line mounts, major and minor, if it is one of huge pages.
///
/// ```text
/// 36 35 0:31 / /dev/hugepages rw,nosuid shared:16 - hugetlbfs hugetlbfs rw,pagesize=2M
/// ```
pub fn parse_huge_mount(line: &[u8]) -> Option<(u32, u32)> {
    let line = std::str::from_utf8(line).ok()?;
    // Blanks in names are escaped, so that this is the only one.
    let (mount, kind) = line.split_once(" - ")?;
    let is_huge = kind.split(' ').next() == Some("hugetlbfs");
    let device = mount.split(' ').nth(2).filter(|_| is_huge)?;
    let (major, minor) = device.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn finds_those_of_huge_pages() {
        let huge =
            b"36 35 0:31 / /dev/hugepages rw,nosuid shared:16 - hugetlbfs hugetlbfs rw,pagesize=2M";
        assert_eq!(parse_huge_mount(huge), Some((0, 31)));
        assert_eq!(
            parse_huge_mount(b"36 35 0:31 / /hugetlbfs rw - tmpfs hugetlbfs rw"),
            None
        );
        assert_eq!(
            parse_huge_mount(b"36 35 0 / /x rw - hugetlbfs none rw"),
            None
        );
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), line in "[0-9: /-]{0,30} - hugetlbfs [a-z ]{0,9}") {
            let _ = parse_huge_mount(&bytes);
            let _ = parse_huge_mount(line.as_bytes());
        }
    }
}
