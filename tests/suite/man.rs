//! `numa-audit man`: the manual pages.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::cli::{help, listed};
use crate::program::run;
use crate::support::passed_over;

/// The subcommands that the help lists, but for `help` itself.
pub fn subcommands() -> Vec<String> {
    let text = help(&["-h"]);
    let lines = text.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = lines.take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.split_whitespace().next());
    names
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

fn write_pages(folder: &Path) {
    let run = run(["man", "--dir", folder.to_str().unwrap()]);
    assert_eq!(
        (run.code, run.stdout, run.stderr),
        (Some(0), String::new(), String::new())
    );
}

/// The pages by file name. The source of a page writes a hyphen as `\-`.
fn pages(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let page = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        (name.to_owned(), text.replace(r"\-", "-"))
    };
    entries.map(|path| page(&path)).collect()
}

#[test]
fn every_subcommand_has_a_page_with_all_of_its_options() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("not/there/yet");
    write_pages(&folder);
    let mut pages = pages(&folder);
    let subcommands = subcommands();
    assert_eq!(pages.len(), subcommands.len() + 1, "{:?}", pages.keys());
    for subcommand in std::iter::once(None).chain(subcommands.iter().map(Some)) {
        let name = subcommand.map_or("numa-audit.1".to_owned(), |name| {
            format!("numa-audit-{name}.1")
        });
        let page = pages.remove(&name).unwrap_or_else(|| panic!("{name}"));
        let arguments: Vec<_> = subcommand
            .map(String::as_str)
            .into_iter()
            .chain(["-h"])
            .collect();
        let help = help(&arguments);
        let options = listed(&help);
        assert!(options.contains(&"--help"), "{name}: {options:?}");
        for option in options {
            assert!(
                page.contains(&format!(r"\fB{option}\fR")),
                "{name} lacks {option}: {page}"
            );
        }
        for heading in [
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "OPTIONS",
            "EXIT STATUS",
            "SEE ALSO",
        ] {
            assert!(
                page.contains(&format!(".SH {heading}\n"))
                    || page.contains(&format!(".SH \"{heading}\"\n")),
                "{name} lacks {heading}"
            );
        }
    }
}

#[test]
fn man_has_no_warnings_about_the_pages() {
    let folder = tempfile::tempdir().unwrap();
    write_pages(folder.path());
    for name in pages(folder.path()).keys() {
        let mut man = Command::new("man");
        man.args(["--warnings", "--local-file", name])
            .current_dir(folder.path());
        man.env("LC_ALL", "C.UTF-8").env("MANPAGER", "cat");
        let Ok(output) = man.output() else {
            return passed_over("man is not installed");
        };
        let (text, warnings) = (output.stdout, output.stderr);
        assert_eq!(String::from_utf8_lossy(&warnings), "", "{name}");
        assert!(output.status.success(), "{name}");
        assert!(
            String::from_utf8_lossy(&text).contains("SYNOPSIS"),
            "{name}"
        );
    }
}

#[test]
fn one_page_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    write_pages(folder.path());
    for (arguments, name) in [
        (&["man"][..], "numa-audit.1"),
        (&["man", "diff"], "numa-audit-diff.1"),
    ] {
        let page = fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(help(arguments), page);
    }
    run(["man", "ask-nvml"])
        .fails_with("there is no subcommand \"ask-nvml\"; numa-audit --help lists them");
    run(["man", "--dir", "/dev/null/pages"])
        .fails_with("cannot write /dev/null/pages: Not a directory (os error 20)");
}
