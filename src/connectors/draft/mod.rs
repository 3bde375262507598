//! Drafts of connector files, from what an integrator has in hand: an answer that the system gave, its OpenAPI document, or a 3CX CRM template.
//!
//! A draft is guesses, and each says how sure it is and why, in a comment at its line. `draft: true` at the head keeps it out of use until a person has read them. Nothing of the sample's people
//! gets into the file: its example has made-up values in the sample's shapes, and it proves the draft as it stands.

pub mod openapi;
mod request;
pub mod sample;
pub mod template;
mod yaml;

use serde_json::{Map, Value as Json};

use super::{
    Outcome, load_offline,
    run::{Next, Payload, Request, Response, Run},
};
use yaml::{Entry, Node};

/// How sure a guess is, in percent, and what it stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guess {
    pub percent: u8,
    pub why: String,
}

impl Guess {
    #[must_use]
    pub fn new(percent: u8, why: impl Into<String>) -> Self {
        Self { percent, why: why.into() }
    }
}

/// A file that is being drafted.
pub(crate) struct Draft {
    /// What it was made from, and what could not be carried over: comments at the head.
    pub head: Vec<String>,
    pub id: String,
    pub title: String,
    pub base_url: (String, Option<Guess>),
    pub auth: request::SignIn,
    pub variables: Vec<Entry>,
    pub numbers: Entry,
    pub operations: Vec<Entry>,
    /// Each is compiled and played before it is written down, so that its `value` is what the draft really gives.
    pub examples: Vec<Played>,
}

/// An example to come.
pub(crate) struct Played {
    pub name: String,
    pub operation: &'static str,
    pub inputs: Json,
    pub answer: Json,
}

impl Draft {
    /// The file's text.
    ///
    /// # Errors
    /// The draft does not hold together: what of it the engine refuses.
    pub fn text(self) -> Result<String, String> {
        let mut head = "# yaml-language-server: $schema=../schemas/connector.json\n".to_owned();
        for line in &self.head {
            head.push_str(&format!("# {line}\n"));
        }
        head.push_str("# A draft: each guess has its confidence. Read them, try the file (linecard connector try), then take out \"draft: true\"; until then nothing of it is used.\n\n");
        let mut variables = vec![Entry::new(
            "url",
            Node::map([Entry::new("text", Node::text(&self.base_url.0)).guess(self.base_url.1.clone())]),
        )];
        variables.extend(self.variables);
        variables.extend(self.auth.variables.iter().cloned());
        let mut root = vec![
            Entry::new("connector", Node::text(&self.id)),
            Entry::new("schema", Node::plain("1")),
            Entry::new("draft", Node::plain("true")),
            Entry::new("title", Node::text(&self.title)),
            Entry::new("variables", Node::Map(variables)),
            Entry::new("base_url", Node::text("{{ url }}")),
        ];
        root.extend(self.auth.entries);
        root.push(self.numbers);
        root.push(Entry::new("operations", Node::Map(self.operations)));
        let bare = yaml::written(&root);
        let system = load_offline(&format!("{}.yaml", self.id), &bare)
            .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
        let mut examples = Vec::new();
        for played in self.examples {
            let inputs = played.inputs.as_object().cloned().unwrap_or_default();
            let Ok((request, value)) = play(&system, played.operation, &inputs, &played.answer) else { continue };
            let exchange = Node::map([
                Entry::new("request", request),
                Entry::new(
                    "answer",
                    Node::map([
                        Entry::new("status", Node::plain("200")),
                        Entry::new("json", Node::from_json(&played.answer)),
                    ]),
                ),
            ]);
            examples.push(Node::map([
                Entry::new("name", Node::text(&played.name)),
                Entry::new("operation", Node::text(played.operation)),
                Entry::new("inputs", Node::from_json(&played.inputs)),
                Entry::new("exchanges", Node::List(vec![exchange])),
                Entry::new("outcome", Node::text("ok")),
                Entry::new("value", Node::from_json(&value)),
            ]));
        }
        if !examples.is_empty() {
            root.push(Entry::new("examples", Node::List(examples)));
        }
        Ok(format!("{head}{}", yaml::written(&root)))
    }
}

/// Plays one operation of one request against an answer: the request as an example writes it, and what came of it.
fn play(
    system: &super::System,
    operation: &str,
    inputs: &Map<String, Json>,
    answer: &Json,
) -> Result<(Node, Json), String> {
    let mut run = Run::new(system, operation, inputs).map_err(|o| o.word().to_owned())?;
    let mut written = None;
    loop {
        match run.next() {
            Next::Done(Outcome::Ok(value)) => return Ok((written.ok_or("nothing was asked")?, value)),
            Next::Done(outcome) => return Err(outcome.reason().unwrap_or(outcome.word()).to_owned()),
            Next::LogIn { .. } => return Err("it logs in first".to_owned()),
            Next::Send(requests) => {
                let [Request::Web(request)] = requests.as_slice() else {
                    return Err("it is more than one request".to_owned());
                };
                let mut entries = Vec::new();
                if request.method != super::file::Method::Get {
                    entries.push(Entry::new("method", Node::text(request.method.as_str())));
                }
                entries.push(Entry::new("path", Node::text(&request.path)));
                if !request.query.is_empty() {
                    let query = request.query.iter().map(|(k, v)| Entry::new(k, Node::text(&super::wire::plain(v))));
                    entries.push(Entry::new("query", Node::Map(query.collect())));
                }
                written = Some(Node::Map(entries));
                let body = Payload::Bytes(answer.to_string().into_bytes());
                run.answers(vec![Ok(Response { status: 200, headers: Vec::new(), body })]);
            }
        }
    }
}
