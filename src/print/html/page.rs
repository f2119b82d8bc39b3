//! What all pages have in common: head, style, script and the policy that forbids everything else.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use crate::document::Tool;
use crate::print::{acts, harmless, picture};

const STYLE: &str = include_str!("style.css");
const DARK_STYLE: &str = include_str!("dark.css");
const SCRIPT: &str = include_str!("script.js");

/// A page.
pub(super) struct Page {
    /// What the browser's tab says.
    pub(super) title: String,
    /// The heading with the result.
    pub(super) header: Markup,
    /// The links to the sections: ids and words.
    pub(super) sections: Vec<(&'static str, String)>,
    /// The sections.
    pub(super) main: Markup,
    /// How it was made.
    pub(super) footer: Markup,
}

impl Page {
    /// The text of the file.
    pub(super) fn text(&self) -> String {
        self.start() + &end(&self.footer)
    }

    /// The text without its end: more sections may follow.
    pub(super) fn start(&self) -> String {
        let title = harmless(&self.title);
        let style = style();
        let open = html! {
            (DOCTYPE)
            // Open elements: what follows is written piece by piece.
            (PreEscaped("<html lang=\"en\">"))
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy(&style));
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (title) }
                style { (PreEscaped(&style)) }
            }
            (PreEscaped("<body>"))
            a class="skip" href="#main" { "Skip to the content" }
            header { (self.header) }
            @if !self.sections.is_empty() {
                nav aria-label="On this page" {
                    ul { @for (id, word) in &self.sections { li { a href={ "#" (id) } { (word) } } } }
                }
            }
            (PreEscaped("<main id=\"main\" tabindex=\"-1\">"))
            (self.main)
        };
        visible(open.into_string())
    }
}

/// The text after the sections.
pub(super) fn end(footer: &Markup) -> String {
    let end = html! {
        (PreEscaped("</main>"))
        footer { (footer) }
        script { (PreEscaped(SCRIPT)) }
        (PreEscaped("</body></html>\n"))
    };
    visible(end.into_string())
}

/// The footer: the program that made the page, and a sentence about where its facts come from.
pub(super) fn footer(made_from: &str) -> Markup {
    let Tool { name, version } = Tool::this();
    html! {
        p {
            "Made by " (name) " " (version) " " (harmless(made_from)) ". "
            "The program only reads. This page is one file and makes no network requests."
        }
    }
}

/// Only what stands in the page itself may run or style it, and nothing can be loaded.
fn policy(style: &str) -> String {
    format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'",
        hash(style),
        hash(SCRIPT)
    )
}

fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}

/// The page's style with the picture's. On paper the colours are light.
pub(super) fn style() -> String {
    format!(
        "{STYLE}{}@media screen and (prefers-color-scheme: dark) {{\n{DARK_STYLE}{}}}\n",
        picture::STYLE,
        picture::DARK_STYLE
    )
}

/// The text with every letter escaped that acts on what is around it. Its writers make each text harmless; what one of them
/// forgets is caught here. Between elements such letters mean nothing, so the page's own has none but the end of a line.
pub(super) fn visible(text: String) -> String {
    let acts_here = |letter| acts(letter) && letter != '\n';
    if !text.contains(acts_here) {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match acts_here(letter) {
            true => out.extend(letter.escape_unicode()),
            false => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_the_standard() {
        // The example of the standard: https://www.w3.org/TR/CSP3/#external-hash, of an inline script.
        let example = hash("alert('Hello, world.');");
        assert_eq!(
            example,
            "sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng="
        );
    }

    #[test]
    fn style_and_script_are_what_the_policy_allows() {
        let page = Page {
            title: "</title>\u{202e}<script>".to_owned(),
            header: html! {},
            sections: Vec::new(),
            main: html! { "a\u{1b}b" },
            footer: html! {},
        };
        let text = page.text();
        let between = |start: &str, end: &str| {
            let (_, rest) = text.split_once(start).unwrap();
            rest.split_once(end).unwrap().0.to_owned()
        };
        for (start, end) in [("<style>", "</style>"), ("<script>", "</script>")] {
            assert!(text.contains(&hash(&between(start, end))), "{start}");
            assert_eq!(text.matches(start).count(), 1);
        }
        assert_eq!(
            between("<title>", "</title>"),
            "&lt;/title&gt;\\u{202e}&lt;script&gt;"
        );
        assert!(text.contains("a\\u{1b}b"));
    }

    #[test]
    fn style_and_script_need_no_escape() {
        for text in [style(), SCRIPT.to_owned()] {
            assert!(!text.contains("</"), "it would end its element");
            assert_eq!(visible(text.clone()), text);
        }
    }
}
