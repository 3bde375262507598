//! Trunk rows as a table of a spreadsheet: out as CSV with the mark that makes Excel read UTF-8, in from UTF-8 (with the mark or without) or GBK,
//! which is what Excel writes in China.
//!
//! A table that comes in becomes the text of a trunks.yaml, which is then read and checked like any other; [`Sheet::place`] gives each problem
//! back its line and column in the table. What Excel did to a number (4.00E+09) is told, for it cannot be undone.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{Mask, NoMatch, TrunkRow};
use crate::{files::Problem, words::TenantId};

/// The columns in the order in which they go out. On the way in they may stand in any order, and those that are empty may be left out.
pub const COLUMNS: [&str; 17] = [
    "switch",
    "trunk",
    "dialled_from",
    "dialled",
    "country",
    "area",
    "tenant",
    "title",
    "brand",
    "language",
    "zone",
    "queue_label",
    "connectors",
    "target",
    "no_match",
    "mask",
    "note",
];

/// A table that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sheet {
    /// The rows as a trunks.yaml.
    pub yaml: String,
    file: String,
    /// Line of each row.
    lines: Vec<u32>,
    header: Vec<String>,
}

/// The rows as CSV.
#[must_use]
pub fn write<'a>(rows: impl IntoIterator<Item = &'a TrunkRow>) -> String {
    let mut csv = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    // Writing into memory does not fail, and every record has the fields of the header.
    let _ = csv.write_record(COLUMNS.iter().take(COLUMNS.len() - 1));
    for row in rows {
        let _ = csv.write_record(cells(row));
    }
    let text = String::from_utf8(csv.into_inner().unwrap_or_default()).unwrap_or_default();
    format!("\u{feff}{text}")
}

/// The fields of a row in the order of [`COLUMNS`].
fn cells(row: &TrunkRow) -> [String; 16] {
    let text = |t: &Option<String>| t.clone().unwrap_or_default();
    let no_match = match row.no_match {
        NoMatch::None => "none".to_owned(),
        NoMatch::Offer => String::new(),
        NoMatch::CreateAfterS(s) => format!("create_after_s:{s}"),
    };
    let mask = match &row.mask {
        None => String::new(),
        Some(Mask::None) => "none".to_owned(),
        Some(Mask::All) => "all".to_owned(),
        Some(Mask::Except(roles)) => format!("except:{}", roles.join(" ")),
    };
    let tenant = if row.tenant == TenantId::default() { String::new() } else { row.tenant.to_string() };
    let connectors = row.connectors.as_ref().map(|c| {
        let all: Vec<&str> = c.iter().map(|s| s.as_str()).collect();
        // No system is asked: an empty field means that all are.
        if all.is_empty() { "-".to_owned() } else { all.join(" ") }
    });
    [
        row.switch.as_ref().map(ToString::to_string).unwrap_or_default(),
        text(&row.trunk),
        row.dialled_from.as_ref().map(|f| f.join(" ")).unwrap_or_default(),
        text(&row.dialled),
        text(&row.country),
        text(&row.area),
        tenant,
        text(&row.title),
        text(&row.brand),
        text(&row.language),
        text(&row.zone),
        text(&row.queue_label),
        connectors.unwrap_or_default(),
        text(&row.target),
        no_match,
        mask,
    ]
}

/// The rows as a trunks.yaml.
#[must_use]
pub fn yaml<'a>(rows: impl IntoIterator<Item = &'a TrunkRow>) -> String {
    let lines = rows.into_iter().map(|row| {
        let cells = cells(row);
        COLUMNS.iter().copied().zip(cells).filter(|(_, cell)| !cell.is_empty()).collect::<Vec<_>>()
    });
    let mut text = String::new();
    for line in lines {
        entry(&mut text, &line);
    }
    if text.is_empty() { "rows: []\n".to_owned() } else { format!("rows:\n{text}") }
}

