//! NUL-separated words: `/proc/PID/cmdline` and `/proc/PID/environ`.

use crate::jobs::binding_requests::{VARIABLES, requests_of_variables};
use crate::machine::environment::Environment;
use crate::units::number;

/// So much of argv is looked at, in bytes. A process may have it say anything at any length (prctl(2), PR_SET_MM_MAP), at no
/// cost to itself, and a user may have tens of thousands of these: what is kept of each costs about as much as itself does.
pub const LONGEST_COMMAND: usize = 32 << 10;

/// And so many words. Those of a trainer with all its options are some hundreds.
const MOST_WORDS: usize = 1024;

/// The last word of an argv that goes on.
const AND_SO_ON: &str = "…";

/// argv; where it is too long, its start and a word that says so. A process may overwrite its own, so that nothing in it can
/// be relied on.
pub fn parse_command(bytes: &[u8]) -> Vec<String> {
    let start = &bytes[..bytes.len().min(LONGEST_COMMAND)];
    let start = start.strip_suffix(b"\0").unwrap_or(start);
    let mut words = start.split(|byte| *byte == 0);
    let text = words.by_ref().take(MOST_WORDS);
    let mut command: Vec<String> = text
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    if bytes.is_empty() {
        command.clear();
    }
    if bytes.len() > LONGEST_COMMAND || words.next().is_some() {
        command.push(AND_SO_ON.to_owned());
    }
    command
}

/// The values of these variables, each the first of its name, as getenv(3) finds it. A process that changes its title may
/// have overwritten the first variables. The text, of kilobytes, is gone through once, however many are asked for.
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

/// The value of a variable that is a number.
fn parse_number(value: Option<&[u8]>) -> Option<u32> {
    number("number in the environment", value?).ok()
}

/// A longer value names no job and no GPUs: those of 64 GPUs by UUID have 2.6 KiB.
const LONGEST_VALUE: usize = 4 << 10;

/// The variables that tell of a process's place in a job and of bindings.
pub fn parse_environment(environ: &[u8]) -> Environment {
    let [local_rank, rank, run_id, master_port, visible_devices] = parse_variables(
        environ,
        [
            "LOCAL_RANK",
            "RANK",
            "TORCHELASTIC_RUN_ID",
            "MASTER_PORT",
            "CUDA_VISIBLE_DEVICES",
        ],
    );
    let text = |value: Option<&[u8]>| {
        let value = value.filter(|value| value.len() <= LONGEST_VALUE)?;
        Some(String::from_utf8_lossy(value).into_owned())
    };
    Environment {
        local_rank: parse_number(local_rank),
        rank: parse_number(rank),
        run_id: text(run_id),
        master_port: parse_number(master_port),
        visible_devices: text(visible_devices),
        asks: requests_of_variables(parse_variables(environ, VARIABLES)),
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
    fn of_a_long_argv_the_start_is_kept() {
        let long = [b"python3\0".as_slice(), &[b'x'; 9 << 20]].concat();
        let command = parse_command(&long);
        assert_eq!((command[0].as_str(), command.len()), ("python3", 3));
        assert_eq!(command[1].len(), LONGEST_COMMAND - "python3\0".len());
        assert_eq!(command[2], "…");
        let words = parse_command(&[0; 9 << 20]);
        assert_eq!(words.len(), MOST_WORDS + 1);
        let whole = parse_command(&b"x\0".repeat(MOST_WORDS));
        assert!(whole.len() == MOST_WORDS && whole.iter().all(|word| word == "x"));
    }

    #[test]
    fn a_value_beyond_all_lists_of_gpus_is_none() {
        let environ = |length: usize| format!("CUDA_VISIBLE_DEVICES={}\0", "0".repeat(length));
        let visible = |length| parse_environment(environ(length).as_bytes()).visible_devices;
        assert_eq!(visible(4096).map(|value| value.len()), Some(4096));
        assert_eq!(visible(4097), None);
    }

    #[test]
    fn reads_ranks() {
        let environment = parse_environment(b"garbage\0XRANK=9\0RANK=3\0LOCAL_RANK=x\0RANK=4\0");
        assert_eq!(environment.rank, Some(3));
        assert_eq!(environment.local_rank, None);
        assert_eq!(environment.master_port, None);
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
            prop_assert_eq!(parse_environment(environ.as_bytes()).rank, expected);
        }
    }
}
