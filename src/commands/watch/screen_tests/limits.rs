//! What must not spoil the screen: no answer, hostile text, a locale without UTF-8, any size.

use super::*;

#[test]
fn an_answer_that_does_not_come_is_seen() {
    let state = state(Some(living(recorded(MISMATCHED))), false, (100, 24));
    assert!(screen(&state).contains("every 2 s, now"));
    let late = update(state.clone(), Event::Time, Duration::from_secs(15));
    assert!(
        screen(&late).contains("last answer 14 s ago"),
        "{}",
        screen(&late)
    );
    let trouble = Event::Reply(Reply::Trouble("it was \x1b[31mkilled".to_owned()));
    let failed = update(state.clone(), trouble, Duration::from_secs(4));
    assert!(
        screen(&failed).contains("No answer: it was \\u{1b}[31mkilled"),
        "{}",
        screen(&failed)
    );
    assert!(screen(&failed).contains("trainer"), "the last answer stays");
    let paused = update(typed(state, "p"), Event::Time, Duration::from_secs(60));
    assert!(
        screen(&paused).contains("PAUSED, 59 s ago"),
        "{}",
        screen(&paused)
    );
    let unknown = self::state(None, false, (100, 24));
    assert!(screen(&unknown).contains("Reading"));
}

#[test]
fn text_of_processes_cannot_act() {
    let mut audited = recorded(MISMATCHED);
    for process in audited.document.processes.iter_mut().flatten() {
        process.name = "a\x1b]0;x\x07\u{202e}b".to_owned();
        process.command = Some(process.name.clone());
        process.user = Some(process.name.clone());
    }
    for finding in &mut audited.document.findings {
        finding.message += "\x1b[2J";
        finding.rule += "\n\x1b[2J";
    }
    audited.document.host.hostname = Some("h\x1b[2J".to_owned());
    for threads in audited.threads.values_mut() {
        threads
            .iter_mut()
            .for_each(|of| of.name = Some("t\x1b[2J".to_owned()));
    }
    let main = state(Some(audited), true, (200, 50));
    let keys: [&[Key]; 5] = [
        &[],
        &[Key::Enter],
        &[Key::Tab, Key::Enter],
        &[Key::Letter('s')],
        &[Key::Letter('?')],
    ];
    for keys in keys {
        let text = screen(&pressed(main.clone(), keys));
        assert!(
            !text.contains(|letter: char| letter != '\n' && crate::print::acts(letter)),
            "{text}"
        );
    }
    assert!(screen(&main).contains("\\u{1b}"));
}

#[test]
fn without_utf8_there_is_only_ascii_and_without_colour_none() {
    let audited = living(recorded(MISMATCHED));
    let state = state(Some(audited), false, (100, 30));
    let ascii = Look {
        color: false,
        ascii: true,
    };
    let keys: [&[Key]; 3] = [&[], &[Key::Enter], &[Key::Letter('?')]];
    for keys in keys {
        let state = pressed(state.clone(), keys);
        let buffer = buffer(&state, ascii);
        assert!(text(&buffer).is_ascii(), "{}", text(&buffer));
        let has_color = |cell: &ratatui::buffer::Cell| {
            let reset = ratatui::style::Color::Reset;
            (cell.fg, cell.bg) != (reset, reset)
        };
        assert!(!buffer.content.iter().any(has_color));
    }
}

#[test]
fn every_size_can_be_drawn() {
    let audited = living(recorded("h200x4-torchrun-forkserver"));
    let keys: [&[Key]; 6] = [
        &[],
        &[Key::Enter, Key::End],
        &[Key::Tab, Key::End, Key::Enter],
        &[Key::Letter('s'), Key::End],
        &[Key::Letter('?'), Key::PageDown],
        &[Key::Letter('/'), Key::Letter('w'), Key::End],
    ];
    for columns in [0, 1, 39, 40, 80, 300] {
        for lines in [0, 1, 7, 8, 12, 16, 24, 60] {
            for keys in keys {
                let state = state(Some(audited.clone()), false, (100, 30));
                let now = state.now;
                let state = update(pressed(state, keys), Event::Size(columns, lines), now);
                let text = screen(&pressed(state, &[Key::PageDown, Key::Up]));
                if (columns, lines) == (39, 12) {
                    assert!(text.starts_with("Too small: 39x12, needs 40x8"), "{text}");
                }
            }
        }
    }
}
