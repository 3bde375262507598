//! The records desk: changes of calls and words of agents go in, batches for the store come out.
//!
//! Still, on the core thread; nobody waits for it and it waits for nobody. At first sight of a call its checkpoint is written; at its end
//! the record, the effects that the rules derive from it and the removal of the checkpoint go in one batch. What comes later (a late
//! fact, a wrap-up, the customer's card) writes a new revision, and the store amends the effects. A call that this desk does not have in
//! memory (after a restart, or long after its end) is asked back from the store first, and what was said of it waits for that.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use serde_json::{Value, value::RawValue};

use crate::{
    calls::{
        Change, Directory, Face, Record, What,
        attributes::Attributes,
        missed::Missed,
        record::{End, Quality, SegmentKind, WrapUp},
    },
    connectors::beside::Lane,
    customers::{self, Answer, Candidate, Card, Person},
    numbers::trunks::Mask,
    private::Private,
    store::{
        AuditRow, Batch, CallKey, CallbackRow, CheckpointRow, ChoiceRow, ContactRow, EffectPut, EffectSet, History,
        NoteRow, PositionRow, RecordRow, StoreError,
    },
    words::{AgentId, CallId, Mono, Now, SwitchId, TenantId, Wall},
};

use super::{
    Callbacks, Command, Said,
    callbacks::{self, Seen},
    list,
    papers::{
        Chosen, Noted, Paper, Wish, Wrapped, Written, customer_of, json_text, linked, person_of, records_of, word,
    },
    rules::{Known, Offers, Rules},
    wishes,
};

/// Names one request in the wiring; given back when what it said is durable.
pub type Token = u64;

#[derive(Debug)]
pub enum Output {
    /// One transaction. The tokens are answered `done` after the commit.
    Submit { batch: Box<Batch>, tokens: Vec<Token> },
    /// What is stored of this call goes to [`Desk::loaded`]; it must see every `Submit` before it.
    Load(CallKey),
    /// `passes`: the same may be taken in a moment.
    Refused { token: Token, reason: String, passes: bool },
}

/// A call that was up when the daemon last wrote; for the book, and for the snapshot to be merged with.
#[derive(Clone, Debug)]
pub struct OpenCall {
    pub key: CallKey,
    pub switch: SwitchId,
    pub opened_at: Wall,
    pub record: Option<Record>,
    /// What the book asked to be kept, as it gave it.
    pub book: Option<Private<Box<RawValue>>>,
}

/// Ended calls stay in memory for a while, because most wrap-ups come in the first minutes; 20,000 are 40 s of 500 calls a second and
/// about 100 MB at the very most. After that the store is asked.
const KEEP_MS: u64 = 600_000;
const KEEP: usize = if cfg!(test) { 500 } else { 20_000 };
/// Outputs that the clerk has not taken: above the first, checkpoints are left out, above the second, words of agents are refused. The
/// records of ended calls are never dropped.
const CROWDED: usize = 2_000;
const FULL: usize = 5_000;
/// Calls asked back from the store and not yet here, and the words that may wait for one of them.
const LOADS: usize = 1_000;
const WAITING: usize = 32;
/// Calls that became part of another, remembered for late words.
const ABSORBED: usize = 10_000;

/// Whether [`Desk::change`] wants the call's record for this change; the book need not make one otherwise.
#[must_use]
pub const fn wants_record(what: &What) -> bool {
    matches!(
        what,
        What::Appeared
            | What::Offered(_)
            | What::Established(_)
            | What::Transferred { .. }
            | What::Ended
            | What::Amended
    )
}

pub struct Desk {
    rules: Arc<Rules>,
    offers: Arc<Offers>,
    directory: Arc<Directory>,
    calls: HashMap<CallId, Entry>,
    ended: VecDeque<(Mono, CallId)>,
    absorbed: HashMap<CallId, CallId>,
    absorbed_order: VecDeque<CallId>,
    out: VecDeque<Output>,
    loading: usize,
    callbacks: Callbacks,
    /// What flows may write, of each switch.
    declared: HashMap<SwitchId, Arc<Attributes>>,
}

struct Entry {
    key: CallKey,
    switch: Option<SwitchId>,
    opened_at: Wall,
    /// As far as it was known at the last change that brought it.
    record: Option<Record>,
    /// The last revision written, 0 before the first.
    revision: u32,
    ended: bool,
    said: BTreeMap<AgentId, Words>,
    choice: Choice,
    link: Option<Arc<Person>>,
    /// What is to be done about the number, once.
    attach: Option<Wish>,
    create: Option<Wish>,
    /// What agents asked to have written, in order.
    writes: Vec<Wish>,
    tickets: Vec<Value>,
    line: Option<String>,
    /// By which files its systems were asked.
    lane: Lane,
    mask: Option<Mask>,
    /// `Some` while the store is asked for what it has; what was said waits here, in order.
    waits: Option<Vec<(Command, Token)>>,
    /// The end (or an amendment) came while the store was asked.
    end_waits: bool,
    /// It may be another call that is the customer's.
    aside: bool,
    /// Restored from a checkpoint, and no switch has spoken of it since.
    unseen: bool,
    /// Asked back from the store when it was over: what its card told is known only as far as the record has it.
    recalled: bool,
    /// The book's own checkpoint; not read here.
    book: Option<Private<Box<RawValue>>>,
}

#[derive(Default)]
struct Words {
    notes: Option<(Wall, Noted)>,
    wrapup: Option<(Wall, Wrapped)>,
    attributes: Written,
}

enum Choice {
    Open,
    Chosen(Wall, Arc<Person>),
    Refused(Wall),
}

