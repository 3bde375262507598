//! A change of what is known of a customer, held against what the system has just before it is made. Still.
//!
//! Who asked for it saw a card, and a card may be old. So the old value goes along with the new one, and what has neither of them is somebody
//! else's change: it is not written over.

use serde_json::{Map, Value};

pub use crate::connectors::operation::UPDATE;

/// Gives the fields as they are now.
pub const GET: &str = "customer.get";

/// The changes that are left to be made, by the record as it is `now`: none where all of it stands there already.
///
/// # Errors
/// The name of a field that has a third value.
pub fn left(inputs: &Map<String, Value>, now: &Map<String, Value>) -> Result<Map<String, Value>, String> {
    let object = |name: &str| inputs.get(name).and_then(Value::as_object);
    let (was, customer) = (object("was"), object("customer"));
    let mut left = Map::new();
    // A rule's template gives nothing where nothing is known: that is no change.
    for (name, new) in object("fields").into_iter().flatten().filter(|(_, new)| !new.is_null()) {
        let is = text(now.get(name));
        if is == text(Some(new)) {
            continue;
        }
        if is != text(was.and_then(|was| was.get(name)).or_else(|| customer?.get(name))) {
            return Err(name.clone());
        }
        left.insert(name.clone(), new.clone());
    }
    Ok(left)
}

/// As people compare it: nothing is an empty text.
fn text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_somebody_else_changed_is_not_written_over() {
        let now =
            json!({"email": "new@mail.example", "company": "Lanhai", "name": "Zhao"}).as_object().unwrap().clone();
        for (inputs, wanted) in [
            (
                json!({"fields": {"email": "z@mail.example"}, "was": {"email": "new@mail.example"}}),
                Ok(json!({"email": "z@mail.example"})),
            ),
            (
                json!({"fields": {"email": "z@mail.example"}, "was": {"email": "old@mail.example"}}),
                Err("email".to_owned()),
            ),
            // An earlier try did it: nothing is left.
            (json!({"fields": {"email": "new@mail.example "}, "was": {"email": "old@mail.example"}}), Ok(json!({}))),
            (json!({"fields": {"phone": "1"}, "was": {"phone": null}}), Ok(json!({"phone": "1"}))),
            (json!({"fields": {"company": ""}, "was": {"company": "Lanhai"}}), Ok(json!({"company": ""}))),
            // By policy: what was known at the call.
            (
                json!({"fields": {"company": "Blue", "name": null}, "customer": {"company": "Lanhai"}}),
                Ok(json!({"company": "Blue"})),
            ),
            (json!({"fields": {"company": "Blue"}, "customer": {"company": "Red"}}), Err("company".to_owned())),
            (json!({"fields": {"company": "Blue"}}), Err("company".to_owned())),
        ] {
            let left = left(inputs.as_object().unwrap(), &now).map(Value::Object);
            assert_eq!(left, wanted, "{inputs}");
        }
    }
}
