//! The rules for people: the list of all, and one in full.

use crate::document::rule::RuleText;
use crate::print::Terminal;

/// All rules, one or two lines each.
pub(crate) fn rules(rules: &[RuleText], terminal: &Terminal) -> String {
    let mut table = terminal.table(&["RULE", "SEVERITY", "FINDS"]);
    for rule in rules {
        let summary = rule.explanation.first().cloned();
        table.add_row([
            rule.name.to_owned(),
            rule.severity.to_string(),
            summary.unwrap_or_default(),
        ]);
    }
    table.trim_fmt() + "\n"
}

/// One rule: what it finds, why that costs, what it cannot know and what to do.
pub(crate) fn explain(rule: &RuleText, terminal: &Terminal) -> String {
    let mut out = format!("{} ({})\n", rule.name, rule.severity);
    for paragraph in &rule.explanation {
        out.push('\n');
        out += &terminal.wrap("", paragraph, 0);
    }
    out
}
