//! What is where.

use super::machines::{machine, process, with_processes};
use crate::document::{self, Document};
use crate::print::picture::diagram::{Diagram, Share, Slot, diagram};
use crate::print::picture::look::Look;
use crate::units::Bytes;

/// 8 GPUs on two nodes. All of GPU 2 and the workers of GPU 3 run on node 1.
fn box8() -> Document {
    let homes: Vec<Vec<u32>> = (0..8).map(|gpu| vec![u32::from(gpu >= 4)]).collect();
    let processes = homes.iter().enumerate().flat_map(|(gpu, home)| {
        (0..5).map(move |of| {
            let role = if of == 0 { "trainer" } else { "worker" };
            let is_away = gpu == 2 || gpu == 3 && of > 0;
            let at = Some(if is_away { 1 } else { home[0] });
            process(1000 + gpu * 5 + of, role, &[gpu], home, at, at)
        })
    });
    with_processes(machine(2, 1, &homes), processes.collect())
}

/// The chips of a GPU: `+` is here, `-` is away.
fn chips(diagram: &Diagram, gpu: u32) -> Vec<String> {
    let mut columns = diagram.panes.iter().flat_map(|pane| &pane.columns);
    let column = columns.find(|column| column.gpu == gpu).unwrap();
    let sign = |is_away: bool| if is_away { '-' } else { '+' };
    let texts = column.chips.iter();
    texts
        .map(|chip| format!("{}{}", sign(chip.is_away), chip.text))
        .collect()
}

fn lane(diagram: &Diagram, pane: usize) -> Vec<(String, String)> {
    let strips = diagram.panes[pane]
        .lanes
        .iter()
        .flat_map(|lane| &lane.strips);
    strips
        .map(|strip| {
            (
                format!("{:?} {}", strip.team, strip.text),
                strip.side.clone(),
            )
        })
        .collect()
}

#[test]
fn processes_are_where_they_run() {
    let diagram = diagram(&box8());
    let (look, sentence) = diagram.result.clone().unwrap();
    assert_eq!(look, Look::Wrong);
    assert_eq!(
        sentence,
        "9 of 40 processes are on another NUMA node than their GPU"
    );
    assert_eq!(chips(&diagram, 0), ["+trainer 1000", "+4 workers"]);
    assert_eq!(chips(&diagram, 2), ["-trainer 1010", "-4 workers"]);
    assert_eq!(chips(&diagram, 3), ["+trainer 1015", "-4 workers"]);
    let both = lane(&diagram, 1);
    assert_eq!(both[0].0, "[2] trainer 1010 + 4 workers");
    assert_eq!(both[1].0, "[3] 4 workers");
    assert!(
        both.iter().all(|(_, side)| side.ends_with(" GiB here")),
        "{both:?}"
    );
    assert!(lane(&diagram, 0).is_empty());
}

#[test]
fn one_arrow_for_each_gpu_and_node() {
    let diagram = diagram(&box8());
    let arrows: Vec<_> = diagram
        .arrows
        .iter()
        .map(|arrow| (arrow.from.pane, arrow.from.slot, arrow.to.pane))
        .collect();
    assert_eq!(arrows, [(0, Slot::Column(2), 1), (0, Slot::Column(3), 1)]);
}

#[test]
fn a_bar_shows_local_and_foreign_memory_apart() {
    let diagram = diagram(&box8());
    let shares = |pane: usize| {
        diagram.panes[pane]
            .memory
            .as_ref()
            .unwrap()
            .parts
            .keys()
            .copied()
            .collect::<Vec<_>>()
    };
    assert_eq!(shares(0), [Share::Local]);
    assert_eq!(shares(1), [Share::Local, Share::Remote]);
    let totals = diagram
        .panes
        .iter()
        .map(|pane| pane.memory.as_ref().unwrap().total());
    assert_eq!(totals.max(), Some(diagram.most_memory));
}

#[test]
fn memory_that_is_elsewhere_is_drawn_there() {
    let made = process(7, "trainer", &[0], &[0], Some(0), Some(1));
    let diagram = diagram(&with_processes(machine(2, 1, &[vec![0]]), vec![made]));
    assert_eq!(
        diagram.result.as_ref().unwrap().1,
        "The only process is local to its GPU, but with memory on another NUMA node"
    );
    assert_eq!(chips(&diagram, 0), ["+trainer 7"]);
    assert_eq!(
        diagram.panes[0].columns[0].chips[0].notes,
        ["memory: node 1"]
    );
    assert_eq!(lane(&diagram, 1)[0].0, "[0] memory of trainer 7");
    assert!(diagram.arrows[0].is_memory);
}