impl Desk {
    #[must_use]
    pub fn new(rules: Arc<Rules>, offers: Arc<Offers>, directory: Arc<Directory>) -> Self {
        Self {
            rules,
            offers,
            directory,
            calls: HashMap::new(),
            ended: VecDeque::new(),
            absorbed: HashMap::new(),
            absorbed_order: VecDeque::new(),
            out: VecDeque::new(),
            loading: 0,
            callbacks: Callbacks::new(callbacks::Settings::default()),
            declared: HashMap::new(),
        }
    }

    /// What the switches' files let flows write of a call.
    #[must_use]
    pub fn declaring(mut self, declared: HashMap<SwitchId, Arc<Attributes>>) -> Self {
        self.declared = declared;
        self
    }

    /// Who is called back, as linecard.yaml says it, and who was to be when the last run ended.
    #[must_use]
    pub fn calling_back(mut self, settings: callbacks::Settings, open: Vec<CallbackRow>) -> Self {
        self.callbacks = Callbacks::new(settings);
        self.callbacks.restore(open);
        self
    }

    /// Whom to call back.
    #[must_use]
    pub fn callbacks(&self) -> &Callbacks {
        &self.callbacks
    }

    /// What an agent wants of a callback; `token` comes back with what makes it durable.
    ///
    /// # Errors
    /// It is not there, or somebody else's.
    pub fn callback(
        &mut self,
        now: Now,
        (tenant, id): (&TenantId, CallId),
        agent: &AgentId,
        wish: &callbacks::Wish,
        token: Option<Token>,
    ) -> Result<(), callbacks::Refused> {
        let mut batch = Batch::default();
        let known = self.directory.agent(agent).filter(|known| known.tenant == *tenant);
        let teams = known.map_or(&[][..], |known| &known.teams);
        let result = self.callbacks.wish(now.wall, (tenant, id), (agent, teams), wish, &mut batch);
        if result.is_ok() {
            batch.audit.push(AuditRow {
                tenant: tenant.clone(),
                at: now.wall,
                who: agent.to_string(),
                what: wish.word().to_owned(),
                about: id.to_string(),
                reason: None,
            });
        }
        if !batch.is_empty() {
            self.submit(batch, if result.is_ok() { token.into_iter().collect() } else { Vec::new() });
        }
        result
    }

    /// Puts a whole new configuration in place; what is written from now on follows it.
    pub fn reload(&mut self, rules: Arc<Rules>, offers: Arc<Offers>, directory: Arc<Directory>) {
        (self.rules, self.offers, self.directory) = (rules, offers, directory);
    }

    /// At start, before the switches speak: takes over what was open, and tells the book.
    pub fn restore(&mut self, rows: Vec<CheckpointRow>) -> Vec<OpenCall> {
        rows.into_iter()
            .map(|row| {
                let key = CallKey { tenant: row.tenant.clone(), call: row.call };
                let mut entry = Entry::new(key.clone(), row.opened_at);
                entry.unseen = true;
                entry.take_checkpoint(&row);
                let open = OpenCall {
                    key,
                    switch: row.switch,
                    opened_at: row.opened_at,
                    record: entry.record.clone(),
                    book: entry.book.clone(),
                };
                self.ask_back(&mut entry);
                self.calls.insert(row.call, entry);
                open
            })
            .collect()
    }

    /// Restored calls of this switch of which it has not spoken since: after its snapshot is merged, they are over.
    #[must_use]
    pub fn unseen(&self, switch: &SwitchId) -> Vec<CallId> {
        let gone = self.calls.iter().filter(|(_, entry)| entry.unseen && entry.switch.as_ref() == Some(switch));
        gone.map(|(call, _)| *call).collect()
    }

    /// The end of a restored call that its switch does not know any more: lost from sight, estimated, the outcome that was known stays.
    pub fn lost(&mut self, now: Now, call: CallId) {
        let Some(mut entry) = self.calls.remove(&call) else { return };
        if !entry.ended {
            entry.unseen = false;
            if let Some(record) = &mut entry.record {
                let seen = record.segments.iter().flat_map(|segment| [segment.from, segment.to]);
                let last = seen.chain([record.started_at, record.answered_at]).flatten().max();
                record.ended_at = record.ended_at.or(last);
                (record.end, record.quality) = (End::Lost, Quality::Estimated);
            }
            self.end(now, &mut entry);
        }
        self.calls.insert(call, entry);
    }

    /// A change of the book, with the call's face, and its record and checkpoint where [`wants_record`] says so.
    pub fn change(
        &mut self,
        now: Now,
        change: &Change,
        face: Option<&Face>,
        record: Option<Record>,
        book: Option<Private<Box<RawValue>>>,
    ) {
        self.forget(now);
        if let What::Absorbed { into } = &change.what {
            self.absorb(now, change.call, *into);
            return;
        }
        let tenant = face.map(|f| f.tenant.clone()).or_else(|| record.as_ref().map(|r| r.tenant.clone()));
        let mut entry = match (self.calls.remove(&change.call), tenant) {
            (Some(entry), _) => entry,
            (None, Some(tenant)) => {
                let key = CallKey { tenant, call: change.call };
                let started = face.and_then(|f| f.started_at).unwrap_or(change.at.wall);
                let mut entry = Entry::new(key, started);
                if !matches!(change.what, What::Appeared) {
                    // Not in memory though not new: a late fact after the call was put away.
                    self.ask_back(&mut entry);
                }
                entry
            }
            // Neither face nor record: the book itself has forgotten it, there is nothing to write.
            (None, None) => return,
        };
        entry.unseen = false;
        if let Some(face) = face {
            entry.switch = Some(face.switch.clone());
            entry.aside = face.aside;
            entry.line = face.line.as_ref().and_then(|line| line.title.clone()).or(entry.line.take());
            entry.mask = face.line.as_ref().and_then(|line| line.mask.clone()).or(entry.mask.take());
        }
        let told = record.is_some();
        if let Some(record) = record {
            entry.switch.get_or_insert_with(|| record.switch.clone());
            entry.record = Some(record);
        }
        entry.book = book.or(entry.book.take());
        if !entry.aside {
            let mut batch = Batch::default();
            self.offers.webhooks.change(change, entry.record.as_ref(), &mut batch.effects);
            if !batch.is_empty() {
                self.submit(batch, Vec::new());
            }
        }
        match change.what {
            What::Ended | What::Amended => self.end(now, &mut entry),
            What::Established(_) if told && !entry.ended => {
                self.checkpoint(&entry);
                // Nobody else is to call a customer who is being talked with.
                let mut batch = Batch::default();
                self.call_back(now, &entry, false, &mut batch);
                if !batch.is_empty() {
                    self.submit(batch, Vec::new());
                }
            }
            _ if told && !entry.ended => self.checkpoint(&entry),
            _ => {}
        }
        self.calls.insert(change.call, entry);
    }

