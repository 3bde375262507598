//! Calls of procedures: XML-RPC (xmlrpc.com/spec.md, 1999, with the `nil` and `i8` that most servers take) and JSON-RPC (2.0, and 1.0, where `jsonrpc` is left out).

use serde_json::{Map, Value, json};

use super::{file::JsonRpcVersion, wire};

/// How deep a value may nest.
const DEPTH: usize = 32;

/// `{"method": …, "params": […]}` as XML. A value's own type is its type (a whole number up to 32 bits is `int`, another number `double`, null `nil`); `{"#double": "7"}` says
/// another.
///
/// # Errors
/// What XML-RPC cannot hold.
pub fn write_xml(form: &Map<String, Value>, charset: &str) -> Result<String, String> {
    let mut out = format!("<?xml version=\"1.0\" encoding=\"{charset}\"?><methodCall><methodName>");
    wire::text(&mut out, &wire::plain(form.get("method").unwrap_or(&Value::Null)))?;
    out.push_str("</methodName><params>");
    match form.get("params") {
        None | Some(Value::Null) => {}
        Some(Value::Array(params)) => {
            for param in params {
                out.push_str("<param>");
                value(&mut out, param, 0)?;
                out.push_str("</param>");
            }
        }
        Some(_) => return Err("params are no list".to_owned()),
    }
    out.push_str("</params></methodCall>");
    Ok(out)
}

/// The types that a file may say, and what their text must be.
const TYPES: [&str; 8] = ["string", "int", "i4", "i8", "boolean", "double", "dateTime.iso8601", "base64"];

fn value(out: &mut String, value: &Value, depth: usize) -> Result<(), String> {
    if depth > DEPTH {
        return Err(format!("it nests deeper than {DEPTH}"));
    }
    out.push_str("<value>");
    match value {
        Value::Null => out.push_str("<nil/>"),
        Value::Bool(yes) => typed(out, "boolean", if *yes { "1" } else { "0" })?,
        Value::String(text) => typed(out, "string", text)?,
        Value::Number(number) => match number.as_i64() {
            Some(n) if i32::try_from(n).is_ok() => typed(out, "int", &n.to_string())?,
            Some(_) => return Err("an int has 32 bits: send this one as a text or as \"#i8\"".to_owned()),
            // Without an exponent, as the specification wants it.
            None if number.to_string().contains(['e', 'E']) => return Err("a double has no exponent".to_owned()),
            None => typed(out, "double", &number.to_string())?,
        },
        Value::Array(items) => {
            out.push_str("<array><data>");
            for item in items {
                self::value(out, item, depth + 1)?;
            }
            out.push_str("</data></array>");
        }
        Value::Object(map) => match own_type(map) {
            Some((kind, text)) => {
                let text = match text {
                    Value::Bool(yes) => u8::from(*yes).to_string(),
                    text => wire::plain(text),
                };
                typed(out, kind, &text)?;
            }
            None => {
                out.push_str("<struct>");
                for (name, member) in map {
                    out.push_str("<member><name>");
                    wire::text(out, name)?;
                    out.push_str("</name>");
                    self::value(out, member, depth + 1)?;
                    out.push_str("</member>");
                }
                out.push_str("</struct>");
            }
        },
    }
    out.push_str("</value>");
    Ok(())
}

/// `{"#double": …}`.
fn own_type(map: &Map<String, Value>) -> Option<(&'static str, &Value)> {
    let (key, value) = map.iter().next().filter(|_| map.len() == 1)?;
    let key = key.strip_prefix('#')?;
    TYPES.iter().find(|kind| **kind == key).map(|kind| (*kind, value))
}

fn typed(out: &mut String, kind: &str, text: &str) -> Result<(), String> {
    let fits = match kind {
        "int" | "i4" => text.parse::<i32>().is_ok(),
        "i8" => text.parse::<i64>().is_ok(),
        "boolean" => ["0", "1"].contains(&text),
        "double" => text.parse::<f64>().is_ok_and(f64::is_finite) && !text.contains(['e', 'E']),
        _ => true,
    };
    if !fits {
        return Err(format!("a value is no {kind}"));
    }
    out.push_str(&format!("<{kind}>"));
    wire::text(out, text)?;
    out.push_str(&format!("</{kind}>"));
    Ok(())
}

