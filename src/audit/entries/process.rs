//! Fills a process's part of the document.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use crate::audit::PlacedProcess;
use crate::audit::entries::machine::render_node;
use crate::audit::place::{PagePlace, Threads};
use crate::audit::target::{Obstacle, Target};
use crate::document::window::seconds;
use crate::document::{
    CpuEntry, CpuWindowEntry, MemoryEntry, MigInstance, ObstacleEntry, PartitionUse, ProcessEntry,
    SchedulerJobEntry, TargetEntry, ThreadsEntry,
};
use crate::machine::{Environment, Instance, Partition, Process, ProcessActivity, SchedulerJob};
use crate::units::{NodeBytes, Pid};
use crate::words::{MemoryKind, Word};

/// What a process's entry needs besides the process.
pub(crate) struct EntryContext<'a> {
    /// When the machine was started, in seconds since 1970.
    pub(crate) boot: Option<u64>,
    /// Names of users by number.
    pub(crate) users: &'a BTreeMap<u32, String>,
    /// Names of Kubernetes pods by UID.
    pub(crate) pods: &'a BTreeMap<String, String>,
    /// The rules that each process breaks.
    pub(crate) broken: &'a BTreeMap<Pid, Vec<String>>,
    /// The number of each trainer's job.
    pub(crate) job_groups: &'a BTreeMap<Pid, u32>,
}

pub(crate) fn process(placed: PlacedProcess, around: &EntryContext) -> ProcessEntry {
    let (cpu, memory) = (cpu(&placed), memory(&placed));
    let PlacedProcess {
        process,
        membership,
        ..
    } = placed;
    let environment = process.environment.as_ref();
    let ranks = membership.ranks;
    let group = membership
        .trainer
        .and_then(|pid| around.job_groups.get(&pid));
    ProcessEntry {
        pid: process.pid,
        ppid: process.ppid,
        start_time_ticks: Some(process.start_time_ticks),
        started_at: started_at(process.start_time_ticks, around.boot),
        command: process.command.as_ref().map(|words| words.join(" ")),
        user: user(&process, around.users),
        role: membership.role.map(Word::from),
        gpus: membership.gpus,
        mig_instances: membership.instances.iter().map(instance).collect(),
        gpu_partitions: membership.partitions.iter().map(partition).collect(),
        gpu_source: membership.gpu_source.map(Word::from),
        trainer_pid: membership.trainer,
        attribution: membership.attribution.map(Word::from),
        local_rank: ranks.local_rank.map(|rank| rank.number),
        rank: ranks.rank.map(|rank| rank.number),
        local_rank_source: ranks.local_rank.map(|rank| rank.source.to_owned()),
        rank_source: ranks.rank.map(|rank| rank.source.to_owned()),
        container: placed.names.container,
        job: placed.names.slurm_job,
        scheduler_jobs: placed
            .names
            .scheduler_jobs
            .into_iter()
            .map(scheduler_job)
            .collect(),
        openmp_binding: environment.map(openmp_binding).unwrap_or_default(),
        pod_name: placed
            .names
            .pod
            .as_ref()
            .and_then(|uid| around.pods.get(uid).cloned()),
        pod: placed.names.pod,
        framework: membership.task.map(|task| task.framework.to_owned()),
        task: membership.task.map(|task| task.name.to_owned()),
        home_nodes: placed.home_nodes,
        local_nodes: placed.local_nodes,
        local_memory_nodes: Some(placed.local_memory_nodes),
        cpu,
        memory,
        target: placed.target.map(target),
        verdict: placed.verdict.map(Word::from),
        findings: around.broken.get(&process.pid).cloned().unwrap_or_default(),
        job_group: group.copied(),
        inner_pids: process.inner_pids,
        name: process.name,
    }
}

fn target(target: Target) -> TargetEntry {
    let obstacle = |obstacle: &Obstacle| ObstacleEntry {
        kind: obstacle.kind().into(),
        text: obstacle.to_string(),
    };
    TargetEntry {
        obstacles: target.obstacles.iter().map(obstacle).collect(),
        cpus: target.cpus,
        memory_nodes: target.memory_nodes,
    }
}

fn user(process: &Process, users: &BTreeMap<u32, String>) -> Option<String> {
    let uid = process.uid?;
    Some(users.get(&uid).cloned().unwrap_or_else(|| uid.to_string()))
}

/// A job, as the document has it.
pub(crate) fn scheduler_job(job: SchedulerJob) -> SchedulerJobEntry {
    SchedulerJobEntry {
        scheduler: job.scheduler.to_owned(),
        id: job.id,
        source: job.source.to_owned(),
    }
}

fn openmp_binding(environment: &Environment) -> BTreeMap<String, String> {
    let variables = environment.openmp_binding().into_iter();
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    variables.collect()
}

