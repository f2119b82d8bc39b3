//! The program: parse the command line, call, print, turn the outcome into an exit code.

mod exit_code;
mod typed;

use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use crate::audit::outline::outline;
use crate::audit::{Settings, audit};
use crate::cli::{self, Cli, Command, FailOn};
use crate::compare::diff;
use crate::document::outline::{Expected, Outline};
use crate::machine::Machine;
use crate::machine::gap::{Fact, Reason};
use crate::machine::window::Window;
use crate::observe::{Source, Subjects, answer, is_recording, observe, read_audit, watch};
use crate::print::terminal::{Surroundings, Terminal, harmless};
use crate::print::{explain, gaps, json, remedies, table, topology};
use crate::record::{self, Options};
use crate::units::seconds;
use clap::Parser;

use typed::{expected, hints, oneself, patience, rule_named, settings, source, subjects};

/// It could not run: a bad argument, an unreadable snapshot.
const COULD_NOT_RUN: u8 = 2;

/// How long a recording may take where nobody says: it reads all memory maps whole.
const RECORDING: Duration = Duration::from_secs(300);

type Trouble = Box<dyn std::error::Error>;

/// Runs what the command line says.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too. Whoever does not want to read them is not to be told.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(COULD_NOT_RUN));
        }
    };
    match run(&cli) {
        Ok(code) => code,
        Err(trouble) => {
            let _ = writeln!(
                io::stderr(),
                "numa-audit: {}",
                harmless(&trouble.to_string())
            );
            ExitCode::from(COULD_NOT_RUN)
        }
    }
}

fn run(cli: &Cli) -> Result<ExitCode, Trouble> {
    match &cli.command {
        None => run_audit(cli),
        Some(Command::Topology) => {
            refuse("topology", cli, &[("--pid", !cli.from.pid.is_empty())])?;
            run_topology(cli)
        }
        Some(Command::Diff(what)) => run_diff(cli, what),
        Some(Command::Rules) => {
            refuse("rules", cli, &machine_options(cli))?;
            print(&match cli.print.json {
                true => json::rules(),
                false => explain::rules(&terminal(cli)),
            })?;
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Explain { rule }) => {
            let ignored = [&machine_options(cli)[..], &[("--json", cli.print.json)]].concat();
            refuse("explain", cli, &ignored)?;
            print(&explain::explain(rule_named(rule)?, &terminal(cli)))?;
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::AskNvml {
            parent,
            from,
            library,
        }) => {
            answer(*parent, *from, library.as_deref())?;
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Record(what)) => {
            let ignored = [
                ("--snapshot", cli.from.snapshot.is_some()),
                ("--topology", cli.places.topology.is_some()),
                ("--gpu-node", !cli.places.gpu_node.is_empty()),
                ("--expect", cli.places.expect.is_some()),
                ("--json", cli.print.json),
            ];
            refuse("record", cli, &ignored)?;
            let options = Options {
                note: what.note.clone(),
                redact: what.redact,
            };
            run_record(cli, &what.path, &options)
        }
    }
}

