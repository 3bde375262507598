//! Bytes to values and back: JSON, XML by one fixed mapping, forms.
//!
//! XML: an element with nothing but text is that text; else a map of `@attribute`, `#text` and children; an element that repeats is a
//! list, those named in the file always are. Namespace prefixes are dropped. A DOCTYPE is refused, for it can define what
//! grows; depth and attributes are capped, and the size was before.

use quick_xml::{Reader, events::Event};
use serde_json::{Map, Value};

use crate::words::percent;

use super::file::Decode;

/// How deep elements may nest and how many attributes one may have.
const DEPTH: usize = 64;
const ATTRIBUTES: usize = 64;

/// Reads an answer's body. `Null` for `empty`.
///
/// # Errors
/// A fragment that says why it is not of the promised type; nothing of the body is repeated.
pub fn decode(kind: &Decode, bytes: &[u8], content_type: Option<&str>) -> Result<Value, String> {
    match kind {
        Decode::Empty => Ok(Value::Null),
        Decode::Text => Ok(Value::String(text(bytes, content_type))),
        Decode::Json => serde_json::from_str(&text(bytes, content_type)).map_err(|e| match e.classify() {
            serde_json::error::Category::Eof if bytes.is_empty() => "the answer is empty".to_owned(),
            serde_json::error::Category::Eof => "the answer is half a JSON".to_owned(),
            _ => "the answer is no JSON".to_owned(),
        }),
        Decode::Xml(xml) => read_xml(&text(bytes, content_type), &xml.lists),
    }
}

fn text(bytes: &[u8], content_type: Option<&str>) -> String {
    let label = content_type
        .and_then(|t| t.split(';').find_map(|p| p.trim().strip_prefix("charset=")))
        .map(|label| label.trim_matches('"'));
    let encoding = label.and_then(|l| encoding_rs::Encoding::for_label(l.as_bytes())).unwrap_or(encoding_rs::UTF_8);
    encoding.decode(bytes).0.into_owned()
}

struct Element {
    name: String,
    map: Map<String, Value>,
    text: String,
}

impl Element {
    fn value(self) -> Value {
        let Self { mut map, text, .. } = self;
        let trimmed = text.trim();
        match (map.is_empty(), trimmed.is_empty()) {
            (true, true) => Value::Null,
            (true, false) => Value::String(text),
            (false, true) => Value::Object(map),
            (false, false) => {
                map.insert("#text".to_owned(), Value::String(text));
                Value::Object(map)
            }
        }
    }

    fn take(&mut self, name: String, value: Value, always_list: bool) {
        match self.map.get_mut(&name) {
            Some(Value::Array(items)) => items.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
            None if always_list => drop(self.map.insert(name, Value::Array(vec![value]))),
            None => drop(self.map.insert(name, value)),
        }
    }
}

fn read_xml(text: &str, lists: &[String]) -> Result<Value, String> {
    let broken = || "the answer is no well-formed XML".to_owned();
    let mut reader = Reader::from_str(text);
    let mut stack = vec![Element { name: String::new(), map: Map::new(), text: String::new() }];
    loop {
        let event = reader.read_event().map_err(|_| broken())?;
        let top = stack.last_mut().ok_or_else(broken)?;
        let (start, closed) = match event {
            Event::Start(start) => (start, false),
            Event::Empty(start) => (start, true),
            Event::End(_) => {
                let done = stack.pop().ok_or_else(broken)?;
                let parent = stack.last_mut().ok_or_else(broken)?;
                let always = lists.contains(&done.name);
                parent.take(done.name.clone(), done.value(), always);
                continue;
            }
            Event::Text(part) => {
                top.text.push_str(&part.xml10_content());
                continue;
            }
            Event::CData(part) => {
                top.text.push_str(&part.xml10_content());
                continue;
            }
            Event::GeneralRef(reference) => {
                match reference.resolve_char_ref().map_err(|_| broken())? {
                    Some(c) => top.text.push(c),
                    None => {
                        let name = reference.xml10_content();
                        let known = quick_xml::escape::resolve_predefined_entity(&name);
                        top.text.push_str(known.ok_or("the answer uses an XML entity of its own")?);
                    }
                }
                continue;
            }
            Event::DocType(_) => return Err("the answer holds a DOCTYPE, which is refused".to_owned()),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => continue,
            Event::Eof => break,
        };
        if stack.len() > DEPTH {
            return Err(format!("the answer's XML nests deeper than {DEPTH}"));
        }
        let mut element =
            Element { name: start.local_name().as_ref().to_owned(), map: Map::new(), text: String::new() };
        for (n, attribute) in start.attributes().enumerate() {
            let attribute = attribute.map_err(|_| broken())?;
            if n >= ATTRIBUTES {
                return Err(format!("the answer's XML has more than {ATTRIBUTES} attributes at one element"));
            }
            let key: &str = attribute.key.as_ref();
            if key == "xmlns" || key.starts_with("xmlns:") {
                continue;
            }
            let value = quick_xml::escape::unescape(&attribute.value).map_err(|_| broken())?;
            element.map.insert(format!("@{}", attribute.key.local_name().as_ref()), value.into_owned().into());
        }
        if closed {
            let parent = stack.last_mut().ok_or_else(broken)?;
            let always = lists.contains(&element.name);
            parent.take(element.name.clone(), element.value(), always);
        } else {
            stack.push(element);
        }
    }
    match (stack.pop(), stack.is_empty()) {
        (Some(root), true) if !root.map.is_empty() => Ok(Value::Object(root.map)),
        _ => Err(broken()),
    }
}

