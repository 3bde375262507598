//! Whom to call back: customers who were missed, gave up, or asked for it, once each, until somebody has talked with them.
//!
//! Still; the desk hands every record to it in the batch that writes the record, so a missed call and its callback are durable together. One callback
//! stands for one customer of a tenant: calls of the same number, and of numbers that the business systems know as the same customer, are one. It is
//! over when the customer was reached, whoever called whom, or when nothing more is to be tried.
//!
//! What is read of a record is read once: the first revision opens and counts, a later one only tells more about who it is, or takes back a call that
//! was answered after all.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    calls::{
        hours::Hours,
        record::{Direction, Outcome, Record},
    },
    customers::Person,
    numbers::Class,
    numbers::trunks::Mask,
    private::Private,
    store::{Batch, CallbackRow},
    words::{AgentId, CallId, TenantId, Wall},
};

use super::papers::json_text;

/// Calls, numbers and customers that one callback remembers. Somebody who calls more often is known by then.
const CALLS: usize = 32;
const KEYS: usize = 8;
/// Customers who were talked with, remembered for missed calls that are written down late (a call whose end nobody saw, a switch's own records).
const TALKED: usize = 20_000;

/// The `callbacks:` part of linecard.yaml.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Inbound calls that ended so become callbacks; none: only who asked is called back.
    pub outcomes: Vec<Outcome>,
    /// The attribute by which a caller asks: any value but empty, 0, no and false; a number in it is the one to call.
    pub asked: Option<String>,
    /// When customers may be called, in the zone of the line they called. Empty: at any time.
    pub hours: Vec<Hours>,
    /// Where the line's row names no zone.
    pub zone: String,
    /// How often one is tried in vain.
    pub attempts: u32,
    /// Between two tries.
    pub retry_min: u32,
    /// How long a claim holds without a call.
    pub claim_min: u32,
    /// After so many days without news it is given up.
    pub keep_days: u32,
    /// Open at most; the oldest gives way.
    pub most: usize,
    /// Which teams call back whom; the first that takes one counts. Whom none takes is everybody's.
    pub teams: Vec<Serving>,
}

/// Who calls back the customers of a queue or a line; without both: all that are left.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Serving {
    /// As the switch names it.
    pub queue: Option<String>,
    /// The title of the line that was called last (trunks.yaml).
    pub line: Option<String>,
    /// Of agents.yaml.
    pub teams: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            outcomes: vec![
                Outcome::Abandoned,
                Outcome::Unanswered,
                Outcome::Busy,
                Outcome::Rejected,
                Outcome::Closed,
                Outcome::Voicemail,
            ],
            asked: None,
            hours: vec![Hours { days: None, from: "09:00".to_owned(), to: "20:00".to_owned() }],
            zone: "Asia/Shanghai".to_owned(),
            attempts: 3,
            retry_min: 30,
            claim_min: 30,
            keep_days: 7,
            most: 10_000,
            teams: Vec::new(),
        }
    }
}

impl Settings {
    /// What a schema cannot see: key, what was found, what would be right.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String, &'static str)> {
        let mut out = Vec::new();
        if TimeZone::get(&self.zone).is_err() {
            out.push(("zone".to_owned(), self.zone.clone(), "an IANA time zone, for example Asia/Shanghai"));
        }
        for (n, hours) in self.hours.iter().enumerate() {
            out.extend(
                hours.problems().into_iter().map(|(key, found, wanted)| (format!("hours[{n}].{key}"), found, wanted)),
            );
        }
        for (key, n, most) in [
            ("attempts", self.attempts, 100),
            ("retry_min", self.retry_min, 10_080),
            ("claim_min", self.claim_min, 10_080),
            ("keep_days", self.keep_days, 366),
        ] {
            if !(1..=most).contains(&n) {
                out.push((key.to_owned(), n.to_string(), "1 at least, and a reasonable number"));
            }
        }
        if !(1..=100_000).contains(&self.most) {
            out.push(("most".to_owned(), self.most.to_string(), "1 to 100000"));
        }
        for (n, serving) in self.teams.iter().enumerate() {
            if serving.teams.is_empty() {
                out.push((format!("teams[{n}].teams"), "no team".to_owned(), "at least one team of agents.yaml"));
            }
            if self.teams.iter().take(n).any(|one| one.queue.is_none() && one.line.is_none()) {
                out.push((format!("teams[{n}]"), "one before it takes all that are left".to_owned(), "put it first"));
            }
        }
        out
    }

    /// Which of `teams` takes it, counted from 1; 0: none does.
    fn group(&self, callback: &Callback) -> usize {
        let same = |wanted: &Option<String>, is: &Option<String>| wanted.is_none() || wanted == is;
        let takes = |one: &Serving| same(&one.queue, &callback.queue) && same(&one.line, &callback.line);
        self.teams.iter().position(takes).map_or(0, |at| at + 1)
    }

    /// Whether agents of these teams call back those of a group.
    fn serves(&self, group: usize, teams: &[String]) -> bool {
        let serving = group.checked_sub(1).and_then(|at| self.teams.get(at));
        serving.is_none_or(|serving| serving.teams.iter().any(|team| teams.contains(team)))
    }

    /// The first moment from `at` on in which customers may be called.
    fn opens(&self, at: Wall, zone: Option<&str>) -> Wall {
        let zone = zone.and_then(|zone| TimeZone::get(zone).ok()).or_else(|| TimeZone::get(&self.zone).ok());
        let Some((zone, now)) = zone.zip(Timestamp::from_millisecond(at.0).ok()) else { return at };
        let today = now.to_zoned(zone.clone()).date();
        let moment = |day: jiff::civil::Date, time: jiff::civil::Time| {
            Some(day.to_datetime(time).to_zoned(zone.clone()).ok()?.timestamp())
        };
        // A week ahead and today once more: one day a week is enough to be open.
        let opens = (0..=7).filter_map(|n| today.checked_add(n.days()).ok()).find_map(|day| {
            let of_day = self.hours.iter().filter(|hours| hours.on(day.weekday()));
            let left = of_day.filter_map(|hours| {
                let (from, to) = hours.times()?;
                let (from, to) = moment(day, from).zip(moment(day, to))?;
                (now < to).then(|| from.max(now))
            });
            left.min()
        });
        opens.map_or(at, |opens| Wall(opens.as_millisecond()))
    }
}