/// The options that say which machine, and what is known of it.
fn machine_options(cli: &Cli) -> [(&'static str, bool); 7] {
    [
        ("--deadline", cli.from.deadline.is_some()),
        ("--snapshot", cli.from.snapshot.is_some()),
        ("--pid", !cli.from.pid.is_empty()),
        ("--nvml-lib", cli.from.nvml_lib.is_some()),
        ("--topology", cli.places.topology.is_some()),
        ("--gpu-node", !cli.places.gpu_node.is_empty()),
        ("--expect", cli.places.expect.is_some()),
    ]
}

/// Refuses options that a subcommand would ignore, those of an audit among them.
fn refuse(command: &str, cli: &Cli, ignored: &[(&str, bool)]) -> Result<(), Trouble> {
    let given = ignored.iter().find(|(_, is_given)| *is_given);
    match cli.audit_option().or(given.map(|(option, _)| *option)) {
        Some(option) => Err(format!("{command} does not go with {option}").into()),
        None => Ok(()),
    }
}

fn run_audit(cli: &Cli) -> Result<ExitCode, Trouble> {
    let expected = expected(cli)?;
    let (source, subjects) = (source(cli)?, subjects(cli));
    let window = window(cli, &source, &subjects)?;
    let mut machine = observe(source, &subjects).machine;
    machine.window = window;
    ensure_named_are_there(&machine)?;
    let settings = settings(cli, &cli.judge, expected, &machine)?;
    let report = audit(machine, &settings);
    match (cli.print.json, cli.print.remedies) {
        (true, _) => print_by(|out| json::write_report(&report, out))?,
        (false, true) => print(&remedies::remedies(&report))?,
        (false, false) => print(&table::report(&report, cli.print.all, &terminal(cli)))?,
    }
    Ok(ExitCode::from(exit_code::of_audit(
        &report,
        cli.judge.fail_on.unwrap_or_default(),
    )))
}

/// What is seen over a while, if that was asked for.
fn window(cli: &Cli, source: &Source, subjects: &Subjects) -> Result<Option<Window>, Trouble> {
    match (cli.from.window, &cli.from.snapshot) {
        (None, _) => Ok(None),
        (Some(_), Some(_)) => {
            Err("--for does not go with --snapshot: a recording is of one moment".into())
        }
        (Some(length), None) => Ok(watch(source, subjects, length)?),
    }
}

fn run_topology(cli: &Cli) -> Result<ExitCode, Trouble> {
    let mut expected = expected(cli)?;
    if let Some(Expected::Audit(outline)) = &mut expected {
        // Nobody looks for processes here.
        outline.processes = None;
    }
    let is_held = expected.is_some();
    let machine = observe(source(cli)?, &Subjects::Nobody).machine;
    let settings = Settings {
        hints: hints(cli, &machine)?,
        expected,
        ..Settings::default()
    };
    let report = audit(machine, &settings);
    print(&match cli.print.json {
        true => json::topology_only(&report),
        false => topology::topology(&report, &terminal(cli)),
    })?;
    // Who asks for the map alone asks for no judgement.
    let code = if is_held {
        exit_code::of_map(&report)
    } else {
        0
    };
    Ok(ExitCode::from(code))
}

fn run_diff(cli: &Cli, what: &cli::Diff) -> Result<ExitCode, Trouble> {
    if let Some(option) = cli.audit_option() {
        return Err(format!("{option} stands after diff, or does not go with it").into());
    }
    let is_given = what.after.is_some();
    let ignored = [
        ("--expect", cli.places.expect.is_some()),
        (
            "AFTER and --snapshot",
            is_given && cli.from.snapshot.is_some(),
        ),
        ("AFTER and --pid", is_given && !cli.from.pid.is_empty()),
        (
            "AFTER and --nvml-lib",
            is_given && cli.from.nvml_lib.is_some(),
        ),
    ];
    refuse("diff", cli, &ignored)?;
    let before = outline_of(cli, what, &what.before)?;
    let after = match &what.after {
        Some(path) => outline_of(cli, what, path)?,
        None => outline_of_machine(cli, what, source(cli)?, &subjects(cli))?,
    };
    let diff = diff(&before, &after);
    print(&match cli.print.json {
        true => crate::print::diff_json::diff(&diff),
        false => crate::print::diff::diff(&diff, what.all, &terminal(cli)),
    })?;
    let fail_on = what.judge.fail_on.unwrap_or(FailOn::AtRisk);
    Ok(ExitCode::from(exit_code::of_diff(&diff, fail_on)))
}

/// The audit that a path tells, or that is made of the recording there.
fn outline_of(cli: &Cli, what: &cli::Diff, path: &Path) -> Result<Outline, Trouble> {
    match is_recording(path) {
        true => outline_of_machine(cli, what, Source::snapshot(path)?, &Subjects::GpuUsers),
        false => Ok(read_audit(path)?),
    }
}

fn outline_of_machine(
    cli: &Cli,
    what: &cli::Diff,
    source: Source,
    subjects: &Subjects,
) -> Result<Outline, Trouble> {
    let machine = observe(source, subjects).machine;
    ensure_named_are_there(&machine)?;
    let settings = settings(cli, &what.judge, None, &machine)?;
    Ok(outline(&audit(machine, &settings)))
}

fn run_record(cli: &Cli, path: &Path, options: &Options) -> Result<ExitCode, Trouble> {
    record::ensure_new(path)?;
    let source = Source::live_tapped(cli.from.nvml_lib.clone());
    let patience = patience()?;
    let limit = cli.from.deadline.unwrap_or(patience.times(RECORDING));
    let source = source
        .asking_through(oneself())
        .patience(patience)
        .within(limit);
    let observation = observe(source, &subjects(cli));
    // What a recording lacks cannot be seen later: half a one would pass for the whole.
    if observation.is_late {
        let whole = seconds(limit);
        return Err(
            format!("not all was read within {whole} (--deadline): nothing is recorded").into(),
        );
    }
    ensure_named_are_there(&observation.machine)?;
    let machine = observation.machine.clone();
    record::record(observation, path, options)?;
    let count = machine.processes.len();
    let word = if count == 1 { "process" } else { "processes" };
    // What is not in it will be missed where nobody can go back.
    let report = audit(machine, &Settings::default());
    let lacks = gaps::gaps(&report, &terminal(cli));
    let path = harmless(&path.display().to_string());
    // It is there, whether or not anybody reads this.
    let _ = write!(io::stderr(), "recorded {count} {word} to {path}\n{lacks}");
    Ok(ExitCode::SUCCESS)
}

/// A PID that somebody typed and that is not there is a slip, not a gap.
fn ensure_named_are_there(machine: &Machine) -> Result<(), Trouble> {
    let unseen = machine.gaps.iter().filter(|gap| gap.fact == Fact::Process);
    let mut unseen = unseen.filter_map(|gap| Some((gap.pid?, &gap.reason)));
    match unseen.find(|(pid, _)| machine.named.contains(pid)) {
        Some((pid, Reason::Absent | Reason::Gone)) => {
            Err(format!("there is no process {pid}").into())
        }
        // It is there; and what else there is can be told.
        Some((_, Reason::TimedOut(_) | Reason::Late(_))) => Ok(()),
        Some((pid, reason)) => Err(format!("process {pid} cannot be read: {reason}").into()),
        None => Ok(()),
    }
}

fn terminal(cli: &Cli) -> Terminal {
    let stdout = io::stdout();
    let is_terminal = stdout.is_terminal();
    let size = is_terminal
        .then(|| rustix::termios::tcgetwinsize(&stdout).ok())
        .flatten();
    let variable = |name| std::env::var_os(name);
    let (columns, no_color, term) = (variable("COLUMNS"), variable("NO_COLOR"), variable("TERM"));
    let around = Surroundings {
        is_terminal,
        columns: size.map(|size| size.ws_col).filter(|columns| *columns > 0),
        columns_variable: columns.as_deref(),
        no_color: no_color.as_deref(),
        term: term.as_deref(),
    };
    Terminal::new(cli.print.color, around)
}

fn print(text: &str) -> Result<(), Trouble> {
    print_by(|out| out.write_all(text.as_bytes()))
}

/// Prints what `write` writes. A reader that has seen enough and closes the pipe is no trouble.
fn print_by(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Trouble> {
    let mut stdout = BufWriter::with_capacity(32 << 10, io::stdout().lock());
    match write(&mut stdout).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(format!("cannot write the report: {error}").into())
        }
        _ => Ok(()),
    }
}
