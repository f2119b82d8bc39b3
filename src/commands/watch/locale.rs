//! Whether the terminal has more letters than ASCII.

use std::ffi::{OsStr, OsString};

/// The first of these that is not empty counts, as for the C library.
const VARIABLES: [&str; 3] = ["LC_ALL", "LC_CTYPE", "LANG"];

/// Whether the locale of this process has UTF-8.
pub(super) fn has_utf8() -> bool {
    is_utf8(VARIABLES.map(std::env::var_os))
}

fn is_utf8(values: [Option<OsString>; 3]) -> bool {
    let set = values.into_iter().flatten().find(|value| !value.is_empty());
    let set = set.as_deref().map(OsStr::to_string_lossy);
    set.is_some_and(|value| {
        let value = value.to_ascii_lowercase();
        value.ends_with("utf-8")
            || value.ends_with("utf8")
            || value.contains("utf-8@")
            || value.contains("utf8@")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_that_is_set_counts() {
        let is = |all: &str, ctype: &str, lang: &str| {
            is_utf8([all, ctype, lang].map(|value| Some(OsString::from(value))))
        };
        assert!(is("", "", "C.UTF-8") && is("", "de_DE.utf8@euro", "C"));
        assert!(!is("C", "en_US.UTF-8", "en_US.UTF-8"));
        assert!(!is("", "", "") && !is_utf8([None, None, None]));
        assert!(!is("POSIX", "", ""));
    }
}