/// One customer to be called back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callback {
    /// Of the call it began with.
    pub id: CallId,
    pub tenant: TenantId,
    /// To be dialled.
    pub number: Private<String>,
    pub name: Option<Private<String>>,
    pub why: Why,
    /// The title of the line that was called.
    pub line: Option<String>,
    pub queue: Option<String>,
    zone: Option<String>,
    /// Who may read the number, where the line says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<Mask>,
    /// The first and the last time the customer was missed or asked.
    pub since: Wall,
    pub last: Wall,
    /// How often.
    pub count: u32,
    calls: Vec<CallId>,
    /// Under what the customer is known: numbers, and records of business systems.
    numbers: Vec<Private<String>>,
    customers: Vec<String>,
    /// Tries in vain, and the calls that they were.
    pub attempts: u32,
    tried: Vec<CallId>,
    /// From when on it may be called.
    pub due: Wall,
    owner: Option<(AgentId, Wall)>,
    pub note: Option<Private<String>>,
    pub over: Option<Over>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// Nobody answered, or nobody was there.
    Missed,
    /// The customer gave up.
    Abandoned,
    /// The customer asked for it.
    Asked,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Over {
    pub how: How,
    pub at: Wall,
    pub call: Option<CallId>,
    pub agent: Option<AgentId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// Somebody talked with the customer.
    Reached,
    /// Tried often enough.
    Unreached,
    /// Nobody cared for too long, or there were too many.
    Expired,
    /// An agent closed it.
    Closed,
    /// The customer is that of another callback.
    Merged,
    /// The call was answered after all.
    Withdrawn,
}

impl Callback {
    /// Who has claimed it.
    #[must_use]
    pub fn owner(&self, now: Wall) -> Option<(&AgentId, Wall)> {
        self.owner.as_ref().filter(|(_, until)| now < *until).map(|(agent, until)| (agent, *until))
    }

    fn row(&self, at: Wall) -> CallbackRow {
        CallbackRow { tenant: self.tenant.clone(), id: self.id, at, open: self.over.is_none(), body: json_text(self) }
    }
}

/// A record as it is written down, and what the desk knows beside it.
pub struct Seen<'s> {
    pub record: &'s Record,
    /// Who it is.
    pub customer: Option<&'s Person>,
    pub line: Option<&'s str>,
    pub mask: Option<&'s Mask>,
    /// Its first revision.
    pub first: bool,
}

/// What an agent wants of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// It is mine for a while.
    Claim,
    Release,
    /// Nothing more is to be done.
    Close,
}

impl Wish {
    /// For the audit.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Claim => "callback.claimed",
            Self::Release => "callback.released",
            Self::Close => "callback.closed",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is over, or never was.
    Unknown,
    /// Another agent has it.
    Claimed,
    /// Another team calls its customer back.
    NotYours,
}

/// The open ones. Never printed: its keys are numbers.
pub struct Callbacks {
    settings: Settings,
    /// By the time of the first call: the oldest first.
    open: BTreeMap<CallId, Callback>,
    numbers: HashMap<(TenantId, String), CallId>,
    customers: HashMap<(TenantId, String), CallId>,
    calls: HashMap<CallId, CallId>,
    /// By tenant, and by who calls back (see [`Settings::group`]): what is due longest comes first.
    due: BTreeSet<(TenantId, usize, Wall, CallId)>,
    /// Tenants that had one.
    tenants: BTreeSet<TenantId>,
    /// When each number was last talked with, and in which order they came.
    talked: HashMap<(TenantId, String), Wall>,
    talked_order: VecDeque<(TenantId, String)>,
}