/// `{"result": …}`, or `{"fault": {code, reason}}`, from the mapping of XML. True: it is a fault.
///
/// # Errors
/// It is no answer of XML-RPC.
pub fn open_xml(answer: &Value) -> Result<(Value, bool), String> {
    let no = || "the answer is none of XML-RPC".to_owned();
    let response = answer.get("methodResponse").ok_or_else(no)?;
    if let Some(fault) = response.get("fault") {
        let told = read(fault.get("value").ok_or_else(no)?, 0)?;
        return Ok((json!({"fault": {"code": told["faultCode"], "reason": told["faultString"]}}), true));
    }
    match response.get("params") {
        // Some servers answer so where a procedure gives nothing.
        Some(Value::Null) => Ok((json!({"result": null}), false)),
        Some(params) => {
            let value = params.get("param").and_then(|param| param.get("value")).ok_or_else(no)?;
            Ok((json!({"result": read(value, 0)?}), false))
        }
        None => Err(no()),
    }
}

/// A `value`: a text is a string, and an element within says another type.
fn read(value: &Value, depth: usize) -> Result<Value, String> {
    let no = || "the answer holds a value that is none of XML-RPC".to_owned();
    if depth > DEPTH {
        return Err(format!("the answer nests deeper than {DEPTH}"));
    }
    let map = match value {
        Value::Null => return Ok("".into()),
        Value::String(text) => return Ok(text.as_str().into()),
        Value::Object(map) if map.len() == 1 => map,
        _ => return Err(no()),
    };
    let (kind, inside) = map.iter().next().ok_or_else(no)?;
    let text = || inside.as_str().map(str::trim).ok_or_else(no);
    Ok(match kind.as_str() {
        "string" | "dateTime.iso8601" => wire::plain(inside).into(),
        "nil" => Value::Null,
        "boolean" => match text()? {
            "1" => true.into(),
            "0" => false.into(),
            _ => return Err(no()),
        },
        "int" | "i4" | "i8" => text()?.parse::<i64>().map_err(|_| no())?.into(),
        // As it is written: money is a double here more often than not.
        "double" => Value::Number(text()?.trim_start_matches('+').parse().map_err(|_| no())?),
        "base64" => text().unwrap_or_default().split_ascii_whitespace().collect::<String>().into(),
        "array" => {
            let items = inside.get("data").ok_or_else(no)?.get("value");
            listed(items).map(|item| read(item, depth + 1)).collect::<Result<Vec<_>, _>>()?.into()
        }
        "struct" => {
            let mut read_all = Map::new();
            for member in listed(inside.get("member")) {
                let name = member.get("name").and_then(Value::as_str).ok_or_else(no)?;
                read_all.insert(name.to_owned(), read(member.get("value").ok_or_else(no)?, depth + 1)?);
            }
            read_all.into()
        }
        _ => return Err(no()),
    })
}

/// What the mapping makes of an element that may repeat.
fn listed(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    let many = value.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    value.filter(|value| !value.is_array()).into_iter().chain(many)
}

/// `{"method": …, "params": …}` with an id of ours.
#[must_use]
pub fn write_json(form: &Map<String, Value>, version: JsonRpcVersion, id: u32) -> Value {
    let mut call = form.clone();
    if version == JsonRpcVersion::V2 {
        call.insert("jsonrpc".to_owned(), "2.0".into());
    }
    call.insert("id".to_owned(), id.into());
    call.into()
}

/// The answer as it came: `result`, or `error`. True: it is an error.
///
/// # Errors
/// It is no answer, or one to another question.
pub fn open_json(answer: Value, id: u32) -> Result<(Value, bool), String> {
    let given = |name: &str| answer.get(name).filter(|value| !value.is_null());
    let is_error = given("error").is_some();
    if !answer.is_object() || (!is_error && answer.get("result").is_none()) {
        return Err("the answer is none of JSON-RPC".to_owned());
    }
    if given("jsonrpc").is_some_and(|version| version != "2.0") {
        return Err("the answer is in a version of JSON-RPC that is not known here".to_owned());
    }
    match given("id") {
        Some(theirs) if theirs.as_u64() == Some(id.into()) => {}
        // What could not be read has no id (2.0, section 5).
        None if is_error => {}
        _ => return Err("the answer is to another question: its id is not ours".to_owned()),
    }
    Ok((answer, is_error))
}

