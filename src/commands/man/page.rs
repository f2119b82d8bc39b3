//! Manual pages: the options from the program's own definitions, the other sections from `sections.rs`.

use std::io;

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use super::exit_status;
use super::sections::{self, Entry, Section};
use crate::cli::Cli;

/// The source of one manual page.
pub(super) struct Page {
    /// `None` for the main page.
    pub(super) subcommand: Option<String>,
    /// Such as `numa-audit-diff.1`.
    pub(super) file_name: String,
    /// In the language of man(7).
    pub(super) source: Vec<u8>,
}

/// The main page, then the pages of the subcommands.
pub(super) fn pages() -> io::Result<Vec<Page>> {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let mut pages = vec![page(&program, None)?];
    for subcommand in program.get_subcommands().filter(|one| !one.is_hide_set()) {
        pages.push(page(subcommand, Some(subcommand.get_name()))?);
    }
    Ok(pages)
}

fn page(command: &Command, subcommand: Option<&str>) -> io::Result<Page> {
    let man = Man::new(command.clone())
        .source(concat!("numa-audit ", env!("CARGO_PKG_VERSION")))
        .manual("User Commands")
        // The page has no date. An empty argument would be left out, and the next one be taken for it.
        .date(" ");
    let mut source = Vec::new();
    man.render_title(&mut source)?;
    man.render_name_section(&mut source)?;
    synopsis(command, subcommand).to_writer(&mut source)?;
    man.render_description_section(&mut source)?;
    source.extend(options(&man)?);
    if subcommand.is_none() {
        man.render_subcommands_section(&mut source)?;
    }
    exit_status::section(command).to_writer(&mut source)?;
    for section in sections::of(subcommand) {
        written(section).to_writer(&mut source)?;
    }
    see_also(command, subcommand).to_writer(&mut source)?;
    Ok(Page {
        subcommand: subcommand.map(str::to_owned),
        file_name: man.get_filename(),
        source,
    })
}

/// Every option has its section, so the synopsis does not list them.
fn synopsis(command: &Command, subcommand: Option<&str>) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    let name = subcommand.map_or("numa-audit".to_owned(), |name| format!("numa-audit {name}"));
    let mut words = vec![bold(name), roman(" ["), italic("OPTIONS"), roman("]")];
    for argument in command.get_positionals() {
        let name = argument.get_id().as_str().to_uppercase();
        if argument.is_required_set() {
            words.extend([roman(" "), italic(name)]);
        } else {
            words.extend([roman(" ["), italic(name), roman("]")]);
        }
    }
    roff.text(words);
    if subcommand.is_none() {
        roff.control("br", []);
        let words = [
            bold("numa-audit"),
            roman(" "),
            italic("SUBCOMMAND"),
            roman(" ["),
        ];
        roff.text(
            words
                .into_iter()
                .chain([italic("OPTIONS"), roman("]")])
                .collect::<Vec<_>>(),
        );
    }
    roff
}

/// The groups of options are parts of one section; the crate makes a section of each.
fn options(man: &Man) -> io::Result<Vec<u8>> {
    let mut source = Vec::new();
    man.render_options_section(&mut source)?;
    let source = String::from_utf8_lossy(&source);
    let lines = source.lines().map(|line| match line.strip_prefix(".SH ") {
        Some(heading) if heading != "OPTIONS" => {
            let (first, rest) = heading.split_at_checked(1).unwrap_or_default();
            format!(".SS {first}{}\n", rest.to_lowercase())
        }
        _ => format!("{line}\n"),
    });
    Ok(lines.collect::<String>().into_bytes())
}

fn written(section: &Section) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [section.heading]);
    for entry in section.entries {
        match entry {
            Entry::Text(text) => {
                roff.control("PP", []);
                roff.text([roman(*text)]);
            }
            Entry::Term(term, text) => {
                roff.control("TP", []);
                roff.text([bold(*term)]);
                roff.text([roman(*text)]);
            }
        }
    }
    roff
}

/// The other pages, and the programs that show a part of the same.
fn see_also(command: &Command, subcommand: Option<&str>) -> Roff {
    let mut names: Vec<String> = match subcommand {
        None => {
            let subcommands = command.get_subcommands().filter(|one| !one.is_hide_set());
            subcommands
                .map(|one| format!("numa-audit-{}", one.get_name()))
                .collect()
        }
        Some(name) => {
            let related = sections::related(name).iter();
            let related = related.map(|one| format!("numa-audit-{one}"));
            std::iter::once("numa-audit".to_owned())
                .chain(related)
                .collect()
        }
    };
    names.sort();
    let own = names.into_iter().map(|name| (name, 1));
    let other = sections::OTHER_PROGRAMS
        .iter()
        .filter(|_| subcommand.is_none());
    let other = other.map(|(name, section)| ((*name).to_owned(), *section));
    let mut words: Vec<Inline> = Vec::new();
    for (name, section) in own.chain(other) {
        if !words.is_empty() {
            words.push(roman(", "));
        }
        words.extend([bold(name), roman(format!("({section})"))]);
    }
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]);
    roff.text(words);
    roff
}
