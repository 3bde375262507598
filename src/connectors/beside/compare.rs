//! What two files of one system answer to the same question, field by field. No value is shown: only where they differ and how. Still.
//!
//! Records are held against each other by their `id`, so that another order is one difference and not one in every field. What a person would call the same, written otherwise (spaces,
//! case, a number's spelling, `1.0` and `1.00`), is told apart from what is another value.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{connectors::Outcome, words::Wall};

/// Kinds of differences that are kept of one file; what a hostile answer invents beyond is not.
const KEPT: usize = 500;
const DEPTH: usize = 8;
const RECORDS: usize = 100;

/// All that was compared of one shadow since its file changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Comparison {
    /// Of the file.
    pub hash: String,
    pub operations: BTreeMap<String, Compared>,
    pub differences: Vec<Difference>,
    /// Questions that were not asked of the shadow, because enough were on their way.
    pub passed_over: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Compared {
    pub asked: u64,
    pub same: u64,
    /// One of both gave no answer, so there was nothing to compare.
    pub unanswered: u64,
}

/// One way in which they differ, and how often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    pub operation: String,
    /// `[].name`: of any record.
    pub field: String,
    pub how: String,
    pub times: u64,
    pub first: Wall,
    pub last: Wall,
}

impl Comparison {
    pub fn add(&mut self, operation: &str, mine: &Outcome, shadow: &Outcome, at: Wall) {
        let compared = self.operations.entry(operation.to_owned()).or_default();
        compared.asked += 1;
        let (Some(mine), Some(shadow)) = (Answer::of(mine), Answer::of(shadow)) else {
            compared.unanswered += 1;
            return;
        };
        let found = differences(&mine, &shadow);
        compared.same += u64::from(found.is_empty());
        for (field, how) in found {
            let known = |d: &&mut Difference| d.operation == operation && d.field == field && d.how == how;
            if let Some(difference) = self.differences.iter_mut().find(known) {
                (difference.times, difference.last) = (difference.times + 1, at);
            } else if self.differences.len() < KEPT {
                let operation = operation.to_owned();
                self.differences.push(Difference { operation, field, how, times: 1, first: at, last: at });
            }
        }
    }

    /// Of a hundred that both answered, how many differ; and how many those were.
    #[must_use]
    pub fn differing(&self) -> (f64, u64) {
        let sum = |of: fn(&Compared) -> u64| self.operations.values().map(of).sum::<u64>();
        let both = sum(|c| c.asked.saturating_sub(c.unanswered));
        let same = sum(|c| c.same);
        (100.0 * both.saturating_sub(same) as f64 / both.max(1) as f64, both)
    }
}

