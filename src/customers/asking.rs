//! What to ask next for one call, and what the card says meanwhile. Still: it is told what is known.
//!
//! The way: by the account that the caller gave, where a system takes one; else by the number, at all systems at once. The records
//! become people (`people.rs`), the people are ranked (`ranking.rs`). When it is one person, the systems that know them are
//! asked for their blocks; the others are asked by a key that the first ones gave (`keys:` and `by:` of the connector
//! files), and what those answer may hold further keys. As long as it is a guess who it is, no block is asked for.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use serde_json::{Map, Value, value::RawValue};

use crate::{
    calls::record::Reference,
    connectors::beside::Lane,
    numbers::{Class, Number},
    private::Private,
    words::{SystemId, TenantId, Wall, trouble::Trouble},
};

use super::{
    card::{
        Answer, Away, Block, BlockState, Candidate, Card, Choice, FoundBy, Joined, JoinedBy, NotAsked, Person, Reason,
        Remembered, Shared, Signs,
    },
    people,
    ranking::{self, Own, Owners},
};

/// The operations whose answers are blocks, in the order in which a card shows them.
pub const BLOCKS: [&str; 4] = ["finance", "loyalty", "orders", "tickets.open"];
pub const BY_PHONE: &str = "customer.by_phone";
pub const BY_ACCOUNT: &str = "customer.by_account";
pub const GET: &str = "customer.get";
pub const ATTACH: &str = "customer.attach";
pub const CREATE: &str = "customer.create";

/// People on one card at most; a number that more share is nobody's, and the card says that it is shared.
const MOST: usize = 20;

/// One question to one system. Equal keys are the same question, whoever asks. The subject is a number, an account, a customer's id or
/// a shared key with its value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub tenant: TenantId,
    pub system: SystemId,
    pub operation: &'static str,
    pub subject: Private<Box<str>>,
    /// The file that is asked in the place of the system's own: what one version answered is never shown as the other's.
    pub version: Option<SystemId>,
}

impl Key {
    /// Who is asked.
    #[must_use]
    pub fn asked(&self) -> &SystemId {
        self.version.as_ref().unwrap_or(&self.system)
    }
}

/// What a system answered.
#[derive(Clone, Debug)]
pub struct Entry {
    pub asked_at: Wall,
    /// How many changes had been told when it was asked for.
    pub changes: u64,
    pub found: Found,
}

#[derive(Clone, Debug)]
pub enum Found {
    /// Of the customer operations: never empty.
    Customers(Box<[Arc<Candidate>]>),
    Facts(Arc<RawValue>),
    Nothing,
    /// It could not be asked, or what it said fits nothing.
    Unavailable(Away),
}

/// One system as a card needs it: its id and what it offers.
#[derive(Clone, Debug)]
pub struct Offer {
    pub system: SystemId,
    pub title: Option<String>,
    pub by_phone: bool,
    pub by_account: bool,
    /// The shared keys by which `customer.get` takes a customer whom another system found, best first; empty: it takes none.
    pub get_by: Vec<String>,
    pub blocks: Vec<Facts>,
    pub attach: bool,
    pub create: bool,
}

/// One of [`BLOCKS`] at a system.
#[derive(Clone, Debug)]
pub struct Facts {
    pub operation: &'static str,
    pub title: Option<String>,
    /// As [`Offer::get_by`].
    pub by: Vec<String>,
}

/// Entry and whether it is still fresh.
#[derive(Clone, Debug)]
pub struct Known {
    pub entry: Arc<Entry>,
    pub fresh: bool,
}

pub type Answers = HashMap<Key, Known>;

/// What the site says besides the connector files: swapped whole at a reload.
#[derive(Clone, Debug, Default)]
pub struct Site {
    /// The keys ([`Number::key`]) of numbers that many share.
    pub shared: HashSet<String>,
    /// A number of more customers than this is a shared one; 0: never.
    pub shared_above: usize,
    pub owners: Owners,
}

