//! The JSON document of an audit (`--json`) or of a machine alone (`topology --json`), schema_version 1.
//!
//! Fields that this program does not know are ignored, and those that an earlier version did not write may be missing.

use crate::units::{
    Bytes, CpuSet, Malformed, NodeId, NodeSet, Pid, QUOTED, malformed, parse_cpu_list,
};
use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::document::outline::{
    CpuOutline, FindingOutline, GpuOutline, LocalShare, MemoryOutline, NodeOutline, Outline,
    ProcessOutline, SummaryOutline,
};
use crate::machine::kernel_settings::Settings;
use crate::machine::{Host, Origin};

/// The only version that is read.
const SCHEMA_VERSION: u64 = 1;

/// Reads a document.
pub fn parse_report(bytes: &[u8]) -> Result<Outline, Malformed> {
    // serde would take a list for a document, field by field.
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if first != Some(&b'{') {
        return Err(Malformed(
            "it is no JSON object: no document of this program's".to_owned(),
        ));
    }
    let version: VersionJson = json(bytes)?;
    match version.schema_version {
        Some(SCHEMA_VERSION) => {}
        Some(other) => {
            return Err(Malformed(format!(
                "schema_version {other}, and this program reads {SCHEMA_VERSION}"
            )));
        }
        None => {
            return Err(Malformed(
                "it has no schema_version: no document of this program's".to_owned(),
            ));
        }
    }
    if version.topology.is_none() {
        return Err(Malformed(
            "it has no topology: no audit's document, nor topology --json's".to_owned(),
        ));
    }
    let document: DocumentJson = json(bytes)?;
    let topology = document.topology;
    let nodes = topology.nodes.into_iter().map(node);
    let gpus = topology.gpus.into_iter().map(gpu);
    let processes = document.processes.map(|processes| {
        let processes = processes.into_iter().map(process);
        processes.collect::<Result<Vec<_>, _>>()
    });
    Ok(Outline {
        host: host(document.host),
        settings: Settings {
            numa_balancing: document.settings.numa_balancing,
            zone_reclaim_mode: document.settings.zone_reclaim_mode,
            sockets_of_single_node: None,
        },
        nodes: nodes.collect::<Result<_, _>>()?,
        gpus: gpus.collect::<Result<_, _>>()?,
        processes: processes.transpose()?,
        findings: document.findings.into_iter().map(finding).collect(),
        summary: document.summary.map(summary),
    })
}

/// No nesting can exhaust the stack: unknown fields are skipped without recursion, known ones are only so deep.
fn json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Malformed> {
    serde_json::from_slice(bytes).map_err(|error| {
        // An unexpected text is repeated in the message, however long it is.
        let text = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        let what = text.strip_suffix(&place).unwrap_or(&text);
        match what.char_indices().nth(2 * QUOTED) {
            Some((end, _)) => Malformed(format!("{}…{place}", &what[..end])),
            None => Malformed(text),
        }
    })
}

