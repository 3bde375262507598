//! SOAP, both versions: the envelope around what a file says, and what an answer holds without it.
//!
//! A fault is one thing here, though 1.1 and 1.2 write it differently (SOAP 1.1, section 4.4; SOAP 1.2 part 1, section 5.4). Which of the two an answer is in is told by
//! its fault's own elements, for servers answer in the version they like.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{file::SoapVersion, set::Tree, wire};

/// What of a file's `soap` is the same in each request.
pub struct Envelope {
    pub version: SoapVersion,
    pub namespaces: BTreeMap<String, String>,
}

impl Envelope {
    /// The whole text. `form` holds `header` and `body` by the mapping of XML, `order` what the file said, in its order.
    ///
    /// # Errors
    /// What cannot be XML.
    pub fn write(&self, form: &Map<String, Value>, order: &Tree, charset: &str) -> Result<String, String> {
        let mut out = format!(
            "<?xml version=\"1.0\" encoding=\"{charset}\"?><soap:Envelope xmlns:soap=\"{}\"",
            self.version.namespace()
        );
        for (prefix, name) in &self.namespaces {
            wire::attribute(&mut out, &format!("xmlns:{prefix}"), name)?;
        }
        out.push('>');
        let part = |name: &str| form.get(name).and_then(Value::as_object).filter(|part| !part.is_empty());
        if let Some(header) = part("header") {
            out.push_str("<soap:Header>");
            wire::children(&mut out, header, order.under("header"))?;
            out.push_str("</soap:Header>");
        }
        out.push_str("<soap:Body>");
        if let Some(body) = part("body") {
            wire::children(&mut out, body, order.under("body"))?;
        }
        out.push_str("</soap:Body></soap:Envelope>");
        Ok(out)
    }

    /// The media type, and the header that 1.1 wants beside it (section 6.1.1: always, and in quotes; 1.2 has a parameter for it, RFC 3902).
    ///
    /// # Errors
    /// The action is none.
    pub fn types(&self, action: &str, charset: &str) -> Result<(String, Option<(String, String)>), String> {
        if action.chars().any(|c| c.is_control() || c == '"' || c == '\\') {
            return Err("the action is no address".to_owned());
        }
        Ok(match self.version {
            SoapVersion::V11 => {
                (format!("text/xml; charset={charset}"), Some(("SOAPAction".to_owned(), format!("\"{action}\""))))
            }
            SoapVersion::V12 if action.is_empty() => (format!("application/soap+xml; charset={charset}"), None),
            SoapVersion::V12 => (format!("application/soap+xml; charset={charset}; action=\"{action}\""), None),
        })
    }
}

impl SoapVersion {
    const fn namespace(self) -> &'static str {
        match self {
            Self::V11 => "http://schemas.xmlsoap.org/soap/envelope/",
            Self::V12 => "http://www.w3.org/2003/05/soap-envelope",
        }
    }
}

/// What stands in the envelope's body, by the mapping of XML, and beside it as `#header` what stands in its header; of a fault `{"fault": {code, subcode, reason, actor,
/// detail}}`, each null where it is not said, codes without their prefix. True: it is a fault.
///
/// # Errors
/// It is no envelope.
pub fn open(answer: Value) -> Result<(Value, bool), String> {
    let no = || "the answer is no SOAP envelope".to_owned();
    let Value::Object(mut root) = answer else { return Err(no()) };
    let Some(Value::Object(mut envelope)) = root.remove("Envelope") else { return Err(no()) };
    let mut body = match envelope.remove("Body") {
        Some(Value::Null) => Map::new(),
        Some(Value::Object(body)) => body,
        _ => return Err(no()),
    };
    let fault = body.remove("Fault").map(|fault| json!({"fault": told(&fault)}));
    let is_fault = fault.is_some();
    let mut opened = match fault {
        Some(Value::Object(fault)) => fault,
        _ => body,
    };
    if let Some(header) = envelope.remove("Header").filter(|header| !header.is_null()) {
        opened.insert("#header".to_owned(), header);
    }
    Ok((Value::Object(opened), is_fault))
}