/// Reads a table.
///
/// # Errors
/// What cannot be a table of rows: signs of no known coding, a column nobody knows, a line that is torn, a number that a spreadsheet spoilt.
pub fn read(file: &str, bytes: &[u8]) -> Result<Sheet, Vec<Problem>> {
    let problem = |line, column, key: &str, found: String, wanted: &str| Problem {
        file: file.to_owned(),
        line,
        column,
        key: key.to_owned(),
        found,
        wanted: wanted.to_owned(),
        ..Problem::default()
    };
    let text = decoded(bytes).ok_or_else(|| {
        vec![problem(
            0,
            0,
            "",
            "this is neither UTF-8 nor GBK".to_owned(),
            "\"CSV UTF-8\" or \"CSV\" as the spreadsheet saves it",
        )]
    })?;
    let separator = text.lines().next().map_or(b',', |first| {
        let count = |c: char| first.matches(c).count();
        // Where the comma is the decimal sign spreadsheets write semicolons; what is pasted has tabs. The last of equals is taken: one column
        // has no separator at all.
        [(count('\t'), b'\t'), (count(';'), b';'), (count(','), b',')]
            .into_iter()
            .max_by_key(|(n, _)| *n)
            .map_or(b',', |(_, separator)| separator)
    });
    let mut csv =
        csv::ReaderBuilder::new().flexible(true).has_headers(false).delimiter(separator).from_reader(text.as_bytes());
    let mut sheet = Sheet { yaml: String::new(), file: file.to_owned(), lines: Vec::new(), header: Vec::new() };
    let (mut problems, mut rows) = (Vec::new(), String::new());
    let mut lines = Lines { text: text.as_bytes(), at: 0, line: 1 };
    for record in csv.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                let found = "this line cannot be read".to_owned();
                problems.push(problem(
                    u32::try_from(line).unwrap_or(0),
                    0,
                    "",
                    found,
                    "fields with commas or quotes stand in quotes",
                ));
                continue;
            }
        };
        let line = record.position().map_or(0, |p| lines.at(p.byte()));
        let cells: Vec<&str> = record.iter().map(str::trim).collect();
        // Nothing, or a remark.
        if cells.iter().all(|c| c.is_empty())
            || cells.first().is_some_and(|c| c.starts_with('#')) && cells.iter().skip(1).all(|c| c.is_empty())
        {
            continue;
        }
        if sheet.header.is_empty() {
            sheet.header = cells.iter().map(|c| c.to_ascii_lowercase()).collect();
            for (i, name) in sheet.header.iter().enumerate() {
                let twice = sheet.header.iter().take(i).any(|n| n == name);
                if !name.is_empty() && (twice || !COLUMNS.contains(&name.as_str())) {
                    let found = if twice { "this column is there twice" } else { "this column is not known" };
                    problems.push(problem(line, column(i), name, found.to_owned(), &COLUMNS.join(", ")));
                }
            }
            continue;
        }
        for (i, cell) in cells.iter().enumerate() {
            let name = sheet.header.get(i).map_or("", String::as_str);
            if name.is_empty() && !cell.is_empty() {
                problems.push(problem(
                    line,
                    column(i),
                    "",
                    "there is no column for this".to_owned(),
                    "a name in the first line",
                ));
            }
            if matches!(name, "dialled" | "area") && spoilt(cell) {
                let wanted = "the whole number: make the column text in the spreadsheet before the numbers go in";
                problems.push(problem(
                    line,
                    column(i),
                    name,
                    "a spreadsheet made an amount of this number".to_owned(),
                    wanted,
                ));
            }
        }
        let named = sheet.header.iter().map(String::as_str).zip(cells.iter().map(|c| (*c).to_owned()));
        let filled: Vec<(&str, String)> = named.filter(|(name, cell)| !cell.is_empty() && *name != "note").collect();
        if entry(&mut rows, &filled) {
            sheet.lines.push(line);
        }
    }
    if sheet.header.is_empty() {
        problems.push(problem(1, 0, "", "there is no line of names".to_owned(), &COLUMNS.join(",")));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    sheet.yaml = if rows.is_empty() { "rows: []\n".to_owned() } else { format!("rows:\n{rows}") };
    Ok(sheet)
}

