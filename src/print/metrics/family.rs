//! The text format itself.

use std::fmt::{Display, Write};

/// All names begin with this.
const PREFIX: &str = "numa_audit_";

/// A metric with its samples. All are gauges.
pub(super) struct Family {
    name: &'static str,
    help: &'static str,
    samples: Vec<Sample>,
}

struct Sample {
    labels: Vec<(&'static str, String)>,
    value: String,
}

impl Family {
    /// A metric without samples. The name is without the prefix of all.
    pub(super) fn new(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            help,
            samples: Vec::new(),
        }
    }

    /// Adds a sample.
    pub(super) fn add<T: Into<String>>(
        &mut self,
        labels: impl IntoIterator<Item = (&'static str, T)>,
        value: impl Display,
    ) {
        let labels = labels.into_iter();
        self.samples.push(Sample {
            labels: labels.map(|(name, value)| (name, value.into())).collect(),
            value: value.to_string(),
        });
    }

    /// Adds the only sample of a metric without labels.
    pub(super) fn add_plain(&mut self, value: impl Display) {
        self.add([] as [(&'static str, String); 0], value);
    }
}

/// The text of these metrics. One without samples is left out.
pub(super) fn text(families: &[Family]) -> String {
    let mut text = String::new();
    for family in families.iter().filter(|family| !family.samples.is_empty()) {
        let name = format!("{PREFIX}{}", family.name);
        // Writing to a string does not fail.
        let _ = writeln!(text, "# HELP {name} {}.", family.help);
        let _ = writeln!(text, "# TYPE {name} gauge");
        for sample in &family.samples {
            let labels = labels(&sample.labels);
            let _ = writeln!(text, "{name}{labels} {}", sample.value);
        }
    }
    text
}

fn labels(labels: &[(&'static str, String)]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let labels = labels.iter();
    let labels = labels.map(|(name, value)| format!("{name}=\"{}\"", escaped(value)));
    format!("{{{}}}", labels.collect::<Vec<_>>().join(","))
}

/// The format knows three escapes. Other control characters are allowed in it, and act on a terminal.
fn escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for letter in value.chars() {
        match letter {
            '\\' => escaped.push_str(r"\\"),
            '"' => escaped.push_str("\\\""),
            '\n' => escaped.push_str(r"\n"),
            letter if letter.is_control() => escaped.push(char::REPLACEMENT_CHARACTER),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut family = Family::new("x", "Help");
        family.add([("a", "1"), ("b", "q\"b\\n\nl\u{1b}[31m é")], 2);
        assert_eq!(
            text(&[family]),
            "# HELP numa_audit_x Help.\n# TYPE numa_audit_x gauge\n\
             numa_audit_x{a=\"1\",b=\"q\\\"b\\\\n\\nl\u{fffd}[31m é\"} 2\n"
        );
    }

    #[test]
    fn a_metric_without_a_sample_is_left_out() {
        let mut known = Family::new("known", "Help");
        known.add_plain(0.5);
        let text = text(&[Family::new("unknown", "Help"), known]);
        assert!(!text.contains("unknown"), "{text}");
        assert!(text.ends_with("\nnuma_audit_known 0.5\n"), "{text}");
    }
}
