//! Which parts of a file a recording keeps.

use std::collections::BTreeSet;
use std::path::Path;

use crate::jobs::{
    JOB_VARIABLES, OPENMP_VARIABLES, RANK_VARIABLES, binding_requests, known_programs,
};
use crate::observe::memory::redact_line;
use crate::observe::process::{LONGEST_VALUE, is_kept};
use crate::observe::root::RecordedEntry;
use crate::record::process_of;

/// Whether a recording keeps the link of an open file: only for files of GPUs, and pipes.
pub(crate) fn keeps_open_file(path: &Path, entry: &RecordedEntry) -> bool {
    match entry {
        RecordedEntry::Link(target) if process_of(path).is_some() => {
            target.to_str().is_some_and(is_kept)
        }
        _ => true,
    }
}

/// The variables of ranks, GPUs and schedulers. All others may be secret, except for those that request a binding.
const VARIABLES: &[&str] = &[
    "CUDA_DEVICE_ORDER",
    "CUDA_MPS_PIPE_DIRECTORY",
    "CUDA_VISIBLE_DEVICES",
    "GROUP_RANK",
    "LOCAL_WORLD_SIZE",
    "MASTER_PORT",
    "NODE_RANK",
    "NVIDIA_VISIBLE_DEVICES",
    "OMP_NUM_THREADS",
    "POD_UID",
    "TORCHELASTIC_RUN_ID",
    "WORLD_SIZE",
];

/// Whether a recording keeps this variable.
fn is_kept_variable(name: &[u8]) -> bool {
    let ranks = RANK_VARIABLES
        .iter()
        .flat_map(|(rank, local)| [rank, local]);
    let jobs = JOB_VARIABLES.iter().map(|(_, variable)| variable);
    let of_jobs = ranks.chain(jobs).chain(&OPENMP_VARIABLES);
    let requests = binding_requests::VARIABLES.iter();
    let mut kept = VARIABLES.iter().chain(of_jobs).chain(requests);
    kept.any(|kept| kept.as_bytes() == name && !name.is_empty())
}

/// A file as the recording has it: without what must not leave the machine.
pub(crate) fn without_secrets(path: &Path, entry: RecordedEntry, redact: bool) -> RecordedEntry {
    let bytes = match entry {
        RecordedEntry::File(bytes) if process_of(path).is_some() => bytes,
        other => return other,
    };
    RecordedEntry::File(match path.file_name().and_then(|name| name.to_str()) {
        Some("environ") if redact => allowed_variables(&bytes, without_names),
        Some("environ") => allowed_variables(&bytes, |_, value| Some(value)),
        Some("cmdline") if redact => redact_words(&bytes),
        Some("numa_maps") if redact => by_line(&bytes, redact_line),
        _ if redact && is_fdinfo(path) => without_client_names(&bytes),
        _ => bytes,
    })
}

/// The part of a file that is kept while the others are read: of environments the variables on the list.
pub(crate) fn part_kept(path: &Path, bytes: &[u8]) -> Option<Vec<u8>> {
    let is_environ = process_of(path).is_some() && path.ends_with("environ");
    is_environ.then(|| allowed_variables(bytes, |_, value| Some(value)))
}

/// The variables on the list, each with its value as `redact` leaves it. As in getenv(3) the first of a name counts. Of a value
/// that is longer than any that means something only so much is kept that it is seen to be too long.
fn allowed_variables(environ: &[u8], redact: Redact) -> Vec<u8> {
    let mut seen = BTreeSet::new();
    let kept = environ.split(|byte| *byte == 0).filter_map(|variable| {
        let mut parts = variable.splitn(2, |byte| *byte == b'=');
        let (name, value) = (parts.next()?, parts.next()?);
        if !is_kept_variable(name) || !seen.insert(name) {
            return None;
        }
        let value = redact(name, value)?;
        let value = &value[..value.len().min(LONGEST_VALUE + 1)];
        Some([name, b"=", value, b"\0"].concat())
    });
    kept.flatten().collect()
}

/// What is kept of the value of a variable; `None` if the variable is not kept.
type Redact = for<'a> fn(name: &[u8], value: &'a [u8]) -> Option<&'a [u8]>;

/// A rank, a list of devices, a word that means yes, an affinity, or the number of a job without the server's name.
fn without_names<'a>(name: &[u8], value: &'a [u8]) -> Option<&'a [u8]> {
    let is_numbers = value
        .iter()
        .all(|byte| byte.is_ascii_digit() || *byte == b',');
    if is_numbers || binding_requests::is_enabled(value) {
        return Some(value);
    }
    let is_openmp = OPENMP_VARIABLES.iter().any(|of| of.as_bytes() == name);
    if is_openmp {
        let is_known = binding_requests::is_openmp_value(value);
        return Some(if is_known { value } else { b"redacted" });
    }
    let is_job = JOB_VARIABLES.iter().any(|(_, of)| of.as_bytes() == name);
    let digits = value
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    (is_job && digits > 0).then(|| &value[..digits])
}