/// What one call is about.
#[derive(Clone, Debug)]
pub struct Subject {
    pub tenant: TenantId,
    /// The number's key; absent when it is not looked up, and then `refused` says why.
    pub number: Option<String>,
    pub account: Option<Private<String>>,
    pub refused: Option<NotAsked>,
    pub offers: Vec<Offer>,
    pub choice: Choice,
    /// By which files the systems are asked.
    pub lane: Lane,
    pub site: Arc<Site>,
    /// What we wrote down ourselves; `None` until it was read.
    pub own: Option<Own>,
}

/// A question that has to be asked (or answered from the cache), with what the system is told.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub key: Key,
    pub about: About,
}

/// What a system is told with a question. Most answers are in the cache and nobody is told anything: so it is put into words
/// ([`About::inputs`]) only for a question that goes out. Reading the facts of a record for each key cost half of a cached card.
#[derive(Clone, Debug)]
pub enum About {
    /// The number's key.
    Number(String),
    Account(Private<String>),
    /// A customer who has a record at that system, or whom the others found.
    Record(Arc<Candidate>),
    /// Somebody whom other systems know: the shared key's name, its value, and the person's name.
    Shared {
        key: String,
        value: Private<Box<str>>,
        name: Option<Private<String>>,
    },
}

impl About {
    #[must_use]
    pub fn inputs(&self) -> Map<String, Value> {
        let one = |name: &str, value: Value| Map::from_iter([(name.to_owned(), value)]);
        match self {
            Self::Number(number) => one("number", Value::from(number.as_str())),
            Self::Account(account) => one("account", Value::from(account.expose().as_str())),
            Self::Record(record) => one("customer", told(record)),
            Self::Shared { key, value, name } => {
                let mut customer = Map::from_iter([
                    ("id".to_owned(), Value::from(&**value.expose())),
                    ("type".to_owned(), Value::from("customer")),
                    ("by".to_owned(), Value::from(key.as_str())),
                    (key.clone(), Value::from(&**value.expose())),
                ]);
                if let Some(name) = name {
                    customer.insert("name".to_owned(), Value::from(name.expose().as_str()));
                }
                one("customer", Value::Object(customer))
            }
        }
    }
}

/// What the class of a number says about asking for it. A service code (95588) or a number that cannot be read here may well stand in a
/// system as it is shown; what can be nobody's is not asked for.
#[must_use]
pub const fn refused(number: &Number) -> Option<NotAsked> {
    match number.class {
        Class::Anonymous => Some(NotAsked::Withheld),
        Class::Extension => Some(NotAsked::Internal),
        Class::Emergency => Some(NotAsked::Emergency),
        Class::SmsPort => Some(NotAsked::BulkSms),
        Class::M2m => Some(NotAsked::Machine),
        Class::Masked => Some(NotAsked::StandIn),
        Class::SipUser => Some(NotAsked::SipName),
        Class::Mobile
        | Class::Geographic
        | Class::GeographicOrMobile
        | Class::SharedCost
        | Class::TollFree
        | Class::Service
        | Class::International
        | Class::Invalid
        | Class::Unknown => None,
    }
}

/// The people found, and what stands in the way of knowing better.
struct Seen {
    people: Vec<Person>,
    by: FoundBy,
    /// A system has not answered yet.
    pending: bool,
    away: Option<Away>,
    /// Some system was (or will be) asked.
    asked: bool,
    account_unknown: bool,
}

/// Who the customer is at one system.
enum Standing {
    Pending,
    Nobody,
    Several,
    /// There is no number to ask by.
    NotAsked(NotAsked),
    Unavailable(Away),
    One(Arc<Candidate>),
}

impl Subject {
    fn key(&self, system: &SystemId, operation: &'static str, subject: &str) -> Key {
        Key {
            tenant: self.tenant.clone(),
            system: system.clone(),
            operation,
            subject: Private::new(Box::from(subject)),
            version: self.lane.version(system).cloned(),
        }
    }

    fn by_phone(&self, offer: &Offer) -> Option<Key> {
        let number = self.number.as_deref().filter(|_| offer.by_phone)?;
        Some(self.key(&offer.system, BY_PHONE, number))
    }

