//! A draft from a system's OpenAPI document (3.x, or Swagger 2.0): which of its operations asks for a customer by number, and what its answer is made of.

use serde_json::{Map, Value as Json, json};

use crate::numbers::Plan;

use super::{
    Draft, Guess, Played,
    request::{SignIn, path_literal},
    sample::{self, numbers},
    yaml::{Entry, Node},
};

/// How many references are followed, one below the other; a schema that holds itself ends here.
const DEPTH: usize = 12;
/// Schemas that one answer is made of.
const PARTS: usize = 2_000;

const PEOPLE: [&str; 9] = ["contact", "customer", "people", "person", "client", "partner", "member", "lead", "account"];
const TICKETS: [&str; 5] = ["ticket", "issue", "case", "incident", "request"];
const BY_PHONE: [&str; 7] = ["phone", "mobile", "telephone", "tel", "phone_number", "phonenumber", "number"];
const BY_TEXT: [&str; 7] = ["q", "query", "search", "keyword", "term", "text", "filter"];

/// Drafts a file from the document (JSON, or YAML read as such).
///
/// # Errors
/// Why nothing can be made of it.
pub fn draft(id: &str, document: &Json, country: &str, area: Option<&str>) -> Result<String, String> {
    let plan = Plan::new(country, area);
    let api = Api { document };
    let paths =
        document.get("paths").and_then(Json::as_object).ok_or("this is no OpenAPI document: it has no \"paths\"")?;
    let mut found: Vec<Candidate> =
        paths.iter().filter_map(|(path, item)| Candidate::new(&api, path, item.get("get")?, item)).collect();
    found.sort_by_key(|c| std::cmp::Reverse(c.percent));
    let mut why = Vec::new();
    let mut operations = Vec::new();
    let mut examples = Vec::new();
    let mut head = vec![format!("Drafted from the OpenAPI document of {}.", api.title())];
    for candidate in &found {
        let answer = api.answer(candidate.operation);
        let records = sample::records(&answer, &plan, &[]);
        let Some((records, operation)) = records.and_then(|r| r.operation(candidate.step()).ok().map(|o| (r, o)))
        else {
            why.push(format!("the answer of GET {} has no name and number", candidate.path));
            continue;
        };
        examples.push(Played {
            name: "a caller is found".to_owned(),
            operation: "customer.by_phone",
            inputs: json!({"number": "13800138000"}),
            answer: records.example(),
        });
        let guess = Guess::new(candidate.percent, format!("GET {} {}", candidate.path, candidate.why));
        operations.push(Entry::new("customer.by_phone", operation).guess(guess));
        break;
    }
    if operations.is_empty() {
        let looked = if why.is_empty() {
            "no GET for people takes a number or a text to search for".to_owned()
        } else {
            why.join("; ")
        };
        return Err(format!(
            "no operation can be customer.by_phone: {looked}. Ask the system by hand and draft from the answer (--sample)"
        ));
    }
    if let Some((path, operation)) = who(paths) {
        operations.insert(
            0,
            Entry::new("check", check(path))
                .guess(Guess::new(70, format!("GET {path} seems to say who is asking{}", summary(operation)))),
        );
    }
    for (path, item) in paths {
        let Some(post) = item.get("post") else { continue };
        if last_word(path).is_some_and(|word| TICKETS.contains(&word.as_str())) {
            head.push(format!("Not drafted: POST {path}{} may be ticket.create. A write needs to say what makes it safe to do again (idempotent), which no document tells.", summary(post)));
        }
    }
    let (auth, unknown) = api.sign_in(id);
    if let Some(unknown) = unknown {
        head.push(format!("Not drafted: the sign-in \"{unknown}\"."));
    }
    let (base_url, guess) = api.base_url();
    Draft {
        head,
        id: id.to_owned(),
        title: api.title(),
        base_url: (base_url, Some(guess)),
        auth,
        variables: Vec::new(),
        numbers: numbers(country, area),
        operations,
        examples,
    }
    .text()
}

struct Api<'a> {
    document: &'a Json,
}

/// An operation that may be `customer.by_phone`.
struct Candidate<'a> {
    path: &'a str,
    operation: &'a Json,
    parameter: String,
    percent: u8,
    why: String,
}

impl<'a> Candidate<'a> {
    fn new(api: &Api<'a>, path: &'a str, operation: &'a Json, item: &'a Json) -> Option<Self> {
        let people = path.split('/').any(|part| PEOPLE.iter().any(|word| part.to_ascii_lowercase().contains(word)));
        if !people || path.contains('{') {
            return None;
        }
        let parameters = [operation, item].into_iter().filter_map(|o| o.get("parameters")?.as_array()).flatten();
        let parameters =
            parameters.map(|p| api.followed(p)).filter(|p| p.get("in").and_then(Json::as_str) == Some("query"));
        let names: Vec<&str> = parameters.filter_map(|p| p.get("name")?.as_str()).collect();
        let by = |words: &[&str]| {
            let is = |name: &&&str| words.contains(&name.to_ascii_lowercase().as_str());
            names.iter().find(is).map(|name| (*name).to_owned())
        };
        let (parameter, percent, why) = match (by(&BY_PHONE), by(&BY_TEXT)) {
            (Some(name), _) => (name.clone(), 85, format!("takes \"{name}\": in which spelling does it search?")),
            (None, Some(name)) => (name.clone(), 50, format!("searches by \"{name}\": does that find numbers?")),
            (None, None) => return None,
        };
        Some(Self { path, operation, parameter, percent, why })
    }