/// What can be compared.
enum Answer<'a> {
    Value(&'a Value),
    /// Nobody, nothing, several: the outcome's word.
    Word(&'static str),
}

impl<'a> Answer<'a> {
    fn of(outcome: &'a Outcome) -> Option<Self> {
        match outcome {
            Outcome::Ok(value) => Some(Self::Value(value)),
            Outcome::Empty | Outcome::NotFound => Some(Self::Word("nothing")),
            Outcome::Ambiguous { .. } | Outcome::Invalid { .. } | Outcome::Conflict { .. } => {
                Some(Self::Word(outcome.word()))
            }
            _ => None,
        }
    }
}

type Found = std::collections::BTreeSet<(String, String)>;

/// Where and how; each once, however many records have it.
fn differences(mine: &Answer, shadow: &Answer) -> Found {
    let mut found = Found::new();
    let word = |answer: &Answer| match answer {
        Answer::Value(_) => "an answer",
        Answer::Word(word) => word,
    };
    match (mine, shadow) {
        (Answer::Value(mine), Answer::Value(shadow)) => values("", mine, shadow, 0, &mut found),
        _ if word(mine) == word(shadow) => {}
        _ => drop(found.insert(("outcome".to_owned(), both(word(mine), word(shadow))))),
    }
    found
}

fn both(mine: &str, shadow: &str) -> String {
    format!("{mine}; shadow: {shadow}")
}

fn values(at: &str, mine: &Value, shadow: &Value, depth: usize, found: &mut Found) {
    let place = |at: &str| if at.is_empty() { "answer".to_owned() } else { at.chars().take(120).collect() };
    if depth > DEPTH {
        return;
    }
    match (mine, shadow) {
        (Value::Object(a), Value::Object(b)) => {
            for name in a.keys().chain(b.keys().filter(|name| !a.contains_key(*name))) {
                let below = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                match (a.get(name), b.get(name)) {
                    (Some(a), Some(b)) => values(&below, a, b, depth + 1, found),
                    (Some(a), None) => drop(found.insert((place(&below), both(kind(a), "absent")))),
                    (None, Some(b)) => drop(found.insert((place(&below), both("absent", kind(b))))),
                    (None, None) => {}
                }
            }
        }
        (Value::Array(a), Value::Array(b)) => lists(at, a, b, depth, found),
        (Value::Bool(a), Value::Bool(b)) if a != b => drop(found.insert((place(at), "yes and no".to_owned()))),
        (Value::String(a), Value::String(b)) if a != b => {
            let letters = |text: &str| -> String {
                text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
            };
            let how = match (plain(a), plain(b)) {
                (Some(a), Some(b)) if a == b => "the same amount, written otherwise",
                _ if !letters(a).is_empty() && letters(a) == letters(b) => {
                    "the same letters and digits, written otherwise"
                }
                _ => "another text",
            };
            found.insert((place(at), how.to_owned()));
        }
        (Value::Number(a), Value::Number(b)) if a != b => {
            let same = plain(&a.to_string()).zip(plain(&b.to_string())).is_some_and(|(a, b)| a == b);
            let how = if same { "the same amount, written otherwise" } else { "another number" };
            found.insert((place(at), how.to_owned()));
        }
        (a, b) if kind(a) != kind(b) => drop(found.insert((place(at), both(kind(a), kind(b))))),
        _ => {}
    }
}

fn lists(at: &str, mine: &[Value], shadow: &[Value], depth: usize, found: &mut Found) {
    let below = format!("{at}[]");
    let id = |value: &Value| value.get("id").map(ToString::to_string);
    let ids = |list: &[Value]| list.iter().take(RECORDS).map(id).collect::<Option<Vec<_>>>();
    let (Some(a), Some(b)) = (ids(mine), ids(shadow)) else {
        if mine.len() != shadow.len() {
            let how = if mine.len() > shadow.len() { "shadow: fewer" } else { "shadow: more" };
            found.insert((below.clone(), how.to_owned()));
        }
        for (a, b) in mine.iter().zip(shadow).take(RECORDS) {
            values(&below, a, b, depth + 1, found);
        }
        return;
    };
    for (id, one) in a.iter().zip(mine) {
        match b.iter().zip(shadow).find(|(other, _)| *other == id) {
            Some((_, other)) => values(&below, one, other, depth + 1, found),
            None => drop(found.insert((below.clone(), "a record; shadow: absent".to_owned()))),
        }
    }
    if b.iter().any(|id| !a.contains(id)) {
        found.insert((below.clone(), "absent; shadow: a record".to_owned()));
    }
    let common =
        |one: &[String], other: &[String]| one.iter().filter(|id| other.contains(id)).cloned().collect::<Vec<_>>();
    if common(&a, &b) != common(&b, &a) {
        found.insert((below, "another order".to_owned()));
    }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "yes or no",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A decimal number without what does not change it: sign, digits before and after the point.
fn plain(text: &str) -> Option<(bool, &str, &str)> {
    let text = text.trim();
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let numeric = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    // A number of a telephone begins with a zero too, and is none.
    let amount = !whole.is_empty()
        && numeric(whole)
        && numeric(part)
        && (digits.contains('.') || !whole.starts_with('0') || whole == "0");
    amount.then(|| (negative, whole.trim_start_matches('0'), part.trim_end_matches('0')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(mine: Value, shadow: Value) -> Vec<String> {
        let (mine, shadow) = (Outcome::Ok(mine), Outcome::Ok(shadow));
        let answers = (Answer::of(&mine).unwrap(), Answer::of(&shadow).unwrap());
        differences(&answers.0, &answers.1).into_iter().map(|(field, how)| format!("{field}: {how}")).collect()
    }

    #[test]
    fn each_field_is_held_against_its_own_and_no_value_is_told() {
        let mine = json!([
            {"id": "7", "name": "陈静", "mobile": "138 0013 8000", "balance": "12.50", "tags": ["vip"], "active": true, "note": null},
            {"id": "8", "name": "李雷", "credit": 5},
        ]);
        let shadow = json!([
            {"id": "8", "name": "李雷", "credit": "5"},
            {"id": "7", "name": "陳靜", "mobile": "138-0013-8000", "balance": "12.5", "tags": ["vip", "new"], "active": false, "city": "杭州"},
        ]);
        let told = found(mine.clone(), shadow);
        assert_eq!(
            told,
            [
                "[]: another order",
                "[].active: yes and no",
                "[].balance: the same amount, written otherwise",
                "[].city: absent; shadow: a text",
                "[].credit: a number; shadow: a text",
                "[].mobile: the same letters and digits, written otherwise",
                "[].name: another text",
                "[].note: null; shadow: absent",
                "[].tags[]: shadow: more",
            ]
        );
        for value in ["陈", "李", "杭州", "138", "12.5", "vip", "new"] {
            assert!(!told.join("\n").contains(value), "{value}: {told:#?}");
        }
        assert_eq!(found(mine.clone(), mine), Vec::<String>::new());
        assert_eq!(found(json!({"n": 1.0}), json!({"n": 1})), ["n: the same amount, written otherwise"]);
        assert_eq!(found(json!({"n": "010"}), json!({"n": "10"})), ["n: another text"]);
        assert_eq!(
            found(json!([{"id": 1}]), json!([{"id": 2}])),
            ["[]: a record; shadow: absent", "[]: absent; shadow: a record"]
        );
        assert_eq!(found(json!("a"), json!(["a"])), ["answer: a text; shadow: a list"]);
    }

    #[test]
    fn what_was_compared_is_counted_and_bounded() {
        let mut all = Comparison::default();
        let ok = |value: Value| Outcome::Ok(value);
        let busy = Outcome::Busy { reason: String::new() };
        all.add("orders", &ok(json!({"n": 1})), &ok(json!({"n": 1})), Wall(1));
        all.add("orders", &ok(json!({"n": 1})), &ok(json!({"n": 2})), Wall(2));
        all.add("orders", &ok(json!({"n": 3})), &ok(json!({"n": 4})), Wall(3));
        all.add("orders", &ok(json!({"n": 3})), &busy, Wall(3));
        all.add("orders", &Outcome::Empty, &Outcome::NotFound, Wall(3));
        all.add("orders", &ok(json!([])), &Outcome::Empty, Wall(4));
        assert_eq!(all.operations["orders"], Compared { asked: 6, same: 2, unanswered: 1 });
        assert_eq!(all.differing(), (60.0, 5));
        let first = &all.differences[0];
        assert_eq!((first.field.as_str(), first.how.as_str(), first.times), ("n", "another number", 2));
        assert_eq!((first.first, first.last), (Wall(2), Wall(3)));
        assert_eq!(all.differences[1].how, "an answer; shadow: nothing");
        let again: Comparison = serde_json::from_str(&serde_json::to_string(&all).unwrap()).unwrap();
        assert_eq!(again, all);
        for n in 0..2_000 {
            all.add("orders", &ok(json!({})), &ok(json!({format!("f{n}"): 1})), Wall(5));
        }
        assert_eq!(all.differences.len(), KEPT);
        let deep = (0..1_000).fold(json!(1), |inside, _| json!([inside]));
        assert_eq!(found(deep, json!([[1]])), ["[][]: a list; shadow: a number"]);
    }
}
