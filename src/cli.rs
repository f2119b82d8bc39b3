//! The command line: what can be typed. Each subcommand has exactly the groups of options that apply to it, so clap
//! refuses the others.

mod duration;
mod export;
mod fleet;
mod judgement;
mod machine;
mod metrics;
mod output;
mod packaging;
mod plan;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use export::{ExportArgs, PageArgs};
pub(crate) use fleet::FleetArgs;
pub(crate) use judgement::{ExitArgs, FailOn, JudgementArgs};
pub(crate) use machine::{HomeNodeArgs, MachineArgs, MemoryArgs, NvmlArgs, PidArgs};
pub(crate) use metrics::{MetricsArgs, MetricsBy};
pub(crate) use output::{ColorArgs, MapArgs, OutputArgs};
pub(crate) use packaging::{CompletionShell, CompletionsArgs, ManArgs};
pub(crate) use plan::PlanArgs;
pub(crate) use watch::WatchArgs;

/// Check on which NUMA nodes deep-learning processes run and keep their memory.
///
/// Shows, for each training and worker process, the NUMA node that its GPU is attached to, the nodes on which its
/// threads run and may run, and the nodes on which its memory is. Reports where these do not match, why, and what would
/// fix it. Without a subcommand it audits this machine. It only reads.
#[derive(Debug, Parser)]
#[command(
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = true,
    after_help = AUDIT_EXIT_CODES
)]
pub(crate) struct Cli {
    /// What to do instead of an audit.
    #[command(subcommand)]
    pub(crate) command: Option<CliCommand>,
    /// How to audit.
    #[command(flatten)]
    pub(crate) audit: AuditArgs,
}

const AUDIT_EXIT_CODES: &str = "\
Exit codes:
  0  no mismatch (processes at risk do not count, see --fail-on)
  1  a mismatch, or another error
  2  numa-audit could not run: a wrong argument, an unreadable file
  3  no mismatch was seen, but not everything could be judged";

const TOPOLOGY_EXIT_CODES: &str = "\
Exit codes:
  0  the map was printed; with --expect: the machine is as expected
  1  with --expect: the machine differs
  2  numa-audit could not run: a wrong argument, an unreadable file
  3  with --expect: not everything could be compared";

const DIFF_EXIT_CODES: &str = "\
Exit codes:
  0  nothing got worse
  1  something got worse: the verdict on a process, on its CPUs or on its memory, or there is a
     new error, or a new warning about a process (--fail-on mismatch: a new mismatch or error)
  2  numa-audit could not run: a wrong argument, an unreadable file
  3  nothing got worse as far as is known, but not everything in AFTER could be judged, or a judged
     process of BEFORE has no matching one in AFTER
Problems that are in both audits do not count.";

