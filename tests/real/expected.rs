//! What a call's record must say: the `expected.json` beside the recorded capture of the same scenario, which `linecard replay` is
//! held against too. Here the call is played anew, so ids differ and times are those of this run.

use std::path::Path;

use serde_json::Value;

/// A busy machine is late, never early: the phones' clocks are real. But what begins late and ends by another phone's clock is shorter (a pickup).
const LATE_MS: i64 = 1500;
const SHORT_MS: i64 = 400;

pub struct Expected(Vec<Value>);

impl Expected {
    /// The records that a feed (`ami`, `ari`, `ami+ari`; `sip`, `hep+sip`) gives of a scenario of `asterisk` or `kamailio`.
    pub fn read(switch: &str, scenario: &str, feed: &str) -> Result<Self, String> {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("proto-fixtures/{switch}/{scenario}/expected.json"));
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let all: Value = serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
        let run = all["runs"].as_array().and_then(|runs| runs.iter().find(|run| run["name"] == feed));
        let records = run.and_then(|run| run["records"].as_array()).ok_or(format!("{scenario} has no run {feed}"))?;
        Ok(Self(records.clone()))
    }

    /// So many records of which nothing is known.
    pub fn nothing_of(count: usize) -> Self {
        Self(vec![Value::Object(serde_json::Map::new()); count])
    }

    /// And every record says what stands in this JSON object (nothing, if empty).
    pub fn and(mut self, also: &str) -> Result<Self, String> {
        if also.is_empty() {
            return Ok(self);
        }
        let more: Value = serde_json::from_str(also).map_err(|e| format!("{also}: {e}"))?;
        for record in self.0.iter_mut().filter_map(Value::as_object_mut) {
            record.extend(more.as_object().cloned().unwrap_or_default());
        }
        Ok(self)
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// What is wrong with `records` (in the order in which they began).
    pub fn misses(&self, records: &[Value], but: &[&str]) -> Vec<String> {
        let mut wrong = Vec::new();
        if records.len() != self.0.len() {
            wrong.push(format!("{} records, {} expected", records.len(), self.0.len()));
        }
        for (want, record) in self.0.iter().zip(records) {
            for (path, value) in want.as_object().into_iter().flatten() {
                // The ids of the recorded run; and what the story itself did differently.
                if path == "ids" || but.iter().any(|b| path == b) {
                    continue;
                }
                let got = path.split('.').fold(record, |at, key| &at[key]);
                if !matches(value, got) {
                    wrong.push(format!("{path}: want {value}, got {got}"));
                }
            }
        }
        wrong
    }
}

fn matches(want: &Value, got: &Value) -> bool {
    let item = |want: &Value, item: &Value| {
        want.as_object().is_some_and(|keys| keys.iter().all(|(key, value)| matches(value, &item[key])))
    };
    match want {
        Value::Object(test) => match test.iter().next().map(|(word, value)| (word.as_str(), value)) {
            Some(("all", tests)) => tests.as_array().is_some_and(|tests| tests.iter().all(|t| matches(t, got))),
            Some(("near" | "by", _)) => {
                let number = |name: &str| test.get(name).and_then(Value::as_i64).unwrap_or(0);
                got.as_i64().is_some_and(|got| {
                    let (near, by) = (number("near"), number("by"));
                    (near - by - SHORT_MS..=near + by + LATE_MS).contains(&got)
                })
            }
            Some(("absent", _)) => got.is_null(),
            Some(("any", _)) => !got.is_null(),
            Some(("one_of", list)) => list.as_array().is_some_and(|list| list.contains(got)),
            Some(("has", one)) => got.as_array().is_some_and(|items| items.iter().any(|i| item(one, i))),
            Some(("none", one)) => !got.as_array().is_some_and(|items| items.iter().any(|i| item(one, i))),
            _ => want == got,
        },
        Value::Array(list) if list.first().is_some_and(Value::is_object) => got.as_array().is_some_and(|items| {
            items.len() == list.len() && list.iter().zip(items).all(|(want, got)| item(want, got))
        }),
        _ => want == got,
    }
}
