//! `/proc/PID/environ`: NUL-separated variables.

use crate::jobs::{VARIABLES, requests_of_variables};
use crate::machine::{Environment, Reason};
use crate::observe::process::parse_variables;
use crate::observe::root::Root;
use crate::units::{Pid, number};

/// A longer value names neither a job nor GPUs: the UUIDs of 64 GPUs have 2.6 KiB.
const LONGEST_VALUE: usize = 4 << 10;

pub(crate) fn read_environment(root: &Root, pid: Pid) -> Result<Environment, Reason> {
    Ok(parse_environment(
        &root.read(&format!("{}/environ", root.process_folder(pid)))?,
    ))
}

/// Parses the variables that show a process's place in a job, and the bindings that it asks for. A process that changes its
/// title may have overwritten the first variables.
pub(crate) fn parse_environment(environ: &[u8]) -> Environment {
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

fn parse_number(value: Option<&[u8]>) -> Option<u32> {
    number("number in the environment", value?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_value_longer_than_any_list_of_gpus_is_ignored() {
        let environ = |length: usize| format!("CUDA_VISIBLE_DEVICES={}\0", "0".repeat(length));
        let visible = |length| parse_environment(environ(length).as_bytes()).visible_devices;
        assert_eq!(visible(4096).map(|value| value.len()), Some(4096));
        assert_eq!(visible(4097), None);
    }

    #[test]
    fn parses_ranks() {
        let environment = parse_environment(b"garbage\0XRANK=9\0RANK=3\0LOCAL_RANK=x\0RANK=4\0");
        assert_eq!(environment.rank, Some(3));
        assert_eq!(environment.local_rank, None);
        assert_eq!(environment.master_port, None);
    }

    proptest! {
        #[test]
        fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_environment(&bytes);
        }

        #[test]
        fn only_plain_digits_are_a_number(value in "[-+ ]?[0-9]{0,22}") {
            let environ = format!("RANK={value}\0");
            let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            let expected = value.parse().ok().filter(|_| digits);
            prop_assert_eq!(parse_environment(environ.as_bytes()).rank, expected);
        }
    }
}