impl Callbacks {
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            open: BTreeMap::new(),
            numbers: HashMap::new(),
            customers: HashMap::new(),
            calls: HashMap::new(),
            due: BTreeSet::new(),
            tenants: BTreeSet::new(),
            talked: HashMap::new(),
            talked_order: VecDeque::new(),
        }
    }

    /// At start: those that were open. One that cannot be read is left in the store.
    pub fn restore(&mut self, rows: Vec<CallbackRow>) {
        let read = rows.into_iter().filter_map(|row| serde_json::from_str::<Callback>(row.body.expose()).ok());
        for callback in read.filter(|callback| callback.over.is_none()).take(self.settings.most) {
            self.put(callback);
        }
    }

    /// How many are open for agents of these teams, and the most urgent of them.
    #[must_use]
    pub fn list(&self, tenant: &TenantId, teams: &[String], most: usize) -> (usize, Vec<&Callback>) {
        let (mut open, mut first) = (0, Vec::new());
        for group in (0..=self.settings.teams.len()).filter(|group| self.settings.serves(*group, teams)) {
            let from = (tenant.clone(), group, Wall(i64::MIN), CallId(ulid::Ulid::nil()));
            let all = || self.due.range(from.clone()..).take_while(|(t, g, ..)| t == tenant && *g == group);
            open += all().count();
            first.extend(all().take(most).map(|(.., due, id)| (*due, *id)));
        }
        first.sort_unstable();
        (open, first.into_iter().take(most).filter_map(|(_, id)| self.open.get(&id)).collect())
    }

    /// How many are open, and since when the oldest is, for each tenant that ever had one: for metrics.
    #[must_use]
    pub fn figures(&self) -> BTreeMap<&TenantId, (usize, Option<Wall>)> {
        let mut figures: BTreeMap<_, _> = self.tenants.iter().map(|tenant| (tenant, (0, None))).collect();
        for callback in self.open.values() {
            let (open, oldest) = figures.entry(&callback.tenant).or_default();
            *open += 1;
            *oldest = Some(oldest.map_or(callback.since, |oldest: Wall| oldest.min(callback.since)));
        }
        figures
    }

    /// A record, as it is written.
    pub fn seen(&mut self, now: Wall, seen: &Seen<'_>, batch: &mut Batch) {
        self.expire(now, batch);
        let record = seen.record;
        let Some(customer) = record.customer.as_ref().filter(|c| c.withheld != Some(true)) else { return };
        let number =
            customer.e164.as_ref().or(customer.raw.as_ref()).filter(|_| customer.class != Some(Class::Anonymous));
        let Some(number) = number.filter(|number| number.expose().bytes().any(|b| b.is_ascii_digit())) else { return };
        let direction = record.direction.filter(|d| *d != Direction::Internal);
        let Some(direction) = direction else { return };
        let reached = record.answered_at.filter(|_| record.outcome.is_none_or(|o| o == Outcome::Answered));
        let mine = self.calls.get(&record.call).copied();
        if reached.is_some()
            && let Some(id) = mine
            && let Some(callback) = self.open.get(&id)
            && callback.why != Why::Asked
        {
            self.take_back(now, id, record.call, batch);
        } else if let Some(id) = mine {
            self.known(now, id, seen, false, batch);
        }
        if let Some(at) = reached {
            self.talked(&record.tenant, number.expose(), at);
            for id in self.of(&record.tenant, number.expose(), seen.customer) {
                if self.open.get(&id).is_some_and(|callback| callback.last <= at) {
                    let agent = record.final_agent.clone();
                    self.end(id, Over { how: How::Reached, at: now, call: Some(record.call), agent }, batch);
                }
            }
        }
        if record.ended_at.is_none() || !seen.first || self.calls.contains_key(&record.call) {
            return;
        }
        if direction == Direction::Outbound && reached.is_none() {
            // The agent's own phone, or a switch that refused: the customer's did not ring.
            let tried = [Outcome::NoAnswer, Outcome::Busy, Outcome::Rejected, Outcome::Cancelled];
            if record.outcome.is_some_and(|outcome| tried.contains(&outcome)) {
                for id in self.of(&record.tenant, number.expose(), seen.customer) {
                    self.tried(now, id, record.call, batch);
                }
            }
        }
        let asked =
            self.settings.asked.as_ref().and_then(|name| record.attributes.get(name)).filter(|v| wish(v.expose()));
        let missed = direction == Direction::Inbound
            && record.outcome.is_some_and(|outcome| self.settings.outcomes.contains(&outcome));
        let since = self.talked.get(&(record.tenant.clone(), number.expose().clone()));
        let missed = missed && since.is_none_or(|talked| Some(*talked) < record.ended_at);
        let why = match (asked, missed, record.outcome) {
            (Some(_), ..) => Why::Asked,
            (None, true, Some(Outcome::Abandoned)) => Why::Abandoned,
            (None, true, _) => Why::Missed,
            (None, false, _) => return,
        };
        let other = asked.filter(|value| value.expose().bytes().filter(u8::is_ascii_digit).count() >= 5);
        self.want(now, why, other.unwrap_or(number), record.ended_at.unwrap_or(now), seen, None, batch);
    }

    /// An agent says that the customer of this call asks for it; the record is the call's as it stands.
    pub fn ask(
        &mut self,
        now: Wall,
        seen: &Seen<'_>,
        note: Option<Private<String>>,
        batch: &mut Batch,
    ) -> Option<CallId> {
        let customer = seen.record.customer.as_ref().filter(|c| c.withheld != Some(true))?;
        let number = customer.e164.as_ref().or(customer.raw.as_ref())?;
        self.want(now, Why::Asked, number, now, seen, note, batch);
        self.calls.get(&seen.record.call).copied()
    }

    /// What an agent wants of one.
    ///
    /// # Errors
    /// It is not there, or somebody else's.
    pub fn wish(
        &mut self,
        now: Wall,
        (tenant, id): (&TenantId, CallId),
        (agent, teams): (&AgentId, &[String]),
        wish: &Wish,
        batch: &mut Batch,
    ) -> Result<(), Refused> {
        self.expire(now, batch);
        let claim_ms = i64::from(self.settings.claim_min) * 60_000;
        let settings = &self.settings;
        let callback = self.open.get_mut(&id).filter(|c| c.tenant == *tenant).ok_or(Refused::Unknown)?;
        if !settings.serves(settings.group(callback), teams) {
            return Err(Refused::NotYours);
        }
        if callback.owner(now).is_some_and(|(owner, _)| owner != agent) {
            return Err(Refused::Claimed);
        }
        match wish {
            Wish::Claim => callback.owner = Some((agent.clone(), now.plus_ms(claim_ms))),
            Wish::Release => callback.owner = None,
            Wish::Close => {
                let over = Over { how: How::Closed, at: now, call: None, agent: Some(agent.clone()) };
                self.end(id, over, batch);
                return Ok(());
            }
        }
        batch.callbacks.push(callback.row(now));
        Ok(())
    }

    /// The number to dial for one.
    #[must_use]
    pub fn number(&self, tenant: &TenantId, id: CallId) -> Option<&Private<String>> {
        self.open.get(&id).filter(|c| c.tenant == *tenant).map(|c| &c.number)
    }

    #[allow(clippy::too_many_arguments, reason = "what is known of one call")]
    fn want(
        &mut self,
        now: Wall,
        why: Why,
        number: &Private<String>,
        last: Wall,
        seen: &Seen<'_>,
        note: Option<Private<String>>,
        batch: &mut Batch,
    ) {
        let record = seen.record;
        let own = record.customer.as_ref().and_then(|c| c.e164.as_ref().or(c.raw.as_ref()));
        let mut of = self.of(&record.tenant, number.expose(), seen.customer);
        of.extend(own.into_iter().flat_map(|own| self.of(&record.tenant, own.expose(), None)));
        let id = of.first().copied().unwrap_or(record.call);
        if of.is_empty() && self.open.len() >= self.settings.most {
            let oldest = self.open.keys().next().copied();
            if let Some(id) = oldest {
                self.end(id, Over { how: How::Expired, at: now, call: None, agent: None }, batch);
            }
        }
        let mut callback = self.take(id).unwrap_or_else(|| Callback {
            id,
            tenant: record.tenant.clone(),
            number: number.clone(),
            name: None,
            why,
            line: None,
            queue: None,
            zone: None,
            mask: None,
            since: last,
            last,
            count: 0,
            calls: Vec::new(),
            numbers: Vec::new(),
            customers: Vec::new(),
            attempts: 0,
            tried: Vec::new(),
            due: last,
            owner: None,
            note: None,
            over: None,
        });
        callback.number = number.clone();
        // Who asked once still wants it.
        callback.why = if callback.why == Why::Asked { Why::Asked } else { why };
        let again = callback.calls.contains(&record.call);
        callback.count = callback.count.saturating_add(u32::from(!again));
        (callback.since, callback.last) = (callback.since.min(last), callback.last.max(last));
        callback.line = seen.line.map(str::to_owned).or(callback.line);
        callback.queue = record.queue.clone().or(callback.queue);
        callback.zone = record.zone.clone().or(callback.zone);
        // Of two lines the one that hides stays.
        if callback.mask.as_ref().is_none_or(|mask| *mask == Mask::None) {
            callback.mask = seen.mask.cloned().or(callback.mask);
        }
        callback.note = note.or(callback.note);
        callback.due = self.settings.opens(now, callback.zone.as_deref());
        if callback.calls.len() >= CALLS {
            callback.calls.remove(0);
        }
        if !again {
            callback.calls.push(record.call);
        }
        for number in own.into_iter().chain([number]) {
            learn(&mut callback.numbers, number.clone());
        }
        self.put(callback);
        self.known(now, id, seen, true, batch);
    }

    /// Who it is, once a business system has said so; and two of one customer become one. `new`: it is to be written in any case.
    fn known(&mut self, now: Wall, id: CallId, seen: &Seen<'_>, new: bool, batch: &mut Batch) {
        let Some(mut callback) = self.take(id) else { return };
        let before = callback.clone();
        callback.name = seen.record.customer.as_ref().and_then(|c| c.name.clone()).or(callback.name);
        for customer in seen.customer.into_iter().flat_map(Person::records) {
            learn(&mut callback.customers, customer.id.clone());
        }
        let tenant = callback.tenant.clone();
        let same = callback.customers.iter().filter_map(|c| self.customers.get(&(tenant.clone(), c.clone())).copied());
        for other in same.collect::<BTreeSet<_>>() {
            let Some(mut other) = self.take(other) else { continue };
            callback.count = callback.count.saturating_add(other.count);
            callback.attempts = callback.attempts.max(other.attempts);
            (callback.since, callback.last) = (callback.since.min(other.since), callback.last.max(other.last));
            callback.owner = callback.owner.or(other.owner.take());
            callback.calls.extend(other.calls.iter().take(CALLS.saturating_sub(callback.calls.len())));
            other.numbers.iter().for_each(|number| learn(&mut callback.numbers, number.clone()));
            other.over = Some(Over { how: How::Merged, at: now, call: None, agent: None });
            batch.callbacks.push(other.row(now));
        }
        if new || callback != before {
            batch.callbacks.push(callback.row(now));
        }
        self.put(callback);
    }

    /// Somebody called and did not get the customer.
    fn tried(&mut self, now: Wall, id: CallId, call: CallId, batch: &mut Batch) {
        let retry_ms = i64::from(self.settings.retry_min) * 60_000;
        let Some(mut callback) = self.take(id) else { return };
        if callback.tried.contains(&call) {
            return self.put(callback);
        }
        if callback.tried.len() >= CALLS {
            callback.tried.remove(0);
        }
        callback.tried.push(call);
        callback.attempts = callback.attempts.saturating_add(1);
        callback.due = self.settings.opens(now.plus_ms(retry_ms), callback.zone.as_deref());
        callback.owner = None;
        let enough = callback.attempts >= self.settings.attempts;
        batch.callbacks.push(callback.row(now));
        self.put(callback);
        if enough {
            self.end(id, Over { how: How::Unreached, at: now, call: Some(call), agent: None }, batch);
        }
    }

    /// This call was no missed one.
    fn take_back(&mut self, now: Wall, id: CallId, call: CallId, batch: &mut Batch) {
        let Some(mut callback) = self.take(id) else { return };
        callback.calls.retain(|counted| *counted != call);
        callback.count = callback.count.saturating_sub(1);
        let none = callback.calls.is_empty();
        batch.callbacks.push(callback.row(now));
        self.put(callback);
        if none {
            self.end(id, Over { how: How::Withdrawn, at: now, call: Some(call), agent: None }, batch);
        }
    }

    fn expire(&mut self, now: Wall, batch: &mut Batch) {
        let keep_ms = u64::from(self.settings.keep_days) * 86_400_000;
        // Whoever calls again and again is among the first and no news of the others.
        while let Some(id) = self.open.values().take(64).find(|c| now.since(c.last) > keep_ms).map(|c| c.id) {
            self.end(id, Over { how: How::Expired, at: now, call: None, agent: None }, batch);
        }
    }

    fn talked(&mut self, tenant: &TenantId, number: &str, at: Wall) {
        let key = (tenant.clone(), number.to_owned());
        if let Some(last) = self.talked.get_mut(&key) {
            *last = at.max(*last);
            return;
        }
        if self.talked_order.len() >= TALKED
            && let Some(oldest) = self.talked_order.pop_front()
        {
            self.talked.remove(&oldest);
        }
        self.talked_order.push_back(key.clone());
        self.talked.insert(key, at);
    }

    /// Those of one customer, the oldest first.
    fn of(&self, tenant: &TenantId, number: &str, customer: Option<&Person>) -> BTreeSet<CallId> {
        let by_number = self.numbers.get(&(tenant.clone(), number.to_owned()));
        let records = customer.into_iter().flat_map(Person::records);
        let by_record = records.filter_map(|record| self.customers.get(&(tenant.clone(), record.id.clone())));
        by_number.into_iter().chain(by_record).copied().collect()
    }

    fn end(&mut self, id: CallId, over: Over, batch: &mut Batch) {
        let Some(mut callback) = self.take(id) else { return };
        let at = over.at;
        callback.over = Some(over);
        batch.callbacks.push(callback.row(at));
    }

    fn put(&mut self, callback: Callback) {
        let (id, tenant) = (callback.id, &callback.tenant);
        self.numbers.extend(callback.numbers.iter().map(|n| ((tenant.clone(), n.expose().clone()), id)));
        self.customers.extend(callback.customers.iter().map(|c| ((tenant.clone(), c.clone()), id)));
        self.calls.extend(callback.calls.iter().map(|call| (*call, id)));
        self.due.insert((tenant.clone(), self.settings.group(&callback), callback.due, id));
        if !self.tenants.contains(tenant) {
            self.tenants.insert(tenant.clone());
        }
        self.open.insert(id, callback);
    }

    fn take(&mut self, id: CallId) -> Option<Callback> {
        let callback = self.open.remove(&id)?;
        let tenant = &callback.tenant;
        for number in &callback.numbers {
            self.numbers.remove(&(tenant.clone(), number.expose().clone()));
        }
        for customer in &callback.customers {
            self.customers.remove(&(tenant.clone(), customer.clone()));
        }
        for call in &callback.calls {
            self.calls.remove(call);
        }
        self.due.remove(&(tenant.clone(), self.settings.group(&callback), callback.due, id));
        Some(callback)
    }
}

