//! The frames of the agents' WebSocket, `linecard.v1`: what is said in both directions, and nothing about when.
//!
//! Every frame is one JSON object in one text message. From the daemon each has `type`, `seq` and `at` (the server's time);
//! `seq` counts the agent's stream from 1 and is 0 on frames that are no part of it. `docs/protocol/` is made from these
//! types and a test keeps the two the same. Clients ignore fields and types that they do not know.
//!
//! Frames from the daemon borrow what they show: a pop is written straight from the call's face, with the customer's card
//! copied as the bytes that were made once when it came.

use std::{borrow::Cow, collections::BTreeMap};

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    calls::{
        attributes::Fault,
        change::{Role, TransferKind, Withdrawal},
        command::Failure,
        face::{AgentLeg, CallState},
        record::{Direction, Origin, Reference},
        seats::How,
    },
    customers::{BlockState, FoundBy, NotAsked, Reason, Shared},
    flows::{
        file::{Approver, Kind},
        view::{StepSeen, TaskSeen},
    },
    numbers::Class,
    private::Private,
    records::callbacks::Why,
    words::{CallId, Wall, trouble::Trouble},
};

use super::settings::Opens;

/// The subprotocol a client must offer.
pub const SUBPROTOCOL: &str = "linecard.v1";

/// The second subprotocol by which a client may hand over its token: `bearer.` and the token.
pub const BEARER: &str = "bearer.";

// From the daemon.

/// A body of the daemon: knows the `type` under which it goes.
pub trait Body: Serialize {
    const TYPE: &'static str;
}

/// A body in its envelope.
#[derive(Serialize)]
pub struct Envelope<'a, B> {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub seq: u64,
    pub at: Wall,
    #[serde(flatten)]
    pub body: &'a B,
}

/// The token was accepted. The stream begins when the client says `resume`.
#[derive(Serialize, JsonSchema)]
pub struct Welcome<'a> {
    /// Changes with every start of the daemon's core; seqs of another epoch mean nothing.
    pub epoch: u64,
    /// What this daemon can do beyond version 1 of the protocol; empty today.
    pub features: &'a [&'a str],
    pub agent: Me<'a>,
    /// Why the agent may be not ready.
    pub reasons: Vec<ReasonChoice<'a>>,
    /// Queues that the agent may log in to and out of, as the switches name them.
    pub queues: Vec<&'a str>,
    /// When the page of the call's record opens by itself: the pop's `target`, else the `url` of the customer found or chosen.
    pub open: Opens,
    /// What may be chosen as the outcome of a call, by queue as the switch names it; `*` for every other. Each is a path, `repair/rebooked`.
    #[serde(skip_serializing_if = "no_outcomes")]
    pub outcomes: &'a BTreeMap<String, Vec<String>>,
    /// Business systems that have a name, or at which something can be done from a screen; as of this welcome.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub systems: Vec<SystemOffer<'a>>,
    /// The socket is closed with 1013 or found dead when pings, sent each so many milliseconds, stay without an answer twice.
    pub ping_ms: u64,
}

/// What can be done at a business system.
#[derive(Serialize, JsonSchema)]
pub struct SystemOffer<'a> {
    pub id: &'a str,
    /// What people call it: the connector's own title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<&'a str>,
    /// `search`, `comment`, `reopen`, `assign` and `escalate`, as far as there: each is a request `ticket.` and the word.
    pub tickets: Vec<&'a str>,
    /// Fields of its customers that `customer.update` may change.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub update: &'a [String],
}

/// Who the token says the client is.
#[derive(Serialize, JsonSchema)]
pub struct Me<'a> {
    pub id: &'a str,
    pub tenant: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    /// The token's, and those that the directory adds.
    pub roles: Vec<&'a str>,
}

#[derive(Serialize, JsonSchema)]
pub struct ReasonChoice<'a> {
    pub id: &'a str,
    /// What to show; absent: a client's own words for the id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<&'a str>,
    /// After so many seconds it is overrun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_s: Option<u32>,
}

/// Answer to a `resume` whose place in the stream is still known: the frames that were missed follow.
#[derive(Serialize, JsonSchema)]
pub struct Resumed<'a> {
    pub agent: AgentState<'a>,
    pub links: Vec<Link<'a>>,
}

/// Answer to any other `resume`, and to a screen that becomes the active one: everything as it is now.
#[derive(Serialize, JsonSchema)]
pub struct Snapshot<'a> {
    pub agent: AgentState<'a>,
    pub links: Vec<Link<'a>>,
    /// Empty for a screen that is not the active one.
    pub calls: Vec<SnapshotCall<'a>>,
}

/// One call on the agent's screen.
#[derive(Serialize, JsonSchema)]
pub struct SnapshotCall<'a> {
    pub pop: Pop<'a>,
    pub state: CallChanged<'a>,
    /// This pop was sent to a screen of this agent before: draw it, do not announce it.
    pub shown: bool,
    /// What this agent wrote on the call so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<&'a str>,
    /// What became of what was asked to be written, as it was told last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub wishes: Vec<Wish<'a>>,
}

/// What became of something that was to be written at a business system for a call: a number put to a customer, a customer made or changed, words on a
/// ticket. Its request was answered when it was durable; this is told when the system was asked.
#[derive(Serialize, JsonSchema)]
pub struct Wish<'a> {
    #[schemars(with = "String")]
    pub call: CallId,
    /// The same for each news of it.
    pub wish: &'a str,
    /// The operation: `note.add` (a comment), `ticket.reopen`, `ticket.assign`, `ticket.escalate`, `customer.update`, `customer.attach`, `customer.create`.
    pub what: &'a str,
    pub system: &'a str,
    /// Its id, where it is about a ticket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticket: Option<&'a str>,
    pub state: WishState,
    /// Why it is not done, in English and without personal data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    /// The reason as a word, where it is one that we know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WishState {
    Done,
    /// The system is away or busy; it goes again by itself.
    Later,
    /// The system, or what somebody else changed meanwhile, does not let it be; nothing was written.
    Refused,
    /// An answer was lost, and a person must look whether it was done.
    Person,
}

/// A call on the agent's screen. `pop.updated` is the same, whole, and replaces it.
#[derive(Serialize, JsonSchema)]
pub struct Pop<'a> {
    /// Stable: the same offer has the same id after a restart. A client drops ids it knows.
    pub pop: &'a str,
    #[schemars(with = "String")]
    pub call: CallId,
    /// Why this agent has it.
    pub role: Role,
    /// The device that rings, as the switch names it.
    pub device: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    pub origin: Origin,
    /// The page to open for this call (trunks.yaml, `target`): http or https, its values percent-encoded. Absent: the card, or a value is not known
    /// yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// What the line that was called is called (trunks.yaml).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brand: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<Queue<'a>>,
    /// The customer's number as this agent may see it; absent when none is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<Dialable<'a>>,
    /// The name that the switch showed. A name that a business system knows is in the card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Cow<'a, str>>,
    /// The line that was called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<Dialable<'a>>,
    /// Since when the customer waits (first queue, else start of the call).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub waited_since: Option<Wall>,
    /// `wrapup.submit` of this call is not taken without a `disposition`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub outcome_required: bool,
    /// Inbound calls of this number before this one; absent where that is not known (yet).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub called_before: Option<CalledBefore>,
    /// Agents who talked with the customer on this call before and have it no more, in the order in which they had it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub had_by: Vec<HadBy<'a>>,
    /// The record or ticket the call was started from.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<&'a Reference>,
    /// What the switch told of the call by mapping, for example what was keyed in the IVR.
    #[serde(skip_serializing_if = "no_attributes")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub attributes: Cow<'a, BTreeMap<String, Private<String>>>,
    /// Attributes that are not what their mapping says: `undecoded` (shown as it came), `cut` at its cap, `misfit` (not of its type).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, Fault>")]
    pub attribute_faults: &'a BTreeMap<String, Fault>,
    /// Attributes that have a label or that this agent may write (`attribute.set`), in the order of the switch's file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<AttributeField<'a>>,
    /// What colleagues wrote on this call so far (consultation and transfer).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note<'a>>,
    /// Who calls, and what is known of them.
    #[schemars(with = "Card")]
    pub card: std::borrow::Cow<'a, RawValue>,
    /// The candidate an agent chose; null when an agent said that it is none of them; absent while nobody chose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chosen: Option<Option<Cow<'a, str>>>,
    /// The requests that make sense for this pop now.
    pub actions: Vec<&'a str>,
}

