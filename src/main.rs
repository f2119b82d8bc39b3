//! The program: parse the command line, call, print, turn the outcome into an exit code.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use numa_audit::audit::diff::{Diff, diff};
use numa_audit::audit::finding::{Finding, Severity};
use numa_audit::audit::home::Hints;
use numa_audit::audit::outline::outline;
use numa_audit::audit::rules::Rule;
use numa_audit::audit::verdict::Verdict;
use numa_audit::audit::{Limits, Report, Scope, Settings, audit};
use numa_audit::cli::{self, Cli, Command, FailOn, Judge, MemoryHow};
use numa_audit::model::gap::{Fact, Gap, Reason, seconds};
use numa_audit::model::memory::Bytes;
use numa_audit::model::outline::{Expected, Outline};
use numa_audit::model::pci::PciAddress;
use numa_audit::model::process::Pid;
use numa_audit::model::window::Window;
use numa_audit::model::{Machine, Origin};
use numa_audit::record::{self, Options};
use numa_audit::report::terminal::{Surroundings, Terminal, harmless};
use numa_audit::report::{self, explain, json, remedies, table, topology};
use numa_audit::source::{
    Invocation, MemoryReading, Source, Subjects, answer, is_recording, observe, read_audit,
    read_expected, read_topology_file, user_number, watch,
};

/// It could not run: a bad argument, an unreadable snapshot.
const COULD_NOT_RUN: u8 = 2;

/// How long a recording may take where nobody says: it reads all memory maps whole.
const RECORDING: Duration = Duration::from_secs(300);

type Trouble = Box<dyn std::error::Error>;

fn main() -> ExitCode {
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
            answer(*parent, *from, library.as_deref(), io::stdout());
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

fn rule_named(name: &str) -> Result<&'static Rule, Trouble> {
    Rule::named(name).ok_or_else(|| format!("no rule {name:?}: numa-audit rules lists them").into())
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
    let expected = cli
        .places
        .expect
        .as_deref()
        .map(read_expected)
        .transpose()?;
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
    Ok(ExitCode::from(exit_code(
        &report,
        cli.judge.fail_on.unwrap_or_default(),
    )))
}

/// How to judge this machine.
fn settings(
    cli: &Cli,
    judge: &Judge,
    expected: Option<Expected>,
    machine: &Machine,
) -> Result<Settings, Trouble> {
    let default = Limits::default();
    let mib = judge.remote_mib.map(|mib| Bytes(u64::from(mib) << 20));
    let allowed = judge.allow.iter().map(|name| Ok(rule_named(name)?.name));
    Ok(Settings {
        limits: Limits {
            remote_percent: judge.remote_percent.unwrap_or(default.remote_percent),
            remote_bytes: mib.unwrap_or(default.remote_bytes),
        },
        scope: scope(judge, machine)?,
        hints: hints(cli, machine)?,
        strict_node: judge.strict_node,
        expected,
        allowed: allowed.collect::<Result<_, Trouble>>()?,
    })
}

fn run_topology(cli: &Cli) -> Result<ExitCode, Trouble> {
    let mut expected = cli
        .places
        .expect
        .as_deref()
        .map(read_expected)
        .transpose()?;
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
    let code = if is_held { held_exit_code(&report) } else { 0 };
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
        true => report::diff_json::diff(&diff),
        false => report::diff::diff(&diff, what.all, &terminal(cli)),
    })?;
    let fail_on = what.judge.fail_on.unwrap_or(FailOn::AtRisk);
    Ok(ExitCode::from(diff_exit_code(&diff, fail_on)))
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
    let limit = cli.from.deadline.unwrap_or(RECORDING);
    let source = source.asking_through(oneself()).within(limit);
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
    let lacks = table::gaps(&report, &terminal(cli));
    let path = harmless(&path.display().to_string());
    // It is there, whether or not anybody reads this.
    let _ = write!(io::stderr(), "recorded {count} {word} to {path}\n{lacks}");
    Ok(ExitCode::SUCCESS)
}

