//! Filters for answers that are shaped unlike others: rows by position, values with their class beside them, codes that stand for words.

use base64::Engine as _;
use minijinja::{
    Environment, Error, ErrorKind,
    value::{Kwargs, Value, ValueKind},
};

use super::{
    value::{Decimal, from_json},
    words::{said_by_us, text_of},
};

/// How deep typed values are looked for.
const DEPTH: usize = 64;

/// `columns`, `typed`, `table`.
pub fn filters(env: &mut Environment<'static>) {
    env.add_filter("columns", columns);
    env.add_filter("typed", |value: Value| typed(&value, 0));
    env.add_filter("table", table);
}

/// Bare rows in the order of the fields that were asked for, as maps: `body | columns(['id', 'name'])`. A row of another length is no row: its values would stand under wrong names.
fn columns(rows: Value, names: Vec<String>) -> Result<Vec<Value>, Error> {
    let no_rows = |_| said_by_us("columns wants a list of rows".to_owned());
    let mut maps = Vec::new();
    for row in rows.try_iter().map_err(no_rows)? {
        if row.kind() != ValueKind::Seq {
            return Err(said_by_us("a row is no list".to_owned()));
        }
        let values: Vec<Value> = row.try_iter().map_err(no_rows)?.collect();
        if values.len() != names.len() {
            let (found, wanted) = (values.len(), names.len());
            return Err(said_by_us(format!("a row has {found} values where {wanted} were asked for")));
        }
        maps.push(Value::from_pairs(names.iter().cloned().zip(values)));
    }
    Ok(maps)
}

/// What Tryton writes as `{"__class__": "Decimal", "decimal": "12.50"}` (trytond 6 to 7, protocols/jsonrpc.py): decimals with every digit, dates and times as ISO 8601 has them
/// (Tryton's are UTC and do not say so), timedelta as seconds, bytes as base64. A class that is not known stays as it is.
fn typed(value: &Value, depth: usize) -> Result<Value, Error> {
    if depth > DEPTH {
        return Err(said_by_us("it nests too deep".to_owned()));
    }
    match value.kind() {
        ValueKind::Seq => value.try_iter()?.map(|item| typed(&item, depth + 1)).collect(),
        ValueKind::Map => {
            let class = value.get_attr("__class__")?;
            if let Some(class) = class.as_str()
                && let Some(plain) = of_class(class, value)?
            {
                return Ok(plain);
            }
            let mut pairs = Vec::new();
            for key in value.try_iter()? {
                let inside = typed(&value.get_item(&key)?, depth + 1)?;
                pairs.push((key, inside));
            }
            Ok(Value::from_pairs(pairs))
        }
        _ => Ok(value.clone()),
    }
}

fn of_class(class: &str, value: &Value) -> Result<Option<Value>, Error> {
    let wrong = || said_by_us(format!("a value is no {class}"));
    let number = |name: &str, most: u32| {
        let part = value.get_attr(name).ok().and_then(|part| u32::try_from(part).ok());
        part.filter(|part| *part <= most).ok_or_else(wrong)
    };
    let date = || {
        Ok::<_, Error>(format!("{:04}-{:02}-{:02}", number("year", 9999)?, number("month", 12)?, number("day", 31)?))
    };
    let time = || {
        let (micro, second) = (number("microsecond", 999_999)?, number("second", 59)?);
        let part = if micro == 0 { String::new() } else { format!(".{micro:06}") };
        Ok::<_, Error>(format!("{:02}:{:02}:{second:02}{part}", number("hour", 23)?, number("minute", 59)?))
    };
    Ok(Some(match class {
        "Decimal" => {
            let text = text_of(&value.get_attr("decimal")?);
            // `1E+3` is a decimal there too; JSON reads it, and every digit stays.
            let text = text.strip_prefix('+').map(str::to_owned).unwrap_or(text);
            match text.parse::<serde_json::Number>() {
                Ok(_) => from_json(&serde_json::from_str(&text).map_err(|_| wrong())?),
                Err(_) => return Err(wrong()),
            }
        }
        "date" => date()?.into(),
        "time" => time()?.into(),
        "datetime" => format!("{}T{}Z", date()?, time()?).into(),
        "timedelta" => match value.get_attr("seconds")? {
            seconds if seconds.kind() == ValueKind::Number || seconds.downcast_object_ref::<Decimal>().is_some() => {
                seconds
            }
            _ => return Err(wrong()),
        },
        "bytes" | "bytearray" => {
            let text: String = text_of(&value.get_attr("base64")?).split_ascii_whitespace().collect();
            base64::engine::general_purpose::STANDARD.decode(&text).map_err(|_| wrong())?;
            text.into()
        }
        _ => return Ok(None),
    }))
}