/// How an attribute is to be shown, and whether it may be written.
#[derive(Serialize, JsonSchema)]
pub struct AttributeField<'a> {
    /// Its key in `attributes`.
    pub name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<&'a str>,
    #[serde(rename = "type")]
    pub kind: FieldType,
    /// For `choice`.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub choices: &'a [String],
    /// Longest value in characters.
    pub cap: usize,
    pub writable: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FieldType {
    Text,
    /// 0 to 9 only.
    Digits,
    /// `-12.50`.
    Number,
    /// `2026-11-25`.
    Date,
    /// One of `choices`.
    Choice,
}

#[derive(Serialize, JsonSchema)]
pub struct Queue<'a> {
    /// As the switch names it.
    pub id: &'a str,
    /// What to show: the label of the line's row, else the id.
    pub label: &'a str,
    /// How many others waited in it for an answer when this frame was made; absent once the call was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<u32>,
}

/// Calls of a number that ended in the last days, with this tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CalledBefore {
    pub days: u32,
    /// Without this one.
    pub calls: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub last_at: Option<Wall>,
}

/// An agent's part in a call that is over.
#[derive(Serialize, JsonSchema)]
pub struct HadBy<'a> {
    pub agent: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    /// From their answer until they had it no more; absent where one of the two was not seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ms: Option<u64>,
}

/// A number as a viewer may see it, and a handle by which it can be dialled even when it is masked.
#[derive(Serialize, JsonSchema)]
pub struct Dialable<'a> {
    /// What to show; digits in the middle are `*` when masked. Empty when the number was withheld.
    pub display: Cow<'a, str>,
    /// Absent when masked or when the number is no such number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub e164: Option<&'a str>,
    pub class: Class,
    pub masked: bool,
    /// Give it to `dial`; opaque, good while the call is on the agent's screen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handle: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub struct Note<'a> {
    pub agent: &'a str,
    pub text: Cow<'a, str>,
}

/// serde hands over a reference to the reference.
fn no_outcomes(outcomes: &&BTreeMap<String, Vec<String>>) -> bool {
    outcomes.is_empty()
}

/// serde hands over the `Cow`, and clippy wants what is in it: this takes either.
fn no_attributes(attributes: &impl std::ops::Deref<Target = BTreeMap<String, Private<String>>>) -> bool {
    attributes.is_empty()
}

/// Who calls, and one block per source.
#[derive(Serialize, JsonSchema)]
pub struct Card<'a> {
    pub answer: CardAnswer<'a>,
    /// Best first. When found, the first is the one, and behind it are those that it was chosen from; also there when an agent said that
    /// it is none of them.
    pub candidates: Vec<CardCandidate<'a>>,
    pub blocks: Vec<CardBlock<'a>>,
    /// By which way the candidates were found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found_by: Option<FoundBy>,
    /// The caller gave an account that no system knows; the number was looked up instead.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub account_unknown: bool,
    /// Many share this number: nobody is taken for the caller by it alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared: Option<Shared>,
    /// The one found is what an agent chose for this number in an earlier call; `candidate.forget` takes that back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remembered: Option<Remembered<'a>>,
    /// Systems at which the number can be put to a customer (`customer.attach`), and at which one can be made (`customer.create`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attach: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub create: Vec<&'a str>,
}

#[derive(Serialize, JsonSchema)]
pub struct Remembered<'a> {
    pub agent: &'a str,
    #[schemars(with = "String")]
    pub at: Wall,
}

#[derive(Serialize, JsonSchema)]
pub struct CardAnswer<'a> {
    pub state: AnswerState,
    /// For `unavailable` and `not-asked`: why, in English.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    /// For `not-asked`: why, for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<NotAsked>,
    /// For `unavailable`: the reason as a word, for pages that say it in their reader's language.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
}

/// The answers, never mixed up: "we could not ask" is not "nobody", and "nobody was asked" is neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerState {
    Pending,
    Found,
    Absent,
    Ambiguous,
    Unavailable,
    /// There is no number that could be looked up, or no system for this line.
    NotAsked,
}

#[derive(Serialize, JsonSchema)]
pub struct CardCandidate<'a> {
    /// What `candidate.choose` takes.
    pub id: &'a str,
    /// The customer at the system.
    pub link: &'a Reference,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    /// Why it matches, in a few words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    /// The page of this customer at the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<&'a str>,
    /// What the connector mapped: an object.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "serde_json::Value")]
    pub facts: Option<&'a RawValue>,
    /// The same person at other systems.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<AlsoAt<'a>>,
    /// Why this one may be the caller, strongest first.
    #[serde(skip_serializing_if = "<[Reason]>::is_empty")]
    pub reasons: &'a [Reason],
}

/// The same person's record at another system, and how the two were joined.
#[derive(Serialize, JsonSchema)]
pub struct AlsoAt<'a> {
    pub link: &'a Reference,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    pub by: AlsoBy,
    /// For `key`: its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<&'a str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AlsoBy {
    /// Both systems carry the same value of a key.
    Key,
    /// Both know exactly one customer of this name at this number.
    Name,
    /// It has no name, and each knows exactly one customer at this number.
    Number,
}

/// One source's facts, its state and its age.
#[derive(Serialize, JsonSchema)]
pub struct CardBlock<'a> {
    pub system: &'a str,
    /// The operation that fills it, for example `tickets.open`.
    pub kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<&'a str>,
    pub state: BlockState,
    /// When the facts were asked for; their age counts from here.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub asked_at: Option<Wall>,
    /// For `unavailable`, and for `absent` where nothing could be asked: why, in English.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    /// The reason as a word, for pages that say it in their reader's language.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// The facts, as the connector mapped them: an object or a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "serde_json::Value")]
    pub body: Option<&'a RawValue>,
}

/// The pop is taken back: the agent does not have this call.
#[derive(Serialize, JsonSchema)]
pub struct PopWithdrawn<'a> {
    pub pop: &'a str,
    #[schemars(with = "String")]
    pub call: CallId,
    pub reason: Withdrawal,
    /// For `answered-elsewhere`: the agent who took it, where it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Colleague<'a>>,
}

#[derive(Serialize, JsonSchema)]
pub struct Colleague<'a> {
    pub agent: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
}

