//! `/proc/uptime` (uptime_proc_show in the kernel's fs/proc/uptime.c).

use super::{Malformed, malformed, number, value};

/// Reads the time since boot, in hundredths of a second: `8.31 15.02` has a second number, of idle CPUs.
pub fn parse_uptime(bytes: &[u8]) -> Result<u64, Malformed> {
    let first = value(bytes).split_whitespace().next().unwrap_or_default();
    let (seconds, hundredths) = first.split_once('.').unwrap_or_default();
    let whole: u64 = number("seconds of uptime", seconds.as_bytes())?;
    let part: u64 = number("hundredths of uptime", hundredths.as_bytes())?;
    match (hundredths.len(), whole.checked_mul(100)) {
        (2, Some(whole)) => Ok(whole.saturating_add(part)),
        _ => malformed("uptime", bytes),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_hundredths() {
        assert_eq!(parse_uptime(b"517244.07 1034000.12\n"), Ok(51_724_407));
        assert!(parse_uptime(b"").is_err());
        assert!(parse_uptime(b"5 6\n").is_err());
        assert!(parse_uptime(b"5.1 6\n").is_err());
        assert!(parse_uptime(b"18446744073709551615.00\n").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = parse_uptime(&bytes);
        }
    }
}