fn instance((gpu, instance): &(u32, Instance)) -> MigInstance {
    MigInstance {
        gpu: *gpu,
        gpu_instance_id: instance.gpu,
        compute_instance_id: instance.compute,
    }
}

fn partition((gpu, partition): &(u32, Partition)) -> PartitionUse {
    PartitionUse {
        gpu: *gpu,
        partition: partition.number,
        render_node: render_node(partition),
        kfd_id: partition.kfd_id,
    }
}

/// To the second. `None` where the time of boot is unknown, and where a recorded tree claims a time that no clock shows.
fn started_at(ticks: u64, boot: Option<u64>) -> Option<String> {
    /// Clock ticks in a second, as the kernel reports times to programs (USER_HZ): 100 on every machine with GPUs.
    const TICKS: u64 = 100;
    /// The end of the year 9999, the last that RFC 3339 can write.
    const END: u64 = 253_402_300_800;
    let since_1970 = boot?.checked_add(ticks / TICKS)?;
    let started = (since_1970 < END).then(|| UNIX_EPOCH + Duration::from_secs(since_1970))?;
    Some(humantime::format_rfc3339_seconds(started).to_string())
}

fn cpu(placed: &PlacedProcess) -> CpuEntry {
    let cpu = &placed.cpu;
    let cpuset = placed.process.cpuset.as_ref();
    CpuEntry {
        node: cpu.node,
        affinity: cpu.affinity.clone(),
        affinity_nodes: cpu.affinity_nodes.clone(),
        cpuset: cpuset.map(|cpuset| cpuset.cpus.clone()),
        cpuset_nodes: cpu.cpuset_nodes.clone(),
        bound: cpu.bound(),
        verdict: cpu.verdict.map(Word::from),
        threads: cpu.threads.as_ref().map(threads),
        window: placed.watched.as_ref().map(cpu_window),
    }
}

fn threads(threads: &Threads) -> ThreadsEntry {
    let unbound = threads.unbound.as_ref();
    ThreadsEntry {
        total: threads.total,
        by_node: threads.by_node.clone(),
        astray: threads.astray,
        loose: unbound.map(|unbound| unbound.count),
        loose_names: unbound.map(|unbound| unbound.names.clone()),
    }
}

fn cpu_window(watched: &ProcessActivity) -> CpuWindowEntry {
    let times = watched.cpu_time.iter();
    CpuWindowEntry {
        cpu_seconds_by_node: times.map(|(node, time)| (node, seconds(time))).collect(),
        migrations: watched.migrations,
        threads_moved: watched.threads_moved,
    }
}

fn memory(placed: &PlacedProcess) -> MemoryEntry {
    let pages = placed.memory.pages.as_ref();
    let watched = placed.watched.as_ref();
    MemoryEntry {
        mems_allowed: placed.memory.mems_allowed.clone(),
        verdict: placed.memory.verdict.map(Word::from),
        pages_migrated: watched.and_then(|watched| watched.pages_migrated),
        group_by_node_bytes: placed.process.group_memory.clone(),
        swap_bytes: placed.process.swap,
        ..pages.map(of_pages).unwrap_or_default()
    }
}

fn of_pages(pages: &PagePlace) -> MemoryEntry {
    let policy = &pages.policy;
    let policies = pages.thread_policies.iter();
    let policies: BTreeMap<String, usize> = policies
        .map(|(policy, threads)| (policy.to_string(), *threads))
        .collect();
    MemoryEntry {
        node: pages.node,
        policy: Some(policy.mode.to_string()),
        policy_flags: Some(policy.flags.clone()),
        policy_nodes: (!policy.truncated).then(|| policy.nodes.clone()),
        thread_policies: Some(policies).filter(|policies| !policies.is_empty()),
        exact: Some(pages.estimate.is_none()),
        sample_pages: pages.estimate.map(|estimate| estimate.asked),
        error: pages.estimate.and_then(|estimate| estimate.error),
        by_node_bytes: Some(pages.by_node.clone()),
        by_kind: Some(by_kind(&pages.by_kind)),
        local_fraction: pages.share.and_then(|share| share.local_fraction()),
        ..MemoryEntry::default()
    }
}

fn by_kind(kinds: &BTreeMap<MemoryKind, NodeBytes>) -> BTreeMap<Word<MemoryKind>, NodeBytes> {
    let kinds = kinds.iter();
    kinds
        .map(|(kind, by_node)| ((*kind).into(), by_node.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_that_cannot_be_is_left_out() {
        let boot = Some(1_700_000_000);
        assert_eq!(
            started_at(1_000, boot).as_deref(),
            Some("2023-11-14T22:13:30Z")
        );
        assert_eq!(started_at(1_000, None), None);
        assert_eq!(started_at(1 << 50, boot), None);
        assert_eq!(started_at(u64::MAX, Some(u64::MAX)), None);
    }
}
