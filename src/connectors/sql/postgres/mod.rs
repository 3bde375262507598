//! PostgreSQL, still: how values are written for it, and the statement that makes its rows JSON.
//!
//! The server itself turns rows into JSON (`row_to_json`): every digit of a numeric is kept, times are ISO 8601, arrays and JSON columns come as what they are.
//! A decoder of ours for its binary forms would be a second truth. Values go the same way, as text that the server reads by the parameter's type.

pub mod live;

use serde_json::Value as Json;

/// The statement whose rows are one text each: the row as JSON. One more row than is taken, so that too many are noticed.
pub fn as_json(statement: &str, rows: usize) -> String {
    // The line end ends a comment of the statement's last line.
    format!("select row_to_json(q)::text from ({statement}\n) q limit {}", rows + 1)
}

/// A value as PostgreSQL reads it; `None` is NULL. `array`: the parameter is one.
pub fn text(value: &Json, array: bool) -> Option<String> {
    match value {
        Json::Null => None,
        Json::String(text) => Some(text.clone()),
        Json::Array(items) if array => Some(literal(items)),
        // A document, for a parameter of type json.
        other => Some(other.to_string()),
    }
}

/// `{"a","b",NULL}` (PostgreSQL 15, 8.15.2): every element in quotes, so that none is taken for NULL or a bracket.
fn literal(items: &[Json]) -> String {
    let mut out = String::from("{");
    for (n, item) in items.iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        match item {
            Json::Null => out.push_str("NULL"),
            Json::Array(inner) => out.push_str(&literal(inner)),
            other => {
                out.push('"');
                for c in text(other, false).unwrap_or_default().chars() {
                    if c == '"' || c == '\\' {
                        out.push('\\');
                    }
                    out.push(c);
                }
                out.push('"');
            }
        }
    }
    out.push('}');
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_written_as_the_server_reads_them() {
        let number: Json = serde_json::from_str("12800.50").unwrap();
        for (value, array, wanted) in [
            (Json::Null, false, None),
            (json!("x'); drop table p --"), false, Some("x'); drop table p --")),
            (number, false, Some("12800.50")),
            (json!(true), false, Some("true")),
            (json!(["a\"b\\", null, "NULL", "{}", 3]), true, Some(r#"{"a\"b\\",NULL,"NULL","{}","3"}"#)),
            (json!([]), true, Some("{}")),
            (json!([1, "x"]), false, Some(r#"[1,"x"]"#)),
            (json!({"a": 1}), false, Some(r#"{"a":1}"#)),
        ] {
            assert_eq!(text(&value, array).as_deref(), wanted, "{value}");
        }
    }
}