/// Where a call is now, as this agent sees it. A call with neither `leg` nor `wrapup` leaves the screen.
#[derive(Serialize, JsonSchema)]
pub struct CallChanged<'a> {
    pub pop: &'a str,
    #[schemars(with = "String")]
    pub call: CallId,
    /// The call as a whole.
    pub state: CallState,
    /// The agent's own part in it; absent when their phone has it no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leg: Option<AgentLeg>,
    /// Since when `leg` is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub since: Option<Wall>,
    pub role: Role,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub started_at: Option<Wall>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub answered_at: Option<Wall>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub ended_at: Option<Wall>,
    /// Everyone who has it on a phone now.
    pub agents: Vec<OnPhone<'a>>,
    /// The last transfer, if this change is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transferred: Option<Handover<'a>>,
    /// The agent's part is over and the wrap-up is awaited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wrapup: Option<WrapUpDue>,
    /// The requests that do something to the call on this switch as it is now: `call.hangup` and the like; `recording.link` when it is over and was recorded. Replaces those of the pop and of the change before.
    pub actions: Vec<&'static str>,
}

#[derive(Serialize, JsonSchema)]
pub struct OnPhone<'a> {
    pub agent: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    pub role: Role,
    pub state: AgentLeg,
}

#[derive(Serialize, JsonSchema)]
pub struct Handover<'a> {
    pub kind: TransferKind,
    pub from: &'a str,
    /// The agent who has it now, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<&'a str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct WrapUpDue {
    /// When the agent's part ended.
    #[schemars(with = "String")]
    pub since: Wall,
    /// When the daemon stops waiting for it.
    #[schemars(with = "String")]
    pub until: Wall,
    /// When the agent may get the next call although it is still awaited; absent: not before, or since long.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub ready_at: Option<Wall>,
    /// `wrapup.extend` puts that off.
    pub may_extend: bool,
}

/// The agent's own state. Goes to every screen of the agent.
#[derive(Serialize, JsonSchema)]
pub struct AgentState<'a> {
    pub agent: &'a str,
    pub state: AgentCondition,
    /// Since when; absent where it was not seen to begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub since: Option<Wall>,
    /// For `not-ready`: why, one of the reasons of `welcome` or what somebody wrote at the switch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    /// For `working-after-call`: when the next call may come by itself. For `not-ready`: when its reason is overrun.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub until: Option<Wall>,
    /// Not ready for longer than the reason allows.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub overrun: bool,
    /// What comes after the call (`agent.next`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<NextState<'a>>,
    /// The agent's places in queues of switches that tell them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub queues: Vec<InQueue<'a>>,
    /// The agent's own day so far; absent until the day before the daemon's start was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub today: Option<MyDay>,
    /// This screen gets the pops. Another one may ask for them with `screen.activate`.
    pub active: bool,
    /// How many screens the agent has open.
    pub screens: usize,
    /// Where the agent sits; null: nowhere, and no call comes before a `seat.claim`. Absent for who sits fixed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seat: Option<Option<Seat<'a>>>,
    /// Devices of the agent of which their switch tells nothing at present: a call may ring there without a pop. Not seen is not idle.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unseen: Vec<AtSwitch<'a>>,
    /// Devices of the agent at which, as their switch tells, no phone is registered: no call rings there. Of whom the switch does not tell is not here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unregistered: Vec<AtSwitch<'a>>,
}

/// An agent's own calls of the day, as docs/kpis.md counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MyDay {
    /// That the agent talked on.
    pub calls: u64,
    /// Talk, hold and wrap of these together.
    pub handling_ms: u64,
    /// What their customers answered in a survey; absent where no switch's file has such an attribute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csat: Option<MyCsat>,
    /// When the day ends: from then on these are yesterday's.
    #[schemars(with = "String")]
    pub until: Wall,
}

/// CSAT of a day: good answers of all, as docs/kpis.md counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MyCsat {
    pub good: u64,
    pub of: u64,
}

#[derive(Serialize, JsonSchema)]
pub struct NextState<'a> {
    pub state: Availability,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
}

/// A place in a queue.
#[derive(Serialize, JsonSchema)]
pub struct InQueue<'a> {
    pub switch: &'a str,
    /// As the switch names it.
    pub queue: &'a str,
    /// Never `busy`: whether calls of this queue come, apart from the agent's calls.
    pub state: AgentCondition,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    #[schemars(with = "String")]
    pub since: Wall,
    /// It is a login, and `queue.logout` ends it.
    pub may_leave: bool,
}

/// A device where it is.
#[derive(Serialize, JsonSchema)]
pub struct AtSwitch<'a> {
    pub switch: &'a str,
    /// As the switch names it.
    pub device: &'a str,
}

/// A seat and since when.
#[derive(Serialize, JsonSchema)]
pub struct Seat<'a> {
    pub switch: &'a str,
    /// As the switch names it.
    pub device: &'a str,
    #[schemars(with = "String")]
    pub since: Wall,
    pub how: How,
}

/// CSTA's agent states (ECMA-269, AgentState).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AgentCondition {
    /// Out of all queues.
    LoggedOff,
    NotReady,
    Ready,
    /// A call rings or is up.
    Busy,
    /// A wrap-up is awaited, and its time is not over.
    WorkingAfterCall,
}

/// The states that an agent can be put into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Availability {
    LoggedOff,
    NotReady,
    #[default]
    Ready,
}

/// A switch or a business system came or went.
#[derive(Serialize, JsonSchema)]
pub struct Link<'a> {
    pub kind: LinkKind,
    pub id: &'a str,
    pub up: bool,
    #[schemars(with = "String")]
    pub since: Wall,
    /// Why it is away, without personal data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LinkKind {
    Switch,
    System,
}

/// What a request promised is durable.
#[derive(Serialize, JsonSchema)]
pub struct Done<'a> {
    /// The request's own.
    pub id: &'a str,
    /// For `dial`: the call, whose agent leg now exists. For a verb on a call: that call.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub call: Option<CallId>,
    /// For `customer.search`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<CardCandidate>>")]
    pub candidates: Option<&'a RawValue>,
    /// For `ticket.search`: objects as the systems give them, each with its `system`, `id` and, where there is one, its `url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<serde_json::Value>>")]
    pub tickets: Option<&'a RawValue>,
    /// For `callback.list`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callbacks: Option<Callbacks<'a>>,
    /// For `team.list`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<Team<'a>>,
    /// For `flow.list`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flows: Option<Flows<'a>>,
    /// For `flow.start`: its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow: Option<&'a str>,
    /// For `call.park`: what to dial to fetch the call, where the switch says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub space: Option<&'a str>,
    /// For `call.record.start`: what the switch calls the recording.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recording: Option<&'a str>,
    /// For `recording.link`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<RecordingLink<'a>>,
}

impl<'a> Done<'a> {
    /// With nothing to say but that it is done.
    #[must_use]
    pub const fn of(id: &'a str) -> Self {
        Self {
            id,
            call: None,
            candidates: None,
            tickets: None,
            callbacks: None,
            team: None,
            flows: None,
            flow: None,
            space: None,
            recording: None,
            link: None,
        }
    }
}

/// Where a recording can be heard for a while: a path below the address of this socket, for a player of this one recording. Ranges may be asked for.
#[derive(Serialize, JsonSchema)]
pub struct RecordingLink<'a> {
    /// It opens the recording to whoever has it: keep it out of logs.
    pub url: &'a str,
    #[schemars(with = "String")]
    pub expires_at: Wall,
    /// Which of the call's recordings it is, from 0, and how many there are.
    pub recording: usize,
    pub of: usize,
}

