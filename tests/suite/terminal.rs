//! Text from processes and recordings cannot act on a terminal, and no line is too wide.

use crate::machine::{PLACED, Process, Tree, with_trainer};
use crate::program::{Run, of_role, program};

#[test]
fn no_line_is_wider_than_the_terminal_with_long_cpu_lists() {
    let even: Vec<String> = (0..112)
        .step_by(2)
        .map(|cpu: u32| cpu.to_string())
        .collect();
    let tree = with_trainer(&Process {
        threads: &[(0, "0,2,4,6,8,10,12,14,16,18,20,22,24")],
        ..PLACED
    });
    tree.file("sys/devices/system/node/node0/cpulist", &even.join(","));
    for columns in [50, 60, 80, 100, 200] {
        for arguments in [&[][..], &["topology"]] {
            let mut command = program();
            command
                .arg("--snapshot")
                .arg(tree.folder.path())
                .args(arguments);
            command.env("COLUMNS", columns.to_string());
            let text = Run::from(command.output().unwrap()).stdout;
            let widest = text.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(columns), "{columns}:\n{text}");
            assert!(
                !text.lines().any(|line| line.trim() == "G"),
                "a header broken in a word:\n{text}"
            );
        }
    }
}

#[test]
fn control_characters_in_files_are_escaped() {
    let tree = with_trainer(&Process {
        numa_maps: Some("7f0000000000 e\x1b]0;x\x07:0 anon=1 N0=1 kernelpagesize_kB=4\n"),
        ..PLACED
    });
    let table = tree.audit(&["--color", "never"]).stdout;
    assert!(!table.contains(['\x1b', '\x07']), "{table}");
    tree.file(
        "nvml.json",
        "{\"gpus\": [{\"index\": 0, \"processes\": [{\"pid\": 1, \"kind\": \"\\u001b[2J\"}]}]}",
    );
    let mut command = program();
    let run = Run::from(
        command
            .arg("--snapshot")
            .arg(tree.folder.path())
            .output()
            .unwrap(),
    );
    assert_eq!(run.code, Some(2));
    assert!(
        !run.stderr.contains('\x1b') && run.stderr.lines().count() == 1,
        "{}",
        run.stderr
    );
}

#[test]
fn control_characters_in_names_are_escaped() {
    let tree = with_trainer(&Process {
        name: "\x1b[31m) S 1 (\u{202E}y\n",
        ..PLACED
    });
    let table = tree.audit(&["--all"]).stdout + &tree.audit(&["--color", "never"]).stdout;
    assert!(!table.contains(['\x1b', '\u{202E}']), "{table}");
    let document = tree.audit(&["--json"]).json();
    let trainer = of_role(&document, "trainer")[0];
    assert_eq!(trainer["name"], "\x1b[31m) S 1 (\u{202E}y\n");
}

/// A policy of an unknown mode, longer than the kernel writes; found by fuzzing whole recordings.
#[test]
fn control_characters_in_a_memory_policy_are_escaped() {
    let mode = format!("\x1b[31m{}", "x".repeat(80));
    let maps = format!("7f0000000000 {mode} anon=1 N0=1 kernelpagesize_kB=4\n");
    let tree = with_trainer(&Process {
        numa_maps: Some(&maps),
        ..PLACED
    });
    let run = tree.audit(&["--all"]);
    assert!(run.stdout.contains("\\u{1b}[31mx"), "{}", run.stdout);
    assert!(!run.stdout.contains('\x1b'), "{}", run.stdout);
}

/// comfy-table counts widths in 16 bits; found by fuzzing whole recordings.
#[test]
fn a_name_longer_than_any_table_is_truncated() {
    let name = "x ".repeat(35_000);
    let mut tree = Tree::new();
    tree.trainer(&Process {
        name: &name,
        ..PLACED
    });
    let folder = "sys/bus/pci/devices/0000:10:1c.0";
    tree.file(&format!("{folder}/net/{}/type", "eth".repeat(80)), "1\n");
    for arguments in [&["--all"][..], &[], &["topology"]] {
        let mut command = tree.command(arguments);
        command.env("COLUMNS", "200");
        tree.audit(arguments);
        let run = Run::from(command.output().unwrap());
        assert_eq!(
            (run.code, run.stderr.as_str()),
            (Some(0), ""),
            "{arguments:?}"
        );
    }
}