const FLEET_EXIT_CODES: &str = "\
Exit codes:
  0  no mismatch on any machine
  1  a mismatch, or another error, on a machine
  2  numa-audit could not run: a wrong argument, or no document could be read
  3  no mismatch was seen, but not everything could be judged, a document could not be read, or a
     host of --hosts is missing";

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum CliCommand {
    /// Audit this machine, or a recorded one (the default).
    #[command(after_help = AUDIT_EXIT_CODES)]
    Audit(Box<AuditArgs>),
    /// Print the map: NUMA nodes with their CPUs, memory, distances, GPUs and controllers.
    ///
    /// With --expect it also compares the map with a saved one. That is meant for the prolog of a batch system: it does not
    /// matter which other jobs run on the machine.
    #[command(after_help = TOPOLOGY_EXIT_CODES)]
    Topology(TopologyArgs),
    /// Compare two audits: what moved, what got better and what got worse.
    ///
    /// BEFORE and AFTER are JSON documents of this program (--json) or recordings (`numa-audit record`). Recordings are
    /// audited first, with the options given here.
    ///
    /// A process is matched by its PID and start time. If that fails, a trainer is matched by its rank, its local rank or
    /// its GPU, and the workers of matched trainers in the order of their start. Processes without a match are new or gone.
    /// A change of memory within one percent, or within the error of an estimate, is not reported.
    #[command(after_help = DIFF_EXIT_CODES)]
    Diff(Box<DiffArgs>),
    /// Print a saved JSON document as a table.
    ///
    /// FILE is what --json or `topology --json` printed. The exit code is that of the saved audit.
    #[command(after_help = AUDIT_EXIT_CODES)]
    Show(ShowArgs),
    /// Print an audit as metrics for Prometheus, once or again and again.
    ///
    /// Without --output and --listen the text is printed.
    #[command(after_help = metrics::EXIT_CODES)]
    Metrics(Box<MetricsArgs>),
    /// Show an audit on a screen that is refreshed every 2 seconds.
    ///
    /// The rows are those of the audit. What changed is marked, CPU time is shown by node, and threads that moved between nodes
    /// are counted. Enter shows one process with its threads, its memory by node and kind, and its findings with their fixes.
    /// It needs a terminal, and only reads. A recording (--snapshot) is shown once.
    #[command(after_help = watch::EXIT_CODES)]
    Watch(Box<WatchArgs>),
    /// Show the audits of many machines in one view.
    ///
    /// Which machines are wrong, which of their jobs, and what differs between machines that should be alike.
    ///
    /// Reads the JSON documents of audits (or of `topology --json`), one after the other in files and on standard input, and
    /// folders of them. Recordings are audited first. Lines may have labels, as those of `srun -l` and pdsh have. Of a
    /// folder the files are read whose names end in .json, .jsonl, .ndjson, .tar.gz or .tgz.
    ///
    /// Of several documents of one host an audit counts rather than a map, and then the latest. Machines with GPUs of the same
    /// models should be alike: what most of them have is the pattern, and those that differ are named. That does not change
    /// the exit code.
    #[command(after_help = FLEET_EXIT_CODES)]
    Fleet(FleetArgs),
    /// Print where each rank of a job should run, before it starts.
    ///
    /// One rank for each GPU, on the CPUs and the memory of the GPU's NUMA node, as a table or in the words of what starts the
    /// job. CPUs outside of the cpuset or the allocation that this command runs in are not used, nor are isolated ones. With
    /// `--format json` the plan can be compared with the running job: numa-audit --expect plan.json.
    #[command(after_help = plan::EXIT_CODES)]
    Plan(Box<PlanArgs>),
    /// Print the JSON Schema of the documents that --json prints.
    Schema(SchemaArgs),
    /// Record what an audit reads, to audit it elsewhere with --snapshot.
    ///
    /// Writes copies of the files in /proc and /sys that an audit reads, and NVML's answers, to a folder or to a .tar.gz
    /// archive. PATH must not exist yet. Only processes that an audit would show are recorded, and of their environments
    /// only a list of harmless variables, such as RANK and CUDA_VISIBLE_DEVICES. Command lines are kept, with any secrets
    /// in them, unless --redact is given.
    ///
    /// It reads the whole of /proc/PID/numa_maps, as an audit does with --memory exact. The kernel then walks all page
    /// tables of the process: about 14 ms of CPU time for each GiB in 4 KiB pages (huge pages cost next to nothing). Up to
    /// Linux 6.18 the process cannot map or unmap memory while one of its mappings is walked: a process with 8 GiB in a
    /// single mapping waited 0.3 s.
    Record(RecordArgs),
    /// List the rules.
    Rules(OutputArgs),
    /// Explain a rule: what it finds, why it costs, what it cannot know and what to do.
    Explain(ExplainArgs),
    /// Print the manual page, or write all of them to a folder.
    ///
    /// Without --dir the page is printed as its source: `numa-audit man | man -l -` shows it.
    Man(ManArgs),
    /// Print the completions of a shell.
    ///
    /// For the shell that runs now: `source <(numa-audit completions bash)`, or in fish
    /// `numa-audit completions fish | source`.
    Completions(CompletionsArgs),
    /// Ask NVML, for this program itself: a line of JSON for each part of the answer.
    #[command(hide = true)]
    AskNvml(AskNvmlArgs),
}

