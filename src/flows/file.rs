//! `flows/*.yaml` of the settings folder, as it stands.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::words::SystemId;

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlowFile {
    /// Its name; that of the file.
    pub flow: String,
    /// Version of this shape.
    pub schema: u32,
    pub title: Text,
    /// What begins it; any of them.
    pub on: Vec<Trigger>,
    /// An expression that must hold for it to begin.
    #[serde(default)]
    pub when: Option<String>,
    /// Flows with an equal value here are one: a second order for the same refund changes nothing. Absent: once for its call and trigger; of
    /// a button, once for each press.
    #[serde(default)]
    pub once: Option<String>,
    /// For what begins without a call: an expression over `event` that gives the id of the call it is about, by which `call` and `customer` are known. An
    /// event of a call that we have no record of begins nothing.
    #[serde(default)]
    pub call: Option<String>,
    #[serde(default)]
    pub inputs: BTreeMap<String, Input>,
    pub steps: Vec<Node>,
}

/// One text, or one for each language.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Text {
    One(String),
    Each(BTreeMap<String, String>),
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Trigger {
    /// An agent's phone rings with the call.
    Delivered,
    Established,
    Transferred,
    /// The call's record is written.
    Ended,
    /// The same, of an inbound call that nobody answered.
    Missed,
    /// Wrapped up with one of these dispositions, or one below them: `billing/refund`.
    WrapUp(Vec<String>),
    /// An agent presses it, with a call on the screen.
    Button(Button),
    Schedule(Schedule),
    /// An event that this connector's system tells by itself (`webhooks:` of its file); once for each event.
    Webhook(#[schemars(with = "String")] SystemId),
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Button {
    /// Who may; absent: everybody.
    #[serde(default)]
    pub roles: Option<Vec<String>>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Every so many minutes, from midnight UTC on. A slot that nobody was there for begins as long as it lasts.
    pub every_min: u32,
}

/// Something that a flow must be told.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    #[serde(rename = "type")]
    pub kind: Kind,
    #[serde(default)]
    pub label: Option<Text>,
    #[serde(default)]
    pub optional: bool,
    /// For `amount`, decimal texts.
    #[serde(default)]
    pub min: Option<String>,
    #[serde(default)]
    pub max: Option<String>,
    /// For `text`: characters.
    #[serde(default)]
    pub most: Option<u32>,
    /// For `choice`.
    #[serde(default)]
    pub choices: Vec<String>,
    /// A template that gives it where no agent does.
    #[serde(default)]
    pub from: Option<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Text,
    /// A decimal text above zero, at most four places: `129.00`.
    Amount,
    Choice,
    /// `2026-11-26`.
    Date,
    /// Texts.
    List,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Node {
    Step(Box<Step>),
    Approval(Approval),
    /// Attributes are written into the call's record.
    Record(Record),
    /// Waits for what somebody answers at a system.
    Answer(Answer),
    /// All at once; it goes on when all are done.
    Parallel(Vec<Node>),
    ForEach(ForEach),
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Part of its key at the system: a step that is renamed is another step.
    pub name: String,
    #[serde(default)]
    pub title: Option<Text>,
    pub system: SystemId,
    pub operation: String,
    /// Left out where it does not hold.
    #[serde(default)]
    pub when: Option<String>,
    #[serde(default)]
    pub inputs: BTreeMap<String, Value>,
    /// The answer's name in what follows.
    #[serde(default)]
    pub save: Option<String>,
    /// What the answer must be; otherwise the step has failed.
    #[serde(default)]
    pub require: Vec<Require>,
    #[serde(default)]
    pub undo: Option<Undo>,
    /// How long it is tried; absent: as the settings say.
    #[serde(default)]
    pub within_ms: Option<u64>,
    /// The flow goes on without it.
    #[serde(default)]
    pub may_fail: bool,
    /// From here there is no way back: what fails behind it is a person's, and nothing is undone.
    #[serde(default)]
    pub pivot: bool,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Require {
    /// An expression; `result` is the answer (none where there is nothing).
    pub that: String,
    /// What is told otherwise.
    pub otherwise: String,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Undo {
    Word(Nothing),
    Do(UndoStep),
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Nothing {
    /// There is nothing to take back, or no way to.
    None,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UndoStep {
    /// Absent: the step's own.
    #[serde(default)]
    pub system: Option<SystemId>,
    pub operation: String,
    #[serde(default)]
    pub inputs: BTreeMap<String, Value>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    pub name: String,
    #[serde(default)]
    pub title: Option<Text>,
    #[serde(default)]
    pub when: Option<String>,
    /// Who may agree. Never the one who asked.
    pub roles: Vec<Approver>,
    /// An expression that gives what `up_to` bounds.
    #[serde(default)]
    pub amount: Option<String>,
    /// Then it is refused.
    pub within_ms: u64,
    /// Asked for by a messenger's card too; the page goes on asking.
    #[serde(default)]
    pub ask: Option<Card>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// A connector that offers `approval.ask` and whose file has `decisions:`.
    pub system: SystemId,
    /// A template: what those see who may press.
    pub text: Value,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Record {
    pub name: String,
    #[serde(default)]
    pub title: Option<Text>,
    /// Left out where it does not hold.
    #[serde(default)]
    pub when: Option<String>,
    /// By name, with templates of their values; a switch's file lets flows write them (`flows: true`). Empty takes one back. They stay where the flow is
    /// undone: what was told was told.
    pub attributes: BTreeMap<String, String>,
    /// The flow goes on without it.
    #[serde(default)]
    pub may_fail: bool,
}

/// Somebody's answer to a message that a step before has written, as the connector's `webhooks: answers:` knows it. The first one counts.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    pub name: String,
    #[serde(default)]
    pub title: Option<Text>,
    #[serde(default)]
    pub when: Option<String>,
    /// A connector whose file has `answers:`.
    pub system: SystemId,
    /// An expression: what is answered, by the id that its operation gave: `question.id`.
    pub to: String,
    /// The answer's name in what follows: `text`, `who` (the user's id there), `name`.
    #[serde(default)]
    pub save: Option<String>,
    /// Then it has failed.
    pub within_ms: u64,
    /// The flow goes on without it.
    #[serde(default)]
    pub may_fail: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approver {
    pub role: String,
    /// The highest amount; absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to: Option<String>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForEach {
    pub name: String,
    /// An expression that gives a list.
    #[serde(rename = "in")]
    pub list: String,
    /// What an item is called in its steps.
    #[serde(rename = "as")]
    pub item: String,
    /// A longer list has failed.
    pub most: u16,
    pub steps: Vec<Node>,
}
