//! Holds the arrows of the house: which layer may use which (the table in src/lib.rs).

use std::fs;
use std::path::{Path, PathBuf};

/// The layers with those that they may use besides themselves.
const MAY_USE: &[(&str, &[&str])] = &[
    ("units", &[]),
    ("words", &[]),
    ("machine", &["units", "words"]),
    ("document", &["units", "words", "machine"]),
    ("jobs", &["units", "words", "machine"]),
    (
        "observe",
        &["units", "words", "machine", "jobs", "document"],
    ),
    ("compare", &["units", "words", "document"]),
    ("plan", &["units", "words", "document"]),
    (
        "audit",
        &["units", "words", "machine", "jobs", "document", "compare"],
    ),
    ("print", &["units", "words", "document", "compare", "plan"]),
    ("screen", &["units", "words", "document", "print"]),
    ("record", &["units", "words", "machine", "jobs", "observe"]),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every `crate::NAME` in a file, wherever it stands.
fn used(text: &str) -> Vec<&str> {
    let behind = text.split("crate::").skip(1);
    behind
        .map(|rest| rest.split(|letter: char| !letter.is_alphanumeric() && letter != '_'))
        .filter_map(|mut words| words.next())
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn no_layer_knows_one_that_it_should_not() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    assert!(files.len() > 30, "the sources were found");
    for file in files {
        let within = file.strip_prefix(&src).unwrap().with_extension("");
        let layer = within.iter().next().unwrap().to_str().unwrap();
        let Some((_, may_use)) = MAY_USE.iter().find(|(name, _)| *name == layer) else {
            assert!(
                ["main", "lib", "cli", "commands", "fuzzing"].contains(&layer),
                "{} is of no layer",
                file.display()
            );
            continue;
        };
        let text = fs::read_to_string(&file).unwrap();
        assert!(
            !text.contains("crate::{"),
            "{}: one line for each module",
            file.display()
        );
        for name in used(&text) {
            let allowed = name == layer || may_use.contains(&name);
            assert!(allowed, "{} uses crate::{name}", file.display());
        }
    }
}

#[test]
fn the_map_of_the_source_has_the_same_arrows() {
    let map = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    for (layer, may_use) in MAY_USE {
        let names = [format!("[`{layer}`]"), format!("[`mod@{layer}`]")];
        let mut rows = map.lines().filter_map(|line| line.strip_prefix("//! | "));
        let row = rows.find(|row| names.iter().any(|name| row.starts_with(name)));
        let cells: Vec<&str> = row.unwrap().trim_end_matches('|').split('|').collect();
        assert_eq!(cells[2].trim(), may_use.join(", "), "{layer}");
    }
}

#[test]
fn only_observe_and_record_open_files() {
    const DOORS: &[&str] = &[
        "std::fs",
        "std::{fs",
        "rustix::fs",
        "File::open",
        "File::create",
        "tempfile::",
        "procfs::process",
    ];
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    for file in files {
        let within = file.strip_prefix(&src).unwrap().with_extension("");
        let text = fs::read_to_string(&file).unwrap();
        let opens = DOORS.iter().any(|word| text.contains(word));
        // Fuzzing makes an archive in memory. What --dir, --output and --svg write is no part of an observation.
        let may_open = [
            "observe",
            "record",
            "fuzzing",
            "commands/folder",
            "commands/replaced_file",
            "commands/fleet/sections",
        ]
        .iter()
        .any(|layer| within.starts_with(layer));
        assert!(!opens || may_open, "{} opens files", within.display());
        // From a file at the top this would lead to every layer, unseen by the test above.
        let is_at_top = within.components().count() == 1;
        assert!(
            !(is_at_top && text.replace("use super::*;", "").contains("use super::")),
            "{}",
            within.display()
        );
    }
}
