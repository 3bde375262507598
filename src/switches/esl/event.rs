//! The body of an event, plain or JSON, as names and values.
//!
//! Nothing here is text until somebody asks: display names pass through the switch as bytes (gbk-display-name), percent-encoded in plain bodies and raw inside
//! JSON's strings, which is then no UTF-8. Of a name that stands there twice the first counts: `Hangup-Cause` and the conference's headers repeat
//! with equal values (conference); only PRIVATE_COMMAND differs, and nobody reads it. `%23` may have been a `%23` or a `#` (the switch leaves
//! an existing escape alone): plain bodies cannot tell.

use std::{borrow::Cow, fmt};

use memchr::memchr;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::{switches::asterisk::ami::text, words::Wall};

/// Most fields of one event. A call with a site's own variables has some 400.
pub const FIELD_CAP: usize = 4_096;

/// One event.
#[derive(Debug)]
pub struct Event<'a> {
    fields: Vec<(Cow<'a, [u8]>, Value<'a>)>,
    body: Cow<'a, [u8]>,
}

#[derive(Debug)]
enum Value<'a> {
    /// Percent-encoded.
    Plain(&'a [u8]),
    Json(Vec<u8>),
    List(Vec<Vec<u8>>),
}

/// Why a body is no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("an event has more than {FIELD_CAP} fields")]
    TooManyFields,
    #[error("the body of a JSON event is no object of strings and lists")]
    NoJson,
}

impl<'a> Event<'a> {
    /// # Errors
    /// Too many fields.
    pub fn plain(body: &'a [u8]) -> Result<Self, ReadError> {
        let mut fields = Vec::with_capacity(160);
        let mut rest = body;
        while !rest.is_empty() {
            let end = memchr(b'\n', rest).unwrap_or(rest.len());
            let (line, after) = rest.split_at(end);
            rest = after.get(1..).unwrap_or_default();
            if line.is_empty() {
                break;
            }
            if fields.len() == FIELD_CAP {
                return Err(ReadError::TooManyFields);
            }
            if let Some(colon) = memchr(b':', line) {
                let (name, value) = line.split_at(colon);
                let value = value.get(1..).unwrap_or_default();
                let value = value.strip_prefix(b" ").unwrap_or(value);
                fields.push((Cow::Borrowed(name), Value::Plain(value)));
            }
        }
        Ok(Self { fields, body: Cow::Borrowed(rest) })
    }

    /// # Errors
    /// No object, or too many fields.
    pub fn json(body: &[u8]) -> Result<Event<'static>, ReadError> {
        let Object(mut fields) = serde_json::from_slice(body).map_err(|_| ReadError::NoJson)?;
        if fields.len() > FIELD_CAP {
            return Err(ReadError::TooManyFields);
        }
        let at = fields.iter().position(|(name, _)| name == b"_body");
        let body = match at.map(|at| fields.swap_remove(at).1) {
            Some(Json::Text(text)) => text,
            _ => Vec::new(),
        };
        let fields = fields.into_iter().map(|(name, value)| {
            let value = match value {
                Json::Text(text) => Value::Json(text),
                Json::List(list) => Value::List(list),
            };
            (Cow::Owned(name), value)
        });
        Ok(Event { fields: fields.collect(), body: Cow::Owned(body) })
    }

    /// The value of the first field of that name, as text: UTF-8, else read as GB18030. Absent for an empty one (`_undef_`) and for a list.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        let bytes = self.bytes(name)?;
        Some(match bytes {
            Cow::Borrowed(bytes) => text(bytes),
            Cow::Owned(bytes) => Cow::Owned(text(&bytes).into_owned()),
        })
    }

    /// The same as bytes.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let (_, value) = self.fields.iter().find(|(known, _)| **known == *name.as_bytes())?;
        value.bytes().filter(|bytes| !bytes.is_empty())
    }

    /// The items of a list; one item where the switch wrote a single value (`variable_transfer_history` is a string with one item and a list with two).
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<String> {
        let Some((_, value)) = self.fields.iter().find(|(known, _)| **known == *name.as_bytes()) else {
            return Vec::new();
        };
        if let Value::List(list) = value {
            return list.iter().map(|item| text(item).into_owned()).collect();
        }
        let Some(bytes) = value.bytes() else { return Vec::new() };
        let whole = text(&bytes);
        match whole.strip_prefix("ARRAY::") {
            Some(items) => items.split("|:").map(str::to_owned).collect(),
            None if whole.is_empty() => Vec::new(),
            None => vec![whole.into_owned()],
        }
    }

    /// Channel variables: their names without `variable_`, with their values as they came.
    pub fn variables(&self) -> impl Iterator<Item = (&[u8], Cow<'_, [u8]>)> {
        self.fields.iter().filter_map(|(name, value)| Some((name.strip_prefix(b"variable_")?, value.bytes()?)))
    }

    /// What stands behind the fields (the result of a background job).
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// When the switch made it: `Event-Date-Timestamp`, microseconds in steps of 20 ms.
    #[must_use]
    pub fn at(&self) -> Option<Wall> {
        micros(&self.get("Event-Date-Timestamp")?)
    }
}

