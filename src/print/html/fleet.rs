//! The page of many machines. The section of each machine is made while its document is there, and put into the page when all
//! are known: no more than one document is kept at a time.

mod jobs;
mod section;
mod squares;

use std::collections::BTreeMap;

use maud::{Markup, html};

use crate::document::rule::RuleText;
use crate::document::{FleetDocument, FleetFinding, FleetMachine, FleetSource};
use crate::print::fleet::kinds::{gpus, text};
use crate::print::fleet::{missing_lines, sum_lines};
use crate::print::html::findings::explanation;
use crate::print::html::mark::Mood;
use crate::print::html::page::{Page, end, footer};
use crate::print::html::result::result;

pub(crate) use section::FleetSection;

/// The page around the sections.
pub(crate) struct FleetPage<'a> {
    document: &'a FleetDocument,
    /// The number of each machine's section, by the machine's name.
    numbers: BTreeMap<&'a str, usize>,
}

impl<'a> FleetPage<'a> {
    /// `number`: that of the section of the document at this place.
    pub(crate) fn new(
        document: &'a FleetDocument,
        number: impl Fn(&FleetSource) -> Option<usize>,
    ) -> Self {
        let machines = document.machines.iter();
        let numbers = machines.filter_map(|of| Some((of.name.as_str(), number(&of.source)?)));
        Self {
            document,
            numbers: numbers.collect(),
        }
    }

    /// What stands before the sections.
    pub(crate) fn start(&self) -> String {
        let document = self.document;
        let summary = &document.summary;
        let (mood, sentence) = match (summary.failed, summary.complete) {
            (0, true) => (Mood::Good, "No machine is wrong".to_owned()),
            (0, false) => (
                Mood::Open,
                "No machine was seen to be wrong, but not everything could be judged".to_owned(),
            ),
            (failed, _) => {
                let verb = if failed == 1 { "is" } else { "are" };
                let all = summary.machines;
                let text = match all {
                    1 => "The machine is wrong".to_owned(),
                    _ => format!("{failed} of {all} machines {verb} wrong"),
                };
                (Mood::Bad, text)
            }
        };
        let parts = [
            ("overview", "Machines", Some(squares::squares(self))),
            ("jobs", "Jobs", jobs::jobs(self)),
            ("differences", "Differences", differences(document)),
            ("missing", "Missing", missing(document)),
        ];
        let parts = parts.into_iter();
        let parts: Vec<_> = parts
            .filter_map(|(id, word, part)| Some((id, word, part?)))
            .collect();
        let mut sections: Vec<_> = parts
            .iter()
            .map(|(id, word, _)| (*id, (*word).to_owned()))
            .collect();
        sections.push(("each", "Each machine".to_owned()));
        if self.findings().next().is_some() {
            sections.push(("rules", "Rules".to_owned()));
        }
        let page = Page {
            title: format!("Fleet: {sentence}"),
            header: html! {
                h1 { "Fleet" }
                (result(mood, &sentence))
                @for line in sum_lines(summary) { p { (line) } }
            },
            sections,
            main: html! {
                @for (_, _, part) in &parts { (part) }
                section class="heading" { h2 id="each" { "Each machine" } }
            },
            footer: html! {},
        };
        page.start()
    }

    /// What stands after the sections. `rules`: what the program says of each rule; those that are broken somewhere stand there.
    pub(crate) fn end(&self, rules: &[RuleText]) -> String {
        let is_broken = |rule: &&RuleText| self.findings().any(|finding| finding.rule == rule.name);
        let broken: Vec<&RuleText> = rules.iter().filter(is_broken).collect();
        let text = html! {
            @if !broken.is_empty() {
                section id="rules" aria-labelledby="rules-heading" {
                    h2 id="rules-heading" { "Rules" }
                    @for rule in broken {
                        details { summary { code { (rule.name) } } div class="body" id={ "rule-" (rule.name) } { (explanation(rule)) } }
                    }
                }
            }
        };
        text.into_string() + &end(&footer("from the documents of these machines"))
    }

    /// The findings on all machines.
    fn findings(&self) -> impl Iterator<Item = &FleetFinding> {
        self.document.machines.iter().flat_map(|of| &of.findings)
    }

    /// The link to a machine's section, if it has one.
    fn link(&self, name: &str) -> Option<String> {
        let number = self.numbers.get(name)?;
        Some(format!("#{}", section::id(*number)))
    }
}

/// How bad a machine is.
fn mood_of(machine: &FleetMachine) -> Mood {
    match (machine.failed, machine.complete) {
        (true, _) => Mood::Bad,
        (false, false) => Mood::Open,
        (false, true) => match Mood::of_verdict(machine.verdict.as_ref()) {
            // The exit code lets it pass.
            Mood::Bad => Mood::Risk,
            mood => mood,
        },
    }
}

fn differences(document: &FleetDocument) -> Option<Markup> {
    let differ = document
        .kinds
        .iter()
        .filter(|kind| !kind.differences.is_empty());
    let differ: Vec<_> = differ.collect();
    (!differ.is_empty()).then(|| {
        html! {
            section id="differences" aria-labelledby="differences-heading" {
                h2 id="differences-heading" { "Differences between machines that should be alike" }
                @for kind in differ {
                    h3 { (gpus(kind)) }
                    ul { @for difference in &kind.differences { li { (text(difference, true)) } } }
                }
            }
        }
    })
}

fn missing(document: &FleetDocument) -> Option<Markup> {
    let lines = missing_lines(document, true);
    (!lines.is_empty()).then(|| {
        html! {
            section id="missing" aria-labelledby="missing-heading" {
                h2 id="missing-heading" { "Missing and unreadable" }
                ul { @for line in lines { li { (line) } } }
            }
        }
    })
}
