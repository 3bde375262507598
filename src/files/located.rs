//! A YAML text as a tree in which every node knows its place, the schema over it, and serde last.

use std::collections::HashMap;
use std::fmt::Write as _;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use schemars::JsonSchema;
use serde::de::{self, Deserialize, DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use serde_saphyr::Spanned;

use super::{Problem, Read, SHAPES};

/// Line and column of every key and value, by JSON pointer.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    file: String,
    values: HashMap<String, (u32, u32)>,
    keys: HashMap<String, (u32, u32)>,
}

impl Places {
    pub(super) fn problem(&self, key: &str, found: String, wanted: String) -> Problem {
        let mut problem = self.problem_at(&pointer_of(key), found, wanted);
        problem.key = key.to_owned();
        problem
    }

    pub(super) fn problem_at(&self, pointer: &str, found: String, wanted: String) -> Problem {
        let (key, mut pointer) = (key_of(pointer), pointer.to_owned());
        let place = loop {
            if let Some(place) = self.keys.get(&pointer).or_else(|| self.values.get(&pointer)) {
                break *place;
            }
            match pointer.rfind('/') {
                Some(cut) => pointer.truncate(cut),
                None => break (0, 0),
            }
        };
        Problem { file: self.file.clone(), line: place.0, column: place.1, key, found, wanted, ..Problem::default() }
    }

    pub(super) fn of(&self, pointer: &str) -> (u32, u32) {
        self.keys.get(pointer).copied().unwrap_or((0, 0))
    }

    pub(super) fn of_value(&self, pointer: &str) -> (u32, u32) {
        self.values.get(pointer).copied().unwrap_or((0, 0))
    }

    fn at_value(&self, pointer: &str, found: String, wanted: String) -> Problem {
        let (line, column) = self.values.get(pointer).copied().unwrap_or((0, 0));
        Problem { file: self.file.clone(), line, column, key: key_of(pointer), found, wanted, ..Problem::default() }
    }

    fn at_key(&self, pointer: &str, found: String, wanted: String) -> Problem {
        let (line, column) = self.keys.get(pointer).copied().unwrap_or((0, 0));
        Problem { file: self.file.clone(), line, column, key: key_of(pointer), found, wanted, ..Problem::default() }
    }
}

pub(super) fn read<T: DeserializeOwned + JsonSchema>(file: &str, text: &str) -> Result<Read<T>, Vec<Problem>> {
    let whole = |error: &serde_saphyr::Error, wanted: &str| {
        let (line, column) = error.location().map_or((0, 0), |l| (small(l.line()), small(l.column())));
        // The rendered snippet repeats the file's text, which may hold a secret: only the message is told.
        let found = error.without_snippet().to_string();
        let found = found.lines().next().unwrap_or_default().to_owned();
        vec![Problem { file: file.to_owned(), line, column, found, wanted: wanted.to_owned(), ..Problem::default() }]
    };
    let tree: Spanned<Node> =
        serde_saphyr::from_str_with_options(text, options()).map_err(|e| whole(&e, "this is not YAML as it stands"))?;
    let mut places = Places { file: file.to_owned(), ..Places::default() };
    let value = settle(&tree, String::new(), &mut places);

    let schema = schemars::SchemaGenerator::default().into_root_schema_for::<T>();
    let validator = jsonschema::validator_for(schema.as_value()).expect("a schema made by schemars is a valid schema");
    let mut problems = Vec::new();
    for error in validator.iter_errors(&value) {
        told(&error, &places, &mut problems);
    }
    if !problems.is_empty() {
        problems.sort_by(|a, b| (a.line, a.column, &a.key).cmp(&(b.line, b.column, &b.key)));
        problems.dedup();
        return Err(problems);
    }
    let value = serde_saphyr::from_str_with_options(text, options()).map_err(|e| whole(&e, ""))?;
    Ok(Read { value, places })
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        no_schema: false,
        with_snippet: false,
    }
}

