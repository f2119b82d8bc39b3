//! Variables by name in the text of an environment.

/// The values of these variables. If a name occurs twice, the first value counts, as in getenv(3). The text may have several
/// kilobytes: it is searched once, for all names.
pub(crate) fn parse_variables<'a, const N: usize>(
    environ: &'a [u8],
    names: [&str; N],
) -> [Option<&'a [u8]>; N] {
    let mut values = [None; N];
    for variable in environ.split(|byte| *byte == 0) {
        let value_of = |name: &str| variable.strip_prefix(name.as_bytes())?.strip_prefix(b"=");
        for (name, value) in names.iter().zip(&mut values) {
            *value = value.or_else(|| value_of(name));
        }
    }
    values
}
