//! The picture of made-up machines: nothing overlaps, nothing leaves its box, and the file is XML.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::layout::{Layout, layout};
use super::marks::{Anchor, Area, Mark, Point};
use super::scene::scene;
use crate::document::{self, Document};

/// A machine with so many nodes, some of them in one socket, with its GPUs by home nodes.
fn machine(nodes: u32, per_socket: u32, homes: &[Vec<u32>]) -> Value {
    let node = |id: u32| {
        let distance = |to: u32| (to.to_string(), if to == id { 10 } else { 21 });
        let distances: std::collections::BTreeMap<String, u32> = (0..nodes).map(distance).collect();
        json!({
            "id": id, "cpus": format!("{}-{}", id * 8, id * 8 + 7), "package": id / per_socket,
            "memory_total_bytes": 1u64 << 36, "memory_free_bytes": 1 << 30, "distances": distances,
        })
    };
    let gpu = |(index, home): (usize, &Vec<u32>)| {
        json!({
            "index": index, "name": "NVIDIA H100 80GB HBM3", "pci_bus_id": null, "home_nodes": home, "home_source": "sysfs",
            "local_nodes": home, "local_memory_nodes": home, "in_scope": true, "processes_known": index % 5 != 4,
        })
    };
    json!({
        "schema_version": 1,
        "host": {"hostname": "gpu-07", "recorded_at": "2026-11-29T12:00:00Z", "source": "live"},
        "topology": {
            "nodes": (0..nodes).map(node).collect::<Vec<_>>(),
            "gpus": homes.iter().enumerate().map(gpu).collect::<Vec<_>>(),
        },
    })
}

/// A process of these GPUs that runs on one node and has its memory on another.
fn process(
    pid: usize,
    role: &str,
    gpus: &[usize],
    local: &[u32],
    at: Option<u32>,
    memory: Option<u32>,
) -> Value {
    let verdict = |node: Option<u32>| match node {
        None => "unknown",
        Some(_) if local.is_empty() => "unknown",
        Some(node) if local.contains(&node) => "ok",
        Some(_) => "mismatch",
    };
    let both = [verdict(at), verdict(memory)];
    let worst = ["mismatch", "unknown", "ok"]
        .into_iter()
        .find(|word| both.contains(word));
    let bytes = memory.map(|node| json!({ node.to_string(): (1u64 << 20) * (pid as u64 + 1) }));
    json!({
        "pid": pid, "name": "python3", "role": role, "gpus": gpus, "home_nodes": local, "local_nodes": local,
        "local_memory_nodes": local, "verdict": worst,
        "cpu": {"node": at, "affinity_nodes": at.iter().collect::<Vec<_>>(), "verdict": both[0]},
        "memory": {"by_node_bytes": bytes, "verdict": both[1]},
    })
}

fn with_processes(mut machine: Value, processes: Vec<Value>) -> Document {
    let count = |word: &str| processes.iter().filter(|of| of["verdict"] == word).count();
    let worst = ["mismatch", "unknown", "ok"]
        .into_iter()
        .find(|word| count(word) > 0);
    machine["summary"] = json!({
        "verdict": worst.unwrap_or("ok"), "processes": processes.len(), "ok": count("ok"), "at_risk": 0,
        "mismatch": count("mismatch"), "unknown": count("unknown"), "complete": true,
    });
    machine["processes"] = processes.into();
    document::read(machine.to_string().as_bytes()).unwrap()
}

/// All marks with the group that each is in, from the outermost in.
fn flat<'a>(marks: &'a [Mark], group: usize, next: &mut usize, out: &mut Vec<(usize, &'a Mark)>) {
    for mark in marks {
        match mark {
            Mark::Group { marks, .. } => {
                *next += 1;
                flat(marks, *next, next, out);
            }
            mark => out.push((group, mark)),
        }
    }
}

/// The area that a text takes at most.
fn text_area(mark: &Mark) -> Option<Area> {
    let Mark::Text {
        at,
        anchor,
        font,
        text,
        ..
    } = mark
    else {
        return None;
    };
    let width = font.width(text);
    let x = match anchor {
        Anchor::Start => at.x,
        Anchor::Middle => at.x - width / 2.0,
        Anchor::End => at.x - width,
    };
    Some(Area {
        x,
        y: at.y - 0.75 * font.size,
        width,
        height: 0.95 * font.size,
    })
}

fn overlap(one: Area, other: Area) -> bool {
    const TOUCH: f64 = 0.01;
    one.x + TOUCH < other.right()
        && other.x + TOUCH < one.right()
        && one.y + TOUCH < other.bottom()
        && other.y + TOUCH < one.bottom()
}