    fn by_account(&self, offer: &Offer) -> Option<Key> {
        let account = self.account.as_ref().filter(|_| offer.by_account)?;
        Some(self.key(&offer.system, BY_ACCOUNT, account.expose()))
    }

    /// The question by a shared key, if the person has one that this operation takes.
    fn by_shared(&self, offer: &Offer, operation: &'static str, by: &[String], person: &Person) -> Option<Wanted> {
        let (name, value) = by.iter().find_map(|name| Some((name, person.key(name)?)))?;
        let about = About::Shared {
            key: name.clone(),
            value: Private::new(Box::from(value)),
            name: person.records().find_map(|record| record.name.clone()),
        };
        Some(Wanted { key: self.key(&offer.system, operation, &format!("{name}={value}")), about })
    }

    /// The question for a block of a customer who has a record there.
    fn of_record(&self, offer: &Offer, operation: &'static str, record: &Arc<Candidate>) -> Wanted {
        let key = self.key(&offer.system, operation, &format!("{}:{}", record.link.kind, record.link.id));
        Wanted { key, about: About::Record(record.clone()) }
    }

    /// The question for one block, if it can be asked.
    fn block(&self, offer: &Offer, facts: &Facts, person: &Person, standing: &Standing) -> Option<Wanted> {
        match standing {
            Standing::One(record) => Some(self.of_record(offer, facts.operation, record)),
            Standing::Pending | Standing::Several => None,
            Standing::Nobody | Standing::NotAsked(_) | Standing::Unavailable(_) if !facts.by.is_empty() => {
                self.by_shared(offer, facts.operation, &facts.by, person)
            }
            // A system that cannot be searched and names no key is told who the others found, and takes what it needs.
            Standing::Nobody if !offer.by_phone && offer.get_by.is_empty() => {
                Some(self.of_record(offer, facts.operation, &person.head))
            }
            Standing::Nobody | Standing::NotAsked(_) | Standing::Unavailable(_) => None,
        }
    }

