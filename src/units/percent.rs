//! Shares in percent.

/// The share of `part` in `all` in whole percent. `0%` and `100%` are exact: near them it prints `<1%` and `>99%`.
pub(crate) fn percent(part: u64, all: u64) -> String {
    percent_of_one(part as f64 / all as f64)
}

/// The same for a share from 0 to 1.
pub(crate) fn percent_of_one(share: f64) -> String {
    match share * 100.0 {
        percent if percent > 0.0 && percent < 1.0 => "<1%".to_owned(),
        percent if percent > 99.0 && percent < 100.0 => ">99%".to_owned(),
        percent => format!("{percent:.0}%"),
    }
}
