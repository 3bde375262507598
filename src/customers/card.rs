//! What we know of a customer: an answer, and one block per source.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    calls::record::Reference,
    connectors::Saw,
    connectors::beside::{Facts, Lane},
    numbers::Number,
    private::Private,
    words::{AgentId, CallId, SystemId, TenantId, Wall, trouble::Trouble},
};

/// Asked at the first sight of a call, and again when the number or the account changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub tenant: TenantId,
    pub call: CallId,
    pub number: Number,
    /// What the caller keyed or said of themselves before the agent; it is asked before the number is.
    pub account: Option<Private<String>>,
    /// Which systems, in the order of their blocks. `None`: all that offer `customer.by_phone`.
    pub systems: Option<Vec<SystemId>>,
    /// The number is known to be nobody's outside (internal, our own line). Its class says the rest.
    pub refused: Option<NotAsked>,
    pub around: Around,
}

/// Where a call is, for systems of which two versions are in use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Around {
    pub trunk: Option<String>,
    pub queue: Option<String>,
    /// Whose phones it is on.
    pub agents: Vec<AgentId>,
}

/// One question of a call and what came of it, for whoever has to explain the card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looked {
    pub system: SystemId,
    /// The file by which it was asked, where that is not the one of its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<SystemId>,
    /// For example `customer.by_phone`.
    pub operation: String,
    pub way: Way,
    /// The outcome's word (`ok`, `empty`, `denied`); see [`crate::connectors::Outcome::word`]. From the cache: `ok` or `empty`.
    pub outcome: String,
    /// Why there was no answer, without personal data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub saw: Vec<Saw>,
}

/// How an answer was come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// The system was asked, and took so long.
    Asked { ms: u64 },
    /// Another call had asked the same already and both got the answer.
    Shared { ms: u64 },
    /// Known so long.
    Cached { age_ms: u64, fresh: bool },
}

impl Question {
    /// Of a call that is over: all systems, by its number.
    #[must_use]
    pub fn by_number(tenant: TenantId, call: CallId, number: Number) -> Self {
        Self { tenant, call, number, account: None, systems: None, refused: None, around: Around::default() }
    }

    /// What decides by which version a system is asked.
    #[must_use]
    pub fn facts(&self) -> Facts {
        let Around { trunk, queue, agents } = self.around.clone();
        let caller = self.number.key().map_or_else(|| self.call.to_string(), str::to_owned);
        Facts { tenant: self.tenant.clone(), caller, trunk, queue, agents }
    }
}

/// A card became richer. `card` is whole each time, so a lost one does no harm.
#[derive(Clone, Debug)]
pub struct Answered {
    pub call: CallId,
    /// Rises with each card of a call; one that was overtaken on the way is dropped.
    pub version: u64,
    pub card: Arc<Card>,
}

/// Everything a pop shows of the customer of one call.
#[derive(Clone, Debug)]
pub struct Card {
    pub answer: Answer,
    /// Who else was found: behind a choice, those it was chosen from; best first.
    pub rest: Vec<Arc<Person>>,
    /// In the order of the question's systems, then of each connector file; the order never changes while blocks fill.
    pub blocks: Vec<Block>,
    /// By which way the answer was found, once it was.
    pub found_by: Option<FoundBy>,
    /// The caller gave an account and no system knows it.
    pub account_unknown: bool,
    /// The number is a shared one (a company's, a household's): nobody is chosen by it alone.
    pub shared: Option<Shared>,
    /// The answer is what an agent chose for this number in an earlier call.
    pub remembered: Option<Remembered>,
    /// Systems at which this number can be attached to a customer, and at which a customer can be created.
    pub attach: Vec<SystemId>,
    pub create: Vec<SystemId>,
    /// By which files the systems were asked; what is written for the call goes the same way.
    pub lane: Lane,
}

