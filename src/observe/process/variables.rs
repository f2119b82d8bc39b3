//! Variables by name in the text of an environment.

use memchr::memchr;

/// The values of these variables. If a name occurs twice, the first value counts, as in getenv(3). The text may have several
/// kilobytes: it is searched once, for all names.
pub(crate) fn parse_variables<'a, const N: usize>(
    environ: &'a [u8],
    names: [&str; N],
) -> [Option<&'a [u8]>; N] {
    let mut values = [None; N];
    // Nearly all variables have names of other lengths.
    let lengths = names
        .iter()
        .fold(0_u64, |all, name| all | length(name.len()));
    let mut rest = environ;
    while !rest.is_empty() {
        let end = memchr(0, rest).unwrap_or(rest.len());
        let variable = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        let Some(equals) = memchr(b'=', variable).filter(|at| lengths & length(*at) != 0) else {
            continue;
        };
        let name = &variable[..equals];
        for (known, value) in names.iter().zip(&mut values) {
            if known.len() == equals && known.as_bytes() == name {
                value.get_or_insert(&variable[equals + 1..]);
            }
        }
    }
    values
}

/// One bit for each length of a name. All long names have the same; an empty one is no name.
fn length(bytes: usize) -> u64 {
    (1 << bytes.min(63)) & !1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_of_a_whole_name_counts() {
        let environ = b"RANKS=1\0XRANK=2\0RANK\0\0RANK=3=4\0RANK=5\0EMPTY=\0LAST=6";
        let [rank, empty, last, none] = parse_variables(environ, ["RANK", "EMPTY", "LAST", "NONE"]);
        assert_eq!(rank, Some(&b"3=4"[..]));
        assert_eq!(empty, Some(&b""[..]));
        assert_eq!(last, Some(&b"6"[..]), "its end was overwritten");
        assert_eq!(none, None);
        assert_eq!(parse_variables(b"", ["RANK"]), [None]);
        assert_eq!(
            parse_variables(b"=7\0RANK=8", ["", "RANK"]),
            [None, Some(&b"8"[..])]
        );
    }
}
