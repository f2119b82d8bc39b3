//! A recording's `nvml.json`.

use crate::machine::{DriverAnswer, MOST_GPUS};
use crate::units::Malformed;

/// Parses `nvml.json`. Unknown fields are ignored.
pub(crate) fn parse_nvml(bytes: &[u8]) -> Result<DriverAnswer, Malformed> {
    let mut answer: DriverAnswer =
        serde_json::from_slice(bytes).map_err(|error| Malformed(error.to_string()))?;
    let Some(gpus) = &mut answer.gpus else {
        return if answer.error.is_some() {
            Ok(answer)
        } else {
            Err(Malformed("neither \"gpus\" nor \"error\"".into()))
        };
    };
    if gpus.len() > MOST_GPUS as usize {
        return Err(Malformed(format!("{} GPUs", gpus.len())));
    }
    gpus.sort_by_key(|gpu| gpu.index);
    match gpus.windows(2).find(|pair| pair[0].index == pair[1].index) {
        Some(pair) => Err(Malformed(format!("GPU {} is listed twice", pair[0].index))),
        None => Ok(answer),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn unknown_fields_are_ignored() {
        let answer = parse_nvml(
            br#"{"new": 1, "gpus": [{"index": 1}, {"index": 0, "processes": [{"pid": 7, "kind": "mps", "used_memory_bytes": 0}]}]}"#,
        );
        let gpus = answer.unwrap().gpus.unwrap();
        assert_eq!(gpus[0].index, 0);
        assert!(!gpus[0].processes.as_ref().unwrap()[0].has_context());
        assert_eq!(
            gpus[1].processes, None,
            "a missing list is not an empty one"
        );
    }

    #[test]
    fn an_answer_without_gpus_and_error_is_malformed() {
        assert!(parse_nvml(b"{}").is_err());
        assert!(parse_nvml(b"[]").is_err());
        assert!(parse_nvml(br#"{"gpus": [{"index": 0}, {"index": 0}]}"#).is_err());
        assert!(parse_nvml(br#"{"error": "driver not loaded"}"#).is_ok());
    }

    proptest! {
        #[test]
        fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse_nvml(&bytes);
        }

        #[test]
        fn no_number_panics(
            key in "index|memory_total_bytes|minor_number|numa_node_id|cuda_driver_version",
            value in "[-+]?[0-9]{1,22}",
        ) {
            let text = format!("{{\"{key}\": {value}, \"gpus\": [{{\"{key}\": {value}}}]}}");
            let _ = parse_nvml(text.as_bytes());
        }
    }
}
