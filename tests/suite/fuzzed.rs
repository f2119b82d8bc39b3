//! Every parser has a fuzz target.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

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

/// The text of every Rust file below a folder.
fn texts(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            texts(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn every_parser_has_a_fuzz_target() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut code, mut targets) = (Vec::new(), Vec::new());
    texts(&root.join("src"), &mut code);
    texts(&root.join("fuzz/fuzz_targets"), &mut targets);
    let parsers: BTreeSet<&str> = code
        .iter()
        .flat_map(|text| text.split("\npub fn parse_").skip(1))
        .filter_map(|rest| {
            rest.split(|letter: char| !letter.is_alphanumeric() && letter != '_')
                .next()
        })
        .collect();
    assert!(parsers.len() > 10, "the parsers were found");
    for parser in parsers {
        let is_called = targets
            .iter()
            .any(|text| text.contains(&format!("parse_{parser}")));
        assert!(is_called, "no fuzz target calls parse_{parser}");
    }
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
