//! Documents in which every text is an attack.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// What would end an element, an attribute, a script or a style; what would run or be loaded; and letters that act.
pub const ATTACK: &str = "\"'><script>globalThis.pwned=1</script><img src=x onerror=\"globalThis.pwned=2\">\
    </style></title></svg></script><a href=\"javascript:globalThis.pwned=3\" style=\"color:red\">&lt;${`\
    \u{1b}[31m\u{0}\u{7f}\u{9b}\n\r\t\u{202e}\u{2066}\u{200b}\u{feff}\u{2028}\u{e0041}漢é";

/// Words that decide how something is drawn.
const WORDS: [&str; 6] = ["verdict", "severity", "role", "rule", "kind", "home_source"];

/// The document with every text replaced that may be any text; and the same with the words kept that decide how something is
/// drawn. `is_read`: whether the program reads a document.
pub fn documents(document: &Value, is_read: impl Fn(&Value) -> bool) -> Vec<(&'static str, Value)> {
    let mut paths = BTreeSet::new();
    collect(document, &mut Vec::new(), &mut paths);
    let changed = |paths: &BTreeSet<Vec<String>>| {
        let mut document = document.clone();
        replace(&mut document, &mut Vec::new(), paths);
        keys(&mut document);
        document
    };
    let may_be_any: BTreeSet<Vec<String>> = paths
        .into_iter()
        .filter(|path| is_read(&changed(&BTreeSet::from([path.clone()]))))
        .collect();
    assert!(may_be_any.len() > 30, "{may_be_any:?}");
    let of_processes = may_be_any.iter().filter(|path| path[0] == "processes");
    assert!(of_processes.count() > 10);
    let is_word = |path: &&Vec<String>| {
        path.last()
            .is_some_and(|name| WORDS.contains(&name.as_str()))
    };
    let others = may_be_any.iter().filter(|path| !is_word(path)).cloned();
    vec![
        ("hostile", changed(&may_be_any)),
        ("hostile-words", changed(&others.collect())),
    ]
}

/// The paths of all texts, without the positions in arrays.
fn collect(value: &Value, path: &mut Vec<String>, paths: &mut BTreeSet<Vec<String>>) {
    match value {
        Value::String(_) => {
            paths.insert(path.clone());
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, path, paths)),
        Value::Object(fields) => {
            for (name, value) in fields {
                path.push(name.clone());
                collect(value, path, paths);
                path.pop();
            }
        }
        _ => {}
    }
}

fn replace(value: &mut Value, path: &mut Vec<String>, paths: &BTreeSet<Vec<String>>) {
    match value {
        Value::String(text) if paths.contains(path) => ATTACK.clone_into(text),
        Value::Array(values) => {
            for value in values {
                replace(value, path, paths);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                path.push(name.clone());
                replace(value, path, paths);
                path.pop();
            }
        }
        _ => {}
    }
}

/// Adds attacks to the objects whose names are free, and texts that the recording lacks.
fn keys(document: &mut Value) {
    for finding in document["findings"].as_array_mut().into_iter().flatten() {
        let evidence = Map::from_iter([(ATTACK.to_owned(), Value::from(vec![ATTACK]))]);
        finding["evidence"] = Value::Object(evidence);
        finding["note"] = ATTACK.into();
        finding["commands"] = vec![ATTACK, "echo harmless"].into();
    }
    for process in document["processes"].as_array_mut().into_iter().flatten() {
        process["container"] = ATTACK.into();
        process["pod_name"] = ATTACK.into();
        process["openmp_binding"] = Map::from_iter([(ATTACK.to_owned(), ATTACK.into())]).into();
        process["memory"]["by_kind"][ATTACK] = serde_json::json!({"0": 1 << 30});
    }
    document["window"] = serde_json::json!({
        "seconds": 2.0, "vmstat": {(ATTACK): 1}, "node_counters": {"0": {(ATTACK): 1}},
    });
    document["expectation"] = ATTACK.into();
}