/// argv with only the words that show a known program, request a binding, or distinguish fork servers.
fn redact_words(cmdline: &[u8]) -> Vec<u8> {
    // Behind an option that requests a binding, its values are kept.
    let mut is_behind_option = false;
    let words = cmdline.split_inclusive(|byte| *byte == 0);
    let words = words.map(|word| String::from_utf8_lossy(word.strip_suffix(b"\0").unwrap_or(word)));
    let words: Vec<String> = words.map(Into::into).collect();
    let programs: BTreeSet<usize> = known_programs::program_places(&words).collect();
    let redacted = words.iter().enumerate().flat_map(|(at, text)| {
        let request = binding_requests::kept_by_redaction(text);
        let value = Some(text.as_str());
        let value = value.filter(|text| is_behind_option && binding_requests::is_kept_value(text));
        is_behind_option = value.is_some() || request.is_some();
        let program = known_programs::kept_by_redaction(text, programs.contains(&at));
        let kept = forkserver(text).or(program).or(request).or(value);
        [kept.unwrap_or("redacted").as_bytes(), b"\0"].concat()
    });
    redacted.collect()
}

/// The start of a fork server's program with the numbers of its files, which differ between fork servers.
fn forkserver(word: &str) -> Option<&str> {
    const START: &str = "from multiprocessing.forkserver import main";
    let behind = word.strip_prefix(START)?;
    let arguments = behind.strip_prefix("; main(").unwrap_or_default();
    let end = arguments.find(|letter: char| !letter.is_ascii_digit() && !", ".contains(letter));
    let arguments = &arguments[..end.unwrap_or(arguments.len())];
    let call = if arguments.is_empty() {
        0
    } else {
        "; main(".len()
    };
    Some(&word[..START.len() + call + arguments.len()])
}

fn is_fdinfo(path: &Path) -> bool {
    let folder = path.parent().and_then(Path::file_name);
    folder.is_some_and(|name| name == "fdinfo")
}

/// `fdinfo` of a DRM file without the name that the process has chosen.
fn without_client_names(fdinfo: &[u8]) -> Vec<u8> {
    let lines = fdinfo.split_inclusive(|byte| *byte == b'\n');
    let kept = lines.filter(|line| !line.starts_with(b"drm-client-name"));
    kept.flatten().copied().collect()
}