/// Customers who are to be called back.
#[derive(Serialize, JsonSchema)]
pub struct Callbacks<'a> {
    /// How many there are.
    pub open: usize,
    /// The first of them: what is due longest comes first.
    pub list: Vec<CallbackEntry<'a>>,
}

/// One customer who is to be called back.
#[derive(Serialize, JsonSchema)]
pub struct CallbackEntry<'a> {
    #[schemars(with = "String")]
    pub callback: CallId,
    /// The number to show; digits in the middle are `*` when masked.
    pub display: String,
    pub masked: bool,
    /// Give it to `dial`: the callback is then claimed, and the call's `ref`.
    pub handle: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub why: Why,
    /// The title of the line that was called last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<&'a str>,
    /// The first and the last time that the customer was missed or asked, and how often.
    #[schemars(with = "String")]
    pub since: Wall,
    #[schemars(with = "String")]
    pub last: Wall,
    pub count: u32,
    /// Calls in vain.
    pub attempts: u32,
    /// From when on it is time to call: within the hours in which customers are called, and some time after a call in vain.
    #[schemars(with = "String")]
    pub due: Wall,
    /// Who claimed it, and until when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub until: Option<Wall>,
    /// What the agent wrote who took the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The agents of a supervisor's teams.
#[derive(Serialize, JsonSchema)]
pub struct Team<'a> {
    /// How many there are.
    pub agents: usize,
    /// The first of them, by id.
    pub list: Vec<Member<'a>>,
}

/// One agent as their supervisor sees them.
#[derive(Serialize, JsonSchema)]
pub struct Member<'a> {
    pub agent: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    pub state: AgentCondition,
    /// Since when: the state, or with a call the agent's part in it. Absent where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub since: Option<Wall>,
    /// For `not-ready`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    /// The reason's time is over.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub overrun: bool,
    /// The agent has a page open.
    pub here: bool,
    /// A queue of a switch has them logged in.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub in_queue: bool,
    /// The switch tells nothing of a phone of theirs: not seen is not idle.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unseen: bool,
    /// A phone of theirs is not registered.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unregistered: bool,
    /// The call that they talk in, else the one that rings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<MemberCall<'a>>,
    /// What this supervisor can do about it now: `call.listen` and the like at that switch, and `agent.state`.
    pub actions: Vec<&'static str>,
}

/// What a supervisor sees of the call of an agent.
#[derive(Serialize, JsonSchema)]
pub struct MemberCall<'a> {
    #[schemars(with = "String")]
    pub call: CallId,
    pub leg: AgentLeg,
    pub role: Role,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// The line's title, and the queue's label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<&'a str>,
    /// The customer, as this supervisor may see the number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<Dialable<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Cow<'a, str>>,
}

/// `team.changed`: the agent again, whole.
#[derive(Serialize, JsonSchema)]
#[serde(transparent)]
pub struct TeamChanged<'a>(pub Member<'a>);

/// `queues.changed`: how it stands in the queues that the agent is in, whole. It comes after `queue.watch`, and half a second after something changed.
#[derive(Serialize, JsonSchema)]
#[serde(transparent)]
pub struct QueuesChanged<'a>(pub &'a MyQueues);

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MyQueues {
    /// By name; none of switches that do not tell who is in their queues.
    pub queues: Vec<MyQueue>,
    /// What every agent is to read, as agents.yaml has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
}

/// A queue that the agent is in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MyQueue {
    /// As the switch names it.
    pub queue: String,
    /// Callers who wait for an answer now.
    pub waiting: u32,
    /// Since when the first of them does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub longest_since: Option<Wall>,
    /// What its agents are to read, as agents.yaml has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
}

/// `board.changed`: everything that a board shows, whole; of calls and queues, never of a customer. It comes after `board.watch`, a quarter of a second after something changed and at least every two
/// seconds.
#[derive(Serialize, JsonSchema)]
#[serde(transparent)]
pub struct BoardChanged<'a>(pub &'a Board);

#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Board {
    /// By name.
    pub queues: Vec<BoardQueue>,
    /// The agents of the supervisor's teams.
    pub agents: BoardAgents,
    pub calls: BoardCalls,
    /// Today, by the hour in which calls ended; hours without a call are not here.
    pub hours: Vec<BoardHour>,
    /// What fires now.
    pub alerts: Vec<BoardAlert>,
    pub limits: BoardLimits,
    /// False: the day until the daemon started is still being read, and today's figures are those since then.
    pub complete: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BoardQueue {
    /// As the switch names it; empty for calls that were in none.
    pub queue: String,
    /// What the line's row calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Callers who wait for an answer now.
    pub waiting: u32,
    /// Since when the first of them does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub longest_since: Option<Wall>,
    /// Agents in it, and those of them who are ready; absent where the switch does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<u32>,
    #[serde(flatten)]
    pub today: BoardCount,
    /// So many seconds are in time.
    pub in_time_s: u32,
}

/// Calls that ended today, as docs/kpis.md counts them: offered without short abandons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BoardCount {
    pub offered: u64,
    pub answered: u64,
    pub in_time: u64,
    pub abandoned: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BoardHour {
    pub hour: u8,
    #[serde(flatten)]
    pub today: BoardCount,
}

/// Away: logged off, or ready without a page and in no queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BoardAgents {
    pub ready: u32,
    pub busy: u32,
    pub after_call: u32,
    pub not_ready: u32,
    pub away: u32,
}

/// Calls that are up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BoardCalls {
    /// For an answer, in a queue.
    pub waiting: u32,
    pub talking: u32,
    /// In an IVR, ringing without a queue, on their way out.
    pub otherwise: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BoardAlert {
    /// The rule (alerts.yaml).
    pub alert: String,
    /// What people call it, by language; empty where the rule has none.
    pub title: BTreeMap<String, String>,
    /// What it is about: a system, a switch.
    pub subject: String,
}

/// From where on a figure is over its limit (linecard.yaml, `kpis.limits`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BoardLimits {
    pub waiting: u32,
    pub longest_s: u32,
    /// Percent.
    pub service_level: u8,
    pub abandonment: u8,
}

/// What an agent may begin, and what is under way that is theirs to see.
#[derive(Serialize, JsonSchema)]
pub struct Flows<'a> {
    pub offers: Vec<FlowOffer<'a>>,
    /// Newest first.
    pub list: Vec<FlowSeen<'a>>,
}

/// A flow with a button, and what it must be told.
#[derive(Serialize, JsonSchema)]
pub struct FlowOffer<'a> {
    /// What `flow.start` takes.
    pub name: &'a str,
    /// By language.
    pub title: BTreeMap<String, String>,
    pub inputs: Vec<FlowInput<'a>>,
}

#[derive(Serialize, JsonSchema)]
pub struct FlowInput<'a> {
    pub name: &'a str,
    #[serde(rename = "type")]
    pub kind: Kind,
    /// By language; empty: the name will do.
    pub label: BTreeMap<String, String>,
    pub required: bool,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub choices: &'a [String],
    /// For `amount`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<&'a str>,
}

