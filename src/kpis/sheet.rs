//! An answer for a spreadsheet, and one to read or to have read aloud.

use std::fmt::Write as _;

use jiff::tz::TimeZone;

use super::{
    answer::{Answer, Compared, Figure, Verdict},
    definitions::Unit,
    figures::Id,
    query::{Span, whole_days},
};

/// One row a figure; groups in columns of their own, the whole with empty ones. With the mark that makes Excel read UTF-8.
#[must_use]
pub fn csv(answer: &Answer) -> String {
    let mut out = csv::Writer::from_writer(Vec::new());
    let mut head: Vec<&str> = vec!["from", "to"];
    head.extend(answer.by.iter().map(|dimension| dimension.as_str()));
    head.extend(["figure", "unit", "value", "n", "median", "p90", "longest", "low", "high", "method", "parts"]);
    if answer.before.is_some() {
        head.extend(["before", "before_n", "difference", "difference_low", "difference_high", "verdict"]);
    }
    let span = [answer.span.from.to_string(), answer.span.to.to_string()];
    let mut rows = vec![head.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    let whole = (vec![String::new(); answer.by.len()], &answer.whole, &answer.compared);
    let groups = answer.groups.iter().map(|group| {
        let key = answer.by.iter().map(|dimension| group.key.get(dimension).cloned().flatten().unwrap_or_default());
        (key.collect(), &group.figures, &group.compared)
    });
    for (key, figures, compared) in std::iter::once(whole).chain(groups) {
        for figure in figures {
            let mut row = span.to_vec();
            row.extend(key.iter().cloned());
            row.extend(cells(figure));
            if answer.before.is_some() {
                row.extend(side(compared.iter().find(|one| one.figure == figure.figure)));
            }
            rows.push(row.into_iter().map(no_formula).collect());
        }
    }
    // A Vec takes everything.
    rows.iter().for_each(|row| drop(out.write_record(row)));
    let text = out.into_inner().ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    format!("\u{feff}{text}")
}

/// A spreadsheet computes what begins so, and names come from switches, calls and settings: behind an apostrophe it is text (OWASP, CSV Injection). Numbers, also
/// those that are dialled, stay as they are.
fn no_formula(cell: String) -> String {
    let number = || cell.len() > 1 && cell.bytes().skip(1).all(|c| c.is_ascii_digit() || c == b'.');
    if cell.starts_with(['=', '@', '\t', '\r', '\n']) || cell.starts_with(['+', '-']) && !number() {
        format!("'{cell}")
    } else {
        cell
    }
}

fn cells(figure: &Figure) -> Vec<String> {
    let percentile = |of: fn(&super::Percentiles) -> u64| figure.percentiles.as_ref().map(of);
    let whole = |n: Option<u64>| n.map(|n| n.to_string()).unwrap_or_default();
    let parts: Vec<String> = figure.parts.iter().map(|(name, n)| format!("{name}={n}")).collect();
    vec![
        figure.figure.as_str().to_owned(),
        word(figure.unit),
        real(figure.value),
        figure.n.to_string(),
        whole(percentile(|p| p.median)),
        whole(percentile(|p| p.p90)),
        whole(percentile(|p| p.longest)),
        real(figure.interval.map(|i| i.low)),
        real(figure.interval.map(|i| i.high)),
        figure.interval.map(|i| word(i.method)).unwrap_or_default(),
        parts.join(" "),
    ]
}

fn side(compared: Option<&Compared>) -> Vec<String> {
    let Some(compared) = compared else { return vec![String::new(); 6] };
    vec![
        real(compared.before.value),
        compared.before.n.to_string(),
        real(compared.difference),
        real(compared.interval.map(|i| i.low)),
        real(compared.interval.map(|i| i.high)),
        compared.verdict.map(word).unwrap_or_default(),
    ]
}

fn real(value: Option<f64>) -> String {
    value.map(|value| format!("{value:.4}").trim_end_matches('0').trim_end_matches('.').to_owned()).unwrap_or_default()
}

fn word(value: impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// In sentences, with the definitions at the end.
#[must_use]
pub fn text(answer: &Answer) -> String {
    let mut out = String::new();
    let zone = TimeZone::get(&answer.zone).unwrap_or(TimeZone::UTC);
    let time = |span: Span| match whole_days(&zone, span) {
        Some((from, to)) => format!("{from} to before {to}"),
        None => format!("{} to before {}", span.from, span.to),
    };
    let _ = writeln!(out, "{}, days in {}", time(answer.span), answer.zone);
    if let Some(before) = answer.before {
        let _ = writeln!(out, "compared with {}", time(before));
    }
    for (dimension, words) in &answer.of {
        let _ = writeln!(out, "only {}: {}", dimension.as_str(), words.join(", "));
    }
    out.push('\n');
    lines(&mut out, &answer.whole, &answer.compared);
    for group in &answer.groups {
        let key = answer.by.iter().map(|dimension| {
            let is = group.key.get(dimension).and_then(Option::as_deref).unwrap_or("not known");
            format!("{}: {is}", dimension.as_str())
        });
        let _ = writeln!(out, "\n{}", key.collect::<Vec<_>>().join(", "));
        lines(&mut out, &group.figures, &group.compared);
    }
    if answer.unreadable > 0 {
        let _ = writeln!(out, "\n{} records could not be read and are in no figure", answer.unreadable);
    }
    if answer.followed_one_in > 1 {
        let _ =
            writeln!(out, "\nFCR by contact and by ticket: one of {} contacts was followed", answer.followed_one_in);
    }
    out.push_str("\nWhat they mean\n");
    for one in &answer.definitions {
        if answer.whole.iter().any(|figure| figure.figure == one.figure) {
            let _ = writeln!(out, "  {}: {}", one.title.en, one.text.en);
        }
    }
    out
}

fn lines(out: &mut String, figures: &[Figure], compared: &[Compared]) {
    for figure in figures {
        let _ = write!(out, "  {}: {}", figure.figure.title().0, said(figure));
        if let Some(compared) = compared.iter().find(|one| one.figure == figure.figure) {
            let before = shown(compared.figure, compared.before.value);
            let _ = write!(out, "; before {before} of {}", compared.before.n);
            out.push_str(match compared.verdict {
                None => "",
                Some(Verdict::Higher) => ", higher now",
                Some(Verdict::Lower) => ", lower now",
                Some(Verdict::NotShown) => ", the difference may be chance",
                Some(Verdict::TooFew) => ", too few cases for a verdict",
            });
        }
        out.push('\n');
    }
}

fn said(figure: &Figure) -> String {
    let value = shown(figure.figure, figure.value);
    let mut out = value;
    let parts = || {
        let parts = figure.parts.iter().filter(|(_, n)| **n > 0).map(|(name, n)| {
            let n = if name.ends_with("_ms") { duration(super::tally::float(*n)) } else { n.to_string() };
            format!("{} {n}", name.trim_end_matches("_ms").replace(['_', '.'], " "))
        });
        parts.collect::<Vec<_>>().join(", ")
    };
    match figure.unit {
        Unit::Count | Unit::Milliseconds => {}
        Unit::Share if figure.figure == Id::Occupancy => {}
        _ if figure.value.is_none() => {}
        Unit::Share | Unit::Points | Unit::PerCall | Unit::PerThousand => {
            let _ = write!(out, " of {}", figure.n);
        }
    }
    if let Some(p) = figure.percentiles {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a call")]
        let (median, p90, longest) = (duration(p.median as f64), duration(p.p90 as f64), duration(p.longest as f64));
        let _ =
            write!(out, " on average of {}; median {median}, nine of ten within {p90}, longest {longest}", figure.n);
    }
    if let Some(i) = figure.interval.filter(|_| figure.percentiles.is_none()) {
        let show = |value| shown(figure.figure, Some(value));
        let _ = write!(out, ", between {} and {}", show(i.low), show(i.high));
    }
    if figure.parts.values().any(|n| *n > 0) {
        let _ = write!(out, " ({})", parts());
    }
    out
}

fn shown(figure: Id, value: Option<f64>) -> String {
    let Some(value) = value else { return "no case".to_owned() };
    match figure.unit() {
        Unit::Count => format!("{value:.0}"),
        Unit::Share => format!("{:.1} %", value * 100.0),
        Unit::Milliseconds => duration(value),
        Unit::Points => format!("{value:.0}"),
        Unit::PerCall => format!("{value:.2}"),
        Unit::PerThousand => format!("{value:.1}"),
    }
}

/// `4 min 12 s`, `0.4 s`.
fn duration(ms: f64) -> String {
    if ms < 9_950.0 {
        return format!("{:.1} s", ms / 1000.0);
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and no age of the world"
    )]
    let s = (ms / 1000.0).round() as u64;
    match (s / 3600, s % 3600 / 60, s % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, min, s) => format!("{min} min {s} s"),
        (h, min, _) => format!("{h} h {min} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::no_formula;

    #[test]
    fn what_a_spreadsheet_would_compute_is_text_and_numbers_stay() {
        for (cell, shown) in [
            ("=HYPERLINK(\"https://example.com\")", "'=HYPERLINK(\"https://example.com\")"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
            ("-1+1", "'-1+1"),
            ("\t=1", "'\t=1"),
            ("+862161234567", "+862161234567"),
            ("-0.25", "-0.25"),
            ("客服", "客服"),
            ("-", "'-"),
            ("", ""),
        ] {
            assert_eq!(no_formula(cell.to_owned()), shown);
        }
    }
}