    fn step(&self) -> Vec<Entry> {
        let query = Entry::new(&self.parameter, Node::text("{{ number.national }}"))
            .guess(Guess::new(50, "which spelling the system searches for is not in the document"));
        vec![
            Entry::new("name", Node::text("search")),
            Entry::new("path", Node::text(&path_literal(self.path))),
            Entry::new("query", Node::Map(vec![query])),
        ]
    }
}

/// The path that says who we are.
fn who(paths: &Map<String, Json>) -> Option<(&str, &Json)> {
    let is = |path: &str| {
        ["/me", "/whoami", "/users/current", "/user", "/profile", "/account"].iter().any(|end| path.ends_with(end))
    };
    paths
        .iter()
        .filter_map(|(path, item)| Some((path.as_str(), item.get("get")?)))
        .find(|(path, _)| is(path) && !path.contains('{'))
}

fn check(path: &str) -> Node {
    let ok = Node::map([
        Entry::new("status", Node::plain("[200]")),
        Entry::new("when", Node::text("body is mapping")),
        Entry::new("is", Node::text("ok")),
    ]);
    let denied = Node::map([
        Entry::new("status", Node::plain("[401, 403]")),
        Entry::new("is", Node::text("denied")),
        Entry::new("reason", Node::text("the system refuses us")),
    ]);
    let step = Node::map([
        Entry::new("name", Node::text("who am I")),
        Entry::new("path", Node::text(&path_literal(path))),
        Entry::new("outcome", Node::List(vec![ok, denied])),
    ]);
    Node::map([
        Entry::new("steps", Node::List(vec![step])),
        Entry::new("output", Node::map([Entry::new("answered", Node::text("true"))])),
    ])
}

/// The last word of a path that is no parameter, without a plural s.
fn last_word(path: &str) -> Option<String> {
    let word = path.rsplit('/').find(|part| !part.is_empty())?;
    (!word.contains('{')).then(|| word.trim_end_matches('s').to_ascii_lowercase())
}

fn summary(operation: &Json) -> String {
    let text = operation.get("summary").and_then(Json::as_str).unwrap_or_default();
    let text: String = text.chars().filter(|c| !c.is_control()).take(80).collect();
    if text.is_empty() { text } else { format!(" ({text})") }
}

impl<'a> Api<'a> {
    fn title(&self) -> String {
        let title = self.document.pointer("/info/title").and_then(Json::as_str).unwrap_or("a system");
        title.chars().filter(|c| !c.is_control()).take(80).collect()
    }

    fn base_url(&self) -> (String, Guess) {
        let told = self.document.pointer("/servers/0/url").and_then(Json::as_str).map(str::to_owned).or_else(|| {
            // Swagger 2.0.
            let host = self.document.get("host")?.as_str()?;
            let base = self.document.get("basePath").and_then(Json::as_str).unwrap_or_default();
            Some(format!("https://{host}{base}"))
        });
        match told {
            Some(url) if url.starts_with("http") && !url.contains('{') => {
                (url.trim_end_matches('/').to_owned(), Guess::new(80, "the document's first server"))
            }
            Some(url) => (
                format!("https://crm.example.com{}", url.trim_end_matches('/').replace(['{', '}'], "")),
                Guess::new(10, format!("the document says only {url}")),
            ),
            None => ("https://crm.example.com".to_owned(), Guess::new(0, "the document names no server")),
        }
    }

