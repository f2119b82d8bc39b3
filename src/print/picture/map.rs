//! The map for a terminal: a box for each node, those of a socket in a frame.

use unicode_width::UnicodeWidthStr;

use crate::document::Document;
use crate::print::Terminal;
use crate::print::picture::diagram::{self, Diagram, Pane};

/// Wider lines are not read at one look.
const WIDEST: usize = 100;
/// The least width of a node's box.
const NARROWEST: usize = 19;
/// Between two boxes of one row where they are joined by their distance.
const JOINT: usize = 8;

/// What boxes are drawn with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BoxStyle {
    /// Unicode's lines.
    Lines,
    /// Only letters that every terminal has.
    Ascii,
}

impl BoxStyle {
    /// Top left, top right, bottom left, bottom right, level, upright.
    fn letters(self) -> [char; 6] {
        match self {
            Self::Lines => ['┌', '┐', '└', '┘', '─', '│'],
            Self::Ascii => ['+', '+', '+', '+', '-', '|'],
        }
    }
}

/// Lines of the same width.
type Block = Vec<String>;

/// The map, and an empty line after it. Empty where there are no nodes.
pub(crate) fn map(document: &Document, style: BoxStyle, terminal: &Terminal) -> String {
    let diagram = diagram::diagram(document);
    if document.topology.nodes.is_empty() || diagram.panes.is_empty() {
        return String::new();
    }
    let width = usize::from(terminal.width).min(WIDEST);
    let mut out = String::new();
    for line in joined(&diagram, style, width).unwrap_or_else(|| grouped(&diagram, style, width)) {
        out += line.trim_end();
        out.push('\n');
    }
    for note in &diagram.notes {
        out += &terminal.wrap("", note, 2);
    }
    out.push('\n');
    out
}

/// Two nodes with their distance between them, the commonest machine. `None` for any other one.
fn joined(diagram: &Diagram, style: BoxStyle, width: usize) -> Option<Block> {
    let [one, other] = &diagram.panes[..] else {
        return None;
    };
    let is_framed = diagram.groups.iter().any(|group| group.title.is_some());
    let ([there], [back]) = (&one.distances[..], &other.distances[..]) else {
        return None;
    };
    let distance = |text: &str| text.split(' ').next().map(str::to_owned);
    let (there, back) = (distance(there)?, distance(back)?);
    if is_framed || there != back || there.len() > 4 {
        return None;
    }
    let inner = ((width - JOINT) / 2).min(36) - 4;
    let blocks =
        [one, other].map(|pane| boxed(&pane.title, &words(pane, inner, false), inner, style));
    let level = style.letters()[4].to_string();
    let sign = format!(" {there} ");
    let left = (JOINT - sign.len()) / 2;
    let joint = format!(
        "{}{sign}{}",
        level.repeat(left),
        level.repeat(JOINT - left - sign.len())
    );
    let height = blocks.iter().map(Vec::len).max().unwrap_or_default();
    let line = |at: usize| {
        let part = |block: &Block| {
            block
                .get(at)
                .cloned()
                .unwrap_or_else(|| " ".repeat(inner + 4))
        };
        let between = if at == 1 {
            joint.clone()
        } else {
            " ".repeat(JOINT)
        };
        format!("{}{between}{}", part(&blocks[0]), part(&blocks[1]))
    };
    Some((0..height).map(line).collect())
}

/// The groups below each other, each as rows of boxes.
fn grouped(diagram: &Diagram, style: BoxStyle, width: usize) -> Block {
    let mut block = Block::new();
    for group in &diagram.groups {
        let is_framed = group.title.is_some();
        let room = if is_framed { width - 4 } else { width };
        let most = (room / NARROWEST).max(1);
        let rows = group.panes.len().div_ceil(most).max(1);
        let columns = group.panes.len().div_ceil(rows).max(1);
        let outer = (room / columns).min(40);
        let panes: Vec<&Pane> = group
            .panes
            .iter()
            .map(|index| &diagram.panes[*index])
            .collect();
        let rows = panes
            .chunks(columns)
            .flat_map(|row| beside(row, outer - 4, style));
        let rows: Block = rows.collect();
        match &group.title {
            Some(title) => block.extend(boxed(title, &rows, columns * outer, style)),
            None => block.extend(rows),
        }
    }
    block
}

