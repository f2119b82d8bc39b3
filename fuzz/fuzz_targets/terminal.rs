//! Somebody else's text on a terminal.
#![no_main]

use libfuzzer_sys::fuzz_target;
use numa_audit::print::terminal::{Terminal, harmless};

/// What acts on a terminal, or reorders its line.
fn acts(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{061C}' | '\u{FEFF}')
}

fuzz_target!(|text: &str| {
    let shown = harmless(text);
    assert!(!shown.contains(acts), "{shown:?}");
    assert_eq!(harmless(&shown), shown);
    let terminal = Terminal {
        width: 60,
        color: false,
    };
    let wrapped = terminal.wrap("  ! ", &shown, 4);
    assert!(
        wrapped
            .chars()
            .all(|letter| letter == '\n' || !acts(letter))
    );
});