/// Writes `{root: ...}` by the same mapping.
#[must_use]
pub fn write_xml(roots: &Map<String, Value>) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    for (name, value) in roots {
        element(&mut out, name, value);
    }
    out
}

fn element(out: &mut String, name: &str, value: &Value) {
    let escaped = |text: &str| quick_xml::escape::escape(text).into_owned();
    match value {
        Value::Array(items) => items.iter().for_each(|item| element(out, name, item)),
        Value::Object(map) => {
            out.push('<');
            out.push_str(name);
            for (key, value) in map {
                if let Some(key) = key.strip_prefix('@') {
                    out.push_str(&format!(" {key}=\"{}\"", escaped(&plain(value))));
                }
            }
            out.push('>');
            for (key, value) in map {
                match key.as_str() {
                    "#text" => out.push_str(&escaped(&plain(value))),
                    key if key.starts_with('@') => {}
                    key => element(out, key, value),
                }
            }
            out.push_str(&format!("</{name}>"));
        }
        other => out.push_str(&format!("<{name}>{}</{name}>", escaped(&plain(other)))),
    }
}

/// A scalar as text; nothing for null.
#[must_use]
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(s) => s.clone(),
        other => other.to_string(),
    }
}

/// `a=1&b=x%20y`; a list repeats its name.
#[must_use]
pub fn pairs(map: &Map<String, Value>) -> String {
    let mut out: Vec<String> = Vec::new();
    for (key, value) in map {
        let items = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
        out.extend(items.iter().map(|item| format!("{}={}", percent(key), percent(&plain(item)))));
    }
    out.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connectors::file::XmlDecode;

    fn xml(text: &str) -> Result<Value, String> {
        decode(&Decode::Xml(XmlDecode { lists: vec!["issue".into()] }), text.as_bytes(), None)
    }

    #[test]
    fn xml_is_read_by_the_fixed_mapping_and_written_back() {
        let text = r#"<?xml version="1.0"?><r:issues xmlns:r="u" total="1"><issue><id>26</id><p id="2" name="a &amp; b"/><s>&lt;x&gt; &#20013;<![CDATA[<y>]]></s></issue></r:issues>"#;
        let value = xml(text).unwrap();
        assert_eq!(value["issues"]["@total"], "1");
        assert_eq!(value["issues"]["issue"][0]["id"], "26");
        assert_eq!(value["issues"]["issue"][0]["p"]["@name"], "a & b");
        assert_eq!(value["issues"]["issue"][0]["s"], "<x> 中<y>");
        let again = write_xml(value.as_object().unwrap());
        assert_eq!(xml(&again).unwrap(), value);
    }

    #[test]
    fn bombs_and_halves_are_refused() {
        let bomb = "<!DOCTYPE l [<!ENTITY a \"x\"><!ENTITY b \"&a;&a;\">]><l>&b;</l>";
        assert!(xml(bomb).unwrap_err().contains("DOCTYPE"));
        assert!(xml("<l>&b;</l>").is_err());
        assert!(xml(&"<a>".repeat(100_000)).is_err());
        let many: String = (0..100).map(|n| format!(" a{n}=\"1\"")).collect();
        assert!(xml(&format!("<a{many}/>")).is_err());
        assert!(xml("<a><b></a>").is_err());
        assert!(xml("<a><b>").is_err());
        assert!(xml("").is_err());
        assert!(decode(&Decode::Json, br#"{"a": ["#, None).unwrap_err().contains("half"));
        assert!(decode(&Decode::Json, b"<html>", None).unwrap_err().contains("no JSON"));
        assert!(decode(&Decode::Json, "[".repeat(5000).as_bytes(), None).is_err());
        let gbk = encoding_rs::GBK.encode("\"中文\"").0.into_owned();
        assert_eq!(decode(&Decode::Json, &gbk, Some("text/json; charset=GBK")).unwrap(), "中文");
    }
}
