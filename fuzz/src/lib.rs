//! What the targets share that take a whole recorded machine.

use std::io::Read;
use std::path::PathBuf;

use flate2::read::GzDecoder;
use numa_audit::audit::{Settings, audit, map};
use numa_audit::document;
use numa_audit::print::terminal::Terminal;
use numa_audit::print::{csv, json, remedies, table, topology};
use numa_audit::observe::{RecordedEntry as Entry, Source, Subjects, observe};

/// A recording to begin with.
const FIXTURE: &[u8] = include_bytes!("../../fixtures/p4d-do-not-match.tar.gz");

/// The launcher, a trainer and one of its workers: enough for every join, and quick.
const KEPT: [&str; 3] = ["245", "254", "265"];

/// Of a `numa_maps` this much.
const LINES: usize = 30;

/// A small recorded machine, sorted by path.
pub fn small_machine() -> Vec<(PathBuf, Entry)> {
    let mut bytes = Vec::new();
    GzDecoder::new(FIXTURE)
        .read_to_end(&mut bytes)
        .expect("the fixture is whole");
    let mut archive = tar::Archive::new(bytes.as_slice());
    let mut machine = Vec::new();
    for entry in archive.entries().expect("the fixture is an archive") {
        let mut entry = entry.expect("the fixture is whole");
        let path = entry.path().expect("a path").into_owned();
        let path: PathBuf = path.components().skip(1).collect();
        if !is_kept(&path.to_string_lossy()) {
            continue;
        }
        match entry.link_name().expect("a link's text") {
            Some(target) => machine.push((path, Entry::Link(target.into_owned()))),
            None if entry.header().entry_type().is_file() => {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).expect("the fixture is whole");
                if path.ends_with("numa_maps") {
                    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
                    bytes = lines.take(LINES).flatten().copied().collect();
                }
                machine.push((path, Entry::File(bytes)));
            }
            None => {}
        }
    }
    machine.sort_by(|one, other| one.0.cmp(&other.0));
    machine
}

fn is_kept(path: &str) -> bool {
    // Two of the eight GPUs, on a node each, and none of the other devices.
    let is_device = path.starts_with("sys/bus/pci/") || path.starts_with("sys/devices/pci");
    let is_of_gpu = ["0000:10:1c.0", "0000:a0:1d.0"]
        .iter()
        .any(|gpu| path.contains(gpu));
    if (is_device || path.starts_with("proc/driver/nvidia/gpus/")) && !is_of_gpu {
        return false;
    }
    let mut parts = path.split('/');
    let process = match (parts.next(), parts.next()) {
        (Some("proc"), Some(process)) if process.starts_with(|c: char| c.is_ascii_digit()) => {
            process
        }
        (Some("proc"), _) => return !path.ends_with("cpuinfo"),
        _ => return true,
    };
    let is_thread_too_many = match (parts.next(), parts.next()) {
        (Some("task"), Some(thread)) => thread
            .parse()
            .is_ok_and(|thread: u32| process.parse().is_ok_and(|pid: u32| thread > pid + 2)),
        _ => false,
    };
    KEPT.contains(&process) && !path.ends_with("smaps_rollup") && !is_thread_too_many
}

/// Audits a machine and prints it in one of the forms, which a number chooses. No form can act on the terminal. The JSON is read
/// back as the same document.
pub fn audit_and_print(source: Source, form: u8) {
    let machine = observe(source, &Subjects::GpuUsers).machine;
    let settings = Settings::default();
    let terminal = Terminal {
        width: 80,
        color: false,
    };
    let text = match form % 6 {
        0 => table::report(&audit(machine, &settings), true, &terminal),
        1 => table::report(&audit(machine, &settings), false, &terminal),
        2 => topology::topology(&map(machine, &settings), &terminal),
        3 => remedies::remedies(&audit(machine, &settings)),
        4 => {
            let mut bytes = Vec::new();
            csv::processes(&audit(machine, &settings), &mut bytes).expect("a vector takes all");
            String::from_utf8(bytes).expect("text")
        }
        _ => {
            let audit = audit(machine, &settings);
            let text = json::text(&audit);
            let read = document::read(text.as_bytes()).expect("a document");
            assert_eq!(json::text(&read), text);
            text
        }
    };
    let acts = |letter: char| letter != '\n' && letter.is_control();
    assert!(!text.contains(acts), "{text:?}");
}