/// Where a flow stands.
#[derive(Serialize, JsonSchema)]
pub struct FlowSeen<'a> {
    pub flow: &'a str,
    pub name: &'a str,
    /// By language.
    pub title: &'a BTreeMap<String, String>,
    pub state: FlowState,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub call: Option<CallId>,
    /// Who asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<&'a str>,
    #[schemars(with = "String")]
    pub since: Wall,
    pub steps: Cow<'a, [StepSeen]>,
    /// Why it was stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    /// The reason as a word, where it is one that we know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// What this agent may say: `flow.approve`, `flow.refuse`, `flow.stop`, `flow.task`.
    pub actions: Vec<&'a str>,
    /// Who may agree, and up to which amount.
    #[serde(skip_serializing_if = "<[Approver]>::is_empty")]
    pub approvers: &'a [Approver],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<&'a str>,
    /// What waits for a person; for supervisors.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<Cow<'a, TaskSeen>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FlowState {
    Running,
    /// Somebody must agree.
    Approval,
    /// What was done is being taken back.
    Undoing,
    /// A person must look at something.
    Person,
    Done,
    /// It ended, and what was done is taken back.
    Undone,
}

/// `flow.changed`: the flow again, whole.
#[derive(Serialize, JsonSchema)]
#[serde(transparent)]
pub struct FlowChanged<'a>(pub FlowSeen<'a>);

/// A request was refused, or came to nothing.
#[derive(Serialize, JsonSchema)]
pub struct Failed<'a> {
    /// The request's own; absent when the frame could not be read that far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<&'a str>,
    pub code: Code,
    /// A lower-case fragment for people, in English, without personal data.
    pub message: &'a str,
    /// For `seat-taken`: who has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
}

/// Why; for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// No JSON object with a `type`.
    BadFrame,
    /// A type that this daemon does not know.
    UnknownType,
    /// A field is missing or wrong.
    BadRequest,
    /// The call is not on this agent's screen.
    UnknownCall,
    /// Not a candidate of this call.
    UnknownCandidate,
    /// Not an attribute that agents may write on this call.
    UnknownAttribute,
    /// Longer than the attribute's cap, or not of its type.
    InvalidValue,
    /// This number, this line or this system does not allow it.
    NotOffered,
    /// Another dial of this agent is not answered yet.
    DialPending,
    /// The same was asked for this call before, and is not answered yet.
    VerbPending,
    /// The agent has no device to ring.
    NoDevice,
    /// This callback is over.
    UnknownCallback,
    /// There is no such flow, or it is over.
    UnknownFlow,
    /// An input is missing, or is not what the flow asks for; the message says which.
    InvalidInput,
    /// The wrap-up of this call's queue is not taken without an outcome.
    OutcomeRequired,
    /// A colleague claimed this callback.
    CallbackClaimed,
    /// There is no such call, or it has no such recording.
    UnknownRecording,
    /// The recording is older than recordings are kept, or was removed.
    RecordingGone,
    /// Not before the call has ended.
    CallUp,
    /// Somebody else sits there.
    SeatTaken,
    /// There is no such seat at this switch, or none was named where there are several switches.
    UnknownSeat,
    /// Too many requests wait for their answer.
    TooMany,
    /// It could not be made durable, or a system could not be asked; try again later.
    Unavailable,
    /// A new token that is refused or is somebody else's.
    Unauthenticated,
    // The words of `calls::Failure`.
    Busy,
    NoAnswer,
    NotRegistered,
    NotPermitted,
    AgentInCall,
    UnknownTarget,
    NotDialable,
    SwitchUnavailable,
    Timeout,
    BlockedNumber,
    ForbiddenHours,
    CoolDown,
    TooManyCalls,
    UnavailableHere,
    CallOver,
    NotRecording,
}

impl Code {
    /// As it goes over the wire.
    #[must_use]
    pub fn word(self) -> String {
        serde_json::to_value(self).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

impl From<Failure> for Code {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Busy => Self::Busy,
            Failure::NoAnswer => Self::NoAnswer,
            Failure::NotRegistered => Self::NotRegistered,
            Failure::NotPermitted => Self::NotPermitted,
            Failure::AgentInCall => Self::AgentInCall,
            Failure::UnknownTarget => Self::UnknownTarget,
            Failure::NotDialable => Self::NotDialable,
            Failure::SwitchUnavailable => Self::SwitchUnavailable,
            Failure::Timeout => Self::Timeout,
            Failure::BlockedNumber => Self::BlockedNumber,
            Failure::ForbiddenHours => Self::ForbiddenHours,
            Failure::CoolDown => Self::CoolDown,
            Failure::TooManyCalls => Self::TooManyCalls,
            Failure::UnavailableHere => Self::UnavailableHere,
            Failure::CallOver => Self::CallOver,
            Failure::NotRecording => Self::NotRecording,
        }
    }
}

/// `pop.updated`: the pop again, whole.
#[derive(Serialize, JsonSchema)]
#[serde(transparent)]
pub struct PopUpdated<'a>(pub Pop<'a>);

/// `agent.changed`.
#[derive(Serialize, JsonSchema)]
#[serde(transparent)]
pub struct AgentChanged<'a>(pub AgentState<'a>);

/// `link.changed`.
#[derive(Serialize, JsonSchema)]
#[serde(transparent)]
pub struct LinkChanged<'a>(pub Link<'a>);

/// `wish.changed`.
#[derive(Serialize, JsonSchema)]
#[serde(transparent)]
pub struct WishChanged<'a>(pub Wish<'a>);

macro_rules! bodies {
    ($($name:ident => $kind:literal),* $(,)?) => {
        $(impl Body for $name<'_> {
            const TYPE: &'static str = $kind;
        })*

        /// Every frame of the daemon: its type and the schema of its body.
        fn bodies(generator: &mut schemars::SchemaGenerator) -> Vec<(&'static str, Schema)> {
            vec![$(($kind, <$name<'static> as JsonSchema>::json_schema(generator))),*]
        }
    };
}

bodies! {
    Welcome => "welcome",
    Resumed => "resumed",
    Snapshot => "snapshot",
    Pop => "pop",
    PopUpdated => "pop.updated",
    PopWithdrawn => "pop.withdrawn",
    CallChanged => "call.changed",
    AgentChanged => "agent.changed",
    LinkChanged => "link.changed",
    BoardChanged => "board.changed",
    QueuesChanged => "queues.changed",
    TeamChanged => "team.changed",
    FlowChanged => "flow.changed",
    WishChanged => "wish.changed",
    Done => "done",
    Failed => "failed",
}

// To the daemon.

/// First frame, unless the token came as a subprotocol; later with a fresh token of the same agent, to stay on.
#[derive(Deserialize, JsonSchema)]
pub struct Authenticate {
    /// A JWT.
    #[schemars(with = "String")]
    pub token: Private<String>,
    /// If given, a renewal is answered by `done` or `failed`.
    #[serde(default)]
    pub id: Option<String>,
}

/// Begins the stream: with `epoch` and `seq` of the last frame seen by a screen that was active, else without.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Resume {
    #[serde(default)]
    pub epoch: Option<u64>,
    #[serde(default)]
    pub seq: Option<u64>,
    /// False: do not take the pops away from another screen that has them.
    #[serde(default = "yes")]
    pub active: bool,
}

/// Says which candidate it is; null: none of them, or, where nobody was found, only the call is kept. The record then says `nobody`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct CandidateChoose {
    #[schemars(with = "String")]
    pub call: CallId,
    pub candidate: Option<String>,
}