    /// From the first security scheme that we have; else the name of one that we have not.
    fn sign_in(&self, id: &str) -> (SignIn, Option<String>) {
        let schemes = ["/components/securitySchemes", "/securityDefinitions"];
        let Some(schemes) = schemes.iter().find_map(|at| self.document.pointer(at)?.as_object()) else {
            return (SignIn::default(), None);
        };
        let mut unknown = None;
        for (name, scheme) in schemes {
            let scheme = self.followed(scheme);
            let text = |key: &str| scheme.get(key).and_then(Json::as_str).unwrap_or_default();
            let guess = Guess::new(75, format!("the document's \"{name}\""));
            match (text("type"), text("in"), text("scheme").to_ascii_lowercase().as_str()) {
                ("apiKey", "header" | "query", _) if text("name").eq_ignore_ascii_case("authorization") => {
                    let guess =
                        Guess::new(40, format!("the document's \"{name}\"; a word before the key, as in \"Bearer \"?"));
                    return (SignIn::key(id, text("in"), text("name"), "Bearer ", guess), None);
                }
                ("apiKey", "header" | "query", _) => {
                    return (SignIn::key(id, text("in"), text("name"), "", guess), None);
                }
                ("http", _, "bearer") => return (SignIn::key(id, "header", "Authorization", "Bearer ", guess), None),
                ("http", _, "basic") | ("basic", _, _) => return (SignIn::basic(id, guess), None),
                ("oauth2", _, _) => {
                    let flow = scheme
                        .pointer("/flows/clientCredentials")
                        .or_else(|| (text("flow") == "application").then_some(scheme));
                    if let Some(url) = flow.and_then(|f| f.get("tokenUrl")?.as_str()).filter(|u| u.starts_with("http"))
                    {
                        let scopes = flow
                            .and_then(|f| f.get("scopes")?.as_object())
                            .map(|s| s.keys().cloned().collect::<Vec<_>>().join(" "));
                        return (SignIn::client_credentials(id, url, &scopes.unwrap_or_default(), guess), None);
                    }
                    unknown = Some(name.clone());
                }
                _ => unknown = Some(name.clone()),
            }
        }
        (SignIn::default(), unknown)
    }

    /// What a `$ref` inside the document points at.
    fn followed(&self, value: &'a Json) -> &'a Json {
        let mut value = value;
        for _ in 0..DEPTH {
            let Some(next) =
                value.get("$ref").and_then(Json::as_str).and_then(|r| self.document.pointer(r.strip_prefix('#')?))
            else {
                break;
            };
            value = next;
        }
        value
    }

    /// An answer as the document describes it: its example, else one made of its schema.
    fn answer(&self, operation: &'a Json) -> Json {
        let responses = operation.get("responses");
        let good = responses.and_then(|r| r.get("200").or_else(|| r.get("default"))).map(|r| self.followed(r));
        let Some(good) = good else { return Json::Null };
        let media = good.get("content").and_then(Json::as_object);
        let media = media.and_then(|m| m.iter().find(|(kind, _)| kind.contains("json")).map(|(_, media)| media));
        if let Some(example) =
            media.and_then(|m| m.get("example")).or_else(|| good.pointer("/examples/application~1json"))
        {
            return example.clone();
        }
        let schema = media.and_then(|m| m.get("schema")).or_else(|| good.get("schema"));
        schema.map_or(Json::Null, |schema| self.made(schema, "", 0, &mut 0))
    }

    fn made(&self, schema: &'a Json, name: &str, depth: usize, parts: &mut usize) -> Json {
        *parts += 1;
        let schema = self.followed(schema);
        if depth > DEPTH || *parts > PARTS {
            return Json::Null;
        }
        if let Some(example) = schema.get("example").or_else(|| schema.get("default")) {
            return example.clone();
        }
        if let Some(all) = schema.get("allOf").and_then(Json::as_array) {
            let mut map = Map::new();
            for part in all {
                if let Json::Object(more) = self.made(part, name, depth + 1, parts) {
                    map.extend(more);
                }
            }
            return Json::Object(map);
        }
        if let Some(one) = ["oneOf", "anyOf"].iter().find_map(|key| schema.get(*key)?.get(0)) {
            return self.made(one, name, depth + 1, parts);
        }
        let kind = schema.get("type").and_then(|t| t.as_str().or_else(|| t.get(0)?.as_str()));
        match kind {
            Some("array") => {
                schema.get("items").map_or(json!([]), |items| json!([self.made(items, name, depth + 1, parts)]))
            }
            Some("integer") => json!(7),
            Some("number") => json!(100),
            Some("boolean") => json!(true),
            Some("string") => {
                let format = schema.get("format").and_then(Json::as_str).unwrap_or_default();
                let lower = name.to_ascii_lowercase();
                let phone = ["phone", "mobile", "tel", "cell"].iter().any(|word| lower.contains(word))
                    && !lower.contains("fax");
                match format {
                    "email" => json!("someone@example.com"),
                    "date-time" => json!("2026-01-01T00:00:00Z"),
                    "date" => json!("2026-01-01"),
                    "uri" => json!("https://crm.example.com/7"),
                    _ if phone => json!("13800138000"),
                    _ if lower.contains("email") => json!("someone@example.com"),
                    _ if lower == "id" || lower.ends_with("_id") => json!("7"),
                    _ => json!("Example"),
                }
            }
            _ => {
                let properties = schema.get("properties").and_then(Json::as_object);
                let made = |(key, schema): (&String, &'a Json), parts: &mut usize| {
                    (key.clone(), self.made(schema, key, depth + 1, parts))
                };
                Json::Object(properties.map(|p| p.iter().map(|entry| made(entry, parts)).collect()).unwrap_or_default())
            }
        }
    }
}
