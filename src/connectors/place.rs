//! Places in a body that a session's token or a signature is put into: the way down to them, and whether a file's body has them at all.

use serde_json::Value as Json;

use super::{
    body::Body,
    set::{Leaf, Place, Tree},
};

const NOWHERE: &str = "the body has no place for it";

impl Place {
    /// Puts a value there, if the place is in the body.
    ///
    /// # Errors
    /// The body has no such place: a template made something else of what stands on the way.
    pub fn in_body(&self, value: &str, body: &mut Json) -> Result<(), &'static str> {
        let Self::Body(way) = self else { return Ok(()) };
        let (name, above) = way.split_last().ok_or(NOWHERE)?;
        let inside = above.iter().try_fold(body, |inside, part| match inside {
            Json::Array(items) => items.get_mut(index(part)?),
            inside => inside.get_mut(part),
        });
        match inside.ok_or(NOWHERE)? {
            Json::Object(map) => drop(map.insert(name.clone(), value.into())),
            Json::Array(items) => *index(name).and_then(|n| items.get_mut(n)).ok_or(NOWHERE)? = value.into(),
            _ => return Err(NOWHERE),
        }
        Ok(())
    }

    /// Whether a request with this body has such a place, as far as the file alone tells: what a template makes is not known before.
    pub fn fits(&self, body: Option<&Body>) -> Result<(), String> {
        let Self::Body(way) = self else { return Ok(()) };
        let tree = match body {
            None => return Err("this request has no body".to_owned()),
            Some(Body::Xml(_)) if way.len() < 2 => return Err("XML has one root, and this would be another".to_owned()),
            Some(Body::Soap { .. } | Body::XmlRpc(_) | Body::JsonRpc(..) | Body::Graphql(_)) if way.len() < 2 => {
                return Err("it would stand beside the call and not in it".to_owned());
            }
            Some(body) => body.structure().ok_or("this request's body is a text without places")?,
        };
        if leads(tree, way) { Ok(()) } else { Err(format!("the body has no place \"/{}\"", way.join("/"))) }
    }
}

/// In a map the last step may be a new name; in a list each must be there, for nobody knows what would belong before it.
fn leads(tree: &Tree, way: &[String]) -> bool {
    let Some((name, rest)) = way.split_first() else { return true };
    match tree {
        Tree::Map(entries) => match entries.iter().find(|(key, _)| key == name) {
            Some((_, inside)) => leads(inside, rest),
            None => rest.is_empty(),
        },
        Tree::List(items) => index(name).and_then(|n| items.get(n)).is_some_and(|inside| leads(inside, rest)),
        Tree::Leaf(Leaf::Value(_)) => true,
        Tree::Fixed(_) | Tree::Leaf(_) | Tree::JsonText(_) => false,
    }
}

fn index(part: &str) -> Option<usize> {
    part.parse().ok()
}
