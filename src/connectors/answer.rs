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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::connectors::file::XmlDecode;

    proptest! {
        /// Answers are a stranger's: whatever comes is read or refused.
        #[test]
        fn whatever_comes_is_read_or_refused(
            noise in proptest::collection::vec(any::<u8>(), 0..200),
            parts in proptest::collection::vec(proptest::sample::select(PARTS), 0..40),
            gbk in any::<bool>(),
        ) {
            let charsets = Charsets::named(gbk.then_some("gbk"), None).unwrap();
            let lists = || XmlDecode { lists: vec!["value".to_owned()] };
            for bytes in [noise, parts.concat().into_bytes()] {
                for kind in [
                    Decode::Json, Decode::Xml(lists()), Decode::Soap(lists()), Decode::Xmlrpc, Decode::Jsonrpc, Decode::Graphql, Decode::Form, Decode::Text,
                ] {
                    if let Ok(answer) = read(&kind, &bytes, None, charsets, 1) {
                        prop_assert!(!answer.fault || answer.body.is_object());
                    }
                }
            }
        }
    }

    /// What the protocols are made of.
    const PARTS: &[&str] = &[
        "<Envelope>",
        "</Envelope>",
        "<Body>",
        "</Body>",
        "<Fault>",
        "</Fault>",
        "<faultcode>a:b</faultcode>",
        "<Code>",
        "</Code>",
        "<Reason/>",
        "<methodResponse>",
        "</methodResponse>",
        "<params>",
        "</params>",
        "<param>",
        "</param>",
        "<fault>",
        "</fault>",
        "<value>",
        "</value>",
        "<array>",
        "</array>",
        "<data>",
        "</data>",
        "<struct>",
        "</struct>",
        "<member>",
        "</member>",
        "<name>n</name>",
        "<int>1</int>",
        "<nil/>",
        "<double>1.5</double>",
        "x",
        "{\"id\":1,",
        "\"result\":",
        "\"error\":",
        "\"data\":",
        "null",
        "}",
        "a=",
        "&",
        "%",
        "%d6%d0",
        "+",
        "中",
    ];
}
