//! The command line: which options a subcommand takes, what help looks like, and output that cannot be written.

use std::fs::OpenOptions;
use std::process::{Command, Stdio};

use crate::live::Sleeper;
use crate::program::{Run, fixture, program, run};

const SUBCOMMANDS: [&str; 11] = [
    "audit", "topology", "diff", "show", "record", "rules", "explain", "metrics", "plan", "watch",
    "fleet",
];

/// The arguments without which a subcommand does not start.
fn needed(subcommand: &str) -> &'static [&'static str] {
    match subcommand {
        "diff" | "show" | "fleet" => &["/nonexistent"],
        "record" => &["/nonexistent/new"],
        "explain" => &["cpu-remote"],
        _ => &[],
    }
}

/// Every option with an allowed value, and the subcommands to which it applies.
const OPTIONS: &[(&[&str], &[&str])] = &[
    (
        &["--snapshot", "/nonexistent"],
        &["audit", "topology", "diff", "metrics", "plan", "watch"],
    ),
    (&["--pid", "1"], &["audit", "diff", "record", "watch"]),
    (&["--for", "1s"], &["audit", "metrics"]),
    (&["--memory", "none"], &["audit", "metrics", "watch"]),
    (
        &["--deadline", "9s"],
        &[
            "audit", "topology", "diff", "record", "metrics", "plan", "watch",
        ],
    ),
    (
        &["--nvml-lib", "/nonexistent"],
        &[
            "audit", "topology", "diff", "record", "metrics", "plan", "watch",
        ],
    ),
    (
        &["--gpu-node", "0=0"],
        &["audit", "topology", "diff", "metrics", "plan", "watch"],
    ),
    (
        &["--topology", "/nonexistent"],
        &["audit", "topology", "diff", "metrics", "plan", "watch"],
    ),
    (
        &["--expect", "/nonexistent"],
        &["audit", "topology", "metrics", "watch", "fleet"],
    ),
    (&["--gpu", "0"], &["audit", "diff", "metrics", "watch"]),
    (&["--user", "0"], &["audit", "diff", "metrics", "watch"]),
    (&["--job", "1"], &["audit", "diff", "metrics", "watch"]),
    (
        &["--remote-percent", "5"],
        &["audit", "diff", "metrics", "watch"],
    ),
    (
        &["--remote-mib", "5"],
        &["audit", "diff", "metrics", "watch"],
    ),
    (&["--strict-node"], &["audit", "diff", "metrics", "watch"]),
    (
        &["--allow", "cpu-remote"],
        &["audit", "diff", "metrics", "watch"],
    ),
    (&["--fail-on", "never"], &["audit", "diff", "show", "fleet"]),
    (
        &["--json"],
        &["audit", "topology", "diff", "show", "rules", "fleet"],
    ),
    (&["--csv"], &["audit", "show"]),
    (&["--remedies"], &["audit"]),
    (&["--all"], &["audit", "diff", "show", "watch", "fleet"]),
    (&["--quiet"], &["audit", "topology", "diff", "show"]),
    (&["--gres"], &["topology"]),
    (&["--svg", "/nonexistent/x"], &["audit", "topology", "show"]),
    (
        &["--html", "/nonexistent/x"],
        &["audit", "topology", "show", "diff", "fleet"],
    ),
    (&["--ascii"], &["topology", "show"]),
    (&["--note", "text"], &["record"]),
    (&["--redact"], &["record"]),
    (&["--every", "60s"], &["metrics", "watch"]),
    (&["--listen", "127.0.0.1:0"], &["metrics"]),
    (&["--output", "/nonexistent/x"], &["metrics"]),
    (&["--by", "job"], &["metrics"]),
    (
        &["--color", "never"],
        &[
            "audit", "topology", "diff", "show", "record", "rules", "explain", "plan", "watch",
            "fleet",
        ],
    ),
    (&["--hosts", "a"], &["fleet"]),
    (&["--gpus", "0"], &["plan"]),
    (&["--ranks", "1"], &["plan"]),
    (&["--order", "pci"], &["plan"]),
    (&["--workers", "1"], &["plan"]),
    (&["--exclusive"], &["plan"]),
    (&["--reserve", "0"], &["plan"]),
    (&["--format", "json"], &["plan"]),
    (&["--dir", "/nonexistent/x"], &["plan"]),
];

