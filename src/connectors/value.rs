//! Between JSON and the values of templates. Done by hand, because money must stay decimal: a number that is no
//! whole number becomes a [`Decimal`] that keeps its digits, never a float.

use std::{fmt, sync::Arc};

use minijinja::value::{Object, ObjectRepr, Value, ValueKind};
use serde_json::{Map, Number};

/// How deep a value may be; JSON itself is refused at 128 by the parser.
const DEPTH: usize = 128;

/// A number as it was written, for example `12800.50`.
#[derive(Debug)]
pub struct Decimal(pub String);

impl Object for Decimal {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
    fn is_true(self: &Arc<Self>) -> bool {
        self.0.bytes().any(|b| (b'1'..=b'9').contains(&b))
    }
    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is left out: `{{ omit }}` drops its key, parameter or list item.
#[derive(Debug)]
pub struct Omit;

impl Object for Omit {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
    fn is_true(self: &Arc<Self>) -> bool {
        false
    }
    fn render(self: &Arc<Self>, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

/// JSON as a template sees it.
#[must_use]
pub fn from_json(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(b) => Value::from(*b),
        serde_json::Value::Number(n) => match (n.as_i64(), n.as_u64()) {
            (Some(i), _) => Value::from(i),
            (_, Some(u)) => Value::from(u),
            _ => Value::from_object(Decimal(n.to_string())),
        },
        serde_json::Value::String(s) => Value::from(s.as_str()),
        serde_json::Value::Array(items) => Value::from(items.iter().map(from_json).collect::<Vec<_>>()),
        serde_json::Value::Object(map) => Value::from_pairs(map.iter().map(|(k, v)| (k.as_str(), from_json(v)))),
    }
}

/// `None` is what `omit` gives.
///
/// # Errors
/// A fragment that says what cannot be JSON: undefined, a function, bytes, too deep.
pub fn to_json(value: &Value) -> Result<Option<serde_json::Value>, String> {
    down(value, 0)
}

fn down(value: &Value, depth: usize) -> Result<Option<serde_json::Value>, String> {
    if depth > DEPTH {
        return Err("is nested too deep".to_owned());
    }
    Ok(Some(match value.kind() {
        ValueKind::Undefined => return Err("is undefined".to_owned()),
        ValueKind::None => serde_json::Value::Null,
        ValueKind::Bool => value.is_true().into(),
        ValueKind::Number => {
            if let Ok(i) = i64::try_from(value.clone()) {
                i.into()
            } else if let Ok(u) = u64::try_from(value.clone()) {
                u.into()
            } else {
                number(&value.to_string()).ok_or_else(|| "is no number that JSON can hold".to_owned())?
            }
        }
        ValueKind::String => value.as_str().unwrap_or_default().into(),
        ValueKind::Seq | ValueKind::Iterable => {
            let mut items = Vec::new();
            for item in value.try_iter().map_err(|_| "is no list".to_owned())? {
                if let Some(item) = down(&item, depth + 1)? {
                    items.push(item);
                }
            }
            items.into()
        }
        ValueKind::Map => {
            let mut map = Map::new();
            for key in value.try_iter().map_err(|_| "is no map".to_owned())? {
                let inner = value.get_item(&key).map_err(|_| "is no map".to_owned())?;
                if let Some(inner) = down(&inner, depth + 1)? {
                    map.insert(key.to_string(), inner);
                }
            }
            map.into()
        }
        _ => {
            if let Some(decimal) = value.downcast_object_ref::<Decimal>() {
                number(&decimal.0).ok_or_else(|| "is no number that JSON can hold".to_owned())?
            } else if value.downcast_object_ref::<Omit>().is_some() {
                return Ok(None);
            } else {
                return Err("is neither text, number, list nor map".to_owned());
            }
        }
    }))
}

fn number(text: &str) -> Option<serde_json::Value> {
    text.parse::<Number>().ok().map(serde_json::Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_digit_of_a_number_is_kept_both_ways() {
        let text = r#"{"a":12800.50,"b":0.1,"c":9007199254740993,"d":-3,"e":1e400,"f":[null,true,"x"],"g":340282366920938463463374607431768211455}"#;
        let json: serde_json::Value = serde_json::from_str(text).unwrap();
        let back = to_json(&from_json(&json)).unwrap().unwrap();
        assert_eq!(back, json);
        assert!(back.to_string().contains("12800.50"), "{back}");
    }
}
