//! Which arrows there are: from GPUs to where their processes run, or keep memory, although they should not.

use crate::print::picture::diagram::{Arrow, Origin, Pane, Slot};
use crate::print::picture::look::Look;

/// The most arrows of a picture. Of more, none is drawn: the lanes then say it alone.
const MOST_ARROWS: usize = 24;

/// The most arrows of one strip or column. Of more, none is drawn.
const MOST_OF_ONE: usize = 6;

/// One arrow for each pair of GPUs and a node. Of too many, those to memory alone are left out first.
pub(super) fn arrows(panes: &[Pane]) -> Vec<Arrow> {
    let mut arrows = Vec::new();
    for (index, pane) in panes.iter().enumerate() {
        let lanes = pane.lanes.iter().enumerate();
        let strips = lanes.flat_map(|(lane, of)| {
            let strips = of.strips.iter().enumerate();
            strips.map(move |(at, strip)| (Slot::Lane(lane, at), strip))
        });
        let shared = pane.shared.iter().enumerate();
        let shared = shared.map(|(at, strip)| (Slot::Shared(at), strip));
        for (slot, strip) in strips.chain(shared).filter(|(_, strip)| !strip.is_away) {
            let to = Origin { pane: index, slot };
            let sources = sources(panes, &strip.team).into_iter();
            let sources = sources.filter(|from| from.pane != index);
            arrows.extend(sources.map(|from| Arrow {
                from,
                to,
                look: strip.look,
                is_memory: strip.is_memory,
            }));
        }
    }
    arrows.retain(|arrow| arrow.look >= Look::AtRisk);
    let ends: Vec<Origin> = arrows
        .iter()
        .flat_map(|arrow| [arrow.from, arrow.to])
        .collect();
    let has_room = |of: Origin| ends.iter().filter(|end| **end == of).count() <= MOST_OF_ONE;
    arrows.retain(|arrow| has_room(arrow.from) && has_room(arrow.to));
    if arrows.len() > MOST_ARROWS {
        arrows.retain(|arrow| !arrow.is_memory);
    }
    if arrows.len() > MOST_ARROWS {
        arrows.clear();
    }
    arrows
}

/// Where the arrows of a team begin: at the column of its only GPU, or at its empty places.
fn sources(panes: &[Pane], team: &[u32]) -> Vec<Origin> {
    let only = team.first().copied().filter(|_| team.len() == 1);
    let mut found = Vec::new();
    for (pane, of) in panes.iter().enumerate() {
        let columns = of.columns.iter().enumerate();
        let columns = columns.filter(|(_, column)| Some(column.gpu) == only);
        let strips = of.shared.iter().enumerate();
        let strips = strips.filter(|(_, strip)| strip.is_away && strip.team == team);
        let slots = columns.map(|(at, _)| Slot::Column(at));
        let slots = slots.chain(strips.map(|(at, _)| Slot::Shared(at)));
        found.extend(slots.map(|slot| Origin { pane, slot }));
    }
    found
}
