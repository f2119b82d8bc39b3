//! The panes in rows and columns, those of a socket together.

use crate::print::picture::diagram::PaneGroup;

/// Where a pane is in the grid.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::print::picture) struct Cell {
    pub(in crate::print::picture) row: usize,
    pub(in crate::print::picture) column: usize,
}

/// The frame of a socket: the cells from one corner to the other, both included.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SocketFrame {
    pub(super) title: String,
    pub(super) first: Cell,
    pub(super) last: Cell,
}

/// The places of all panes.
#[derive(Debug, Default)]
pub(super) struct Grid {
    /// By pane.
    pub(super) cells: Vec<Cell>,
    pub(super) frames: Vec<SocketFrame>,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

/// Arranges groups of panes with at most so many columns. Groups stand side by side where they have room.
pub(super) fn grid(groups: &[PaneGroup], panes: usize, most: usize) -> Grid {
    let mut grid = Grid {
        cells: vec![Cell::default(); panes],
        ..Grid::default()
    };
    let (mut left, mut top, mut below) = (0, 0, 0);
    for group in groups {
        let count = group.panes.len();
        let rows = count.div_ceil(most);
        // No row has more than one pane less than the others.
        let columns = count.div_ceil(rows.max(1)).max(1);
        if left > 0 && left + columns > most {
            (left, top) = (0, below);
        }
        for (at, pane) in group.panes.iter().enumerate() {
            grid.cells[*pane] = Cell {
                row: top + at / columns,
                column: left + at % columns,
            };
        }
        if let Some(title) = &group.title {
            let (first, last) = (
                Cell {
                    row: top,
                    column: left,
                },
                Cell {
                    row: top + rows - 1,
                    column: left + columns - 1,
                },
            );
            grid.frames.push(SocketFrame {
                title: title.clone(),
                first,
                last,
            });
        }
        below = below.max(top + rows);
        left += columns;
        grid.columns = grid.columns.max(left);
    }
    grid.rows = below;
    grid
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(title: Option<&str>, panes: std::ops::Range<usize>) -> PaneGroup {
        PaneGroup {
            title: title.map(str::to_owned),
            panes: panes.collect(),
        }
    }

    fn places(grid: &Grid) -> Vec<(usize, usize)> {
        grid.cells
            .iter()
            .map(|cell| (cell.row, cell.column))
            .collect()
    }

    #[test]
    fn rows_are_balanced() {
        let grid = grid(&[group(None, 0..5)], 5, 4);
        assert_eq!(places(&grid), [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]);
        assert_eq!((grid.rows, grid.columns), (2, 3));
    }

    #[test]
    fn small_sockets_stand_side_by_side() {
        let sockets = [group(Some("0"), 0..2), group(Some("1"), 2..4)];
        let side_by_side = grid(&sockets, 4, 4);
        assert_eq!(places(&side_by_side), [(0, 0), (0, 1), (0, 2), (0, 3)]);
        let stacked = grid(&sockets, 4, 3);
        assert_eq!(places(&stacked), [(0, 0), (0, 1), (1, 0), (1, 1)]);
        assert_eq!(stacked.frames[1].first, Cell { row: 1, column: 0 });
        assert_eq!(stacked.frames[1].last, Cell { row: 1, column: 1 });
    }
}
