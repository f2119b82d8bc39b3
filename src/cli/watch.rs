//! The command line of `watch`.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::duration::within;
use super::{ColorArgs, HomeNodeArgs, JudgementArgs, MachineArgs, MemoryArgs, PidArgs};

pub(super) const EXIT_CODES: &str = "\
Keys: arrows, PgUp and PgDn move; Enter opens a process or a finding; Tab changes between processes
and findings; / filters, s sorts, p pauses, ? shows all keys, q ends.

Exit codes:
  0  the user ended it, whatever the screen said
  2  numa-audit could not run: no terminal, a wrong argument, an unreadable file; or the terminal
     is gone";

/// The arguments of `watch`.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// Audit again after this long (2s, 1m).
    ///
    /// From 500ms to 1h. Each audit costs the same as `numa-audit` does.
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = interval,
          help_heading = "Output", conflicts_with = "snapshot")]
    pub(crate) every: Duration,
    /// Answer questions of the screen on standard input: how this program starts itself.
    #[arg(long, hide = true)]
    pub(crate) observer: bool,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
    #[command(flatten)]
    pub(crate) pid: PidArgs,
    #[command(flatten)]
    pub(crate) memory: MemoryArgs,
    #[command(flatten)]
    pub(crate) home_nodes: HomeNodeArgs,
    #[command(flatten)]
    pub(crate) judgement: JudgementArgs,
    /// Compare with a saved audit, map, plan or topology file.
    ///
    /// FILE is that of `numa-audit --expect`. Each audit reads it again.
    #[arg(long, value_name = "FILE", help_heading = "Judgement")]
    pub(crate) expect: Option<PathBuf>,
    /// Give each process its own row, also equal workers. The key `a` changes it.
    #[arg(long, help_heading = "Output")]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) color: ColorArgs,
}

/// More often costs more than it shows; less often is a typing mistake.
const INTERVALS: RangeInclusive<Duration> = Duration::from_millis(500)..=Duration::from_secs(3600);

fn interval(text: &str) -> Result<Duration, String> {
    within(text, &INTERVALS, "from 500ms to 1h")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_have_limits() {
        assert_eq!(interval("2s"), Ok(Duration::from_secs(2)));
        for text in ["0s", "499ms", "2h", "soon"] {
            assert!(interval(text).is_err(), "{text}");
        }
    }
}
