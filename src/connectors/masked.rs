//! What happened in one operation, for who looks at it on a page: as [`super::trail`] tells it, without what answers say of anybody.
//!
//! What was asked with is his own who asks. Of an answer there is its shape, as [`super::evidence`] shows it; what a later request took from an earlier answer is taken out of it too.

use serde_json::{Map, Value, json};

use super::{
    evidence,
    trail::{Answer, Happened, Trail},
};
use crate::words::percent;

/// In the place of what an answer told.
const HIDDEN: &str = "•••";
/// The shortest text of an answer that is looked for in later requests.
const SHORTEST: usize = 2;

/// In its order, each as JSON: what [`Happened`] is, masked.
#[must_use]
pub fn happened(trail: &Trail, inputs: &Map<String, Value>) -> Vec<Value> {
    let mut known: Vec<String> = Vec::new();
    let each = trail.happened().into_iter().map(|happened| {
        let mut shown = json!(happened);
        match &happened {
            Happened::Asked { .. } => hide(&mut shown["asked"], &known),
            Happened::Answered { answer: Answer::Came { body, headers, bytes, .. }, .. } => {
                body.iter().for_each(|body| texts(body, &mut known));
                // The longest first: what is left of a long one by a short one within it would stay to be read.
                known.sort_unstable_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
                known.dedup();
                let came = &mut shown["answer"]["came"];
                came["headers"] = json!(evidence::headers(headers));
                came["body"] = evidence::body(body.as_ref(), *bytes, inputs);
                came.as_object_mut().and_then(|came| came.remove("text"));
            }
            Happened::Record { id, .. } => {
                shown["fields"] = shape(&shown["fields"], inputs);
                shown["numbers"] = json!([]);
                shown["id"] = json!(id.as_ref().map(|_| HIDDEN));
                hide(&mut shown["why"], &known);
            }
            Happened::Saved { value, .. } => shown["value"] = shape(value, inputs),
            Happened::Judged { .. } | Happened::Misfit { .. } | Happened::NotLoggedIn { .. } => {
                hide(&mut shown, &known);
            }
            _ => {}
        }
        unseen(&mut shown);
        blot(&mut shown, trail);
        shown
    });
    each.collect()
}

/// The shape of a value: its names, and of what kind and length what stands under them is.
#[must_use]
pub fn shape(value: &Value, inputs: &Map<String, Value>) -> Value {
    let mut shown = evidence::body(Some(&json!({ "value": value })), 0, inputs);
    shown["value"].take()
}

/// The texts of an answer, and its long numbers.
fn texts(value: &Value, known: &mut Vec<String>) {
    match value {
        Value::String(text) if text.chars().count() >= SHORTEST => known.push(text.clone()),
        Value::Number(number) if number.to_string().len() >= 4 => known.push(number.to_string()),
        Value::Array(items) => items.iter().for_each(|item| texts(item, known)),
        Value::Object(map) => map.values().for_each(|item| texts(item, known)),
        _ => {}
    }
}

fn hide(value: &mut Value, known: &[String]) {
    each_text(value, &mut |text| {
        for one in known {
            *text = text.replace(one.as_str(), HIDDEN).replace(&percent(one), HIDDEN);
        }
    });
}

/// No secret stands in what is shown, wherever an answer repeats one.
fn blot(value: &mut Value, trail: &Trail) {
    each_text(value, &mut |text| *text = trail.blotted(text));
}

/// What stood in what an expression looks up.
fn unseen(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::Object(sees)) = map.get_mut("sees") {
                sees.values_mut().for_each(kind);
            }
            map.values_mut().for_each(unseen);
        }
        Value::Array(items) => items.iter_mut().for_each(unseen),
        _ => {}
    }
}

/// A short number or word of the protocol stays: it is what rules are about.
fn kind(value: &mut Value) {
    let Some(text) = value.as_str() else { return };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let short = text.len() <= 6 && text.chars().all(plain);
    if !short && !["not there", "null", "[]", "{}", "\"\""].contains(&text) {
        *value = format!("({} characters)", text.chars().count()).into();
    }
}

fn each_text(value: &mut Value, change: &mut impl FnMut(&mut String)) {
    match value {
        Value::String(text) => change(text),
        Value::Array(items) => items.iter_mut().for_each(|item| each_text(item, change)),
        Value::Object(map) => map.values_mut().for_each(|item| each_text(item, change)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connectors::trail::{Asked, Condition};

    #[test]
    fn nobody_is_in_it_and_what_a_file_says_is() {
        let trail = Trail::new(false);
        let web =
            |url: &str| Asked::Web { method: "GET", url: url.to_owned(), headers: vec![], body: None, signed: None };
        trail.asked("find", [(None, web("http://erp/find?tel=13800138000"))].into_iter());
        trail.answered(
            0,
            Answer::Came {
                status: Some(200),
                headers: vec![("date".to_owned(), "now".to_owned()), ("x-name".to_owned(), "李雷".to_owned())],
                bytes: 80,
                body: Some(json!({"rows": [{"id": "C 4711", "name": "李雷", "tel": "13900139000"}], "code": 0})),
                text: Some("李雷".to_owned()),
                unread: None,
            },
        );
        let sees = [("body.rows[0].name", "\"李雷\""), ("body.code", "0")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        let when = Condition { text: "body.code == 0".to_owned(), sees: sees.into() };
        trail.tell(Happened::Skipped { step: "more".to_owned(), when });
        trail.asked("more", [(None, web("http://erp/customer/C%204711?name=李雷"))].into_iter());
        trail.tell(Happened::Record {
            record: 1,
            id: Some("C 4711".to_owned()),
            taken: true,
            why: None,
            keep: None,
            numbers: vec![],
            fields: json!({"name": "李雷", "balance": 1286.5}).as_object().unwrap().clone(),
        });
        // However much an answer tells, all of it is taken out of what is asked then.
        let many: Vec<String> = (0..2_000).map(|n| format!("customer-{n}")).collect();
        let body = Some(json!({"rows": many}));
        trail
            .answered(1, Answer::Came { status: Some(200), headers: vec![], bytes: 9, body, text: None, unread: None });
        trail.asked("last", [(None, web("http://erp/of/customer-1999"))].into_iter());
        let inputs = json!({"number": "13800138000"});
        let shown = json!(happened(&trail, inputs.as_object().unwrap()));
        let text = shown.to_string();
        for there in [
            "tel=13800138000",
            "body.code == 0",
            "\"body.code\":\"0\"",
            "(text, 2 characters)",
            "customer/•••",
            "\"date\":\"now\"",
        ] {
            assert!(text.contains(there), "{there} in {shown:#}");
        }
        for gone in ["李雷", "13900139000", "4711", "1286", "x-name", "customer-1999"] {
            assert!(!text.contains(gone), "{gone} in {shown:#}");
        }
    }
}