impl Sheet {
    /// A problem of the YAML, with the line and the column of the table in its place.
    #[must_use]
    pub fn place(&self, problem: Problem) -> Problem {
        let inside = problem.key.strip_prefix("rows[").and_then(|rest| rest.split_once(']'));
        let Some((row, key)) = inside.and_then(|(n, key)| Some((n.parse::<usize>().ok()?, key))) else {
            return Problem { file: self.file.clone(), line: 0, column: 0, ..problem };
        };
        let name = key.trim_start_matches('.').split(['.', '[']).next().unwrap_or_default();
        let at = self.header.iter().position(|h| h == name).map_or(0, column);
        let line = self.lines.get(row).copied().unwrap_or(0);
        // Rows that are spoken of are lines here.
        let mut found = problem.found;
        while let Some((before, rest)) = found.split_once("rows[").map(|(a, b)| (a.to_owned(), b.to_owned())) {
            let Some((n, after)) = rest.split_once(']') else { break };
            let other = n.parse::<usize>().ok().and_then(|n| self.lines.get(n)).copied().unwrap_or(0);
            found = format!("{before}line {other}{after}");
        }
        Problem { file: self.file.clone(), line, column: at, key: name.to_owned(), found, ..problem }
    }

    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.lines.len()
    }
}

/// Counts lines as records go by: the reader's own count stands before the empty lines that it skips.
struct Lines<'a> {
    text: &'a [u8],
    at: usize,
    line: u32,
}

impl Lines<'_> {
    /// The line of the first record from this byte on.
    fn at(&mut self, byte: u64) -> u32 {
        let from = usize::try_from(byte).unwrap_or(usize::MAX);
        while let Some(b) = self.text.get(self.at).filter(|b| self.at < from || matches!(b, b'\r' | b'\n')) {
            self.line += u32::from(*b == b'\n');
            self.at += 1;
        }
        self.line
    }
}

/// From 1.
fn column(index: usize) -> u32 {
    u32::try_from(index + 1).unwrap_or(0)
}

fn decoded(bytes: &[u8]) -> Option<String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Some(text.to_owned());
    }
    let (text, bad) = encoding_rs::GB18030.decode_without_bom_handling(bytes);
    (!bad).then(|| text.into_owned())
}

/// `4.00E+09`, `2161234567.0`.
fn spoilt(cell: &str) -> bool {
    let exponent = cell.split_once(['E', 'e']).is_some_and(|(a, b)| {
        a.bytes().all(|c| c.is_ascii_digit() || c == b'.') && b.starts_with(['+', '-']) && !a.is_empty()
    });
    let decimal = cell.split_once('.').is_some_and(|(a, b)| {
        !a.is_empty() && a.bytes().all(|c| c.is_ascii_digit()) && !b.is_empty() && b.bytes().all(|c| c == b'0')
    });
    exponent || decimal
}

/// One row of YAML; `false` where nothing is in it.
fn entry(out: &mut String, cells: &[(&str, String)]) -> bool {
    for (i, (name, cell)) in cells.iter().enumerate() {
        let lead = if i == 0 { "  - " } else { "    " };
        let _ = writeln!(out, "{lead}{name}: {}", value(name, cell));
    }
    !cells.is_empty()
}

/// What is in a cell, as YAML on one line.
pub(super) fn value(name: &str, cell: &str) -> String {
    let list = |text: &str| {
        let items: Vec<String> =
            text.split([' ', ';', '|']).filter(|t| !t.is_empty() && *t != "-").map(quoted).collect();
        format!("[{}]", items.join(", "))
    };
    match name {
        "connectors" | "dialled_from" => list(cell),
        "no_match" => match cell.split_once(':') {
            Some(("create_after_s", s)) if !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit()) => {
                format!("{{create_after_s: {s}}}")
            }
            _ => quoted(cell),
        },
        "mask" => match cell.split_once(':') {
            Some(("except", roles)) => format!("{{except: {}}}", list(roles)),
            _ => quoted(cell),
        },
        _ => quoted(cell),
    }
}

