//! `snapshot.json` of a recording.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::units::Malformed;

/// The only format that is written and read.
pub(crate) const FORMAT: u64 = 1;

/// Facts about a recording. Unknown keys are ignored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Manifest {
    /// [`FORMAT`].
    pub(crate) format: u64,
    /// RFC 3339, UTC.
    pub(crate) recorded_at: Option<String>,
    /// The recorded machine's name.
    pub(crate) hostname: Option<String>,
    /// Free text of the user who recorded it.
    pub(crate) note: Option<String>,
    /// Names of the users whose processes were recorded, by number.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) users: BTreeMap<u32, String>,
    /// Names of the Kubernetes pods of recorded processes, by UID.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) pods: BTreeMap<String, String>,
    /// The PIDs that were named on the command line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) named: Vec<u32>,
    /// PIDs that NVML lists and that belonged to other processes here. Nothing else is recorded of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) strangers: Vec<u32>,
    /// Why the users of some GPUs were unknown, by GPU index. The processes that showed it are not recorded.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) unseen: BTreeMap<u32, String>,
    /// Why processes showed that a GPU exists that no source lists, by PID. They are not recorded.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) unlisted_gpus: BTreeMap<u32, String>,
    /// Files that the recording user was not permitted to read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) denied: Vec<String>,
    /// Processes of which some files did not answer. Of these the recording lacks the files that were waited for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) silent: Vec<u32>,
}

/// Reads `snapshot.json`. Refuses formats that this program does not know.
pub(crate) fn parse_manifest(bytes: &[u8]) -> Result<Manifest, Malformed> {
    let manifest: Manifest =
        serde_json::from_slice(bytes).map_err(|error| Malformed(error.to_string()))?;
    if manifest.format != FORMAT {
        let format = manifest.format;
        return Err(Malformed(format!(
            "format {format}, and this program reads only format {FORMAT}"
        )));
    }
    Ok(manifest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_format_1_is_read() {
        assert!(parse_manifest(br#"{"format": 1, "hostname": "a", "x": []}"#).is_ok());
        assert!(parse_manifest(br#"{"format": 2}"#).is_err());
        assert!(parse_manifest(br#"{"hostname": "a"}"#).is_err());
        assert!(parse_manifest(b"").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse_manifest(&bytes);
        }

        #[test]
        fn a_number_of_any_length_is_read_or_refused(
            key in "format|recorded_at|users|pods|named|strangers|unseen|unlisted_gpus|denied",
            value in "-?[0-9]{1,22}|\\[-?[0-9]{0,22}\\]|\\{\"[0-9]{0,12}\": ?\"x\"\\}",
        ) {
            let _ = parse_manifest(format!("{{\"format\": 1, \"{key}\": {value}}}").as_bytes());
        }
    }
}