fn told(fault: &Value) -> Value {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Object(map) => map.get("#text").and_then(Value::as_str).map(|text| text.trim().to_owned()),
        _ => None,
    };
    // `soap:Client` is what the standard calls a qualified name; the prefix is the server's own choice.
    let local =
        |value: &Value| text(value).map(|name| name.rsplit_once(':').map_or(name.clone(), |(_, name)| name.to_owned()));
    let first = |value: &Value| value.as_array().and_then(|all| all.first()).unwrap_or(value).clone();
    if let Some(code) = fault.get("Code") {
        return json!({
            "code": local(&code["Value"]),
            "subcode": local(&code["Subcode"]["Value"]),
            // One for each language.
            "reason": text(&first(&fault["Reason"]["Text"])),
            "actor": text(&fault["Role"]),
            "detail": fault["Detail"],
        });
    }
    json!({
        "code": local(&fault["faultcode"]),
        "subcode": null,
        "reason": text(&fault["faultstring"]),
        "actor": text(&fault["faultactor"]),
        "detail": fault["detail"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connectors::set::Leaf;

    fn opened(text: &str) -> Result<(Value, bool), String> {
        open(wire::read_xml(text, &[])?)
    }

    /// SOAP 1.1, examples 1, 2, 10 and 11; SOAP 1.2 part 1, example 4.
    #[test]
    fn answers_and_faults_of_the_standards_are_opened() {
        let in_11 = |inside: &str| {
            format!(
                "<SOAP-ENV:Envelope xmlns:SOAP-ENV=\"http://schemas.xmlsoap.org/soap/envelope/\"
                SOAP-ENV:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\">{inside}</SOAP-ENV:Envelope>"
            )
        };
        let price = "<SOAP-ENV:Body> <m:GetLastTradePriceResponse xmlns:m=\"Some-URI\"> <Price>34.5</Price> </m:GetLastTradePriceResponse> </SOAP-ENV:Body>";
        let wanted = json!({"GetLastTradePriceResponse": {"Price": "34.5"}});
        assert_eq!(opened(&in_11(price)), Ok((wanted, false)));
        let header = "<SOAP-ENV:Header><t:Transaction xmlns:t=\"some-URI\" SOAP-ENV:mustUnderstand=\"1\">5</t:Transaction></SOAP-ENV:Header><SOAP-ENV:Body/>";
        let wanted = json!({"#header": {"Transaction": {"@mustUnderstand": "1", "#text": "5"}}});
        assert_eq!(opened(&in_11(header)), Ok((wanted, false)));

        let must = "<SOAP-ENV:Body><SOAP-ENV:Fault><faultcode>SOAP-ENV:MustUnderstand</faultcode>
            <faultstring>SOAP Must Understand Error</faultstring></SOAP-ENV:Fault></SOAP-ENV:Body>";
        let fault = json!({"code": "MustUnderstand", "subcode": null, "reason": "SOAP Must Understand Error", "actor": null, "detail": null});
        assert_eq!(opened(&in_11(must)), Ok((json!({"fault": fault}), true)));
        let server = "<SOAP-ENV:Body><SOAP-ENV:Fault><faultcode>SOAP-ENV:Server</faultcode><faultstring>Server Error</faultstring>
            <detail><e:myfaultdetails xmlns:e=\"Some-URI\"><message>My application didn't work</message><errorcode>1001</errorcode>
            </e:myfaultdetails></detail></SOAP-ENV:Fault></SOAP-ENV:Body>";
        let (told, is_fault) = opened(&in_11(server)).unwrap();
        assert_eq!((&told["fault"]["detail"]["myfaultdetails"]["errorcode"], is_fault), (&json!("1001"), true));

        let timeout = "<?xml version='1.0' ?><env:Envelope xmlns:env=\"http://www.w3.org/2003/05/soap-envelope\"
            xmlns:m=\"http://www.example.org/timeouts\" xmlns:xml=\"http://www.w3.org/XML/1998/namespace\"><env:Body><env:Fault>
            <env:Code><env:Value>env:Sender</env:Value><env:Subcode><env:Value>m:MessageTimeout</env:Value></env:Subcode></env:Code>
            <env:Reason><env:Text xml:lang=\"en\">Sender Timeout</env:Text></env:Reason><env:Detail><m:MaxTime>P5M</m:MaxTime></env:Detail>
            </env:Fault></env:Body></env:Envelope>";
        let fault = json!({"code": "Sender", "subcode": "MessageTimeout", "reason": "Sender Timeout", "actor": null, "detail": {"MaxTime": "P5M"}});
        assert_eq!(opened(timeout), Ok((json!({"fault": fault}), true)));
        let two = timeout.replace("<env:Detail>", "<env:Role>r</env:Role><env:Detail>").replace(
            "Sender Timeout</env:Text>",
            "Sender Timeout</env:Text><env:Text xml:lang=\"cs\">Čas vypršel</env:Text>",
        );
        assert_eq!(opened(&two).unwrap().0["fault"]["reason"], "Sender Timeout");
    }

    #[test]
    fn what_is_no_envelope_is_no_answer() {
        for text in [
            "<html><body>down</body></html>",
            "<Envelope/>",
            "<Envelope><Header/></Envelope>",
            "<Envelope><Body>down</Body></Envelope>",
        ] {
            assert!(opened(text).is_err(), "{text}");
        }
        // An empty body is an answer without anything in it, and a fault that says nothing is still one.
        assert_eq!(opened("<Envelope><Body/></Envelope>"), Ok((json!({}), false)));
        assert!(opened("<Envelope><Body><Fault/></Body></Envelope>").unwrap().1);
    }

    #[test]
    fn an_envelope_keeps_the_files_order_and_says_its_version() {
        let leaf = |name: &str| (name.to_owned(), Tree::Leaf(Leaf::Fixed(String::new())));
        let inside = |names: &[&str]| Tree::Map(names.iter().map(|name| leaf(name)).collect());
        let order = Tree::Map(vec![
            ("header".to_owned(), inside(&["t:Key"])),
            ("body".to_owned(), Tree::Map(vec![("t:Get".to_owned(), inside(&["t:z", "t:a", "t:m"]))])),
        ]);
        let form = json!({"header": {"t:Key": "k<1>"}, "body": {"t:Get": {"@version": "1", "t:a": 1, "t:m": ["x", "y"], "t:z": "b&c", "t:new": null}}});
        let mut envelope = Envelope {
            version: SoapVersion::V11,
            namespaces: BTreeMap::from([("t".to_owned(), "http://t.example/?a=1&b=2".to_owned())]),
        };
        let text = envelope.write(form.as_object().unwrap(), &order, "UTF-8").unwrap();
        assert_eq!(
            text,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\" \
            xmlns:t=\"http://t.example/?a=1&amp;b=2\"><soap:Header><t:Key>k&lt;1&gt;</t:Key></soap:Header><soap:Body>\
            <t:Get version=\"1\"><t:z>b&amp;c</t:z><t:a>1</t:a><t:m>x</t:m><t:m>y</t:m><t:new></t:new></t:Get></soap:Body></soap:Envelope>"
        );
        let action = |action: &str| Some(("SOAPAction".to_owned(), format!("\"{action}\"")));
        assert_eq!(
            envelope.types("urn:get", "UTF-8").unwrap(),
            ("text/xml; charset=UTF-8".to_owned(), action("urn:get"))
        );
        assert_eq!(envelope.types("", "UTF-8").unwrap().1, action(""));
        envelope.version = SoapVersion::V12;
        assert!(
            envelope.write(&Map::new(), &order, "GBK").unwrap().contains("http://www.w3.org/2003/05/soap-envelope\"")
        );
        assert_eq!(
            envelope.types("urn:get", "GBK").unwrap(),
            ("application/soap+xml; charset=GBK; action=\"urn:get\"".to_owned(), None)
        );
        assert!(envelope.types("urn:\"get", "UTF-8").is_err());
    }
}