    /// Calls that nobody watched, made of the switch's own records, and up to where those were read: one transaction. A call that is known here is
    /// left out; gives those that were taken.
    pub fn missed(&mut self, now: Now, calls: Vec<Missed>, position: Option<PositionRow>) -> Vec<CallId> {
        self.forget(now);
        let mut batch = Batch { positions: position.into_iter().collect(), ..Batch::default() };
        let mut taken = Vec::new();
        for (record, line) in calls {
            let call = self.whole(record.call);
            if self.calls.contains_key(&call) {
                continue;
            }
            let key = CallKey { tenant: record.tenant.clone(), call };
            let mut entry = Entry::new(key, record.started_at.unwrap_or(now.wall));
            entry.switch = Some(record.switch.clone());
            // Told by an edge already, which has had something done for it.
            entry.aside = !record.related.is_empty();
            (entry.record, entry.line, entry.ended) = (Some(record), line, true);
            self.write_end(now, &mut entry, &mut batch);
            self.ended.push_back((now.mono.plus_ms(KEEP_MS), call));
            self.calls.insert(call, entry);
            taken.push(call);
        }
        self.submit(batch, Vec::new());
        taken
    }

    /// The record of a call that is over, where it is in memory.
    #[must_use]
    pub fn ended(&self, tenant: &TenantId, call: CallId) -> Option<&Record> {
        let entry = self.calls.get(&self.whole(call)).filter(|entry| entry.ended && entry.key.tenant == *tenant)?;
        entry.record.as_ref()
    }

    /// A new revision of a record that somebody else made: what became of its recordings. False: the call is in hand here, and what is written next
    /// would be older than that; whoever made it comes again.
    pub fn amended(&mut self, row: RecordRow) -> bool {
        if self.knows(row.call) || self.out.len() >= CROWDED {
            return false;
        }
        self.submit(Batch { records: vec![row], ..Batch::default() }, Vec::new());
        true
    }

    /// Whether this call is in memory.
    #[must_use]
    pub fn knows(&self, call: CallId) -> bool {
        self.calls.contains_key(&self.whole(call))
    }

    /// The card as it now is. Cards are whole, so one that changes nothing here costs nothing.
    pub fn card(&mut self, now: Now, call: CallId, card: &Card) {
        let call = self.whole(call);
        let Some(mut entry) = self.calls.remove(&call) else { return };
        entry.lane = card.lane.clone();
        let link = match &card.answer {
            Answer::Found(person) => Some(person),
            _ => None,
        };
        let customer = entry.customer().or(link).cloned();
        let tickets = card.blocks.iter().find(|block| {
            let theirs = customer.as_ref().is_some_and(|person| person.at(block.system.as_str()).is_some());
            block.kind == "tickets.open" && block.body.is_some() && theirs
        });
        let tickets = tickets.and_then(|block| serde_json::from_str(block.body.as_deref()?.get()).ok());
        let tickets: Option<Vec<Value>> = tickets;
        let mut news = false;
        let same = |old: &Person, new: &Person| old.head.id == new.head.id && old.also.len() == new.also.len();
        if let Some(link) = link.filter(|link| entry.link.as_ref().is_none_or(|old| !same(old, link))) {
            entry.link = Some(link.clone());
            news = true;
        }
        // A system that answered later knows another one: who it is became a guess, and nothing is written to a guess.
        if matches!(card.answer, Answer::Ambiguous(_)) && entry.link.take().is_some() {
            entry.tickets.clear();
            news = true;
        }
        if let Some(tickets) = tickets.filter(|tickets| *tickets != entry.tickets) {
            entry.tickets = tickets;
            news = true;
        }
        if news && entry.ended {
            self.end(now, &mut entry);
        } else if news {
            self.checkpoint(&entry);
        }
        self.calls.insert(call, entry);
    }

    /// What an agent said. `token` comes back with the batch that makes it durable, or refused.
    pub fn command(&mut self, now: Now, command: Command, token: Token) {
        self.forget(now);
        let call = self.whole(command.call);
        if self.out.len() >= FULL {
            return self.refuse_now(token, "the store is behind; try again in a moment");
        }
        let mut entry = match self.calls.remove(&call) {
            Some(entry) => entry,
            None if self.loading >= LOADS => return self.refuse_now(token, "too many old calls are asked for at once"),
            None => {
                let mut entry = Entry::new(CallKey { tenant: command.tenant.clone(), call }, now.wall);
                self.ask_back(&mut entry);
                entry
            }
        };
        if entry.key.tenant != command.tenant {
            self.refuse(token, NO_CALL);
        } else if let Some(waits) = &mut entry.waits {
            if waits.len() < WAITING {
                waits.push((command, token));
            } else {
                self.refuse_now(token, "too much was said of this call at once");
            }
        } else {
            self.say(now, &mut entry, command, token);
        }
        self.calls.insert(call, entry);
    }

