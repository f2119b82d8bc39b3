//! The picture as a file: --svg.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::program::{Run, fixture, program, run};

const NAME: &str = "p4d-do-not-match";

fn with_svg(path: &Path, arguments: &[&str]) -> Run {
    let mut command = program();
    command.args(arguments).arg("--snapshot").arg(fixture(NAME));
    command.arg("--svg").arg(path);
    Run::from(command.output().unwrap())
}

fn without(arguments: &[&str]) -> Run {
    let mut command = program();
    command.args(arguments).arg("--snapshot").arg(fixture(NAME));
    Run::from(command.output().unwrap())
}

#[test]
fn the_picture_is_written_besides_what_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("picture.svg");
    for arguments in [
        &[][..],
        &["--json"],
        &["--csv"],
        &["--quiet"],
        &["topology"],
        &["topology", "--json"],
    ] {
        let (run, plain) = (with_svg(&path, arguments), without(arguments));
        assert_eq!(
            (run.code, &run.stdout),
            (plain.code, &plain.stdout),
            "{arguments:?}"
        );
        let text = fs::read_to_string(&path).unwrap();
        let svg = roxmltree::Document::parse(&text).unwrap();
        assert_eq!(svg.root_element().tag_name().name(), "svg");
        fs::remove_file(&path).unwrap();
    }
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        0,
        "nothing else is left"
    );
}

#[test]
fn the_result_is_its_title() {
    let run = with_svg(Path::new("-"), &[]);
    assert_eq!(run.code, Some(1));
    let svg = roxmltree::Document::parse(&run.stdout).unwrap();
    let title = svg.root_element().first_element_child().unwrap();
    assert_eq!(
        title.text(),
        Some("All 5 processes are on another NUMA node than their GPU")
    );
    let says = |text: &str| svg.descendants().any(|node| node.text() == Some(text));
    assert!(says("trainer 254 + 4 workers"));
    assert!(says("run here; their GPU is attached to another node"));
    let outside = ["href", "<script", "<image", "@import", "url("];
    assert!(outside.iter().all(|word| !run.stdout.contains(word)));
}

#[test]
fn a_saved_document_has_the_same_picture() {
    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().join("audit.json");
    for arguments in [&[][..], &["topology"]] {
        let mut json = arguments.to_vec();
        json.push("--json");
        fs::write(&saved, without(&json).stdout).unwrap();
        let shown = run(["show", saved.to_str().unwrap(), "--svg", "-"]);
        assert_eq!(shown.stdout, with_svg(Path::new("-"), arguments).stdout);
    }
}

#[test]
fn only_a_regular_file_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (target, link) = (folder.path().join("target"), folder.path().join("link"));
    fs::write(&target, "kept").unwrap();
    symlink(&target, &link).unwrap();
    for (path, why) in [
        (link.as_path(), "it is a link"),
        (folder.path(), "it is a folder"),
        (
            &folder.path().join("no/x"),
            "No such file or directory (os error 2)",
        ),
    ] {
        let run = with_svg(path, &[]);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""));
        assert!(
            run.stderr.starts_with("numa-audit: cannot write ")
                && run.stderr.trim_end().ends_with(why),
            "{}",
            run.stderr
        );
        assert_eq!(run.stderr.lines().count(), 1);
    }
    assert_eq!(fs::read_to_string(&target).unwrap(), "kept");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn the_umask_says_who_may_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("picture.svg");
    let mut shell = Command::new("sh");
    shell.args([
        "-c",
        "umask 027; exec \"$@\"",
        "sh",
        env!("CARGO_BIN_EXE_numa-audit"),
        "--snapshot",
    ]);
    shell.arg(fixture(NAME)).arg("--svg").arg(&path);
    assert_eq!(shell.output().unwrap().status.code(), Some(1));
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o640);
}

#[test]
fn a_running_machine_is_drawn_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("map.svg");
    let run = run(["topology", "--svg", path.to_str().unwrap()]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(fs::read_to_string(&path).unwrap().starts_with("<?xml"));
}

#[test]
fn the_picture_of_the_readme() {
    let run = with_svg(Path::new("-"), &[]);
    let picture = snapbox::file!["../../fixtures/p4d-do-not-match.svg"];
    snapbox::assert_data_eq!(run.stdout, picture.raw());
}

#[test]
fn a_file_that_is_read_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().join("audit.json");
    let text = without(&["--json"]).stdout;
    fs::write(&saved, &text).unwrap();
    let same = folder.path().join("./audit.json");
    let (saved, same) = (saved.to_str().unwrap(), same.to_str().unwrap());
    for arguments in [
        ["show", saved, "--svg", same],
        ["show", saved, "--html", same],
        ["fleet", saved, "--html", same],
    ] {
        let run = run(arguments);
        let why = format!("numa-audit: cannot write {same}: it is a file that is read\n");
        assert_eq!((run.code, run.stderr), (Some(2), why));
    }
    let run = run(["diff", saved, saved, "--html", same]);
    assert_eq!(run.code, Some(2));
    assert_eq!(fs::read_to_string(saved).unwrap(), text);
}
