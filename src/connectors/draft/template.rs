//! A draft from a 3CX CRM template (3CX server-side CRM integration, the XML that V18 and V20 take): its lookup by number, and its sign-in where that is a key or basic.
//!
//! Source: 3CX, "CRM Template XML Description" (elements Crm, Number, Connection, Parameters, Authentication, Scenarios; read 2026-11-26). What the template says of call journals and of new contacts is
//! named and not carried over: a write here has to say what makes it safe to do again, and no template does.

use serde_json::{Map, Value as Json, json};

use super::{
    Draft, Guess, Played,
    request::{SignIn, literal, path_literal},
    sample::{below, numbers},
    yaml::{Entry, Node},
};
use crate::connectors::wire;

/// Drafts a file from the template's text.
///
/// # Errors
/// Why nothing can be made of it.
pub fn draft(id: &str, xml: &str, country: &str, area: Option<&str>) -> Result<String, String> {
    let lists = ["Parameter", "Scenario", "Value", "Rule", "Variable", "Output"].map(str::to_owned).to_vec();
    let root = wire::read_xml(xml, &lists).map_err(|why| why.replace("the answer", "the template"))?;
    let crm = root.get("Crm").ok_or("this is no 3CX template: its root is not <Crm>")?;
    let template = Template { crm, prefix: text(crm.pointer("/Number/@Prefix")) };
    let scenarios =
        crm.pointer("/Scenarios/Scenario").and_then(Json::as_array).ok_or("the template has no scenarios")?;
    let mut head = vec![format!("Drafted from a 3CX template, {}.", one_line(&text(crm.get("@Name"))))];
    for scenario in scenarios.iter().filter(|s| !text(s.get("@Id")).is_empty()) {
        head.push(format!("Not carried over: the scenario \"{}\".", one_line(&text(scenario.get("@Id")))));
    }
    let lookup = scenarios
        .iter()
        .find(|s| text(s.get("@Id")).is_empty())
        .ok_or("the template has no scenario that looks a number up (one without an id)")?;
    let (auth, missing) = template.sign_in(id, lookup);
    head.extend(missing);
    let asked = template.asked(lookup)?;
    let (operation, example) = template.operation(lookup, asked.step)?;
    let mut variables = Vec::new();
    for (name, default) in asked.variables {
        variables.push(
            Entry::new(&name, Node::map([Entry::new("text", Node::text(&default))]))
                .guess(Guess::new(60, "a parameter of the template")),
        );
    }
    Draft {
        head,
        id: id.to_owned(),
        title: one_line(&text(crm.get("@Name"))),
        base_url: (asked.base_url, Some(Guess::new(70, "the address of the template's lookup"))),
        auth,
        variables,
        numbers: numbers(country, area),
        operations: vec![Entry::new("customer.by_phone", operation)],
        examples: vec![Played {
            name: "a caller is found".to_owned(),
            operation: "customer.by_phone",
            inputs: json!({"number": "13800138000"}),
            answer: example,
        }],
    }
    .text()
}

struct Template<'a> {
    crm: &'a Json,
    /// What is done to the number before it is asked for: `AsIs`, `Off`, `Plus`, `Zeros`.
    prefix: String,
}

struct Asked {
    base_url: String,
    step: Vec<Entry>,
    variables: Vec<(String, String)>,
}

