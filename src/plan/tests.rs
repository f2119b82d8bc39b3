//! Plans for random machines.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::document::CoreEntry;

/// A machine that is made up.
#[derive(Debug, Clone)]
struct Made {
    /// The cores of each node; a node without any has memory only.
    cores: Vec<u32>,
    threads: u32,
    /// The node of each GPU.
    gpus: Vec<usize>,
    /// Bit masks: which CPUs a job may use, and which are isolated and reserved.
    allowed: u64,
    isolated: u64,
    reserved: u64,
    workers: u32,
    exclusive: bool,
}

prop_compose! {
    fn machines()(
        cores in proptest::collection::vec(0..5_u32, 1..4),
        threads in 1..3_u32,
        homes in proptest::collection::vec(any::<prop::sample::Index>(), 1..6),
        masks in [any::<u64>(), any::<u64>(), any::<u64>()],
        is_narrow in any::<[bool; 3]>(),
        workers in 0..4_u32,
        exclusive in any::<bool>(),
    ) -> Made {
        let [allowed, isolated, reserved] = masks;
        Made {
            gpus: homes.iter().map(|home| home.index(cores.len())).collect(),
            cores,
            threads,
            allowed: if is_narrow[0] { allowed | allowed >> 7 } else { u64::MAX },
            isolated: if is_narrow[1] { isolated & isolated >> 9 } else { 0 },
            reserved: if is_narrow[2] { reserved & reserved >> 11 } else { 0 },
            workers,
            exclusive,
        }
    }
}

fn of_mask(mask: u64, count: u32) -> CpuSet {
    (0..count)
        .filter(|cpu| mask >> cpu & 1 == 1)
        .map(Cpu)
        .collect()
}

impl Made {
    fn cpu_count(&self) -> u32 {
        self.cores.iter().sum::<u32>() * self.threads
    }

    /// The cores of each node, each with its CPUs. The second threads are numbered after all first ones, as x86 does it.
    fn cpus(&self) -> Vec<Vec<CpuSet>> {
        let total: u32 = self.cores.iter().sum();
        let mut next = 0;
        let nodes = self.cores.iter().map(|count| {
            let core = |first: u32| {
                (0..self.threads)
                    .map(|thread| Cpu(first + thread * total))
                    .collect()
            };
            let cores = (next..next + count).map(core).collect();
            next += count;
            cores
        });
        nodes.collect()
    }

    fn map(&self) -> Document {
        let nodes = self.cpus();
        let all = |cores: &[CpuSet]| -> CpuSet { cores.iter().flat_map(CpuSet::iter).collect() };
        let entries = nodes.iter().enumerate();
        let entries: Vec<Value> = entries
            .map(|(id, cores)| json!({"id": id, "cpus": all(cores).to_string()}))
            .collect();
        let gpus = self.gpus.iter().enumerate();
        let gpus: Vec<Value> = gpus
            .map(|(index, home)| {
                // A node without CPUs is nearest to the first one that has some.
                let has = |node: &usize| self.cores[*node] > 0;
                let local = Some(*home).filter(has).or_else(|| (0..nodes.len()).find(has));
                let local: Vec<usize> = local.into_iter().collect();
                json!({"index": index, "home_nodes": [home], "local_nodes": local, "local_memory_nodes": [home]})
            })
            .collect();
        let document = json!({"schema_version": 1, "topology": {"nodes": entries, "gpus": gpus}});
        let mut map: Document = serde_json::from_value(document).unwrap();
        let cores = nodes.into_iter().zip(0..);
        let cores = cores.flat_map(|(cores, package)| {
            cores
                .into_iter()
                .map(move |cpus| CoreEntry { package, cpus })
        });
        map.topology.cores = cores.collect();
        map.topology.isolated_cpus = Some(of_mask(self.isolated, self.cpu_count()));
        map.host.observer_cpus = Some(of_mask(self.allowed, self.cpu_count()));
        map
    }

    fn request(&self) -> PlanRequest {
        PlanRequest {
            gpus: (0..).take(self.gpus.len()).collect(),
            workers: self.workers,
            exclusive: self.exclusive,
            reserved: of_mask(self.reserved, self.cpu_count()),
        }
    }

