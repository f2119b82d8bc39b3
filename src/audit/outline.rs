//! A report as its JSON document tells it, without the way through text. A test holds that both are the same.

use crate::audit::finding::Finding;
use crate::audit::place::home::GpuPlace;
use crate::audit::{PlacedProcess, Report, Summary};
use crate::document::outline::{
    CpuOutline, FindingOutline, GpuOutline, LocalShare, MemoryOutline, NodeOutline, Outline,
    ProcessOutline, SummaryOutline,
};
use crate::machine::Host;
use crate::machine::kernel_settings::Settings;
use crate::machine::topology::Topology;

/// The outline of a report.
pub fn outline(report: &Report) -> Outline {
    Outline {
        findings: report.findings.iter().map(finding).collect(),
        summary: Some(summary(&report.summary)),
        ..observed(
            &report.host,
            report.kernel,
            &report.topology,
            &report.gpus,
            &report.processes,
        )
    }
}

/// The same, before anything was found wrong.
pub(crate) fn observed(
    host: &Host,
    kernel: Settings,
    topology: &Topology,
    gpus: &[GpuPlace],
    processes: &[PlacedProcess],
) -> Outline {
    let nodes = topology.nodes().iter().map(|(id, node)| {
        let outline = NodeOutline {
            cpus: node.cpus.clone(),
            memory_total: node.memory_total,
            distances: node.distances.clone(),
        };
        (*id, outline)
    });
    Outline {
        host: Host {
            // A document tells it of each process.
            started: None,
            ..host.clone()
        },
        settings: Settings {
            sockets_of_single_node: None,
            ..kernel
        },
        nodes: nodes.collect(),
        gpus: gpus.iter().map(gpu).collect(),
        processes: Some(processes.iter().map(process).collect()),
        findings: Vec::new(),
        summary: None,
    }
}

fn gpu(place: &GpuPlace) -> GpuOutline {
    let gpu = &place.gpu;
    GpuOutline {
        index: gpu.index,
        uuid: gpu.uuid.clone(),
        name: gpu.name.clone(),
        address: gpu.address,
        home_nodes: place.home_nodes.clone(),
    }
}

fn process(audited: &PlacedProcess) -> ProcessOutline {
    let (process, part) = (&audited.process, &audited.membership);
    let environment = process.environment.as_ref();
    let threads = audited.cpu.threads.as_ref();
    ProcessOutline {
        pid: process.pid,
        start_time_ticks: Some(process.start_time_ticks),
        name: process.name.clone(),
        role: part.role.map(|role| role.to_string()),
        gpus: part.gpus.clone(),
        trainer: part.trainer,
        rank: environment.and_then(|environment| environment.rank),
        local_rank: environment.and_then(|environment| environment.local_rank),
        home_nodes: audited.home_nodes.clone(),
        cpu: CpuOutline {
            node: audited.cpu.node,
            affinity: audited.cpu.affinity.clone(),
            affinity_nodes: audited.cpu.affinity_nodes.clone(),
            bound: audited.cpu.bound(),
            astray: threads.and_then(|threads| threads.astray),
            verdict: audited.cpu.verdict.map(|verdict| verdict.to_string()),
        },
        memory: memory(audited),
        verdict: audited.verdict.map(|verdict| verdict.to_string()),
    }
}

fn memory(audited: &PlacedProcess) -> MemoryOutline {
    let memory = &audited.memory;
    let pages = memory.pages.as_ref();
    let policy = pages.map(|pages| &pages.policy);
    let whole = policy.filter(|policy| !policy.truncated);
    MemoryOutline {
        node: pages.and_then(|pages| pages.node),
        policy: policy.map(|policy| policy.mode.to_string()),
        policy_nodes: whole.map(|policy| policy.nodes.clone()),
        mems_allowed: memory.mems_allowed.clone(),
        local: LocalShare {
            fraction: pages.and_then(|pages| pages.share?.local_fraction()),
            is_estimate: pages.is_some_and(|pages| pages.estimate.is_some()),
            error: pages.and_then(|pages| pages.estimate.as_ref()?.error),
        },
        verdict: memory.verdict.map(|verdict| verdict.to_string()),
    }
}

fn finding(finding: &Finding) -> FindingOutline {
    FindingOutline {
        rule: finding.rule.to_owned(),
        severity: finding.severity.to_string(),
        gpus: finding.gpus.clone(),
        pids: finding.pids.clone(),
        message: finding.message.clone(),
    }
}

fn summary(summary: &Summary) -> SummaryOutline {
    SummaryOutline {
        verdict: summary.verdict.to_string(),
        processes: summary.processes,
        ok: summary.ok,
        at_risk: summary.at_risk,
        mismatch: summary.mismatch,
        unknown: summary.unknown,
        is_complete: Some(summary.is_complete),
        local: LocalShare {
            fraction: summary.local_fraction,
            is_estimate: !summary.is_exact,
            error: summary.local_error,
        },
    }
}
