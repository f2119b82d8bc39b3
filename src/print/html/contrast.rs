//! The contrast of the page's colours, as WCAG 2.2 computes it: 4.5 for text (AA), 3 for what is no text.

use std::collections::BTreeMap;

const LIGHT: &str = include_str!("style.css");
const DARK: &str = include_str!("dark.css");

/// Text on a ground.
const TEXTS: &[(&str, &[&str])] = &[
    (
        "text",
        &[
            "page",
            "panel",
            "good-tint",
            "risk-tint",
            "bad-tint",
            "open-tint",
            "plain-tint",
            "d1",
            "d2",
            "d3",
        ],
    ),
    ("muted", &["page", "panel"]),
    (
        "link",
        &[
            "page",
            "panel",
            "good-tint",
            "risk-tint",
            "bad-tint",
            "open-tint",
            "plain-tint",
        ],
    ),
    ("good", &["page", "good-tint"]),
    ("risk", &["page", "risk-tint"]),
    ("bad", &["page", "bad-tint"]),
    ("open", &["page", "open-tint"]),
    ("plain", &["page", "plain-tint"]),
    // The squares of wrong machines.
    ("page", &["bad"]),
];

/// The frames of controls and of the boxes of nodes.
const EDGES: &[(&str, &[&str])] = &[
    ("edge", &["page", "panel"]),
    ("bad", &["page"]),
    ("risk", &["page"]),
];

/// The variables of a stylesheet that are colours.
fn colors(css: &str) -> BTreeMap<&str, [f64; 3]> {
    let parts = css.split(['{', ';', '}']);
    let variables = parts.filter_map(|part| part.trim().strip_prefix("--")?.split_once(": #"));
    let part =
        |hex: &str, at: usize| f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
    variables
        .map(|(name, hex)| (name, [part(hex, 0), part(hex, 2), part(hex, 4)]))
        .collect()
}

fn luminance(color: [f64; 3]) -> f64 {
    let linear = |part: f64| match part <= 0.04045 {
        true => part / 12.92,
        false => ((part + 0.055) / 1.055).powf(2.4),
    };
    let [red, green, blue] = color.map(linear);
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn black_on_white_is_21() {
    assert!((contrast([0.0; 3], [1.0; 3]) - 21.0).abs() < 1e-9);
}

#[test]
fn both_styles_have_the_same_colours() {
    let (light, dark) = (colors(LIGHT), colors(DARK));
    assert!(light.len() > 15);
    assert!(light.keys().eq(dark.keys()), "{light:?} {dark:?}");
}

#[test]
fn every_pair_can_be_read() {
    for css in [LIGHT, DARK] {
        let colors = colors(css);
        for (pairs, least) in [(TEXTS, 4.5), (EDGES, 3.0)] {
            for (front, grounds) in pairs {
                for ground in *grounds {
                    let contrast = contrast(colors[front], colors[ground]);
                    assert!(contrast >= least, "{front} on {ground}: {contrast:.2}");
                }
            }
        }
    }
}

#[test]
fn a_style_names_no_other_colour() {
    let rules = LIGHT.split_once('}').unwrap().1;
    let names_one = |line: &&str| line.contains('#') && !line.starts_with("#main");
    assert_eq!(rules.lines().find(names_one), None);
    assert!(!rules.contains("rgb"));
}