    /// Everything this card stands on, as far as can be said now: blocks appear here once their customer is known.
    pub fn wanted(&self, known: &Answers) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        let seen = self.seen(known);
        for offer in &self.offers {
            if let (Some(key), Some(account)) = (self.by_account(offer), &self.account) {
                wanted.push(Wanted { key, about: About::Account(account.clone()) });
            }
        }
        if !self.account_pending(known) {
            for offer in &self.offers {
                if let (Some(key), Some(number)) = (self.by_phone(offer), &self.number) {
                    wanted.push(Wanted { key, about: About::Number(number.clone()) });
                }
            }
        }
        let Some(person) = self.decided(&seen) else { return wanted };
        let person = self.whole(person, known);
        for offer in &self.offers {
            if person.at(offer.system.as_str()).is_none()
                && let Some(question) = self.by_shared(offer, GET, &offer.get_by, &person)
            {
                wanted.push(question);
            }
            let standing = self.standing(offer, &person, known);
            wanted.extend(offer.blocks.iter().filter_map(|facts| self.block(offer, facts, &person, &standing)));
        }
        wanted
    }

    /// The people among whom our own records may help to tell; `None` where that is no question (any more).
    pub fn recall(&self, known: &Answers) -> Option<Vec<String>> {
        if self.own.is_some() {
            return None;
        }
        let people = self.seen(known).people;
        let ids = || people.iter().flat_map(Person::records).map(|record| record.id.clone()).collect();
        (people.len() > 1).then(ids)
    }

    pub fn card(&self, known: &Answers, now: Wall) -> Card {
        let seen = self.seen(known);
        let shared = self.shared(&seen);
        let decided = self.decided(&seen).map(|person| self.whole(person, known));
        let blocks = self.blocks(&seen, decided.as_ref(), known);
        let remembered = self.remembered(&seen).cloned();
        let found_by = (!seen.people.is_empty()).then_some(seen.by);
        let account_unknown = seen.account_unknown;
        // What was found and what is there to be chosen from.
        let nobody = Own::default();
        let mut people = ranking::rank(seen.people, self.own.as_ref().unwrap_or(&nobody), &self.site.owners, now);
        people.truncate(MOST);
        let mut rest = Vec::new();
        let answer = match (decided, &self.choice) {
            (Some(person), _) => {
                let reasons = people.iter().position(|other| other.is(&person.head.id)).map(|at| people.remove(at));
                rest = people;
                let reasons = reasons.map(|ranked| ranked.reasons.clone()).unwrap_or_default();
                Answer::Found(Arc::new(Person { reasons, ..person }))
            }
            (None, Choice::Nobody) => {
                rest = people;
                Answer::Absent
            }
            (None, _) if people.len() > 1 && self.own.is_none() => Answer::Pending,
            (None, _) if !people.is_empty() => Answer::Ambiguous(people),
            (None, _) if seen.pending => Answer::Pending,
            (None, _) => match (seen.away, self.refused, seen.asked) {
                (Some(away), ..) => Answer::Unavailable(away),
                (None, Some(why), _) => Answer::NotAsked(why),
                (None, None, false) => Answer::NotAsked(NotAsked::NoSystem),
                (None, None, true) => Answer::Absent,
            },
        };
        let can = |of: fn(&Offer) -> bool| {
            let offers = self.offers.iter().filter(|offer| self.number.is_some() && of(offer));
            offers.map(|offer| offer.system.clone()).collect()
        };
        let (attach, create) = (can(|offer| offer.attach), can(|offer| offer.create));
        let lane = self.lane.clone();
        Card { answer, rest, blocks, found_by, account_unknown, shared, remembered, attach, create, lane }
    }

    fn blocks(&self, seen: &Seen, decided: Option<&Person>, known: &Answers) -> Vec<Block> {
        let mut blocks = Vec::new();
        for offer in &self.offers {
            let standing = match decided {
                Some(person) => self.standing(offer, person, known),
                None => self.undecided(offer, seen, known),
            };
            if offer.by_phone || offer.by_account || !offer.get_by.is_empty() {
                blocks.push(self.customer_block(offer, &standing, decided, known));
            }
            for facts in &offer.blocks {
                let mut block = Block {
                    system: offer.system.clone(),
                    kind: facts.operation.to_owned(),
                    title: facts.title.clone(),
                    state: BlockState::Pending,
                    asked_at: None,
                    reason: None,
                    trouble: None,
                    body: None,
                };
                match decided.and_then(|person| self.block(offer, facts, person, &standing)) {
                    Some(Wanted { key, .. }) => {
                        if let Some(known) = known.get(&key) {
                            fill(&mut block, known);
                        }
                    }
                    None if decided.is_some() && matches!(standing, Standing::Nobody) && !facts.by.is_empty() => {
                        block.state = BlockState::Absent;
                        block.reason = Some(format!("no {} is known of this customer", facts.by.join(" or ")));
                        block.trouble = Some(Trouble::NoKey);
                    }
                    None => stand(&mut block, &standing),
                }
                blocks.push(block);
            }
        }
        blocks
    }

    fn customer_block(&self, offer: &Offer, standing: &Standing, decided: Option<&Person>, known: &Answers) -> Block {
        let get =
            || decided.and_then(|person| self.by_shared(offer, GET, &offer.get_by, person)).map(|wanted| wanted.key);
        let entries = [self.by_account(offer), self.by_phone(offer), get()];
        // The answer that holds the record shown, else the last that came.
        let holds = |known: &Known, record: &Candidate| match &known.entry.found {
            Found::Customers(list) => list.iter().any(|other| other.id == record.id),
            _ => false,
        };
        let mut came = entries.into_iter().flatten().filter_map(|key| known.get(&key));
        let entry = match standing {
            Standing::One(record) => came.find(|known| holds(known, record)),
            _ => came.last(),
        };
        let mut block = Block {
            system: offer.system.clone(),
            kind: "customer".to_owned(),
            title: offer.title.clone(),
            state: BlockState::Pending,
            asked_at: entry.map(|k| k.entry.asked_at),
            reason: None,
            trouble: None,
            body: None,
        };
        stand(&mut block, standing);
        if let Standing::One(record) = standing {
            block.state = if entry.is_none_or(|k| k.fresh) { BlockState::Fresh } else { BlockState::Stale };
            block.body.clone_from(&record.facts);
        }
        block
    }

    fn account_pending(&self, known: &Answers) -> bool {
        self.offers.iter().filter_map(|offer| self.by_account(offer)).any(|key| !known.contains_key(&key))
    }

    fn seen(&self, known: &Answers) -> Seen {
        let mut seen = Seen {
            people: Vec::new(),
            by: FoundBy::Number,
            pending: false,
            away: None,
            asked: false,
            account_unknown: false,
        };
        let mut by_account: Vec<&[Arc<Candidate>]> = Vec::new();
        let mut by_phone: Vec<&[Arc<Candidate>]> = Vec::new();
        let mut away_by_account = false;
        for offer in &self.offers {
            let account = self.by_account(offer);
            let mut found: &[Arc<Candidate>] = &[];
            if let Some(key) = &account {
                seen.asked = true;
                match known.get(key).map(|k| &k.entry.found) {
                    None => seen.pending = true,
                    Some(Found::Customers(list)) => found = list,
                    Some(Found::Unavailable(away)) => {
                        away_by_account = true;
                        seen.away = seen.away.or(Some(away.clone()));
                    }
                    Some(Found::Nothing | Found::Facts(_)) => {}
                }
            }
            by_account.push(found);
        }
        let decides = by_account.iter().any(|found| !found.is_empty());
        let accounts = self.offers.iter().any(|offer| self.by_account(offer).is_some());
        seen.account_unknown = accounts && !seen.pending && !decides && !away_by_account;
        for (offer, account) in self.offers.iter().zip(&by_account) {
            let mut found = *account;
            if let Some(key) = self.by_phone(offer) {
                seen.asked = true;
                match known.get(&key).map(|k| &k.entry.found) {
                    None => seen.pending = true,
                    // Whom the account gave is not looked for again by number.
                    Some(Found::Customers(list)) if account.is_empty() => found = list,
                    Some(Found::Unavailable(away)) => seen.away = seen.away.or(Some(away.clone())),
                    Some(Found::Customers(_) | Found::Nothing | Found::Facts(_)) => {}
                }
            }
            by_phone.push(found);
        }
        seen.people = people::join(&by_phone);
        if decides {
            // The account says who it is; of what the number gives, only the same person's records count.
            let given: HashSet<&str> = by_account.iter().copied().flatten().map(|c| c.id.as_str()).collect();
            seen.by = FoundBy::Account;
            seen.people.retain(|person| person.records().any(|record| given.contains(record.id.as_str())));
            for person in &mut seen.people {
                person.reasons.push(Reason::Account);
            }
        }
        seen
    }

    fn shared(&self, seen: &Seen) -> Option<Shared> {
        if seen.by == FoundBy::Account {
            return None;
        }
        if self.number.as_ref().is_some_and(|number| self.site.shared.contains(number)) {
            return Some(Shared::Listed);
        }
        let most = self.site.shared_above;
        (most > 0 && seen.people.len() > most).then_some(Shared::Many)
    }

    /// What an agent chose for this number, if it may be used and the systems still know that person.
    fn remembered(&self, seen: &Seen) -> Option<&Remembered> {
        if !matches!(self.choice, Choice::Open) || self.shared(seen).is_some() || seen.by == FoundBy::Account {
            return None;
        }
        let remembered = self.own.as_ref()?.remembered.as_ref()?;
        seen.people.iter().any(|person| person.is(&remembered.candidate)).then_some(remembered)
    }

    /// The one person it is, by choice, by being the only one, or by what was chosen before. Never by rank.
    fn decided(&self, seen: &Seen) -> Option<Person> {
        match &self.choice {
            Choice::Nobody => None,
            Choice::Person(chosen) => {
                // Among those found, for then the other systems' records are with it; else it was searched for.
                let found = seen.people.iter().find(|person| chosen.records().any(|record| person.is(&record.id)));
                Some(found.cloned().unwrap_or_else(|| (**chosen).clone()))
            }
            Choice::Open => {
                let only = match seen.people.as_slice() {
                    [one] => Some(one),
                    _ => None,
                };
                match self.remembered(seen) {
                    Some(remembered) => seen.people.iter().find(|person| person.is(&remembered.candidate)),
                    None => only.filter(|_| self.shared(seen).is_none()),
                }
                .cloned()
            }
        }
    }

    /// The person with what systems answered that were asked by a shared key; each answer may bring the key for the next.
    fn whole(&self, mut person: Person, known: &Answers) -> Person {
        for _ in 0..self.offers.len() {
            let before = person.also.len();
            for offer in self.offers.iter().filter(|offer| !offer.get_by.is_empty()) {
                if person.at(offer.system.as_str()).is_some() {
                    continue;
                }
                let Some(Wanted { key, .. }) = self.by_shared(offer, GET, &offer.get_by, &person) else { continue };
                if let Some(Found::Customers(list)) = known.get(&key).map(|k| &k.entry.found)
                    && let [record] = &**list
                    && let Some(by) = agrees(&offer.get_by, &person, record)
                {
                    person.also.push(Joined { candidate: record.clone(), by: JoinedBy::Key(by) });
                }
            }
            if person.also.len() == before {
                break;
            }
        }
        person
    }

    /// Who this person is at one system.
    fn standing(&self, offer: &Offer, person: &Person, known: &Answers) -> Standing {
        if let Some(record) = person.at(offer.system.as_str()) {
            return Standing::One(record.clone());
        }
        let mut away = None;
        let phone = self.by_phone(offer).filter(|_| !self.account_pending(known));
        for key in [self.by_account(offer), phone].into_iter().flatten() {
            match known.get(&key).map(|k| &k.entry.found) {
                None => return Standing::Pending,
                Some(Found::Unavailable(why)) => away = Some(why.clone()),
                Some(_) => {}
            }
        }
        if let Some(Wanted { key, .. }) = self.by_shared(offer, GET, &offer.get_by, person) {
            match known.get(&key).map(|k| &k.entry.found) {
                None => return Standing::Pending,
                Some(Found::Unavailable(why)) => away = Some(why.clone()),
                Some(_) => {}
            }
        }
        away.map_or(Standing::Nobody, Standing::Unavailable)
    }

    /// The same while it is open which person it is.
    fn undecided(&self, offer: &Offer, seen: &Seen, known: &Answers) -> Standing {
        if matches!(self.choice, Choice::Nobody) {
            return Standing::Nobody;
        }
        let mut away = None;
        for key in [self.by_account(offer), self.by_phone(offer)].into_iter().flatten() {
            match known.get(&key).map(|k| &k.entry.found) {
                None => return Standing::Pending,
                Some(Found::Unavailable(why)) => away = Some(why.clone()),
                Some(_) => {}
            }
        }
        let searched = offer.by_account || offer.by_phone;
        if seen.people.iter().any(|person| !searched || person.at(offer.system.as_str()).is_some()) {
            return Standing::Several;
        }
        match (away, &seen.away, self.number.is_none(), self.refused) {
            (Some(away), ..) => Standing::Unavailable(away),
            (None, _, true, Some(why)) => Standing::NotAsked(why),
            (None, Some(away), ..) if !searched => Standing::Unavailable(away.clone()),
            _ if !searched && seen.pending => Standing::Pending,
            _ => Standing::Nobody,
        }
    }
}

