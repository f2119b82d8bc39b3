//! `/proc/PID/environ`: NUL-separated variables.

use crate::jobs::{
    JOB_VARIABLES, OPENMP_VARIABLES, RANK_VARIABLES, VARIABLES, jobs_of_variables, pod_of_variable,
    ranks_of_variables, requests_of_variables,
};
use crate::machine::{Environment, Ranks, Reason};
use crate::observe::process::parse_variables;
use crate::observe::read::read_as;
use crate::observe::root::Root;
use crate::units::{Pid, number};

/// A longer value names neither a job nor GPUs: the UUIDs of 64 GPUs have 2.6 KiB.
pub(crate) const LONGEST_VALUE: usize = 4 << 10;

pub(crate) fn read_environment(root: &Root, pid: Pid) -> Result<Environment, Reason> {
    let file = format!("{}/environ", root.process_folder(pid));
    read_as(root, &file, |environ| Ok(parse_environment(environ)))
}

/// Parses the variables that show a process's place in a job, and the bindings that it asks for. A process that changes its
/// title may have overwritten the first variables.
pub(crate) fn parse_environment(environ: &[u8]) -> Environment {
    let mut values = parse_variables(environ, names()).into_iter();
    let [run_id, master_port, visible_devices, pod] = next(&mut values);
    let openmp: [_; OPENMP_VARIABLES.len()] = next(&mut values);
    let openmp = OPENMP_VARIABLES.into_iter().zip(openmp);
    let openmp = openmp.filter_map(|(name, value)| Some((name, parse_text(value)?)));
    Environment {
        openmp: openmp.collect(),
        ranks: parse_ranks(next(&mut values), next(&mut values)),
        run_id: parse_text(run_id),
        master_port: parse_number(master_port),
        visible_devices: parse_text(visible_devices),
        asks: requests_of_variables(next(&mut values)),
        scheduler_jobs: jobs_of_variables(next(&mut values)),
        pod: pod.and_then(pod_of_variable),
    }
}

const SINGLE_VARIABLES: [&str; 4] = [
    "TORCHELASTIC_RUN_ID",
    "MASTER_PORT",
    "CUDA_VISIBLE_DEVICES",
    "POD_UID",
];

const COUNT: usize = SINGLE_VARIABLES.len()
    + OPENMP_VARIABLES.len()
    + 2 * RANK_VARIABLES.len()
    + VARIABLES.len()
    + JOB_VARIABLES.len();

/// The names of all variables that are read, so that one pass finds them.
fn names() -> [&'static str; COUNT] {
    let mut names = SINGLE_VARIABLES
        .into_iter()
        .chain(OPENMP_VARIABLES)
        .chain(RANK_VARIABLES.map(|of| of.0))
        .chain(RANK_VARIABLES.map(|of| of.1))
        .chain(VARIABLES)
        .chain(JOB_VARIABLES.map(|of| of.1));
    next(&mut names)
}

fn next<T: Default, const N: usize>(values: &mut impl Iterator<Item = T>) -> [T; N] {
    std::array::from_fn(|_| values.next().unwrap_or_default())
}

type Values<'a> = [Option<&'a [u8]>; RANK_VARIABLES.len()];

fn parse_ranks(ranks: Values, local_ranks: Values) -> Ranks {
    let mut values = ranks.into_iter().zip(local_ranks);
    ranks_of_variables(RANK_VARIABLES.map(|_| {
        let (rank, local_rank) = values.next().unwrap_or_default();
        (parse_number(rank), parse_number(local_rank))
    }))
}

fn parse_text(value: Option<&[u8]>) -> Option<String> {
    let value = value.filter(|value| value.len() <= LONGEST_VALUE)?;
    Some(String::from_utf8_lossy(value).into_owned())
}

fn parse_number(value: Option<&[u8]>) -> Option<u32> {
    number("number in the environment", value?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::machine::Rank;

    #[test]
    fn a_value_longer_than_any_list_of_gpus_is_ignored() {
        let environ = |length: usize| format!("CUDA_VISIBLE_DEVICES={}\0", "0".repeat(length));
        let visible = |length| parse_environment(environ(length).as_bytes()).visible_devices;
        assert_eq!(visible(4096).map(|value| value.len()), Some(4096));
        assert_eq!(visible(4097), None);
    }

    #[test]
    fn each_variable_has_its_own_value() {
        let all = names();
        let lines = all.iter().map(|name| format!("{name}={name}\0"));
        let environ: String = lines.collect();
        let values = parse_variables(environ.as_bytes(), names());
        // Some launchers have no variable for the local rank.
        let expected = all.map(|name| Some(name.as_bytes()).filter(|name| !name.is_empty()));
        assert_eq!(values, expected);
        assert_eq!(expected[COUNT - 1], Some(&b"RAY_JOB_ID"[..]));
        let environment = parse_environment(environ.as_bytes());
        assert_eq!(environment.run_id.as_deref(), Some("TORCHELASTIC_RUN_ID"));
        assert_eq!(
            environment.openmp,
            OPENMP_VARIABLES.map(|name| (name, name.to_owned()))
        );
    }

    #[test]
    fn reads_the_variables_of_schedulers_and_of_openmp() {
        let environ = b"SLURM_PROCID=9\0SLURM_LOCALID=1\0SLURM_JOB_ID=42\0RAY_JOB_ID=0100\0\
            OMP_PROC_BIND=close\0KMP_AFFINITY=compact\0";
        let environment = parse_environment(environ);
        let local_rank = Some(Rank::by("SLURM_LOCALID", 1));
        assert_eq!(environment.ranks.local_rank, local_rank);
        let jobs = environment.scheduler_jobs.iter();
        let jobs: Vec<&str> = jobs.map(|job| job.id.as_str()).collect();
        assert_eq!(jobs, ["42", "0100"]);
        let openmp = [("OMP_PROC_BIND", "close"), ("KMP_AFFINITY", "compact")];
        assert_eq!(environment.openmp_binding(), openmp);
    }

    #[test]
    fn parses_ranks() {
        let environment = parse_environment(b"garbage\0XRANK=9\0RANK=3\0LOCAL_RANK=x\0RANK=4\0");
        assert_eq!(environment.ranks.rank, Some(Rank::by("RANK", 3)));
        assert_eq!(environment.ranks.local_rank, None);
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
            let rank = parse_environment(environ.as_bytes()).ranks.rank;
            prop_assert_eq!(rank.map(|rank| rank.number), expected);
        }
    }
}
