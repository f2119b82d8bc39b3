//! A missing fact in the document.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{Bytes, Pid};
use crate::words::{GapKind, Word};

/// A fact that could not be read or judged.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct GapEntry {
    /// The process that it is about; null for the machine and its devices.
    pub(crate) pid: Option<Pid>,
    /// What is missing.
    #[serde(default)]
    pub(crate) what: String,
    /// What kind of fact that is. Empty in documents of older versions.
    #[serde(default)]
    pub(crate) kind: Word<GapKind>,
    /// Why it is missing.
    #[serde(default)]
    pub(crate) reason: String,
    /// What would help. Absent where nothing is known to help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
    /// The index of the GPU that it is about. Absent for other facts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gpu: Option<u32>,
    /// The thread that it is about. Absent for other facts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tid: Option<u32>,
    /// Bytes of the GPU's memory that unknown processes use. Absent for other facts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) in_use_bytes: Option<Bytes>,
    /// Whether it alone makes the audit incomplete: processes may be missing, or could not be judged. Absent where that is not
    /// so, and in documents of older versions.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) leaves_open: bool,
}