/// The arguments of an audit.
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
    #[command(flatten)]
    pub(crate) pid: PidArgs,
    /// Observe for this long (10s, 500ms), instead of once.
    ///
    /// Shows on which nodes CPU time was spent, which threads moved between nodes, and what the kernel counted meanwhile.
    /// From 100ms to 24h. Ctrl-C ends it early and prints what was seen.
    #[arg(long = "for", value_name = "DURATION", value_parser = machine::window, conflicts_with = "snapshot")]
    pub(crate) window: Option<Duration>,
    #[command(flatten)]
    pub(crate) memory: MemoryArgs,
    #[command(flatten)]
    pub(crate) home_nodes: HomeNodeArgs,
    #[command(flatten)]
    pub(crate) judgement: JudgementArgs,
    #[command(flatten)]
    pub(crate) exit: ExitArgs,
    /// Compare with a saved audit, map, plan or topology file.
    ///
    /// FILE is the JSON document of an audit (compares NUMA nodes, GPUs and, rank by rank, where trainers and workers are
    /// bound), the one of `topology --json` (compares NUMA nodes and GPUs), the one of `plan --format json` (compares each rank
    /// with the plan), or a topology file (compares the GPUs' home nodes). `-` is standard input. Each difference is an error, see `numa-audit explain not-as-expected`.
    #[arg(long, value_name = "FILE")]
    pub(crate) expect: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) export: ExportArgs,
    /// Print CSV: one row for each process.
    #[arg(long, conflicts_with_all = ["json", "all", "remedies"])]
    pub(crate) csv: bool,
    /// Print the fixes as a commented shell script, without running it.
    #[arg(long, conflicts_with_all = ["json", "all"])]
    pub(crate) remedies: bool,
    /// Print one row for each process and one line for each GPU.
    #[arg(long, conflicts_with = "json")]
    pub(crate) all: bool,
    /// Print one line about the worst that was found, and nothing if all is well.
    ///
    /// The line of exit code 3 begins with `numa-audit: incomplete:` and says what could not be judged.
    #[arg(long, conflicts_with_all = ["json", "all", "csv", "remedies"])]
    pub(crate) quiet: bool,
}

/// The arguments of `topology`.
#[derive(Debug, Args)]
pub(crate) struct TopologyArgs {
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
    #[command(flatten)]
    pub(crate) home_nodes: HomeNodeArgs,
    /// Compare with a saved map, audit, plan or topology file.
    ///
    /// FILE is the JSON document of `topology --json` or of an audit, of which only NUMA nodes and GPUs are compared, a plan
    /// (`plan --format json`), of which the GPUs and their nodes are compared, or a topology file, of which only the GPUs' home
    /// nodes are compared. `-` is standard input.
    #[arg(long, value_name = "FILE", help_heading = "Judgement")]
    pub(crate) expect: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) export: ExportArgs,
    #[command(flatten)]
    pub(crate) map: MapArgs,
    /// Print one line if the machine is not as expected, and nothing if it is.
    #[arg(long, requires = "expect", conflicts_with = "json")]
    pub(crate) quiet: bool,
    /// Print Slurm's gres.conf for the GPUs, with the cores of each one's NUMA node.
    ///
    /// Cores= are Slurm's logical numbers: the cores of the first socket, then those of the next one. NODES are the names for
    /// NodeName= (--gres=n[1-4]); without them the lines are for the gres.conf of this node. What is unknown is a comment.
    #[arg(long, value_name = "NODES", num_args = 0..=1, require_equals = true, default_missing_value = "",
          conflicts_with_all = ["json", "expect"], value_parser = packaging::slurm_nodes)]
    pub(crate) gres: Option<String>,
}

