//! The fields of a process that a diff shows and compares. To compare another field, add a line here.

use serde_json::{Value, json};

use crate::document::{LocalShare, ProcessEntry};

/// A field of a process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    /// Its path in the document, and in the document of a diff.
    pub(crate) path: &'static str,
    /// Its value.
    pub(crate) value: fn(&ProcessEntry) -> Value,
    compare: Compare,
}

#[derive(Debug, Clone, Copy)]
enum Compare {
    /// It is only shown.
    Never,
    /// It has changed if it is known on both sides and differs. Null is unknown.
    ByValue,
    /// It has changed if this says so.
    By(fn(&ProcessEntry, &ProcessEntry) -> bool),
}

impl Field {
    /// Whether it has changed.
    pub(crate) fn is_changed(&self, before: &ProcessEntry, after: &ProcessEntry) -> bool {
        match self.compare {
            Compare::Never => false,
            Compare::By(is_changed) => is_changed(before, after),
            Compare::ByValue => {
                let (before, after) = ((self.value)(before), (self.value)(after));
                !before.is_null() && !after.is_null() && before != after
            }
        }
    }

    const fn by(self, is_changed: fn(&ProcessEntry, &ProcessEntry) -> bool) -> Self {
        Self {
            compare: Compare::By(is_changed),
            ..self
        }
    }
}

/// All fields. A diff lists those that changed in this order. In its JSON each object has its keys in the order in which
/// their paths stand here first.
pub(crate) const FIELDS: &[Field] = &[
    shown("pid", |of| json!(of.pid)),
    shown("start_time_ticks", |of| json!(of.start_time_ticks)),
    shown("name", |of| json!(of.name)),
    compared("role", |of| json!(of.role)).by(|before, after| before.role != after.role),
    compared("gpus", |of| json!(of.gpus)),
    compared("home_nodes", |of| json!(of.home_nodes)).by(|before, after| {
        // Without nodes they are unknown.
        let (before, after) = (&before.home_nodes, &after.home_nodes);
        !before.is_empty() && !after.is_empty() && before != after
    }),
    compared("cpu.node", |of| json!(of.cpu.node)),
    compared("cpu.affinity", |of| json!(of.cpu.affinity)),
    shown("cpu.affinity_nodes", |of| json!(of.cpu.affinity_nodes)),
    compared("cpu.bound", |of| json!(of.cpu.bound)),
    compared("cpu.threads.astray", |of| json!(of.astray())).by(|before, after| {
        // Their number is never quite the same twice.
        let is_any_astray = |of: &ProcessEntry| of.astray().map(|count| count > 0);
        let (before, after) = (is_any_astray(before), is_any_astray(after));
        before.is_some() && after.is_some() && before != after
    }),
    shown("memory.node", |of| json!(of.memory.node)),
    compared("memory.policy", |of| json!(of.memory.policy)),
    compared("memory.policy_nodes", |of| json!(of.memory.policy_nodes)),
    compared("memory.mems_allowed", |of| json!(of.memory.mems_allowed)),
    compared("memory.node", |of| json!(of.memory.node)),
    compared(LOCAL_FRACTION, |of| json!(of.memory.local_fraction))
        .by(|before, after| has_share_moved(before.memory.local(), after.memory.local())),
    shown("memory.exact", |of| json!(of.memory.local().exact)),
    shown("memory.error", |of| json!(of.memory.error)),
    compared(CPU_VERDICT, |of| json!(of.cpu.verdict)),
    compared(MEMORY_VERDICT, |of| json!(of.memory.verdict)),
    compared(VERDICT, |of| json!(of.verdict)),
];

/// Fields that the table of a diff looks at by name.
pub(crate) const LOCAL_FRACTION: &str = "memory.local_fraction";
pub(crate) const CPU_VERDICT: &str = "cpu.verdict";
pub(crate) const MEMORY_VERDICT: &str = "memory.verdict";
pub(crate) const VERDICT: &str = "verdict";

const fn shown(path: &'static str, value: fn(&ProcessEntry) -> Value) -> Field {
    let compare = Compare::Never;
    Field {
        path,
        value,
        compare,
    }
}

const fn compared(path: &'static str, value: fn(&ProcessEntry) -> Value) -> Field {
    let compare = Compare::ByValue;
    Field {
        path,
        value,
        compare,
    }
}

/// Whether the local share differs enough to be reported. The memory of a running process is never quite the same twice.
pub(crate) fn has_share_moved(before: LocalShare, after: LocalShare) -> bool {
    const LEAST: f64 = 0.01;
    let (Some(one), Some(other)) = (before.local_fraction, after.local_fraction) else {
        return false;
    };
    // An estimate of unknown error proves no difference.
    let error = |of: LocalShare| of.error.unwrap_or(if of.exact { 0.0 } else { 1.0 });
    let apart = (one - other).abs();
    apart >= LEAST && apart > error(before) + error(after)
}