/// The answers, never mixed up: "we could not ask" is never shown as "nobody", and "nobody was asked" as neither.
#[derive(Clone, Debug)]
pub enum Answer {
    Pending,
    Found(Arc<Person>),
    Absent,
    /// Several customers have this number; a person chooses. Best first.
    Ambiguous(Vec<Arc<Person>>),
    Unavailable(Away),
    NotAsked(NotAsked),
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Away {
    pub trouble: Trouble,
    /// A lower-case fragment for people, without personal data: `redmine did not answer within 3000 ms`.
    pub reason: String,
}

/// Why no system was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NotAsked {
    /// The caller hides the number.
    Withheld,
    /// A colleague's extension, or a number that the switch's file calls internal.
    Internal,
    /// One of our own lines (trunks.yaml): a call of our own switch that came back.
    Own,
    /// 110, 119, 120, 122.
    Emergency,
    /// 106...: a source of bulk messages.
    BulkSms,
    /// 10648...: a machine.
    Machine,
    /// A number that stands for somebody else's while an order runs (number protection service): tomorrow it is another's.
    StandIn,
    /// A SIP user's name and no number.
    SipName,
    /// No system is asked for this line.
    NoSystem,
}

impl NotAsked {
    /// For people and logs.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Withheld => "the number is withheld",
            Self::Internal => "an internal number",
            Self::Own => "one of our own numbers",
            Self::Emergency => "an emergency number",
            Self::BulkSms => "a source of bulk messages",
            Self::Machine => "a machine's number",
            Self::StandIn => "a number that stands for another for a while",
            Self::SipName => "a name and no number",
            Self::NoSystem => "no system is asked for this line",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FoundBy {
    Number,
    Account,
}

/// Why a number is taken for a shared one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Shared {
    /// It stands in `customers.shared`.
    Listed,
    /// More customers have it than `customers.shared_above`.
    Many,
}

/// One person on the card: the record that stands for them, and what other systems have of the same person.
#[derive(Clone, Debug)]
pub struct Person {
    /// Of the first system in the question's order that knows them.
    pub head: Arc<Candidate>,
    pub also: Vec<Joined>,
    /// Why this one may be it, strongest first.
    pub reasons: Vec<Reason>,
}

/// The same person at another system, and how we know.
#[derive(Clone, Debug)]
pub struct Joined {
    pub candidate: Arc<Candidate>,
    pub by: JoinedBy,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinedBy {
    /// Both systems carry this key with the same value.
    Key(Arc<str>),
    /// Both systems know exactly one customer of this name at this number, and no key says otherwise.
    Name,
    /// One system gives no name, and it and the others know exactly one customer at this number.
    Number,
}

impl Person {
    #[must_use]
    pub fn alone(head: Arc<Candidate>) -> Self {
        Self { head, also: Vec::new(), reasons: Vec::new() }
    }

    /// The person's record at each system, the head first.
    pub fn records(&self) -> impl Iterator<Item = &Arc<Candidate>> {
        std::iter::once(&self.head).chain(self.also.iter().map(|joined| &joined.candidate))
    }

    #[must_use]
    pub fn at(&self, system: &str) -> Option<&Arc<Candidate>> {
        self.records().find(|record| record.link.system == system)
    }

    /// Whether one of the person's records has this id (`erp:customer:1001`).
    #[must_use]
    pub fn is(&self, id: &str) -> bool {
        self.records().any(|record| record.id == id)
    }

    /// What is known of this shared key.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&str> {
        self.records().find_map(|record| record.key(name))
    }
}

/// The name of a key that several systems share, and its value.
pub type SharedKey = (Arc<str>, Private<Box<str>>);

/// One customer at one system.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Candidate {
    /// Stable within the card: `<system>:<type>:<id>`.
    pub id: String,
    pub link: Reference,
    pub name: Option<Private<String>>,
    /// Why it matches, in a few words (`mobile`, `second number`).
    pub reason: Option<String>,
    /// The page of this customer at the system, if the connector knows it.
    pub url: Option<String>,
    /// What the connector mapped, as a JSON object: kept as text, because a million of these lie in the cache and frames copy them.
    pub facts: Option<Arc<RawValue>>,
    /// Shared keys (the connector file's `keys:`) with their values.
    #[serde(skip)]
    pub keys: Box<[SharedKey]>,
    /// What ranks it, where the connector maps any of it.
    #[serde(skip)]
    pub signs: Option<Box<Signs>>,
}

