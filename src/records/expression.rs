//! The expressions and templates of rules.yaml: minijinja with fuel, strict about nothing that a call may lack.

use std::collections::BTreeMap;

use minijinja::{Environment, UndefinedBehavior, syntax::SyntaxConfig, value::ValueKind};
use serde_json::Value;

/// Steps that one template may take; the longest of ours takes some hundred. 10,000 end in well under a millisecond.
const FUEL: u64 = 10_000;
/// What one text may become, bytes.
const MOST: usize = 64 * 1024;

fn environment<'a>() -> Environment<'a> {
    let mut env = Environment::new();
    env.set_fuel(Some(FUEL));
    env.set_recursion_limit(32);
    // A record lacks what its feed cannot know; a rule that asks for it gets nothing, not an error.
    env.set_undefined_behavior(UndefinedBehavior::Chainable);
    env.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
        env.set_syntax(syntax);
    }
    env
}

/// The value of a bare expression; null where it is nothing.
///
/// # Errors
/// It cannot be read, or took too long. The text is fit for an operator and holds no values.
pub fn value(text: &str, context: &Value) -> Result<Value, String> {
    let env = environment();
    let compiled = env.compile_expression(text).map_err(|e| told(&e))?;
    let value = compiled.eval(plain(context)).map_err(|e| told(&e))?;
    json(&value, 0)
}

/// A leaf of `inputs:`: text with `{{ }}` in it; a text that is one `{{ expression }}` keeps its value's kind.
///
/// # Errors
/// As [`value`].
pub fn leaf(text: &str, context: &Value) -> Result<Value, String> {
    if let Some(one) = alone(text) {
        return value(one, context);
    }
    let env = environment();
    let said = env.render_str(text, plain(context)).map_err(|e| told(&e))?;
    if said.len() > MOST {
        return Err(format!("gives more than {MOST} bytes"));
    }
    Ok(Value::String(said.trim_end().to_owned()))
}

/// Whether it can be read at all.
///
/// # Errors
/// What is wrong with it.
pub fn check(text: &str, bare: bool) -> Result<(), String> {
    let env = environment();
    match (bare, alone(text)) {
        (true, _) => env.compile_expression(text).map(|_| ()).map_err(|e| told(&e)),
        (false, Some(one)) => env.compile_expression(one).map(|_| ()).map_err(|e| told(&e)),
        (false, None) => env.template_from_str(text).map(|_| ()).map_err(|e| told(&e)),
    }
}

#[must_use]
pub fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(yes) => *yes,
        Value::Number(n) => n.as_f64().is_some_and(|n| n != 0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

/// serde_json keeps numbers as their digits (`arbitrary_precision`), which minijinja would see as maps: they are handed over as numbers.
fn plain(value: &Value) -> minijinja::Value {
    match value {
        Value::Null => minijinja::Value::from(()),
        Value::Bool(yes) => (*yes).into(),
        Value::Number(n) => match (n.as_i64(), n.as_u64()) {
            (Some(n), _) => n.into(),
            (_, Some(n)) => n.into(),
            // Money stays decimal: a fraction is text to templates.
            _ => n.to_string().into(),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(list) => list.iter().map(plain).collect::<Vec<_>>().into(),
        // Through a map of its own: minijinja collects an iterator of pairs into a list of pairs.
        Value::Object(map) => {
            map.iter().map(|(name, value)| (name.clone(), plain(value))).collect::<BTreeMap<_, _>>().into()
        }
    }
}

fn json(value: &minijinja::Value, depth: usize) -> Result<Value, String> {
    let no_json = || "gives a value that is no JSON".to_owned();
    if depth > 64 {
        return Err(no_json());
    }
    Ok(match value.kind() {
        ValueKind::Undefined | ValueKind::None => Value::Null,
        ValueKind::Bool => value.is_true().into(),
        ValueKind::Number => value
            .as_i64()
            .map(Value::from)
            .or_else(|| value.to_string().parse().ok().map(Value::Number))
            .ok_or_else(no_json)?,
        ValueKind::String => value.as_str().unwrap_or_default().into(),
        ValueKind::Seq | ValueKind::Iterable => {
            let items = value.try_iter().map_err(|_| no_json())?;
            items.map(|item| json(&item, depth + 1)).collect::<Result<Vec<_>, _>>()?.into()
        }
        ValueKind::Map => {
            let keys = value.try_iter().map_err(|_| no_json())?;
            let map: Result<serde_json::Map<_, _>, String> = keys
                .map(|key| Ok((key.to_string(), json(&value.get_item(&key).map_err(|_| no_json())?, depth + 1)?)))
                .collect();
            map?.into()
        }
        _ => return Err(no_json()),
    })
}

fn alone(text: &str) -> Option<&str> {
    let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    (!inner.contains("{{") && !inner.contains("{%")).then_some(inner.trim())
}

/// The kind and, for syntax, the detail; never a value.
fn told(error: &minijinja::Error) -> String {
    match (error.kind(), error.detail()) {
        (minijinja::ErrorKind::SyntaxError, Some(detail)) => format!("syntax error: {detail}"),
        (kind, _) => kind.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_template_sees_into_the_record_and_what_is_not_there_is_nothing() {
        let context = json!({"record": {"outcome": "abandoned", "customer": {"e164": "+8613800138000"}}, "line": null});
        assert_eq!(leaf("{{ record.outcome }}", &context), Ok(json!("abandoned")));
        assert_eq!(leaf("{{ record.customer }}", &context), Ok(json!({"e164": "+8613800138000"})));
        let text =
            "{% if line %}{{ line }}: {% endif %}{{ record.outcome }} {{ customer.name or record.customer.e164 }}";
        assert_eq!(leaf(text, &context), Ok(json!("abandoned +8613800138000")));
        assert_eq!(value("ticket", &context), Ok(Value::Null));
    }
}
