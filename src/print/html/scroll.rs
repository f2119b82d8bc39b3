//! A table in a box of its own, which scrolls where the page is narrow.

use maud::{Markup, html};

/// A simple table. The first cell of each row is its heading. All texts are harmless already.
pub(super) fn table(caption: &str, headers: &[String], rows: &[Vec<String>]) -> Markup {
    boxed(
        caption,
        &html! {
            table {
                caption { (caption) }
                thead { tr { @for header in headers { th scope="col" { (header) } } } }
                tbody {
                    @for row in rows {
                        tr {
                            @for (cell, at) in row.iter().zip(0..) {
                                @if at == 0 { th scope="row" { (cell) } } @else { td { (cell) } }
                            }
                        }
                    }
                }
            }
        },
    )
}

/// The box. It can have the focus, so that the keyboard scrolls it too.
pub(super) fn boxed(name: &str, table: &Markup) -> Markup {
    html! { div class="scroll" role="region" aria-label=(name) tabindex="0" { (table) } }
}
