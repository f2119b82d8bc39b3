//! Every parser is fuzzed.

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

/// The names of the functions in a text that begin with `start`, as in `pub fn parse_`.
fn functions<'a>(text: &'a str, start: &str) -> BTreeSet<&'a str> {
    let is_of_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    text.lines()
        .filter_map(|line| line.strip_prefix(start))
        .filter_map(|rest| rest.split(|letter| !is_of_name(letter)).next())
        .collect()
}

/// A parser that is private to a folder is reached through the one that calls it.
#[test]
fn every_parser_is_fuzzed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut code = Vec::new();
    texts(&root.join("src"), &mut code);
    let fuzzing = fs::read_to_string(root.join("src/fuzzing.rs")).unwrap();
    let (_, body) = fuzzing
        .split_once("\nfn lines(")
        .expect("the code after `use`");
    let mut parsers = BTreeSet::new();
    for text in &code {
        for visibility in ["pub fn parse_", "pub(crate) fn parse_"] {
            parsers.extend(functions(text, visibility));
        }
    }
    assert!(parsers.len() > 10, "the parsers were found");
    for parser in parsers {
        let is_called = ["(", "::<"]
            .iter()
            .any(|end| body.contains(&format!("parse_{parser}{end}")));
        assert!(is_called, "src/fuzzing.rs does not call parse_{parser}");
    }
}

#[test]
fn every_function_for_fuzzing_has_a_target() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut called = BTreeSet::new();
    for file in ["src/fuzzing.rs", "src/fuzzing/machine.rs"] {
        let text = fs::read_to_string(root.join(file)).unwrap();
        called.extend(functions(&text, "pub fn ").into_iter().map(str::to_owned));
    }
    assert_eq!(called, sources("fuzz/fuzz_targets"));
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
