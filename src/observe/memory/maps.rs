//! `/proc/PID/maps`, a line at a time (show_map_vma in the kernel's fs/proc/task_mmu.c).
//!
//! ```text
//! 7f25f2800000-7f25f4000000 rw-s 00000000 00:01 2049                       /dev/zero (deleted)
//! ```

use crate::machine::memory::Backing;
use crate::observe::memory::numa_maps::{of_file, torch_maker};
use crate::units::{Malformed, malformed, number};

/// One mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping<'a> {
    /// Its first address.
    pub start: u64,
    /// The first address behind it.
    pub end: u64,
    /// Whether anything may be done with it; a reserved piece of the address space (`---`) is no memory.
    pub accessible: bool,
    /// Whether it may be written.
    pub writable: bool,
    /// Whether it may be executed.
    pub executable: bool,
    /// Whether what is written is seen by others that map it too.
    pub shared: bool,
    /// The device of the file system that its file is on, major and minor; 0 and 0 where it has none.
    pub device: (u32, u32),
    /// Its file, or what the kernel calls it in brackets; empty for a plain mapping. Newlines in it read `\012`.
    pub name: &'a [u8],
}

impl Mapping<'_> {
    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.end - self.start
    }

    /// What backs it, huge pages aside: these are told by the device. `None` for the kernel's own pages, which it shows to
    /// every process.
    pub fn backing(&self) -> Option<Backing> {
        match self.name {
            // A shared anonymous mapping that was given a name (PR_SET_VMA_ANON_NAME).
            name if name.starts_with(b"[anon_shmem:") => Some(Backing::SharedAnonymous),
            // Names that begin so are no files: these begin with a slash, or `anon_inode:`.
            name if name.starts_with(b"[v") => None,
            name if name.is_empty() || name.starts_with(b"[") => Some(Backing::Anonymous),
            name => Some(match name.strip_suffix(b" (deleted)") {
                Some(name) => of_file(name, true),
                None => of_file(name, false),
            }),
        }
    }

    /// The PID of who made it, if it is a piece of PyTorch's shared memory.
    pub fn torch_maker(&self) -> Option<u32> {
        torch_maker(self.name)
    }
}

/// Reads one line, without its newline.
pub fn parse_mapping(line: &[u8]) -> Result<Mapping<'_>, Malformed> {
    let mut rest = line;
    let mut word = || {
        let end = rest.iter().position(|byte| *byte == b' ');
        let (word, behind) = rest.split_at(end.unwrap_or(rest.len()));
        rest = behind.get(1..).unwrap_or_default();
        word
    };
    let (range, rights, _offset, device, inode) = (word(), word(), word(), word(), word());
    let [read, write, execute, share] = rights else {
        return malformed("no rights in maps", line);
    };
    let (start, end) = halves(range, b'-')?;
    if start >= end {
        return malformed("no range of addresses in maps", line);
    }
    let (major, minor) = halves(device, b':')?;
    let device = match (u32::try_from(major), u32::try_from(minor)) {
        (Ok(major), Ok(minor)) => (major, minor),
        _ => return malformed("no device in maps", line),
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

/// Two hexadecimal numbers with this between.
fn halves(text: &[u8], between: u8) -> Result<(u64, u64), Malformed> {
    let mut parts = text.splitn(2, |byte| *byte == between);
    let mut number = || {
        let digits = std::str::from_utf8(parts.next()?).ok()?;
        let is_plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        u64::from_str_radix(digits, 16).ok().filter(|_| is_plain)
    };
    match (number(), number()) {
        (Some(first), Some(second)) => Ok((first, second)),
        _ => malformed("no two numbers in maps", text),
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

    /// As kernel 6.18 printed them.
    #[test]
    fn tells_what_backs_a_mapping() {
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
    fn reads_rights_and_device() {
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
    fn tells_who_made_shared_memory() {
        let line =
            b"7f2500000000-7f2500001000 rw-s 00000000 00:18 7 /dev/shm/torch_265_123_0 (deleted)";
        assert_eq!(parse_mapping(line).unwrap().torch_maker(), Some(265));
    }

    #[test]
    fn refuses_what_is_no_mapping() {
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
