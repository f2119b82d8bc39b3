//! The mappings of a process that are sampled.

use std::collections::{BTreeMap, BTreeSet};

use crate::machine::{Backing, Reason};
use crate::observe::memory::{HugeDevices, Population, each_mapping};
use crate::observe::process::Resident;
use crate::observe::root::Root;
use crate::units::{Bytes, Pid};

/// The mappings of a process by backing, without those of files.
#[derive(Debug, Default)]
pub(super) struct Mappings {
    pub(super) populations: BTreeMap<Backing, Population>,
    pub(super) torch_makers: BTreeSet<u32>,
    /// Size of file mappings that can have private copies of pages. Such copies are anonymous memory.
    pub(super) copies: Bytes,
    /// The same for shared memory.
    pub(super) shared_copies: Bytes,
}

impl Mappings {
    /// The size of all pages that mappings of this backing can have.
    pub(super) fn room(&self, backing: Backing) -> Bytes {
        let population = self.populations.get(&backing);
        population.map_or(Bytes(0), Population::bytes)
    }

    /// How much of this backing can be present, by the counters of the process.
    pub(super) fn at_most(&self, backing: Backing, resident: &Resident) -> Bytes {
        match backing {
            Backing::Anonymous => resident.anonymous,
            Backing::SharedAnonymous | Backing::Shared => {
                let copies = self.shared_copies.min(resident.anonymous);
                [resident.shared, copies].into_iter().sum()
            }
            Backing::DriverBuffer | Backing::UnifiedMemory | Backing::File => resident.file,
            Backing::Huge => resident.huge,
        }
    }
}

/// Reads them. `page` is the page size, `huge` finds the pages of hugetlbfs: `None` where the process has none.
pub(super) fn read_mappings(
    root: &Root,
    pid: Pid,
    page: u64,
    huge: Option<&HugeDevices>,
) -> Result<Mappings, Reason> {
    let devices = huge.map(|huge| huge.of(root, pid)).unwrap_or_default();
    let mut found = Mappings::default();
    each_mapping(root, pid, |mapping| {
        found.torch_makers.extend(mapping.torch_maker());
        let backing = match mapping.backing() {
            Some(_) if devices.contains(&mapping.device) => Backing::Huge,
            Some(backing) => backing,
            None => return,
        };
        let copies = match backing {
            // A mapping that is read-only now was writable during dynamic linking.
            Backing::File if !mapping.executable => Some(&mut found.copies),
            Backing::Shared | Backing::SharedAnonymous if mapping.writable => {
                Some(&mut found.shared_copies)
            }
            _ => None,
        };
        if let Some(copies) = copies.filter(|_| !mapping.shared) {
            copies.0 = copies.0.saturating_add(mapping.size());
        }
        if mapping.accessible && backing != Backing::File {
            let population = found.populations.entry(backing);
            let population = population.or_insert_with(|| Population::new(page));
            population.add(mapping.start, mapping.end);
        }
    })?;
    Ok(found)
}