    /// What the store has of a call that was asked back.
    pub fn loaded(&mut self, now: Now, key: &CallKey, history: Result<History, StoreError>) {
        let Some(mut entry) = self.calls.remove(&key.call) else { return };
        let Some(waits) = entry.waits.take() else {
            self.calls.insert(key.call, entry);
            return;
        };
        self.loading = self.loading.saturating_sub(1);
        match history {
            Err(error) => {
                for (_, token) in waits {
                    self.refuse_now(token, &error.to_string());
                }
                // Its end must not be lost with it: written without what agents said before, which stays in the store.
                if entry.end_waits {
                    self.end(now, &mut entry);
                } else if entry.record.is_none() {
                    return;
                }
            }
            Ok(history) if list::is_erased(&history) => {
                for (_, token) in waits {
                    self.refuse(token, "what this call told of a person was erased; nothing is added to it");
                }
                return;
            }
            Ok(history) => {
                let known = history.record.is_some() || history.checkpoint.is_some() || entry.record.is_some();
                entry.take_history(history);
                if !known {
                    for (_, token) in waits {
                        self.refuse(token, NO_CALL);
                    }
                    return;
                }
                if entry.end_waits {
                    self.end(now, &mut entry);
                }
                for (command, token) in waits {
                    self.say(now, &mut entry, command, token);
                }
                if entry.ended {
                    self.ended.push_back((now.mono.plus_ms(KEEP_MS), key.call));
                }
            }
        }
        self.calls.insert(key.call, entry);
    }

