//! Bytes to values and back: JSON, XML by one fixed mapping, forms.
//!
//! XML: an element with nothing but text is that text; else a map of `@attribute`, `#text` and children; an element that repeats is a
//! list, those named in the file always are. Namespace prefixes are dropped. A DOCTYPE is refused, for it can define what
//! grows; depth and attributes are capped, and the size was before.

use quick_xml::{Reader, events::Event};
use serde_json::{Map, Value};

use crate::words::{percent, percent_bytes};

use super::{charset::Charsets, set::Tree};

/// How deep elements may nest and how many attributes one may have.
const DEPTH: usize = 64;
const ATTRIBUTES: usize = 64;

/// JSON.
///
/// # Errors
/// A fragment that says why it is none; nothing of the text is repeated.
pub fn read_json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|e| match e.classify() {
        serde_json::error::Category::Eof if text.is_empty() => "the answer is empty".to_owned(),
        serde_json::error::Category::Eof => "the answer is half a JSON".to_owned(),
        _ => "the answer is no JSON".to_owned(),
    })
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

/// XML by the mapping; elements of these names are always lists.
///
/// # Errors
/// A fragment that says what is wrong with it; nothing of the text is repeated.
pub fn read_xml(text: &str, lists: &[String]) -> Result<Value, String> {
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

/// Writes `{root: ...}` by the same mapping. `order`: what the file said, for what is read in a sequence is written in one.
///
/// # Errors
/// A name or a text that XML cannot hold.
pub fn write_xml(roots: &Map<String, Value>, order: Option<&Tree>, charset: &str) -> Result<String, String> {
    let mut out = format!("<?xml version=\"1.0\" encoding=\"{charset}\"?>");
    children(&mut out, roots, order)?;
    Ok(out)
}

/// The elements of a map: first those of the file, in its order, then what else there is.
///
/// # Errors
/// As [`write_xml`].
pub fn children(out: &mut String, map: &Map<String, Value>, order: Option<&Tree>) -> Result<(), String> {
    let named = order.map_or(&[][..], Tree::entries);
    for (name, inside) in named {
        if let Some(value) = map.get(name) {
            child(out, name, value, Some(inside))?;
        }
    }
    for (name, value) in map.iter().filter(|(name, _)| !named.iter().any(|(known, _)| known == *name)) {
        child(out, name, value, None)?;
    }
    Ok(())
}

fn child(out: &mut String, name: &str, value: &Value, order: Option<&Tree>) -> Result<(), String> {
    match name {
        "#text" => text(out, &plain(value)),
        name if name.starts_with('@') => Ok(()),
        name => element(out, name, value, order),
    }
}

fn element(out: &mut String, name: &str, value: &Value, order: Option<&Tree>) -> Result<(), String> {
    if let Value::Array(items) = value {
        return items
            .iter()
            .enumerate()
            .try_for_each(|(n, item)| element(out, name, item, order.and_then(|o| o.item(n))));
    }
    is_name(name)?;
    out.push('<');
    out.push_str(name);
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                if let Some(key) = key.strip_prefix('@') {
                    attribute(out, key, &plain(value))?;
                }
            }
            out.push('>');
            children(out, map, order)?;
        }
        other => {
            out.push('>');
            text(out, &plain(other))?;
        }
    }
    out.push_str(&format!("</{name}>"));
    Ok(())
}

/// ` key="value"`.
///
/// # Errors
/// As [`write_xml`].
pub fn attribute(out: &mut String, key: &str, value: &str) -> Result<(), String> {
    is_name(key)?;
    let mut written = String::new();
    text(&mut written, value)?;
    // As they stand they would be read as spaces (XML 1.0, section 3.3.3).
    out.push_str(&format!(" {key}=\"{}\"", written.replace('\n', "&#10;").replace('\t', "&#9;")));
    Ok(())
}

/// A text, escaped. A line end stays one: a parser would make another of it where it stands for itself.
///
/// # Errors
/// It holds what XML 1.0 cannot (section 2.2).
pub fn text(out: &mut String, text: &str) -> Result<(), String> {
    let bad =
        |c: char| (c.is_ascii_control() && !['\t', '\n', '\r'].contains(&c)) || ['\u{fffe}', '\u{ffff}'].contains(&c);
    if text.contains(bad) {
        return Err("XML cannot hold one of its characters".to_owned());
    }
    out.push_str(&quick_xml::escape::escape(text).replace('\r', "&#13;"));
    Ok(())
}

