//! An answer's bytes as the value that a file's rules see.

use serde_json::Value;

use super::{charset::Charsets, file::Decode, rpc, soap, wire};

/// An answer that was read.
pub struct Answer {
    pub body: Value,
    /// Its protocol says that it is none: a fault of SOAP or XML-RPC, an error of JSON-RPC, errors of GraphQL without data. No rule makes a success of it.
    pub fault: bool,
}

/// `id`: that of a call of JSON-RPC. The body is null for `empty`.
///
/// # Errors
/// A fragment that says why it is not of the promised type; nothing of the body is repeated.
pub fn read(
    kind: &Decode,
    bytes: &[u8],
    content_type: Option<&str>,
    charsets: Charsets,
    id: u32,
) -> Result<Answer, String> {
    let text = || charsets.decode(bytes, content_type, false);
    let json = || wire::read_json(&text());
    let xml = |lists: &[String]| wire::read_xml(&charsets.decode(bytes, content_type, true), lists);
    let (body, fault) = match kind {
        Decode::Empty => (Value::Null, false),
        Decode::Text => (Value::String(text().into_owned()), false),
        Decode::Json => (json()?, false),
        Decode::Xml(kind) => (xml(&kind.lists)?, false),
        Decode::Form => (wire::read_form(bytes, charsets.of_answer(content_type))?, false),
        Decode::Soap(kind) => soap::open(xml(&kind.lists)?)?,
        Decode::Xmlrpc => rpc::open_xml(&xml(&[])?)?,
        Decode::Jsonrpc => rpc::open_json(json()?, id)?,
        Decode::Graphql => rpc::open_graphql(json()?)?,
    };
    Ok(Answer { body, fault })
}