    /// The next thing for the clerk, until there is none.
    pub fn output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// Calls in memory, and outputs waiting.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.calls.len(), self.out.len())
    }

    fn whole(&self, call: CallId) -> CallId {
        self.absorbed.get(&call).copied().unwrap_or(call)
    }

    fn refuse(&mut self, token: Token, reason: &str) {
        self.out.push_back(Output::Refused { token, reason: reason.to_owned(), passes: false });
    }

    /// For now: the same may be taken in a moment.
    fn refuse_now(&mut self, token: Token, reason: &str) {
        self.out.push_back(Output::Refused { token, reason: reason.to_owned(), passes: true });
    }

    /// Whether some switch's file has this attribute.
    #[must_use]
    pub fn declares(&self, attribute: &str) -> bool {
        self.declared.values().any(|of| of.list.iter().any(|mapping| mapping.name == attribute))
    }

    /// Whether an agent said that this call is to be linked to nobody.
    #[must_use]
    pub fn is_nobodys(&self, call: CallId) -> bool {
        self.calls.get(&call).is_some_and(|entry| matches!(entry.choice, Choice::Refused(_)))
    }

    fn submit(&mut self, batch: Batch, tokens: Vec<Token>) {
        self.out.push_back(Output::Submit { batch: Box::new(batch), tokens });
    }

    fn ask_back(&mut self, entry: &mut Entry) {
        entry.waits = Some(Vec::new());
        self.loading += 1;
        self.out.push_back(Output::Load(entry.key.clone()));
    }

    fn say(&mut self, now: Now, entry: &mut Entry, command: Command, token: Token) {
        if matches!(command.said, Said::Create { .. }) && entry.create.is_some() {
            return self.refuse(token, "a customer is being made of this call already");
        }
        if matches!(command.said, Said::Write(_)) && entry.writes.len() >= WRITES {
            return self.refuse(token, "too much was asked to be written of this call");
        }
        if let Said::Callback { note } = command.said {
            return self.ask(now, entry, &command.agent, note, token);
        }
        if let Said::Told(values) = command.said {
            return self.told(now, entry, command.agent, values, token);
        }
        let agent_ids = self.directory.agent(&command.agent).map(|agent| agent.ids.clone()).unwrap_or_default();
        let (kind, body) = entry.say(now.wall, &command, &agent_ids);
        let kind = kind.into_owned();
        let mut batch = Batch::default();
        let audited = match (&command.said, &entry.choice) {
            (Said::Customer { .. }, Choice::Open) => Some("customer.forgotten"),
            (Said::Customer { .. }, Choice::Refused(_)) => Some("customer.refused"),
            (Said::Customer { .. }, Choice::Chosen(..)) => Some("customer.chosen"),
            (Said::Attach { .. }, _) => Some(customers::ATTACH),
            (Said::Create { .. }, _) => Some(customers::CREATE),
            (Said::Write(write), _) => Some(write.operation),
            (Said::Notes { .. } | Said::WrapUp { .. } | Said::Attribute { .. }, _) => None,
            // Taken above.
            (Said::Callback { .. } | Said::Told(_), _) => None,
        };
        let about = match &command.said {
            Said::Write(write) => Some(format!("{} at {}", write.about, write.system)),
            _ => None,
        };
        batch.audit.extend(audited.map(|what| AuditRow {
            tenant: entry.key.tenant.clone(),
            at: now.wall,
            who: command.agent.to_string(),
            what: what.to_owned(),
            about: entry.key.call.to_string(),
            reason: about,
        }));
        if let Said::Customer { choice, number: Some(number) } = &command.said {
            batch.choices.push(ChoiceRow {
                tenant: entry.key.tenant.clone(),
                number: number.clone(),
                customer: match choice {
                    customers::Choice::Person(person) => Some(person.head.id.clone()),
                    customers::Choice::Nobody | customers::Choice::Open => None,
                },
                call: entry.key.call,
                agent: command.agent.clone(),
                at: now.wall,
            });
        }
        if matches!(command.said, Said::Attach { .. } | Said::Create { .. } | Said::Write(_)) && !entry.ended {
            // While the call is up these are all that it has to have done.
            let puts = entry.wishes().map(|wish| wishes::put(wish, &entry.key, &self.offers, &entry.lane)).collect();
            batch.effects.push(EffectSet { call: entry.key.clone(), puts, at: now.wall, adds: false });
        }
        if let (Said::WrapUp { .. }, Some(record)) = (&command.said, entry.record.as_ref().filter(|_| !entry.aside)) {
            let (agent, said) = (command.agent.as_str(), body.expose());
            self.offers.webhooks.wrapped(record, agent, said, now.wall, &mut batch.effects);
        }
        batch.notes.push(NoteRow {
            tenant: entry.key.tenant.clone(),
            call: entry.key.call,
            agent: command.agent,
            kind,
            at: now.wall,
            body,
        });
        if entry.ended {
            self.write_end(now, entry, &mut batch);
        }
        self.submit(batch, vec![token]);
    }

    /// What a flow writes of a call: all of it or nothing. The same again, after a kill, changes nothing and makes no revision.
    fn told(
        &mut self,
        now: Now,
        entry: &mut Entry,
        by: AgentId,
        values: BTreeMap<String, Private<String>>,
        token: Token,
    ) {
        let Some(record) = &entry.record else { return self.refuse_now(token, "nothing is known of this call yet") };
        let declared = self.declared.get(&record.switch).cloned().unwrap_or_default();
        if let Some((name, wrong)) = declared.refused(&values) {
            return self.refuse(token, &format!("the attribute {name} {wrong}"));
        }
        // What is said last counts: a value of ours is no news only where nobody has said another one since.
        let since = |name: &str, at: Wall| {
            entry
                .said
                .iter()
                .any(|(who, words)| *who != by && words.attributes.0.get(name).is_some_and(|(then, _)| *then >= at))
        };
        let mine = entry.said.get(&by);
        let news = |(name, value): &(String, Private<String>)| {
            let known = mine.and_then(|words| words.attributes.0.get(name));
            known.is_none_or(|(at, known)| known != value || since(name, *at))
        };
        let news: Vec<_> = values.into_iter().filter(news).collect();
        let words = entry.said.entry(by.clone()).or_default();
        if news.is_empty() {
            return self.submit(Batch::default(), vec![token]);
        }
        let before = words.attributes.clone();
        words.attributes.0.extend(news.into_iter().map(|(name, value)| (name, (now.wall, value))));
        let mut batch = Batch::default();
        batch.notes.push(NoteRow {
            tenant: entry.key.tenant.clone(),
            call: entry.key.call,
            agent: by.clone(),
            kind: Written::KIND.to_owned(),
            at: now.wall,
            body: json_text(&words.attributes),
        });
        if entry.ended && entry.recalled {
            // Of a call that was over long ago less is known than its first record was made by (no ticket, no line): only what these words alone make
            // otherwise is to be done, and nothing is withdrawn.
            let after = std::mem::replace(&mut words.attributes, before);
            let known = entry.effects(now, &self.rules, &self.offers, &self.directory);
            entry.said.entry(by).or_default().attributes = after;
            self.write_end(now, entry, &mut batch);
            for set in batch.effects.iter_mut().filter(|set| !set.adds) {
                set.puts
                    .retain(|put| !known.iter().any(|old| old.row.key == put.row.key && old.content == put.content));
                set.adds = true;
            }
        } else if entry.ended {
            self.write_end(now, entry, &mut batch);
        }
        self.submit(batch, vec![token]);
    }

    /// The customer of a call asks to be called back.
    fn ask(&mut self, now: Now, entry: &Entry, agent: &AgentId, note: Option<Private<String>>, token: Token) {
        let Some(record) = &entry.record else { return self.refuse(token, NO_CALL) };
        let mut batch = Batch::default();
        let customer = entry.customer().cloned();
        let seen = entry.seen(record, customer.as_deref(), false);
        if self.callbacks.ask(now.wall, &seen, note, &mut batch).is_none() {
            return self.refuse(token, "the caller withheld the number");
        }
        batch.audit.push(AuditRow {
            tenant: entry.key.tenant.clone(),
            at: now.wall,
            who: agent.to_string(),
            what: "callback.asked".to_owned(),
            about: entry.key.call.to_string(),
            reason: None,
        });
        self.submit(batch, vec![token]);
    }

    /// The record and what it means for those who are to be called back.
    fn write_end(&mut self, now: Now, entry: &mut Entry, batch: &mut Batch) {
        let first = entry.revision == 0;
        entry.write_end(now, &self.rules, &self.offers, &self.directory, batch);
        if let Some(record) = entry.record.as_ref().filter(|_| !entry.aside) {
            self.offers.webhooks.written(record, first, now.wall, &mut batch.effects);
        }
        self.call_back(now, entry, first, batch);
    }

    fn call_back(&mut self, now: Now, entry: &Entry, first: bool, batch: &mut Batch) {
        let Some(record) = entry.record.as_ref().filter(|_| !entry.aside) else { return };
        let customer = entry.customer().cloned();
        self.callbacks.seen(now.wall, &entry.seen(record, customer.as_deref(), first), batch);
    }

    fn end(&mut self, now: Now, entry: &mut Entry) {
        if entry.waits.is_some() {
            entry.end_waits = true;
            return;
        }
        entry.end_waits = false;
        if !entry.ended {
            entry.ended = true;
            // What the book would go on with is of no use to a call that is over, and the largest part of it.
            entry.book = None;
            self.ended.push_back((now.mono.plus_ms(KEEP_MS), entry.key.call));
        }
        let mut batch = Batch { closed: vec![entry.key.clone()], ..Batch::default() };
        self.write_end(now, entry, &mut batch);
        self.submit(batch, Vec::new());
    }

    fn checkpoint(&mut self, entry: &Entry) {
        let Some(switch) = entry.switch.clone().filter(|_| self.out.len() < CROWDED) else { return };
        let (link, also) = entry.link.as_deref().map(records_of).unzip();
        let also = also.unwrap_or_default();
        let paper = Paper {
            record: entry.record.clone(),
            link: link.clone(),
            also: also.clone(),
            tickets: entry.tickets.clone(),
            line: entry.line.clone(),
            book: entry.book.clone(),
        };
        let row = CheckpointRow {
            tenant: entry.key.tenant.clone(),
            call: entry.key.call,
            switch,
            schema: 1,
            opened_at: entry.opened_at,
            body: json_text(&paper),
        };
        self.submit(Batch { checkpoints: vec![row], ..Batch::default() }, Vec::new());
    }

    /// The call proved to be part of another: its checkpoint goes, what was said of it is said of the other.
    fn absorb(&mut self, now: Now, call: CallId, into: CallId) {
        if self.absorbed_order.len() >= ABSORBED
            && let Some(oldest) = self.absorbed_order.pop_front()
        {
            self.absorbed.remove(&oldest);
        }
        self.absorbed.insert(call, into);
        self.absorbed_order.push_back(call);
        let Some(old) = self.calls.remove(&call) else { return };
        if old.waits.is_some() {
            self.loading = self.loading.saturating_sub(1);
        }
        self.submit(Batch { closed: vec![old.key.clone()], ..Batch::default() }, Vec::new());
        let Some(mut entry) = self.calls.remove(&into) else { return };
        let mut batch = Batch::default();
        for (agent, words) in old.said {
            let mine = entry.said.entry(agent.clone()).or_default();
            let mut keep = |kind: &str, at, body| {
                batch.notes.push(NoteRow {
                    tenant: entry.key.tenant.clone(),
                    call: into,
                    agent: agent.clone(),
                    kind: kind.to_owned(),
                    at,
                    body,
                });
            };
            if let (None, Some((at, notes))) = (&mine.notes, words.notes) {
                keep(Noted::KIND, at, json_text(&notes));
                mine.notes = Some((at, notes));
            }
            if let (None, Some((at, wrapup))) = (&mine.wrapup, words.wrapup) {
                keep(Wrapped::KIND, at, json_text(&wrapup));
                mine.wrapup = Some((at, wrapup));
            }
            if !words.attributes.0.is_empty() {
                for (name, value) in words.attributes.0 {
                    mine.attributes.0.entry(name).or_insert(value);
                }
                keep(Written::KIND, now.wall, json_text(&mine.attributes));
            }
        }
        if !batch.notes.is_empty() {
            if entry.ended {
                self.write_end(now, &mut entry, &mut batch);
            }
            self.submit(batch, Vec::new());
        }
        for (command, token) in old.waits.into_iter().flatten() {
            self.say(now, &mut entry, command, token);
        }
        self.calls.insert(into, entry);
    }

    fn forget(&mut self, now: Now) {
        while let Some((until, call)) = self.ended.front().copied() {
            if until > now.mono && self.ended.len() <= KEEP {
                return;
            }
            self.ended.pop_front();
            if self.calls.get(&call).is_some_and(|entry| entry.ended && entry.waits.is_none()) {
                self.calls.remove(&call);
            }
        }
    }
}

