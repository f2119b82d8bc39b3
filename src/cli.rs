//! What may be typed, and nothing else.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::print::terminal::ColorChoice;
use crate::units::{NodeSet, parse_node_list};

/// Shows where deep-learning processes run and where their memory lies, against the NUMA nodes of
/// their GPUs. Reads only, and changes nothing.
///
/// Exit codes: 0 no mismatch (what is in place by chance is no mismatch, see --fail-on); 1 a mismatch; 2 it could not
/// run; 3 no mismatch was seen, but not everything could be judged.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Cli {
    /// What to do instead of an audit.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Which machine.
    #[command(flatten)]
    pub from: From,
    /// Where GPUs hang.
    #[command(flatten)]
    pub places: Places,
    /// How to judge.
    #[command(flatten)]
    pub judge: Judge,
    /// How to print.
    #[command(flatten)]
    pub print: Print,
}

impl Cli {
    /// The first option that says what to audit and how, of those that a subcommand would ignore.
    pub fn audit_option(&self) -> Option<&'static str> {
        let other = [
            ("--for", self.from.window.is_some()),
            ("--memory", self.from.memory.is_some()),
            ("--remedies", self.print.remedies),
            ("--all", self.print.all),
        ];
        let given = other.into_iter().find(|(_, is_given)| *is_given);
        self.judge.option().or(given.map(|(name, _)| name))
    }
}

impl Judge {
    /// The first of these options that was given.
    fn option(&self) -> Option<&'static str> {
        let Self {
            gpu,
            user,
            remote_percent,
            remote_mib,
            strict_node,
            allow,
            fail_on,
        } = self;
        let given = [
            ("--gpu", !gpu.is_empty()),
            ("--user", user.is_some()),
            ("--remote-percent", remote_percent.is_some()),
            ("--remote-mib", remote_mib.is_some()),
            ("--strict-node", *strict_node),
            ("--allow", !allow.is_empty()),
            ("--fail-on", fail_on.is_some()),
        ];
        given
            .into_iter()
            .find(|(_, is_given)| *is_given)
            .map(|(name, _)| name)
    }
}

/// What to do instead of an audit.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Record what an audit reads, to replay it elsewhere with --snapshot.
    ///
    /// Writes copies of the files below /proc and /sys that an audit reads, and NVML's answers: into a
    /// folder, or into an archive where PATH ends in .tar.gz. Of other processes than an audit would show
    /// nothing is kept; of their environments only variables such as RANK and CUDA_VISIBLE_DEVICES. Command lines
    /// are kept, with whatever secrets were typed into them, unless --redact is given. PATH must not exist yet.
    ///
    /// Each process's /proc/PID/numa_maps is read whole, as an audit does with --memory exact. The kernel walks all page
    /// tables of the process for it: about 14 ms of CPU for each GiB in 4 KiB pages (huge pages cost next to
    /// nothing). Up to Linux 6.18 the process cannot map or unmap memory while one of its mappings is walked: one with
    /// 8 GiB in a single mapping was seen to wait 0.3 s.
    Record(Record),
    /// Print the map: the NUMA nodes with their CPUs, memory, distances, GPUs and controllers.
    ///
    /// With --expect the exit code is 1 where the machine is another, and 3 where that is not known: for the prolog of a
    /// batch system, whoever else computes on the machine.
    Topology,
    /// Hold one audit against another: what moved, what got better and what got worse.
    ///
    /// BEFORE and AFTER are JSON documents of this program (--json) or recordings (record), which are audited with the
    /// options given here. Without AFTER: the machine that an audit would look at.
    ///
    /// The same process is known by its PID and start. Else a trainer is held against that of the same rank, the same
    /// local rank or the same GPU, and its workers one by one in the order of their start. What has no like is new or gone.
    /// Of memory a percent more or less, and what an estimate may be off, is no difference.
    ///
    /// Exit codes: 0 nothing got worse; 1 something did: the verdict on a process, or on its CPUs or memory alone, is worse,
    /// or there is an error, or a warning about a process, that was not there (with --fail-on mismatch: what is a mismatch
    /// now, and errors); 2 it could not run; 3 nothing was seen to get worse, but of AFTER not
    /// everything could be judged, or judged processes of BEFORE have no like there. What was wrong before and still is does
    /// not count: an audit of AFTER says so.
    Diff(Box<Diff>),
    /// List the rules.
    Rules,
    /// Say what a rule finds, why that costs, what it cannot know and what to do.
    Explain {
        /// A name from the list.
        rule: String,
    },
    /// Ask NVML, for this program itself: a line of JSON for each piece of the answer.
    #[command(hide = true)]
    AskNvml {
        /// The PID of the asker, with whom this ends.
        parent: u32,
        /// The index of the first GPU to ask for.
        from: u32,
        /// Where the library is.
        library: Option<PathBuf>,
    },
}

