//! The distances between nodes, as the firmware gives them.

use std::collections::BTreeSet;

use maud::{Markup, html};

use crate::document::{Document, NodeEntry};
use crate::print::html::scroll::boxed;
use crate::units::NodeId;

/// More nodes than these are too many to read.
pub(super) const MOST_NODES: usize = 64;

/// Shades of the style, from the nearest other node to the farthest.
const SHADES: usize = 4;

/// The table; `None` for a single node, for too many, and where no distance is known.
pub(super) fn distances(document: &Document) -> Option<Markup> {
    let nodes = &document.topology.nodes;
    let known = nodes.iter().filter_map(|node| node.distances.as_ref());
    let values: BTreeSet<u32> = known.flat_map(|of| of.values().copied()).collect();
    if nodes.len() < 2 || nodes.len() > MOST_NODES || values.is_empty() {
        return None;
    }
    let values: Vec<u32> = values.into_iter().collect();
    let cell = |from: &NodeEntry, to: NodeId| {
        let distance = from.distances.as_ref().and_then(|of| of.get(&to)).copied();
        let shade = distance.and_then(|of| shade(of, &values));
        html! {
            td class=[shade] { @match distance { Some(distance) => (distance), None => "?" } }
        }
    };
    let caption = "NUMA distances: 10 is a node's own memory; a greater number is farther";
    Some(boxed(
        caption,
        &html! {
            table class="distances" {
                caption { (caption) }
                thead {
                    tr {
                        th scope="col" { "FROM \\ TO" }
                        @for node in nodes { th scope="col" { (node.id) } }
                    }
                }
                tbody {
                    @for from in nodes {
                        tr {
                            th scope="row" { "node " (from.id) }
                            @for to in nodes { (cell(from, to.id)) }
                        }
                    }
                }
            }
        },
    ))
}

/// The class of a distance by its place among all that there are.
fn shade(distance: u32, values: &[u32]) -> Option<&'static str> {
    const CLASSES: [&str; SHADES] = ["d0", "d1", "d2", "d3"];
    let place = values.iter().position(|value| *value == distance)?;
    let last = values.len().saturating_sub(1).max(1);
    CLASSES.get((place * (SHADES - 1)).div_ceil(last)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_is_light_and_the_farthest_dark() {
        let shades = |values: &[u32]| {
            let shades = values.iter().filter_map(|value| shade(*value, values));
            shades.collect::<Vec<_>>()
        };
        assert_eq!(shades(&[10]), ["d0"]);
        assert_eq!(shades(&[10, 21]), ["d0", "d3"]);
        assert_eq!(shades(&[10, 12, 32]), ["d0", "d2", "d3"]);
        assert_eq!(shades(&[10, 40, 80, 100]), ["d0", "d1", "d2", "d3"]);
        assert_eq!(shade(11, &[10]), None);
    }
}