/// What agents may have written of one call: far more than anybody does by hand.
const WRITES: usize = 100;
const NO_CALL: &str = "there is no such call";

impl Entry {
    fn new(key: CallKey, opened_at: Wall) -> Self {
        Self {
            key,
            switch: None,
            opened_at,
            record: None,
            revision: 0,
            ended: false,
            said: BTreeMap::new(),
            choice: Choice::Open,
            link: None,
            attach: None,
            create: None,
            writes: Vec::new(),
            tickets: Vec::new(),
            line: None,
            lane: Lane::NONE,
            mask: None,
            waits: None,
            end_waits: false,
            aside: false,
            unseen: false,
            recalled: false,
            book: None,
        }
    }

    /// The agent's choice, else what the lookup found.
    fn customer(&self) -> Option<&Arc<Person>> {
        match &self.choice {
            Choice::Chosen(_, person) => Some(person),
            Choice::Refused(_) => None,
            Choice::Open => self.link.as_ref(),
        }
    }

    fn seen<'s>(&'s self, record: &'s Record, customer: Option<&'s Person>, first: bool) -> Seen<'s> {
        Seen { record, customer, line: self.line.as_deref(), mask: self.mask.as_ref(), first }
    }

    fn wishes(&self) -> impl Iterator<Item = &Wish> {
        self.attach.iter().chain(&self.create).chain(&self.writes)
    }

    fn say(
        &mut self,
        at: Wall,
        command: &Command,
        agent_ids: &HashMap<String, String>,
    ) -> (Cow<'static, str>, Private<String>) {
        let by = |system: &str| wishes::By {
            agent: &command.agent,
            agent_id: agent_ids.get(system),
            at,
            line: self.line.as_deref(),
        };
        match &command.said {
            Said::Attach { customer, number } => {
                let wish = wishes::attach(customer, number, &by(&customer.link.system));
                let body = json_text(&wish);
                self.attach = Some(wish);
                return (Wish::ATTACH.into(), body);
            }
            Said::Create { system, number, fields } => {
                let wish = wishes::create(system, number, fields, &by(system.as_str()));
                let body = json_text(&wish);
                self.create = Some(wish);
                return (Wish::CREATE.into(), body);
            }
            Said::Write(write) => {
                let wish = wishes::write(write, &by(write.system.as_str()));
                let (kind, body) = (format!("{}{}", Wish::WRITE, wish.step), json_text(&wish));
                self.wants(wish);
                return (kind.into(), body);
            }
            Said::Notes { .. }
            | Said::WrapUp { .. }
            | Said::Attribute { .. }
            | Said::Told(_)
            | Said::Customer { .. }
            | Said::Callback { .. } => {}
        }
        let words = self.said.entry(command.agent.clone()).or_default();
        match &command.said {
            Said::Notes { text } => {
                let notes = Noted { text: text.clone() };
                let body = json_text(&notes);
                words.notes = Some((at, notes));
                (Noted::KIND.into(), body)
            }
            Said::WrapUp { disposition, notes, ticket } => {
                let wrapped = Wrapped { disposition: disposition.clone(), notes: notes.clone(), ticket: *ticket };
                let body = json_text(&wrapped);
                words.wrapup = Some((at, wrapped));
                (Wrapped::KIND.into(), body)
            }
            Said::Attribute { name, value } => {
                words.attributes.0.insert(name.clone(), (at, value.clone()));
                (Written::KIND.into(), json_text(&words.attributes))
            }
            Said::Customer { choice, .. } => {
                let chosen = match choice {
                    customers::Choice::Person(person) => {
                        let (candidate, also) = records_of(person);
                        Chosen { candidate: Some(candidate), also, undone: false }
                    }
                    customers::Choice::Nobody => Chosen { candidate: None, also: Vec::new(), undone: false },
                    customers::Choice::Open => Chosen { candidate: None, also: Vec::new(), undone: true },
                };
                self.choose(match choice {
                    customers::Choice::Person(person) => Choice::Chosen(at, person.clone()),
                    customers::Choice::Nobody => Choice::Refused(at),
                    customers::Choice::Open => Choice::Open,
                });
                (Chosen::KIND.into(), json_text(&chosen))
            }
            // Taken above.
            Said::Attach { .. } | Said::Create { .. } | Said::Write(_) | Said::Told(_) | Said::Callback { .. } => {
                (Wish::ATTACH.into(), Private::default())
            }
        }
    }

    /// Once by its step.
    fn wants(&mut self, wish: Wish) {
        if self.writes.iter().all(|known| known.step != wish.step) {
            self.writes.push(wish);
        }
    }

    fn choose(&mut self, choice: Choice) {
        let before = self.customer().map(|old| old.head.id.clone());
        self.choice = choice;
        if before != self.customer().map(|new| new.head.id.clone()) {
            // They are the other customer's.
            self.tickets.clear();
        }
    }

    fn take_checkpoint(&mut self, row: &CheckpointRow) {
        self.switch.get_or_insert_with(|| row.switch.clone());
        self.opened_at = row.opened_at;
        if let Ok(paper) = serde_json::from_str::<Paper>(row.body.expose()) {
            self.record = self.record.take().or(paper.record);
            let link = paper.link.map(|head| Arc::new(person_of(head, paper.also)));
            self.link = self.link.take().or(link);
            self.line = self.line.take().or(paper.line);
            self.book = self.book.take().or(paper.book);
            if self.tickets.is_empty() {
                self.tickets = paper.tickets;
            }
        }
    }

    fn take_history(&mut self, history: History) {
        if let Some(row) = &history.checkpoint {
            self.take_checkpoint(row);
        }
        if let Some(row) = &history.record {
            self.revision = self.revision.max(row.revision);
            if history.checkpoint.is_none() {
                self.ended = true;
                self.recalled = self.record.is_none();
            }
            if self.record.is_none() {
                self.record = serde_json::from_str(row.body.expose()).ok();
            }
        }
        for note in history.notes {
            let words = self.said.entry(note.agent.clone()).or_default();
            let body = note.body.expose();
            match note.kind.as_str() {
                Noted::KIND if words.notes.is_none() => {
                    words.notes = serde_json::from_str(body).ok().map(|notes| (note.at, notes));
                }
                Wrapped::KIND if words.wrapup.is_none() => {
                    words.wrapup = serde_json::from_str(body).ok().map(|wrapup| (note.at, wrapup));
                }
                Written::KIND => {
                    let written: Written = serde_json::from_str(body).unwrap_or_default();
                    for (name, value) in written.0 {
                        words.attributes.0.entry(name).or_insert(value);
                    }
                }
                Chosen::KIND => {
                    let before = match self.choice {
                        Choice::Open => None,
                        Choice::Chosen(at, _) | Choice::Refused(at) => Some(at),
                    };
                    if let Ok(chosen) = serde_json::from_str::<Chosen>(body)
                        && before.is_none_or(|before| before < note.at)
                    {
                        self.choose(match chosen.candidate {
                            _ if chosen.undone => Choice::Open,
                            Some(head) => Choice::Chosen(note.at, Arc::new(person_of(head, chosen.also))),
                            None => Choice::Refused(note.at),
                        });
                    }
                }
                Wish::ATTACH => self.attach = serde_json::from_str(body).ok().or(self.attach.take()),
                Wish::CREATE => self.create = serde_json::from_str(body).ok().or(self.create.take()),
                kind if kind.starts_with(Wish::WRITE) => {
                    if let Ok(wish) = serde_json::from_str(body) {
                        self.wants(wish);
                    }
                }
                _ => {}
            }
        }
        // The customer that an earlier run found stands in the record, and with what was known of them in the effects it made; without it those
        // would be withdrawn.
        if self.link.is_none() {
            let told: Vec<Candidate> = history.effects.iter().rev().filter_map(customer_of).collect();
            let mut links = self.record.iter().flat_map(linked).map(|one| {
                let known = told.iter().find(|known| known.link == one.link).cloned();
                known.unwrap_or(one)
            });
            let person = links.next().map(|head| person_of(head, links.collect()));
            self.link = person.or_else(|| Some(person_of(told.into_iter().next()?, Vec::new()))).map(Arc::new);
        }
    }

    /// What its record as it stands has done.
    fn effects(&mut self, now: Now, rules: &Rules, offers: &Offers, directory: &Directory) -> Vec<EffectPut> {
        let (revision, record) = (self.revision, self.record.clone());
        let mut batch = Batch::default();
        self.write_end(now, rules, offers, directory, &mut batch);
        (self.revision, self.record) = (revision, record);
        batch.effects.into_iter().flat_map(|set| set.puts).collect()
    }

    /// The record with what agents said, as its next revision, and its effects.
    fn write_end(&mut self, now: Now, rules: &Rules, offers: &Offers, directory: &Directory, batch: &mut Batch) {
        let wraps: Vec<(Wall, WrapUp)> =
            self.said.iter().filter_map(|(agent, words)| words.wrap_up(agent, self.record.as_ref())).collect();
        let asked = self.said.values().any(|words| words.wrapup.as_ref().is_some_and(|(_, wrapped)| wrapped.ticket));
        let link = self.customer().cloned();
        let nobody = matches!(self.choice, Choice::Refused(_));
        let Some(record) = &mut self.record else { return };
        self.revision = (self.revision + 1).max(record.revision);
        record.revision = self.revision;
        record.wrapups = wraps.iter().map(|(_, wrap)| wrap.clone()).collect();
        record.wrap_ms = record.wrapups.iter().filter_map(|wrap| wrap.ms).reduce(u64::saturating_add);
        if let Some(customer) = &mut record.customer {
            let records = || link.iter().flat_map(|person| person.records());
            customer.links = records().map(|record| record.link.clone()).collect();
            customer.nobody = nobody;
            if let Some(name) = records().find_map(|record| record.name.clone()) {
                customer.name = Some(name);
            }
        }
        // The book's record has them too while the book knows the call; after that only agents and flows write.
        let mut written: Vec<_> = self.said.values().flat_map(|words| &words.attributes.0).collect();
        written.sort_by_key(|(_, (at, _))| *at);
        for (name, (_, value)) in written {
            record.attribute_faults.remove(name);
            if value.expose().is_empty() {
                record.attributes.remove(name);
            } else {
                record.attributes.insert(name.clone(), value.clone());
            }
        }
        let no_ids = HashMap::new();
        let last = record.final_agent.as_ref();
        let person = last.and_then(|agent| directory.agent(agent));
        let known = Known {
            now: now.wall,
            record,
            customer: link.as_deref(),
            tickets: &self.tickets,
            wrapup: wraps.iter().max_by_key(|(at, _)| *at).map(|(_, wrap)| wrap),
            wrapped: last.is_some_and(|agent| self.said.get(agent).is_some_and(|words| words.wrapup.is_some())),
            asked,
            line: self.line.as_deref(),
            lane: &self.lane,
            agent_ids: person.map_or(&no_ids, |person| &person.ids),
        };
        // Of a call that may be told by another switch too, that one's record has something done.
        let (mut set, left_out) = rules.effects(&known, offers);
        if self.aside {
            set.puts.clear();
        }
        let wishes = self.attach.iter().chain(&self.create).chain(&self.writes);
        set.puts.extend(wishes.map(|wish| wishes::put(wish, &self.key, offers, &self.lane)));
        if let (Some(person), true) = (&link, record.agents.as_ref().is_some_and(|agents| !agents.is_empty())) {
            batch.contacts.extend(person.records().map(|customer| ContactRow {
                tenant: self.key.tenant.clone(),
                customer: customer.id.clone(),
                call: self.key.call,
                agent: record.final_agent.clone(),
                at: record.ended_at.unwrap_or(now.wall),
            }));
        }
        for why in left_out {
            tracing::warn!(call = %self.key.call, why, "a rule's step was left out");
        }
        batch.records.push(RecordRow {
            tenant: self.key.tenant.clone(),
            call: self.key.call,
            revision: self.revision,
            schema: record.record,
            started_at: record.started_at,
            ended_at: record.ended_at,
            direction: record.direction.as_ref().map(word),
            outcome: record.outcome.as_ref().map(word),
            queue: record.queue.clone(),
            body: json_text(&record),
        });
        batch.effects.push(set);
    }
}

