//! The sections of a fleet's page, kept in a file without a name until all machines are known: one takes some ten KiB, and there
//! may be thousands.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};

use crate::audit::rules;
use crate::document::rule::RuleText;
use crate::document::{Document, FleetDocument, FleetSource};
use crate::print::html::{FleetPage, FleetSection};

/// Where a section is in the file.
struct SectionPlace {
    number: usize,
    offset: u64,
    length: u64,
}

/// The sections so far.
pub(super) struct Sections {
    file: BufWriter<File>,
    end: u64,
    places: BTreeMap<FleetSource, SectionPlace>,
    rules: Vec<RuleText>,
    /// The first fault of writing.
    fault: Option<io::Error>,
}

impl Sections {
    /// # Errors
    /// Where no temporary file can be made.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            file: BufWriter::new(tempfile::tempfile()?),
            end: 0,
            places: BTreeMap::new(),
            rules: rules::texts(),
            fault: None,
        })
    }

    /// Adds the section of a document. A fault is reported at the end.
    pub(super) fn add(&mut self, source: &FleetSource, document: &Document) {
        if self.fault.is_some() {
            return;
        }
        let number = self.places.len();
        let FleetSection(text) = FleetSection::of(document, number, &self.rules);
        let place = SectionPlace {
            number,
            offset: self.end,
            length: text.len() as u64,
        };
        self.end += place.length;
        self.fault = self.file.write_all(text.as_bytes()).err();
        self.places.insert(source.clone(), place);
    }

    /// Writes the page: the sections of the documents that count, the worst machine first.
    ///
    /// # Errors
    /// Those of the temporary file, and of `out`.
    pub(super) fn write(self, document: &FleetDocument, out: &mut dyn Write) -> io::Result<()> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let number = |source: &FleetSource| Some(self.places.get(source)?.number);
        let page = FleetPage::new(document, number);
        out.write_all(page.start().as_bytes())?;
        let mut file = self
            .file
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        for machine in &document.machines {
            if let Some(place) = self.places.get(&machine.source) {
                file.seek(SeekFrom::Start(place.offset))?;
                io::copy(&mut (&mut file).take(place.length), out)?;
            }
        }
        out.write_all(page.end(&self.rules).as_bytes())
    }
}