/// The key by which a record that was asked for by it proves to be this person's. A system that carries the key and shows another value
/// did not obey its own filter.
fn agrees(by: &[String], person: &Person, record: &Candidate) -> Option<Arc<str>> {
    let clash = record
        .keys
        .iter()
        .any(|(key, value)| person.key(key).is_some_and(|other| !people::same(other, value.expose())));
    let name = by.iter().find(|name| person.key(name).is_some())?;
    (!clash).then(|| Arc::from(name.as_str()))
}

/// What a block says that cannot be asked for.
fn stand(block: &mut Block, standing: &Standing) {
    match standing {
        Standing::Pending | Standing::One(_) => {}
        Standing::Nobody => block.state = BlockState::Absent,
        // The system is well: nothing of it is known because nobody asked.
        Standing::NotAsked(why) => {
            block.state = BlockState::Absent;
            block.reason = Some(why.reason().to_owned());
            block.trouble = Some(Trouble::NotAsked);
        }
        Standing::Several => block.state = BlockState::Ambiguous,
        Standing::Unavailable(away) => unavailable(block, away),
    }
}

fn fill(block: &mut Block, known: &Known) {
    block.asked_at = Some(known.entry.asked_at);
    match &known.entry.found {
        Found::Facts(body) => {
            block.state = if known.fresh { BlockState::Fresh } else { BlockState::Stale };
            block.body = Some(body.clone());
        }
        Found::Nothing | Found::Customers(_) => block.state = BlockState::Absent,
        Found::Unavailable(away) => unavailable(block, away),
    }
}

