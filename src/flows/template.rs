//! Inputs of steps: structures whose texts are expressions and templates of the connectors' language.

use std::collections::BTreeSet;

use minijinja::Environment;
use serde_json::{Map, Value};

use crate::connectors::{
    value::{from_json, to_json},
    words::{Compiled, looked_up, render, unknown_word},
};

/// A structure whose texts are templates. A text that is one `{{ expression }}` keeps its value's kind.
pub(super) enum Tree {
    Fixed(Value),
    Value(Compiled),
    /// The name of a template in the plan's environment.
    Text(String),
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
}

/// Takes texts in, and notes what they look up.
pub(super) struct Maker<'e> {
    pub env: &'e mut Environment<'static>,
    /// Names that were looked up since it was last emptied, with what they ask of them: `inputs.amount`.
    pub names: BTreeSet<String>,
}

impl Maker<'_> {
    pub fn expression(&mut self, text: &str) -> Result<Compiled, String> {
        let compiled = Compiled::new(text)?;
        self.names.extend(looked_up(text, true)?);
        Ok(compiled)
    }

    /// Problems by JSON pointer below the place of `value`.
    pub fn tree(&mut self, value: &Value, at: &str, problems: &mut Vec<(String, String)>) -> Tree {
        match value {
            Value::String(text) => match self.leaf(text) {
                Ok(tree) => tree,
                Err(why) => {
                    problems.push((at.to_owned(), why));
                    Tree::Fixed(Value::Null)
                }
            },
            Value::Array(items) => Tree::List(
                items.iter().enumerate().map(|(n, v)| self.tree(v, &format!("{at}/{n}"), problems)).collect(),
            ),
            Value::Object(map) => {
                let entries = map.iter().map(|(key, v)| {
                    let below = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                    (key.clone(), self.tree(v, &below, problems))
                });
                Tree::Map(entries.collect())
            }
            fixed => Tree::Fixed(fixed.clone()),
        }
    }

    fn leaf(&mut self, text: &str) -> Result<Tree, String> {
        if !text.contains("{{") && !text.contains("{%") {
            return Ok(Tree::Fixed(text.into()));
        }
        let inner = text.trim().strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
        if let Some(one) = inner.filter(|inner| !inner.contains("{{") && !inner.contains("{%")) {
            return self.expression(one.trim()).map(Tree::Value);
        }
        if let Some(unknown) = unknown_word(text, true) {
            return Err(unknown);
        }
        self.names.extend(looked_up(text, false)?);
        let name = format!("text/{}", self.env.templates().count());
        self.env.add_template_owned(name.clone(), text.to_owned()).map_err(|e| e.kind().to_string())?;
        Ok(Tree::Text(name))
    }
}

impl Tree {
    /// `None` for what is omitted.
    pub fn json(&self, env: &Environment<'static>, context: &minijinja::Value) -> Result<Option<Value>, String> {
        Ok(Some(match self {
            Self::Fixed(value) => value.clone(),
            Self::Value(expression) => return to_json(&expression.eval(context)?),
            Self::Text(name) => render(env, name, context)?.into(),
            Self::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for item in items {
                    list.extend(item.json(env, context)?);
                }
                list.into()
            }
            Self::Map(entries) => {
                let mut map = Map::new();
                for (key, tree) in entries {
                    if let Some(value) = tree.json(env, context)? {
                        map.insert(key.clone(), value);
                    }
                }
                map.into()
            }
        }))
    }
}

/// What an expression gives.
pub(super) fn value(expression: &Compiled, context: &minijinja::Value) -> Result<Value, String> {
    Ok(to_json(&expression.eval(context)?)?.unwrap_or(Value::Null))
}

/// As templates see it.
pub(super) fn context(map: Map<String, Value>) -> minijinja::Value {
    from_json(&Value::Object(map))
}
