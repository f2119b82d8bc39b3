//! The keys.

use ratatui::text::{Line, Span};

use crate::print::Terminal;
use crate::screen::look::Look;

const KEYS: &[(&str, &str)] = &[
    ("arrows, j k", "move; also PgUp, PgDn, Home and End"),
    (
        "Enter",
        "open the process with its threads and memory, or the finding",
    ),
    ("Tab", "change between processes and findings"),
    (
        "left, right",
        "in an open process or finding: show the previous or the next one",
    ),
    ("Esc, q", "close what is open; if nothing is open, end"),
    (
        "/",
        "show only processes that contain a text: name, command, user, job, GPU, verdict, rule",
    ),
    (
        "s",
        "choose the column to sort by; the same one again sorts the other way round",
    ),
    ("r", "sort the other way round"),
    ("a", "one row for each process, or one for equal workers"),
    ("c", "all changes since the start"),
    ("p, space", "pause: no audits until it is pressed again"),
    ("Ctrl-L", "draw the whole screen again"),
    ("Ctrl-Z", "suspend"),
    ("?, h", "this help"),
];

const TEXT: &[&str] = &[
    "The rows are those of numa-audit. A row with × is for several equal workers. The sign > is before the selected row, \
     and * before a row in which something changed; the changed cell is underlined for ten seconds.",
    "CPU is CPU time since the last audit, in percent of one CPU. CPU NODE has the nodes where it was used. MOVES counts how \
     often a thread was seen on another node than before; it may have moved more often.",
    "Each node has a line: its GPUs (! has a mismatch, ? is at risk or unknown), the CPU time used there, and the memory of \
     the processes: █ memory that is local to its process's GPU, ▒ memory that should be on another node.",
    "The screen only reads. The commands that it shows are not run.",
];

/// The help in this width.
pub(crate) fn lines(width: u16, look: Look) -> Vec<Line<'static>> {
    let terminal = Terminal {
        width,
        color: false,
    };
    let mut lines = Vec::new();
    for (key, what) in KEYS {
        let first = format!("  {key:<12}  ");
        let text = terminal.wrap(&first, what, first.len());
        for (number, line) in text.lines().enumerate() {
            let (key, rest) = line.split_at(first.len().min(line.len()));
            lines.push(match number {
                0 => Line::from(vec![
                    Span::styled(key.to_owned(), look.heading()),
                    Span::raw(rest.to_owned()),
                ]),
                _ => Line::raw(line.to_owned()),
            });
        }
    }
    for text in TEXT {
        lines.push(Line::raw(""));
        let text = terminal.wrap("", text, 0);
        lines.extend(text.lines().map(|line| Line::raw(line.to_owned())));
    }
    lines
}
