//! MySQL and MariaDB, still: what their values are as JSON.

pub mod live;

use mysql_async::{Column, Value, consts::ColumnType};
use serde_json::{Number, Value as Json};

/// The character set that means bytes.
const BINARY: u16 = 63;

/// A column's value.
///
/// # Errors
/// A fragment that says what cannot be JSON.
pub fn json(column: &Column, value: Value) -> Result<Json, &'static str> {
    use ColumnType as C;
    let kind = column.column_type();
    Ok(match value {
        Value::NULL => Json::Null,
        Value::Int(i) => i.into(),
        Value::UInt(u) => u.into(),
        // The shortest digits that are this number, as the server writes it.
        Value::Float(f) => number(&f.to_string())?,
        Value::Double(f) => Number::from_f64(f).map_or(Json::Null, Json::Number),
        Value::Date(year, month, day, hour, minute, second, micros) => {
            let date = format!("{year:04}-{month:02}-{day:02}");
            match kind {
                C::MYSQL_TYPE_DATE | C::MYSQL_TYPE_NEWDATE => date.into(),
                // The session's zone is UTC, and a timestamp is a moment. A datetime has no zone.
                C::MYSQL_TYPE_TIMESTAMP | C::MYSQL_TYPE_TIMESTAMP2 => {
                    format!("{date}T{hour:02}:{minute:02}:{second:02}{}Z", fraction(micros)).into()
                }
                _ => format!("{date}T{hour:02}:{minute:02}:{second:02}{}", fraction(micros)).into(),
            }
        }
        Value::Time(negative, days, hours, minutes, seconds, micros) => {
            let sign = if negative { "-" } else { "" };
            let hours = u64::from(days) * 24 + u64::from(hours);
            format!("{sign}{hours:02}:{minutes:02}:{seconds:02}{}", fraction(micros)).into()
        }
        Value::Bytes(bytes) => match kind {
            C::MYSQL_TYPE_DECIMAL | C::MYSQL_TYPE_NEWDECIMAL => number(&String::from_utf8_lossy(&bytes))?,
            C::MYSQL_TYPE_BIT => bytes.iter().fold(0_u64, |all, byte| all << 8 | u64::from(*byte)).into(),
            C::MYSQL_TYPE_JSON => serde_json::from_slice(&bytes).map_err(|_| "holds no JSON")?,
            C::MYSQL_TYPE_GEOMETRY => return Err("holds a geometry: make text of it"),
            _ if column.character_set() == BINARY => return Err("holds bytes: leave it out, or make text of it"),
            _ => String::from_utf8(bytes).map_err(|_| "holds text that is no UTF-8")?.into(),
        },
    })
}

fn number(text: &str) -> Result<Json, &'static str> {
    text.parse::<Number>().map(Json::Number).map_err(|_| "holds a number that JSON has not")
}

/// `.5` of 500000 microseconds; nothing of none.
fn fraction(micros: u32) -> String {
    if micros == 0 { String::new() } else { format!(".{micros:06}").trim_end_matches('0').to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_keep_every_digit() {
        use ColumnType as C;
        let bytes = |text: &str| Value::Bytes(text.as_bytes().to_vec());
        for (kind, set, value, wanted) in [
            (C::MYSQL_TYPE_NEWDECIMAL, BINARY, bytes("12800.50"), Ok("12800.50")),
            (C::MYSQL_TYPE_NEWDECIMAL, BINARY, bytes("-0.500000"), Ok("-0.500000")),
            (C::MYSQL_TYPE_LONGLONG, BINARY, Value::UInt(u64::MAX), Ok("18446744073709551615")),
            (C::MYSQL_TYPE_FLOAT, BINARY, Value::Float(0.1), Ok("0.1")),
            (C::MYSQL_TYPE_DATE, BINARY, Value::Date(2025, 3, 2, 0, 0, 0, 0), Ok("\"2025-03-02\"")),
            (C::MYSQL_TYPE_DATETIME, BINARY, Value::Date(0, 0, 0, 0, 0, 0, 0), Ok("\"0000-00-00T00:00:00\"")),
            (
                C::MYSQL_TYPE_TIMESTAMP,
                BINARY,
                Value::Date(2025, 3, 2, 8, 5, 6, 120_000),
                Ok("\"2025-03-02T08:05:06.12Z\""),
            ),
            (C::MYSQL_TYPE_TIME, BINARY, Value::Time(true, 34, 22, 59, 59, 0), Ok("\"-838:59:59\"")),
            (C::MYSQL_TYPE_BIT, BINARY, Value::Bytes(vec![1, 1]), Ok("257")),
            (C::MYSQL_TYPE_VAR_STRING, 45, bytes("陈静 'x'"), Ok("\"陈静 'x'\"")),
            (C::MYSQL_TYPE_JSON, BINARY, bytes(r#"{"a":1.50}"#), Ok(r#"{"a":1.50}"#)),
            (C::MYSQL_TYPE_BLOB, BINARY, bytes("x"), Err(())),
            (C::MYSQL_TYPE_VAR_STRING, 45, Value::Bytes(vec![0xff]), Err(())),
        ] {
            let column = Column::new(kind).with_character_set(set);
            let found = json(&column, value).map(|json| json.to_string()).map_err(|_| ());
            assert_eq!(found.as_deref(), wanted.as_ref().map(|w| &**w), "{kind:?}");
        }
        assert_eq!(json(&Column::new(C::MYSQL_TYPE_NULL), Value::NULL), Ok(json!(null)));
    }
}
