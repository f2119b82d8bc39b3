//! A wait for files with an end.

use std::os::fd::BorrowedFd;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Waits until one of these files can be read, or until then. It may return earlier.
pub(super) fn wait(files: &[BorrowedFd], until: Instant) {
    let files = files.iter();
    let mut files: Vec<PollFd> = files
        .map(|file| PollFd::from_borrowed_fd(*file, PollFlags::IN))
        .collect();
    poll_until(&mut files, until);
}

/// The same, for any events, which are in `files` afterwards.
pub(super) fn poll_until(files: &mut [PollFd], until: Instant) {
    let left = until.saturating_duration_since(Instant::now());
    let timeout = Timespec {
        tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(left.subsec_nanos()),
    };
    // An error here, such as an interruption, is met again by what reads.
    let _ = poll(files, Some(&timeout));
}
