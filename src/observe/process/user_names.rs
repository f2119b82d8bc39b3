//! Users' names and numbers, as the system tells them.
//!
//! Only those that matter are asked for. A list of all users would lack those of a directory (SSSD lists none unless it is
//! told to), and has the C library load each of its sources, where one is enough for a user that the first of them knows:
//! 0.8 MiB and 0.3 ms, where systemd's comes after the files.
//!
//! They may come from another machine: so they are asked for on a thread that can be left behind.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::observe::patience::Patience;

/// The names of these users, as far as they are known, and as far as they are told by then.
pub(crate) fn names(
    uids: BTreeSet<u32>,
    within: Duration,
    patience: Patience,
) -> BTreeMap<u32, String> {
    if uids.is_empty() {
        return BTreeMap::new();
    }
    let told = asked(within.min(patience.user_names()), move |tell| {
        for uid in uids {
            let user = uzers::get_user_by_uid(uid);
            let name = user.and_then(|user| user.name().to_str().map(str::to_owned));
            if name.is_some_and(|name| tell((uid, name)).is_none()) {
                return;
            }
        }
    });
    told.into_iter().collect()
}

/// The number of the user of this name on the running system; `None` where there is none, or nobody tells in time.
pub fn user_number(name: &str, patience: Patience) -> Option<u32> {
    let name = name.to_owned();
    let told = asked(patience.user_names(), move |tell| {
        let user = uzers::get_user_by_name(&name);
        user.and_then(|user| tell(user.uid()));
    });
    told.first().copied()
}

/// What is told by `ask` until it has ended or the time is over; `tell` gives `None` when nobody listens any more.
fn asked<T: Send + 'static>(
    within: Duration,
    ask: impl FnOnce(&dyn Fn(T) -> Option<()>) + Send + 'static,
) -> Vec<T> {
    let (sender, told) = mpsc::channel();
    let thread = std::thread::Builder::new().name("users".into());
    // Where no thread can be had nothing is told.
    let _ = thread.spawn(move || ask(&|what| sender.send(what).ok()));
    let until = Instant::now() + within;
    let next = || {
        let left = until.saturating_duration_since(Instant::now());
        told.recv_timeout(left).ok()
    };
    std::iter::from_fn(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_superuser_and_nobody_of_no_number() {
        let long = Duration::from_secs(600);
        let patience = Patience::from_variable(Some("300")).unwrap();
        let names = names([0, u32::MAX - 7].into(), long, patience);
        assert_eq!(names, [(0, "root".to_owned())].into());
        assert_eq!(user_number("root", patience), Some(0));
        assert_eq!(user_number("nobody-of-that-name", patience), None);
    }

    #[test]
    fn keeps_what_was_told_before_it_took_too_long() {
        let told = asked(Duration::from_secs(2), |tell| {
            tell(7);
            // Without a limit the test would not end.
            loop {
                std::thread::park();
            }
        });
        assert_eq!(told, [7]);
    }
}
