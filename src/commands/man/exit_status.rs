//! The section EXIT STATUS, from the exit codes at the end of a subcommand's help.

use clap::Command;
use clap_mangen::roff::{Roff, bold, roman};

pub(super) fn section(command: &Command) -> Roff {
    let help = command.get_after_help().map(ToString::to_string);
    let text = help.unwrap_or_else(|| {
        "Exit codes:\n  0  it was done\n  2  numa-audit could not run: a wrong argument, an unreadable file, output that cannot be written".to_owned()
    });
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    for part in parts(&text) {
        match part {
            Part::Code(code, meaning) => {
                roff.control("TP", []);
                roff.text([bold(code)]);
                roff.text([roman(meaning)]);
            }
            Part::Text(text) => {
                roff.control("PP", []);
                roff.text([roman(text)]);
            }
        }
    }
    roff
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    /// A code and its meaning.
    Code(String, String),
    /// A paragraph.
    Text(String),
}

/// The lines behind the heading: `  0  meaning`, further lines of that meaning, or text.
fn parts(help: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    for line in help.lines().skip(1) {
        let text = line.trim_start();
        let is_indented = line.starts_with(' ');
        let code = text
            .split_once("  ")
            .filter(|(code, _)| code.parse::<u8>().is_ok());
        match (code, parts.last_mut()) {
            (Some((code, meaning)), _) if is_indented => {
                parts.push(Part::Code(code.to_owned(), meaning.to_owned()));
            }
            (None, Some(Part::Code(_, last))) if is_indented => *last = format!("{last} {text}"),
            (_, Some(Part::Text(last))) => *last = format!("{last} {text}"),
            _ => parts.push(Part::Text(text.to_owned())),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_whole_meaning() {
        let code = |code: &str, meaning: &str| Part::Code(code.into(), meaning.into());
        assert_eq!(
            parts("Exit codes:\n  0  well\n  1  bad,\n     very bad\nOld problems\ndo not count."),
            [
                code("0", "well"),
                code("1", "bad, very bad"),
                Part::Text("Old problems do not count.".into())
            ]
        );
    }
}