/// The arguments of `diff`.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The earlier audit: a JSON document (`-` is standard input) or a recording.
    pub(crate) before: PathBuf,
    /// The later audit [default: this machine now, or the one of --snapshot].
    #[arg(conflicts_with_all = ["snapshot", "pid", "nvml_lib"])]
    pub(crate) after: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
    #[command(flatten)]
    pub(crate) pid: PidArgs,
    #[command(flatten)]
    pub(crate) home_nodes: HomeNodeArgs,
    #[command(flatten)]
    pub(crate) judgement: JudgementArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) page: PageArgs,
    /// Exit with 1 if something got worse and is now this bad.
    #[arg(
        long,
        value_name = "VERDICT",
        default_value = "at-risk",
        help_heading = "Judgement"
    )]
    pub(crate) fail_on: FailOn,
    /// Print unchanged and unjudged processes too, one row for each process.
    #[arg(long, conflicts_with = "json")]
    pub(crate) all: bool,
    /// Print one line about what got worse, and nothing if nothing did.
    #[arg(long, conflicts_with_all = ["json", "all"])]
    pub(crate) quiet: bool,
}

/// The arguments of `show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The JSON document of an audit or of a map; `-` is standard input.
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) export: ExportArgs,
    #[command(flatten)]
    pub(crate) map: MapArgs,
    #[command(flatten)]
    pub(crate) exit: ExitArgs,
    /// Print CSV: one row for each process.
    #[arg(long, conflicts_with_all = ["json", "all"])]
    pub(crate) csv: bool,
    /// Print one row for each process and one line for each GPU.
    #[arg(long, conflicts_with = "json")]
    pub(crate) all: bool,
    /// Print one line about the worst that was found, and nothing if all is well.
    #[arg(long, conflicts_with_all = ["json", "all", "csv"])]
    pub(crate) quiet: bool,
}

/// The arguments of `schema`.
#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    /// The subcommand whose document it is.
    #[arg(value_name = "SUBCOMMAND", default_value = "audit")]
    pub(crate) of: SchemaOf,
}

/// The documents that have a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaOf {
    /// An audit, or a map.
    Audit,
    /// Many machines in one view.
    Fleet,
    /// Where the ranks of a job should run.
    Plan,
}

/// The arguments of `record`.
#[derive(Debug, Args)]
pub(crate) struct RecordArgs {
    /// A new folder, or a new file whose name ends in .tar.gz.
    pub(crate) path: PathBuf,
    /// Keep this text with the recording.
    #[arg(long, value_name = "TEXT", help_heading = "Recording")]
    pub(crate) note: Option<String>,
    /// Leave out command lines and names of users, of the host and of mapped files.
    ///
    /// Numbers of users and processes, the names of the processes and the GPUs' UUIDs stay.
    #[arg(long, help_heading = "Recording")]
    pub(crate) redact: bool,
    #[command(flatten)]
    pub(crate) pid: PidArgs,
    /// Record nothing if reading takes longer than this [default: 5m]
    #[arg(long, value_name = "DURATION", value_parser = machine::deadline)]
    pub(crate) deadline: Option<Duration>,
    #[command(flatten)]
    pub(crate) nvml: NvmlArgs,
    #[command(flatten)]
    pub(crate) color: ColorArgs,
}

/// The arguments of `explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The name of a rule; `numa-audit rules` lists them.
    pub(crate) rule: String,
    #[command(flatten)]
    pub(crate) color: ColorArgs,
}

/// The arguments of `ask-nvml`, which this program starts itself.
#[derive(Debug, Args)]
pub(crate) struct AskNvmlArgs {
    /// The PID of the process that asks; the query ends with it.
    pub(crate) parent: u32,
    /// The index of the first GPU to ask about.
    pub(crate) from: u32,
    /// The library to load.
    pub(crate) library: Option<PathBuf>,
}
