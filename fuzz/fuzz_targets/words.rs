//! `/proc/PID/cmdline` and `/proc/PID/environ`, and what argv tells of a process's task.
#![no_main]

use libfuzzer_sys::fuzz_target;
use numa_audit::jobs::process_tree::{bounds_job, is_forkserver, is_made_to_work};
use numa_audit::jobs::framework::{task, telling_part};
use numa_audit::observe::process::cmdline::parse_command;
use numa_audit::observe::process::environ::parse_environment;

fuzz_target!(|bytes: &[u8]| {
    let command = parse_command(bytes);
    let name = command.first().map_or("", String::as_str);
    let _ = (task(name, &command), is_forkserver(&command));
    let _ = (bounds_job(name, &command), is_made_to_work(name, &command));
    for word in &command {
        let _ = telling_part(word);
    }
    let environment = parse_environment(bytes);
    let _ = (environment.gpu_hint(&[]), environment.rank_of_job());
});