/// Takes back who was said to be the customer, and what an earlier call's choice said of this number.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct CandidateForget {
    #[schemars(with = "String")]
    pub call: CallId,
}

/// Puts the call's number to this customer (of the card or of a search for this call), who is then the call's customer. `done` when it is
/// sure to be delivered.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct CustomerAttach {
    #[schemars(with = "String")]
    pub call: CallId,
    pub candidate: String,
}

/// Makes a customer of the call's number; once in a call. `done` when it is sure to be delivered.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct CustomerCreate {
    #[schemars(with = "String")]
    pub call: CallId,
    /// One of the card's `create`; absent: the first.
    #[serde(default)]
    pub system: Option<String>,
    #[schemars(with = "String", length(min = 1, max = 200))]
    pub name: Private<String>,
    #[serde(default)]
    #[schemars(with = "Option<String>", length(max = 200))]
    pub company: Option<Private<String>>,
    #[serde(default)]
    #[schemars(with = "Option<String>", length(max = 200))]
    pub email: Option<Private<String>>,
}

/// Changes what a system knows of the call's customer. `done` when it is sure to be delivered; what came of it is told by `wish.changed`. What somebody
/// else changed since it was shown is not written over.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct CustomerUpdate {
    #[schemars(with = "String")]
    pub call: CallId,
    /// One of the welcome's `systems`.
    pub system: String,
    /// New values, by names of its `update`.
    #[schemars(with = "BTreeMap<String, String>")]
    pub fields: BTreeMap<String, Private<String>>,
    /// The values that were shown, of the same names; empty where there was none.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub was: BTreeMap<String, Private<String>>,
}

/// A ticket of this call's card, or one that was found by a search for this call.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct TicketAt {
    pub system: String,
    pub id: String,
}

/// Looks for tickets, open and closed ones, by words or by number.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct TicketSearch {
    /// The call it is for: what is found can then be written on.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub call: Option<CallId>,
    #[schemars(with = "String", length(min = 1, max = 200))]
    pub query: Private<String>,
    /// Only tickets of the call's customer.
    #[serde(default)]
    pub theirs: bool,
}

/// Words on a ticket. `done` when they are sure to be delivered.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct TicketComment {
    #[schemars(with = "String")]
    pub call: CallId,
    pub ticket: TicketAt,
    #[schemars(with = "String", length(min = 1, max = 20000))]
    pub text: Private<String>,
    /// Not for the customer's eyes, where the system tells the two apart.
    #[serde(default)]
    pub private: bool,
}

/// A closed ticket is opened again.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct TicketReopen {
    #[schemars(with = "String")]
    pub call: CallId,
    pub ticket: TicketAt,
    /// Why.
    #[schemars(with = "String", length(min = 1, max = 20000))]
    pub text: Private<String>,
}

/// A ticket becomes somebody's.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct TicketAssign {
    #[schemars(with = "String")]
    pub call: CallId,
    pub ticket: TicketAt,
    /// An agent's id; absent: who asks. The directory says who that is at the system.
    #[serde(default)]
    pub to: Option<String>,
}

/// A ticket becomes more urgent, or another group's.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct TicketEscalate {
    #[schemars(with = "String")]
    pub call: CallId,
    pub ticket: TicketAt,
    /// Why.
    #[schemars(with = "String", length(min = 1, max = 20000))]
    pub text: Private<String>,
    /// As the system names it.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub priority: Option<String>,
    /// The group or queue it goes into, as the system names it.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub into: Option<String>,
}

/// Looks for a customer by number, name or whatever the systems take.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct CustomerSearch {
    /// The call it is for: what is found can then be chosen for it.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub call: Option<CallId>,
    #[schemars(with = "String", length(min = 1, max = 200))]
    pub query: Private<String>,
}

/// The whole text so far; replaces what this agent wrote on this call before.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct NotesSet {
    #[schemars(with = "String")]
    pub call: CallId,
    #[schemars(with = "String", length(max = 20000))]
    pub text: Private<String>,
}

/// Writes an attribute of the call that the pop's `fields` call writable. Everybody who has the call sees it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct AttributeSet {
    #[schemars(with = "String")]
    pub call: CallId,
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// Empty takes it back.
    #[schemars(with = "String", length(max = 4096))]
    pub value: Private<String>,
}

/// Something that the agent did by hand in another system for this call: it is counted (docs/kpis.md), and nothing else comes of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct OpsCount {
    #[schemars(with = "String")]
    pub call: CallId,
    pub kind: ByHand,
    /// So often; default: once.
    #[serde(default)]
    #[schemars(range(min = 1, max = 100))]
    pub count: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ByHand {
    /// A record was opened in another system.
    RecordOpened,
    /// A number was copied to be put in elsewhere.
    NumberCopied,
    /// Something was typed to search for in another system.
    SearchTyped,
    /// A ticket was made in another system by hand.
    TicketOutside,
}

/// Completes the agent's part in a call.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct WrapupSubmit {
    #[schemars(with = "String")]
    pub call: CallId,
    /// A path in the disposition tree, for example `["billing", "refund"]`.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub disposition: Vec<String>,
    #[serde(default)]
    #[schemars(with = "Option<String>", length(max = 20000))]
    pub notes: Option<Private<String>>,
    /// Asks for a follow-up ticket.
    #[serde(default)]
    pub ticket: bool,
}

/// Click-to-dial: the agent's phone rings first, then the number is dialled. One of `number` and `handle`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Dial {
    #[serde(default)]
    #[schemars(with = "Option<String>", length(max = 64))]
    pub number: Option<Private<String>>,
    /// Of a number in a pop, or of a callback.
    #[serde(default)]
    pub handle: Option<String>,
    /// The record or ticket it is for.
    #[serde(default, rename = "ref")]
    pub reference: Option<Reference>,
}

/// The customers to be called back, as far as they are the agent's teams' or everybody's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct CallbackList {
    /// 0: only how many there are. Default: 50.
    #[serde(default)]
    #[schemars(range(max = 200))]
    pub most: Option<u16>,
}

/// `callback.claim`: for a while it is this agent's, and nobody else calls. `callback.release`: it is anybody's again. `callback.close`: nothing more is to
/// be done about it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct CallbackIt {
    #[schemars(with = "String")]
    pub callback: CallId,
}

/// The customer of this call asks to be called back.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct CallbackAsk {
    #[schemars(with = "String")]
    pub call: CallId,
    /// For whoever calls.
    #[serde(default)]
    #[schemars(with = "Option<String>", length(max = 2000))]
    pub note: Option<Private<String>>,
}

/// What this agent may begin (for a call on the screen, or without one) and what is under way. With the role `supervisor`: all that waits for somebody, and
/// `flow.changed` of it comes to this screen from then on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct FlowList {}

/// Begins a flow; `done` when it is durable. `flow.changed` tells how it goes.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
pub struct FlowStart {
    #[schemars(length(min = 1, max = 100))]
    pub name: String,
    /// The call on the screen that it is about.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub call: Option<CallId>,
    /// By name.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub inputs: Private<serde_json::Map<String, serde_json::Value>>,
}

/// `flow.approve`: the asker of this request agrees; never who asked for the flow. `flow.refuse`: it ends, and what was done is taken back.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct FlowAgree {
    #[schemars(length(min = 1, max = 32))]
    pub flow: String,
    #[schemars(length(min = 1, max = 100))]
    pub step: String,
    #[serde(default)]
    #[schemars(with = "Option<String>", length(max = 2000))]
    pub why: Option<Private<String>>,
}