/// A row as a line of a table: what is in each column, without those in which nothing is.
pub type Cells = BTreeMap<String, String>;

/// The rows as lines of a table.
#[must_use]
pub fn table<'a>(rows: impl IntoIterator<Item = &'a TrunkRow>) -> Vec<Cells> {
    let cells = |row: &TrunkRow| {
        let named = COLUMNS.iter().map(|name| (*name).to_owned()).zip(cells(row));
        named.filter(|(_, cell)| !cell.is_empty()).collect()
    };
    rows.into_iter().map(cells).collect()
}

/// Lines of a table as a trunks.yaml. Columns that there are not are written too: whoever reads the text tells of them.
#[must_use]
pub fn yaml_of(table: &[Cells]) -> String {
    let mut text = String::new();
    for cells in table {
        let known = |name: &str| COLUMNS.iter().position(|column| *column == name).unwrap_or(COLUMNS.len());
        let mut line: Vec<(&str, String)> = cells
            .iter()
            .filter(|(_, cell)| !cell.is_empty())
            .map(|(name, cell)| (name.as_str(), cell.clone()))
            .collect();
        line.sort_by_key(|(name, _)| known(name));
        entry(&mut text, &line);
    }
    if text.is_empty() { "rows: []\n".to_owned() } else { format!("rows:\n{text}") }
}

