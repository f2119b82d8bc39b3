//! The work grows with the number of processes, and not with its square: another user may have as many as the machine allows, in
//! any relation. The CPU time of this thread is compared, which does not depend on how busy the machine is.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::audit::{Settings, audit};
use crate::machine::{Context, Environment, Gpu, Machine, Node, Process, Rank, Ranks, Topology};
use crate::units::{NodeId, Pid, parse_cpu_list};
use crate::words::HomeSource;

const FEW: u32 = 500;
const TIMES: u32 = 16;

fn cpu_time(machine: Machine) -> Duration {
    let now = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap();
    let start = now();
    let count = machine.processes.len();
    let document = audit(machine, &Settings::default());
    assert_eq!(document.processes.unwrap().len(), count);
    assert!(!document.findings.is_empty());
    now() - start
}

/// A machine with so many processes, each made of its number. Trainers hold a context on a GPU.
fn machine(count: u32, process: fn(u32) -> Process, is_trainer: fn(u32) -> bool) -> Machine {
    let numbers = 0..count;
    let trainers = numbers.clone().filter(|number| is_trainer(*number));
    let contexts = trainers.map(|number| Context {
        pid: process(number).pid,
        instance: None,
        memory: None,
    });
    let of_node = |cpus: &str| Node {
        cpus: Some(parse_cpu_list(cpus.as_bytes()).unwrap()),
        ..Node::default()
    };
    let nodes = [(NodeId(0), of_node("0-1")), (NodeId(1), of_node("2-3"))];
    // All processes are bound to the other node, so that the rules find something.
    let bound = |process| Process {
        affinity: Some(parse_cpu_list(b"2-3").unwrap()),
        threads: Some(Vec::new()),
        ..process
    };
    Machine {
        topology: Topology::new(nodes.into()),
        processes: numbers.map(process).map(bound).collect(),
        gpus: vec![Gpu {
            home_answers: [(HomeSource::Sysfs, [NodeId(0)].into())].into(),
            contexts: Some(contexts.collect()),
            ..Gpu::default()
        }],
        ..Machine::default()
    }
}

#[track_caller]
fn grows_with_the_number(process: fn(u32) -> Process, is_trainer: fn(u32) -> bool) {
    let few = cpu_time(machine(FEW, process, is_trainer));
    let many = cpu_time(machine(FEW * TIMES, process, is_trainer));
    // n log n is below 2; what grows with the square is 16.
    let factor = many.as_secs_f64() / few.as_secs_f64() / f64::from(TIMES);
    assert!(
        factor < 6.0,
        "{factor} times more work for each: {few:?}, {many:?}"
    );
}

fn ranked(pid: u32, ppid: u32, rank: u32) -> Process {
    let of = |source| Some(Rank::by(source, rank));
    Process {
        ppid: Pid(ppid),
        environment: Some(Environment {
            ranks: Ranks {
                rank: of("RANK"),
                local_rank: of("LOCAL_RANK"),
            },
            master_port: Some(29500),
            ..Environment::default()
        }),
        ..Process::bare(Pid(pid))
    }
}

#[test]
fn a_chain_of_trainers() {
    grows_with_the_number(|at| ranked(1000 + at, 999 + at, at), |_| true);
}

#[test]
fn a_chain_of_workers() {
    grows_with_the_number(|at| ranked(1000 + at, 999 + at, 0), |at| at == 0);
}

#[test]
fn a_chain_of_launchers_each_with_a_trainer() {
    let process = |at: u32| match at % 2 {
        0 => Process {
            ppid: Pid(998 + at),
            ..Process::bare(Pid(1000 + at))
        },
        _ => ranked(1000 + at, 999 + at, at),
    };
    grows_with_the_number(process, |at| at % 2 == 1);
}

#[test]
fn the_ranks_of_many_jobs() {
    let process = |at: u32| Process {
        environment: Some(Environment {
            run_id: Some((at / 2).to_string()),
            ..Environment::default()
        }),
        ..ranked(1000 + at, 1, at % 2)
    };
    grows_with_the_number(process, |_| true);
}
