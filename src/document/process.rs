//! A process in the document.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::cpu::CpuEntry;
use crate::document::machine::GpuEntry;
use crate::document::memory::MemoryEntry;
use crate::units::{CpuSet, NodeSet, Pid};
use crate::words::{Evidence, ObstacleKind, Role, Verdict, Word};

/// A process. Its name, command and all other text that it chose may contain any letters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ProcessEntry {
    /// Its PID in the observer's PID namespace.
    pub(crate) pid: Pid,
    /// Its parent's PID; 0 where the parent is outside the PID namespace.
    #[serde(default)]
    pub(crate) ppid: Pid,
    /// Its PIDs in the PID namespaces within the observer's, outermost first.
    #[serde(default)]
    pub(crate) inner_pids: Vec<u32>,
    /// When it started, in clock ticks after boot: together with the PID its identity. Null where it is unknown.
    pub(crate) start_time_ticks: Option<u64>,
    /// When it started: RFC 3339, UTC. Null where the time of the machine's boot is unknown.
    pub(crate) started_at: Option<String>,
    /// The main thread's name, which the kernel cuts to 15 bytes.
    #[serde(default)]
    pub(crate) name: String,
    /// Its command line, the arguments separated by spaces; null where it could not be read.
    pub(crate) command: Option<String>,
    /// Its owner's name, or number where the name is unknown; null where it could not be read.
    pub(crate) user: Option<String>,
    /// What it does in its job; null for a process that was named with --pid and has no GPU.
    pub(crate) role: Option<Word<Role>>,
    /// The indexes of the GPUs that it works for.
    #[serde(default)]
    pub(crate) gpus: Vec<u32>,
    /// The MIG instances that it works for.
    #[serde(default)]
    pub(crate) mig_instances: Vec<MigInstance>,
    /// The partitions of AMD's GPUs that it works for. Absent where its GPUs are not partitioned, and where it is unknown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) gpu_partitions: Vec<PartitionUse>,
    /// How its GPUs are known; null for a process without GPUs.
    pub(crate) gpu_source: Option<Word<Evidence>>,
    /// The PID of the trainer that it works for; of a trainer its own. Null where there is none or it is unknown.
    pub(crate) trainer_pid: Option<Pid>,
    /// How its trainer is known; null where there is none.
    pub(crate) attribution: Option<Word<Evidence>>,
    /// Its rank on this machine (LOCAL_RANK and its equivalents), of a worker that of its trainer; null where it has none.
    pub(crate) local_rank: Option<u32>,
    /// Its rank in the whole job (RANK and its equivalents), of a worker that of its trainer; null where it has none.
    pub(crate) rank: Option<u32>,
    /// The variable that has its rank on this machine, such as SLURM_LOCALID; `elimination` where no variable has it and the
    /// other ranks leave only this one; `workers` where the process set it itself and passed it on to its workers. Absent
    /// where there is no rank.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) local_rank_source: Option<String>,
    /// The variable that has its rank in the whole job, such as SLURM_PROCID, or `workers`. Absent where there is no rank.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rank_source: Option<String>,
    /// The ID of its container; null where it is in none.
    pub(crate) container: Option<String>,
    /// Its Slurm job; null where it is in none.
    pub(crate) job: Option<String>,
    /// The jobs of all schedulers that it is in: Slurm, PBS, LSF, Flux, Ray. Absent where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) scheduler_jobs: Vec<SchedulerJobEntry>,
    /// The variables in its environment that make an OpenMP runtime bind threads, such as OMP_PROC_BIND and KMP_AFFINITY,
    /// with their values. Absent where there is none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) openmp_binding: BTreeMap<String, String>,
    /// The UID of its Kubernetes pod; null where it is in none.
    pub(crate) pod: Option<String>,
    /// The namespace and the name of this pod, with a slash between them; absent where they are unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pod_name: Option<String>,
    /// The framework that its name or command line belongs to, such as vLLM; null where none is known.
    pub(crate) framework: Option<String>,
    /// What it does in that framework, such as worker; null where that is unknown.
    pub(crate) task: Option<String>,
    /// The home nodes of its GPUs; empty where they are unknown.
    #[serde(default)]
    pub(crate) home_nodes: NodeSet,
    /// Where it should run; empty where that is unknown, and for launchers.
    #[serde(default)]
    pub(crate) local_nodes: NodeSet,
    /// Where its memory should be; empty where that is unknown, and for launchers. Absent in documents of older versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) local_memory_nodes: Option<NodeSet>,
    /// Where its threads run and may run.
    #[serde(default)]
    pub(crate) cpu: CpuEntry,
    /// Where its memory is.
    #[serde(default)]
    pub(crate) memory: MemoryEntry,
    /// The worse of the verdicts on CPU and memory; null for a process that is not judged.
    pub(crate) verdict: Option<Word<Verdict>>,
    /// Where it should be, and what is in the way. Every command of a finding comes from it. Null for a process that is not
    /// judged, and where its local nodes are unknown.
    pub(crate) target: Option<TargetEntry>,
    /// The rules that it breaks.
    #[serde(default)]
    pub(crate) findings: Vec<String>,
    /// Processes with the same number are of one job with several trainers. It counts from 0 in this document. Absent for a
    /// process of no such job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) job_group: Option<u32>,
}

