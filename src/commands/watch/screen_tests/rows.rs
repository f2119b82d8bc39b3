//! The rows of processes: sorted, filtered, selected.

use super::*;

fn first_cells(state: &State, column: std::ops::Range<usize>) -> Vec<String> {
    let text = screen(state);
    let lines = text
        .lines()
        .skip_while(|line| !line.contains("VERDICT"))
        .skip(1);
    let cells = lines.map(|line| line.chars().skip(column.start).take(column.len()).collect());
    let cells = cells.map(|cell: String| cell.trim().to_owned());
    cells.take_while(|cell| !cell.is_empty()).collect()
}

#[test]
fn rows_are_sorted_by_a_column() {
    let state = state(Some(recorded("h200x4-mp-spawn")), true, (120, 40));
    let sizes = |state: &State| {
        let rows = screen(state);
        let rows = rows
            .lines()
            .filter(|line| line.contains("GiB  single") || line.contains("MiB single"));
        rows.map(|line| line[2..12].trim().to_owned())
            .collect::<Vec<_>>()
    };
    let usual = sizes(&state);
    assert_eq!(usual[..2], ["0   traine", "0   worker"]);
    // The menu begins with the order of the audit, and has the columns of the table.
    let menu = typed(state, "s");
    assert!(
        screen(&menu).contains("* as the audit"),
        "{}",
        screen(&menu)
    );
    let role = pressed(menu.clone(), &[Key::Down, Key::Down, Key::Enter]);
    assert_eq!(sizes(&role)[3..5], ["3   traine", "0   worker"]);
    assert!(screen(&role).contains("ROLE↑"), "{}", screen(&role));
    let reversed = sizes(&typed(role, "r"));
    assert_eq!(reversed[0], "0   worker");
    let undone = pressed(menu, &[Key::Enter]);
    assert_eq!(sizes(&undone), usual);
}

#[test]
fn a_filter_leaves_what_contains_it() {
    let all = state(Some(recorded("h200x4-mp-spawn")), true, (120, 40));
    let typing = typed(all.clone(), "/GPU 2");
    assert!(
        screen(&typing).contains("Filter: GPU 2_"),
        "{}",
        screen(&typing)
    );
    let kept = pressed(typing.clone(), &[Key::Enter]);
    assert_eq!(first_cells(&kept, 2..4), ["2", "2"]);
    assert!(screen(&kept).contains("filter: GPU 2"), "{}", screen(&kept));
    let undone = pressed(typing, &[Key::Escape]);
    let top = pressed(undone, &[Key::Home]);
    assert_eq!(screen(&top), screen(&all));
    let cleared = pressed(kept, &[Key::Escape]);
    assert!(!cleared.has_ended, "the first Esc removes the filter");
    let top = pressed(cleared, &[Key::Home]);
    assert_eq!(screen(&top), screen(&all));
    let none = typed(all, "/no such process");
    assert!(
        screen(&none).contains("No process contains"),
        "{}",
        screen(&none)
    );
    assert!(
        pressed(none, &[Key::Enter, Key::Enter, Key::Down])
            .open()
            .is_none()
    );
}

#[test]
fn a_key_that_moves_makes_no_new_list() {
    let all = state(Some(recorded("h200x4-mp-spawn")), true, (120, 40));
    let list = all.list.rows.as_ptr();
    let moved = typed(all, "jjk1");
    assert_eq!(moved.list.rows.as_ptr(), list);
    let fewer = typed(moved, "/GPU 2");
    assert_eq!(first_cells(&fewer, 2..4), ["2", "2"]);
    let lower = update(fewer, Event::Size(80, 40), Duration::ZERO);
    assert_eq!(lower.listed_for.map(|(_, width)| width), Some(78));
}

#[test]
fn the_selection_skips_headings_and_stays_with_its_process() {
    let first = living(recorded(MISMATCHED));
    let state = state(Some(first.clone()), false, (80, 24));
    let end = pressed(state.clone(), &[Key::End]);
    assert!(screen(&end).contains(">     launcher"), "{}", screen(&end));
    let up = pressed(end.clone(), &[Key::Up]);
    assert!(screen(&up).contains("> 0   worker"), "{}", screen(&up));
    let down = pressed(up, &[Key::Down]);
    assert!(
        screen(&down).contains(">     launcher"),
        "{}",
        screen(&down)
    );
    let home = pressed(down, &[Key::Home]);
    assert!(screen(&home).contains("> 0   trainer"), "{}", screen(&home));
    // The trainer ends: the launcher stays selected, one row further up.
    let mut without = first;
    without
        .document
        .processes
        .iter_mut()
        .for_each(|all| all.retain(|of| of.pid.0 != 254));
    let gone = answered(end, without, 3);
    assert!(
        screen(&gone).contains(">     launcher"),
        "{}",
        screen(&gone)
    );
    assert!(
        screen(&gone).contains("trainer 254 (GPU 0) has ended"),
        "{}",
        screen(&gone)
    );
}

#[test]
fn a_row_for_each_process_can_be_asked_for() {
    let state = state(Some(recorded("h200x4-mp-spawn")), true, (120, 50));
    assert!(screen(&state).contains("worker ×4"));
    let all = typed(state, "a");
    assert!(!screen(&all).contains("worker ×4"));
    assert_eq!(screen(&all).matches(" worker ").count(), 16);
}

#[test]
fn every_row_can_be_reached_on_a_low_screen() {
    let state = state(Some(recorded("h200x4-mp-spawn")), true, (60, 10));
    let mut state = typed(state, "a");
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..40 {
        let text = screen(&state);
        let line = text.lines().find(|line| line.starts_with('>'));
        seen.insert(
            line.unwrap_or_else(|| panic!("nothing is selected:\n{text}"))
                .to_owned(),
        );
        state = pressed(state, &[Key::Down]);
    }
    assert_eq!(seen.len(), state.document().unwrap().processes().len());
    let top = pressed(state, &[Key::PageUp; 20]);
    assert!(screen(&top).contains("> 0"), "{}", screen(&top));
}
