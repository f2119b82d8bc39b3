//! What is no recording, or means harm: one clear sentence with the path, exit 2, nothing written.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{EntryType, Header};

use crate::program::{Run, fixture, program, run};

/// A folder to make bad input in; TMPDIR points into it, so that whatever the program leaves is seen.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("tmp")).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// An archive of entries whose headers say what `tar` itself would refuse to write.
    fn archive(&self, name: &str, entries: &[(&str, EntryType, u64, &[u8])]) -> PathBuf {
        let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
        for (name, kind, size, bytes) in entries {
            let mut header = Header::new_gnu();
            let field = &mut header.as_old_mut().name;
            field[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_size(*size);
            header.set_mode(0o644);
            header.set_cksum();
            gz.write_all(header.as_bytes()).unwrap();
            gz.write_all(bytes).unwrap();
            gz.write_all(&vec![0; bytes.len().next_multiple_of(512) - bytes.len()])
                .unwrap();
        }
        gz.write_all(&[0; 1024]).unwrap();
        self.file(name, &gz.finish().unwrap())
    }

    #[track_caller]
    fn refuses(&self, path: &Path, sentence: &str) {
        let mut command = program();
        command
            .arg("--snapshot")
            .arg(path)
            .env("TMPDIR", self.path("tmp"));
        let run = Run::from(command.output().unwrap());
        run.fails_with(&sentence.replace("PATH", path.to_str().unwrap()));
        let left = fs::read_dir(self.path("tmp")).unwrap().count();
        assert_eq!(left, 0, "left in the temporary folder");
        assert!(!self.path("out").exists(), "written outside");
    }
}

const MANIFEST: &[u8] = br#"{"format": 1}"#;

#[test]
fn what_is_no_snapshot() {
    let place = Place::new();
    place.refuses(
        &place.path("none"),
        "cannot read the snapshot PATH: No such file or directory (os error 2)",
    );
    place.refuses(
        &place.file("text.tar.gz", b"hello"),
        "cannot read the snapshot PATH: it is neither a folder nor a .tar.gz",
    );
    let empty = place.path("empty");
    fs::create_dir(&empty).unwrap();
    place.refuses(
        &empty,
        "PATH is no snapshot: it has neither snapshot.json nor /sys nor /proc",
    );
    place.refuses(
        Path::new("/dev/zero"),
        "cannot read the snapshot PATH: it is neither a folder nor a .tar.gz",
    );
}

#[test]
fn a_snapshot_of_another_format() {
    let place = Place::new();
    place.file("new/snapshot.json", br#"{"format": 2}"#);
    place.refuses(
        &place.path("new"),
        "PATH is no snapshot: snapshot.json: malformed: format 2, and this program reads format 1",
    );
    place.file("cut/snapshot.json", b"{\"format\": 1");
    place.refuses(
        &place.path("cut"),
        "PATH is no snapshot: snapshot.json: malformed: EOF while parsing an object at line 1 column 12",
    );
    place.file("nvml/snapshot.json", MANIFEST);
    place.file("nvml/nvml.json", b"{\"gpus\": 7}");
    place.refuses(
        &place.path("nvml"),
        "PATH is no snapshot: nvml.json: malformed: invalid type: integer `7`, expected a sequence at line 1 column 10",
    );
}

#[test]
fn an_archive_that_was_cut() {
    let place = Place::new();
    let whole = fs::read(fixture("p4d-bound")).unwrap();
    for end in [10, whole.len() / 2, whole.len() - 4] {
        let path = place.file("cut.tar.gz", &whole[..end]);
        let run = run(["--snapshot", path.to_str().unwrap()]);
        assert_eq!(run.code, Some(2), "cut at {end}");
        let start = format!("numa-audit: cannot read the snapshot {}: ", path.display());
        assert!(run.stderr.starts_with(&start), "{}", run.stderr);
        assert_eq!(
            run.stderr.lines().count(),
            1,
            "one sentence: {}",
            run.stderr
        );
    }
}

#[test]
fn an_archive_that_leads_out() {
    let place = Place::new();
    for name in ["../out", "a/../../out", "/out"] {
        let path = place.archive("leads-out.tar.gz", &[(name, EntryType::Regular, 1, b"x")]);
        place.refuses(
            &path,
            &format!("cannot read the snapshot PATH: its entry {name:?} leads out of the archive"),
        );
    }
}

#[test]
fn an_archive_of_absurd_size() {
    let place = Place::new();
    let claims = place.archive(
        "claims.tar.gz",
        &[("proc/1/stat", EntryType::Regular, 1 << 40, b"x")],
    );
    place.refuses(
        &claims,
        "cannot read the snapshot PATH: its entry \"proc/1/stat\" makes it unpack to more than 512 MiB",
    );
    // 600 MiB of zeros behind the last entry, in some hundred KB.
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    let zeros = vec![0; 1 << 20];
    for _ in 0..600 {
        gz.write_all(&zeros).unwrap();
    }
    let bomb = place.file("bomb.tar.gz", &gz.finish().unwrap());
    place.refuses(
        &bomb,
        "cannot read the snapshot PATH: it unpacks to more than 512 MiB",
    );
}

#[test]
fn small_archives_that_stand_for_much() {
    let place = Place::new();
    let again = b"0-65535,".repeat(20_000);
    let list = place.archive(
        "list.tar.gz",
        &[
            (
                "snapshot.json",
                EntryType::Regular,
                MANIFEST.len() as u64,
                MANIFEST,
            ),
            (
                "sys/devices/system/node/node0/cpulist",
                EntryType::Regular,
                again.len() as u64,
                &again,
            ),
        ],
    );
    let document = run(["topology", "--json", "--snapshot", list.to_str().unwrap()]).json();
    assert_eq!(
        document["topology"]["nodes"][0]["cpus"],
        serde_json::Value::Null
    );
    let zeros = vec![0; 9 << 20];
    let manifest = place.archive(
        "manifest.tar.gz",
        &[("snapshot.json", EntryType::Regular, 9 << 20, &zeros)],
    );
    place.refuses(
        &manifest,
        "PATH is no snapshot: snapshot.json: malformed: larger than 8 MiB",
    );
}

#[test]
fn an_archive_without_its_end() {
    let place = Place::new();
    let mut whole = Vec::new();
    let fixture = fs::File::open(fixture("p4d-bound")).unwrap();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(fixture), &mut whole).unwrap();
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    // Cut at the end of a block, and compressed as a whole.
    gz.write_all(&whole[..whole.len() / 1024 * 512]).unwrap();
    let path = place.file("cut.tar.gz", &gz.finish().unwrap());
    let run = run(["--snapshot", path.to_str().unwrap()]);
    assert_eq!(run.code, Some(2), "{}", run.stdout);
}

