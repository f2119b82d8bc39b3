//! What moved, drawn: the nodes on which processes ran before on the left, those on which they run now on the right, and a band
//! for all that went the same way.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};

use crate::compare::Diff;
use crate::print::html::diff::changes::mood;
use crate::print::html::mark::Mood;
use crate::print::processes as counted;
use crate::units::NodeId;

/// In units of the drawing, as all sizes here.
const WIDTH: u32 = 720;
const BOX: u32 = 110;
/// Room for the words of a band before it bends.
const WORDS: u32 = 140;
const GAP: u32 = 18;
const HEADING: u32 = 26;
/// A band is as high as its words at least.
const LEAST: u32 = 20;
const MOST: u32 = 60;

/// Processes that went from one node to another, or stayed.
struct Band {
    from: NodeId,
    to: NodeId,
    mood: Mood,
    count: usize,
}

impl Band {
    fn height(&self) -> u32 {
        u32::try_from(self.count * 4)
            .unwrap_or(MOST)
            .clamp(LEAST, MOST)
    }

    fn words(&self) -> String {
        let word = match (self.mood, self.from == self.to) {
            (Mood::Bad, _) => "worse",
            (Mood::Good, _) => "better",
            (Mood::Open, _) => "not judged",
            (_, true) => "stayed",
            (_, false) => "moved",
        };
        format!("{} {} {word}", self.mood.symbol(), self.count)
    }
}

/// The section.
pub(super) fn moves(diff: &Diff) -> Markup {
    let bands = bands(diff);
    let moved = bands.iter().filter(|band| band.from != band.to);
    let moved: usize = moved.map(|band| band.count).sum();
    let sentence = match moved {
        0 => "No judged process runs on another node than before.".to_owned(),
        1 => "1 process runs on another node than before.".to_owned(),
        several => format!("{several} processes run on another node than before."),
    };
    html! {
        section id="moves" aria-labelledby="moves-heading" {
            h2 id="moves-heading" { "Moves" }
            p { (sentence) }
            @if moved > 0 {
                div class="moves scroll" role="region" aria-label="Moves between nodes" tabindex="0" { (drawn(&bands)) }
            }
        }
    }
}

fn bands(diff: &Diff) -> Vec<Band> {
    let mut bands: BTreeMap<(NodeId, NodeId, u8), Band> = BTreeMap::new();
    for change in diff.processes.iter().filter(|change| change.is_judged()) {
        let (Some(before), Some(after)) = (change.before, change.after) else {
            continue;
        };
        let (Some(from), Some(to)) = (before.cpu.node, after.cpu.node) else {
            continue;
        };
        let mood = mood(change);
        let band = bands.entry((from, to, mood as u8)).or_insert(Band {
            from,
            to,
            mood,
            count: 0,
        });
        band.count += 1;
    }
    bands.into_values().collect()
}

/// The upper edge and the height of each node's box on one side.
fn boxes(nodes: &BTreeSet<NodeId>, bands: &[Band]) -> (BTreeMap<NodeId, (u32, u32)>, u32) {
    let mut at = HEADING;
    let mut boxes = BTreeMap::new();
    for node in nodes {
        let side = |of: fn(&Band) -> NodeId| {
            let here = bands.iter().filter(|band| of(band) == *node);
            here.map(Band::height).sum::<u32>()
        };
        // Equally high on both sides, so that the bands of processes that stay are level.
        let height = side(|band| band.from).max(side(|band| band.to)).max(LEAST);
        boxes.insert(*node, (at, height));
        at += height + GAP;
    }
    (boxes, at)
}

fn drawn(bands: &[Band]) -> Markup {
    let nodes: BTreeSet<NodeId> = bands.iter().flat_map(|band| [band.from, band.to]).collect();
    let (boxes, height) = boxes(&nodes, bands);
    let right = WIDTH - BOX;
    let summary: Vec<String> = bands
        .iter()
        .map(|band| {
            let (from, to) = (band.from, band.to);
            format!(
                "{} from node {from} to node {to}: {}",
                counted(band.count),
                band.words()
            )
        })
        .collect();
    html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox={ "0 0 " (WIDTH) " " (height) } role="img"
            aria-labelledby="moves-title moves-desc" {
            title id="moves-title" { "Moves between nodes" }
            desc id="moves-desc" { (summary.join("; ")) }
            text x="0" y="14" { "before" }
            text x=(right) y="14" { "after" }
            (paths(bands, &boxes))
            @for x in [0, right] {
                @for (node, (y, height)) in &boxes {
                    rect class="node" x=(x) y=(y) width=(BOX) height=(height) rx="4" {}
                    text x=(x + 12) y=(y + height / 2 + 5) { "node " (node) }
                }
            }
        }
    }
}

fn paths(bands: &[Band], boxes: &BTreeMap<NodeId, (u32, u32)>) -> Markup {
    let top = |node: &NodeId| boxes.get(node).map_or(0, |(y, _)| *y);
    let mut left: BTreeMap<NodeId, u32> = BTreeMap::new();
    let mut right: BTreeMap<NodeId, u32> = BTreeMap::new();
    let mut placed: Vec<(&Band, u32, u32)> = Vec::new();
    for band in bands {
        let start = left.entry(band.from).or_insert_with(|| top(&band.from));
        let end = right.entry(band.to).or_insert_with(|| top(&band.to));
        let half = band.height() / 2;
        placed.push((band, *start + half, *end + half));
        *start += band.height();
        *end += band.height();
    }
    // Processes that moved are drawn over those that stayed.
    placed.sort_by_key(|(band, ..)| band.from != band.to);
    let (from, bend, to) = (BOX, BOX + WORDS, WIDTH - BOX);
    let middle = (bend + to) / 2;
    html! {
        @for (band, y1, y2) in &placed {
            path class=(band.mood.class()) stroke-width=(band.height().saturating_sub(2))
                d={ "M" (from) " " (y1) " H" (bend) " C" (middle) " " (y1) " " (middle) " " (y2) " " (to) " " (y2) } {}
        }
        @for (band, y1, _) in &placed {
            text class={ "count " (band.mood.class()) } x=(from + 10) y=(y1 + 5) { (band.words()) }
        }
    }
}
