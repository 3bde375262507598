//! The one expression language: minijinja, strict, with fuel and a cap on what it may write.
//!
//! Escaping is chosen by the place: what stands in a path is percent-encoded, JSON and XML are built as
//! structures, values in a directory's filter and in HTML are escaped as they want it. For query languages inside a text there are filters. No files, no environment, no secrets are in sight.

use std::{io, sync::LazyLock};

use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Expression, State, UndefinedBehavior,
    value::{Value, ValueKind},
};

use regex::Regex;

use crate::{numbers::Plan, words::percent};

use super::ldap::filter;
use super::value::{Decimal, Omit, from_json, to_json};

/// Steps of the machine for one evaluation: some thousand records mapped, or a loop stopped within milliseconds.
const FUEL: u64 = 200_000;
/// What one template may write. A note is a few KiB.
const OUTPUT_CAP: usize = 256 * 1024;

static EXPRESSIONS: LazyLock<Environment<'static>> = LazyLock::new(environment);

/// The environment with our filters. One for all expressions; each file has one of its own for its templates.
#[must_use]
pub fn environment() -> Environment<'static> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_fuel(Some(FUEL));
    env.set_recursion_limit(50);
    env.set_auto_escape_callback(|name| match name.split_once('/') {
        Some((place @ ("path" | "filter" | "dn"), _)) => AutoEscape::Custom(place.to_owned().into()),
        Some(("html", _)) => AutoEscape::Html,
        _ => AutoEscape::None,
    });
    env.set_formatter(|out, state, value| {
        if value.is_undefined() {
            return Err(Error::from(ErrorKind::UndefinedError));
        }
        if value.is_none() {
            return Ok(());
        }
        let text = value.to_string();
        let text = match state.auto_escape() {
            AutoEscape::Custom(place) => match place.as_ref() {
                "filter" | "dn" if value.is_safe() => text,
                "filter" => filter::value(&text),
                "dn" => filter::name(&text),
                _ => percent(&text),
            },
            AutoEscape::Html => return minijinja::escape_formatter(out, state, value),
            _ => text,
        };
        out.write_str(&text).map_err(Error::from)
    });
    env.add_global("omit", Value::from_object(Omit));
    // The language's own test holds for what is not there (minijinja 3, tests.rs): "body.items is sequence" would take an answer without items for a good one.
    env.add_test("sequence", |value: &Value| value.kind() == ValueKind::Seq);
    env.add_filter("digits", |text: Value| text_of(&text).chars().filter_map(digit).collect::<String>());
    env.add_filter("e164", |state: &State, text: Value| plan_of(state).read(&text_of(&text)).key().map(str::to_owned));
    env.add_filter("national", |state: &State, text: Value| national(&plan_of(state), &text_of(&text)));
    env.add_filter("fullwidth", |text: Value| {
        let wide = |c: char| match c {
            '0'..='9' => char::from_u32(c as u32 - '0' as u32 + '０' as u32).unwrap_or(c),
            _ => c,
        };
        text_of(&text).chars().map(wide).collect::<String>()
    });
    env.add_filter("like", |text: Value| {
        let digits: Vec<String> = text_of(&text).chars().filter_map(digit).map(String::from).collect();
        format!("%{}%", digits.join("%"))
    });
    env.add_filter("money", money);
    env.add_filter("field", custom_field);
    env.add_filter("from_ms", |ms: i64| time(jiff::Timestamp::from_millisecond(ms)));
    env.add_filter("from_s", |s: i64| time(jiff::Timestamp::from_second(s)));
    env.add_filter("urlencode", |text: Value| percent(&text_of(&text)));
    env.add_filter("xml", |text: Value| quick_xml::escape::escape(text_of(&text)).into_owned());
    env.add_filter("odata", |text: Value| text_of(&text).replace('\'', "''"));
    env.add_filter("sqlish", |text: Value| text_of(&text).replace('\'', "''"));
    env.add_filter("soql", |text: Value| backslashed(&text_of(&text), "\\'\""));
    env.add_filter("sosl", |text: Value| backslashed(&text_of(&text), "?&|!{}[]()^~*:\\\"'+-"));
    env.add_filter("jql", |text: Value| backslashed(&text_of(&text), "\\\""));
    super::sign::filters(&mut env);
    super::rows::filters(&mut env);
    env.add_filter("between", |text: String, before: String, after: String| {
        let found = text.split_once(&before).and_then(|(_, rest)| rest.split_once(&after));
        found.map(|(inside, _)| inside.to_owned())
    });
    env.add_filter("json_text", |value: Value| -> Result<String, Error> {
        let json = to_json(&value).map_err(said_by_us)?;
        Ok(json.unwrap_or_default().to_string())
    });
    env.add_filter("from_json", |text: String| -> Result<Value, Error> {
        let json: serde_json::Value =
            serde_json::from_str(&text).map_err(|_| said_by_us("the text is no JSON".to_owned()))?;
        Ok(from_json(&json))
    });
    env
}