/// It ends, and what was done is taken back; for who asked for it and for supervisors.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct FlowStop {
    #[schemars(length(min = 1, max = 32))]
    pub flow: String,
    #[serde(default)]
    #[schemars(with = "Option<String>", length(max = 2000))]
    pub why: Option<Private<String>>,
}

/// What a supervisor says of a task.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
pub struct FlowTask {
    #[schemars(length(min = 1, max = 32))]
    pub flow: String,
    pub task: u32,
    pub what: TaskWord,
    #[serde(default)]
    #[schemars(with = "Option<String>", length(max = 2000))]
    pub note: Option<Private<String>>,
    /// What the system gave, where later steps need it.
    #[serde(default)]
    #[schemars(with = "Option<serde_json::Value>")]
    pub result: Option<Private<serde_json::Value>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TaskWord {
    /// It is mine.
    Take,
    /// It was done.
    Done,
    /// It was not, and is not to be.
    NotDone,
    /// It was not: try it again.
    Again,
}

/// To hear a call that is over: one in which this agent talked, one of their team's for a supervisor, or what the settings allow their role.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct RecordingWanted {
    #[schemars(with = "String")]
    pub call: CallId,
    /// Which of its recordings, in the order in which they began. Default: 0, the first.
    #[serde(default)]
    #[schemars(range(max = 999))]
    pub recording: u16,
}

/// Does something to a call that is on this agent's screen: `call.answer`, `call.hangup` (while it rings: declines), `call.hold`, `call.retrieve`, `call.mute`,
/// `call.unmute`, `call.complete` (the customer and who was consulted go together), `call.cancel` (back to the customer), `call.conference` (all three),
/// `call.park`, `call.record.start`, `call.record.stop`, `call.record.pause`, `call.record.resume`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct CallVerb {
    #[schemars(with = "String")]
    pub call: CallId,
}

/// Sends the call to an extension or a number: at once (`call.transfer`), or to be asked first while the customer waits (`call.consult`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct CallTo {
    #[schemars(with = "String")]
    pub call: CallId,
    /// Digits, `*`, `#`, a leading plus, and what people put between digits.
    #[schemars(with = "String", length(min = 1, max = 64))]
    pub to: Private<String>,
}

/// Presses keys, for the other side to hear.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct CallDigits {
    #[schemars(with = "String")]
    pub call: CallId,
    /// 0 to 9, `*`, `#`, A to D.
    #[schemars(with = "String", length(min = 1, max = 24))]
    pub digits: Private<String>,
}

/// Fetches a call to this agent's phone: one on the screen that is parked, or the one that rings at a colleague of a team of this agent. One of `call`
/// and `agent`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct CallPickup {
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub call: Option<CallId>,
    #[serde(default)]
    #[schemars(length(min = 1, max = 128))]
    pub agent: Option<String>,
}

/// For the role `supervisor`, on the call that an agent of one of their teams talks in: hears it (`call.listen`), is heard by the agent alone
/// (`call.whisper`) or by both (`call.barge`), or takes it over (`call.take`). The supervisor's phone rings first.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct CallOf {
    #[schemars(length(min = 1, max = 128))]
    pub agent: String,
}

/// What an agent is from now on; `done` when each switch that keeps it has done it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct AgentSet {
    pub state: Availability,
    /// For `not-ready`: an id of `welcome`'s reasons.
    #[serde(default)]
    #[schemars(length(min = 1, max = 40))]
    pub reason: Option<String>,
    /// For the role `supervisor`: an agent of one of their teams. Absent: the agent themselves.
    #[serde(default)]
    #[schemars(length(min = 1, max = 128))]
    pub agent: Option<String>,
}

/// What an agent is after the call that is up; without a call, from now on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct AgentNext {
    /// Null: as before, nothing comes after it.
    #[serde(default)]
    pub state: Option<Availability>,
    #[serde(default)]
    #[schemars(length(min = 1, max = 40))]
    pub reason: Option<String>,
    #[serde(default)]
    #[schemars(length(min = 1, max = 128))]
    pub agent: Option<String>,
}

/// `queue.login`: calls of that queue come too. `queue.logout`: no more.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct QueueOf {
    /// As the switch names it.
    #[schemars(length(min = 1, max = 128))]
    pub queue: String,
    /// Where several switches have queues.
    #[serde(default)]
    #[schemars(length(min = 1, max = 128))]
    pub switch: Option<String>,
}

/// More time for the wrap-up of this call before the next one comes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct WrapupExtend {
    #[schemars(with = "String")]
    pub call: CallId,
}

/// For the role `supervisor`: from then on `board.changed` comes to this screen; after a reconnect it is asked for again.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct BoardWatch {
    /// False: no more news.
    #[serde(default = "yes")]
    pub watch: bool,
}

/// From then on `queues.changed` comes to this screen, at once and when it is otherwise, while the agent has no call; after a reconnect it is asked for again.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct QueueWatch {
    /// False: no more news.
    #[serde(default = "yes")]
    pub watch: bool,
}

/// For the role `supervisor`: the agents of their teams. From then on `team.changed` comes to this screen when one of them has another state or call, at
/// most four times a second for each; after a reconnect the list is asked for again.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct TeamList {
    /// False: no more news.
    #[serde(default = "yes")]
    pub watch: bool,
}

/// Takes a seat: calls to that device are this agent's from now on. Another seat of the agent is left.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct SeatClaim {
    /// As the switch names it, or its extension alone.
    #[schemars(length(min = 1, max = 128))]
    pub device: String,
    /// Where several switches have seats of that name.
    #[serde(default)]
    #[schemars(length(min = 1, max = 128))]
    pub switch: Option<String>,
}

/// Leaves the seat. A call that is up goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct SeatLeave {}

/// This screen wants the pops from now on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct ScreenActivate {}

/// Answered by `done`: the way there and back works.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Ping {}

const fn yes() -> bool {
    true
}

