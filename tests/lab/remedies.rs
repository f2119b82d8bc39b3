//! Runs the fixes: `guest/remedies` misplaces jobs, runs the script that the program prints, and audits again.

use serde_json::Value;

use crate::guest::Left;

/// The rules that are raised for a job's process.
#[track_caller]
fn rules(left: &Left, report: &Value, job: &str) -> Vec<String> {
    let pid = left.job(job);
    let mut processes = report["processes"].as_array().unwrap().iter();
    let process = processes.find(|process| process["pid"] == pid);
    let process = process.unwrap_or_else(|| panic!("{job} ({pid}) is not in the report"));
    let findings = process["findings"].as_array().unwrap().iter();
    findings
        .map(|rule| rule.as_str().unwrap().to_owned())
        .collect()
}

/// For each job the rule is raised before the fix and not after it.
#[track_caller]
fn mended(left: &Left, before: &str, after: &str, cases: &[(&str, &str, &str)]) {
    let (before, after) = (left.json(before), left.json(after));
    for (job, then, rule) in cases {
        let was = rules(left, &before, job);
        assert!(
            was.iter().any(|of| of == rule),
            "{job} does not break {rule}: {was:?}"
        );
        let is = rules(left, &after, then);
        assert!(
            !is.iter().any(|of| of == rule),
            "{then} still breaks {rule}: {is:?}; {}",
            left.text("remedies.log")
        );
        println!("{rule}: {job} breaks {was:?}, and then {is:?}");
    }
}

#[test]
fn the_script_fixes_a_p4d() {
    let Some(left) = Left::of("p4d", "remedies") else {
        return;
    };
    let running = [
        ("bound", "cpu-remote"),
        ("bound", "memory-remote"),
        ("wandered", "cpu-remote"),
        ("loose", "cpu-unbound"),
        ("threads", "threads-astray"),
        ("worker", "worker-split"),
        ("late", "memory-remote"),
        ("crowded", "cpus-crowded"),
    ];
    mended(
        &left,
        "before.json",
        "after.json",
        &running.map(|(job, rule)| (job, job, rule)),
    );
    let after = left.json("after.json");
    assert_eq!(after["summary"]["mismatch"], 0, "{:#}", after["findings"]);
    let restarted = [
        ("policy", "policy-again", "policy-remote"),
        ("pinned", "pinned-again", "pinned-remote"),
        ("interleaved", "interleaved-again", "policy-interleaved"),
        ("walled", "walled", "cpuset-excludes-gpu"),
        ("one0", "one-again0", "ranks-on-one-node"),
        ("one1", "one-again1", "ranks-on-one-node"),
        ("one1", "one-again1", "cpu-remote"),
        ("asked0", "asked-again0", "binding-not-in-effect"),
        ("asked1", "asked-again1", "binding-not-in-effect"),
    ];
    mended(&left, "restart.json", "restarted.json", &restarted);
    let restarted = left.json("restarted.json");
    assert_eq!(restarted["summary"]["ok"], 8, "{:#}", restarted["findings"]);
}

#[test]
fn the_script_fixes_placement_within_a_socket() {
    let Some(left) = Left::of("nps4", "remedies") else {
        return;
    };
    let cases = [
        ("near", "near", "cpu-near"),
        ("near", "near", "memory-near"),
        ("far", "far", "cpu-remote"),
        ("far", "far", "memory-remote"),
    ];
    mended(&left, "before.json", "after.json", &cases);
    assert_eq!(left.json("after.json")["summary"]["ok"], 2);
}