    /// The CPUs of a GPU's local node that its rank may use.
    fn usable(&self, gpu: &GpuEntry, map: &Document) -> CpuSet {
        let (request, isolated) = (self.request(), of_mask(self.isolated, self.cpu_count()));
        let allowed = of_mask(self.allowed, self.cpu_count());
        let local = cpus_of(&gpu.local_nodes, map);
        let is_usable = |cpu: &Cpu| {
            allowed.contains(*cpu) && !isolated.contains(*cpu) && !request.reserved.contains(*cpu)
        };
        local.iter().filter(is_usable).collect()
    }

    /// The cores of which a rank has CPUs.
    fn cores_of(&self, cpus: &CpuSet) -> Vec<CpuSet> {
        let cores = self.cpus().into_iter().flatten();
        let cores = cores.filter(|core| core.iter().any(|cpu| cpus.contains(cpu)));
        cores.collect()
    }
}

proptest! {
    #[test]
    fn every_plan_keeps_its_promises(made in machines()) {
        let map = made.map();
        let Ok(plan) = plan(&map, &made.request()) else {
            return Ok(());
        };
        prop_assert_eq!(plan.ranks.len(), made.gpus.len());
        for rank in &plan.ranks {
            let usable = made.usable(&map.topology.gpus[rank.gpu as usize], &map);
            prop_assert!(!rank.cpus.is_empty() && !rank.worker_cpus.is_empty());
            prop_assert!(rank.cpus.iter().all(|cpu| usable.contains(cpu)), "{} of {usable}", rank.cpus);
            prop_assert!(rank.worker_cpus.iter().all(|cpu| rank.cpus.contains(cpu)));
            if !made.exclusive {
                prop_assert_eq!(&rank.cpus, &usable);
                prop_assert_eq!(&rank.worker_cpus, &usable);
            }
            // All usable threads of a core go together.
            for core in made.cores_of(&rank.cpus) {
                prop_assert!(core.iter().all(|cpu| rank.cpus.contains(cpu) == usable.contains(cpu)));
            }
        }
        if made.exclusive {
            for node in plan.ranks.iter().map(|rank| rank.node) {
                let on_it: Vec<_> = plan.ranks.iter().filter(|rank| rank.node == node).collect();
                let counts: Vec<usize> = on_it.iter().map(|rank| made.cores_of(&rank.cpus).len()).collect();
                let total: usize = counts.iter().sum();
                let together: CpuSet = on_it.iter().flat_map(|rank| rank.cpus.iter()).collect();
                prop_assert_eq!(total, made.cores_of(&together).len(), "no core is of two ranks");
                prop_assert_eq!(&together, &made.usable(&map.topology.gpus[on_it[0].gpu as usize], &map), "none is left over");
                prop_assert!(counts.iter().max() <= counts.iter().min().map(|least| least + 1).as_ref());
                prop_assert!(counts.is_sorted_by(|one, next| one >= next), "the lower GPUs have one more");
            }
        }
    }

    #[test]
    fn there_is_no_plan_only_where_there_is_a_reason(made in machines()) {
        let map = made.map();
        let usable: Vec<CpuSet> = map.topology.gpus.iter().map(|gpu| made.usable(gpu, &map)).collect();
        let cores = |cpus: &CpuSet| made.cores_of(cpus).len();
        let ranks = |cpus: &CpuSet| usable.iter().filter(|of| *of == cpus).count();
        let is_short = |cpus: &CpuSet| made.exclusive && cores(cpus) < ranks(cpus);
        let has_nowhere = map.topology.gpus.iter().any(|gpu| gpu.local_nodes.is_empty());
        match plan(&map, &made.request()) {
            Ok(_) => prop_assert!(!usable.iter().any(|cpus| cpus.is_empty() || is_short(cpus))),
            Err(NoPlan::Unknown(_)) => prop_assert!(has_nowhere),
            Err(NoPlan::Impossible(_)) => prop_assert!(usable.iter().any(|cpus| cpus.is_empty() || is_short(cpus))),
        }
    }
}

/// A machine of one node with these cores, and GPUs on it.
fn one_node(cores: u32, threads: u32, gpus: usize) -> Made {
    Made {
        cores: vec![cores],
        threads,
        gpus: vec![0; gpus],
        allowed: u64::MAX,
        isolated: 0,
        reserved: 0,
        workers: 0,
        exclusive: true,
    }
}