/// Where a process should be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TargetEntry {
    /// The CPUs of its local nodes that its cpuset allows; empty where it allows none of them.
    #[serde(default)]
    pub(crate) cpus: CpuSet,
    /// The local memory nodes that its cpuset allows; empty where it allows none of them.
    #[serde(default)]
    pub(crate) memory_nodes: NodeSet,
    /// What keeps the process or its memory from being there.
    #[serde(default)]
    pub(crate) obstacles: Vec<ObstacleEntry>,
}

/// What keeps a process or its memory from its target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ObstacleEntry {
    /// What kind of obstacle it is.
    #[serde(default)]
    pub(crate) kind: Word<ObstacleKind>,
    /// The obstacle in words.
    #[serde(default)]
    pub(crate) text: String,
}

/// A job of a scheduler.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct SchedulerJobEntry {
    /// The scheduler's name, such as Slurm.
    pub(crate) scheduler: String,
    /// The job's number or name.
    pub(crate) id: String,
    /// How it is known: the variable that names it, or `cgroup`.
    pub(crate) source: String,
}

/// A MIG instance of a GPU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct MigInstance {
    /// The GPU's index.
    pub(crate) gpu: u32,
    /// The GPU instance: nvidia-smi's GI ID.
    pub(crate) gpu_instance_id: u32,
    /// The compute instance in it: nvidia-smi's CI ID. Null where it is unknown.
    pub(crate) compute_instance_id: Option<u32>,
}

/// A partition of a GPU of AMD that a process works for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct PartitionUse {
    /// The GPU's index.
    pub(crate) gpu: u32,
    /// The number of the partition in its GPU.
    pub(crate) partition: u32,
    /// The name of its file in /dev/dri, such as renderD129; null where it is unknown.
    pub(crate) render_node: Option<String>,
    /// KFD's id for it.
    pub(crate) kfd_id: u32,
}

impl ProcessEntry {
    /// Its role, if this version of the program knows it.
    pub(crate) fn known_role(&self) -> Option<Role> {
        self.role.as_ref()?.known()
    }

    /// Whether it has this role.
    pub(crate) fn is(&self, role: Role) -> bool {
        self.known_role() == Some(role)
    }

    /// Whether it is a part of a job that is judged: a trainer or a worker.
    pub(crate) fn is_of_job(&self) -> bool {
        self.is(Role::Trainer) || self.is(Role::Worker)
    }

    /// The nodes on which its memory is local: its local memory nodes, and those that are the own memory of `gpus`, which it uses.
    /// Empty where they are unknown.
    pub(crate) fn nodes_of_local_memory<'a>(
        &self,
        gpus: impl Iterator<Item = &'a GpuEntry>,
    ) -> NodeSet {
        let local = self.local_memory_nodes.as_ref();
        let mut nodes = local.unwrap_or(&self.local_nodes).clone();
        if !nodes.is_empty() {
            nodes.extend(gpus.flat_map(|gpu| &gpu.own_memory_nodes));
        }
        nodes
    }

    /// How many of its threads ran off the local nodes.
    pub(crate) fn astray(&self) -> Option<usize> {
        self.cpu.threads.as_ref()?.astray
    }
}

#[cfg(test)]
mod tests {
    use crate::document::read;
    use crate::units::node_list;

    /// Grace: the GPU's own memory is a node of its own.
    #[test]
    fn a_gpus_own_memory_is_local() {
        let text = br#"{"schema_version": 1, "topology": {"gpus": [{"index": 0, "own_memory_nodes": [2]}, {"index": 1}]},
                        "processes": [{"pid": 7, "local_nodes": [0], "local_memory_nodes": [0]},
                                      {"pid": 8, "local_nodes": [1]}, {"pid": 9}]}"#;
        let document = read(text).unwrap();
        let of = |at: usize| {
            let gpus = document.topology.gpus.iter();
            node_list(&document.processes()[at].nodes_of_local_memory(gpus))
        };
        assert_eq!([of(0), of(1), of(2)], ["0,2", "1-2", ""]);
    }
}
