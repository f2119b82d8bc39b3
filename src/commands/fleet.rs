//! `numa-audit fleet`.

mod sections;

use std::path::Path;

use super::exit_code::{self, FAILED, INCOMPLETE};
use super::export;
use super::output::{print, print_by, terminal};
use super::settings::expected;
use super::trouble::Trouble;
use crate::audit::{Settings, audit, expectation};
use crate::cli::{FailOn, FleetArgs};
use crate::compare::{Fleet, Outcome, expected as comparison};
use crate::document::{Document, Expected, FleetSource};
use crate::observe::{Item, Source, Subjects, observe, read_documents};
use crate::print::{fleet, json};
use sections::Sections;

pub(super) fn run(arguments: &FleetArgs) -> Result<u8, Trouble> {
    ensure_standard_input_is_named_once(arguments)?;
    let inputs = arguments.paths.iter().chain(&arguments.expect);
    let inputs: Vec<Option<&Path>> = inputs.map(|path| Some(path.as_path())).collect();
    export::ensure_page_possible(&arguments.page, &inputs)?;
    let sections = arguments.page.html.as_ref().map(|_| Sections::new());
    let mut reader = Reader {
        settings: Settings {
            expected: expected(arguments.expect.as_deref())?,
            ..Settings::default()
        },
        fail_on: arguments.fail_on,
        fleet: Fleet::default(),
        sections: sections.transpose().map_err(cannot_keep)?,
    };
    for path in &arguments.paths {
        read_documents(path, &mut |source, item| reader.add(source, item));
    }
    let (read, sections) = (reader.fleet, reader.sections);
    if read.is_empty() {
        return Err(nothing(&read));
    }
    let asked = arguments.hosts.as_ref().map(|list| list.0.as_slice());
    let document = read.into_document(asked);
    let is_printed = match sections {
        Some(sections) => export::page(&arguments.page, |out| sections.write(&document, out))?,
        None => false,
    };
    if is_printed {
        // Nothing else is printed.
    } else if arguments.output.json {
        print_by(|out| json::write(&document, out))?;
    } else {
        let terminal = terminal(&arguments.output.color);
        print(&fleet::fleet(&document, arguments.all, &terminal))?;
    }
    Ok(exit_code::of_fleet(&document.summary))
}

fn cannot_keep(error: std::io::Error) -> Trouble {
    format!("cannot keep the sections of the page in a temporary file: {error}").into()
}

fn ensure_standard_input_is_named_once(arguments: &FleetArgs) -> Result<(), Trouble> {
    let all = arguments.paths.iter().chain(&arguments.expect);
    match all.filter(|path| *path == Path::new("-")).count() {
        0 | 1 => Ok(()),
        _ => Err("standard input (-) can be read once only".into()),
    }
}

fn nothing(read: &Fleet) -> Trouble {
    match read.first_unreadable() {
        Some(first) => {
            let place = fleet::place(&first.source);
            format!("no document could be read: {place}: {}", first.reason).into()
        }
        None => "no document could be read".into(),
    }
}

struct Reader {
    settings: Settings,
    fail_on: FailOn,
    fleet: Fleet,
    /// Only where there is to be a page.
    sections: Option<Sections>,
}

impl Reader {
    fn add(&mut self, source: FleetSource, item: Item) {
        let document = match item {
            Item::Document(document) => self.compared(*document),
            Item::Recording(recording) => self.audited(*recording),
            Item::Broken(why) => return self.fleet.add_unreadable(source, why),
            Item::PassedOver => return self.fleet.pass_over(),
        };
        let code = exit_code::of_saved(&document, self.fail_on);
        let outcome = Outcome {
            failed: code == FAILED,
            complete: code != INCOMPLETE && is_complete(&document),
        };
        if let Some(sections) = &mut self.sections {
            sections.add(&source, &document);
        }
        self.fleet.add(source, &document, outcome);
    }

    fn audited(&self, recording: Source) -> Document {
        let machine = observe(recording, &Subjects::GpuUsers).machine;
        audit(machine, &self.settings)
    }

    /// A document, compared with what is expected. It was not, or with something else, where it was made.
    fn compared(&self, mut document: Document) -> Document {
        if let Some(expected) = &self.settings.expected {
            self.compare(expected, &mut document);
        }
        document
    }

    fn compare(&self, expected: &Expected, document: &mut Document) {
        let gpus = &document.topology.gpus;
        let is_partial = gpus.iter().any(|gpu| gpu.in_scope == Some(false));
        let comparison =
            comparison::compare(expected, document, is_partial, !is_complete(document));
        expectation::add(comparison, document, |_| true);
    }
}

/// Whether everything could be judged; of a map, which judges nothing, true.
fn is_complete(document: &Document) -> bool {
    let summary = document.summary.as_ref();
    summary.is_none_or(|summary| summary.is_complete())
}