fn cpus(plan: &PlanDocument) -> Vec<String> {
    plan.ranks
        .iter()
        .map(|rank| rank.cpus.to_string())
        .collect()
}

#[test]
fn cores_are_dealt_whole_and_evenly() {
    let made = one_node(8, 2, 3);
    let plan = plan(&made.map(), &made.request()).unwrap();
    assert_eq!(cpus(&plan), ["0-2,8-10", "3-5,11-13", "6-7,14-15"]);
}

#[test]
fn a_core_of_which_a_thread_is_reserved_is_one_core() {
    let made = Made {
        reserved: 1,
        ..one_node(4, 2, 2)
    };
    let plan = plan(&made.map(), &made.request()).unwrap();
    assert_eq!(cpus(&plan), ["1,4-5", "2-3,6-7"]);
}

#[test]
fn loaders_leave_their_rank_a_core_where_there_is_room() {
    let made = one_node(4, 2, 1);
    let workers = |workers: u32| {
        let made = Made {
            workers,
            ..made.clone()
        };
        let plan = plan(&made.map(), &made.request()).unwrap();
        plan.ranks[0].worker_cpus.to_string()
    };
    assert_eq!(workers(6), "1-3,5-7");
    assert_eq!(workers(7), "0-7");
}

#[test]
fn a_cpuset_without_local_cpus_is_said() {
    let mut made = one_node(4, 1, 1);
    made.cores = vec![2, 2];
    made.allowed = 0b1100;
    let why = plan(&made.map(), &made.request()).unwrap_err();
    let said = "GPU 0: all CPUs of node 0 (0-1) are outside of the CPUs that this process may use (cpuset, allocation or taskset)";
    assert_eq!(why, NoPlan::Impossible(vec![said.to_owned()]));
    made.reserved = 0b1;
    made.isolated = 0b10;
    made.allowed = u64::MAX;
    let why = plan(&made.map(), &made.request()).unwrap_err();
    let said = "GPU 0: all CPUs of node 0 (0-1) are isolated from the scheduler, or reserved with --reserve";
    assert_eq!(why, NoPlan::Impossible(vec![said.to_owned()]));
}

#[test]
fn a_cpuset_without_local_memory_is_said() {
    let mut made = one_node(4, 1, 1);
    made.cores = vec![2, 2];
    let mut map = made.map();
    map.host.observer_memory_nodes = Some([NodeId(1)].into());
    let why = plan(&map, &made.request()).unwrap_err();
    let said = "GPU 0: its memory belongs on node 0, and the cpuset of this process allows only memory of 1";
    assert_eq!(why, NoPlan::Impossible(vec![said.to_owned()]));
}

#[test]
fn ranks_that_are_crowded_alike_share_a_note() {
    let crowded = |made: &Made| {
        let plan = plan(&made.map(), &made.request()).unwrap();
        let notes = plan.notes.into_iter();
        notes
            .filter(|note| note.contains("busy"))
            .collect::<Vec<_>>()
    };
    // With one worker for each CPU it is as PyTorch recommends.
    let fits = Made {
        workers: 2,
        ..one_node(4, 1, 2)
    };
    assert_eq!(crowded(&fits), [""; 0]);
    let tail = ": bound there they wait for each other; use fewer workers, or leave them unbound and compare";
    let too_many = Made {
        workers: 3,
        ..fits.clone()
    };
    assert_eq!(
        crowded(&too_many),
        [format!(
            "each of ranks 0-1 has 4 busy processes for 2 CPUs{tail}"
        )]
    );
    let shared = Made {
        exclusive: false,
        workers: 1,
        cores: vec![3, 3],
        gpus: vec![0, 0, 1, 1],
        ..fits.clone()
    };
    assert_eq!(
        crowded(&shared),
        [format!(
            "ranks 0-1 together, and ranks 2-3 together, have 4 busy processes for 3 CPUs{tail}"
        )]
    );
    let one = Made {
        workers: 0,
        cores: vec![2],
        gpus: vec![0, 0],
        ..fits
    };
    assert_eq!(
        crowded(&one),
        ["each of ranks 0-1 has 1 busy process for 1 CPU: a rank has more busy threads than that"]
    );
}
