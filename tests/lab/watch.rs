//! `watch` on a machine of two nodes: `guest/watch` on the shape p4d.

use std::fs;
use std::num::NonZero;

use crate::guest::Left;

#[test]
fn a_process_that_moves_is_seen_on_the_screen() {
    let Some(left) = Left::of("p4d", "watch") else {
        return;
    };
    let pid = left.job("moved").to_string();
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
    // The result above the rows names the process too.
    let is_row = |line: &&str| {
        let words = line.trim_start_matches(['>', '*', ' ']).split_whitespace();
        words.take(3).eq(["0", "trainer", pid.as_str()])
    };
    let row = |screen: &str| screen.lines().find(is_row).unwrap_or_default().to_owned();
    let moved = seen(&format!(
        "trainer {pid} (GPU 0) moved from node 0 to node 1"
    ));
    println!("watch: {moved}");
    let is_marked = |screen: &String| row(screen).starts_with(">*0");
    assert!(screens.iter().any(is_marked), "{moved}");
    // Its busy thread was seen on both nodes, and counted.
    let has_moves = screens.iter().any(|screen| {
        let row = row(screen);
        let words: Vec<&str> = row.split_whitespace().collect();
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
