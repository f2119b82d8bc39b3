//! How it is known which GPU a process uses, or which trainer it works for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::units::{Malformed, malformed};

/// The strongest evidence first. Its words are those of `gpu_source` and `attribution` in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Evidence {
    /// NVML lists the process on the GPU.
    Nvml,
    /// The process has the GPU's `/dev/nvidiaN` open clearly more often than that of any other GPU.
    Fd,
    /// AMD's KFD lists a queue of the process on the GPU or, if it has no queue anywhere, memory.
    Kfd,
    /// `/proc/PID/fdinfo` of its DRM files shows time on the GPU's engines or, if it shows none on any GPU, GPU memory.
    Drm,
    /// The process descends from its trainer.
    Ancestor,
    /// The process descends from its trainer's fork server.
    Forkserver,
    /// The process has pipes open that only one trainer has.
    Pipe,
    /// The environment. It names the GPU (CUDA_VISIBLE_DEVICES, LOCAL_RANK), and the process has the driver open: a hint.
    /// Or it has the RANK of the trainer, in the same job.
    Environ,
    /// The process is in the session and the control groups of its trainer.
    Session,
    /// One of worker and trainer maps PyTorch's shared memory that the other made.
    Shm,
}

impl Evidence {
    const ALL: [Self; 10] = [
        Self::Nvml,
        Self::Fd,
        Self::Kfd,
        Self::Drm,
        Self::Ancestor,
        Self::Forkserver,
        Self::Pipe,
        Self::Environ,
        Self::Session,
        Self::Shm,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Nvml => "nvml",
            Self::Fd => "fd",
            Self::Kfd => "kfd",
            Self::Drm => "drm",
            Self::Ancestor => "ancestor",
            Self::Forkserver => "forkserver",
            Self::Pipe => "pipe",
            Self::Environ => "environ",
            Self::Session => "session",
            Self::Shm => "shm",
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Evidence {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let mut all = Self::ALL.into_iter();
        let found = all.find(|evidence| evidence.word() == text);
        found.map_or_else(|| malformed("evidence", text.as_bytes()), Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_parsing_and_json_have_the_same_words() {
        for evidence in Evidence::ALL {
            let word = evidence.to_string();
            assert_eq!(word.parse::<Evidence>().unwrap(), evidence);
            let json = serde_json::to_string(&evidence).unwrap();
            assert_eq!(json, format!("\"{word}\""));
        }
        assert!("guess".parse::<Evidence>().is_err());
    }
}