impl Candidate {
    /// A record of which no more is known than where it is.
    #[must_use]
    pub fn at(link: Reference) -> Self {
        let id = format!("{}:{}:{}", link.system, link.kind, link.id);
        Self { id, link, name: None, reason: None, url: None, facts: None, keys: Box::default(), signs: None }
    }

    #[must_use]
    pub fn key(&self, name: &str) -> Option<&str> {
        self.keys.iter().find(|(key, _)| &**key == name).map(|(_, value)| &**value.expose())
    }

    /// What the connector mapped, read.
    #[must_use]
    pub fn facts(&self) -> serde_json::Map<String, serde_json::Value> {
        self.facts.as_ref().and_then(|facts| serde_json::from_str(facts.get()).ok()).unwrap_or_default()
    }
}

/// What a connector mapped of a customer that says how likely it is this one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signs {
    /// `open_tickets` and `open_orders`.
    pub tickets: u32,
    pub orders: u32,
    /// `last_contact`.
    pub contact: Option<Wall>,
    /// `updated`.
    pub updated: Option<Wall>,
    /// `owner`: whose customer it is, as the system names its users (agents.yaml `ids`).
    pub owner: Option<Box<str>>,
}

/// Why a person may be the caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Reason {
    /// An agent chose this person for this number in an earlier call.
    Chosen {
        #[schemars(with = "String")]
        agent: AgentId,
        #[schemars(with = "String")]
        at: Wall,
    },
    /// Found by the account that the caller gave.
    Account,
    OpenTickets {
        count: u32,
    },
    OpenOrders {
        count: u32,
    },
    /// The last call with this person that we wrote down, and who had it.
    LastCall {
        #[schemars(with = "String")]
        at: Wall,
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<String>")]
        agent: Option<AgentId>,
    },
    /// The last contact that a system knows of.
    LastContact {
        #[schemars(with = "String")]
        at: Wall,
    },
    /// This agent's customer.
    Owner {
        #[schemars(with = "String")]
        agent: AgentId,
    },
    /// When the record was changed last.
    Updated {
        #[schemars(with = "String")]
        at: Wall,
    },
}

/// What an agent chose for a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// [`Candidate::id`].
    pub candidate: String,
    pub agent: AgentId,
    pub at: Wall,
}

/// What an agent says of a card.
#[derive(Clone, Debug)]
pub enum Choice {
    /// It is this one.
    Person(Arc<Person>),
    /// None of them.
    Nobody,
    /// Nothing: an earlier choice is taken back, and what was remembered of this number.
    Open,
}

/// One source's facts: `customer`, `finance`, `loyalty`, `orders` or `tickets` of one system.
#[derive(Clone, Debug)]
pub struct Block {
    pub system: SystemId,
    /// The operation that fills it, for example `tickets.open`.
    pub kind: String,
    pub title: Option<String>,
    pub state: BlockState,
    /// When the facts were asked for; their age is counted from here.
    pub asked_at: Option<Wall>,
    /// For `Unavailable`, and for `Absent` where nothing could be asked: why, without personal data.
    pub reason: Option<String>,
    /// The reason as a word.
    pub trouble: Option<Trouble>,
    /// Serialised once when it came; pop frames copy the bytes.
    pub body: Option<Arc<RawValue>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BlockState {
    Pending,
    Fresh,
    Stale,
    Absent,
    Unavailable,
    Ambiguous,
}

impl Card {
    /// A card that says only this.
    #[must_use]
    pub const fn of(answer: Answer) -> Self {
        Self {
            answer,
            rest: Vec::new(),
            blocks: Vec::new(),
            found_by: None,
            account_unknown: false,
            shared: None,
            remembered: None,
            attach: Vec::new(),
            create: Vec::new(),
            lane: Lane::NONE,
        }
    }

    /// Everybody on the card, in its order.
    pub fn people(&self) -> impl Iterator<Item = &Arc<Person>> {
        let (one, several) = match &self.answer {
            Answer::Found(person) => (Some(person), &[][..]),
            Answer::Ambiguous(people) => (None, people.as_slice()),
            _ => (None, &[][..]),
        };
        one.into_iter().chain(several).chain(&self.rest)
    }
}
