//! Names and numbers of users, from the system's user database.
//!
//! Only the users that matter are looked up. A list of all users would lack those of a directory (SSSD does not list its
//! users by default), and makes the C library load all its sources, where the first one may be enough: that costs 0.8 MiB and
//! 0.3 ms with systemd's source.
//!
//! A lookup may need another machine's answer, so it runs on a thread that can be abandoned.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::observe::patience::Patience;

/// The names of these users. Those that are unknown, or not found in time, are left out.
pub(crate) fn names(
    uids: BTreeSet<u32>,
    within: Duration,
    patience: Patience,
) -> BTreeMap<u32, String> {
    if uids.is_empty() {
        return BTreeMap::new();
    }
    let found = collect(within.min(patience.user_names()), move |send| {
        for uid in uids {
            let user = uzers::get_user_by_uid(uid);
            let name = user.and_then(|user| user.name().to_str().map(str::to_owned));
            if name.is_some_and(|name| send((uid, name)).is_none()) {
                return;
            }
        }
    });
    found.into_iter().collect()
}

/// The number of the user with this name on the running system; `None` where it is unknown or not found in time.
pub(crate) fn user_number(name: &str, patience: Patience) -> Option<u32> {
    let name = name.to_owned();
    let found = collect(patience.user_names(), move |send| {
        let user = uzers::get_user_by_name(&name);
        user.and_then(|user| send(user.uid()));
    });
    found.first().copied()
}

/// What `look_up` sends until it returns or the time is over. `send` gives `None` when the receiver is gone.
fn collect<T: Send + 'static>(
    within: Duration,
    look_up: impl FnOnce(&dyn Fn(T) -> Option<()>) + Send + 'static,
) -> Vec<T> {
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::Builder::new().name("users".into());
    // Where no thread can be started nothing is received.
    let _ = thread.spawn(move || look_up(&|item| sender.send(item).ok()));
    let until = Instant::now() + within;
    let next = || {
        let left = until.saturating_duration_since(Instant::now());
        receiver.recv_timeout(left).ok()
    };
    std::iter::from_fn(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_root_and_no_unknown_user() {
        let long = Duration::from_secs(600);
        let patience = Patience::from_variable(Some("300")).unwrap();
        let names = names([0, u32::MAX - 7].into(), long, patience);
        assert_eq!(names, [(0, "root".to_owned())].into());
        assert_eq!(user_number("root", patience), Some(0));
        assert_eq!(user_number("nobody-of-that-name", patience), None);
    }

    #[test]
    fn keeps_what_was_found_before_the_time_was_over() {
        let found = collect(Duration::from_secs(2), |send| {
            send(7);
            // Without a limit the test would not end.
            loop {
                std::thread::park();
            }
        });
        assert_eq!(found, [7]);
    }
}
