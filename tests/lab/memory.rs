//! Compares a sample of pages with every page, on two nodes. Pages do not move there: the jobs sleep, and NUMA balancing is
//! off.

use serde_json::{Value, json};

use crate::guest::{Kernel, Left};
use crate::peers::{self, Compared, by_pid};

fn sum(by_node: &Value) -> f64 {
    let nodes = by_node.as_object().into_iter().flatten();
    nodes.map(|(_, bytes)| bytes.as_f64().unwrap()).sum()
}

/// Compares the sample of one process with all its pages: shares within the stated error, sizes within 2 %.
fn compare(name: &str, sample: &Value, exact: &Value) {
    let error = sample["error"].as_f64().unwrap();
    let share = |memory: &Value, node: &str| {
        let by_node = &memory["by_node_bytes"];
        by_node[node].as_f64().unwrap_or(0.0) / sum(by_node)
    };
    let off = |node| (share(sample, node) - share(exact, node)).abs();
    println!(
        "{name}: {} pages asked, error {error:.4}, off by {:.4}",
        sample["sample_pages"],
        off("0")
    );
    assert!(off("0") <= error, "{name}: {sample:#} {exact:#}");
    assert!(error < 0.05, "{name}: {error}");
    for (kind, by_node) in exact["by_kind"].as_object().unwrap() {
        let (ours, all) = (sum(&sample["by_kind"][kind]), sum(by_node));
        let is_near = (ours - all).abs() <= all * 0.02 + 65536.0;
        assert!(is_near || kind == "file", "{name}: {kind} {ours} of {all}");
    }
}

#[test]
fn a_sample_agrees_with_every_page() {
    samples_agree("p4d", Kernel::Release);
}

/// Boots a shape of two nodes and compares there.
#[track_caller]
pub fn samples_agree(shape: &str, kernel: Kernel) {
    let Some(left) = Left::with_kernel(shape, "sampled", kernel) else {
        return;
    };
    let (sample, exact) = (left.json("sample.json"), left.json("exact.json"));
    let mut compared = Compared::default();
    peers::numastat(&left, &exact, &mut compared);
    compared.all_agree("sampled", &["numastat"]);
    let (by_sample, by_walk) = (by_pid(&sample), by_pid(&exact));
    for name in ["split", "striped", "kinds", "huge", "huge-files", "threads"] {
        let pid = left.job(name);
        let (ours, all) = (&by_sample[&pid]["memory"], &by_walk[&pid]["memory"]);
        assert_eq!(
            (&ours["exact"], &all["exact"]),
            (&json!(false), &json!(true)),
            "{name}"
        );
        compare(name, ours, all);
        assert_eq!(ours["policy"], all["policy"]);
        assert_eq!(ours["thread_policies"], all["thread_policies"]);
        assert_eq!(ours["verdict"], all["verdict"], "{name}");
    }
    let policies = &by_sample[&left.job("threads")]["memory"]["thread_policies"];
    let expected = json!({"default": 1, "interleave:0": 1, "interleave:1": 2});
    assert_eq!(*policies, expected);
    assert!(
        left.text("sample.txt").contains("0: ~75%"),
        "{}",
        left.text("sample.txt")
    );
}
