//! Runs the program and reads what it printed.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::support::{HANG, PATIENCE, PATIENT};

/// What one run gave.
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// The JSON document; there must be nothing else on stdout.
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_str(&self.stdout) {
            Ok(document) => document,
            Err(error) => panic!("{error} in {}{}", self.stdout, self.stderr),
        }
    }

    /// One clear sentence on stderr, nothing on stdout, exit 2.
    #[track_caller]
    pub fn fails_with(&self, sentence: &str) {
        assert_eq!(self.stderr, format!("numa-audit: {sentence}\n"));
        assert_eq!(self.stdout, "");
        assert_eq!(self.code, Some(2));
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }
}

/// The program, with an environment that does not depend on who runs the tests, and patient.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_numa-audit"));
    command.stdin(Stdio::null());
    for variable in ["COLUMNS", "NO_COLOR", "TERM"] {
        command.env_remove(variable);
    }
    // Boxes are drawn with lines.
    command.env("LC_ALL", "C.UTF-8");
    command.env(PATIENCE, PATIENT);
    command
}

pub fn run<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Run {
    program()
        .args(arguments)
        .output()
        .expect("it starts")
        .into()
}

pub fn fixture(name: &str) -> PathBuf {
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    fixtures.join(format!("{name}.tar.gz"))
}

/// Runs what must not take time out of proportion, as a search that is quadratic in the depth of a tree would.
#[track_caller]
pub fn ends<T>(run: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = run();
    assert!(start.elapsed() < HANG, "{:?}", start.elapsed());
    result
}

/// The audit of a recorded machine.
pub fn replay(name: &str, arguments: &[&str]) -> Run {
    let path = fixture(name);
    let mut command = program();
    command.args(arguments).arg("--snapshot").arg(path);
    command.output().expect("it starts").into()
}

/// The processes of a document that have this role.
pub fn of_role<'a>(document: &'a Value, role: &str) -> Vec<&'a Value> {
    let processes = document["processes"].as_array().expect("an array");
    processes
        .iter()
        .filter(|process| process["role"] == role)
        .collect()
}

/// The findings that name processes: not those about the machine.
pub fn about_processes(document: &Value) -> Vec<&Value> {
    let findings = document["findings"].as_array().expect("an array");
    let names_some = |finding: &&Value| finding["pids"] != serde_json::json!([]);
    findings.iter().filter(names_some).collect()
}

/// The first finding of a rule.
#[track_caller]
pub fn finding<'a>(document: &'a Value, rule: &str) -> &'a Value {
    let findings = document["findings"].as_array().expect("an array");
    match findings.iter().find(|finding| finding["rule"] == rule) {
        Some(finding) => finding,
        None => panic!("no {rule} in {findings:#?}"),
    }
}

/// The main table of a screen, with its header: no finding changes it.
#[track_caller]
pub fn main_table(screen: &str) -> String {
    let is_header = |line: &&str| line.split_whitespace().take(2).eq(["GPU", "ROLE"]);
    let lines = screen.lines().skip_while(|line| !is_header(line));
    let table: Vec<&str> = lines.take_while(|line| !line.is_empty()).collect();
    assert!(!table.is_empty(), "no table in\n{screen}");
    table.join("\n") + "\n"
}

/// All findings of one rule on a screen, each with the lines that belong to it.
pub fn findings_of(screen: &str, rule: &str) -> String {
    let mark = format!("[{rule}]: ");
    let mut is_of_rule = false;
    let of_rule = |line: &&str| {
        if !line.starts_with(' ') {
            is_of_rule = line.contains(&mark);
        }
        is_of_rule
    };
    let lines: Vec<&str> = screen.lines().filter(of_rule).collect();
    lines.join("\n") + "\n"
}

/// A text without its colours.
pub fn without_colour(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let mut stripped = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        stripped += part.split_once('m').expect("a colour's end").1;
    }
    stripped
}
