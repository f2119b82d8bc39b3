//! Since when a process is there.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::machine::Host;
use crate::machine::process::Process;

/// Clock ticks in a second, in which the kernel tells times to programs (USER_HZ): 100 on every machine that has GPUs.
const TICKS: u64 = 100;

/// When a process was started, to the second. `None` where it is not known when the machine was, and where a recorded tree
/// tells what no clock can.
pub fn started(process: &Process, host: &Host) -> Option<SystemTime> {
    let since_1970 = host
        .started?
        .checked_add(process.start_time_ticks / TICKS)?;
    // Beyond the year 9999 there is no way to write it.
    const END: u64 = 253_402_300_800;
    (since_1970 < END).then(|| UNIX_EPOCH + Duration::from_secs(since_1970))
}

/// How long it has been there, as `ps` and `kubectl` tell it: `12s`, `4m`, `3h10m`, `2d5h`.
pub fn age(process: &Process, host: &Host) -> Option<String> {
    let now = humantime::parse_rfc3339_weak(host.recorded_at.as_deref()?).ok()?;
    let seconds = now.duration_since(started(process, host)?).ok()?.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    Some(match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m"),
        (0, hours, minutes) => format!("{hours}h{}m", minutes % 60),
        (days, hours, _) => format!("{days}d{}h", hours % 24),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Pid;

    fn told(boot: Option<u64>, ticks: u64, now: &str) -> Option<String> {
        let host = Host {
            started: boot,
            recorded_at: Some(now.to_owned()),
            ..Host::default()
        };
        let process = Process {
            start_time_ticks: ticks,
            ..Process::bare(Pid(1))
        };
        age(&process, &host)
    }

    #[test]
    fn tells_an_age_in_two_units_at_most() {
        let boot = Some(1_700_000_000);
        for (now, text) in [
            ("2023-11-14T22:13:59Z", "29s"),
            ("2023-11-14T22:15:30Z", "2m"),
            ("2023-11-15T01:23:59Z", "3h10m"),
            ("2023-11-17T03:13:59Z", "2d5h"),
        ] {
            assert_eq!(told(boot, 1_000, now).as_deref(), Some(text));
        }
    }

    #[test]
    fn says_nothing_of_what_cannot_be() {
        let now = "2023-11-14T22:13:59Z";
        assert_eq!(told(None, 1_000, now), None);
        assert_eq!(told(Some(1_700_000_000), 1 << 40, now), None);
        assert_eq!(told(Some(u64::MAX), u64::MAX, now), None);
        assert_eq!(told(Some(1_700_000_000), 1_000, "yesterday"), None);
    }
}
