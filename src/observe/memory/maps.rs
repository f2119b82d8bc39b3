//! `/proc/PID/maps`, a line at a time (show_map_vma in the kernel's fs/proc/task_mmu.c).
//!
//! ```text
//! 7f25f2800000-7f25f4000000 rw-s 00000000 00:01 2049                       /dev/zero (deleted)
//! ```

use crate::machine::{Backing, Reason};
use crate::observe::memory::mapping_query::QueriedMappings;
use crate::observe::memory::{Device, backing_of_file, torch_maker};
use crate::observe::root::Root;
use crate::units::{Malformed, Pid, malformed, number};

/// One mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mapping<'a> {
    /// The first address.
    pub(crate) start: u64,
    /// The first address after it.
    pub(crate) end: u64,
    /// Whether it can be read, written or executed. A reserved range of addresses (`---`) is not memory.
    pub(crate) accessible: bool,
    pub(crate) writable: bool,
    pub(crate) executable: bool,
    /// Whether other processes that map it see what is written.
    pub(crate) shared: bool,
    /// The device of its file's file system; 0:0 where it has no file.
    pub(crate) device: Device,
    /// Its file, or the kernel's name for it in brackets; empty for a plain mapping. A newline is written as `\012`.
    pub(crate) name: &'a [u8],
}

impl Mapping<'_> {
    /// Its size in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.end - self.start
    }

    /// What backs it, except for huge pages, which only the device shows. `None` for pages of the kernel that every process
    /// has.
    pub(crate) fn backing(&self) -> Option<Backing> {
        match self.name {
            // A shared anonymous mapping that was given a name (PR_SET_VMA_ANON_NAME).
            name if name.starts_with(b"[anon_shmem:") => Some(Backing::SharedAnonymous),
            // [vdso], [vvar], [vsyscall]. File names start with a slash, or with `anon_inode:`.
            name if name.starts_with(b"[v") => None,
            name if name.is_empty() || name.starts_with(b"[") => Some(Backing::Anonymous),
            name => Some(match name.strip_suffix(b" (deleted)") {
                Some(name) => backing_of_file(name, true),
                None => backing_of_file(name, false),
            }),
        }
    }

    /// The PID of the process that created it, if it is a piece of PyTorch's shared memory.
    pub(crate) fn torch_maker(&self) -> Option<u32> {
        torch_maker(self.name)
    }
}

/// Passes each mapping of a process to `take`. Absent where there is no mapping: the kernel shows none of its own threads and
/// of a process that is about to end.
pub(crate) fn each_mapping(
    root: &Root,
    pid: Pid,
    mut take: impl FnMut(&Mapping),
) -> Result<(), Reason> {
    let path = format!("{}/maps", root.process_folder(pid));
    if root.is_live() && !root.is_tapped() {
        let maps = root.open_live(&path)?;
        if let Some(found) = QueriedMappings::read(&maps) {
            let found = found?;
            found.iter().for_each(|mapping| take(&mapping));
            return found.iter().next().map(drop).ok_or(Reason::Absent);
        }
    }
    let mut is_empty = true;
    root.read_lines::<Malformed>(&path, |line| {
        is_empty = false;
        take(&parse_mapping(line)?);
        Ok(())
    })?;
    if is_empty {
        return Err(Reason::Absent);
    }
    Ok(())
}

/// Reads one line, without its newline.
pub(crate) fn parse_mapping(line: &[u8]) -> Result<Mapping<'_>, Malformed> {
    let mut rest = line;
    let mut word = || {
        let end = rest.iter().position(|byte| *byte == b' ');
        let (word, behind) = rest.split_at(end.unwrap_or(rest.len()));
        rest = behind.get(1..).unwrap_or_default();
        word
    };
    let (range, permissions, _offset, device, inode) = (word(), word(), word(), word(), word());
    let [read, write, execute, share] = permissions else {
        return malformed("no permissions in maps", line);
    };
    let (start, end) = halves(range, b'-')?;
    if start >= end {
        return malformed("not a range of addresses in maps", line);
    }
    let (major, minor) = halves(device, b':')?;
    let device = match (u32::try_from(major), u32::try_from(minor)) {
        (Ok(major), Ok(minor)) => (major, minor),
        _ => return malformed("not a device in maps", line),
    };
    number::<u64>("inode in maps", inode)?;
    Ok(Mapping {
        start,
        end,
        accessible: *read == b'r' || *write == b'w' || *execute == b'x',
        writable: *write == b'w',
        executable: *execute == b'x',
        shared: *share == b's',
        device,
        name: rest.trim_ascii_start(),
    })
}