#[track_caller]
fn is_refused(arguments: &[&str], sentence: &str) {
    let run = run(arguments);
    let first = run.stderr.lines().next().unwrap_or_default();
    assert_eq!(first, format!("error: {sentence}"), "{arguments:?}");
    assert_eq!(run.stdout, "");
    assert_eq!(run.code, Some(2));
}

pub fn help(arguments: &[&str]) -> String {
    let run = run(arguments);
    assert_eq!(run.code, Some(0), "{arguments:?}");
    assert_eq!(run.stderr, "");
    run.stdout
}

/// The long options that a help text lists.
pub fn listed(help: &str) -> Vec<&str> {
    let words = help.lines().filter_map(|line| {
        let line = line.trim_start();
        line.strip_prefix("-h, ")
            .or(line.strip_prefix("-V, "))
            .or(Some(line))
    });
    let names = words.filter(|line| line.starts_with("--"));
    names
        // `--gres[=<NODES>]`
        .filter_map(|line| line.split([' ', '[']).next())
        .collect()
}

#[test]
fn every_subcommand_refuses_options_that_do_not_apply_to_it() {
    for (option, subcommands) in OPTIONS {
        for subcommand in SUBCOMMANDS {
            if !subcommands.contains(&subcommand) {
                let arguments = [&[subcommand], needed(subcommand), *option].concat();
                let name = option[0];
                is_refused(&arguments, &format!("unexpected argument '{name}' found"));
            }
        }
    }
}

#[test]
fn every_subcommand_lists_exactly_the_options_that_apply_to_it() {
    for subcommand in SUBCOMMANDS {
        let help = help(&[subcommand, "-h"]);
        let mut listed = listed(&help);
        let mut expected: Vec<&str> = OPTIONS
            .iter()
            .filter(|(_, subcommands)| subcommands.contains(&subcommand))
            .map(|(option, _)| option[0])
            .chain(["--help"])
            .collect();
        listed.sort_unstable();
        expected.sort_unstable();
        assert_eq!(listed, expected, "{subcommand}");
    }
}

#[test]
fn an_option_before_the_subcommand_is_refused_with_advice() {
    for option in [
        &["--json"][..],
        &["--snapshot", "x"],
        &["--pid", "1"],
        &["--color", "never"],
    ] {
        for subcommand in SUBCOMMANDS {
            let arguments = [option, &[subcommand]].concat();
            let advice =
                format!("options stand after the subcommand: numa-audit {subcommand} [OPTIONS]");
            is_refused(&arguments, &advice);
        }
    }
}

#[test]
fn the_audit_is_the_default_subcommand() {
    let path = fixture("p4d-do-not-match");
    let options = [
        "--json",
        "--strict-node",
        "--snapshot",
        path.to_str().unwrap(),
    ];
    let named = run(["audit"].iter().chain(&options));
    let default = run(options);
    assert_eq!(named.stdout, default.stdout);
    assert_eq!(named.code, default.code);
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    is_refused(
        &["--for", "1s", "--snapshot", "x"],
        "the argument '--for <DURATION>' cannot be used with '--snapshot <PATH>'",
    );
    is_refused(
        &["--snapshot", "x", "--nvml-lib", "y"],
        "the argument '--snapshot <PATH>' cannot be used with '--nvml-lib <PATH>'",
    );
    is_refused(
        &["--remedies", "--json"],
        "the argument '--remedies' cannot be used with '--json'",
    );
    for option in ["--snapshot <PATH>", "--pid <PID>...", "--nvml-lib <PATH>"] {
        let name = option.split(' ').next().unwrap();
        is_refused(
            &["diff", "a", "b", name, "1"],
            &format!("the argument '[AFTER]' cannot be used with '{option}'"),
        );
    }
}

#[test]
fn values_out_of_range_are_refused() {
    for arguments in [
        ["--remote-percent", "101"],
        ["--remote-mib", "-1"],
        ["--for", "1"],
        ["--for", "99ms"],
        ["--for", "25h"],
        ["--deadline", "0s"],
        ["--gpu-node", "0"],
        ["--gpu-node", "0="],
        ["--memory", "all"],
        ["--no-such", "1"],
    ] {
        let run = run(arguments);
        assert_eq!(run.code, Some(2), "{arguments:?}");
        assert!(run.stderr.starts_with("error: "), "{}", run.stderr);
    }
}