/// Names may come from a template's value, whose keys somebody else chose.
fn is_name(name: &str) -> Result<(), String> {
    let good = |c: char| c.is_alphanumeric() || ['_', '-', '.', ':'].contains(&c);
    let first = |c: char| c.is_alphabetic() || c == '_';
    if name.starts_with(first) && name.chars().all(good) {
        Ok(())
    } else {
        Err("an element has no name of XML".to_owned())
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

/// `a=1&b=x%20y`; a list repeats its name. The percent signs are before the bytes of the character set.
///
/// # Errors
/// The set lacks a character.
pub fn pairs(map: &Map<String, Value>, charset: Charsets) -> Result<String, String> {
    let escaped = |text: &str| match charset.utf8() {
        true => Ok(percent(text)),
        false => charset.encode(text.to_owned()).map(|bytes| percent_bytes(&bytes)),
    };
    let mut out: Vec<String> = Vec::new();
    for (key, value) in map {
        let items = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
        for item in items {
            out.push(format!("{}={}", escaped(key)?, escaped(&plain(item))?));
        }
    }
    Ok(out.join("&"))
}

/// The parameters of a form that was answered; a name that repeats is a list. A plus is a space there (WHATWG URL, section 5.1).
///
/// # Errors
/// It is no form.
pub fn read_form(bytes: &[u8], charset: &'static encoding_rs::Encoding) -> Result<Value, String> {
    let text = |part: &[u8]| charset.decode_without_bom_handling(&unescaped(part)).0.into_owned();
    let mut form = Element { name: String::new(), map: Map::new(), text: String::new() };
    for pair in bytes.trim_ascii().split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
        let at = pair.iter().position(|b| *b == b'=').ok_or("the answer is no form")?;
        let (name, value) = pair.split_at(at);
        form.take(text(name), text(value.get(1..).unwrap_or_default()).into(), false);
    }
    if form.map.is_empty() { Err("the answer is no form".to_owned()) } else { Ok(form.map.into()) }
}

/// The bytes behind percent signs. What is no encoding stays.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let hex =
            |at: usize| after.get(at).and_then(|b| char::from(*b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
        (rest, _) = match (first, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => (after.get(2..).unwrap_or_default(), bytes.push(high << 4 | low)),
            (b'+', ..) => (after, bytes.push(b' ')),
            (other, ..) => (after, bytes.push(*other)),
        };
    }
    bytes
}

/// A name or a value of a form or a query, as it was before it was encoded.
#[must_use]
pub fn decoded(text: &str) -> String {
    String::from_utf8_lossy(&unescaped(text.as_bytes())).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_encoded_is_read_and_the_rest_stays() {
        assert_eq!(decoded("a%2Fb+c%zz%4"), "a/b c%zz%4");
        assert_eq!(decoded("%E9%99%88"), "陈");
    }

    fn xml(text: &str) -> Result<Value, String> {
        read_xml(text, &["issue".to_owned()])
    }

    #[test]
    fn xml_is_read_by_the_fixed_mapping_and_written_back() {
        let text = r#"<?xml version="1.0"?><r:issues xmlns:r="u" total="1"><issue><id>26</id><p id="2" name="a &amp; b"/><s>&lt;x&gt; &#20013;<![CDATA[<y>]]></s></issue></r:issues>"#;
        let value = xml(text).unwrap();
        assert_eq!(value["issues"]["@total"], "1");
        assert_eq!(value["issues"]["issue"][0]["id"], "26");
        assert_eq!(value["issues"]["issue"][0]["p"]["@name"], "a & b");
        assert_eq!(value["issues"]["issue"][0]["s"], "<x> 中<y>");
        let again = write_xml(value.as_object().unwrap(), None, "UTF-8").unwrap();
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
        assert!(read_json(r#"{"a": ["#).unwrap_err().contains("half"));
        assert!(read_json("<html>").unwrap_err().contains("no JSON"));
        assert!(read_json(&"[".repeat(5000)).is_err());
    }

    #[test]
    fn what_xml_cannot_hold_is_not_written() {
        for value in
            [json!({"a": "\u{b}"}), json!({"a": {"b c": 1}}), json!({"a": {"@x='": 1}}), json!({"a": [{"1": 1}]})]
        {
            assert!(write_xml(value.as_object().unwrap(), None, "UTF-8").is_err(), "{value}");
        }
        let text = "<a x='1'> \r\n&\t</a>";
        let written = write_xml(json!({"a": text}).as_object().unwrap(), None, "UTF-8").unwrap();
        assert_eq!(xml(&written).unwrap(), json!({"a": text}));
    }

    #[test]
    fn a_form_is_read_as_it_was_written() {
        let gbk = Charsets::named(Some("gbk"), None).unwrap();
        let form = json!({"name": "陈静 & 周", "empty": "", "a": ["1", "2"], "=": "%4"});
        let text = pairs(form.as_object().unwrap(), gbk).unwrap();
        assert_eq!(text, "%3D=%254&a=1&a=2&empty=&name=%B3%C2%BE%B2%20%26%20%D6%DC");
        assert_eq!(read_form(text.as_bytes(), gbk.of_answer(None)).unwrap(), form);
        assert_eq!(
            read_form(b"a=b+c%zz%4&d=%&e=%+1", encoding_rs::UTF_8).unwrap(),
            json!({"a": "b c%zz%4", "d": "%", "e": "% 1"})
        );
        for no in ["", "<html>", "{}", "a=1&b"] {
            assert!(read_form(no.as_bytes(), encoding_rs::UTF_8).is_err(), "{no}");
        }
        assert!(pairs(json!({"a": "\u{20BB7}"}).as_object().unwrap(), gbk).is_err());
    }
}
