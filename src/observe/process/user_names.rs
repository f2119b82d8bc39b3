//! Names and numbers of users, from the system's user database.
//!
//! Only the users that matter are looked up. A list of all users would lack those of a directory (SSSD does not list its
//! users by default), and makes the C library load all its sources, where the first one may be enough: that costs 0.8 MiB and
//! 0.3 ms with systemd's source.
//!
//! A lookup may need another machine's answer, so it runs on a thread that can be abandoned.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use crate::observe::patience::Patience;
use crate::observe::process::lock;
use crate::units::seconds;

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
    let (found, _) = found;
    found.into_iter().collect()
}

/// The number of the user with this name on the running system; `None` where there is no such user.
///
/// # Errors
/// Where it was not found out in time.
pub(crate) fn user_number(name: &str, patience: Patience) -> Result<Option<u32>, String> {
    let limit = patience.user_names();
    let user = name.to_owned();
    let (found, is_complete) = collect(limit, move |send| {
        let user = uzers::get_user_by_name(&user);
        user.and_then(|user| send(user.uid()));
    });
    match found.first() {
        None if !is_complete => Err(format!(
            "the user database did not answer within {} for user {name:?}",
            seconds(limit)
        )),
        found => Ok(found.copied()),
    }
}

/// What `look_up` sends until it returns or the time is over, and whether it returned. `send` gives `None` when the receiver
/// is gone.
fn collect<T: Send + 'static>(
    within: Duration,
    look_up: impl FnOnce(&dyn Fn(T) -> Option<()>) + Send + 'static,
) -> (Vec<T>, bool) {
    let (sender, receiver) = mpsc::channel();
    let work = move || look_up(&|item| sender.send(item).ok());
    let work = Arc::new(Mutex::new(Some(work)));
    let own = work.clone();
    let thread = std::thread::Builder::new().name("users".into());
    if thread.spawn(move || run(&own)).is_err() {
        // No thread can be started: it may take long, but that is better than a wrong answer.
        run(&work);
    }
    let until = Instant::now() + within;
    let mut found = Vec::new();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match receiver.recv_timeout(left) {
            Ok(item) => found.push(item),
            Err(error) => return (found, error == mpsc::RecvTimeoutError::Disconnected),
        }
    }
}

/// Does the work, unless it was done before.
fn run(work: &Mutex<Option<impl FnOnce()>>) {
    let work = lock(work).take();
    if let Some(work) = work {
        work();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_root_and_no_unknown_user() {
        let long = Duration::from_secs(600);
        let patience = Patience::from_variable(Some("300")).unwrap();
        assert_eq!(user_number("nobody-of-that-name", patience), Ok(None));
        let names = names([0, u32::MAX - 7].into(), long, patience);
        // An image without a distribution has no user database.
        if std::path::Path::new("/etc/passwd").exists() {
            assert_eq!(names, [(0, "root".to_owned())].into());
            assert_eq!(user_number("root", patience), Ok(Some(0)));
        } else {
            assert_eq!(names, BTreeMap::new());
        }
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
        assert_eq!(found, (vec![7], false), "the look-up has not returned");
    }
}