/// Microseconds since 1970, cut to milliseconds; 0 is the switch's "never".
#[must_use]
pub fn micros(text: &str) -> Option<Wall> {
    let micros: i64 = text.parse().ok().filter(|m| (1..=253_402_300_799_999_999).contains(m))?;
    Some(Wall(micros / 1000))
}

impl<'a> Value<'a> {
    fn bytes(&self) -> Option<Cow<'_, [u8]>> {
        match self {
            Self::Plain(b"_undef_") => None,
            Self::Plain(raw) => Some(unescaped(raw)),
            Self::Json(text) => Some(Cow::Borrowed(text)),
            Self::List(_) => None,
        }
    }
}

/// Without percent signs.
fn unescaped(raw: &[u8]) -> Cow<'_, [u8]> {
    if memchr(b'%', raw).is_none() {
        return Cow::Borrowed(raw);
    }
    let digit = |b: Option<&u8>| b.and_then(|b| char::from(*b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (*first == b'%').then(|| digit(rest.first()).zip(digit(rest.get(1)))).flatten() {
            Some((high, low)) => {
                out.push(high << 4 | low);
                rest = rest.get(2..).unwrap_or_default();
            }
            None => out.push(*first),
        }
    }
    Cow::Owned(out)
}

/// An object with its fields in order, repeated ones too.
struct Object(Vec<(Vec<u8>, Json)>);

enum Json {
    Text(Vec<u8>),
    List(Vec<Vec<u8>>),
}

/// A JSON string as the bytes in it: they need not be UTF-8.
struct Bytes(Vec<u8>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Object;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings and lists")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut fields = Vec::with_capacity(160);
                while let Some(Bytes(name)) = map.next_key()? {
                    let value = map.next_value()?;
                    if fields.len() <= FIELD_CAP {
                        fields.push((name, value));
                    }
                }
                Ok(Object(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Json;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }
            fn visit_bytes<E>(self, v: &[u8]) -> Result<Json, E> {
                Ok(Json::Text(v.to_vec()))
            }
            fn visit_str<E>(self, v: &str) -> Result<Json, E> {
                Ok(Json::Text(v.as_bytes().to_vec()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
                let mut list = Vec::new();
                while let Some(Bytes(item)) = seq.next_element()? {
                    list.push(item);
                }
                Ok(Json::List(list))
            }
        }
        // Only bytes are asked for as bytes; a list answers all the same.
        deserializer.deserialize_bytes(Any)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Bytes;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_bytes<E>(self, v: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(v.to_vec()))
            }
            fn visit_str<E>(self, v: &str) -> Result<Bytes, E> {
                Ok(Bytes(v.as_bytes().to_vec()))
            }
        }
        deserializer.deserialize_bytes(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_body_and_what_stands_behind_it() {
        let body = b"Event-Name: BACKGROUND_JOB\nCaller-Caller-ID-Name: %E5%BC%A0%E4%B8%89%2\nvariable_a: ARRAY::x|:y\nvariable_b: one\nEmpty: _undef_\nContent-Length: 4\n\n+OK\n";
        let event = Event::plain(body).unwrap();
        assert_eq!(event.get("Event-Name").as_deref(), Some("BACKGROUND_JOB"));
        assert_eq!(event.get("Caller-Caller-ID-Name").as_deref(), Some("张三%2"));
        assert_eq!(
            (event.list("variable_a"), event.list("variable_b")),
            (vec!["x".into(), "y".into()], vec!["one".into()])
        );
        assert_eq!((event.get("Empty"), event.body()), (None, b"+OK\n".as_slice()));
        assert_eq!(event.variables().count(), 2);
    }

    #[test]
    fn a_json_body_that_is_no_utf_8_and_says_things_twice() {
        let body = b"{\"Event-Name\":\"CUSTOM\",\"Name\":\"\xd5\xc5\\u4e09\",\"Gbk\":\"\xd5\xc5\xc8\xfd\",\"Hangup-Cause\":\"A\",\"Hangup-Cause\":\"B\",\"variable_a\":[\"x\",\"y\"],\"_body\":\"+OK\\n\"}";
        let event = Event::json(body).unwrap();
        assert_eq!(event.get("Gbk").as_deref(), Some("张三"));
        assert_eq!(event.get("Hangup-Cause").as_deref(), Some("A"));
        assert_eq!(
            (event.list("variable_a"), event.body()),
            (vec!["x".to_owned(), "y".to_owned()], b"+OK\n".as_slice())
        );
        for bad in ["", "[]", "{\"a\":1}", "{\"a\":{}}", "{\"a\":\"b\""] {
            assert_eq!(Event::json(bad.as_bytes()).unwrap_err(), ReadError::NoJson, "{bad}");
        }
    }
}
