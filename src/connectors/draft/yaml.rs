//! YAML written with comments, which no serializer of ours writes.

use serde_json::Value as Json;

use super::Guess;

#[derive(Clone, Debug)]
pub enum Node {
    /// Written as it is: a number, `true`.
    Plain(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Clone, Debug)]
pub struct Entry {
    key: String,
    value: Node,
    guess: Option<Guess>,
}

impl Entry {
    pub fn new(key: &str, value: Node) -> Self {
        Self { key: key.to_owned(), value, guess: None }
    }
    pub fn guess(self, guess: impl Into<Option<Guess>>) -> Self {
        Self { guess: guess.into(), ..self }
    }
}

impl Node {
    pub fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
    pub fn plain(text: &str) -> Self {
        Self::Plain(text.to_owned())
    }
    pub fn map<const N: usize>(entries: [Entry; N]) -> Self {
        Self::Map(entries.into())
    }
    pub fn from_json(json: &Json) -> Self {
        match json {
            Json::String(text) => Self::text(text),
            Json::Array(items) => Self::List(items.iter().map(Self::from_json).collect()),
            Json::Object(map) => Self::Map(map.iter().map(|(k, v)| Entry::new(k, Self::from_json(v))).collect()),
            other => Self::Plain(other.to_string()),
        }
    }

    /// On one line, where it is short and has no comment inside.
    fn flow(&self) -> Option<String> {
        Some(match self {
            Self::Plain(text) => text.clone(),
            Self::Text(text) => quoted(text),
            Self::List(items) => format!("[{}]", items.iter().map(Self::flow).collect::<Option<Vec<_>>>()?.join(", ")),
            Self::Map(entries) => {
                let one =
                    |e: &Entry| Some(format!("{}: {}", quoted(&e.key), e.value.flow().filter(|_| e.guess.is_none())?));
                format!("{{{}}}", entries.iter().map(one).collect::<Option<Vec<_>>>()?.join(", "))
            }
        })
    }
}

/// The whole file.
pub fn written(root: &[Entry]) -> String {
    let mut out = String::new();
    for entry in root {
        put(&mut out, 0, "", entry);
    }
    out
}

/// `lead`: what stands before the key of the first line, for entries in lists.
fn put(out: &mut String, depth: usize, lead: &str, entry: &Entry) {
    let indent =
        if lead.is_empty() { "  ".repeat(depth) } else { format!("{}{lead}", "  ".repeat(depth.saturating_sub(1))) };
    let comment =
        entry.guess.as_ref().map(|g| format!("  # {} %: {}", g.percent, one_line(&g.why))).unwrap_or_default();
    let key = quoted(&entry.key);
    let short = entry
        .value
        .flow()
        .filter(|text| text.len() + 2 * depth < 110 && (depth > 0 || !matches!(entry.value, Node::Map(_))));
    match (&entry.value, short) {
        (_, Some(text)) => out.push_str(&format!("{indent}{key}: {text}{comment}\n")),
        (Node::Map(entries), None) => {
            out.push_str(&format!("{indent}{key}:{comment}\n"));
            for entry in entries {
                put(out, depth + 1, "", entry);
            }
        }
        (Node::List(items), None) => {
            out.push_str(&format!("{indent}{key}:{comment}\n"));
            for item in items {
                match (item, item.flow().filter(|text| text.len() + 2 * depth < 110)) {
                    (_, Some(text)) => out.push_str(&format!("{}- {text}\n", "  ".repeat(depth + 1))),
                    (Node::Map(entries), None) => {
                        for (n, entry) in entries.iter().enumerate() {
                            put(out, depth + 2, if n == 0 { "- " } else { "" }, entry);
                        }
                    }
                    (other, None) => {
                        let text = other.flow().unwrap_or_default();
                        out.push_str(&format!("{}- {text}\n", "  ".repeat(depth + 1)));
                    }
                }
            }
        }
        (other, None) => {
            let text = other.flow().unwrap_or_default();
            out.push_str(&format!("{indent}{key}: {text}{comment}\n"));
        }
    }
}

/// A comment ends at its line's end, whatever a stranger's file holds.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A plain word where YAML cannot take it for anything else, else in double quotes, which know JSON's escapes.
fn quoted(text: &str) -> String {
    let word = text.starts_with(|c: char| c.is_alphabetic() || c == '/')
        && text.chars().all(|c| c.is_alphanumeric() || "._-/".contains(c))
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"]
            .contains(&text.to_ascii_lowercase().as_str());
    if word { text.to_owned() } else { Json::from(text).to_string() }
}