fn source(cli: &Cli) -> Result<Source, Trouble> {
    let source = match &cli.from.snapshot {
        Some(path) => Source::snapshot(path)?,
        None => Source::live(cli.from.nvml_lib.clone()),
    };
    let source = source.asking_through(oneself());
    let source = source.within(cli.from.deadline.unwrap_or(Source::USUAL_DEADLINE));
    Ok(
        source.reading_memory(match cli.from.memory.unwrap_or_default() {
            MemoryHow::Sample => MemoryReading::Sample,
            MemoryHow::Exact => MemoryReading::Exact,
            MemoryHow::None => MemoryReading::None,
        }),
    )
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

/// This program as one that asks NVML. The link leads to what is running, even if that was replaced or deleted since, or
/// never had a name.
fn oneself() -> Invocation {
    Invocation {
        program: "/proc/self/exe".into(),
        arguments: vec!["ask-nvml".to_owned()],
    }
}

fn subjects(cli: &Cli) -> Subjects {
    match cli.from.pid.as_slice() {
        [] => Subjects::GpuUsers,
        pids => Subjects::Named(pids.iter().copied().map(Pid).collect()),
    }
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

fn hints(cli: &Cli, machine: &Machine) -> Result<Hints, Trouble> {
    let mut hints = Hints::default();
    if let Some(path) = &cli.places.topology {
        hints.places = read_topology_file(path)?;
    }
    for given in &cli.places.gpu_node {
        if let Some(node) = given
            .nodes
            .iter()
            .find(|node| !machine.topology.nodes().contains_key(node))
        {
            return Err(format!("no node {node} here, for GPU {:?}", given.gpu).into());
        }
        hints
            .overrides
            .insert(gpu_named(&given.gpu, machine)?, given.nodes.clone());
    }
    Ok(hints)
}

fn scope(judge: &Judge, machine: &Machine) -> Result<Scope, Trouble> {
    let gpus = judge.gpu.iter().map(|name| gpu_named(name, machine));
    let gpus = gpus.collect::<Result<BTreeSet<u32>, Trouble>>()?;
    let uid = judge.user.as_ref().map(|name| user_named(name, machine));
    Ok(Scope {
        gpus: (!judge.gpu.is_empty()).then_some(gpus),
        uid: uid.transpose()?,
    })
}

/// A GPU by its index, its PCI address, or its UUID, of which the beginning is enough.
fn gpu_named(name: &str, machine: &Machine) -> Result<u32, Trouble> {
    let address = name.parse::<PciAddress>().ok();
    let index = name.parse::<u32>().ok();
    let matches = |gpu: &&numa_audit::model::gpu::Gpu| {
        let by_uuid = gpu
            .uuid
            .as_ref()
            .is_some_and(|uuid| name.len() > 4 && uuid.starts_with(name));
        by_uuid || index == Some(gpu.index) || (address.is_some() && gpu.address == address)
    };
    let found: Vec<u32> = machine
        .gpus
        .iter()
        .filter(matches)
        .map(|gpu| gpu.index)
        .collect();
    match found.as_slice() {
        [one] => Ok(*one),
        [] if machine.gpus.is_empty() => {
            Err(format!("no GPU {name:?}: there is none at all").into())
        }
        [] => {
            let there = numa_audit::model::cpus::ranges(machine.gpus.iter().map(|gpu| gpu.index));
            Err(format!("no GPU {name:?}: there are {there}").into())
        }
        _ => Err(format!("{name:?} begins the UUIDs of several GPUs").into()),
    }
}

fn user_named(name: &str, machine: &Machine) -> Result<u32, Trouble> {
    let named = machine.users.iter().find(|(_, user)| *user == name);
    let named = named.map(|(uid, _)| *uid).or_else(|| {
        // One who has no process here.
        let is_live = machine.host.origin == Origin::Live;
        is_live.then(|| user_number(name)).flatten()
    });
    match (named, name.parse()) {
        (Some(uid), _) => Ok(uid),
        (None, Ok(uid)) => Ok(uid),
        (None, Err(_)) => Err(format!("no user {name:?} is known here").into()),
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

/// 1 for what was found wrong; 3 where nothing is, and not everything could be judged.
fn exit_code(report: &Report, fail_on: FailOn) -> u8 {
    let summary = &report.summary;
    let failed = report.findings.iter().any(|finding| match fail_on {
        FailOn::Mismatch => finding.severity == Severity::Error,
        // Warnings about the machine alone put no process at risk.
        FailOn::AtRisk => finding.severity <= Severity::Warning && !finding.pids.is_empty(),
        FailOn::Never => false,
    });
    match (failed, summary.is_complete) {
        (true, _) => 1,
        (false, false) => 3,
        (false, true) => 0,
    }
}

/// 1 where the machine is not as expected; 3 where that is not known of all of it.
fn held_exit_code(report: &Report) -> u8 {
    let is_other = |finding: &Finding| finding.rule == "not-as-expected";
    let is_unknown = |gap: &Gap| matches!(gap.fact, Fact::Expected(_));
    match (
        report.findings.iter().any(is_other),
        report.gaps.iter().any(is_unknown),
    ) {
        (true, _) => 1,
        (false, true) => 3,
        (false, false) => 0,
    }
}

/// 1 for what got worse; 3 where nothing was seen to, and something could have.
fn diff_exit_code(diff: &Diff, fail_on: FailOn) -> u8 {
    let process = diff.processes.iter().any(|change| match fail_on {
        FailOn::AtRisk => change.worsened_to.is_some(),
        FailOn::Mismatch => change.worsened_to == Some(Verdict::Mismatch),
        FailOn::Never => false,
    });
    let mut findings = diff.findings.iter().filter(|change| change.is_worse);
    let finding = findings.any(|change| match fail_on {
        FailOn::AtRisk => true,
        FailOn::Mismatch => change.severity == Some(Severity::Error),
        FailOn::Never => false,
    });
    match (process || finding, diff.is_open) {
        (true, _) => 1,
        (false, true) => 3,
        (false, false) => 0,
    }
}
