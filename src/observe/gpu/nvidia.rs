//! What tells of NVIDIA's GPUs: `/proc/driver/nvidia/gpus/ADDRESS/{information,numa_status}` and a
//! recording's `nvml.json`.

use crate::machine::nvml_answer::DriverAnswer;
use crate::units::{Malformed, NodeId, malformed, number, value};

/// The lines of `information` that matter (nv-procfs.c of NVIDIA's open kernel modules).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Information {
    /// `Model`.
    pub name: Option<String>,
    /// `GPU UUID`.
    pub uuid: Option<String>,
    /// `Device Minor`.
    pub minor: Option<u32>,
}

/// Reads `information`.
pub fn parse_information(bytes: &[u8]) -> Information {
    let field = |name: &str| {
        let lines = value(bytes).lines();
        let mut fields = lines.filter_map(|line| line.split_once(':'));
        let found = fields.find(|(key, _)| key.trim() == name)?.1.trim();
        // Before the GPU is first used the UUID reads as question marks.
        (!found.is_empty() && !found.contains("??")).then(|| found.to_owned())
    };
    Information {
        name: field("Model"),
        uuid: field("GPU UUID"),
        minor: field("Device Minor").and_then(|minor| number("minor", minor.as_bytes()).ok()),
    }
}

/// The node of `numa_status`: that of the GPU's own memory, where it is one (Grace, POWER9). `None` while that
/// is not online.
pub fn parse_numa_status(bytes: &[u8]) -> Result<Option<NodeId>, Malformed> {
    let field = |name: &str| {
        let lines = value(bytes).lines();
        let mut fields = lines.filter_map(|line| line.split_once(':'));
        fields
            .find(|(key, _)| key.trim() == name)
            .map(|(_, value)| value.trim())
    };
    match (field("Node"), field("Status")) {
        (Some(node), Some("online")) => Ok(Some(NodeId(number("numa_status", node.as_bytes())?))),
        (Some(_), Some(_)) => Ok(None),
        _ => malformed("numa_status", bytes),
    }
}

/// More than any machine has.
const MOST_GPUS: usize = 1024;

/// Reads `nvml.json`.
pub fn parse_nvml(bytes: &[u8]) -> Result<DriverAnswer, Malformed> {
    let mut answer: DriverAnswer =
        serde_json::from_slice(bytes).map_err(|error| Malformed(error.to_string()))?;
    match (&mut answer.gpus, &answer.error) {
        (None, None) => Err(Malformed("neither \"gpus\" nor \"error\"".into())),
        (Some(gpus), _) if gpus.len() > MOST_GPUS => Err(Malformed(format!("{} GPUs", gpus.len()))),
        (Some(gpus), _) => {
            gpus.sort_by_key(|gpu| gpu.index);
            match gpus.windows(2).find(|pair| pair[0].index == pair[1].index) {
                Some(pair) => Err(Malformed(format!("GPU {} stands twice", pair[0].index))),
                None => Ok(answer),
            }
        }
        (None, Some(_)) => Ok(answer),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_information() {
        let text = b"Model: \t\t NVIDIA H200\nIRQ:   \t\t 32\nGPU UUID: \t GPU-e479aa74\nDevice Minor: \t 3\n";
        let read = parse_information(text);
        assert_eq!(read.name.as_deref(), Some("NVIDIA H200"));
        assert_eq!(read.uuid.as_deref(), Some("GPU-e479aa74"));
        assert_eq!(read.minor, Some(3));
        let unused = b"GPU UUID: \t GPU-????????-????-????-????-????????????\n";
        assert_eq!(parse_information(unused), Information::default());
    }

    #[test]
    fn reads_the_node_of_the_gpus_own_memory() {
        let status = b"Node:\t\t255\nStatus:\t\tonline\nAddress:\t800000000\n";
        assert_eq!(parse_numa_status(status), Ok(Some(NodeId(255))));
        assert_eq!(parse_numa_status(b"Node: 2\nStatus: offline\n"), Ok(None));
        assert!(parse_numa_status(b"Node: x\nStatus: online\n").is_err());
        assert!(parse_numa_status(b"").is_err());
    }

    #[test]
    fn reads_an_answer_and_ignores_what_it_does_not_know() {
        let answer = parse_nvml(
            br#"{"new": 1, "gpus": [{"index": 1}, {"index": 0, "processes": [{"pid": 7, "kind": "mps", "used_memory_bytes": 0}]}]}"#,
        );
        let gpus = answer.unwrap().gpus.unwrap();
        assert_eq!(gpus[0].index, 0);
        assert!(!gpus[0].processes.as_ref().unwrap()[0].has_context());
        assert_eq!(gpus[1].processes, None, "not told is not none");
    }

    #[test]
    fn refuses_an_answer_that_answers_nothing() {
        assert!(parse_nvml(b"{}").is_err());
        assert!(parse_nvml(b"[]").is_err());
        assert!(parse_nvml(br#"{"gpus": [{"index": 0}, {"index": 0}]}"#).is_err());
        assert!(parse_nvml(br#"{"error": "driver not loaded"}"#).is_ok());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse_information(&bytes);
            let _ = parse_numa_status(&bytes);
            let _ = parse_nvml(&bytes);
        }

        #[test]
        fn a_number_of_any_length_is_read_or_refused(
            key in "index|memory_total_bytes|minor_number|numa_node_id|cuda_driver_version",
            value in "[-+]?[0-9]{1,22}",
        ) {
            let text = format!("{{\"{key}\": {value}, \"gpus\": [{{\"{key}\": {value}}}]}}");
            let _ = parse_nvml(text.as_bytes());
            let node = parse_numa_status(format!("Node: {value}\nStatus: online\n").as_bytes());
            prop_assert_eq!(node.is_ok(), is_u32(&value));
            let information = parse_information(format!("Device Minor: {value}\n").as_bytes());
            prop_assert_eq!(information.minor.is_some(), is_u32(&value));
        }
    }

    /// Digits alone, and few enough.
    fn is_u32(value: &str) -> bool {
        value.bytes().all(|byte| byte.is_ascii_digit()) && value.parse::<u32>().is_ok()
    }
}