/// Whether a caller asks for it.
fn wish(value: &str) -> bool {
    let value = value.trim();
    !value.is_empty() && !["0", "no", "false"].iter().any(|no| value.eq_ignore_ascii_case(no))
}

fn learn<T: PartialEq>(known: &mut Vec<T>, new: T) {
    if known.len() < KEYS && !known.contains(&new) {
        known.push(new);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::calls::hours::Day;
    use crate::customers::{Candidate, Person};

    const MIN: i64 = 60_000;

    struct Book {
        callbacks: Callbacks,
        /// All rows that were written.
        rows: Vec<CallbackRow>,
    }

    /// 2026-11-26 is a Thursday; hours of the day in Shanghai.
    fn at(hour: i64, minute: i64) -> Wall {
        let midnight: Timestamp = "2026-11-25T16:00:00Z".parse().unwrap();
        Wall(midnight.as_millisecond() + (hour * 60 + minute) * MIN)
    }

    fn id(n: u64) -> CallId {
        CallId(ulid::Ulid::from_parts(n, 0))
    }

    fn person(id: &str) -> Person {
        let (system, rest) = id.split_once(':').unwrap();
        let (kind, own) = rest.split_once(':').unwrap();
        let candidate = json!({"id": id, "link": {"system": system, "type": kind, "id": own}});
        Person::alone(serde_json::from_value::<Candidate>(candidate).unwrap().into())
    }

    /// A call that ended then.
    fn call(n: u64, direction: &str, outcome: &str, number: &str, ended: Wall) -> Record {
        let answered = (outcome == "answered").then(|| ended.plus_ms(-30_000));
        serde_json::from_value(json!({"record": 1, "revision": 1, "call": id(n), "tenant": "default", "switch": "pbx1",
            "direction": direction, "origin": "phone", "outcome": outcome, "end": "seen", "answered_at": answered,
            "started_at": ended.plus_ms(-60_000), "ended_at": ended, "quality": "exact", "queue": "support",
            "customer": {"raw": number, "e164": format!("+86{number}"), "name": "Wang Fang"}}))
        .unwrap()
    }

    impl Book {
        fn new(settings: Settings) -> Self {
            Self { callbacks: Callbacks::new(settings), rows: Vec::new() }
        }

        fn told(&mut self, record: &Record, first: bool, customer: Option<&str>) {
            let customer = customer.map(person);
            let (mut batch, now) = (Batch::default(), record.ended_at.unwrap_or(at(23, 0)));
            let seen = Seen { record, customer: customer.as_ref(), line: Some("Hotline"), mask: None, first };
            self.callbacks.seen(now, &seen, &mut batch);
            self.rows.append(&mut batch.callbacks);
        }

        fn hear(&mut self, record: &Record) {
            self.told(record, true, None);
        }

        fn open(&self) -> Vec<&Callback> {
            let (count, list) = self.callbacks.list(&"default".into(), &[], 100);
            assert_eq!(count, list.len());
            list
        }

        /// How the last of them ended.
        fn over(&self) -> Option<How> {
            let last = self.rows.iter().rfind(|row| !row.open)?;
            serde_json::from_str::<Callback>(last.body.expose()).unwrap().over.map(|over| over.how)
        }

        fn wish(&mut self, now: Wall, n: u64, agent: &str, wish: &Wish) -> Result<(), Refused> {
            let mut batch = Batch::default();
            let result = self.callbacks.wish(now, (&"default".into(), id(n)), (&agent.into(), &[]), wish, &mut batch);
            self.rows.append(&mut batch.callbacks);
            result
        }
    }

    #[test]
    fn a_customer_is_called_back_once_however_often_they_were_missed() {
        let mut book = Book::new(Settings::default());
        book.hear(&call(1, "inbound", "abandoned", "13800138000", at(10, 0)));
        book.hear(&call(2, "inbound", "unanswered", "13800138000", at(10, 5)));
        book.hear(&call(3, "inbound", "unanswered", "13900139000", at(10, 6)));
        // Nobody to call: withheld, a colleague, somebody who was served.
        let mut withheld = call(4, "inbound", "abandoned", "13700137000", at(10, 7));
        withheld.customer.as_mut().unwrap().withheld = Some(true);
        book.hear(&withheld);
        book.hear(&call(5, "internal", "no-answer", "13700137000", at(10, 7)));
        book.hear(&call(6, "inbound", "self-service", "13700137000", at(10, 7)));
        let [first, second] = book.open()[..] else { panic!("{:?}", book.open()) };
        assert_eq!((second.id, second.count, second.why), (id(3), 1, Why::Missed));
        assert_eq!((first.id, first.count, first.why), (id(1), 2, Why::Missed));
        assert_eq!((first.since, first.last, first.due), (at(10, 0), at(10, 5), at(10, 5)));
        assert_eq!((first.line.as_deref(), first.queue.as_deref()), (Some("Hotline"), Some("support")));
        assert_eq!(first.number.expose(), "+8613800138000");
        // A later revision of the same call counts nothing twice.
        book.told(&call(2, "inbound", "unanswered", "13800138000", at(10, 9)), false, None);
        book.told(&call(9, "inbound", "unanswered", "13600136000", at(10, 9)), false, None);
        assert_eq!(book.open().iter().map(|c| c.count).collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn reached_either_way_it_is_over() {
        for direction in ["inbound", "outbound"] {
            let mut book = Book::new(Settings::default());
            let missed = call(1, "inbound", "abandoned", "13800138000", at(10, 0));
            book.hear(&missed);
            // They talked before; that record is only written late.
            book.hear(&call(2, direction, "answered", "13800138000", at(9, 50)));
            assert_eq!(book.open().len(), 1);
            // It is over while they talk, not only when they hung up.
            let mut talk = call(3, direction, "answered", "13800138000", at(11, 0));
            (talk.ended_at, talk.outcome) = (None, None);
            book.told(&talk, false, None);
            assert_eq!((book.open().len(), book.over()), (0, Some(How::Reached)));
            // What is said of the missed call afterwards opens nothing, nor does one from before that is written down only now.
            book.told(&missed, false, Some("erp:customer:7"));
            book.hear(&call(4, "inbound", "abandoned", "13800138000", at(10, 30)));
            assert_eq!(book.open().len(), 0);
            book.hear(&call(5, "inbound", "abandoned", "13800138000", at(11, 30)));
            assert_eq!(book.open().len(), 1);
        }
    }

    #[test]
    fn nights_and_weekends_wait_for_the_hours_in_which_customers_are_called() {
        let work = [Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri].to_vec();
        let hours = |from: &str, to: &str| Hours { days: Some(work.clone()), from: from.to_owned(), to: to.to_owned() };
        let settings =
            Settings { hours: vec![hours("09:00", "12:00"), hours("13:30", "18:00")], ..Settings::default() };
        for (ended, due) in [
            (at(10, 0), at(10, 0)),
            (at(3, 0), at(9, 0)),
            (at(12, 0), at(13, 30)),
            (at(22, 15), at(24 + 9, 0)),
            // Friday evening and Sunday: Monday.
            (at(24 + 19, 0), at(4 * 24 + 9, 0)),
            (at(3 * 24 + 11, 0), at(4 * 24 + 9, 0)),
        ] {
            let mut book = Book::new(settings.clone());
            book.hear(&call(1, "inbound", "closed", "13800138000", ended));
            assert_eq!(book.open()[0].due, due, "{ended}");
        }
        // Where the line is, five hours to the west.
        let mut book = Book::new(settings);
        let mut record = call(1, "inbound", "abandoned", "13800138000", at(10, 0));
        record.zone = Some("Asia/Karachi".to_owned());
        book.hear(&record);
        assert_eq!(book.open()[0].due, at(12, 0));
        let mut always = Book::new(Settings { hours: Vec::new(), ..Settings::default() });
        always.hear(&call(1, "inbound", "abandoned", "13800138000", at(3, 0)));
        assert_eq!(always.open()[0].due, at(3, 0));
    }

    #[test]
    fn it_is_tried_some_times_and_then_given_up() {
        let mut book = Book::new(Settings { attempts: 2, ..Settings::default() });
        book.hear(&call(1, "inbound", "abandoned", "13800138000", at(19, 50)));
        assert_eq!(book.wish(at(19, 51), 1, "1001", &Wish::Claim), Ok(()));
        // The agent's own phone was not answered: the customer's did not ring.
        book.hear(&call(2, "outbound", "agent-unreached", "13800138000", at(19, 52)));
        assert_eq!(book.open()[0].attempts, 0);
        let in_vain = call(3, "outbound", "no-answer", "13800138000", at(19, 53));
        book.hear(&in_vain);
        book.hear(&in_vain);
        let open = book.open()[0];
        assert_eq!((open.attempts, open.due, open.owner(at(19, 54))), (1, at(24 + 9, 0), None), "not tonight");
        // The customer calls again meanwhile: now is a good time.
        book.hear(&call(4, "inbound", "abandoned", "13800138000", at(19, 56)));
        assert_eq!((book.open()[0].due, book.open()[0].attempts), (at(19, 56), 1));
        book.hear(&call(5, "outbound", "busy", "13800138000", at(19, 57)));
        assert_eq!((book.open().len(), book.over()), (0, Some(How::Unreached)));
    }

    #[test]
    fn a_claim_keeps_others_away_for_a_while() {
        let mut book = Book::new(Settings::default());
        book.hear(&call(1, "inbound", "abandoned", "13800138000", at(10, 0)));
        assert_eq!(book.wish(at(10, 1), 1, "1001", &Wish::Claim), Ok(()));
        assert_eq!(book.wish(at(10, 2), 1, "1002", &Wish::Claim), Err(Refused::Claimed));
        assert_eq!(book.wish(at(10, 2), 1, "1002", &Wish::Release), Err(Refused::Claimed));
        assert_eq!(book.wish(at(10, 2), 1, "1001", &Wish::Release), Ok(()));
        assert_eq!(book.wish(at(10, 3), 1, "1002", &Wish::Claim), Ok(()));
        let owner = book.open()[0].owner(at(10, 32)).map(|(agent, until)| (agent.as_str().to_owned(), until));
        assert_eq!(owner, Some(("1002".to_owned(), at(10, 33))));
        assert_eq!(book.open()[0].owner(at(10, 33)), None, "nobody called");
        assert_eq!(book.wish(at(10, 34), 1, "1001", &Wish::Close), Ok(()));
        assert_eq!((book.open().len(), book.over()), (0, Some(How::Closed)));
        assert_eq!(book.wish(at(10, 35), 1, "1001", &Wish::Claim), Err(Refused::Unknown));
        let mut batch = Batch::default();
        book.hear(&call(2, "inbound", "abandoned", "13800138000", at(11, 0)));
        let other =
            book.callbacks.wish(at(11, 1), (&"other".into(), id(2)), (&"1001".into(), &[]), &Wish::Claim, &mut batch);
        assert_eq!((other, batch.is_empty()), (Err(Refused::Unknown), true), "another tenant's");
    }

    #[test]
    fn two_numbers_of_one_customer_are_one_callback() {
        let mut book = Book::new(Settings::default());
        book.hear(&call(1, "inbound", "abandoned", "13800138000", at(10, 0)));
        let second = call(2, "inbound", "abandoned", "02161234567", at(10, 5));
        book.hear(&second);
        assert_eq!(book.open().len(), 2);
        // Who they are comes to be known behind the calls.
        book.told(&call(1, "inbound", "abandoned", "13800138000", at(10, 0)), false, Some("erp:customer:7"));
        book.told(&second, false, Some("erp:customer:7"));
        assert_eq!((book.open().len(), book.open()[0].count, book.over()), (1, 2, Some(How::Merged)));
        // Whichever number they are reached at.
        book.told(&call(3, "outbound", "answered", "13800138000", at(11, 0)), true, None);
        assert_eq!((book.open().len(), book.over()), (0, Some(How::Reached)));
    }

    #[test]
    fn who_asks_is_called_back_though_somebody_talked_with_them() {
        let mut book = Book::new(Settings { asked: Some("ivr.callback".to_owned()), ..Settings::default() });
        let mut record = call(1, "inbound", "answered", "13800138000", at(10, 0));
        for (n, no) in ["", "0", "No"].into_iter().enumerate() {
            record.call = id(10 + n as u64);
            record.attributes.insert("ivr.callback".to_owned(), no.into());
            book.hear(&record);
        }
        assert_eq!(book.open().len(), 0);
        record.call = id(1);
        record.attributes.insert("ivr.callback".to_owned(), "02161234567".into());
        book.hear(&record);
        // Its wrap-up.
        book.told(&record, false, None);
        let [open] = book.open()[..] else { panic!("{:?}", book.open()) };
        assert_eq!((open.why, open.number.expose().as_str(), open.count), (Why::Asked, "02161234567", 1));
        // And by the agent who has the customer on the line.
        let mut book = Book::new(Settings::default());
        let mut talk = call(2, "inbound", "answered", "13800138000", at(10, 0));
        (talk.ended_at, talk.outcome) = (None, None);
        let seen = Seen { record: &talk, customer: None, line: None, mask: None, first: false };
        let mut batch = Batch::default();
        assert_eq!(
            book.callbacks.ask(at(10, 0).plus_ms(-5_000), &seen, Some("after three".into()), &mut batch),
            Some(id(2))
        );
        assert_eq!(batch.callbacks.len(), 1);
        book.hear(&call(2, "inbound", "answered", "13800138000", at(10, 0)));
        assert_eq!((book.open().len(), book.open()[0].count), (1, 1));
        assert_eq!(book.open()[0].note, Some("after three".into()));
    }

    #[test]
    fn a_call_that_was_answered_after_all_is_taken_back() {
        let mut book = Book::new(Settings::default());
        book.hear(&call(1, "inbound", "abandoned", "13800138000", at(10, 0)));
        book.told(&call(1, "inbound", "answered", "13800138000", at(10, 0)), false, None);
        assert_eq!((book.open().len(), book.over()), (0, Some(How::Withdrawn)));
    }

    #[test]
    fn what_is_open_survives_and_is_bounded() {
        let mut book = Book::new(Settings { most: 3, keep_days: 1, ..Settings::default() });
        for n in 1..=5 {
            book.hear(&call(n, "inbound", "abandoned", &format!("1380013800{n}"), at(10, 0)));
        }
        assert_eq!(book.open().iter().map(|c| c.id).collect::<Vec<_>>(), [id(3), id(4), id(5)]);
        assert_eq!(book.over(), Some(How::Expired));
        // What was written last of each, as the store has it.
        let mut kept: BTreeMap<CallId, CallbackRow> = BTreeMap::new();
        kept.extend(book.rows.iter().map(|row| (row.id, row.clone())));
        let rows = kept.into_values().filter(|row| row.open).collect();
        let mut again = Book::new(Settings { keep_days: 1, ..Settings::default() });
        again.callbacks.restore(rows);
        assert_eq!(again.open(), book.open());
        // A customer of before the restart is found by the number, and one that nobody cared for is given up.
        again.hear(&call(6, "outbound", "answered", "13800138003", at(11, 0)));
        assert_eq!(again.open().len(), 2);
        again.hear(&call(7, "inbound", "abandoned", "13800138009", at(24 + 10, 1)));
        assert_eq!(again.open().iter().map(|c| c.id).collect::<Vec<_>>(), [id(7)]);
    }

    #[test]
    fn a_queue_or_a_line_is_called_back_by_its_teams_and_the_rest_by_all() {
        let serving = |queue: Option<&str>, line: Option<&str>, team: &str| Serving {
            queue: queue.map(str::to_owned),
            line: line.map(str::to_owned),
            teams: vec![team.to_owned()],
        };
        let teams = vec![serving(Some("support"), None, "support"), serving(None, Some("Hotline"), "sales")];
        let mut book = Book::new(Settings { teams: teams.clone(), ..Settings::default() });
        book.hear(&call(1, "inbound", "abandoned", "13800138001", at(10, 0)));
        let mut second = call(2, "inbound", "abandoned", "13800138002", at(10, 1));
        second.queue = Some("other".to_owned());
        book.hear(&second);
        let seen = |book: &Book, teams: &[&str]| {
            let teams: Vec<String> = teams.iter().map(|team| (*team).to_owned()).collect();
            let (open, list) = book.callbacks.list(&"default".into(), &teams, 10);
            assert_eq!(open, list.len());
            list.iter().map(|callback| callback.id).collect::<Vec<_>>()
        };
        assert_eq!(seen(&book, &["support"]), [id(1)]);
        assert_eq!(seen(&book, &["sales"]), [id(2)], "another queue, by its line");
        assert_eq!(seen(&book, &["sales", "support"]), [id(1), id(2)], "what is due longest comes first");
        assert_eq!(seen(&book, &[]), Vec::<CallId>::new());
        let mut claim = |n: u64, team: &str| {
            let (who, team) = ("1001".into(), [team.to_owned()]);
            let mut batch = Batch::default();
            book.callbacks.wish(at(10, 5), (&"default".into(), id(n)), (&who, &team), &Wish::Claim, &mut batch)
        };
        assert_eq!(claim(1, "sales"), Err(Refused::NotYours));
        assert_eq!(claim(1, "support"), Ok(()));
        // The same customer by another queue: their last call says whose they are.
        let mut third = call(3, "inbound", "abandoned", "13800138001", at(10, 10));
        third.queue = Some("other".to_owned());
        book.hear(&third);
        assert_eq!((seen(&book, &["support"]), seen(&book, &["sales"]).len()), (Vec::new(), 2));
        let (tenant, since) = ("default".into(), at(10, 0));
        assert_eq!(book.callbacks.figures(), BTreeMap::from([(&tenant, (2, Some(since)))]));
        for n in 1..=2 {
            let record = call(n + 10, "outbound", "answered", &format!("1380013800{n}"), at(11, 0));
            book.hear(&record);
        }
        assert_eq!(book.callbacks.figures(), BTreeMap::from([(&tenant, (0, None))]), "a figure that was there stays");

        let shapes = |teams: Vec<Serving>| {
            let settings = Settings { teams, ..Settings::default() };
            settings.problems().into_iter().map(|(key, ..)| key).collect::<Vec<_>>()
        };
        assert_eq!(shapes(teams), Vec::<String>::new());
        let all = Serving { teams: vec!["all".to_owned()], ..Serving::default() };
        assert_eq!(shapes(vec![all, Serving::default()]), ["teams[1].teams", "teams[1]"]);
    }

    #[test]
    fn what_cannot_be_meant_is_told() {
        assert_eq!(Settings::default().problems(), []);
        let wrong = Settings {
            zone: "Moon/Sea".to_owned(),
            hours: vec![Hours { days: Some(vec![Day::Mon]), from: "18:00".to_owned(), to: "9".to_owned() }],
            attempts: 0,
            ..Settings::default()
        };
        let keys: Vec<String> = wrong.problems().into_iter().map(|(key, ..)| key).collect();
        assert_eq!(keys, ["zone", "hours[0].to", "attempts"]);
    }
}
