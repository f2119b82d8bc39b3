//! Reads many documents, one at a time: files of documents, folders of them, recordings, standard input.

mod inputs;
mod kept;
mod labelled;
mod scanner;

use std::io::{self, BufReader};
use std::path::Path;

use crate::document::{self, Document, FleetSource};
use crate::observe::documents::inputs::{Input, inputs};
use crate::observe::documents::scanner::Piece;
use crate::observe::root::{archive, open_named};
use crate::observe::source::Source;

/// What was read.
#[derive(Debug)]
pub(crate) enum Item {
    /// A document.
    Document(Box<Document>),
    /// A recording, to be audited.
    Recording(Box<Source>),
    /// Neither; one sentence that says why.
    Broken(String),
    /// A file of a folder that was not read: its name is not that of a document.
    PassedOver,
}

/// Reads what is at a path (`-` is standard input), and reports each item with its place.
pub(crate) fn read_documents(path: &Path, report: &mut dyn FnMut(FleetSource, Item)) {
    if path == Path::new("-") {
        let place = FleetSource::file("standard input".to_owned());
        return read_stream(io::stdin().lock(), &place, report);
    }
    for input in inputs(path) {
        match input {
            Input::File(path) => file(&path, report),
            Input::Recording(path) => report(place(&path), recording(&path)),
            Input::PassedOver(path) => report(place(&path), Item::PassedOver),
            Input::Unreadable(path, why) => report(place(&path), Item::Broken(why)),
        }
    }
}

fn place(path: &Path) -> FleetSource {
    FleetSource::file(path.display().to_string())
}

fn recording(path: &Path) -> Item {
    match Source::snapshot(path) {
        Ok(source) => Item::Recording(Box::new(source)),
        Err(error) => Item::Broken(error.to_string()),
    }
}

fn file(path: &Path, report: &mut dyn FnMut(FleetSource, Item)) {
    let place = place(path);
    let broken = |error: io::Error| Item::Broken(error.to_string());
    let opened = open_named(path).and_then(|file| Ok((file.metadata()?.is_file(), file)));
    match opened {
        Err(error) => report(place, broken(error)),
        Ok((false, _)) => report(place, Item::Broken("it is not a regular file".to_owned())),
        Ok((true, file)) if archive::is_gzip(&file) => report(place, recording(path)),
        Ok((true, file)) => read_stream(BufReader::new(file), &place, report),
    }
}

/// Reads documents from a stream to its end.
pub(crate) fn read_stream(
    input: impl io::BufRead,
    place: &FleetSource,
    report: &mut dyn FnMut(FleetSource, Item),
) {
    let mut is_empty = true;
    let outcome = labelled::read(input, &mut |label, piece| {
        is_empty = false;
        let at = FleetSource {
            file: place.file.clone(),
            label: label.map(str::to_owned),
            line: Some(piece.line),
        };
        report(at, item(piece, label.is_some()));
    });
    match outcome {
        Err(error) => report(place.clone(), Item::Broken(error.to_string())),
        Ok(()) if is_empty => report(place.clone(), Item::Broken("it is empty".to_owned())),
        Ok(()) => {}
    }
}

fn item(piece: Piece, is_labelled: bool) -> Item {
    let read = piece
        .text
        .and_then(|bytes| document::read(&bytes).map_err(|error| error.0));
    match read {
        Ok(document) => Item::Document(Box::new(document)),
        // Blanks were left out of it.
        Err(why) if is_labelled => {
            let end = why.rfind(" column ").unwrap_or(why.len());
            Item::Broken(why[..end].to_owned())
        }
        Err(why) => Item::Broken(why),
    }
}