fn holds(outer: Area, inner: Area) -> bool {
    const TOUCH: f64 = 0.01;
    inner.x >= outer.x - TOUCH
        && inner.right() <= outer.right() + TOUCH
        && inner.y >= outer.y - TOUCH
        && inner.bottom() <= outer.bottom() + TOUCH
}

/// The boxes of panes, and those of GPUs and processes.
fn boxes(all: &[(usize, &Mark)]) -> (Vec<Area>, Vec<(usize, Area)>) {
    let (mut panes, mut inner) = (Vec::new(), Vec::new());
    for (group, mark) in all {
        let Mark::Box { area, classes, .. } = mark else {
            continue;
        };
        match classes.split(' ').next() {
            Some("pane") => panes.push(*area),
            Some("gpu" | "chip") if area.width > 20.0 => inner.push((*group, *area)),
            _ => {}
        }
    }
    (panes, inner)
}

fn segments(points: &[Point]) -> impl Iterator<Item = Area> {
    points.windows(2).map(|pair| Area {
        x: pair[0].x.min(pair[1].x),
        y: pair[0].y.min(pair[1].y),
        width: (pair[0].x - pair[1].x).abs(),
        height: (pair[0].y - pair[1].y).abs(),
    })
}

/// What is wrong with a layout.
fn faults(layout: &Layout) -> Vec<String> {
    let mut all = Vec::new();
    flat(&layout.marks, 0, &mut 0, &mut all);
    let (panes, inner) = boxes(&all);
    let page = Area {
        x: 0.0,
        y: 0.0,
        width: layout.width,
        height: layout.height,
    };
    let mut faults = Vec::new();
    for (at, pane) in panes.iter().enumerate() {
        if !holds(page, *pane) || panes[..at].iter().any(|other| overlap(*pane, *other)) {
            faults.push(format!("pane {pane:?}"));
        }
    }
    for (at, (_, area)) in inner.iter().enumerate() {
        let homes = panes.iter().filter(|pane| holds(**pane, *area)).count();
        if homes != 1 || inner[..at].iter().any(|(_, other)| overlap(*area, *other)) {
            faults.push(format!("box {area:?} in {homes} panes"));
        }
    }
    let texts: Vec<(usize, Area, &Mark)> = all
        .iter()
        .filter_map(|(group, mark)| Some((*group, text_area(mark)?, *mark)))
        .collect();
    for (at, (group, area, mark)) in texts.iter().enumerate() {
        let own = inner.iter().find(|(of, _)| *group > 0 && of == group);
        if !holds(own.map_or(page, |(_, own)| *own), *area)
            || texts[..at]
                .iter()
                .any(|(_, other, _)| overlap(*area, *other))
        {
            faults.push(format!("text {mark:?}"));
        }
    }
    let arrows: Vec<&Vec<Point>> = all
        .iter()
        .filter_map(|(_, mark)| {
            if let Mark::Arrow { points, .. } = mark {
                Some(points)
            } else {
                None
            }
        })
        .collect();
    for (at, points) in arrows.iter().enumerate() {
        for line in segments(points) {
            let thin = |area: Area| Area {
                x: area.x - 0.5,
                y: area.y - 0.5,
                width: area.width + 1.0,
                height: area.height + 1.0,
            };
            let is_through = |area: &Area| {
                overlap(
                    line,
                    Area {
                        x: area.x + 1.0,
                        y: area.y + 1.0,
                        width: area.width - 2.0,
                        height: area.height - 2.0,
                    },
                )
            };
            if !holds(page, line)
                || inner.iter().any(|(_, area)| is_through(area))
                || texts.iter().any(|(_, area, _)| overlap(line, *area))
            {
                faults.push(format!("line {line:?} of {points:?}"));
            }
            let is_along = |other: Area| {
                overlap(thin(line), thin(other))
                    && (line.width > 1.0) == (other.width > 1.0)
                    && line.width.max(line.height) > 3.0
            };
            if arrows[..at]
                .iter()
                .any(|other| segments(other).any(is_along))
            {
                faults.push(format!("shared line {line:?} of {points:?}"));
            }
        }
    }
    faults
}

#[track_caller]
fn is_sound(document: &Document) {
    let layout = layout(&scene(document));
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

fn any_processes(
    nodes: u32,
) -> impl Strategy<Value = Vec<(usize, usize, Option<u32>, Option<u32>, bool)>> {
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
