//! The findings: each one unfolds to its fix, its evidence, and what its rule is about.

use maud::{Markup, html};
use serde_json::Value;

use crate::document::rule::RuleText;
use crate::document::{Document, Finding};
use crate::print::harmless;
use crate::print::html::mark::{Mood, mark, severity_mark};
use crate::units::{Bytes, ranges};

/// Where the findings are, and how their elements are named.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// What begins their ids: a page may have several machines.
    pub(super) id: &'a str,
    /// Whether the rows of the processes are on the page.
    pub(super) has_rows: bool,
    /// The level of their headings.
    pub(super) level: u8,
    /// Where their rules are explained.
    pub(super) explained: Explained<'a>,
}

/// Where a rule is explained.
#[derive(Debug, Clone, Copy)]
pub(super) enum Explained<'a> {
    /// With each of its findings.
    Here(&'a [RuleText]),
    /// Once on the page, at the end.
    ByLink(&'a [RuleText]),
}

impl<'a> Place<'a> {
    /// The findings of the only machine of a page.
    pub(super) fn alone(rules: &'a [RuleText], has_rows: bool) -> Self {
        Self {
            id: "f",
            has_rows,
            level: 3,
            explained: Explained::Here(rules),
        }
    }
}

/// The section; `None` without findings.
pub(super) fn findings(document: &Document, rules: &[RuleText]) -> Option<Markup> {
    if document.findings.is_empty() {
        return None;
    }
    let place = Place::alone(rules, true);
    Some(html! {
        section id="findings" aria-labelledby="findings-heading" {
            h2 id="findings-heading" { "Findings" }
            (list(document, place))
        }
    })
}

/// The findings, the worst first.
pub(super) fn list(document: &Document, place: Place) -> Markup {
    html! {
        @for (finding, number) in document.findings.iter().zip(0_usize..) {
            (one(finding, number, place, None))
        }
    }
}

/// A finding with its number on the page. `state`: what begins its heading.
pub(super) fn one(
    finding: &Finding,
    number: usize,
    place: Place,
    state: Option<(Mood, &str)>,
) -> Markup {
    let severity = Mood::of_severity(finding.severity.known());
    let mood = state.map_or(severity, |(mood, _)| mood);
    let heading = html! {
        @if let Some((mood, word)) = state { (mark(mood, word)) ": " }
        (severity_mark(&finding.severity)) " "
        code class="rule" { (harmless(&finding.rule)) } " "
        span class="message" { (harmless(&finding.message)) }
    };
    html! {
        details class={ "finding " (mood.class()) } {
            summary { (headed(place.level, &heading)) }
            // A link to what is folded unfolds it.
            div class="body" id={ (place.id) (number) } {
                (fix(finding))
                (commands(finding))
                @if let Some(note) = &finding.note { p { b { "Note: " } (harmless(note)) } }
                (concerns(finding, place))
                (evidence(finding))
                (about_the_rule(finding, place.explained))
            }
        }
    }
}

/// A heading of this level.
pub(super) fn headed(level: u8, text: &Markup) -> Markup {
    match level {
        2 => html! { h2 { (text) } },
        3 => html! { h3 { (text) } },
        _ => html! { h4 { (text) } },
    }
}

fn fix(finding: &Finding) -> Markup {
    let fix = finding.fix();
    html! { @if !fix.is_empty() { p { b { "Fix: " } (harmless(fix)) } } }
}

/// Each command is one line: an end of a line in it would start a second one where it is pasted.
fn commands(finding: &Finding) -> Markup {
    html! {
        @if !finding.commands.is_empty() {
            p { b { "Run now" } ", for the running processes (this program never runs it itself):" }
            @for command in &finding.commands {
                div class="command" {
                    pre tabindex="0" { code { (harmless(command)) } }
                    button type="button" class="copy" hidden { "Copy" }
                }
            }
        }
    }
}

fn concerns(finding: &Finding, place: Place) -> Markup {
    html! {
        @if !finding.gpus.is_empty() || !finding.pids.is_empty() {
            p {
                b { "Concerns: " }
                @if !finding.gpus.is_empty() {
                    @if finding.gpus.len() == 1 { "GPU " } @else { "GPUs " }
                    (ranges(finding.gpus.iter().copied()))
                    @if !finding.pids.is_empty() { "; " }
                }
                @if !finding.pids.is_empty() {
                    @if finding.pids.len() == 1 { "process " } @else { "processes " }
                    (pids(finding, place))
                }
            }
        }
    }
}

fn pids(finding: &Finding, place: Place) -> Markup {
    html! {
        @if place.has_rows {
            @for (pid, at) in finding.pids.iter().zip(0..) {
                @if at > 0 { ", " }
                a href={ "#p" (pid) } { (pid) }
            }
        } @else {
            (ranges(finding.pids.iter().map(|pid| pid.0)))
        }
    }
}

fn evidence(finding: &Finding) -> Markup {
    html! {
        @if !finding.evidence.is_empty() {
            p { b { "Evidence:" } }
            dl class="evidence" {
                @for (name, value) in &finding.evidence {
                    div { dt { (harmless(&name.replace('_', " "))) } dd { (harmless(&text(name, value))) } }
                }
            }
        }
    }
}

/// A fact in words: numbers of bytes with a unit, lists without brackets.
fn text(name: &str, value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if name.ends_with("bytes") => match number.as_u64() {
            Some(bytes) => Bytes(bytes).to_string(),
            None => number.to_string(),
        },
        Value::Array(values) => {
            let texts: Vec<String> = values.iter().map(|value| text(name, value)).collect();
            texts.join(", ")
        }
        Value::Object(fields) => {
            let of = |(key, value): (&String, &Value)| {
                // Bytes by node are named by the outer key.
                let name = if name.ends_with("bytes") { name } else { key };
                format!("{key}: {}", text(name, value))
            };
            let texts: Vec<String> = fields.iter().map(of).collect();
            texts.join("; ")
        }
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        other => other.to_string(),
    }
}

/// Nothing for a rule of another version of the program.
fn about_the_rule(finding: &Finding, explained: Explained) -> Markup {
    let (Explained::Here(rules) | Explained::ByLink(rules)) = explained;
    let rule = rules.iter().find(|rule| rule.name == finding.rule);
    html! {
        @match (rule, explained) {
            (Some(rule), Explained::Here(_)) => (explanation(rule)),
            (Some(rule), Explained::ByLink(_)) => p { a href={ "#rule-" (rule.name) } { "What " (rule.name) " is about" } },
            (None, _) => {}
        }
    }
}

/// What the program says of a rule.
pub(super) fn explanation(rule: &RuleText) -> Markup {
    html! {
        div class="explanation" {
            p { b { "What " code { (rule.name) } " is about" } }
            @for paragraph in &rule.explanation { p { (paragraph) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn facts_are_words() {
        assert_eq!(text("cpus", &json!("0-3")), "0-3");
        assert_eq!(text("nodes", &json!([0, 1])), "0, 1");
        assert_eq!(text("remote_bytes", &json!(1 << 30)), "1.0 GiB");
        assert_eq!(text("by_node_bytes", &json!({"1": 1024})), "1: 1 KiB");
        assert_eq!(text("bound", &json!(true)), "yes");
    }
}
