//! The kinds of a request's body: what each is made of, and the bytes it becomes.
//!
//! Each is a structure first, in which a session's token or a signature has its place, and then a text in the file's character set. What is signed is what is sent.

use minijinja::{Environment, value::Value};
use serde_json::{Map, Value as Json};

use super::{
    charset::Charsets,
    compile::Maker,
    file::{self, JsonRpcVersion},
    rpc,
    set::{Leaf, Tree},
    soap::Envelope,
    wire,
};

pub(super) enum Body {
    Json(Tree),
    Form(Tree),
    /// In the address of a request that has no body.
    Query(Tree),
    Xml(Tree),
    /// `header` and `body`.
    Soap {
        tree: Tree,
        envelope: Envelope,
        action: Leaf,
    },
    /// `method` and `params`.
    XmlRpc(Tree),
    JsonRpc(Tree, JsonRpcVersion),
    /// `query`, `variables`, `operationName`.
    Graphql(Tree),
    Raw {
        content_type: String,
        text: Leaf,
    },
}

/// A body as it is sent.
pub(super) struct Written {
    pub bytes: Vec<u8>,
    pub content_type: String,
    pub header: Option<(String, String)>,
}

impl Body {
    /// What it is made of, where that is more than a text.
    pub fn structure(&self) -> Option<&Tree> {
        match self {
            Self::Json(tree) | Self::Form(tree) | Self::Query(tree) | Self::Xml(tree) | Self::Soap { tree, .. } => {
                Some(tree)
            }
            Self::XmlRpc(tree) | Self::JsonRpc(tree, _) | Self::Graphql(tree) => Some(tree),
            Self::Raw { .. } => None,
        }
    }

    /// The structure with its values; null where there is none.
    pub fn form(&self, env: &Environment<'static>, context: &Value) -> Result<Json, String> {
        let tree = self.structure().map(|tree| tree.json(env, context)).transpose()?;
        Ok(tree.flatten().unwrap_or(Json::Null))
    }

    /// The form as it is sent; `None` where it goes into the address.
    pub fn write(
        &self,
        form: &Json,
        env: &Environment<'static>,
        context: &Value,
        charsets: Charsets,
        id: u32,
    ) -> Result<Option<Written>, String> {
        let none = Map::new();
        let fields = form.as_object().unwrap_or(&none);
        let charset = charsets.name();
        let mut header = None;
        let (text, kind) = match self {
            Self::Query(_) => return Ok(None),
            Self::Json(_) | Self::Graphql(_) => (form.to_string(), "application/json".to_owned()),
            Self::JsonRpc(_, version) => {
                (rpc::write_json(fields, *version, id).to_string(), "application/json".to_owned())
            }
            Self::Form(_) => (wire::pairs(fields, charsets)?, "application/x-www-form-urlencoded".to_owned()),
            Self::Xml(tree) => (wire::write_xml(fields, Some(tree), charset)?, "application/xml".to_owned()),
            Self::XmlRpc(_) => (rpc::write_xml(fields, charset)?, "text/xml".to_owned()),
            Self::Soap { tree, envelope, action } => {
                let (kind, action) = envelope.types(&action.text(env, context)?, charset)?;
                header = action;
                (envelope.write(fields, tree, charset)?, kind)
            }
            Self::Raw { content_type, text } => (text.text(env, context)?, content_type.clone()),
        };
        Ok(Some(Written { bytes: charsets.encode(text)?, content_type: charsets.media_type(&kind), header }))
    }
}

impl Maker<'_> {
    pub(super) fn body(&mut self, at: &str, body: &file::Body) -> Body {
        match body {
            file::Body::Json(value) => Body::Json(self.tree(&format!("{at}/json"), value)),
            file::Body::Form(map) => Body::Form(self.map(&format!("{at}/form"), map)),
            file::Body::Query(map) => Body::Query(self.map(&format!("{at}/query"), map)),
            file::Body::Xml(map) => {
                if map.len() != 1 {
                    self.problem(&format!("{at}/xml"), "XML has one root", "one key");
                }
                Body::Xml(self.map(&format!("{at}/xml"), map))
            }
            file::Body::Soap(soap) => self.soap(&format!("{at}/soap"), soap),
            file::Body::Xmlrpc(call) => {
                let at = format!("{at}/xmlrpc");
                let params = call.params.iter().enumerate().map(|(n, v)| self.tree(&format!("{at}/params/{n}"), v));
                let params = Tree::List(params.collect());
                let method = Tree::Leaf(self.leaf(&format!("{at}/method"), &call.method, "text"));
                Body::XmlRpc(Tree::Map(vec![("method".to_owned(), method), ("params".to_owned(), params)]))
            }
            file::Body::Jsonrpc(call) => {
                let at = format!("{at}/jsonrpc");
                let method = Tree::Leaf(self.leaf(&format!("{at}/method"), &call.method, "text"));
                let params = call.params.as_ref().map(|params| self.tree(&format!("{at}/params"), params));
                if params.as_ref().is_some_and(|params| matches!(params, Tree::Fixed(_) | Tree::JsonText(_))) {
                    self.problem(&format!("{at}/params"), "these are no parameters", "a list or a map");
                }
                let params = params.map(|params| ("params".to_owned(), params));
                let entries = [("method".to_owned(), method)].into_iter().chain(params);
                Body::JsonRpc(Tree::Map(entries.collect()), call.version)
            }
            file::Body::Graphql(graphql) => self.graphql(&format!("{at}/graphql"), graphql),
            file::Body::Raw(raw) => Body::Raw {
                content_type: raw.content_type.clone(),
                text: self.leaf(&format!("{at}/raw/text"), &raw.text, "text"),
            },
        }
    }

    fn soap(&mut self, at: &str, soap: &file::Soap) -> Body {
        let prefix = |name: &str| name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(word);
        fn word(c: char) -> bool {
            c.is_ascii_alphanumeric() || ['-', '_', '.'].contains(&c)
        }
        for name in soap.namespaces.keys().filter(|name| *name == "soap" || name.starts_with("xml") || !prefix(name)) {
            let wanted = "a word that is neither soap nor begins with xml";
            self.problem(&format!("{at}/namespaces/{name}"), "this cannot be a prefix", wanted);
        }
        let header = self.map(&format!("{at}/header"), &soap.header);
        let body = self.map(&format!("{at}/body"), &soap.body);
        let action = self.leaf(&format!("{at}/action"), soap.action.as_deref().unwrap_or_default(), "text");
        let envelope = Envelope { version: soap.version, namespaces: soap.namespaces.clone() };
        Body::Soap { tree: Tree::Map(vec![("header".to_owned(), header), ("body".to_owned(), body)]), envelope, action }
    }

    fn graphql(&mut self, at: &str, graphql: &file::Graphql) -> Body {
        if graphql.query.contains("{{") || graphql.query.contains("{%") {
            let wanted = "a fixed text, with \"variables:\" for what differs";
            self.problem(&format!("{at}/query"), "a query is no template", wanted);
        }
        let text = |text: &str| Tree::Fixed(text.into());
        let mut entries = vec![
            ("query".to_owned(), text(&graphql.query)),
            ("variables".to_owned(), self.map(&format!("{at}/variables"), &graphql.variables)),
        ];
        entries.extend(graphql.operation.as_deref().map(|name| ("operationName".to_owned(), text(name))));
        Body::Graphql(Tree::Map(entries))
    }
}