#[test]
fn an_archive_of_devices() {
    let place = Place::new();
    for kind in [
        EntryType::Char,
        EntryType::Block,
        EntryType::Fifo,
        EntryType::Link,
    ] {
        let path = place.archive("device.tar.gz", &[("proc/stat", kind, 0, b"")]);
        place.refuses(
            &path,
            "cannot read the snapshot PATH: its entry \"proc/stat\" is neither a file nor a folder nor a symbolic link",
        );
    }
}

#[test]
fn links_out_of_a_folder_are_not_followed() {
    let place = Place::new();
    place.file("secret", b"0-9999\n");
    place.file("tree/snapshot.json", MANIFEST);
    let node = place.path("tree/sys/devices/system/node/node0");
    fs::create_dir_all(&node).unwrap();
    std::os::unix::fs::symlink(place.path("secret"), node.join("cpulist")).unwrap();
    std::os::unix::fs::symlink("../../../../../../secret", node.join("cpumap")).unwrap();
    let run = run([
        "topology",
        "--json",
        "--snapshot",
        place.path("tree").to_str().unwrap(),
    ]);
    assert_eq!(
        run.json()["topology"]["nodes"][0]["cpus"],
        serde_json::Value::Null
    );
    let gaps = run.json()["incomplete"].to_string();
    assert!(gaps.contains("CPUs of node 0"), "{gaps}");
}

#[test]
fn a_fifo_in_a_folder_is_not_waited_for() {
    let place = Place::new();
    place.file("tree/snapshot.json", MANIFEST);
    fs::create_dir_all(place.path("tree/sys/devices/system/node/node0")).unwrap();
    let fifo = place.path("tree/sys/devices/system/node/node0/cpulist");
    let made = std::process::Command::new("mkfifo")
        .arg(&fifo)
        .status()
        .unwrap();
    assert!(made.success());
    let run = run([
        "topology",
        "--json",
        "--snapshot",
        place.path("tree").to_str().unwrap(),
    ]);
    assert_eq!(run.code, Some(0));
    let whole = place.path("fifo");
    let made = std::process::Command::new("mkfifo")
        .arg(&whole)
        .status()
        .unwrap();
    assert!(made.success());
    place.refuses(
        &whole,
        "cannot read the snapshot PATH: it is neither a folder nor a .tar.gz",
    );
}

#[test]
fn arguments_that_name_nothing() {
    let snapshot = fixture("p4d-bound");
    let with = |arguments: &[&str]| {
        let snapshot = ["--snapshot", snapshot.to_str().unwrap()];
        run(snapshot.iter().chain(arguments))
    };
    with(&["--gpu", "9"]).fails_with("no GPU \"9\": there are 0-7");
    with(&["--gpu", "GPU-00000000"])
        .fails_with("\"GPU-00000000\" begins the UUIDs of several GPUs");
    with(&["--user", "nobody-of-that-name"])
        .fails_with("no user \"nobody-of-that-name\" is known here");
    with(&["--pid", "99999"]).fails_with("there is no process 99999");
}