/// Every frame to the daemon: its type, whether it needs an `id`, and the schema of the rest.
fn requests(generator: &mut schemars::SchemaGenerator) -> Vec<(&'static str, bool, Schema)> {
    vec![
        ("authenticate", false, Authenticate::json_schema(generator)),
        ("resume", false, Resume::json_schema(generator)),
        ("candidate.choose", true, CandidateChoose::json_schema(generator)),
        ("candidate.forget", true, CandidateForget::json_schema(generator)),
        ("customer.search", true, CustomerSearch::json_schema(generator)),
        ("customer.attach", true, CustomerAttach::json_schema(generator)),
        ("customer.create", true, CustomerCreate::json_schema(generator)),
        ("customer.update", true, CustomerUpdate::json_schema(generator)),
        ("ticket.search", true, TicketSearch::json_schema(generator)),
        ("ticket.comment", true, TicketComment::json_schema(generator)),
        ("ticket.reopen", true, TicketReopen::json_schema(generator)),
        ("ticket.assign", true, TicketAssign::json_schema(generator)),
        ("ticket.escalate", true, TicketEscalate::json_schema(generator)),
        ("notes.set", true, NotesSet::json_schema(generator)),
        ("attribute.set", true, AttributeSet::json_schema(generator)),
        ("wrapup.submit", true, WrapupSubmit::json_schema(generator)),
        ("dial", true, Dial::json_schema(generator)),
        ("callback.list", true, CallbackList::json_schema(generator)),
        ("callback.claim", true, CallbackIt::json_schema(generator)),
        ("callback.release", true, CallbackIt::json_schema(generator)),
        ("callback.close", true, CallbackIt::json_schema(generator)),
        ("callback.ask", true, CallbackAsk::json_schema(generator)),
        ("call.answer", true, CallVerb::json_schema(generator)),
        ("call.hangup", true, CallVerb::json_schema(generator)),
        ("call.hold", true, CallVerb::json_schema(generator)),
        ("call.retrieve", true, CallVerb::json_schema(generator)),
        ("call.mute", true, CallVerb::json_schema(generator)),
        ("call.unmute", true, CallVerb::json_schema(generator)),
        ("call.digits", true, CallDigits::json_schema(generator)),
        ("call.transfer", true, CallTo::json_schema(generator)),
        ("call.consult", true, CallTo::json_schema(generator)),
        ("call.complete", true, CallVerb::json_schema(generator)),
        ("call.cancel", true, CallVerb::json_schema(generator)),
        ("call.conference", true, CallVerb::json_schema(generator)),
        ("call.park", true, CallVerb::json_schema(generator)),
        ("call.pickup", true, CallPickup::json_schema(generator)),
        ("call.record.start", true, CallVerb::json_schema(generator)),
        ("call.record.stop", true, CallVerb::json_schema(generator)),
        ("call.record.pause", true, CallVerb::json_schema(generator)),
        ("call.record.resume", true, CallVerb::json_schema(generator)),
        ("call.listen", true, CallOf::json_schema(generator)),
        ("call.whisper", true, CallOf::json_schema(generator)),
        ("call.barge", true, CallOf::json_schema(generator)),
        ("call.take", true, CallOf::json_schema(generator)),
        ("agent.state", true, AgentSet::json_schema(generator)),
        ("agent.next", true, AgentNext::json_schema(generator)),
        ("queue.login", true, QueueOf::json_schema(generator)),
        ("queue.logout", true, QueueOf::json_schema(generator)),
        ("wrapup.extend", true, WrapupExtend::json_schema(generator)),
        ("ops.count", true, OpsCount::json_schema(generator)),
        ("board.watch", true, BoardWatch::json_schema(generator)),
        ("queue.watch", true, QueueWatch::json_schema(generator)),
        ("team.list", true, TeamList::json_schema(generator)),
        ("flow.list", true, FlowList::json_schema(generator)),
        ("flow.start", true, FlowStart::json_schema(generator)),
        ("flow.approve", true, FlowAgree::json_schema(generator)),
        ("flow.refuse", true, FlowAgree::json_schema(generator)),
        ("flow.stop", true, FlowStop::json_schema(generator)),
        ("flow.task", true, FlowTask::json_schema(generator)),
        ("recording.link", true, RecordingWanted::json_schema(generator)),
        ("seat.claim", true, SeatClaim::json_schema(generator)),
        ("seat.leave", true, SeatLeave::json_schema(generator)),
        ("screen.activate", true, ScreenActivate::json_schema(generator)),
        ("ping", true, Ping::json_schema(generator)),
    ]
}

// The schemas.

/// `docs/protocol/schemas/<type>.json` as it must be, for every frame type of both directions (JSON Schema 2020-12).
#[must_use]
pub fn schemas() -> Vec<(&'static str, serde_json::Value)> {
    let draft = schemars::generate::SchemaSettings::draft2020_12;
    let mut all = Vec::new();
    let mut generator = draft().for_serialize().into_generator();
    for (kind, schema) in bodies(&mut generator) {
        all.push((kind, whole(kind, schema, &generator, Envelope::<()>::FIELDS)));
    }
    let mut generator = draft().for_deserialize().into_generator();
    for (kind, needs_id, schema) in requests(&mut generator) {
        all.push((kind, whole(kind, schema, &generator, if needs_id { REQUEST } else { &[] })));
    }
    all
}

/// A field that the envelope adds: name, schema text.
type Field = (&'static str, &'static str);

impl Envelope<'_, ()> {
    const FIELDS: &'static [Field] = &[
        (
            "seq",
            r#"{"type":"integer","minimum":0,"description":"Counts the agent's stream from 1; 0: no part of the stream. Remember the highest."}"#,
        ),
        (
            "at",
            r#"{"type":"string","format":"date-time","description":"The server's time, RFC 3339 UTC with milliseconds."}"#,
        ),
    ];
}

const REQUEST: &[Field] = &[(
    "id",
    r#"{"type":"string","minLength":1,"maxLength":64,"description":"Chosen by the client. Idempotent per agent: the same id again gets the same answer and does nothing twice."}"#,
)];

/// The body's schema with the envelope's fields, and the definitions it needs.
fn whole(kind: &str, schema: Schema, generator: &schemars::SchemaGenerator, fields: &[Field]) -> serde_json::Value {
    let mut value = schema.to_value();
    let definitions = serde_json::Value::Object(generator.definitions().clone());
    // A transparent wrapper is only a reference to what it wraps: the envelope needs the object itself.
    if let Some(name) = value.get("$ref").and_then(|r| r.as_str()).and_then(|r| r.strip_prefix("#/$defs/")) {
        value = definitions[name].clone();
    }
    let mut properties = serde_json::Map::new();
    properties.insert("type".into(), serde_json::json!({ "const": kind }));
    let mut required = vec![serde_json::json!("type")];
    for (name, text) in fields {
        properties.insert((*name).into(), serde_json::from_str(text).expect("the constants above are JSON"));
        required.push(serde_json::json!(name));
    }
    let object = value.as_object_mut().expect("every body is an object");
    if let Some(serde_json::Value::Object(own)) = object.remove("properties") {
        properties.extend(own);
    }
    if let Some(serde_json::Value::Array(own)) = object.remove("required") {
        required.extend(own);
    }
    object.insert("$schema".into(), serde_json::json!("https://json-schema.org/draft/2020-12/schema"));
    object.insert("title".into(), serde_json::json!(kind));
    object.insert("type".into(), serde_json::json!("object"));
    object.insert("properties".into(), serde_json::Value::Object(properties));
    object.insert("required".into(), serde_json::Value::Array(required));
    let used = used(&value, &definitions);
    if !used.is_empty() {
        value["$defs"] = serde_json::Value::Object(used);
    }
    value
}

/// The definitions that `value` names, and those that they name.
fn used(value: &serde_json::Value, all: &serde_json::Value) -> serde_json::Map<String, serde_json::Value> {
    let mut found = serde_json::Map::new();
    let mut todo = names(value);
    while let Some(name) = todo.pop() {
        if !found.contains_key(&name) {
            todo.extend(names(&all[&name]));
            found.insert(name.clone(), all[&name].clone());
        }
    }
    found
}

fn names(value: &serde_json::Value) -> Vec<String> {
    match value {
        serde_json::Value::Object(object) => object
            .iter()
            .flat_map(|(key, value)| match (key.as_str(), value.as_str()) {
                ("$ref", Some(text)) => text.strip_prefix("#/$defs/").map(str::to_owned).into_iter().collect(),
                _ => names(value),
            })
            .collect(),
        serde_json::Value::Array(list) => list.iter().flat_map(names).collect(),
        _ => Vec::new(),
    }
}