/// In quotes as YAML and JSON both read them.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{files, numbers::trunks::TrunksFile};

    fn rows(yaml: &str) -> Vec<TrunkRow> {
        files::read::<TrunksFile>("trunks.yaml", yaml).map(|r| r.value.rows).unwrap_or_else(|p| panic!("{p:?}\n{yaml}"))
    }

    #[test]
    fn a_table_as_excel_writes_it_in_china() {
        let text = "dialled,title,connectors,no_match,mask,note\r\n4008001234,售后,redmine odoo,create_after_s:30,except:supervisor,随便写\r\n02161234500..02161234599,\"直线, 二\",,none,all,\r\n,,,,,\r\n";
        let (gbk, _, _) = encoding_rs::GBK.encode(text);
        let expected = "rows:\n  - dialled: \"4008001234\"\n    title: \"售后\"\n    connectors: [\"redmine\", \"odoo\"]\n    no_match: {create_after_s: 30}\n    mask: {except: [\"supervisor\"]}\n  - dialled: \"02161234500..02161234599\"\n    title: \"直线, 二\"\n    no_match: \"none\"\n    mask: \"all\"\n";
        for bytes in [
            gbk.as_ref(),
            text.as_bytes(),
            format!("\u{feff}{text}").as_bytes(),
            text.replace(',', ";").replace("直线; 二", "直线, 二").as_bytes(),
        ] {
            let sheet = read("x.csv", bytes).unwrap();
            assert_eq!(sheet.yaml, expected);
            assert_eq!(rows(&sheet.yaml).len(), 2);
        }
        assert!(
            read("x.csv", b"dialled,title\n1,\xff\xff\xff\n").unwrap_err()[0].found.contains("neither UTF-8 nor GBK")
        );
    }

    #[test]
    fn a_problem_has_its_line_and_column_in_the_table() {
        let text = "title,dialled,zone\nA,4008001234,\n\nB,400800*,Asia/Nowhere\nC,4008005678,\n";
        let sheet = read("x.csv", text.as_bytes()).unwrap();
        let file = files::read::<TrunksFile>("trunks.yaml", &sheet.yaml).unwrap();
        let plan = crate::numbers::Plan::new("CN", Some("21"));
        let told = super::super::check(&file, &super::super::Around::default(), &plan);
        let told: Vec<String> = told.problems.into_iter().map(|p| sheet.place(p).to_string()).collect();
        assert_eq!(
            told,
            [
                "x.csv:4:3: zone: \"Asia/Nowhere\" is no time zone; an IANA name such as Asia/Shanghai",
                "x.csv:5: this row can never win: line 4 takes the same calls before it; remove one, or put the narrower row first",
            ]
        );
    }

    #[test]
    fn what_is_no_table_is_told() {
        let told = |text: &str| {
            read("x.csv", text.as_bytes()).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert!(told("dialled,titel\n1,2\n")[0].starts_with("x.csv:1:2: titel: this column is not known"));
        assert!(told("dialled,title,title\n")[0].contains("there twice"));
        assert!(told("dialled\n4.00E+09\n")[0].starts_with("x.csv:2:1: dialled: a spreadsheet made an amount"));
        assert!(told("dialled\n4008001234,x\n")[0].starts_with("x.csv:2:2: there is no column"));
        assert!(told("")[0].contains("no line of names"));
    }

    /// Any text that a field of a settings file can hold; a spreadsheet trims its ends, and a list is parted by blanks.
    fn text() -> impl Strategy<Value = Option<String>> {
        proptest::option::of(
            "[^ \\p{C}\\p{Z}](\\PC{0,12}[^ \\p{C}\\p{Z}])?".prop_filter("no comment", |t| !t.starts_with('#')),
        )
    }

    fn words() -> impl Strategy<Value = Option<Vec<String>>> {
        proptest::option::of(proptest::collection::vec("[a-z][a-z0-9.:-]{0,8}", 1..4))
    }

    prop_compose! {
        fn row()(
            (switch, trunk, dialled, country) in (words(), text(), text(), text()),
            (area, tenant, title, brand) in (text(), words(), text(), text()),
            (language, zone, queue_label, target) in (text(), text(), text(), text()),
            (connectors, dialled_from, roles) in (words(), words(), words()),
            (no_match, mask) in (0u32..4, 0u32..4),
        ) -> TrunkRow {
            let one = |words: Option<Vec<String>>| words.and_then(|w| w.into_iter().next());
            TrunkRow {
                switch: one(switch).map(|s| s.as_str().into()),
                trunk, dialled_from, dialled, country, area,
                tenant: one(tenant).map_or_else(TenantId::default, |t| t.as_str().into()),
                title, brand, language, zone, queue_label,
                connectors: connectors.map(|c| c.iter().map(|s| s.as_str().into()).collect()),
                target,
                no_match: match no_match { 0 => NoMatch::None, 1 => NoMatch::CreateAfterS(30), _ => NoMatch::Offer },
                mask: match mask { 0 => None, 1 => Some(Mask::None), 2 => Some(Mask::All), _ => Some(Mask::Except(roles.unwrap_or_default())) },
            }
        }
    }

    proptest! {
        #[test]
        fn what_goes_out_comes_in_again(all in proptest::collection::vec(row(), 0..6)) {
            // A row that says nothing is an empty line in a table: it has no place there.
            let all: Vec<TrunkRow> = all.into_iter().filter(|r| *r != TrunkRow::default()).collect();
            // An amount is the one thing that cannot be a number any more.
            prop_assume!(!all.iter().any(|r| [&r.dialled, &r.area].into_iter().flatten().any(|t| spoilt(t))));
            let csv = write(&all);
            let sheet = read("x.csv", csv.as_bytes());
            prop_assert!(sheet.is_ok(), "{:?}\n{}", sheet, csv);
            let sheet = sheet.unwrap();
            prop_assert_eq!(&rows(&sheet.yaml), &all);
            prop_assert_eq!(&rows(&yaml(&all)), &all);
        }

        #[test]
        fn no_bytes_make_it_fall(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read("x.csv", &bytes);
        }
    }
}
