//! The service of contrib/systemd: what systemd says of it, and that the program works with its capabilities.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::started::{are_here, numa_audit, of_checkout};
use crate::support::passed_over;

const SERVICE: &str = "contrib/systemd/numa-audit-metrics.service";

/// The values of a setting.
fn values<'a>(service: &'a str, name: &str) -> Vec<&'a str> {
    let lines = service.lines();
    let values = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    values.collect()
}

#[test]
fn systemd_calls_the_service_little_exposed() {
    if !are_here(&["systemd-analyze"]) {
        return;
    }
    let mut command = Command::new("systemd-analyze");
    // In tenths: systemd calls less than 2.0 OK, and what has no protection 9.6 UNSAFE.
    command.args(["security", "--offline=true", "--threshold=20", "--no-pager"]);
    let output = command.arg(of_checkout(SERVICE)).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("Overall exposure level"), "{text}");
}

#[test]
fn the_program_writes_its_file_with_the_capabilities_of_the_service() {
    if !is_root() {
        return passed_over("not root");
    }
    let service = std::fs::read_to_string(of_checkout(SERVICE)).unwrap();
    let capabilities = values(&service, "CapabilityBoundingSet")[0].to_lowercase();
    let capabilities = capabilities
        .split(' ')
        .map(|name| name.replace("cap_", "+"));
    let capabilities = format!("-all,{}", capabilities.collect::<Vec<_>>().join(","));
    let start = values(&service, "ExecStart")[0];
    let (program, arguments) = start.split_once(' ').unwrap();
    assert_eq!(program, "/usr/bin/numa-audit");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("numa_audit.prom");
    let installed = arguments.split(' ').next_back().unwrap();
    let writable = values(&service, "ReadWritePaths")[0];
    assert_eq!(installed, format!("{writable}/numa_audit.prom"));
    let arguments = arguments.replace(installed, file.to_str().unwrap());
    let arguments = arguments
        .split(' ')
        .filter(|word| !["--every", "60s"].contains(word));
    let mut command = Command::new("setpriv");
    command.args([
        "--no-new-privs",
        "--bounding-set",
        &capabilities,
        "--inh-caps",
        &capabilities,
    ]);
    command.arg(numa_audit().get_program()).args(arguments);
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert_eq!(errors, "");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(
        text.contains("\nnuma_audit_gaps{what=\"process\"} 0\n"),
        "{text}"
    );
}

fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status.lines().any(|line| line.starts_with("Uid:\t0\t"))
}
