//! `numa-audit show`.

use super::output::{box_style, print, print_by, quiet_line, terminal};
use super::{Trouble, exit_code, export};
use crate::cli::ShowArgs;
use crate::observe::read_audit;
use crate::print::{csv, json, table, topology};

pub(crate) fn run(arguments: &ShowArgs) -> Result<u8, Trouble> {
    export::ensure_possible(&arguments.export, &[Some(&arguments.file)])?;
    let document = read_audit(&arguments.file)?;
    let terminal = terminal(&arguments.output.color);
    if export::export(&document, &arguments.export)? {
        // Nothing else is printed.
    } else if arguments.quiet {
        print(&quiet_line(&document, arguments.exit.fail_on))?;
    } else if arguments.output.json {
        print_by(|out| json::write(&document, out))?;
    } else if arguments.csv {
        print_by(|out| csv::processes(&document, out))?;
    } else if document.processes.is_some() {
        print(&table::report(&document, arguments.all, &terminal))?;
    } else {
        print(&topology::topology(
            &document,
            box_style(arguments.map.ascii),
            &terminal,
        ))?;
    }
    Ok(exit_code::of_saved(&document, arguments.exit.fail_on))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::json;
    use crate::audit::{Settings, audit, map};
    use crate::document;
    use crate::observe::{Source, Subjects, observe};

    #[test]
    fn a_document_is_read_as_it_was_written() {
        for name in [
            "p4d-do-not-match",
            "p4d-bound",
            "h200x4-mp-spawn",
            "h200x4-torchrun-forkserver",
            "h200x2-mp-spawn",
        ] {
            for make in [audit, map] {
                let path = format!("{}/fixtures/{name}.tar.gz", env!("CARGO_MANIFEST_DIR"));
                let source = Source::snapshot(Path::new(&path)).unwrap();
                let machine = observe(source, &Subjects::GpuUsers).machine;
                let made = make(machine, &Settings::default());
                let text = json::text(&made);
                let read = document::read(text.as_bytes()).unwrap();
                assert_eq!(read, made, "{name}");
                assert_eq!(json::text(&read), text, "{name}");
            }
        }
    }
}
