//! NUL-separated words: `/proc/PID/cmdline` and `/proc/PID/environ`.

use super::ask::parse_asking_variables;
use super::number;
use crate::model::environment::Environment;

/// argv. A process may overwrite its own, so that nothing in it can be relied on.
pub fn parse_command(bytes: &[u8]) -> Vec<String> {
    let mut words: Vec<&[u8]> = bytes.split(|byte| *byte == 0).collect();
    if words.last().is_some_and(|last| last.is_empty()) {
        words.pop();
    }
    let text = words.into_iter().map(String::from_utf8_lossy);
    text.map(|word| word.into_owned()).collect()
}

/// The value of one variable: the first of that name, as getenv(3) finds it. A process that changes its
/// title may have overwritten the first variables.
pub(super) fn parse_variable<'a>(environ: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut variables = environ.split(|byte| *byte == 0);
    variables.find_map(|variable| variable.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

/// The value of a variable that is a number.
fn parse_number(environ: &[u8], name: &str) -> Option<u32> {
    number(name, parse_variable(environ, name)?).ok()
}

/// The variables that tell of a process's place in a job and of bindings.
pub fn parse_environment(environ: &[u8]) -> Environment {
    let text = |name| {
        let value = parse_variable(environ, name)?;
        Some(String::from_utf8_lossy(value).into_owned())
    };
    Environment {
        local_rank: parse_number(environ, "LOCAL_RANK"),
        rank: parse_number(environ, "RANK"),
        run_id: text("TORCHELASTIC_RUN_ID"),
        master_port: parse_number(environ, "MASTER_PORT"),
        visible_devices: text("CUDA_VISIBLE_DEVICES"),
        asks: parse_asking_variables(environ),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_argv_with_empty_words() {
        assert_eq!(parse_command(b"python3\0\0-c\0"), ["python3", "", "-c"]);
        assert_eq!(
            parse_command(b"a title without end"),
            ["a title without end"]
        );
        assert!(parse_command(b"").is_empty());
    }

    #[test]
    fn reads_ranks() {
        let environ = b"garbage\0XRANK=9\0RANK=3\0LOCAL_RANK=x\0RANK=4\0";
        assert_eq!(parse_number(environ, "RANK"), Some(3));
        assert_eq!(parse_number(environ, "LOCAL_RANK"), None);
        assert_eq!(parse_number(environ, "WORLD_SIZE"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_command(&bytes);
            let _ = parse_environment(&bytes);
        }

        #[test]
        fn a_number_that_is_none_is_none(value in "[-+ ]?[0-9]{0,22}") {
            let environ = format!("RANK={value}\0");
            let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            let expected = value.parse().ok().filter(|_| digits);
            prop_assert_eq!(parse_number(environ.as_bytes(), "RANK"), expected);
        }
    }
}