impl Words {
    fn wrap_up(&self, agent: &AgentId, record: Option<&Record>) -> Option<(Wall, WrapUp)> {
        let notes = self.notes.as_ref().filter(|(_, notes)| !notes.text.expose().is_empty());
        let wrapped = self.wrapup.as_ref();
        let at = wrapped.map(|(at, _)| *at).max(notes.map(|(at, _)| *at))?;
        let talk = record.into_iter().flat_map(|record| &record.segments);
        // A conference is a talk of several.
        let with_others = |s: &&crate::calls::record::Segment| {
            matches!(s.kind, SegmentKind::Talk | SegmentKind::Conference) && s.agent.as_ref() == Some(agent)
        };
        let talked = talk.filter(with_others).filter_map(|s| s.to);
        let until = talked.max();
        let wrap = WrapUp {
            agent: agent.clone(),
            disposition: wrapped.map(|(_, wrapped)| wrapped.disposition.clone()).unwrap_or_default(),
            notes: wrapped
                .and_then(|(_, wrapped)| wrapped.notes.clone())
                .or_else(|| notes.map(|(_, notes)| notes.text.clone())),
            ms: wrapped.zip(until).map(|((at, _), until)| at.since(until)),
        };
        Some((at, wrap))
    }
}

#[cfg(test)]
#[path = "desk_tests.rs"]
mod tests;
