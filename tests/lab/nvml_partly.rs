//! A driver of which single answers about a GPU fail: each costs itself alone.

use serde_json::Value;

use crate::guest::stand_in;
use crate::nvml::{NOBODYS, audit, facts, pids};

/// GPU 0 with one process, at this address.
fn gpu(address: &str) -> String {
    format!(
        "gpu 0 {address} 0 GPU-aaaa 42949672960 5000000 0-1 0 NVIDIA A100\nprocess 0 compute {NOBODYS} 1073741824\n"
    )
}

fn reason<'a>(document: &'a Value, what: &str) -> Option<&'a str> {
    let facts = facts(document);
    let fact = facts.into_iter().find(|(fact, _)| *fact == what);
    fact.map(|(_, reason)| reason)
}

#[test]
fn an_address_that_fails_or_is_garbage_does_not_cost_the_processes() {
    const ADDRESS: &str = "00000000:10:1C.0";
    let garbage = "G".repeat(32);
    for answers in [
        gpu(ADDRESS) + "fail pci 0 999\n",
        gpu(ADDRESS) + "fail pci 0 15\n",
        gpu(&garbage),
        gpu("-"),
    ] {
        let (document, code) = audit(&stand_in(&[]), &answers);
        assert_eq!(pids(&document), [NOBODYS], "{answers}");
        assert!(
            reason(&document, "PCI address of GPU 0").is_some(),
            "{answers}"
        );
        let gpu = &document["topology"]["gpus"][0];
        assert_eq!(gpu["memory_used_bytes"], 5_000_000, "{answers}");
        assert_eq!(gpu["unseen_processes"][0]["pid"], NOBODYS, "{answers}");
        assert_eq!(code, Some(3), "{answers}");
    }
    let (document, _) = audit(&stand_in(&[]), &gpu(&garbage));
    let malformed = format!("malformed: PCI address {garbage:?}");
    assert_eq!(
        reason(&document, "PCI address of GPU 0"),
        Some(malformed.as_str())
    );
}

#[test]
fn other_answers_that_fail_do_not_cost_the_processes() {
    for (word, what) in [
        ("uuid", "UUID of GPU 0"),
        ("name", "name of GPU 0"),
        ("minor", "minor number of GPU 0"),
        ("memory", "memory in use of GPU 0"),
    ] {
        let answers = gpu("00000000:10:1C.0") + &format!("fail {word} 0 999\n");
        let (document, code) = audit(&stand_in(&[]), &answers);
        assert_eq!(pids(&document), [NOBODYS], "{word}");
        assert!(reason(&document, what).is_some(), "{word}: {document:#}");
        assert_eq!(code, Some(3), "{word}");
    }
}

#[test]
fn a_driver_before_510_reports_the_memory_in_use_too() {
    let (document, _) = audit(&stand_in(&["v2-only"]), &gpu("00000000:10:1C.0"));
    assert_eq!(
        document["topology"]["gpus"][0]["memory_used_bytes"],
        5_000_000
    );
    assert_eq!(reason(&document, "memory in use of GPU 0"), None);
}

#[test]
fn an_idle_gpu_of_unknown_memory_is_not_known_to_be_idle() {
    let idle =
        |total: u64| format!("gpu 0 00000000:10:1C.0 0 GPU-aaaa {total} 0 0-1 0 NVIDIA GB10\n");
    for (answers, expected) in [
        (idle(1 << 30), 0),
        (idle(1 << 30) + "fail memory 0 3\n", 3),
        (idle(1 << 30) + "fail memory 0 999\n", 3),
        (idle(0), 3),
    ] {
        let (document, code) = audit(&stand_in(&[]), &answers);
        assert_eq!(code, Some(expected), "{answers}{document:#}");
    }
}