#[derive(Deserialize)]
struct VersionJson {
    schema_version: Option<u64>,
    topology: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct DocumentJson {
    #[serde(default)]
    host: HostJson,
    topology: TopologyJson,
    #[serde(default)]
    settings: SettingsJson,
    processes: Option<Vec<ProcessJson>>,
    #[serde(default)]
    findings: Vec<FindingJson>,
    summary: Option<SummaryJson>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct HostJson {
    hostname: Option<String>,
    kernel: Option<String>,
    recorded_at: Option<String>,
    source: Option<String>,
    driver_version: Option<String>,
}

fn host(host: HostJson) -> Host {
    Host {
        hostname: host.hostname,
        kernel: host.kernel,
        recorded_at: host.recorded_at,
        // A document tells it of each process.
        started: None,
        origin: match host.source.as_deref() {
            Some("snapshot") => Origin::Snapshot,
            _ => Origin::Live,
        },
        driver_version: host.driver_version,
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SettingsJson {
    numa_balancing: Option<u32>,
    zone_reclaim_mode: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TopologyJson {
    nodes: Vec<NodeJson>,
    gpus: Vec<GpuJson>,
}

#[derive(Deserialize)]
struct NodeJson {
    id: u32,
    cpus: Option<String>,
    memory_total_bytes: Option<u64>,
    distances: Option<BTreeMap<u32, u32>>,
}

fn node(node: NodeJson) -> Result<(NodeId, NodeOutline), Malformed> {
    let distances = node.distances.unwrap_or_default().into_iter();
    let outline = NodeOutline {
        cpus: cpus(node.cpus)?,
        memory_total: node.memory_total_bytes.map(Bytes),
        distances: distances
            .map(|(to, distance)| (NodeId(to), distance))
            .collect(),
    };
    Ok((NodeId(node.id), outline))
}

#[derive(Deserialize)]
struct GpuJson {
    index: u32,
    uuid: Option<String>,
    name: Option<String>,
    pci_bus_id: Option<String>,
    #[serde(default)]
    home_nodes: Vec<u32>,
}

fn gpu(gpu: GpuJson) -> Result<GpuOutline, Malformed> {
    let address = gpu.pci_bus_id.map(|text| {
        let read = text.parse();
        read.or_else(|_| malformed("no PCI address", text.as_bytes()))
    });
    Ok(GpuOutline {
        index: gpu.index,
        uuid: gpu.uuid,
        name: gpu.name,
        address: address.transpose()?,
        home_nodes: nodes(gpu.home_nodes),
    })
}

#[derive(Deserialize)]
struct ProcessJson {
    pid: u32,
    start_time_ticks: Option<u64>,
    name: Option<String>,
    role: Option<String>,
    #[serde(default)]
    gpus: Vec<u32>,
    trainer_pid: Option<u32>,
    rank: Option<u32>,
    local_rank: Option<u32>,
    #[serde(default)]
    home_nodes: Vec<u32>,
    #[serde(default)]
    cpu: CpuJson,
    #[serde(default)]
    memory: MemoryJson,
    verdict: Option<String>,
}

fn process(process: ProcessJson) -> Result<ProcessOutline, Malformed> {
    let (cpu, memory) = (process.cpu, process.memory);
    Ok(ProcessOutline {
        pid: Pid(process.pid),
        start_time_ticks: process.start_time_ticks,
        name: process.name.unwrap_or_default(),
        role: process.role,
        gpus: process.gpus,
        trainer: process.trainer_pid.map(Pid),
        rank: process.rank,
        local_rank: process.local_rank,
        home_nodes: nodes(process.home_nodes),
        cpu: CpuOutline {
            node: cpu.node.map(NodeId),
            affinity: cpus(cpu.affinity)?,
            affinity_nodes: nodes(cpu.affinity_nodes),
            bound: cpu.bound,
            astray: cpu.threads.and_then(|threads| threads.astray),
            verdict: cpu.verdict,
        },
        memory: MemoryOutline {
            node: memory.node.map(NodeId),
            policy: memory.policy,
            policy_nodes: memory.policy_nodes.map(nodes),
            mems_allowed: memory.mems_allowed.map(nodes),
            local: local(memory.local_fraction, memory.exact, memory.error),
            verdict: memory.verdict,
        },
        verdict: process.verdict,
    })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CpuJson {
    node: Option<u32>,
    affinity: Option<String>,
    affinity_nodes: Vec<u32>,
    bound: Option<bool>,
    threads: Option<ThreadsJson>,
    verdict: Option<String>,
}

#[derive(Deserialize)]
struct ThreadsJson {
    astray: Option<usize>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct MemoryJson {
    node: Option<u32>,
    policy: Option<String>,
    policy_nodes: Option<Vec<u32>>,
    mems_allowed: Option<Vec<u32>>,
    exact: Option<bool>,
    error: Option<f64>,
    local_fraction: Option<f64>,
    verdict: Option<String>,
}

fn local(fraction: Option<f64>, exact: Option<bool>, error: Option<f64>) -> LocalShare {
    let share = |number: &f64| (0.0..=1.0).contains(number);
    LocalShare {
        fraction: fraction.filter(share),
        is_estimate: exact == Some(false),
        error: error.filter(share),
    }
}

#[derive(Deserialize)]
struct FindingJson {
    rule: String,
    #[serde(default)]
    severity: String,
    #[serde(default)]
    gpus: Vec<u32>,
    #[serde(default)]
    pids: Vec<u32>,
    #[serde(default)]
    message: String,
}

fn finding(finding: FindingJson) -> FindingOutline {
    FindingOutline {
        rule: finding.rule,
        severity: finding.severity,
        gpus: finding.gpus,
        pids: finding.pids.into_iter().map(Pid).collect(),
        message: finding.message,
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SummaryJson {
    verdict: String,
    processes: usize,
    ok: usize,
    at_risk: usize,
    mismatch: usize,
    unknown: usize,
    complete: Option<bool>,
    local_fraction: Option<f64>,
    exact: Option<bool>,
    error: Option<f64>,
}

fn summary(summary: SummaryJson) -> SummaryOutline {
    SummaryOutline {
        local: local(summary.local_fraction, summary.exact, summary.error),
        verdict: summary.verdict,
        processes: summary.processes,
        ok: summary.ok,
        at_risk: summary.at_risk,
        mismatch: summary.mismatch,
        unknown: summary.unknown,
        is_complete: summary.complete,
    }
}

fn nodes(ids: Vec<u32>) -> NodeSet {
    ids.into_iter().map(NodeId).collect()
}

/// A list as the document has it: an empty text for none.
fn cpus(list: Option<String>) -> Result<Option<CpuSet>, Malformed> {
    let read = |list: String| match list.is_empty() {
        true => Ok(CpuSet::default()),
        false => parse_cpu_list(list.as_bytes()),
    };
    list.map(read).transpose()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn refuses(text: &str, why: &str) {
        assert_eq!(
            parse_report(text.as_bytes()).map_err(|error| error.0),
            Err(why.to_owned())
        );
    }

    #[test]
    fn what_a_later_version_adds_is_ignored() {
        let outline = parse_report(
            br#"{"schema_version": 1, "window": {"seconds": 10}, "topology": {"nodes": [{"id": 0, "cpus": "", "hbm": 1}], "cxl": []},
                 "processes": [{"pid": 7, "memory": {"exact": false, "error": 0.02, "local_fraction": 0.5, "sample_pages": 9}}],
                 "findings": [{"rule": "not-thought-of-yet", "severity": "disaster"}]}"#,
        );
        let outline = outline.unwrap();
        assert_eq!(
            outline.nodes[&NodeId(0)].cpus,
            Some(CpuSet::default()),
            "a node without CPUs is no unknown one"
        );
        let process = &outline.processes.unwrap()[0];
        assert_eq!(process.pid, Pid(7));
        assert_eq!(
            process.memory.local,
            LocalShare {
                fraction: Some(0.5),
                is_estimate: true,
                error: Some(0.02)
            }
        );
        assert_eq!(outline.findings[0].severity, "disaster");
    }

    #[test]
    fn other_documents_are_refused() {
        refuses(
            "{}",
            "it has no schema_version: no document of this program's",
        );
        refuses(
            r#"{"schema_version": 2}"#,
            "schema_version 2, and this program reads 1",
        );
        refuses(
            r#"{"schema_version": 1, "before": {}}"#,
            "it has no topology: no audit's document, nor topology --json's",
        );
        refuses(
            r#"{"schema_version": 1, "topology": {"nodes": [{"id": 0, "cpus": "3-1"}]}}"#,
            "no list of numbers: \"3-1\"",
        );
        for text in ["", "[1]", "null", "x"] {
            refuses(text, "it is no JSON object: no document of this program's");
        }
    }

    #[test]
    fn nothing_long_is_repeated() {
        let name = "x".repeat(1 << 20);
        let text = format!(r#"{{"schema_version": "{name}"}}"#);
        let error = parse_report(text.as_bytes()).unwrap_err();
        assert!(error.0.len() < 300, "{}", error.0.len());
    }

    #[test]
    fn deep_nesting_is_no_trouble() {
        let deep = "[".repeat(1 << 20);
        assert!(parse_report(deep.as_bytes()).is_err());
        let deep = format!(r#"{{"schema_version": 1, "unknown": {deep}"#);
        assert!(parse_report(deep.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_report(&bytes);
        }

        #[test]
        fn no_values_make_it_panic(value in r#"(null|-?[0-9]{1,20}(\.[0-9]e99)?|"[0-9,:-]{0,9}"|\[[0-9]{0,11}\]|\{\})"#, at in 0usize..8) {
            let field = ["host", "topology", "settings", "processes", "findings", "summary", "nodes", "gpus"][at];
            let text = match at {
                6 | 7 => format!(r#"{{"schema_version": 1, "topology": {{"{field}": [{{"id": {value}, "index": {value}, "cpus": {value}}}]}}}}"#),
                1 => format!(r#"{{"schema_version": 1, "topology": {value}}}"#),
                _ => format!(r#"{{"schema_version": 1, "topology": {{}}, "{field}": {value}}}"#),
            };
            let _ = parse_report(text.as_bytes());
        }
    }
}
