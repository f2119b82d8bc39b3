//! Which parts of a file a recording keeps.

use std::path::Path;

use crate::jobs::{
    JOB_VARIABLES, OPENMP_VARIABLES, RANK_VARIABLES, binding_requests, known_programs,
};
use crate::observe::memory::redact_line;
use crate::observe::process::is_kept;
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
pub(crate) fn without_secrets(path: &Path, entry: &RecordedEntry, redact: bool) -> RecordedEntry {
    let RecordedEntry::File(bytes) = entry else {
        return entry.clone();
    };
    if process_of(path).is_none() {
        return entry.clone();
    }
    let bytes = match path.file_name().and_then(|name| name.to_str()) {
        Some("environ") if redact => allowed_variables(bytes, is_impersonal),
        Some("environ") => allowed_variables(bytes, |_| true),
        Some("cmdline") if redact => redact_words(bytes),
        Some("numa_maps") if redact => by_line(bytes, redact_line),
        _ if redact && is_fdinfo(path) => without_client_names(bytes),
        _ => bytes.clone(),
    };
    RecordedEntry::File(bytes)
}

/// The variables on the list, if their values are allowed too.
fn allowed_variables(environ: &[u8], is_allowed: fn(&[u8]) -> bool) -> Vec<u8> {
    let is_kept = |variable: &&[u8]| {
        let mut parts = variable.splitn(2, |byte| *byte == b'=');
        let (Some(name), Some(value)) = (parts.next(), parts.next()) else {
            return false;
        };
        is_kept_variable(name) && is_allowed(value)
    };
    let variables = environ.split(|byte| *byte == 0).filter(is_kept);
    variables
        .flat_map(|variable| [variable, b"\0"].concat())
        .collect()
}

/// A rank, a list of devices, or a word that means yes.
fn is_impersonal(value: &[u8]) -> bool {
    let is_numbers = value
        .iter()
        .all(|byte| byte.is_ascii_digit() || *byte == b',');
    is_numbers || binding_requests::is_enabled(value)
}

/// argv with only the words that show a known program, or distinguish fork servers.
fn redact_words(cmdline: &[u8]) -> Vec<u8> {
    let words = cmdline.split_inclusive(|byte| *byte == 0);
    let redacted = words.flat_map(|word| {
        let word = word.strip_suffix(b"\0").unwrap_or(word);
        let text = String::from_utf8_lossy(word);
        let kept = forkserver(&text).or_else(|| telling_part(&text));
        [kept.unwrap_or("redacted").as_bytes(), b"\0"].concat()
    });
    redacted.collect()
}

/// The part of a word that shows a known program, or requests a binding.
fn telling_part(word: &str) -> Option<&str> {
    known_programs::kept_by_redaction(word).or_else(|| binding_requests::kept_by_redaction(word))
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
        let kept = |redact| without_secrets(path, &RecordedEntry::File(fdinfo.to_vec()), redact);
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
            |_| true,
        );
        assert_eq!(kept, b"RANK=3\0TORCHELASTIC_RUN_ID=ann\0");
        let redacted = allowed_variables(b"RANK=3\0TORCHELASTIC_RUN_ID=ann\0", is_impersonal);
        assert_eq!(redacted, b"RANK=3\0");
    }

    /// A redacted recording has the same findings as a live audit.
    #[test]
    fn redacting_keeps_variables_that_request_a_binding() {
        let environ =
            b"ACCELERATE_CPU_AFFINITY=True\0SGLANG_AUTO_NUMA_BIND=1\0TLLM_NUMA_AWARE_WORKER_AFFINITY=ann\0";
        assert_eq!(
            allowed_variables(environ, is_impersonal),
            b"ACCELERATE_CPU_AFFINITY=True\0SGLANG_AUTO_NUMA_BIND=1\0"
        );
        assert_eq!(allowed_variables(environ, |_| true), environ);
    }
}
