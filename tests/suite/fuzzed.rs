//! Every parser has a fuzz target.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Of no parser: other people's text on a terminal, and whole recordings.
const OTHERS: &[&str] = &["archive", "terminal", "tree"];

/// The names of the Rust files in a folder.
fn sources(folder: &str) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let sources = files.filter(|file| file.extension().is_some_and(|end| end == "rs"));
    let names = sources.map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned());
    names.collect()
}

#[test]
fn every_parser_has_a_fuzz_target() {
    let mut expected = sources("src/parse");
    assert!(expected.len() > 10, "the parsers were found");
    expected.extend(OTHERS.iter().map(ToString::to_string));
    assert_eq!(sources("fuzz/fuzz_targets"), expected);
}

#[test]
fn cargo_fuzz_knows_every_target() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/Cargo.toml");
    let manifest = fs::read_to_string(manifest).unwrap();
    let names = manifest.lines().filter_map(|line| {
        let name = line.strip_prefix("path = \"fuzz_targets/")?;
        Some(name.strip_suffix(".rs\"")?.to_owned())
    });
    assert_eq!(names.collect::<BTreeSet<_>>(), sources("fuzz/fuzz_targets"));
}