/// Boxes side by side, equally tall.
fn beside(row: &[&Pane], inner: usize, style: BoxStyle) -> Block {
    let words: Vec<Vec<String>> = row.iter().map(|pane| words(pane, inner, true)).collect();
    let tallest = words.iter().map(Vec::len).max().unwrap_or_default();
    let boxes = row.iter().zip(words).map(|(pane, mut words)| {
        words.resize(tallest, String::new());
        boxed(&pane.title, &words, inner, style)
    });
    let boxes: Vec<Block> = boxes.collect();
    let line = |at: usize| {
        boxes
            .iter()
            .map(|block| block[at].as_str())
            .collect::<String>()
    };
    (0..tallest + 2).map(line).collect()
}

/// What is in a node's box, in lines that fit.
fn words(pane: &Pane, inner: usize, with_distances: bool) -> Vec<String> {
    let fits = |text: &&String| text.width() <= inner;
    let cpus = pane.cpus.iter().find(fits).or(pane.cpus.last()).cloned();
    let mut lines: Vec<String> = cpus.into_iter().chain(pane.size.clone()).collect();
    lines.extend(pane.gpus());
    for column in &pane.columns {
        let lines_of = column.lines.iter();
        let lines_of = lines_of.map(|line| line.trim_start_matches("its "));
        lines.extend(lines_of.map(|line| format!("GPU {} {line}", column.gpu)));
    }
    if with_distances && !pane.distances.is_empty() {
        let line = format!("distance {}", pane.distances.join(", "));
        match line.width() <= inner {
            true => lines.push(line),
            false => lines.extend(pane.distances.iter().cloned()),
        }
    }
    lines.iter().flat_map(|line| broken(line, inner)).collect()
}

/// A text in lines of this width, broken at blanks and behind commas, else anywhere.
fn broken(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for piece in text.split_inclusive([' ', ',']) {
        let has_room = lines
            .last()
            .is_some_and(|line| line.width() + piece.trim_end().width() <= width);
        if !has_room && lines.last().is_some_and(|line| !line.is_empty()) {
            lines.push(String::new());
        }
        for letter in piece.chars() {
            let is_full = lines.last().is_some_and(|line| line.width() >= width);
            if is_full && letter != ' ' {
                lines.push(String::new());
            }
            if let Some(line) = lines.last_mut() {
                line.push(letter);
            }
        }
    }
    lines
        .iter()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

/// Lines in a box with a title; `inner` is the width without the borders.
fn boxed(title: &str, lines: &[String], inner: usize, style: BoxStyle) -> Block {
    let [
        top_left,
        top_right,
        bottom_left,
        bottom_right,
        level,
        upright,
    ] = style.letters();
    let level = level.to_string();
    let title = broken(title, inner).swap_remove(0);
    let rest = inner.saturating_sub(title.width());
    let mut block = vec![format!(
        "{top_left} {title} {}{top_right}",
        level.repeat(rest)
    )];
    block.extend(lines.iter().map(|line| {
        let rest = inner.saturating_sub(line.width());
        format!("{upright} {line}{} {upright}", " ".repeat(rest))
    }));
    block.push(format!(
        "{bottom_left}{}{bottom_right}",
        level.repeat(inner + 2)
    ));
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_words_are_broken() {
        assert_eq!(broken("12 to 0,2-3,5-9", 11), ["12 to 0,", "2-3,5-9"]);
        assert_eq!(broken("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(broken("", 3), [""]);
    }

    #[test]
    fn a_box_has_straight_sides() {
        let block = boxed(
            "node 0",
            &["4 CPUs".to_owned(), "漢字".to_owned()],
            12,
            BoxStyle::Lines,
        );
        assert!(block.iter().all(|line| line.width() == 16), "{block:#?}");
        let block = boxed("a title that is too long", &[], 5, BoxStyle::Ascii);
        assert!(
            block
                .iter()
                .all(|line| line.width() == 9 && line.is_ascii()),
            "{block:#?}"
        );
    }
}