pub(crate) fn by_line(bytes: &[u8], change: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let changed = lines.flat_map(|line| match line.strip_suffix(b"\n") {
        Some(line) => [change(line), b"\n".to_vec()].concat(),
        None => change(line),
    });
    changed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::process::parse_environment;

    #[test]
    fn redacting_keeps_the_words_that_show_a_helper() {
        let redacted = |cmdline: &[u8]| String::from_utf8(redact_words(cmdline)).unwrap();
        assert_eq!(
            redacted(b"python\0train.py\0--key=x\0"),
            "redacted\0redacted\0redacted\0"
        );
        assert_eq!(
            redacted(b"/home/ann/bin/torchrun\0-m\0ann.train\0--multiprocessing-fork"),
            "torchrun\0-m\0redacted\0--multiprocessing-fork\0"
        );
        assert_eq!(
            redacted(b"/home/ann/bin/numactl\0--membind=0\0--numa-node\0ann"),
            "numactl\0--membind=0\0--numa-node\0redacted\0"
        );
        let forkserver =
            b"python\0-c\0from multiprocessing.forkserver import main; main(5, 7, ['__main__'])\0";
        assert_eq!(
            redacted(forkserver),
            "redacted\0redacted\0from multiprocessing.forkserver import main; main(5, 7, \0"
        );
    }

    #[test]
    fn only_links_to_files_of_gpus_are_kept() {
        let is_kept_link = |path: &str, target: &str| {
            keeps_open_file(Path::new(path), &RecordedEntry::Link(target.into()))
        };
        for target in [
            "/dev/nvidia0",
            "/dev/nvidia-uvm",
            "/dev/kfd",
            "/dev/dri/renderD128",
            "/dev/dri/card0",
        ] {
            assert!(is_kept_link("proc/7/fd/3", target), "{target}");
        }
        for target in ["/home/ann/secret", "socket:[7]", "/dev/null", "/dev/dri/"] {
            assert!(!is_kept_link("proc/7/fd/3", target), "{target}");
        }
        assert!(is_kept_link("sys/bus/pci/devices/0000:01:00.0", "../../x"));
    }

    #[test]
    fn redacting_keeps_the_counters_of_a_client() {
        let fdinfo = b"drm-pdev:\t0000:01:00.0\ndrm-client-name:\tann\ndrm-engine-gfx:\t9 ns\n";
        let path = Path::new("proc/7/fdinfo/3");
        let kept = |redact| without_secrets(path, RecordedEntry::File(fdinfo.to_vec()), redact);
        assert_eq!(
            kept(true),
            RecordedEntry::File(b"drm-pdev:\t0000:01:00.0\ndrm-engine-gfx:\t9 ns\n".to_vec())
        );
        assert_eq!(kept(false), RecordedEntry::File(fdinfo.to_vec()));
    }

    #[test]
    fn only_listed_variables_are_kept() {
        let kept = allowed_variables(
            b"RANKS=1\0RANK=3\0SECRET=x\0TORCHELASTIC_RUN_ID=ann\0garbage",
            |_, value| Some(value),
        );
        assert_eq!(kept, b"RANK=3\0TORCHELASTIC_RUN_ID=ann\0");
        let redacted = allowed_variables(b"RANK=3\0TORCHELASTIC_RUN_ID=ann\0", without_names);
        assert_eq!(redacted, b"RANK=3\0");
    }

    #[test]
    fn little_of_an_environment_is_kept_whatever_its_size() {
        let filler = format!("FILLER={}\0", "x".repeat(1000));
        let long = format!("CUDA_VISIBLE_DEVICES={}\0", "0,".repeat(1 << 20));
        let environ = [
            "RANK=3\0",
            &filler.repeat(5000),
            &"RANK=4\0".repeat(5000),
            &long,
        ]
        .concat();
        let path = Path::new("proc/7/environ");
        let kept = part_kept(path, environ.as_bytes()).unwrap();
        let start = b"RANK=3\0CUDA_VISIBLE_DEVICES=0,0,";
        assert!(kept.starts_with(start), "{:?}", kept.get(..40));
        assert!(kept.len() < 5000, "{} bytes", kept.len());
        let (whole, part) = (
            parse_environment(environ.as_bytes()),
            parse_environment(&kept),
        );
        assert_eq!(whole, part, "a replay reads the same");
        assert_eq!(
            part_kept(path, &kept).unwrap(),
            kept,
            "nothing more is taken away"
        );
        assert_eq!(part_kept(Path::new("proc/7/stat"), b"7"), None);
    }

    #[test]
    fn redacting_keeps_what_binds_and_no_names() {
        let redacted =
            |environ: &[u8]| String::from_utf8(allowed_variables(environ, without_names)).unwrap();
        for kept in [
            "SLURM_JOB_ID=99\0SLURM_LOCALID=1\0OMPI_COMM_WORLD_RANK=5\0",
            "KMP_AFFINITY=granularity=fine,compact,1,0\0OMP_PLACES={0:4}:8:4\0",
            "OMP_PROC_BIND=close\0GOMP_CPU_AFFINITY=0-3 8-11:2\0",
        ] {
            assert_eq!(redacted(kept.as_bytes()), kept);
        }
        assert_eq!(
            redacted(b"PBS_JOBID=12.ann-server\0FLUX_JOB_ID=ann\0KMP_AFFINITY=compact,ann\0"),
            "PBS_JOBID=12\0KMP_AFFINITY=redacted\0"
        );
        let redacted = |cmdline: &[u8]| String::from_utf8(redact_words(cmdline)).unwrap();
        assert_eq!(
            redacted(b"python3\0-u\0train.py\0mpirun\0"),
            "redacted\0redacted\0redacted\0redacted\0",
            "an argument"
        );
        assert_eq!(
            redacted(b"deepspeed\0--bind_core_list\x000-3\0ann\x007"),
            "deepspeed\0--bind_core_list\x000-3\0redacted\0redacted\0"
        );
    }

    /// A redacted recording has the same findings as a live audit.
    #[test]
    fn redacting_keeps_variables_that_request_a_binding() {
        let environ =
            b"ACCELERATE_CPU_AFFINITY=True\0SGLANG_AUTO_NUMA_BIND=1\0TLLM_NUMA_AWARE_WORKER_AFFINITY=ann\0";
        assert_eq!(
            allowed_variables(environ, without_names),
            b"ACCELERATE_CPU_AFFINITY=True\0SGLANG_AUTO_NUMA_BIND=1\0"
        );
        assert_eq!(allowed_variables(environ, |_, value| Some(value)), environ);
    }
}