/// A compiled expression.
pub struct Compiled {
    expression: Expression<'static, 'static>,
    text: Box<str>,
}

impl Compiled {
    /// # Errors
    /// What the language says of the text.
    pub fn new(text: &str) -> Result<Self, String> {
        if let Some(unknown) = unknown_word(text, false) {
            return Err(unknown);
        }
        let expression = EXPRESSIONS.compile_expression_owned(text.to_owned()).map_err(|e| said(&e))?;
        Ok(Self { expression, text: text.into() })
    }
    /// # Errors
    /// What went wrong, without the values.
    pub fn eval(&self, context: &Value) -> Result<Value, String> {
        self.expression.eval(context.clone()).map_err(|e| said(&e))
    }
    /// As the file writes it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
    /// The names it looks up.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.expression.undeclared_variables(false).into_iter().collect()
    }
    /// False where it cannot be worked out.
    #[must_use]
    pub fn holds(&self, context: &Value) -> bool {
        self.eval(context).is_ok_and(|v| v.is_true())
    }
}

/// What a text looks up outside itself, with what it asks of it: `inputs.amount`. Bare expressions, or templates.
///
/// # Errors
/// What the language says of the text.
pub fn looked_up(text: &str, bare: bool) -> Result<std::collections::HashSet<String>, String> {
    Ok(if bare {
        EXPRESSIONS.compile_expression_owned(text.to_owned()).map_err(|e| said(&e))?.undeclared_variables(true)
    } else {
        EXPRESSIONS.template_from_str(text).map_err(|e| said(&e))?.undeclared_variables(true)
    })
}