/// What is held against what.
#[derive(Debug, Args)]
pub struct Diff {
    /// The earlier audit: a JSON document, a recording's folder or its .tar.gz.
    pub before: PathBuf,
    /// The later one. [default: this machine now, or that of --snapshot]
    pub after: Option<PathBuf>,
    /// How to judge what is no document yet.
    #[command(flatten)]
    pub judge: Judge,
    /// Print the processes that are as they were and those that are not judged too, and give each a row of its own.
    #[arg(long, conflicts_with = "json")]
    pub all: bool,
}

/// What is recorded.
#[derive(Debug, Args)]
pub struct Record {
    /// A new folder, or a new file whose name ends in .tar.gz.
    pub path: PathBuf,
    /// A remark to keep with it.
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// Leave out command lines, user names, the host's name and the names of mapped files. Numbers of users and
    /// processes, the processes' own names and the GPUs' UUIDs stay.
    #[arg(long)]
    pub redact: bool,
}

/// Which machine, and which of its processes.
#[derive(Debug, Args)]
pub struct From {
    /// Audit a recorded machine: a folder or a .tar.gz, as `record` writes them.
    #[arg(long, value_name = "PATH", global = true)]
    pub snapshot: Option<PathBuf>,
    /// Audit these processes and their descendants, whether or not a GPU is involved (such as 12,34).
    #[arg(long, value_name = "PID", value_delimiter = ',', global = true,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub pid: Vec<u32>,
    /// Look for so long (10s, 500ms) instead of once: where CPU time is really spent, who moves between nodes, and what
    /// the kernel counts meanwhile. Ctrl-C ends it early.
    #[arg(long = "for", value_name = "DURATION", value_parser = window)]
    pub window: Option<Duration>,
    /// Look no longer than this, such as 10s or 500ms; what is not known by then is missing. A recording is
    /// made whole or not at all. The time of --for does not count. [default: 30s; for record 5m]
    #[arg(long, value_name = "DURATION", global = true, value_parser = deadline)]
    pub deadline: Option<Duration>,
    /// Load NVML from here. [default: libnvidia-ml.so.1, as the system finds it]
    #[arg(long, value_name = "PATH", global = true, conflicts_with = "snapshot")]
    pub nvml_lib: Option<PathBuf>,
    /// How to look at memory. A recording is always read exactly. [default: sample]
    #[arg(long, value_name = "HOW")]
    pub memory: Option<MemoryHow>,
}

/// How to look at memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum MemoryHow {
    /// Count small processes whole, and ask a few thousand pages of others: a few milliseconds each, however large.
    #[default]
    Sample,
    /// Count every page: about 14 ms for each GiB in 4 KiB pages, in which a process can be held up.
    Exact,
    /// Do not look: CPUs alone are judged. No process is called ok then, but that alone does not make the exit code 3.
    None,
}

/// Of less than this CPU time tells nothing; a longer one is a slip of the keyboard.
const WINDOWS: RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(24 * 60 * 60);

fn window(text: &str) -> Result<Duration, String> {
    let length = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    match WINDOWS.contains(&length) {
        true => Ok(length),
        false => Err("not from 100ms to 24h".to_owned()),
    }
}

