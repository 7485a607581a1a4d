//! Pieces of the page: text that cannot break out of it, tables, figures.

use std::fmt::Write as _;

/// Text for the page, its special characters written out; control characters, which no page may hold, are shown as a dot.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\n' | '\t' => safe.push(c),
            c if c.is_control() => safe.push('·'),
            c => safe.push(c),
        }
    }
    safe
}

/// A table: the first column is text, the others are numbers unless their heading begins with `<`.
pub(super) fn table(caption: &str, headings: &[&str], rows: &[Vec<String>]) -> String {
    let is_text = |column: usize| column == 0 || headings[column].starts_with('<');
    let mut html = format!("<div class=\"scroll\"><table><caption>{}</caption><thead><tr>", escaped(caption));
    for (column, heading) in headings.iter().enumerate() {
        let class = if is_text(column) { "" } else { " class=\"n\"" };
        let _ = write!(html, "<th scope=\"col\"{class}>{}</th>", escaped(heading.trim_start_matches('<')));
    }
    html.push_str("</tr></thead><tbody>");
    for row in rows {
        html.push_str("<tr>");
        for (column, cell) in row.iter().enumerate().take(headings.len()) {
            let _ = match column {
                0 => write!(html, "<th scope=\"row\">{}</th>", escaped(cell)),
                column if is_text(column) => write!(html, "<td>{}</td>", escaped(cell)),
                _ => write!(html, "<td class=\"n\">{}</td>", escaped(cell)),
            };
        }
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table></div>\n");
    html
}

/// A figure: heading, what it shows, the drawing, and the table beneath.
pub(super) fn figure(number: usize, title: &str, says: &str, drawing: &str, table: &str) -> String {
    format!(
        "<section class=\"figure\"><h2>{number}. {}</h2><p>{}</p><figure>{drawing}</figure>\n{table}</section>\n",
        escaped(title),
        escaped(says)
    )
}

/// A table that is folded away until somebody wants it; printed in full.
pub(super) fn folded(summary: &str, table: &str) -> String {
    format!("<details open><summary>{}</summary>{table}</details>\n", escaped(summary))
}