/// The language looks a filter or test up only when it runs; a misspelt one is to be told when the file is read. Texts in
/// quotes are passed over. `template`: only what stands in `{{ }}` and `{% %}` counts.
#[must_use]
pub fn unknown_word(text: &str, template: bool) -> Option<String> {
    static QUOTED: LazyLock<Regex> = LazyLock::new(|| regex(r#"'[^']*'|"[^"]*""#));
    static INSIDE: LazyLock<Regex> = LazyLock::new(|| regex(r"(?s)\{[{%](.*?)[%}]\}"));
    static USES: LazyLock<Regex> = LazyLock::new(|| regex(r"\|\s*([A-Za-z_]\w*)|\bis\s+(?:not\s+)?([A-Za-z_]\w*)"));
    let parts: Vec<&str> = if template {
        INSIDE.captures_iter(text).filter_map(|c| Some(c.get(1)?.as_str())).collect()
    } else {
        vec![text]
    };
    for part in parts {
        let bare = QUOTED.replace_all(part, "''");
        for found in USES.captures_iter(&bare) {
            let (kind, probe, name) = match (found.get(1), found.get(2)) {
                (Some(filter), _) => ("filter", format!("none|{}", filter.as_str()), filter.as_str()),
                (_, Some(test)) => ("test", format!("none is {}", test.as_str()), test.as_str()),
                _ => continue,
            };
            let Ok(probe) = EXPRESSIONS.compile_expression_owned(probe) else { continue };
            if let Err(error) = probe.eval(Value::from(()))
                && matches!(error.kind(), ErrorKind::UnknownFilter | ErrorKind::UnknownTest)
            {
                return Some(format!("there is no {kind} \"{name}\""));
            }
        }
    }
    None
}

fn regex(text: &str) -> Regex {
    Regex::new(text).expect("a pattern of ours that the tests compile")
}

/// Renders the template of that name.
///
/// # Errors
/// What went wrong, without the values.
pub fn render(env: &Environment<'static>, name: &str, context: &Value) -> Result<String, String> {
    let mut out = Capped(Vec::new());
    env.get_template(name)
        .and_then(|template| template.render_captured_to(context.clone(), &mut out).map(drop))
        .map_err(|e| said(&e))?;
    String::from_utf8(out.0).map_err(|_| "the text is no UTF-8".to_owned())
}

/// The kind of error and the language's own detail, which names variables and filters; values stand in neither, except
/// that a wrong conversion repeats one: that detail is cut.
fn said(error: &Error) -> String {
    if let Some(ours) = std::error::Error::source(error).and_then(|source| source.downcast_ref::<Ours>()) {
        return ours.to_string();
    }
    let kind = error.kind().to_string();
    match error.kind() {
        ErrorKind::SyntaxError | ErrorKind::UnknownFilter | ErrorKind::UnknownFunction | ErrorKind::UnknownTest => {
            error.detail().map_or(kind.clone(), |detail| format!("{kind}: {detail}"))
        }
        _ => kind,
    }
}

/// What a filter of ours says of its input, in words that hold nothing of it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Ours(String);

/// An error whose text is told; what the language says itself may repeat a value and is not.
pub fn said_by_us(text: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, text.clone()).with_source(Ours(text))
}

struct Capped(Vec<u8>);

impl io::Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > OUTPUT_CAP {
            return Err(io::Error::other("the text is too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The digits that are dialled inside the country: of `+8613800138000`, `13800138000`; of `+862161234567`, `02161234567`.
#[must_use]
pub fn national(plan: &Plan, text: &str) -> String {
    let number = plan.read(text);
    let key = number.key().unwrap_or_default();
    match key.strip_prefix("+86") {
        Some(rest) if number.class == crate::numbers::Class::Geographic => format!("0{rest}"),
        Some(rest) => rest.to_owned(),
        None => key.chars().filter_map(digit).collect(),
    }
}

pub fn text_of(value: &Value) -> String {
    if value.is_none() || value.is_undefined() { String::new() } else { value.to_string() }
}

/// A digit, full-width ones as ordinary.
pub fn digit(c: char) -> Option<char> {
    match c {
        '0'..='9' => Some(c),
        '０'..='９' => char::from_u32(c as u32 - '０' as u32 + '0' as u32),
        _ => None,
    }
}

fn backslashed(text: &str, what: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if what.contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// The file's number plan stands in the context as `numbers`.
fn plan_of(state: &State) -> Plan {
    let part = |key: &str| {
        let value = state.lookup("numbers")?.get_attr(key).ok()?;
        value.as_str().map(str::to_owned)
    };
    Plan::new(part("country").as_deref().unwrap_or("CN"), part("area").as_deref())
}

/// An amount as a decimal text with just the digits it came with; none for nothing. `¥` and thousands commas are taken off.
fn money(value: Value) -> Result<Option<String>, Error> {
    let wrong = || said_by_us("this is no amount of money".to_owned());
    let text = match value.kind() {
        ValueKind::None => return Ok(None),
        ValueKind::Number | ValueKind::String => value.to_string(),
        ValueKind::Plain => value.downcast_object_ref::<Decimal>().map(|d| d.0.clone()).ok_or_else(wrong)?,
        _ => return Err(wrong()),
    };
    let text: String = text.trim().trim_start_matches(['¥', '￥']).chars().filter(|c| *c != ',').collect();
    if text.is_empty() {
        return Ok(None);
    }
    let digits = text.strip_prefix('-').unwrap_or(&text);
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if all_digits(whole) && all_digits(part) { Ok(Some(text)) } else { Err(wrong()) }
}

/// `[{id, name, value}]` by id or name: the value, or none.
fn custom_field(list: Value, which: Value) -> Result<Value, Error> {
    let which = text_of(&which);
    for entry in list.try_iter()? {
        let is = |key: &str| entry.get_attr(key).is_ok_and(|v| !v.is_undefined() && text_of(&v) == which);
        if is("id") || is("name") || is("@id") || is("@name") {
            let value = entry.get_attr("value")?;
            return Ok(if value.is_undefined() { Value::from(()) } else { value });
        }
    }
    Ok(Value::from(()))
}

fn time(at: Result<jiff::Timestamp, jiff::Error>) -> Result<String, Error> {
    at.map(|t| t.to_string()).map_err(|_| said_by_us("this is no time".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eval(text: &str) -> Result<String, String> {
        let json: serde_json::Value = serde_json::from_str(
            r#"{"n":"+8613800138000","fixed":"021-6123 4567","odd":"it's \"1\"","amount":12800.50,
            "list":[{"id":2,"name":"手机","value":"138"},{"id":9,"value":null}],"numbers":{"country":"CN","area":"571"}}"#,
        )
        .unwrap();
        Compiled::new(text)?.eval(&from_json(&json)).map(|v| v.to_string())
    }

    #[test]
    fn filters_say_what_they_should() {
        for (text, wanted) in [
            ("n | national", "13800138000"),
            ("fixed | national", "02161234567"),
            ("fixed | e164", "+862161234567"),
            ("'87654321' | e164", "+8657187654321"),
            ("n | digits | like", "%8%6%1%3%8%0%0%1%3%8%0%0%0%"),
            ("(n | national)[:3] | fullwidth", "１３８"),
            ("amount | money", "12800.50"),
            ("'¥12,800.50' | money", "12800.50"),
            ("list | field(2)", "138"),
            ("list | field('手机')", "138"),
            ("list | field(7)", "None"),
            ("odd | odata", "it''s \"1\""),
            ("odd | soql", "it\\'s \\\"1\\\""),
            ("'a b/ü' | urlencode", "a%20b%2F%C3%BC"),
            ("'<a&b>' | xml", "&lt;a&amp;b&gt;"),
            ("0 | from_s", "1970-01-01T00:00:00Z"),
        ] {
            assert_eq!(eval(text).as_deref(), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn a_runaway_is_stopped_and_the_undefined_is_an_error() {
        let mut env = environment();
        env.add_template_owned(
            "text/1",
            "{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}",
        )
        .unwrap();
        env.add_template_owned("text/2", "{{ nothing }}").unwrap();
        env.add_template_owned("path/3", "/a/{{ n }}").unwrap();
        let context = Value::from_pairs([("n", Value::from("b/../c?d"))]);
        assert!(render(&env, "text/1", &context).is_err());
        assert!(render(&env, "text/2", &context).is_err());
        assert_eq!(render(&env, "path/3", &context).as_deref(), Ok("/a/b%2F..%2Fc%3Fd"));
        assert!(Compiled::new("nothing.more").unwrap().eval(&context).is_err());
        assert!(!Compiled::new("n.items is sequence").unwrap().holds(&context));
        assert!(Compiled::new("[] is sequence").unwrap().holds(&context));
        for (wrong, said) in [
            ("'twelve' | money", "no amount of money"),
            ("'{' | from_json", "no JSON"),
            ("1e18 | int | from_ms", "no time"),
        ] {
            let told = Compiled::new(wrong).unwrap().eval(&context).unwrap_err();
            assert!(told.contains(said), "{wrong}: {told}");
        }
        assert!(Compiled::new("a |").is_err());
    }
}