/// GraphQL's answer as it came. True: there is no data, so the errors are all there is (GraphQL, October 2021, section 7.1).
///
/// # Errors
/// It is no answer of GraphQL.
pub fn open_graphql(answer: Value) -> Result<(Value, bool), String> {
    let there = |name: &str| answer.get(name).is_some_and(|value| !value.is_null());
    match (there("data"), there("errors")) {
        (false, false) => Err("the answer is none of GraphQL".to_owned()),
        (data, _) => Ok((answer, !data)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(text: &str) -> Result<(Value, bool), String> {
        open_xml(&wire::read_xml(text, &[])?)
    }

    fn called(form: Value) -> Result<String, String> {
        write_xml(form.as_object().unwrap(), "UTF-8")
    }

    /// The examples of xmlrpc.com/spec.md.
    #[test]
    fn xml_rpc_of_its_specification_is_written_and_read() {
        let call = called(json!({"method": "examples.getStateName", "params": [41]})).unwrap();
        assert_eq!(
            call,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><methodCall><methodName>examples.getStateName</methodName>\
            <params><param><value><int>41</int></value></param></params></methodCall>"
        );
        let answer = "<?xml version=\"1.0\"?> <methodResponse> <params> <param> <value><string>South Dakota</string></value> </param> </params> </methodResponse>";
        assert_eq!(opened(answer), Ok((json!({"result": "South Dakota"}), false)));
        let fault = "<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>4</int></value></member>
            <member><name>faultString</name><value><string>Too many parameters.</string></value></member></struct></value></fault></methodResponse>";
        assert_eq!(opened(fault), Ok((json!({"fault": {"code": 4, "reason": "Too many parameters."}}), true)));

        let bounds = "<struct><member><name>lowerBound</name><value><i4>18</i4></value></member><member><name>upperBound</name><value><i4>139</i4></value></member></struct>";
        let list = "<array><data><value><i4>12</i4></value><value><string>Egypt</string></value><value><boolean>0</boolean></value><value><i4>-31</i4></value></data></array>";
        let value = |inside: &str| {
            opened(&format!("<methodResponse><params><param><value>{inside}</value></param></params></methodResponse>"))
                .map(|(v, _)| v["result"].clone())
        };
        assert_eq!(value(bounds), Ok(json!({"lowerBound": 18, "upperBound": 139})));
        assert_eq!(value(list), Ok(json!([12, "Egypt", false, -31])));
        for (text, wanted) in [
            ("plain &lt;text&gt;", json!("plain <text>")),
            ("", json!("")),
            ("<string/>", json!("")),
            ("<nil/>", json!(null)),
            ("<ex:i8>9007199254740993</ex:i8>", json!(9_007_199_254_740_993_i64)),
            ("<dateTime.iso8601>19980717T14:08:55</dateTime.iso8601>", json!("19980717T14:08:55")),
            ("<base64>eW91IGNh\n bid0</base64>", json!("eW91IGNhbid0")),
            ("<array><data/></array>", json!([])),
            ("<array><data><value/></data></array>", json!([""])),
            ("<array><data><value>1</value><value/></data></array>", json!(["1", ""])),
            ("<struct/>", json!({})),
        ] {
            assert_eq!(value(text), Ok(wanted), "{text}");
        }
        assert_eq!(value("<double>12800.50</double>").unwrap().to_string(), "12800.50");
    }

    #[test]
    fn a_call_carries_types_and_what_cannot_be_carried_is_refused() {
        let params = json!([null, true, -1, 2147483647, "a<b", [1, []], {"k": {}}, {"#double": "1.50"}, {"#i8": 9_000_000_000_i64}, {"#boolean": false}, {"#dateTime.iso8601": "20261126T13:00:00"}]);
        let text = called(json!({"method": "m", "params": params})).unwrap();
        for wanted in [
            "<nil/>",
            "<boolean>1</boolean>",
            "<int>-1</int>",
            "<int>2147483647</int>",
            "<string>a&lt;b</string>",
            "<array><data><value><int>1</int></value><value><array><data></data></array></value></data></array>",
            "<struct><member><name>k</name><value><struct></struct></value></member></struct>",
            "<double>1.50</double>",
            "<i8>9000000000</i8>",
            "<boolean>0</boolean>",
            "<dateTime.iso8601>20261126T13:00:00</dateTime.iso8601>",
        ] {
            assert!(text.contains(&format!("<value>{wanted}</value>")), "{wanted}: {text}");
        }
        let money: Value = serde_json::from_str("[12800.50]").unwrap();
        assert!(called(json!({"method": "m", "params": money})).unwrap().contains("<double>12800.50</double>"));
        let deep = (0..100).fold(json!(1), |inside, _| json!([inside]));
        for bad in [
            json!([2147483648_i64]),
            json!([{"#int": "x"}]),
            json!([{"#double": "NaN"}]),
            json!([{"#double": "1e5"}]),
            json!([{"#boolean": "yes"}]),
            json!(["\u{0}"]),
            json!([deep]),
            json!({"a": 1}),
        ] {
            assert!(called(json!({"method": "m", "params": bad})).is_err(), "{bad}");
        }
    }

    #[test]
    fn answers_that_are_none_of_xml_rpc_are_refused() {
        let value = |inside: &str| {
            format!("<methodResponse><params><param><value>{inside}</value></param></params></methodResponse>")
        };
        for text in [
            "<html><body>502</body></html>".to_owned(),
            "<methodResponse/>".to_owned(),
            "<methodResponse><fault/></methodResponse>".to_owned(),
            value("<int>x</int>"),
            value("<int>1</int><int>2</int>"),
            value("<boolean>2</boolean>"),
            value("<double>one</double>"),
            value("<money>1</money>"),
            value("<struct><member><value>1</value></member></struct>"),
            value("<array/>"),
            value(&"<array><data><value>".repeat(40)),
        ] {
            assert!(opened(&text).is_err(), "{text}");
        }
        assert_eq!(opened("<methodResponse><params/></methodResponse>"), Ok((json!({"result": null}), false)));
    }

    /// JSON-RPC 2.0, section 7, and the 1.0 of 2005.
    #[test]
    fn json_rpc_answers_are_ours_or_none() {
        let form = json!({"method": "subtract", "params": [42, 23]});
        let call = write_json(form.as_object().unwrap(), JsonRpcVersion::V2, 1);
        assert_eq!(call, json!({"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}));
        assert!(write_json(form.as_object().unwrap(), JsonRpcVersion::V1, 1).get("jsonrpc").is_none());
        for (answer, fault) in [
            (json!({"jsonrpc": "2.0", "result": 19, "id": 1}), false),
            (json!({"result": null, "error": null, "id": 1}), false),
            (json!({"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"}, "id": 1}), true),
            (json!({"jsonrpc": "2.0", "error": {"code": -32700, "message": "Parse error"}, "id": null}), true),
            // Tryton's kind of error.
            (json!({"id": 1, "error": ["UserError", ["no"]]}), true),
        ] {
            assert_eq!(open_json(answer.clone(), 1), Ok((answer, fault)));
        }
        for no in [
            json!({"jsonrpc": "2.0", "result": 19, "id": 2}),
            json!({"jsonrpc": "2.0", "result": 19, "id": "1"}),
            json!({"result": 19}),
            json!({"jsonrpc": "2.0", "error": {"code": 1}, "id": 2}),
            json!({"jsonrpc": "3.0", "result": 19, "id": 1}),
            json!({"jsonrpc": "2.0", "id": 1}),
            json!([{"jsonrpc": "2.0", "result": 19, "id": 1}]),
            json!("down"),
        ] {
            assert!(open_json(no.clone(), 1).is_err(), "{no}");
        }
    }

    /// GraphQL, October 2021, section 7.1.
    #[test]
    fn graphql_errors_without_data_are_a_fault() {
        for (answer, fault) in [
            (json!({"data": {"hero": null}}), false),
            (
                json!({"data": {"hero": null}, "errors": [{"message": "Name for character with ID 1002 could not be fetched."}]}),
                false,
            ),
            (json!({"errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}]}), true),
            (json!({"data": null, "errors": [{"message": "no"}]}), true),
        ] {
            assert_eq!(open_graphql(answer.clone()), Ok((answer, fault)));
        }
        assert!(open_graphql(json!({"ok": true})).is_err());
    }
}
