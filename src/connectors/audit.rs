//! What is wrong with the numbers that a system holds: those of which nothing can be made, those that several customers share, extensions,
//! and full-width digits, each with what would be right. Still: it is told each record and sorts them out.
//!
//! What comes out is people's numbers, by intent. It goes where the admin sends it and nowhere else.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    System,
    index::{key, spellings},
    wire,
};
use crate::numbers::{Class, Number, Plan};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
pub enum Wrong {
    /// No number can be made of it: such a caller is never found.
    Unreadable,
    /// Several customers have it: a call from it is ambiguous.
    Shared,
    /// An extension stands behind the number.
    Extension,
    /// Digits that a search with ordinary ones does not find.
    FullWidth,
}

impl Wrong {
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Shared => "shared",
            Self::Extension => "extension",
            Self::FullWidth => "full-width",
        }
    }
}

/// One line of the audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub problem: Wrong,
    pub customer: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub field: String,
    /// As it is written at the system.
    pub written: String,
    /// What it was read as; empty where it could not be.
    pub number: String,
    pub why: String,
    pub suggestion: String,
}

impl Finding {
    /// The names of the columns of [`Finding::columns`].
    pub const HEAD: [&'static str; 8] =
        ["problem", "customer", "type", "field", "written", "number", "why", "suggestion"];

    #[must_use]
    pub fn columns(&self) -> [&str; 8] {
        [
            self.problem.word(),
            &self.customer,
            &self.kind,
            &self.field,
            &self.written,
            &self.number,
            &self.why,
            &self.suggestion,
        ]
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub customers: u64,
    /// Fields with something in them.
    pub numbers: u64,
    pub unreadable: u64,
    /// Numbers, not customers.
    pub shared: u64,
    pub extensions: u64,
    pub full_width: u64,
}

#[derive(Default)]
pub struct Audit {
    counts: Counts,
    findings: Vec<Finding>,
    /// By number, who has it.
    owners: BTreeMap<String, Vec<Finding>>,
}

impl Audit {
    /// Takes one record of `customer.list`.
    pub fn record(&mut self, system: &System, record: &Map<String, Value>) {
        let text = |key: &str| record.get(key).map(wire::plain).unwrap_or_default();
        let Some(list) = system.operation("customer.list") else { return };
        self.counts.customers += 1;
        for (field, _) in &list.phones {
            for written in spellings(record.get(field)) {
                let kind = Some(text("type")).filter(|k| !k.is_empty()).unwrap_or_else(|| "customer".to_owned());
                let line = Finding {
                    problem: Wrong::Unreadable,
                    customer: text("id"),
                    kind,
                    field: field.clone(),
                    written,
                    number: String::new(),
                    why: String::new(),
                    suggestion: String::new(),
                };
                self.number(&system.numbers, line);
            }
        }
    }

    fn number(&mut self, plan: &Plan, line: Finding) {
        self.counts.numbers += 1;
        let number = plan.read(&line.written);
        let Some(key) = key(&number).map(str::to_owned) else {
            let (why, suggestion) = unreadable(plan, &line.written, &number);
            self.counts.unreadable += 1;
            return self.findings.push(Finding { why, suggestion, ..line });
        };
        let line = Finding { number: key.clone(), ..line };
        if let Some(ext) = &number.ext {
            self.counts.extensions += 1;
            self.findings.push(Finding {
                problem: Wrong::Extension,
                why: format!("extension {} stands behind the number", ext.expose()),
                suggestion: format!("{key} in this field, the extension in another"),
                ..line.clone()
            });
        }
        if line.written.chars().any(|c| matches!(c, '\u{ff01}'..='\u{ff5e}')) {
            self.counts.full_width += 1;
            self.findings.push(Finding {
                problem: Wrong::FullWidth,
                why: "full-width characters: a search for the number does not find it".to_owned(),
                suggestion: narrow(&line.written),
                ..line.clone()
            });
        }
        self.owners.entry(key).or_default().push(line);
    }

    /// Everything found, problem by problem; those who share a number one behind the other.
    #[must_use]
    pub fn finish(mut self) -> (Vec<Finding>, Counts) {
        for (number, lines) in self.owners {
            let mut who: Vec<(&str, &str)> = lines.iter().map(|l| (l.kind.as_str(), l.customer.as_str())).collect();
            who.sort_unstable();
            who.dedup();
            let count = who.len();
            if count < 2 {
                continue;
            }
            self.counts.shared += 1;
            self.findings.extend(lines.into_iter().map(|line| Finding {
                problem: Wrong::Shared,
                why: format!("{count} customers have {number}"),
                suggestion: "one customer, or a number of the company kept apart from people's".to_owned(),
                ..line
            }));
        }
        // Stable: within a problem the order of the system, or that of the numbers.
        self.findings.sort_by_key(|finding| finding.problem);
        (self.findings, self.counts)
    }
}

/// Why nothing can be made of it, and what the writer may have meant.
fn unreadable(plan: &Plan, written: &str, number: &Number) -> (String, String) {
    let parts: Vec<String> = written
        .split(|c: char| c.is_alphabetic() || "/,;|、，；／。:：<>《》【】[]{}\"'".contains(c))
        .filter_map(|part| {
            let number = plan.read(part);
            let callable = !matches!(number.class, Class::Service | Class::Emergency);
            key(&number).filter(|_| callable).map(str::to_owned)
        })
        .collect();
    match parts.as_slice() {
        [] => {}
        [one] => return ("there is more than a number in the field".to_owned(), one.clone()),
        several => return ("several numbers in one field".to_owned(), several.join(" | ")),
    }
    let digits = narrow(written).chars().filter(char::is_ascii_digit).count();
    let said = |why: &str, suggestion: &str| (why.to_owned(), suggestion.to_owned());
    match number.class {
        Class::Anonymous | Class::Unknown if digits == 0 => said("no number is written here", "leave the field empty"),
        Class::SipUser => said("it is a name, or text", "leave the field empty, or write the number"),
        Class::Extension => said("too short: an extension, or a part of a number", "the whole number"),
        Class::SmsPort | Class::M2m | Class::Emergency => {
            said("a number that calls nobody and from which nobody calls", "another number")
        }
        Class::Invalid | Class::Unknown if plan.country == "CN" => match digits {
            7 | 8 if plan.area.is_none() => said(
                "a landline without its area code",
                "the area code before it, or numbers: {area: ...} in the connector's file",
            ),
            9 | 10 | 12 if narrow(written).trim_start().starts_with('1') => {
                (format!("{digits} digits, and a mobile has 11"), String::new())
            }
            _ => said("digits that are no number of the numbering plan", ""),
        },
        _ => said("digits that are no number there", ""),
    }
}

/// Full-width characters as ordinary ones.
fn narrow(text: &str) -> String {
    let ascii = |c: char| u32::from(c).checked_sub(0xfee0).and_then(char::from_u32);
    text.chars()
        .map(|c| match c {
            '\u{ff01}'..='\u{ff5e}' => ascii(c).unwrap_or(c),
            '\u{3000}' => ' ',
            c => c,
        })
        .collect()
}

/// A cell for a spreadsheet: what it would take for a formula, or for a number to be rounded, gets an apostrophe before it. What a stranger
/// wrote into a field must not run on the admin's desk.
#[must_use]
pub fn harmless(text: &str) -> Cow<'_, str> {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let digits = text.len() > 1 && text.bytes().all(|b| b.is_ascii_digit());
    if formula || digits { format!("'{text}").into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
connector: crm
schema: 1
base_url: http://127.0.0.1
operations:
  customer.list:
    page: {by: offset}
    steps: [{name: l, path: "/l", outcome: [{status: [200], is: ok}], records: body}]
    fields: {id: record.id, mobile: record.mobile, others: record.others}
    phones: {mobile: 手机, others: 其他}
"#;

    fn audit(rows: &[Value]) -> (Vec<Finding>, Counts) {
        let system = crate::connectors::load_offline("crm.yaml", FILE).unwrap_or_else(|p| panic!("{p:#?}"));
        let mut audit = Audit::default();
        for row in rows {
            audit.record(&system, row.as_object().unwrap());
        }
        audit.finish()
    }

    #[test]
    fn each_problem_is_named_with_what_would_be_right() {
        let (found, counts) = audit(&[
            serde_json::json!({"id": 1, "mobile": "13800138000", "others": ["0571-8765 4321", " "]}),
            serde_json::json!({"id": 2, "mobile": "138 0013 8000"}),
            serde_json::json!({"id": 3, "mobile": "１３９００００８８８８", "others": [null]}),
            serde_json::json!({"id": 4, "mobile": "+86-159-0000-2222 转 806"}),
            serde_json::json!({"id": 5, "mobile": "0575-0013 8000"}),
            serde_json::json!({"id": 6, "mobile": "13700137000/13700137001", "others": ["13700137002(王)", "87654321"]}),
            serde_json::json!({"id": 7, "mobile": "1380013800", "others": ["无", "8012"]}),
            // Twice at one customer is not shared.
            serde_json::json!({"id": 8, "mobile": "13700137009", "others": ["+8613700137009"]}),
        ]);
        let lines: Vec<String> = found
            .iter()
            .map(|f| {
                format!("{} {} {}: {}: {}: {}", f.problem.word(), f.customer, f.field, f.written, f.why, f.suggestion)
            })
            .collect();
        let wanted = [
            "unreadable 5 mobile: 0575-0013 8000: digits that are no number of the numbering plan: ",
            "unreadable 6 mobile: 13700137000/13700137001: several numbers in one field: +8613700137000 | +8613700137001",
            "unreadable 6 others: 13700137002(王): there is more than a number in the field: +8613700137002",
            "unreadable 6 others: 87654321: a landline without its area code: the area code before it, or numbers: {area: ...} in the connector's file",
            "unreadable 7 mobile: 1380013800: 10 digits, and a mobile has 11: ",
            "unreadable 7 others: 无: it is a name, or text: leave the field empty, or write the number",
            "unreadable 7 others: 8012: too short: an extension, or a part of a number: the whole number",
            "shared 1 mobile: 13800138000: 2 customers have +8613800138000: one customer, or a number of the company kept apart from people's",
            "shared 2 mobile: 138 0013 8000: 2 customers have +8613800138000: one customer, or a number of the company kept apart from people's",
            "extension 4 mobile: +86-159-0000-2222 转 806: extension 806 stands behind the number: +8615900002222 in this field, the extension in another",
            "full-width 3 mobile: １３９００００８８８８: full-width characters: a search for the number does not find it: 13900008888",
        ];
        assert_eq!(lines, wanted, "{lines:#?}");
        assert_eq!(
            counts,
            Counts { customers: 8, numbers: 14, unreadable: 7, shared: 1, extensions: 1, full_width: 1 }
        );
    }

    #[test]
    fn a_spreadsheet_runs_nothing_and_rounds_nothing() {
        for (text, cell) in [
            ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
            ("+8613800138000", "'+8613800138000"),
            ("@x", "'@x"),
            ("13800138000", "'13800138000"),
            ("138 0013 8000", "138 0013 8000"),
            ("", ""),
        ] {
            assert_eq!(harmless(text), cell);
        }
    }
}
