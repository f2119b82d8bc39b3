//! The program's own time limits, in one place. Each is longer than a healthy machine needs, so that only what is stuck
//! or very large exceeds it.
//!
//! `NUMA_AUDIT_PATIENCE` (not in the help) multiplies them, for machines that are much slower than usual: an emulated one,
//! or one with many times more work than CPUs. The tests use it. It multiplies the usual deadline too; one that was given
//! (`--deadline`) stays as it is.

use std::fmt;
use std::time::Duration;

/// How many times longer than usual the program waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patience(u32);

/// The value is not a whole number from 1 to 1000.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadPatience;

impl fmt::Display for BadPatience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} must be a whole number from 1 to {LARGEST_FACTOR}",
            Patience::VARIABLE
        )
    }
}

impl std::error::Error for BadPatience {}

const LARGEST_FACTOR: u32 = 1000;

impl Default for Patience {
    fn default() -> Self {
        Self(1)
    }
}

impl Patience {
    /// The environment variable.
    pub(crate) const VARIABLE: &str = "NUMA_AUDIT_PATIENCE";

    /// From the variable's value; `None` where it is not set.
    ///
    /// # Errors
    /// Where it is not a number in range.
    pub(crate) fn from_variable(value: Option<&str>) -> Result<Self, BadPatience> {
        let Some(value) = value else {
            return Ok(Self::default());
        };
        match value.parse() {
            Ok(factor @ 1..=LARGEST_FACTOR) => Ok(Self(factor)),
            _ => Err(BadPatience),
        }
    }

    /// A limit that another place defines, multiplied.
    pub(crate) fn times(self, usual: Duration) -> Duration {
        usual * self.0
    }

    /// How long a reader of a process's files may neither finish nor use CPU time before it counts as stuck. The kernel's
    /// locks are held for milliseconds.
    pub(crate) fn process(self) -> Duration {
        self.times(Duration::from_secs(2))
    }

    /// How long the driver may be silent. Its start is one step and each GPU is one: without persistence mode it wakes
    /// every GPU when that is asked for, which takes a second or two each.
    pub(crate) fn driver(self) -> Duration {
        self.times(Duration::from_secs(3))
    }

    /// How long the program's own process that asks NVML may take to start: the driver has no part in that.
    pub(crate) fn start_of_child(self) -> Duration {
        self.times(Duration::from_secs(10))
    }

    /// How long to wait for the exit status of that process once it has closed its output. A kernel that writes its memory to
    /// a file closes the output after that.
    pub(crate) fn end_of_child(self) -> Duration {
        self.times(Duration::from_millis(500))
    }

    /// How long the system may take to name users. A directory service may have to ask another machine.
    pub(crate) fn user_names(self) -> Duration {
        self.times(Duration::from_secs(2))
    }

    /// How long the sample of one process's pages may take. When the time is over, the sample is smaller.
    pub(crate) fn sample(self) -> Duration {
        self.times(Duration::from_millis(200))
    }

    /// How long the search for the present pages of a sparse address space may take before pages are asked for at random.
    pub(crate) fn page_search(self) -> Duration {
        self.times(Duration::from_millis(60))
    }

    /// How long a whole `numa_maps` may take where the user did not ask for it: the process cannot map memory meanwhile.
    pub(crate) fn unasked_walk(self) -> Duration {
        self.times(Duration::from_millis(200))
    }

    /// The same where the user asked for every page. A process of 1 TiB in 4 KiB pages takes about 15 s.
    pub(crate) fn asked_walk(self) -> Duration {
        self.times(Duration::from_secs(60))
    }

    /// How long the first lines of one `numa_maps` may take, which show the policy. What lies before them is walked.
    pub(crate) fn first_lines(self) -> Duration {
        self.times(Duration::from_millis(5))
    }

    /// The same for all threads of one process: with gigabytes mapped before its program, these are walked again for each
    /// thread.
    pub(crate) fn all_first_lines(self) -> Duration {
        self.times(Duration::from_millis(50))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_is_a_factor() {
        let factor = |value| Patience::from_variable(value);
        assert_eq!(factor(None), Ok(Patience::default()));
        assert_eq!(
            factor(Some("60")).map(Patience::process),
            Ok(Duration::from_secs(120))
        );
        for value in ["", "0", "-1", "1.5", "1001", "2s", "4294967296"] {
            assert_eq!(factor(Some(value)), Err(BadPatience), "{value}");
        }
    }
}
