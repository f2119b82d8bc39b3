//! `numa-audit completions`, in the shells themselves.

use std::path::Path;
use std::process::Command;

use crate::cli::help;
use crate::support::passed_over;

/// A command line, and a part of what completes its last word.
const CASES: &[(&str, &[&str])] = &[
    ("numa-audit --mem", &["--memory"]),
    ("numa-audit --memory ", &["sample", "exact", "none"]),
    ("numa-audit dif", &["diff"]),
    ("numa-audit diff --fail-on at", &["at-risk"]),
    ("numa-audit topology --exp", &["--expect"]),
    ("numa-audit plan --format s", &["sglang", "sh", "slurm"]),
    ("numa-audit --allow cpu", &["cpu-near", "cpu-remote"]),
    ("numa-audit diff --allow pol", &["policy-remote"]),
    ("numa-audit explain ", &["cpu-remote", "pinned-remote"]),
    ("numa-audit explain mem", &["memory-near", "memory-remote"]),
    ("numa-audit schema ", &["audit", "fleet", "plan"]),
    (
        "numa-audit --snapshot fixtures/p4d-b",
        &["fixtures/p4d-bound.tar.gz"],
    ),
];

/// What the shell offers for each command line: a line `> COMMAND LINE` and the words, each at the start of a line.
fn offered(shell: &str, arguments: &[&str]) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("_numa-audit");
    std::fs::write(&script, help(&["completions", shell])).unwrap();
    let mut command = Command::new(shell);
    command.args(arguments).arg(&script);
    command.args(CASES.iter().map(|(line, _)| line));
    command
        .env("TMPDIR", folder.path())
        .env("HOME", folder.path())
        .env("TERM", "dumb");
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")));
    let Ok(output) = command.output() else {
        passed_over(&format!("{shell} is not installed"));
        return None;
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shell}: {errors}");
    assert_eq!(errors, "", "{shell}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[track_caller]
fn completes(shell: &str, arguments: &[&str]) {
    let Some(offered) = offered(shell, arguments) else {
        return;
    };
    for (line, words) in CASES {
        let behind = offered.split(&format!("> {line}\n")).nth(1).unwrap();
        let own = behind.split("> ").next().unwrap();
        let found: Vec<_> = own
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        for word in *words {
            assert!(found.contains(word), "{shell}: {line:?} gives {found:?}");
        }
    }
    assert!(!offered.contains("ask-nvml"), "{shell}: {offered}");
}

#[test]
fn bash_completes_options_values_subcommands_and_files() {
    // Files are bash's own answer where the function has none.
    const SCRIPT: &str = r#"
        . "$1"
        name=$(complete -p numa-audit | sed 's/.* -F \([^ ]*\) .*/\1/')
        for line in "${@:2}" "numa-audit "; do
            echo "> $line"
            read -ra COMP_WORDS <<<"$line"
            [[ $line != *" " ]] || COMP_WORDS+=("")
            COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            "$name" numa-audit "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"
            [ ${#COMPREPLY[@]} -eq 0 ] || printf '%s\n' "${COMPREPLY[@]}"
        done"#;
    completes("bash", &["--norc", "--noprofile", "-c", SCRIPT, "bash"]);
}

#[test]
fn fish_completes_options_values_subcommands_and_files() {
    const SCRIPT: &str = r#"
        source $argv[1]
        for line in $argv[2..] "numa-audit "
            echo "> $line"
            complete --do-complete $line
        end"#;
    completes("fish", &["--no-config", "-c", SCRIPT]);
}

/// What zsh offers can only be seen in its line editor.
#[test]
fn zsh_loads_the_completions() {
    const SCRIPT: &str = r#"
        fpath=(${1:h} $fpath)
        autoload -Uz compinit
        compinit -u -d ${1:h}/dump
        autoload +X $_comps[numa-audit]
        echo $functions[_numa-audit]"#;
    if let Some(loaded) = offered("zsh", &["-f", "-c", SCRIPT, "zsh"]) {
        for word in [
            "--memory=",
            "_numa-audit__subcmd__diff_commands",
            "at-risk",
            "pinned-remote",
            "_files",
        ] {
            assert!(loaded.contains(word), "{word}: {loaded}");
        }
        assert!(!loaded.contains("ask-nvml"), "{loaded}");
    }
}