/// Two hexadecimal numbers with a separator between them.
fn halves(text: &[u8], separator: u8) -> Result<(u64, u64), Malformed> {
    let mut parts = text.splitn(2, |byte| *byte == separator);
    let mut number = || {
        let digits = std::str::from_utf8(parts.next()?).ok()?;
        let is_plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        u64::from_str_radix(digits, 16).ok().filter(|_| is_plain)
    };
    match (number(), number()) {
        (Some(first), Some(second)) => Ok((first, second)),
        _ => malformed("not two numbers in maps", text),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn backing(name: &str) -> Option<Backing> {
        let line = format!(
            "7f25f2800000-7f25f2802000 rw-s 00000000 00:01 2049                       {name}"
        );
        let mapping = parse_mapping(line.as_bytes()).unwrap();
        assert_eq!((mapping.size(), mapping.name), (8192, name.as_bytes()));
        mapping.backing()
    }

    /// Names as kernel 6.18 printed them.
    #[test]
    fn the_name_shows_what_backs_a_mapping() {
        use Backing::*;
        for (name, expected) in [
            ("", Anonymous),
            ("[heap]", Anonymous),
            ("[stack]", Anonymous),
            ("[anon:glibc: malloc]", Anonymous),
            ("[anon:/dev/shm/x]", Anonymous),
            ("[anon_shmem:batches]", SharedAnonymous),
            ("/dev/zero (deleted)", SharedAnonymous),
            ("/dev/zero", File),
            ("/dev/nvidiactl", DriverBuffer),
            ("/dev/nvidia0", DriverBuffer),
            ("/dev/nvidia-uvm", UnifiedMemory),
            ("/dev/shm/torch_265_123_0 (deleted)", Shared),
            ("/memfd:my mem=fd (deleted)", Shared),
            ("/SYSV00000000 (deleted)", Shared),
            ("/usr/lib/libc.so.6", File),
            ("anon_inode:[io_uring]", File),
        ] {
            assert_eq!(backing(name), Some(expected), "{name}");
        }
        for name in ["[vdso]", "[vvar]", "[vvar_vclock]", "[vsyscall]"] {
            assert_eq!(backing(name), None, "{name}");
        }
    }

    #[test]
    fn permissions_and_device_are_read() {
        let line = b"55d0a0000000-55d0a0001000 r-xp 00002000 fd:1f 1234 /usr/bin/a b";
        let mapping = parse_mapping(line).unwrap();
        assert_eq!(mapping.device, (0xfd, 0x1f));
        assert_eq!(mapping.name, b"/usr/bin/a b");
        assert!(mapping.accessible && mapping.executable && !mapping.writable && !mapping.shared);
        let reserved = parse_mapping(b"200000000-300000000 ---p 00000000 00:00 0 ").unwrap();
        assert!(!reserved.accessible && reserved.name.is_empty());
        assert_eq!(reserved.size(), 1 << 32);
    }

    #[test]
    fn the_creator_of_shared_memory_is_found() {
        let line =
            b"7f2500000000-7f2500001000 rw-s 00000000 00:18 7 /dev/shm/torch_265_123_0 (deleted)";
        assert_eq!(parse_mapping(line).unwrap().torch_maker(), Some(265));
    }

    #[test]
    fn lines_that_are_not_mappings_are_refused() {
        for line in [
            "",
            "7f25f2800000 rw-s 0 00:01 1",
            "2000-1000 rw-p 00000000 00:00 0",
            "1000-1000 rw-p 00000000 00:00 0",
            "1000-+2000 rw-p 00000000 00:00 0",
            "1000-2000 rw 00000000 00:00 0",
            "1000-2000 rw-p 00000000 0000 0",
            "1000-2000 rw-p 00000000 00:00",
            "1000-10000000000000000 rw-p 00000000 00:00 0",
        ] {
            assert!(parse_mapping(line.as_bytes()).is_err(), "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(
            line in "[0-9a-f]{0,17}-?[0-9a-f]{0,17} ?[rwxps-]{0,5} [0-9a-f]{0,9} [0-9a-f]{0,9}:?[0-9a-f]{0,3} [0-9]{0,22} [ -~]{0,40}",
        ) {
            if let Ok(mapping) = parse_mapping(line.as_bytes()) {
                let _ = (mapping.size(), mapping.backing(), mapping.torch_maker());
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_mapping(&bytes).map(|mapping| mapping.backing());
        }
    }
}