impl Template<'_> {
    /// The default of a parameter, if it is one.
    fn parameter(&self, name: &str) -> Option<String> {
        let parameters = self.crm.pointer("/Parameters/Parameter").and_then(Json::as_array)?;
        parameters.iter().find(|p| text(p.get("@Name")) == name).map(|p| text(p.get("@Default")))
    }

    fn number(&self) -> (&'static str, Guess) {
        match self.prefix.as_str() {
            "Plus" => ("{{ number.e164 }}", Guess::new(90, "the template asks with a plus")),
            "Zeros" => ("00{{ number.digits }}", Guess::new(80, "the template asks with zeros before the country")),
            "Off" => ("{{ number.digits }}", Guess::new(70, "the template asks without a prefix")),
            _ => ("{{ number.national }}", Guess::new(50, "the template asks for the number as it came")),
        }
    }

    /// A text with `[Name]` in it as a template of ours; `written` is how the rest of it is. `None`: it has an expression that is none of ours.
    fn translated(
        &self,
        from: &str,
        written: fn(&str) -> String,
        used: &mut Vec<(String, String)>,
    ) -> Option<(String, bool)> {
        let (mut out, mut number) = (String::new(), false);
        let mut rest = from;
        while let Some(at) = rest.find('[') {
            out.push_str(&written(rest.get(..at)?));
            let (name, after) = rest.get(at + 1..)?.split_once(']')?;
            if name == "Number" || name == "EscapedNumber" {
                out.push_str(self.number().0);
                number = true;
            } else {
                let default = self.parameter(name)?;
                let known = variable(name);
                out.push_str(&format!("{{{{ {known} }}}}"));
                if !used.iter().any(|(name, _)| *name == known) {
                    used.push((known, default));
                }
            }
            rest = after;
        }
        out.push_str(&written(rest));
        Some((out, number))
    }

    fn asked(&self, scenario: &Json) -> Result<Asked, String> {
        let request = scenario.get("Request").ok_or("the lookup has no request")?;
        let kind = text(request.get("@RequestType"));
        if !(kind.is_empty() || kind.eq_ignore_ascii_case("get")) {
            return Err(format!("the lookup is a {}: write it by hand (docs/connectors.md)", one_line(&kind)));
        }
        let url = text(request.get("@Url"));
        let (address, query) = url.split_once('?').unwrap_or((&url, ""));
        let mut variables = Vec::new();
        let hard = || "the lookup's address is an expression: write it by hand".to_owned();
        // Of an address that begins with a parameter, the parameter's default is where the system is.
        let (base_url, path) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((name, path)) => {
                let default = self.parameter(name).ok_or_else(hard)?;
                let default = if default.starts_with("http") { default } else { "https://crm.example.com".to_owned() };
                (default.trim_end_matches('/').to_owned(), format!("/{}", path.trim_start_matches('/')))
            }
            None => {
                let (scheme, rest) = address.split_once("://").ok_or_else(hard)?;
                let at = rest.find('/').unwrap_or(rest.len());
                let (host, path) = rest.split_at_checked(at).ok_or_else(hard)?;
                let host = if host.contains('[') { "crm.example.com" } else { host };
                (format!("{scheme}://{host}"), if path.is_empty() { "/".to_owned() } else { path.to_owned() })
            }
        };
        let (path, mut there) = self.translated(&path, path_literal, &mut variables).ok_or_else(hard)?;
        let mut entries = Vec::new();
        let more = request.pointer("/Query/Parameter").and_then(Json::as_array);
        let more = more.into_iter().flatten().map(|p| (text(p.get("@Name")), text(p.get("@Value"))));
        let own = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (wire::decoded(name), wire::decoded(value))
        });
        for (name, value) in own.chain(more) {
            let (value, number) = self.translated(&value, literal, &mut variables).ok_or_else(hard)?;
            there |= number;
            entries.push(Entry::new(&name, Node::text(&value)).guess(number.then(|| self.number().1)));
        }
        if !there {
            return Err("the lookup does not ask for [Number]".to_owned());
        }
        let mut step = vec![Entry::new("name", Node::text("search")), Entry::new("path", Node::text(&path))];
        if !entries.is_empty() {
            step.push(Entry::new("query", Node::Map(entries)));
        }
        let xml = text(request.get("@ResponseType")).eq_ignore_ascii_case("xml");
        if xml {
            step.push(Entry::new("decode", Node::map([Entry::new("xml", Node::Map(Vec::new()))])));
        }
        Ok(Asked { base_url, step, variables })
    }

    /// The sign-in, and what of it is not carried over.
    fn sign_in(&self, id: &str, lookup: &Json) -> (SignIn, Option<String>) {
        let authentication = self.crm.get("Authentication");
        match text(authentication.and_then(|a| a.get("@Type"))).as_str() {
            "Basic" => (SignIn::basic(id, Guess::new(85, "the template has basic authentication")), None),
            "No" | "" => {
                let headers = lookup.pointer("/Request/Headers/Value").and_then(Json::as_array);
                let headers: Vec<(String, String)> =
                    headers.into_iter().flatten().map(|v| (text(v.get("@Key")), text(v.get("#text")))).collect();
                (SignIn::from_headers(id, &headers), None)
            }
            other => (
                SignIn::default(),
                Some(format!(
                    "Not carried over: the sign-in \"{}\": see oauth2 and session in docs/connectors.md.",
                    one_line(other)
                )),
            ),
        }
    }

    fn operation(&self, scenario: &Json, mut step: Vec<Entry>) -> Result<(Node, Json), String> {
        let variables = scenario.pointer("/Variables/Variable").and_then(Json::as_array);
        let ways: Vec<(String, Vec<String>)> = variables
            .into_iter()
            .flatten()
            .map(|v| {
                (
                    text(v.get("@Name")),
                    text(v.get("@Path")).split('.').filter(|p| !p.is_empty()).map(str::to_owned).collect(),
                )
            })
            .collect();
        let outputs = scenario.pointer("/Outputs/Output").and_then(Json::as_array);
        let output = |kind: &str| {
            let found = outputs.into_iter().flatten().find(|o| text(o.get("@Type")) == kind)?;
            let value = text(found.get("@Value"));
            let name = value.strip_prefix('[')?.strip_suffix(']')?.to_owned();
            ways.iter().find(|(known, _)| *known == name).map(|(_, way)| way.clone())
        };
        // The records lie where the ways of the outputs are still one; a number among the steps means a list.
        let mapped: Vec<(&str, Vec<String>)> = [
            ("id", "EntityId"),
            ("given", "FirstName"),
            ("family", "LastName"),
            ("company", "CompanyName"),
            ("mobile", "PhoneMobile"),
            ("phone", "PhoneBusiness"),
            ("phone_home", "PhoneHome"),
            ("email", "Email"),
        ]
        .into_iter()
        .filter_map(|(name, kind)| Some((name, output(kind)?)))
        .collect();
        let (_, first) = mapped.first().ok_or("the lookup gives nothing that is taken from its answer")?;
        let shared = (0..first.len().saturating_sub(1))
            .take_while(|n| mapped.iter().all(|(_, way)| way.len() > n + 1 && way.get(*n) == first.get(*n)))
            .count();
        let way: Vec<&String> = first.iter().take(shared).filter(|step| step.parse::<u32>().is_err()).collect();
        let place = way.iter().fold("body".to_owned(), |text, key| format!("{text}{}", below(key)));
        let inside = |full: &[String]| -> Vec<String> { full.iter().skip(shared).cloned().collect() };
        let expression = |full: &[String]| {
            inside(full).iter().fold("record".to_owned(), |text, key| match key.parse::<u32>() {
                Ok(n) => format!("{text}[{n}]"),
                Err(_) => format!("{text}{}", below(key)),
            })
        };
        step.push(Entry::new(
            "outcome",
            Node::List(vec![
                Node::map([
                    Entry::new("status", Node::plain("[200]")),
                    Entry::new("when", Node::text(&format!("{place} is defined"))),
                    Entry::new("is", Node::text("ok")),
                ]),
                Node::map([
                    Entry::new("status", Node::plain("[401, 403]")),
                    Entry::new("is", Node::text("denied")),
                    Entry::new("reason", Node::text("the system refuses us")),
                ]),
            ]),
        ));
        // The template's paths do not tell a list from a record.
        let records = Entry::new("records", Node::text(&format!("[{place}] if {place} is mapping else {place}")));
        step.push(records.guess(Guess::new(60, "the template does not tell a list from one record")));
        let find = |name: &str| mapped.iter().find(|(known, _)| *known == name).map(|(_, way)| way);
        let sure = |name: &str| Guess::new(80, format!("the template's {name}"));
        let mut fields = Vec::new();
        let mut made = Json::Object(Map::new());
        let mut put = |full: &[String], value: Json| set(&mut made, &inside(full), value);
        match find("id") {
            Some(way) => {
                fields.push(
                    Entry::new("id", Node::text(&format!("{} | string", expression(way)))).guess(sure("EntityId")),
                );
                put(way, json!("7"));
            }
            None => return Err("the lookup gives no EntityId: two customers could not be told apart".to_owned()),
        }
        let names: Vec<&Vec<String>> = [find("given"), find("family")].into_iter().flatten().collect();
        if !names.is_empty() {
            let parts: Vec<String> =
                names.iter().map(|way| format!("(({} | default(none)) or '')", expression(way))).collect();
            fields.push(Entry::new("name", Node::text(&parts.join(" ~ ' ' ~ "))).guess(sure("FirstName and LastName")));
            names.iter().for_each(|way| put(way, json!("Example")));
        }
        let mut phones = Vec::new();
        for name in ["company", "mobile", "phone", "phone_home", "email"] {
            let Some(way) = find(name) else { continue };
            fields
                .push(Entry::new(name, Node::text(&format!("{} | default(none)", expression(way)))).guess(sure(name)));
            put(
                way,
                json!(match name {
                    "company" => "Example",
                    "email" => "someone@example.com",
                    _ => "13800138000",
                }),
            );
            if ["mobile", "phone", "phone_home"].contains(&name) {
                phones.push(Entry::new(name, Node::text(if name == "mobile" { "mobile" } else { "phone" })));
            }
        }
        if phones.is_empty() {
            return Err("the lookup gives no number back (PhoneMobile, PhoneBusiness), and Linecard compares numbers itself: draft from an answer instead (--sample)".to_owned());
        }
        let answer =
            way.iter().rev().fold(json!([made]), |inner, key| Json::Object(Map::from_iter([((*key).clone(), inner)])));
        let operation = Node::map([
            Entry::new("title", Node::text("Customer")),
            Entry::new("steps", Node::List(vec![Node::Map(step)])),
            Entry::new("fields", Node::Map(fields)),
            Entry::new("phones", Node::Map(phones)),
        ]);
        Ok((operation, answer))
    }
}

/// A made-up value down a way; numbers are places in lists, of which only the first is made.
fn set(root: &mut Json, way: &[String], value: Json) {
    let Some((key, rest)) = way.split_first() else {
        *root = value;
        return;
    };
    if key.parse::<u32>().is_ok() {
        if !root.is_array() {
            *root = json!([null]);
        }
        if let Some(first) = root.get_mut(0) {
            set(first, rest, value);
        }
        return;
    }
    if !root.is_object() {
        *root = Json::Object(Map::new());
    }
    if let Json::Object(map) = root {
        set(map.entry(key.clone()).or_insert(Json::Null), rest, value);
    }
}

/// An attribute or an element's text.
fn text(value: Option<&Json>) -> String {
    value.map(wire::plain).unwrap_or_default()
}

fn one_line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

/// A parameter's name as a variable's: `MaxLength` is `max_length`.
fn variable(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() && !out.ends_with('_') {
            out.push('_');
        }
        out.push(if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' });
    }
    format!("p_{out}")
}
