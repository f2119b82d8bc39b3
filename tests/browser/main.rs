//! The pages and the pictures in a real browser: Debian's chromium, led by playwright-core (tests/browser/package.json).
//!
//! `check.mjs` says what is checked. With `NUMA_AUDIT_SCREENSHOTS=FOLDER` it leaves the pages there with a screenshot of each at each width, and
//! with `NUMA_AUDIT_PICTURES=FOLDER` it looks at the SVG files there too.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used
)]

mod hostile;
mod made_up;
mod pages;

#[path = "../support/mod.rs"]
#[allow(dead_code)]
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::passed_over;

/// The first of these programs that is in PATH.
fn found(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut files = names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    files.find(|file| file.is_file())
}

#[test]
fn pages_and_pictures_hold_in_a_browser() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let Some(chromium) = found(&["chromium", "chromium-browser", "google-chrome"]) else {
        return passed_over("there is no chromium");
    };
    let Some(node) = found(&["node", "nodejs"]) else {
        return passed_over("there is no node");
    };
    if !folder.join("node_modules/playwright-core").is_dir() {
        return passed_over("there is no playwright-core: npm ci --prefix tests/browser");
    }
    let temporary = tempfile::tempdir().unwrap();
    let screenshots = std::env::var_os("NUMA_AUDIT_SCREENSHOTS").map(PathBuf::from);
    let pages = screenshots.as_deref().unwrap_or(temporary.path());
    std::fs::create_dir_all(pages).unwrap();
    pages::write(pages);
    let more = std::env::var_os("NUMA_AUDIT_PICTURES");
    let more = more.map_or(0, |folder| pages::copy_pictures(Path::new(&folder), pages));
    let mut command = Command::new(node);
    command.arg(folder.join("check.mjs")).arg(chromium);
    command.arg(pages).args(&screenshots);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    // Nothing was left out.
    let all = format!("18 pages and {} pictures", 12 + more);
    assert!(text.starts_with(&all), "{text}");
}