/// The word for a code: `record.state | table(order_states)`. A code that the table does not have stays as it is, so that a vendor's new one is seen; `table(order_states, other='?')`
/// says it otherwise.
fn table(code: Value, table: Value, options: Kwargs) -> Result<Value, Error> {
    let other: Option<Value> = options.get("other")?;
    options.assert_all_used()?;
    if table.kind() != ValueKind::Map {
        return Err(said_by_us("table wants a map".to_owned()));
    }
    if code.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    let word = table.get_item(&Value::from(text_of(&code)))?;
    Ok(if word.is_undefined() { other.unwrap_or(code) } else { word })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::connectors::{value::to_json, words::Compiled};

    /// What an expression gives, as JSON.
    fn eval(text: &str, json: &str) -> Result<serde_json::Value, String> {
        let value = Compiled::new(text)?.eval(&from_json(&serde_json::from_str(json).unwrap()))?;
        Ok(to_json(&value)?.unwrap_or_default())
    }

    #[test]
    fn rows_by_position_have_names_and_none_too_many() {
        // What Kingdee's ExecuteBillQuery answers to FieldKeys "FCUSTID,FName,FTel".
        let rows = r#"{"body": [[100001, "陈静", "13800138000"], [100002, "周敏", null]]}"#;
        assert_eq!(
            eval("body | columns(['id', 'name', 'tel'])", rows),
            Ok(
                json!([{"id": 100001, "name": "陈静", "tel": "13800138000"}, {"id": 100002, "name": "周敏", "tel": null}])
            )
        );
        let wrong = eval("body | columns(['id', 'name'])", rows).unwrap_err();
        assert!(wrong.ends_with("a row has 3 values where 2 were asked for"), "{wrong}");
        assert_eq!(eval("body | columns(['id'])", r#"{"body": []}"#), Ok(json!([])));
        for no in [r#"{"body": [{"id": 1}]}"#, r#"{"body": ["a"]}"#, r#"{"body": 7}"#] {
            assert!(eval("body | columns(['id'])", no).is_err(), "{no}");
        }
    }

    #[test]
    fn typed_values_are_plain_ones() {
        let body = r#"{"body": [{"id": 7, "credit": {"__class__": "Decimal", "decimal": "12800.50"}, "since": {"__class__": "date", "year": 2026, "month": 1, "day": 9},
            "at": {"__class__": "datetime", "year": 2026, "month": 11, "day": 26, "hour": 13, "minute": 5, "second": 0, "microsecond": 0},
            "t": {"__class__": "time", "hour": 1, "minute": 2, "second": 3, "microsecond": 40}, "took": {"__class__": "timedelta", "seconds": 1.5},
            "bytes": {"__class__": "bytes", "base64": "eW91\nIGNhbid0"}, "new": {"__class__": "Colour", "rgb": [1]}, "null": null}]}"#;
        let plain = eval("body | typed", body).unwrap();
        assert_eq!(plain[0]["credit"].to_string(), "12800.50");
        assert_eq!(
            (&plain[0]["since"], &plain[0]["at"], &plain[0]["t"]),
            (&json!("2026-01-09"), &json!("2026-11-26T13:05:00Z"), &json!("01:02:03.000040"))
        );
        assert_eq!((plain[0]["took"].to_string().as_str(), &plain[0]["bytes"]), ("1.5", &json!("eW91IGNhbid0")));
        assert_eq!(
            (&plain[0]["new"], &plain[0]["null"], &plain[0]["id"]),
            (&json!({"__class__": "Colour", "rgb": [1]}), &json!(null), &json!(7))
        );
        for no in [
            r#"{"__class__": "Decimal", "decimal": "NaN"}"#,
            r#"{"__class__": "Decimal"}"#,
            r#"{"__class__": "date", "year": 2026, "month": 13, "day": 1}"#,
            r#"{"__class__": "bytes", "base64": "?"}"#,
            r#"{"__class__": "timedelta"}"#,
        ] {
            assert!(eval("body | typed", &format!("{{\"body\": {no}}}")).is_err(), "{no}");
        }
    }

    #[test]
    fn a_code_is_its_word_and_a_new_one_is_seen() {
        let all = r#"{"states": {"WAIT": "待发货", "2": "已发货"}, "state": "WAIT", "two": 2, "new": "LOST"}"#;
        for (text, wanted) in [
            ("state | table(states)", json!("待发货")),
            ("two | table(states)", json!("已发货")),
            ("new | table(states)", json!("LOST")),
            ("new | table(states, other='?')", json!("?")),
        ] {
            assert_eq!(eval(text, all), Ok(wanted), "{text}");
        }
        for no in ["nothing | table(states)", "state | table('x')", "state | table(states, els='?')"] {
            assert!(eval(no, all).is_err(), "{no}");
        }
    }
}