/// One schema error as problems: it goes down into the branch of an `anyOf` or `oneOf` that fits best, for "none of the shapes
/// fits" helps nobody.
fn told(error: &jsonschema::ValidationError<'_>, places: &Places, out: &mut Vec<Problem>) {
    let pointer = error.instance_path().to_string();
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            for name in unexpected {
                let at = format!("{pointer}/{}", escape(name));
                out.push(places.at_key(&at, "this key is not known here".to_owned(), known_keys(error)));
            }
        }
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            out.push(places.at_value(&pointer, format!("the key \"{name}\" is missing"), format!("add \"{name}:\"")));
        }
        ValidationErrorKind::Type { kind } => {
            let wanted = match kind {
                TypeKind::Single(one) => format!("a {one} is wanted"),
                TypeKind::Multiple(many) => {
                    let names: Vec<String> = many.iter().map(|t| t.to_string()).filter(|t| t != "null").collect();
                    format!("a {} is wanted", names.join(" or "))
                }
            };
            let quote = if wanted.contains("string") && error.instance().is_number() {
                " (put it in quotes: numbers of phones and lines are text)"
            } else {
                ""
            };
            let [code, ..] = SHAPES;
            let names = wanted.trim_start_matches("a ").trim_end_matches(" is wanted").to_owned();
            let problem = places.at_value(&pointer, format!("found {}", shown(error.instance())), wanted + quote);
            out.push(problem.coded(code, &[("type", &names)]));
        }
        ValidationErrorKind::Enum { options } => {
            let words: Vec<String> = options
                .as_array()
                .into_iter()
                .flatten()
                .map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned))
                .collect();
            let ([_, code, _], words) = (SHAPES, words.join(", "));
            let found = format!("found {}", shown(error.instance()));
            out.push(places.at_value(&pointer, found, format!("one of: {words}")).coded(code, &[("words", &words)]));
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            // The branch whose errors lie deepest is the one the writer meant.
            let depth = |branch: &Vec<jsonschema::ValidationError<'static>>| {
                branch.iter().map(|e| e.instance_path().to_string().matches('/').count()).max().unwrap_or(0)
            };
            let null = |branch: &&Vec<jsonschema::ValidationError<'static>>| !matches!(branch.as_slice(), [one] if matches!(one.kind(), ValidationErrorKind::Type { kind: TypeKind::Single(t) } if t.to_string() == "null"));
            match context.iter().filter(null).max_by_key(|b| (depth(b), std::cmp::Reverse(b.len()))) {
                Some(branch) => branch.iter().for_each(|e| told(e, places, out)),
                None => {
                    out.push(places.at_value(&pointer, format!("found {}", shown(error.instance())), error.to_string()))
                }
            }
        }
        _ => {
            let [.., code] = SHAPES;
            let found = format!("found {}", shown(error.instance()));
            out.push(places.at_value(&pointer, found, error.masked().to_string()).coded(code, &[]));
        }
    }
}

/// The keys an object may have are in the schema beside the failing keyword; the error carries only the instance, so they are
/// named where serde's own message would: nowhere better than the example files.
fn known_keys(_error: &jsonschema::ValidationError<'_>) -> String {
    "see the example file in config/ for the keys there are".to_owned()
}

/// The kind of a value and, for short scalars, its text. Text of strings is not repeated: it may be a secret in the wrong place.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(b) => format!("the boolean {b}"),
        Value::Number(n) => format!("the number {n}"),
        Value::String(s) if s.len() <= 24 && s.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) => {
            format!("\"{s}\"")
        }
        Value::String(_) => "a text".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a map".to_owned(),
    }
}

fn settle(node: &Spanned<Node>, pointer: String, places: &mut Places) -> Value {
    places.values.insert(pointer.clone(), (small(node.referenced.line()), small(node.referenced.column())));
    match &node.value {
        Node::Scalar(value) => value.clone(),
        Node::List(items) => Value::Array(
            items.iter().enumerate().map(|(i, item)| settle(item, format!("{pointer}/{i}"), places)).collect(),
        ),
        Node::Map(entries) => {
            let mut map = Map::new();
            for (key, value) in entries {
                let at = format!("{pointer}/{}", escape(&key.value));
                places.keys.insert(at.clone(), (small(key.referenced.line()), small(key.referenced.column())));
                let value = settle(value, at, places);
                map.insert(key.value.clone(), value);
            }
            Value::Object(map)
        }
    }
}