#[test]
fn a_process_that_is_bound_locally_is_there_although_it_last_ran_elsewhere() {
    let mut asleep = process(7, "trainer", &[0], &[0], Some(1), Some(0));
    asleep["cpu"]["affinity_nodes"] = vec![0].into();
    asleep["cpu"]["verdict"] = "ok".into();
    asleep["verdict"] = "ok".into();
    let diagram = diagram(&with_processes(machine(2, 1, &[vec![0]]), vec![asleep]));
    assert_eq!(chips(&diagram, 0), ["+trainer 7"]);
    assert!(diagram.arrows.is_empty());
}

#[test]
fn what_is_unknown_is_said() {
    let lost = process(7, "trainer", &[0], &[0], None, None);
    let homeless = process(8, "trainer", &[1], &[], Some(1), Some(1));
    let diagram = diagram(&with_processes(
        machine(2, 1, &[vec![0], vec![]]),
        vec![lost, homeless],
    ));
    assert_eq!(
        diagram.result.as_ref().unwrap().1,
        "None of 2 processes could be judged"
    );
    let column = &diagram.panes[0].columns[0];
    assert_eq!(
        (column.chips[0].look, column.chips[0].notes[0].as_str()),
        (Look::Unknown, "node unknown")
    );
    assert_eq!(diagram.panes[0].memory.as_ref().unwrap().unknown, 1);
    assert_eq!(diagram.panes[2].title, "home node unknown");
    assert_eq!(lane(&diagram, 1)[0].0, "[1] trainer 8");
    assert!(
        diagram.arrows.is_empty(),
        "an unknown place is not a wrong one"
    );
}

#[test]
fn a_process_of_several_gpus_is_drawn_once() {
    let homes = [vec![0], vec![0], vec![1], vec![1]];
    let mut made = process(7, "trainer", &[0, 1, 2, 3], &[0, 1], Some(0), Some(0));
    made["verdict"] = "at-risk".into();
    let diagram = diagram(&with_processes(machine(2, 1, &homes), vec![made]));
    let strips = |pane: usize| {
        diagram.panes[pane]
            .shared
            .iter()
            .map(|strip| (strip.is_away, strip.side.as_str()))
            .collect::<Vec<_>>()
    };
    assert_eq!(strips(0), [(false, "8.0 MiB here")]);
    assert_eq!(strips(1), [(true, "on node 0")]);
    assert_eq!(diagram.arrows.len(), 1);
    assert!(chips(&diagram, 0).is_empty());
}

#[test]
fn the_memory_of_a_gpu_is_said_with_the_gpu() {
    let mut machine = machine(36, 1, &[vec![0], vec![1]]);
    for node in 2..36 {
        machine["topology"]["nodes"][node]["cpus"] = "".into();
        machine["topology"]["nodes"][node]["package"] = serde_json::Value::Null;
    }
    machine["topology"]["gpus"][0]["own_memory_nodes"] = vec![2].into();
    let made = process(7, "trainer", &[0], &[0], Some(0), Some(2));
    let mut document = with_processes(machine, vec![made]);
    document.processes.as_mut().unwrap()[0].memory.verdict = Some(crate::words::Verdict::Ok.into());
    let diagram = diagram(&document);
    assert_eq!(
        diagram
            .panes
            .iter()
            .map(|pane| pane.title.as_str())
            .collect::<Vec<_>>(),
        ["node 0", "node 1"]
    );
    assert_eq!(diagram.panes[0].columns[0].lines, ["its memory: node 2"]);
    assert_eq!(
        diagram.notes,
        ["nodes 3-35: no CPUs, no memory of these processes"]
    );
    assert_eq!(diagram.panes[0].memory.as_ref().unwrap().total(), Bytes(0));
}

#[test]
fn sockets_with_several_nodes_have_frames() {
    let text = machine(8, 4, &[vec![3], vec![4]]).to_string();
    let diagram = diagram(&document::read(text.as_bytes()).unwrap());
    let groups: Vec<_> = diagram
        .groups
        .iter()
        .map(|group| (group.title.as_deref(), group.panes.len()))
        .collect();
    assert_eq!(groups, [(Some("socket 0"), 4), (Some("socket 1"), 4)]);
    let text = machine(2, 1, &[vec![0]]).to_string();
    let diagram = super::diagram(&document::read(text.as_bytes()).unwrap());
    assert_eq!(diagram.groups.len(), 1);
    assert_eq!(diagram.groups[0].title, None);
}

#[test]
fn many_processes_are_folded() {
    let node = |pid: usize| Some(pid as u32 % 36);
    let many = (0..500).map(|pid| process(pid, "trainer", &[0], &[0], node(pid), node(pid)));
    let diagram = diagram(&with_processes(machine(36, 6, &[vec![0]]), many.collect()));
    let column = &diagram.panes[0].columns[0];
    assert!(column.chips.len() <= 8, "{:?}", column.chips);
    assert_eq!(
        column.chips.iter().map(|chip| chip.count).sum::<usize>(),
        500
    );
    assert!(diagram.arrows.len() <= 24);
}
