//! The rules for people: the list of them, and one at length.

use crate::audit::rules::{RULES, Rule};
use crate::print::terminal::Terminal;

/// All rules, a line or two each.
pub fn rules(terminal: &Terminal) -> String {
    let mut table = terminal.table(&["RULE", "SEVERITY", "FINDS"]);
    for rule in RULES {
        table.add_row([
            rule.name.to_owned(),
            rule.severity.to_string(),
            rule.summary(),
        ]);
    }
    table.trim_fmt() + "\n"
}

/// What a rule finds, why that costs, what it cannot know and what to do.
pub fn explain(rule: &Rule, terminal: &Terminal) -> String {
    let mut out = format!("{} ({})\n", rule.name, rule.severity);
    for paragraph in rule.explanation() {
        out.push('\n');
        out += &terminal.wrap("", &paragraph, 0);
    }
    out
}
