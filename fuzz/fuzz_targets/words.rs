//! `/proc/PID/cmdline` and `/proc/PID/environ`, and the programs that argv identifies.
#![no_main]

use libfuzzer_sys::fuzz_target;
use numa_audit::jobs::gpu_users::nvidia::gpu_of_environment;
use numa_audit::jobs::known_programs::{is_forkserver, is_job_boundary, is_worker_program, kept_by_redaction, task};
use numa_audit::observe::process::cmdline::parse_command;
use numa_audit::observe::process::environ::parse_environment;

fuzz_target!(|bytes: &[u8]| {
    let command = parse_command(bytes);
    let name = command.first().map_or("", String::as_str);
    let _ = (task(name, &command), is_forkserver(&command));
    let _ = (is_job_boundary(name, Some(&command)), is_worker_program(name, &command));
    for word in &command {
        let _ = kept_by_redaction(word, true);
    }
    let environment = parse_environment(bytes);
    let _ = (gpu_of_environment(&environment, &[]), environment.rank_of_job());
});
