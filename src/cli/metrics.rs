//! The command line of `metrics`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::duration::{DAY, within};
use super::machine::window;
use super::{HomeNodeArgs, JudgementArgs, MachineArgs, MemoryArgs};

pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0  the metrics were written, whatever they say; of audits that go on: SIGTERM or Ctrl-C ended them
  2  numa-audit could not run: a wrong argument, an unreadable file, output that cannot be written.
     Of audits that go on only the first ends it so: later ones that fail are reported, and the
     metrics stay as they were";

/// The arguments of `metrics`.
#[derive(Debug, Args)]
pub(crate) struct MetricsArgs {
    /// Write the metrics to this file, for node_exporter's textfile collector.
    ///
    /// They are written to a file beside it, which then takes its place, with mode 0644. FILE is never written through a
    /// link. Its name has to end in .prom for the collector.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) output: Option<PathBuf>,
    /// Audit again after this long (60s, 5m), until a signal ends it [default with --listen: 60s]
    ///
    /// From 1s to 24h, from start to start of an audit. Without --output and --listen it prints each time.
    #[arg(long, value_name = "DURATION", value_parser = interval, help_heading = "Output")]
    pub(crate) every: Option<Duration>,
    /// Serve the metrics over HTTP, at /metrics; /healthz says whether audits go on.
    ///
    /// A port alone (9101 or :9101) is one of 127.0.0.1: other machines can only connect if an address is given. A scrape
    /// never starts an audit. There is neither encryption nor a password.
    #[arg(long, value_name = "ADDR:PORT", value_parser = address, help_heading = "Output")]
    pub(crate) listen: Option<SocketAddr>,
    /// Add a label to the metrics of each GPU.
    #[arg(long, value_name = "LABEL", help_heading = "Output")]
    pub(crate) by: Option<MetricsBy>,
    /// Print one audit, whatever the options above say: how this program starts itself.
    #[arg(long, hide = true)]
    pub(crate) once: bool,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
    /// Observe for this long each time (10s, 500ms), and add numa_audit_cpu_time_ratio.
    ///
    /// From 100ms to 24h.
    #[arg(long = "for", value_name = "DURATION", value_parser = window, conflicts_with = "snapshot")]
    pub(crate) window: Option<Duration>,
    #[command(flatten)]
    pub(crate) memory: MemoryArgs,
    #[command(flatten)]
    pub(crate) home_nodes: HomeNodeArgs,
    #[command(flatten)]
    pub(crate) judgement: JudgementArgs,
    /// Compare with a saved audit, map, plan or topology file.
    ///
    /// The differences are in numa_audit_findings, with the rule not-as-expected. FILE is that of `numa-audit --expect`.
    #[arg(long, value_name = "FILE", help_heading = "Judgement")]
    pub(crate) expect: Option<PathBuf>,
}

/// A label that is not there without being asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum MetricsBy {
    /// The job that uses the GPU, as its batch system names it; `several` where it is not the only one.
    Job,
}

/// More often costs more than it shows; less often is a typing mistake.
const INTERVALS: RangeInclusive<Duration> = Duration::from_secs(1)..=DAY;

fn interval(text: &str) -> Result<Duration, String> {
    within(text, &INTERVALS, "from 1s to 24h")
}

/// An IP address with a port. Names are not looked up: one may have several addresses.
fn address(text: &str) -> Result<SocketAddr, String> {
    let port = text.strip_prefix(':').unwrap_or(text);
    if let Ok(port) = port.parse::<u16>() {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    text.parse().map_err(|_| {
        "not a port, or an IP address with a port (127.0.0.1:9101, [::1]:9101)".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_one_of_loopback() {
        for text in ["9101", ":9101", "127.0.0.1:9101"] {
            assert_eq!(address(text).unwrap().to_string(), "127.0.0.1:9101");
        }
        for text in ["0.0.0.0:9101", "[::]:9101", "[::1]:0"] {
            assert_eq!(address(text).unwrap().to_string(), text);
        }
        for text in ["", ":", "localhost:9101", "127.0.0.1", "70000", "::1:9101x"] {
            assert!(address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn intervals_have_limits() {
        assert_eq!(interval("60s"), Ok(Duration::from_secs(60)));
        for text in ["0s", "999ms", "25h", "soon"] {
            assert!(interval(text).is_err(), "{text}");
        }
    }
}
