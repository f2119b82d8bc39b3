//! `--html`: the page as a file and on standard output. What it looks like is tested in a browser (tests/browser).

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::program::{fixture, program, run};

const NAME: &str = "p4d-do-not-match";

/// Every element that stays open or is closed too often.
fn unbalanced(page: &str) -> Vec<String> {
    const EMPTY: [&str; 5] = ["meta", "br", "input", "!DOCTYPE", "link"];
    let mut open: Vec<&str> = Vec::new();
    let mut faults = Vec::new();
    let (body, _) = page.split_once("<script>").unwrap();
    for tag in body.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap();
        let name = tag.split([' ', '\n']).next().unwrap();
        match name.strip_prefix('/') {
            Some(name) if open.last() == Some(&name) => drop(open.pop()),
            Some(name) => faults.push(format!("</{name}> in {open:?}")),
            None if EMPTY.contains(&name) => {}
            None => open.push(name),
        }
    }
    assert_eq!(open, ["html", "body"]);
    faults
}

#[test]
fn a_page_is_written_besides_what_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.html");
    let archive = fixture(NAME);
    let plain = program().arg("--snapshot").arg(&archive).output().unwrap();
    let mut command = program();
    command
        .arg("--snapshot")
        .arg(&archive)
        .arg("--html")
        .arg(&file);
    let run = command.output().unwrap();
    assert_eq!(run.stdout, plain.stdout);
    assert_eq!(run.status.code(), Some(1), "that of the audit");
    let page = fs::read_to_string(&file).unwrap();
    assert!(page.starts_with("<!DOCTYPE html><html lang=\"en\">"));
    assert!(page.ends_with("</body></html>\n"));
    assert_eq!(unbalanced(&page), [""; 0]);
    // Each process has its row, also those that a terminal folds.
    for pid in [254, 265, 266, 267, 268, 245] {
        assert_eq!(
            page.matches(&format!("<tr id=\"p{pid}\"")).count(),
            1,
            "{pid}"
        );
    }
    // What `explain` says of a rule.
    assert!(page.contains("copy from there to the GPU was measured"));
    assert!(
        !page.contains("What cpus-crowded"),
        "of rules that are not broken nothing"
    );
    let written = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(written, 1, "nothing unfinished is left");
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o111, 0);
}

#[test]
fn on_standard_output_the_page_is_alone() {
    let archive = fixture(NAME);
    let archive = archive.to_str().unwrap();
    for arguments in [
        &["--snapshot", archive][..],
        &["--snapshot", archive, "--json"],
        &["topology", "--snapshot", archive],
        &["diff", archive, archive],
        &["fleet", archive],
    ] {
        let run = run([arguments, &["--html", "-"]].concat());
        assert!(
            run.stdout.starts_with("<!DOCTYPE html>"),
            "{arguments:?} {}",
            run.stderr
        );
        assert!(run.stdout.ends_with("</body></html>\n"), "{arguments:?}");
        assert_eq!(unbalanced(&run.stdout), [""; 0], "{arguments:?}");
        assert_ne!(run.code, Some(2));
    }
}

#[test]
fn what_cannot_be_written_is_said_before_the_audit() {
    let archive = fixture(NAME);
    let archive = archive.to_str().unwrap();
    for start in [
        &["--snapshot", archive][..],
        &["diff", archive, archive],
        &["fleet", archive],
    ] {
        let run = run([start, &["--html", "/does/not/exist/page.html"]].concat());
        let start = "numa-audit: cannot write /does/not/exist/page.html: ";
        assert!(run.stderr.starts_with(start), "{}", run.stderr);
        assert_eq!((run.stdout.as_str(), run.code), ("", Some(2)));
    }
    let both = run(["--snapshot", archive, "--html", "-", "--svg", "-"]);
    both.fails_with("only one of --svg, --html can be `-`");
}

#[test]
fn of_a_machine_with_several_documents_the_section_is_the_one_that_counts() {
    let read = |name: &str| {
        let archive = fixture(name);
        run(["--json", "--snapshot", archive.to_str().unwrap()]).json()
    };
    let (mut early, mut late) = (read(NAME), read("p4d-bound"));
    for (document, time) in [
        (&mut early, "2026-11-22T07:00:00Z"),
        (&mut late, "2026-11-22T08:00:00Z"),
    ] {
        document["host"]["hostname"] = "n1".into();
        document["host"]["recorded_at"] = time.into();
    }
    let folder = tempfile::tempdir().unwrap();
    for texts in [[&early, &late], [&late, &early]] {
        let file = folder.path().join("all.jsonl");
        fs::write(
            &file,
            texts.map(|document| format!("{document}\n")).concat(),
        )
        .unwrap();
        let run = run(["fleet", file.to_str().unwrap(), "--html", "-"]);
        assert_eq!(run.stdout.matches("<details class=\"machine").count(), 1);
        assert!(run.stdout.contains("2026-11-22T08:00:00Z"));
        assert!(!run.stdout.contains("2026-11-22T07:00:00Z"));
        assert_eq!(run.code, Some(0));
    }
}
