//! The picture of made-up machines: what is where, nothing overlaps, nothing leaves its box, and the file is XML.

mod diagrams;
mod faults;
mod machines;

use proptest::prelude::*;

use super::diagram::diagram;
use super::layout::layout;
use crate::document::{self, Document};
use faults::faults;
use machines::{machine, process, with_processes};

#[track_caller]
fn is_sound(document: &Document) {
    let layout = layout(&diagram(document));
    let faults = faults(&layout);
    assert!(faults.is_empty(), "{faults:#?}");
    let (width, height) = (layout.width, layout.height);
    assert!(width < 2300.0 && height < 6000.0, "{width} x {height}");
    let file = super::file(document);
    roxmltree::Document::parse(&file).unwrap();
}

#[test]
fn every_rank_on_the_wrong_node() {
    for gpus in [1, 2, 4, 8, 16] {
        let homes: Vec<Vec<u32>> = (0..gpus)
            .map(|gpu| vec![u32::from(gpu >= gpus / 2)])
            .collect();
        let processes = homes.iter().enumerate().flat_map(|(gpu, home)| {
            let away = Some(1 - home[0]);
            (0..5).map(move |of| {
                let role = if of == 0 { "trainer" } else { "worker" };
                process(4_194_000 + gpu * 8 + of, role, &[gpu], home, away, away)
            })
        });
        is_sound(&with_processes(machine(2, 1, &homes), processes.collect()));
    }
}

#[test]
fn a_map_of_every_size() {
    for nodes in [1, 2, 3, 4, 8, 9, 36, 64] {
        let homes: Vec<Vec<u32>> = (0..nodes.min(16)).map(|gpu| vec![gpu]).collect();
        for per_socket in [1, 4] {
            let text = machine(nodes, per_socket, &homes).to_string();
            is_sound(&document::read(text.as_bytes()).unwrap());
        }
    }
}

#[test]
fn hostile_names() {
    let name = "\u{202e}\u{1b}[31m\0<script>&\"'\u{fffe}\u{301}\u{301}\u{301}漢字WWWW".repeat(2000);
    let mut machine = machine(2, 1, &[vec![0], vec![1]]);
    machine["host"]["hostname"] = name.as_str().into();
    machine["topology"]["gpus"][0]["name"] = name.as_str().into();
    let mut process = process(1, "trainer", &[0], &[0], Some(1), Some(1));
    process["name"] = name.as_str().into();
    process["role"] = name.as_str().into();
    let mut judged = process.clone();
    judged["verdict"] = name.as_str().into();
    let mut document = with_processes(machine, vec![process, judged]);
    document.incomplete = vec![document::GapEntry {
        what: name.clone(),
        reason: name,
        ..Default::default()
    }];
    document.summary.as_mut().unwrap().complete = Some(false);
    is_sound(&document);
    let file = super::file(&document);
    assert!(file.len() < 40_000, "{}", file.len());
    assert!(!file.contains("<script") && !file.contains('\u{202e}'));
}

/// The first GPU and how many they are, the nodes of the CPUs and of the memory, and whether it is a worker.
type MadeProcess = (usize, usize, Option<u32>, Option<u32>, bool);

fn any_processes(nodes: u32) -> impl Strategy<Value = Vec<MadeProcess>> {
    let node = || prop::option::weighted(0.9, 0..nodes);
    prop::collection::vec(
        (0usize..16, 1usize..4, node(), node(), any::<bool>()),
        0..60,
    )
}

fn any_document() -> impl Strategy<Value = Document> {
    (1u32..12, 1u32..5, 1usize..17).prop_flat_map(|(nodes, per_socket, gpus)| {
        let home = prop_oneof![
            8 => (0..nodes).prop_map(|node| vec![node]),
            1 => Just(Vec::new()),
            1 => Just((0..nodes).take(2).collect::<Vec<u32>>()),
        ];
        let homes = prop::collection::vec(home, gpus);
        (Just(nodes), Just(per_socket), homes, any_processes(nodes)).prop_map(
            |(nodes, per_socket, homes, processes)| {
                let made = processes.iter().enumerate().map(
                    |(index, (first, count, at, memory, is_worker))| {
                        let count = if index % 7 == 0 { *count } else { 1 };
                        let team: Vec<usize> =
                            (0..count).map(|of| (first + of) % homes.len()).collect();
                        let mut local: Vec<u32> =
                            team.iter().flat_map(|gpu| homes[*gpu].clone()).collect();
                        local.sort_unstable();
                        local.dedup();
                        let role = if *is_worker { "worker" } else { "trainer" };
                        process(1000 + index, role, &team, &local, *at, *memory)
                    },
                );
                with_processes(machine(nodes, per_socket, &homes), made.collect())
            },
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn nothing_overlaps(document in any_document()) {
        is_sound(&document);
    }
}