fn unavailable(block: &mut Block, away: &Away) {
    block.state = BlockState::Unavailable;
    (block.reason, block.trouble) = (Some(away.reason.clone()), Some(away.trouble));
}

/// A customer as operations are told of it: what the customer operation mapped, with `id`, `type` and the shared keys by name. `by`
/// says what `id` is: here the system's own.
#[must_use]
pub fn told(customer: &Candidate) -> Value {
    let mut object = customer.facts();
    for (key, value) in &customer.keys {
        object.entry(&**key).or_insert_with(|| Value::from(&**value.expose()));
    }
    object.insert("id".to_owned(), Value::String(customer.link.id.clone()));
    object.insert("type".to_owned(), Value::String(customer.link.kind.clone()));
    object.insert("by".to_owned(), Value::from("id"));
    if let Some(name) = &customer.name {
        object.entry("name").or_insert_with(|| Value::String(name.expose().clone()));
    }
    Value::Object(object)
}

/// The customers in a system's answer. A record without an id is none: nothing could be written to it. `keys` are the connector
/// file's: shared key and field.
#[must_use]
pub fn candidates(system: &SystemId, value: &Value, keys: &[(Arc<str>, String)]) -> Box<[Arc<Candidate>]> {
    let one;
    let list = match value {
        Value::Array(list) => list.as_slice(),
        other => {
            one = [other.clone()];
            &one
        }
    };
    list.iter()
        .filter_map(|record| {
            let object = record.as_object()?;
            let text = |key: &str| text_of(object.get(key)?);
            let id = text("id")?;
            let kind = text("type").unwrap_or_else(|| "customer".to_owned());
            let keys = keys.iter().filter_map(|(key, field)| {
                let value = text(field)?;
                Some((key.clone(), Private::new(value.into_boxed_str())))
            });
            Some(Arc::new(Candidate {
                name: text("name").map(Private::new),
                reason: text("reason"),
                url: text("url"),
                facts: serde_json::value::to_raw_value(record).ok().map(Arc::from),
                keys: keys.collect(),
                signs: signs(object),
                ..Candidate::at(Reference { system: system.to_string(), kind, id })
            }))
        })
        .collect()
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(s) => Some(s.trim()).filter(|s| !s.is_empty()).map(str::to_owned),
        Value::Number(n) => Some(n.to_string()),
        _ => None,
    }
}

fn signs(object: &Map<String, Value>) -> Option<Box<Signs>> {
    let text = |key: &str| text_of(object.get(key)?);
    let count = |key: &str| text(key).and_then(|n| n.parse::<u32>().ok()).unwrap_or(0);
    let signs = Signs {
        tickets: count("open_tickets"),
        orders: count("open_orders"),
        contact: text("last_contact").as_deref().and_then(moment),
        updated: text("updated").as_deref().and_then(moment),
        owner: text("owner").map(String::into_boxed_str),
    };
    (signs != Signs::default()).then(|| Box::new(signs))
}

/// RFC 3339, or a date with or without a time in UTC (`2026-11-22 11:44:06`), as systems write it. What is neither is no sign.
fn moment(text: &str) -> Option<Wall> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(Wall(at.as_millisecond()));
    }
    let civil = text.parse::<jiff::civil::DateTime>().ok()?;
    let at = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(Wall(at.timestamp().as_millisecond()))
}

#[cfg(test)]
#[path = "asking_tests.rs"]
mod tests;