fn deadline(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("nothing can be seen in no time".to_owned()),
        Ok(time) => Ok(time),
        Err(error) => Err(error.to_string()),
    }
}

/// What is known of the machine besides what it tells.
#[derive(Debug, Args)]
pub struct Places {
    /// A GPU hangs on these nodes, whatever the machine says (such as 0=1, or 0000:10:1c.0=0-1).
    #[arg(long, value_name = "GPU=NODES", global = true, value_parser = gpu_node)]
    pub gpu_node: Vec<GpuNode>,
    /// Believe this topology file: NCCL's XML (NCCL_TOPO_FILE, NCCL_TOPO_DUMP_FILE) or hwloc's (lstopo x.xml).
    #[arg(long, value_name = "FILE", global = true)]
    pub topology: Option<PathBuf>,
    /// This machine must equal FILE's: the JSON document of an audit (its nodes, GPUs and, rank by rank, where trainers and
    /// workers are bound), or of `topology --json` (nodes and GPUs alone), or a topology file (the GPUs' home nodes). What
    /// differs is an error, not-as-expected: see `explain not-as-expected`.
    #[arg(long, value_name = "FILE", global = true)]
    pub expect: Option<PathBuf>,
}

/// One GPU with its nodes, as somebody typed them.
#[derive(Debug, Clone)]
pub struct GpuNode {
    /// Index, UUID or PCI address.
    pub gpu: String,
    /// At least one.
    pub nodes: NodeSet,
}

fn gpu_node(text: &str) -> Result<GpuNode, String> {
    let (gpu, nodes) = text.split_once('=').ok_or("not of the form GPU=NODES")?;
    let nodes = parse_node_list(nodes.as_bytes()).map_err(|error| error.to_string())?;
    match gpu.is_empty() || nodes.is_empty() {
        true => Err("not of the form GPU=NODES".to_owned()),
        false => Ok(GpuNode {
            gpu: gpu.to_owned(),
            nodes,
        }),
    }
}

/// How to judge.
#[derive(Debug, Args)]
pub struct Judge {
    /// Only the processes of these GPUs; of a UUID the beginning is enough.
    #[arg(long, value_name = "INDEX|UUID|PCI", value_delimiter = ',',
          value_parser = NonEmptyStringValueParser::new())]
    pub gpu: Vec<String>,
    /// Only the processes of this user, by name or number.
    #[arg(long, value_name = "USER", value_parser = NonEmptyStringValueParser::new())]
    pub user: Option<String>,
    /// Memory off the GPU's nodes is a mismatch beyond this share of a process's working memory...
    /// [default: 10]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub remote_percent: Option<u8>,
    /// ...and beyond this size. [default: 16]
    #[arg(long, value_name = "MIB")]
    pub remote_mib: Option<u32>,
    /// Another node of the GPU's socket is as bad as another socket.
    #[arg(long)]
    pub strict_node: bool,
    /// Do not apply these rules.
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    pub allow: Vec<String>,
    /// From which verdict on the exit code is 1. [default: mismatch; of diff: at-risk]
    #[arg(long, value_name = "VERDICT")]
    pub fail_on: Option<FailOn>,
}

/// From which verdict on the exit code is 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// A mismatch, or another error.
    #[default]
    Mismatch,
    /// The same, or a warning about a process: it is in place by chance.
    AtRisk,
    /// Nothing.
    Never,
}

/// How to print.
#[derive(Debug, Args)]
pub struct Print {
    /// Print a JSON document instead of a table.
    #[arg(long, global = true)]
    pub json: bool,
    /// Print what would mend it, as a shell script with comments.
    #[arg(long, conflicts_with_all = ["json", "all"])]
    pub remedies: bool,
    /// Give every process a row of its own.
    #[arg(long, conflicts_with = "json")]
    pub all: bool,
    /// When to use colour.
    #[arg(long, value_name = "WHEN", default_value = "auto", global = true)]
    pub color: ColorChoice,
}