fn small(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// `/rows/3/dialled` as people write it: `rows[3].dialled`.
fn key_of(pointer: &str) -> String {
    let mut key = String::new();
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        if part.bytes().all(|b| b.is_ascii_digit()) && !part.is_empty() {
            let _ = write!(key, "[{part}]");
        } else {
            if !key.is_empty() {
                key.push('.');
            }
            key.push_str(&part);
        }
    }
    key
}

fn pointer_of(key: &str) -> String {
    let mut pointer = String::new();
    for part in key.split('.') {
        let mut rest = part;
        while let Some(open) = rest.find('[') {
            let (name, tail) = rest.split_at(open);
            if !name.is_empty() {
                let _ = write!(pointer, "/{}", escape(name));
            }
            let (index, tail) = tail.trim_start_matches('[').split_once(']').unwrap_or((tail, ""));
            let _ = write!(pointer, "/{index}");
            rest = tail;
        }
        if !rest.is_empty() {
            let _ = write!(pointer, "/{}", escape(rest));
        }
    }
    pointer
}

enum Node {
    Scalar(Value),
    List(Vec<Spanned<Node>>),
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NodeVisitor;
        impl<'de> Visitor<'de> for NodeVisitor {
            type Value = Node;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("any YAML value")
            }
            fn visit_bool<E: de::Error>(self, v: bool) -> Result<Node, E> {
                Ok(Node::Scalar(v.into()))
            }
            fn visit_i64<E: de::Error>(self, v: i64) -> Result<Node, E> {
                Ok(Node::Scalar(v.into()))
            }
            fn visit_u64<E: de::Error>(self, v: u64) -> Result<Node, E> {
                Ok(Node::Scalar(v.into()))
            }
            fn visit_f64<E: de::Error>(self, v: f64) -> Result<Node, E> {
                Ok(Node::Scalar(v.into()))
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<Node, E> {
                Ok(Node::Scalar(v.into()))
            }
            fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
                Ok(Node::Scalar(Value::Null))
            }
            fn visit_none<E: de::Error>(self) -> Result<Node, E> {
                Ok(Node::Scalar(Value::Null))
            }
            fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<Node, D::Error> {
                Node::deserialize(d)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Node::List(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Node::Map(entries))
            }
        }
        deserializer.deserialize_any(NodeVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct File {
        rows: Vec<Row>,
        mode: Option<Mode>,
    }
    #[derive(Debug, serde::Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Row {
        dialled: Option<String>,
        title: String,
    }
    #[derive(Debug, serde::Deserialize, JsonSchema)]
    #[serde(rename_all = "kebab-case")]
    #[allow(dead_code)]
    enum Mode {
        Quiet,
        Loud,
    }

    #[test]
    fn three_mistakes_are_told_together_each_with_its_place() {
        let text = "rows:\n  - dialled: 4008001234\n    title: Sales\n  - titel: Support\nmode: silent\n";
        let problems = read::<File>("trunks.yaml", text).unwrap_err();
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "trunks.yaml:2:14: rows[0].dialled: found the number 4008001234; a string is wanted (put it in quotes: numbers of phones and lines are text)",
                "trunks.yaml:4:5: rows[1]: the key \"title\" is missing; add \"title:\"",
                "trunks.yaml:4:5: rows[1].titel: this key is not known here; see the example file in config/ for the keys there are",
                "trunks.yaml:5:7: mode: found \"silent\"; one of: quiet, loud",
            ]
        );
    }

    #[test]
    fn a_good_file_keeps_its_places_for_later_checks() {
        let read = read::<File>("trunks.yaml", "rows:\n  - title: A\n  - title: B\n    dialled: '021'\n").unwrap();
        assert_eq!(read.value.rows.len(), 2);
        let problem = read.problem("rows[1].dialled", "twice", "once");
        assert_eq!((problem.line, problem.column), (4, 5));
        assert_eq!(read.problem("rows[1].brand", "", "").line, 3);
    }

    #[test]
    fn text_that_is_no_yaml_names_its_line() {
        let problems = read::<File>("x.yaml", "rows:\n  - a: [1\n").unwrap_err();
        assert!(problems[0].line >= 2, "{problems:?}");
    }
}
