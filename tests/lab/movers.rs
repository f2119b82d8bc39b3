//! Processes that are busy and are moved during a window: `guest/movers` on the shape p4d.

use serde_json::Value;

use crate::guest::Left;
use crate::peers::by_pid;

/// The CPU time of all threads in these lines of `stat`, in seconds (fields 14 and 15).
fn cpu_seconds(stats: &str) -> f64 {
    let of_thread = |stat: &str| {
        let (_, behind) = stat.rsplit_once(')').unwrap();
        let ticks = behind.split_whitespace().skip(11).take(2);
        ticks
            .map(|ticks| ticks.parse::<f64>().unwrap())
            .sum::<f64>()
    };
    stats.lines().map(of_thread).sum::<f64>() / 100.0
}

/// The CPU time of a process on node 0 and 1, in seconds.
fn spent(process: &Value) -> [f64; 2] {
    let by_node = &process["cpu"]["window"]["cpu_seconds_by_node"];
    ["0", "1"].map(|node| by_node[node].as_f64().unwrap_or(0.0))
}

#[test]
fn busy_and_moving_processes_are_seen_in_a_window() {
    let Some(left) = Left::of("p4d", "movers") else {
        return;
    };
    let report = left.json("window.json");
    let processes = by_pid(&report);
    let job = |name| processes[&left.job(name)];
    let window = &report["window"];
    println!("movers: {window}");
    assert!(window["looks"].as_u64().unwrap() >= 6);

    // A process that stays.
    let [here, there] = spent(job("bound"));
    assert!(here > 0.4 && there == 0.0, "{:#}", job("bound")["cpu"]);
    assert_eq!(job("bound")["cpu"]["window"]["migrations"], 0);
    assert_eq!(job("bound")["cpu"]["verdict"], "ok");

    // A process that is moved during the window.
    let moved = job("moved");
    let [here, there] = spent(moved);
    println!("movers: moved: {}", moved["cpu"]);
    assert!(here > 0.2 && there > 0.2, "{:#}", moved["cpu"]);
    assert_eq!(moved["cpu"]["window"]["migrations"], 1);
    assert_eq!(moved["cpu"]["window"]["threads_moved"], 1);
    assert_eq!(moved["cpu"]["verdict"], "mismatch", "it is bound there now");
    // What the kernel counted from before the window until after it, and from a look in it to a later one.
    let used = cpu_seconds(&left.text("stat-after")) - cpu_seconds(&left.text("stat-before"));
    assert!(here + there <= used + 0.02, "{here} and {there} of {used}");
    let ticks = |name| left.text(name).trim().parse::<f64>().unwrap();
    let at_least = (ticks("ticks-after") - ticks("ticks-before")) / 100.0;
    assert!(
        here + there >= at_least - 0.02,
        "{here} and {there} of {at_least}"
    );
    // The kernel migrated pages for its busy thread, not for its main thread.
    let migrated = moved["memory"]["pages_migrated"].as_u64().unwrap();
    assert!(migrated > 0, "{}", left.text("sched-after"));
    let of_machine = window["vmstat"]["numa_pages_migrated"].as_u64().unwrap();
    assert!(of_machine >= migrated, "{window}");

    // A process that did nothing, and one that started in the window.
    assert_eq!(spent(job("idle")), [0.0, 0.0]);
    let newcomer = job("newcomer");
    assert_eq!(newcomer["role"], "trainer", "it is seen at the end");

    // Only the main thread was bound, after the others had started.
    let late = &job("late")["cpu"]["threads"];
    assert_eq!(late["loose_names"], serde_json::json!({"pt_autograd": 2}));
    let findings = report["findings"].as_array().unwrap();
    let astray = findings
        .iter()
        .find(|finding| finding["rule"] == "threads-astray");
    let astray = astray.unwrap();
    assert_eq!(astray["pids"], serde_json::json!([left.job("late")]));
    assert_eq!(astray["evidence"]["pattern"], "leader-only");
    println!("movers: {}", left.text("window.txt"));
}
