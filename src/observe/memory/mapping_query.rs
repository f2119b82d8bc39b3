//! The mappings of a process by PROCMAP_QUERY, an ioctl of `/proc/PID/maps` (Linux 6.11). It reports the same as the text.
//!
//! Most of the text of a data loader are the paths of some hundred libraries, each of them four times. To write them takes the
//! kernel more time than all else of `maps`. Here a path is asked for once for each file. A wait for the process's lock can be
//! interrupted, as in a read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;

use crate::machine::Reason;
use crate::observe::memory::Device;
use crate::observe::memory::maps::Mapping;
use crate::observe::memory::syscalls::{MapQuery, mapping_name, next_mapping};

/// Of a process with more mappings the text is read, a piece at a time.
const MOST: usize = 1 << 14;

/// The mappings of a process.
#[derive(Debug, Default)]
pub(super) struct QueriedMappings {
    /// Each with the place of its name in `names`.
    mappings: Vec<(MapQuery, usize)>,
    names: Vec<Vec<u8>>,
}

impl QueriedMappings {
    /// The mappings of the process of this `maps`. `None` where the kernel has no such call, or gives no answer that is as good
    /// as the text.
    pub(super) fn read(maps: &File) -> Option<Result<Self, Reason>> {
        match Self::query(maps) {
            Ok(found) => found.map(Ok),
            Err(error) => match error.raw_os_error() {
                // No such ioctl, no such structure, or a path longer than PATH_MAX.
                Some(libc::ENOTTY | libc::EINVAL | libc::ENOSYS | libc::ENAMETOOLONG) => None,
                _ => Some(Err(Reason::from(&error))),
            },
        }
    }

    fn query(maps: &File) -> io::Result<Option<Self>> {
        let mut found = Self {
            mappings: Vec::new(),
            names: vec![Vec::new()],
        };
        // A process has a few hundred files. The device and the inode are those of the text.
        let mut files: BTreeMap<(Device, u64), usize> = BTreeMap::new();
        let mut at = 0;
        while let Some(mapping) = next_mapping(maps, at)? {
            // The search always advances. If it does not, this loop has to end nevertheless.
            if mapping.end <= at || found.mappings.len() == MOST {
                return Ok(None);
            }
            at = mapping.end;
            let file = (mapping.device(), mapping.inode);
            let name = match files.get(&file) {
                Some(name) => *name,
                None if !needs_name(&mapping) => 0,
                None => {
                    let Some(name) = mapping_name(maps, &mapping)? else {
                        // It was unmapped since.
                        continue;
                    };
                    found.names.push(name);
                    let name = found.names.len() - 1;
                    if !is_anonymous(&mapping) {
                        files.insert(file, name);
                    }
                    name
                }
            };
            found.mappings.push((mapping, name));
        }
        Ok(Some(found))
    }

    /// Each of them, by address.
    pub(super) fn iter(&self) -> impl Iterator<Item = Mapping<'_>> {
        let mappings = self.mappings.iter();
        mappings.map(|(mapping, name)| Mapping {
            start: mapping.start,
            end: mapping.end,
            accessible: mapping.is_accessible(),
            writable: mapping.is_writable(),
            executable: mapping.is_executable(),
            shared: mapping.is_shared(),
            device: mapping.device(),
            name: self.names.get(*name).map_or(b"", Vec::as_slice),
        })
    }
}

fn is_anonymous(mapping: &MapQuery) -> bool {
    (mapping.device(), mapping.inode) == ((0, 0), 0)
}

/// The name of anonymous memory says nothing more, but that of pages of the kernel (`[vdso]`) does. Those are not writable.
fn needs_name(mapping: &MapQuery) -> bool {
    !is_anonymous(mapping) || (mapping.is_accessible() && !mapping.is_writable())
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;
    use crate::observe::memory::maps::parse_mapping;
    use crate::observe::memory::syscalls::is_linux_since;

    /// What a mapping is to the audit.
    fn shown(mapping: &Mapping) -> Option<String> {
        // [vsyscall] is not one of the process's own.
        let backing = mapping.backing()?;
        let Mapping {
            start,
            end,
            accessible,
            writable,
            executable,
            shared,
            device,
            ..
        } = mapping;
        let is_file = mapping.name.starts_with(b"/");
        let name = String::from_utf8_lossy(if is_file { mapping.name } else { b"" });
        Some(format!(
            "{start:x}-{end:x} {accessible} {writable} {executable} {shared} {device:?} {backing:?} {name}"
        ))
    }

    #[test]
    fn the_query_reports_the_same_as_the_text() {
        let mut child = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // It answers once it has mapped all its libraries.
        let mut answer = [0];
        io::Write::write_all(child.stdin.as_mut().unwrap(), b"x").unwrap();
        io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut answer).unwrap();
        let path = format!("/proc/{}/maps", child.id());
        let queried = QueriedMappings::read(&File::open(&path).unwrap());
        let text = std::fs::read(&path).unwrap();
        drop(child.stdin.take());
        child.wait().unwrap();
        let Some(queried) = queried else {
            assert!(!is_linux_since(6, 11), "the kernel has the query");
            return;
        };
        let lines = text
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        let from_text: Vec<_> = lines
            .filter_map(|line| shown(&parse_mapping(line).unwrap()))
            .collect();
        let queried: Vec<_> = queried
            .unwrap()
            .iter()
            .filter_map(|mapping| shown(&mapping))
            .collect();
        assert_eq!(queried, from_text);
        assert!(queried.len() > 5, "{queried:?}");
    }
}