#[test]
fn pids_may_be_separated_by_blanks() {
    let sleepers = [Sleeper::new(), Sleeper::new(), Sleeper::new()];
    let mut pids = sleepers.each_ref().map(Sleeper::pid);
    pids.sort_by_key(|pid| pid.parse::<u32>().unwrap());
    let [a, b, c] = pids.each_ref().map(String::as_str);
    let (commas, mixed) = ([a, b, c].join(","), [b, c].join(","));
    for way in [
        &["--pid", a, b, c][..],
        &["--pid", &commas],
        &["--pid", a, &mixed],
        &["--pid", a, "--pid", b, "--pid", c],
    ] {
        let options = ["--json", "--nvml-lib", "/nonexistent"];
        let document = run(way.iter().chain(&options)).json();
        let processes = document["processes"].as_array().unwrap();
        let seen: Vec<_> = processes.iter().map(|of| of["pid"].to_string()).collect();
        assert_eq!(seen, pids, "{way:?}");
    }
}

#[test]
fn a_pid_is_a_number_from_1_up() {
    for (text, why) in [
        ("0", "PIDs start at 1"),
        ("4294967296", "not a PID"),
        (
            "12a",
            "not a PID; arguments that are not options stand before --pid",
        ),
    ] {
        let sentence = format!("invalid value '{text}' for '--pid <PID>...': {why}");
        is_refused(&["--pid", text], &sentence);
        is_refused(&["audit", "--pid", "1", text], &sentence);
    }
    is_refused(
        &["record", "--pid", "1", "box.tar.gz"],
        "invalid value 'box.tar.gz' for '--pid <PID>...': not a PID; arguments that are not options stand before --pid",
    );
    is_refused(&["--pid=1", "2"], "unexpected argument '2' found");
}

#[test]
fn help_fits_100_columns_and_every_option_has_a_help_text() {
    let texts = SUBCOMMANDS.map(|subcommand| [subcommand, "-h"]);
    let long = SUBCOMMANDS.map(|subcommand| [subcommand, "--help"]);
    for arguments in texts.iter().chain(&long).map(|pair| &pair[..]) {
        let text = help(arguments);
        for line in text.lines() {
            assert!(line.chars().count() <= 100, "{arguments:?}: {line}");
        }
    }
    for arguments in [
        &["-h"][..],
        &["audit", "-h"],
        &["topology", "-h"],
        &["diff", "-h"],
        &["record", "-h"],
    ] {
        let text = help(arguments);
        assert!(
            text.lines().all(|line| line.chars().count() <= 100),
            "{text}"
        );
        for line in text
            .lines()
            .filter(|line| line.trim_start().starts_with('-'))
        {
            // The text stands in the same line, behind two blanks.
            let (_, text) = line.trim_start().split_once("  ").unwrap_or_default();
            assert!(!text.trim().is_empty(), "{arguments:?}: {line}");
        }
    }
    assert_eq!(help(&["help", "topology"]), help(&["topology", "--help"]));
    assert!(help(&["--version"]).starts_with("numa-audit "));
}

/// What is printed: an audit, the smaller forms, help and version.
const PRINTS: &[&[&str]] = &[
    &["topology"],
    &["rules", "--json"],
    &["explain", "cpu-remote"],
    &["--help"],
    &["diff", "-h"],
    &["--version"],
];

#[test]
fn output_that_cannot_be_written_is_an_error() {
    for arguments in PRINTS {
        let mut command = program();
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let run = Run::from(command.args(*arguments).stdout(full).output().unwrap());
        run.fails_with("cannot write the output: No space left on device (os error 28)");
    }
}

#[test]
fn a_closed_standard_output_is_an_error() {
    for arguments in PRINTS {
        let mut shell = Command::new("sh");
        shell.args(["-c", "exec \"$0\" \"$@\" >&-"]);
        shell.arg(program().get_program()).args(*arguments);
        let run = Run::from(shell.output().unwrap());
        run.fails_with("cannot write the output: standard output is closed");
    }
}

#[test]
fn a_closed_pipe_is_a_quiet_end_of_help() {
    for arguments in [["--help"], ["rules"]] {
        let mut command = program();
        command
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        let run = Run::from(child.wait_with_output().unwrap());
        assert_eq!(run.stderr, "");
        assert_eq!(run.code, Some(0));
    }
}
