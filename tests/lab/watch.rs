//! `watch` on a machine of two nodes: `guest/watch` on the shape p4d.

use std::fs;
use std::num::NonZero;

use crate::guest::Left;

#[test]
fn a_process_that_moves_is_seen_on_the_screen() {
    let Some(left) = Left::of("p4d", "watch") else {
        return;
    };
    let pid = left.job("moved");
    let bytes = fs::read(left.path("screen")).unwrap();
    let size = |cells| NonZero::new(cells).unwrap();
    let mut parser = vt100::Parser::new(size(40), size(120), 0);
    let mut screens: Vec<String> = Vec::new();
    for part in bytes.chunks(256) {
        parser.process(part);
        screens.push(parser.screen().contents());
    }
    let seen = |text: &str| {
        let screen = screens.iter().rfind(|screen| screen.contains(text));
        screen.unwrap_or_else(|| panic!("{text:?} is never seen; the last: {:?}", screens.last()))
    };
    let row = format!("0   trainer {pid}");
    let first = seen(&row);
    println!("watch: {first}");
    let moved = seen(&format!(
        "trainer {pid} (GPU 0) moved from node 0 to node 1"
    ));
    println!("watch: {moved}");
    let is_marked = moved
        .lines()
        .any(|line| line.starts_with(">*") && line.contains(&row));
    assert!(is_marked, "{moved}");
    // Its busy thread was seen on both nodes, and counted.
    let has_moves = screens.iter().any(|screen| {
        let line = screen.lines().find(|line| line.contains(&row));
        let words: Vec<&str> = line.unwrap_or_default().split_whitespace().collect();
        words
            .windows(2)
            .any(|pair| pair[0].ends_with('%') && pair[1] == "1")
    });
    assert!(has_moves, "{moved}");
    seen("pt_autograd_0");
    let end = parser.screen();
    assert!(!end.alternate_screen() && !end.hide_cursor());
    assert_eq!(left.code("watch"), 0);
}
