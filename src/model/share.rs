//! Shares, as people read them.

/// The share of `part` in `all` in whole percents. What is not quite nothing or all does not read as if it were.
pub fn percent(part: u64, all: u64) -> String {
    let share = part as f64 * 100.0 / all as f64;
    match share {
        _ if part > 0 && share < 1.0 => "<1%".to_owned(),
        _ if part < all && share > 99.0 => ">99%".to_owned(),
        _ => format!("{share:.0}%"),
    }
}
