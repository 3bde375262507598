//! Events of FreeSWITCH to events of the book.
//!
//! The switch says more than AMI does and in another order, so a little is remembered of each channel: whether it was told, who called it, in which pair it is.
//! What a channel is called is decided at its first event and kept: later ones rewrite the caller id and the dialled number (blind-transfer,
//! conference, click-to-dial). A pair is a bridge of its own (`A~B`): `BRIDGE` and `UNBRIDGE` name both legs, no other id is firm.
//!
//! Quirks, each with the recording (1.10.12) that shows it:
//! - the leg to a queue's agent names nobody who calls it; `cc_member_session_uuid` does (queue-answer);
//! - `UNBRIDGE` may come before `HANGUP` of either leg, or after `HANGUP_COMPLETE` of the other (attended-transfer);
//! - who hung up stands in `sip_hangup_disposition`, first in whatever event comes after the BYE (direct-did);
//! - an agent who leaves by REFER says so in `endpoint_disposition` and `transfer_to` from `HANGUP` on (blind-transfer), the consultation's leg of an attended
//!   one is gone before the leg that holds the customer names it (attended-transfer);
//! - privacy is a flag of the caller's own leg, beside the number that must not be shown (anonymous);
//! - `transfer_history` has an item for each `uuid_bridge`: it is no sign of a transfer (own-acd-park-originate-bridge).

use std::{
    borrow::Cow,
    collections::{HashMap, VecDeque},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
};

use crate::{
    calls::{
        Attributes,
        attributes::{Place, Source},
        book::fits,
        event::{BridgeKind, Caller, DialStatus, Event as Told, Leg, LegState, Said},
    },
    private::Private,
    words::Wall,
};

use super::{
    callcenter,
    event::{Event, micros},
    snapshot::Row,
};

/// Channels remembered at most; a switch has a session limit far below.
const LEGS: usize = 100_000;
/// How many of the last events' numbers are remembered: two that swap are never further apart than 4 (facts, 40 calls at 8 a second).
const RECENT: usize = 512;

/// What is remembered of a channel.
#[derive(Clone, Debug, Default)]
struct Known {
    name: String,
    /// Whose phone it is, where it is no trunk's.
    user: Option<String>,
    /// Who called it.
    by: Option<String>,
    dialled: bool,
    up: bool,
    rings: bool,
    held: bool,
    /// The pair or room it is in.
    bridge: Option<String>,
    /// When its end was first told.
    ended: Option<Wall>,
    /// Its far end asked for the end.
    asked: bool,
    /// It was handed on, and that was told.
    handed: bool,
    /// Only another channel's events tell of it (`myevents`).
    through: Option<String>,
    /// Whose channel it listens in on.
    listens: Option<String>,
    /// What was told of its variables: each with a hash of its value.
    told: Vec<(String, u64)>,
}

/// One switch's events, in order.
#[derive(Debug, Default)]
pub struct Translator {
    /// Endpoints that are trunks, as in the switch's file: `sofia/PROFILE` or `gateway/NAME`.
    trunks: Vec<String>,
    /// What is wanted of a call besides the call.
    attributes: Arc<Attributes>,
    /// The process that tells. Another one knows none of the channels of before.
    core: Option<String>,
    legs: HashMap<String, Known>,
    /// Numbers of the last events: what comes again is dropped.
    recent: VecDeque<u64>,
    out: Vec<Told>,
}

impl Translator {
    #[must_use]
    pub fn new(trunks: Vec<String>, attributes: Arc<Attributes>) -> Self {
        Self { trunks, attributes, ..Self::default() }
    }

    /// What the events so far came to, since it was last taken.
    pub fn drain(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.out)
    }

    /// One event.
    pub fn take(&mut self, e: &Event<'_>) {
        self.process(e);
        if let Some(number) = e.get("Event-Sequence").and_then(|n| n.parse().ok()) {
            if self.recent.contains(&number) {
                return;
            }
            if self.recent.len() == RECENT {
                self.recent.pop_front();
            }
            self.recent.push_back(number);
        }
        let name = e.get("Event-Name").unwrap_or_default();
        match &*name {
            "CUSTOM" => self.custom(e),
            "DTMF" => self.digit(e),
            "RECORD_START" | "RECORD_STOP" => self.recording(e, &name),
            "CHANNEL_BRIDGE" => self.bridge(e),
            "CHANNEL_UNBRIDGE" => self.unbridge(e),
            "CHANNEL_DESTROY" => self.destroyed(e),
            "CHANNEL_EXECUTE" => self.executes(e),
            "CHANNEL_CREATE"
            | "CHANNEL_DATA"
            | "CHANNEL_PROGRESS"
            | "CHANNEL_PROGRESS_MEDIA"
            | "CHANNEL_ANSWER"
            | "CHANNEL_HOLD"
            | "CHANNEL_UNHOLD"
            | "CHANNEL_HANGUP"
            | "CHANNEL_HANGUP_COMPLETE" => {
                self.channel(e, &name);
            }
            _ => {}
        }
    }

    /// Another process: what was known of the one before is gone, and nobody saw it end (restart-crash).
    fn process(&mut self, e: &Event<'_>) {
        let Some(core) = e.get("Core-UUID") else { return };
        if self.core.as_deref() == Some(&*core) {
            return;
        }
        if self.core.replace(core.into_owned()).is_some() {
            let at = e.at();
            let mut gone: Vec<String> =
                self.legs.drain().filter(|(_, l)| l.ended.is_none()).map(|(id, _)| id).collect();
            // The same at every run.
            gone.sort_unstable();
            for id in gone {
                self.out.push(Told { at, said: Said::Gone { leg: Leg { id, ..Leg::default() } } });
            }
            self.recent.clear();
        }
    }

    fn say(&mut self, at: Option<Wall>, said: Said) {
        self.out.push(Told { at, said });
    }

    fn channel(&mut self, e: &Event<'_>, name: &str) {
        let Some(id) = e.get("Unique-ID").map(Cow::into_owned) else { return };
        if !self.legs.contains_key(&id) {
            // The end of a channel that was never seen is no news.
            if name.starts_with("CHANNEL_HANGUP") || self.legs.len() >= LEGS {
                return;
            }
            self.appears(e, &id);
        }
        self.variables(e, &id);
        let at = e.at();
        let leg = self.leg(&id);
        let Some(known) = self.legs.get_mut(&id) else { return };
        match name {
            // Of a caller's own channel it tells of what the caller hears.
            "CHANNEL_PROGRESS" | "CHANNEL_PROGRESS_MEDIA" if known.dialled && !known.rings && !known.up => {
                known.rings = true;
                self.say(at, Said::State { leg, state: LegState::Ringing });
            }
            "CHANNEL_ANSWER" => self.answers(at, &id),
            "CHANNEL_HOLD" if !known.held => {
                known.held = true;
                self.say(at, Said::Hold { leg });
            }
            "CHANNEL_UNHOLD" => {
                let held = std::mem::take(&mut known.held);
                self.handed_on(e, &id);
                if held {
                    self.say(at, Said::Unhold { leg });
                }
            }
            "CHANNEL_HANGUP" => {
                known.ended = known.ended.or(at);
                if let Some(watched) = known.listens.take() {
                    let watched = self.leg(&watched);
                    self.say(at, Said::Unlisten { leg: watched, by: leg.clone() });
                }
                // The switch stops, and takes everybody along (restart-sigterm).
                if e.get("Hangup-Cause").as_deref() == Some("SYSTEM_SHUTDOWN") {
                    self.say(at, Said::Stopped { leg });
                }
                self.handed_on(e, &id);
                self.ends_dial(e, &id);
                self.asks(e, &id);
            }
            "CHANNEL_HANGUP_COMPLETE" => {
                let ended = known.ended.or(at);
                known.ended = ended;
                self.handed_on(e, &id);
                self.ends_dial(e, &id);
                self.asks(e, &id);
                let cause = q850(e);
                let text = e.get("Hangup-Cause").map(Cow::into_owned);
                self.say(ended, Said::Hangup { leg, cause, text });
                self.ends_with(ended, &id, cause);
            }
            _ => {}
        }
    }

    /// Mapped variables and headers, where they are new: every event of a channel has all of them.
    fn variables(&mut self, e: &Event<'_>, id: &str) {
        if self.attributes.list.is_empty() {
            return;
        }
        let Some(dialled) = self.legs.get(id).map(|known| known.dialled) else { return };
        let (at, leg) = (e.at(), self.leg(id));
        for (name, value) in self.mapped(e, dialled) {
            let mut hasher = DefaultHasher::new();
            value.expose().hash(&mut hasher);
            let hash = hasher.finish();
            let Some(known) = self.legs.get_mut(id) else { return };
            match known.told.iter_mut().find(|(told, _)| *told == name) {
                Some((_, was)) if *was == hash => continue,
                Some((_, was)) => *was = hash,
                None => known.told.push((name.clone(), hash)),
            }
            self.say(at, Said::Variable { leg: leg.clone(), name, value });
        }
    }

    /// A recording begins or ends (`switch_ivr_async.c`: both name the file and have the channel's data). To the book it is the variable that the switch's
    /// file names.
    fn recording(&mut self, e: &Event<'_>, name: &str) {
        let Some(declared) = self.attributes.recordings.as_ref().map(|r| r.variable.clone()) else { return };
        let id = e.get("Unique-ID").map(Cow::into_owned).filter(|id| self.legs.contains_key(id));
        let (Some(id), Some(file)) = (id, e.bytes("Record-File-Path")) else { return };
        let (at, leg) = (e.at(), self.leg(&id));
        if name == "RECORD_STOP" {
            return self.say(at, Said::RecordingStop { leg });
        }
        self.say(at, Said::Variable { leg, name: declared, value: Private::new(file.into_owned()) });
    }

    /// An event that the dialplan or another program raised, if it is mapped and of a channel that is known.
    fn raised(&mut self, e: &Event<'_>, subclass: &str) {
        let attributes = self.attributes.clone();
        let mapped = attributes.list.iter().filter_map(|m| match &m.from {
            Some(Source::UserEvent(u)) if u.event == subclass => Some(&u.header),
            _ => None,
        });
        let headers: Vec<(String, Private<Vec<u8>>)> =
            mapped.filter_map(|h| Some((h.clone(), Private::new(e.bytes(h)?.into_owned())))).collect();
        let id = e.get("Unique-ID").map(Cow::into_owned).filter(|id| self.legs.contains_key(id));
        if let (Some(id), false) = (id, headers.is_empty()) {
            let leg = self.leg(&id);
            self.say(e.at(), Said::UserEvent { leg, event: subclass.to_owned(), headers });
        }
    }

    /// A channel is seen for the first time.
    fn appears(&mut self, e: &Event<'_>, id: &str) {
        let at = e.at();
        let created = e.get("Caller-Channel-Created-Time").and_then(|t| micros(&t)).or(at);
        let outgoing = e.get("Call-Direction").as_deref() == Some("outbound");
        let channel = e.get("Channel-Name").unwrap_or_default();
        let (gateway, named) = owner(e, outgoing);
        let (name, user) = self.name_of(id, &channel, gateway.as_deref(), named.as_deref());
        let trunk = user.is_none();
        let known = Known { name, user, dialled: outgoing, ..Known::default() };
        self.legs.insert(id.to_owned(), known);
        let mut leg = self.leg(id);
        leg.sip_call_id = e.get("variable_sip_call_id").map(Cow::into_owned);
        let number = e.get("Caller-Caller-ID-Number").filter(|n| !is_stand_in(n));
        let hidden = e.get("Caller-Privacy-Hide-Number").as_deref() == Some("true");
        let anonymous = e.get("Caller-Caller-ID-Number").is_some_and(|n| n.eq_ignore_ascii_case("anonymous"));
        let name = e.get("Caller-Caller-ID-Name").filter(|name| {
            Some(name) != number.as_ref() && !is_stand_in(name) && !matches!(&**name, "Outbound Call" | "Extension")
        });
        let dialled = e.get("Caller-Destination-Number").filter(|d| !d.is_empty());
        let shown = !(outgoing || hidden);
        let private = |text: Cow<'_, str>| Private::new(text.into_owned());
        let hides_name = hidden || e.get("Caller-Privacy-Hide-Name").as_deref() == Some("true");
        let caller = Caller {
            number: number.clone().filter(|_| shown).map(private),
            name: name.filter(|_| shown && !hides_name).map(private),
        };
        let said = Said::NewLeg {
            leg: leg.clone(),
            state: if outgoing { LegState::Down } else { LegState::Calling },
            caller,
            dialled: dialled.clone().filter(|_| !outgoing).map(private),
            places: Vec::new(),
            created,
        };
        self.say(created, said);
        if outgoing {
            let member = e.get("variable_cc_member_session_uuid");
            let caller = e.get("variable_originator").or_else(|| {
                let originator = e.get("Other-Type").as_deref() == Some("originator");
                e.get("Other-Leg-Unique-ID").filter(|_| originator)
            });
            let by = member.as_ref().or(caller.as_ref()).map(|by| by.clone().into_owned());
            let by = by.filter(|by| self.legs.contains_key(by));
            if let Some(known) = self.legs.get_mut(id) {
                known.by.clone_from(&by);
            }
            let by = by.map(|by| self.leg(&by));
            let number = e.get("variable_dialed_user").filter(|_| !trunk).or(dialled);
            let presented = number_shown(e).filter(|_| trunk);
            let to = leg.clone();
            let dial =
                Said::DialBegin { by: by.clone(), to, dialled: number.map(private), presented: presented.map(private) };
            self.say(created, dial);
            if let (Some(caller), Some(queue), true) = (by, e.get("variable_cc_queue"), member.is_some()) {
                let queue = queue_name(&queue);
                self.say(created, Said::AgentCalled { leg: caller, agent: leg, queue });
            }
        } else {
            self.say(at, Said::CallerId { leg, caller: Caller::default(), restricted: hidden || anonymous });
        }
    }

    /// What a channel is called: `sofia/2001-1a2b3c4d` for a phone, `sofia/PROFILE-1a2b3c4d` for a trunk. And whose phone it is.
    /// `gateway` and `named` (who was dialled, who registered) are what the switch says of them, where it does.
    fn name_of(&self, id: &str, channel: &str, gateway: Option<&str>, named: Option<&str>) -> (String, Option<String>) {
        let mut parts = channel.splitn(3, '/');
        let (technology, profile, rest) = (
            parts.next().filter(|t| !t.is_empty()).unwrap_or("sofia"),
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
        );
        // A channel that we asked for is called as the request is: `lc-01...`; a dash would be part of the device.
        let tail: String = id.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
        // Both halves of a loopback: pipes, not parties (`loopback/2001-a`, `loopback/2001-b`).
        if technology == "loopback" {
            let half = if channel.ends_with("-b") { "2" } else { "1" };
            let pipe = channel.strip_suffix("-a").or_else(|| channel.strip_suffix("-b")).unwrap_or(channel);
            return (format!("Local/{pipe};{half}"), None);
        }
        let is = |name: &str| self.trunks.iter().any(|p| fits(p, name, false) || fits(p, short(name), false));
        let by_profile = format!("{technology}/{profile}");
        if let Some(gateway) = gateway.filter(|gateway| is(&format!("gateway/{gateway}"))) {
            return (format!("gateway/{gateway}-{tail}"), None);
        }
        if is(&by_profile) {
            return (format!("{by_profile}-{tail}"), None);
        }
        let user = named.map(str::to_owned).unwrap_or_else(|| {
            let rest = if rest.is_empty() { profile } else { rest };
            let rest = rest.strip_prefix("sip:").unwrap_or(rest);
            rest.split(['@', ';']).next().unwrap_or_default().to_owned()
        });
        (format!("{technology}/{user}-{tail}"), Some(user))
    }

    /// A channel of the switch's own list: known from now on. Gives what it is called.
    /// `dump`: its variables, where the switch told them.
    pub(super) fn known(
        &mut self,
        row: &Row,
        dump: Option<&Event<'_>>,
        up: bool,
        held: bool,
        bridge: Option<String>,
    ) -> String {
        let outgoing = row.direction == "outbound";
        if let Some(known) = self.legs.get_mut(&row.uuid) {
            (known.up, known.held) = (known.up || up, held);
            known.bridge = bridge.or(known.bridge.take());
            return known.name.clone();
        }
        let (gateway, named) = dump.map(|e| owner(e, outgoing)).unwrap_or_default();
        let (name, user) = self.name_of(&row.uuid, &row.name, gateway.as_deref(), named.as_deref());
        let known = Known {
            name: name.clone(),
            user,
            dialled: outgoing,
            up,
            held,
            bridge,
            rings: outgoing,
            ..Known::default()
        };
        if self.legs.len() < LEGS {
            self.legs.insert(row.uuid.clone(), known);
        }
        name
    }

    /// Whether the channel was told already.
    #[must_use]
    pub(super) fn knows(&self, id: &str) -> bool {
        self.legs.contains_key(id)
    }

    /// The variables and headers that are wanted, by the names under which they are told.
    pub(super) fn mapped(&self, e: &Event<'_>, dialled: bool) -> Vec<(String, Private<Vec<u8>>)> {
        let mut told: Vec<(String, Private<Vec<u8>>)> = Vec::new();
        for source in self.attributes.list.iter().filter_map(|m| m.from.as_ref()) {
            let (name, value) = match source {
                Source::Variable(name) => (name.clone(), e.bytes(&format!("variable_{name}"))),
                // The caller's own headers; a leg to a phone has those that the dialplan gave it.
                Source::SipHeader(name) if !dialled => (format!("sip:{name}"), header(e, name)),
                _ => continue,
            };
            if let (Some(value), false) = (value, told.iter().any(|(other, _)| *other == name)) {
                told.push((name, Private::new(value.into_owned())));
            }
        }
        told
    }

    fn leg(&self, id: &str) -> Leg {
        let name = self.legs.get(id).map(|known| known.name.clone()).unwrap_or_default();
        Leg { id: id.to_owned(), name, linked: None, sip_call_id: None }
    }

    fn answers(&mut self, at: Option<Wall>, id: &str) {
        let leg = self.leg(id);
        let Some(known) = self.legs.get_mut(id) else { return };
        if std::mem::replace(&mut known.up, true) {
            return;
        }
        let by = known.by.clone().map(|by| self.leg(&by));
        let dialled = self.legs.get(id).is_some_and(|known| known.dialled);
        self.say(at, Said::State { leg: leg.clone(), state: LegState::Up });
        if dialled {
            self.say(at, Said::DialEnd { by, to: leg, status: DialStatus::Answer });
        }
    }

    /// A call to somebody failed.
    fn ends_dial(&mut self, e: &Event<'_>, id: &str) {
        let Some(known) = self.legs.get_mut(id).filter(|known| known.dialled && !known.up) else { return };
        known.dialled = false;
        let by = known.by.clone().map(|by| self.leg(&by));
        let status = status_of(&e.get("Hangup-Cause").unwrap_or_default());
        self.say(e.at(), Said::DialEnd { by, to: self.leg(id), status });
    }

    /// The far end of the channel wished its end, if this event is the first that says so.
    fn asks(&mut self, e: &Event<'_>, id: &str) {
        let wished = e.get("variable_sip_hangup_disposition").is_some_and(|d| d.starts_with("recv_"));
        if !wished {
            return;
        }
        let leg = self.leg(id);
        let Some(known) = self.legs.get_mut(id).filter(|known| !known.asked) else { return };
        known.asked = true;
        let at = known.ended.or(e.at());
        self.say(at, Said::HangupRequest { leg, cause: q850(e) });
    }

    /// The channel leaves the call to somebody else.
    fn handed_on(&mut self, e: &Event<'_>, id: &str) {
        let Some(known) = self.legs.get(id).filter(|known| !known.handed) else { return };
        let at = e.at();
        let to = e.get("variable_transfer_to").unwrap_or_default();
        if let Some(customer) = to.strip_prefix("blind:") {
            let number = e.get("variable_transfer_destination");
            let number = number.as_deref().and_then(|n| n.strip_prefix("blind:")).map(|n| Private::new(n.to_owned()));
            let customer = Some(customer.to_owned()).filter(|c| self.legs.contains_key(c)).map(|c| self.leg(&c));
            let by = self.leg(id);
            self.mark_handed(id);
            self.say(at, Said::BlindTransfer { by, customer, to: number, success: true });
        } else if let Some(target) = to.strip_prefix("att:") {
            let second = e.get("variable_refer_uuid").map(Cow::into_owned);
            let customer = self.partner(id);
            let target = Some(target.to_owned());
            self.swaps(at, id, second, customer, target);
        } else if e.get("variable_endpoint_disposition").as_deref() == Some("ATTENDED_TRANSFER") {
            // The consultation's channel goes first, and does not say whom the customer waits for: the same phone's channel that holds one.
            let holds = |(other, l): &(&String, &Known)| {
                other.as_str() != id && l.user == known.user && l.user.is_some() && l.held && l.ended.is_none()
            };
            let mut holding = self.legs.iter().filter(holds).map(|(other, _)| other.clone());
            if let (Some(first), None) = (holding.next(), holding.next()) {
                let (customer, target) = (self.partner(&first), self.partner(id).or_else(|| other_leg(e)));
                self.swaps(at, &first, Some(id.to_owned()), customer, target);
            }
        }
    }

    fn swaps(
        &mut self,
        at: Option<Wall>,
        first: &str,
        second: Option<String>,
        customer: Option<String>,
        target: Option<String>,
    ) {
        let Some(second) = second else { return };
        let there = |id: Option<String>| id.filter(|id| self.legs.contains_key(id)).map(|id| self.leg(&id));
        let said = Said::AttendedTransfer {
            first: self.leg(first),
            second: self.leg(&second),
            customer: there(customer),
            target: there(target),
            success: true,
        };
        self.mark_handed(first);
        self.mark_handed(&second);
        self.say(at, said);
    }

    fn mark_handed(&mut self, id: &str) {
        if let Some(known) = self.legs.get_mut(id) {
            known.handed = true;
        }
    }

    /// Who is in the same pair.
    fn partner(&self, id: &str) -> Option<String> {
        let (a, b) = self.legs.get(id)?.bridge.as_ref()?.split_once('~')?;
        Some(if a == id { b } else { a }.to_owned())
    }

    fn bridge(&mut self, e: &Event<'_>) {
        let (Some(a), Some(b)) = (e.get("Bridge-A-Unique-ID"), e.get("Bridge-B-Unique-ID")) else { return };
        let (a, b) = (a.into_owned(), b.into_owned());
        let at = e.at();
        self.told_by_other(e, &a, &b);
        let pair = format!("{a}~{b}");
        for id in [&a, &b] {
            self.leaves(at, id);
            let leg = self.leg(id);
            if let Some(known) = self.legs.get_mut(id) {
                known.bridge = Some(pair.clone());
                self.say(at, Said::BridgeEnter { leg, bridge: pair.clone(), kind: BridgeKind::Mixing });
            }
        }
    }

    fn unbridge(&mut self, e: &Event<'_>) {
        let (Some(a), Some(b)) = (e.get("Bridge-A-Unique-ID"), e.get("Bridge-B-Unique-ID")) else { return };
        let at = e.at();
        if let Some(id) = e.get("Unique-ID").map(Cow::into_owned) {
            self.handed_on(e, &id);
            if e.get("Answer-State").as_deref() == Some("hangup") {
                self.asks(e, &id);
            }
        }
        let pair = format!("{a}~{b}");
        for id in [a.into_owned(), b.into_owned()] {
            if self.legs.get(&id).is_some_and(|known| known.bridge.as_ref() == Some(&pair)) {
                self.leaves(at, &id);
            }
        }
    }

    fn leaves(&mut self, at: Option<Wall>, id: &str) {
        let leg = self.leg(id);
        if let Some(bridge) = self.legs.get_mut(id).and_then(|known| known.bridge.take()) {
            self.say(at, Said::BridgeLeave { leg, bridge });
        }
    }

    /// The other side of a pair, of which only this side's events tell (`myevents`, outbound-socket): when it was called, rang and answered stands there.
    fn told_by_other(&mut self, e: &Event<'_>, a: &str, b: &str) {
        let Some(id) = e.get("Unique-ID") else { return };
        let other = if *id == *a { b } else { a };
        if self.legs.contains_key(other) || !self.legs.contains_key(&*id) || self.legs.len() >= LEGS {
            return;
        }
        let time = |name: &str| e.get(&format!("Other-Leg-{name}-Time")).and_then(|t| micros(&t));
        let at = e.at();
        let channel = e.get("Other-Leg-Channel-Name").unwrap_or_default();
        let (name, user) = match channel.split_once('/').and_then(|(_, rest)| rest.split_once('/')) {
            Some(_) => self.name_of(other, &channel, None, None),
            None => (String::new(), None),
        };
        let outgoing = e.get("Other-Type").as_deref() == Some("originatee");
        let known = Known {
            name,
            user,
            by: outgoing.then(|| id.clone().into_owned()),
            dialled: outgoing,
            through: Some(id.clone().into_owned()),
            ..Known::default()
        };
        self.legs.insert(other.to_owned(), known);
        let (leg, by) = (self.leg(other), self.leg(&id));
        let created = time("Channel-Created").or(at);
        let said = Said::NewLeg {
            leg: leg.clone(),
            state: LegState::Down,
            caller: Caller::default(),
            dialled: None,
            places: Vec::new(),
            created,
        };
        self.say(created, said);
        if outgoing {
            let number = e.get("Other-Leg-Destination-Number").map(|n| Private::new(n.into_owned()));
            self.say(created, Said::DialBegin { by: Some(by), to: leg.clone(), dialled: number, presented: None });
        }
        if let Some(rang) = time("Channel-Progress").or_else(|| time("Channel-Progress-Media")) {
            self.say(Some(rang), Said::State { leg, state: LegState::Ringing });
        }
        self.answers(time("Channel-Answered").or(at), other);
    }

    /// Whoever is known only through this channel goes with it.
    fn ends_with(&mut self, at: Option<Wall>, id: &str, cause: Option<u16>) {
        let through = |(_, known): &(&String, &Known)| known.through.as_deref() == Some(id) && known.ended.is_none();
        let mut others: Vec<String> = self.legs.iter().filter(through).map(|(other, _)| other.clone()).collect();
        others.sort_unstable();
        for other in others {
            let leg = self.leg(&other);
            self.legs.remove(&other);
            self.say(at, Said::Hangup { leg, cause, text: None });
        }
    }

    /// Who listens in is in no pair: it runs `eavesdrop` with the other channel's id (eavesdrop).
    fn executes(&mut self, e: &Event<'_>) {
        if e.get("Application").as_deref() != Some("eavesdrop") {
            return;
        }
        let (Some(id), Some(watched)) = (e.get("Unique-ID"), e.get("Application-Data")) else { return };
        let (id, watched) = (id.into_owned(), watched.into_owned());
        if !self.legs.contains_key(&watched) {
            return;
        }
        let (leg, by) = (self.leg(&watched), self.leg(&id));
        if let Some(known) = self.legs.get_mut(&id).filter(|known| known.listens.is_none()) {
            known.listens = Some(watched);
            self.say(e.at(), Said::Listen { leg, by });
        }
    }

    fn destroyed(&mut self, e: &Event<'_>) {
        if let Some(id) = e.get("Unique-ID") {
            self.legs.remove(&*id);
        }
    }

    fn digit(&mut self, e: &Event<'_>) {
        let digit = e.get("DTMF-Digit").and_then(|d| d.chars().next());
        let id = e.get("Unique-ID").map(Cow::into_owned).filter(|id| self.legs.contains_key(id));
        if let (Some(digit), Some(id)) = (digit, id) {
            let place = Place {
                context: e.get("Caller-Context").map(Cow::into_owned),
                exten: e.get("Caller-Destination-Number").map(Cow::into_owned),
                priority: None,
            };
            let leg = self.leg(&id);
            self.say(e.at(), Said::Digit { leg, digit: Private::new(digit), place });
        }
    }

    fn custom(&mut self, e: &Event<'_>) {
        match e.get("Event-Subclass").as_deref() {
            Some("callcenter::info") => self.queue(e),
            Some("conference::maintenance") => self.conference(e),
            Some("valet_parking::info") => self.parking(e),
            Some(other) => self.raised(e, other),
            None => {}
        }
    }

    /// mod_callcenter. A member's stay in a queue; the legs to agents are told by their own channels.
    fn queue(&mut self, e: &Event<'_>) {
        // Repeated where nothing changed (agent-status).
        if e.get("CC-Action").as_deref() == Some("agent-status-change") {
            let (agent, status) = (e.get("CC-Agent"), e.get("CC-Agent-Status"));
            if let (Some(agent), Some(standing)) =
                (agent, status.and_then(|status| callcenter::standing(&status, e.at())))
            {
                self.say(e.at(), Said::Stands(callcenter::member(&agent, None, standing)));
            }
            return;
        }
        let (Some(action), Some(queue)) = (e.get("CC-Action"), e.get("CC-Queue")) else { return };
        let Some(id) = e.get("CC-Member-Session-UUID").map(Cow::into_owned) else { return };
        if !self.legs.contains_key(&id) {
            return;
        }
        let (at, leg, queue) = (e.at(), self.leg(&id), queue_name(&queue));
        match &*action {
            "member-queue-start" | "member-queue-resume" => self.say(at, Said::QueueJoin { leg, queue }),
            "bridge-agent-start" => {
                self.say(at, Said::QueueLeave { leg: leg.clone(), queue: queue.clone() });
                let agent = e.get("CC-Agent-UUID").map(Cow::into_owned).filter(|a| self.legs.contains_key(a));
                if let Some(agent) = agent {
                    let agent = self.leg(&agent);
                    self.say(at, Said::AgentConnect { leg, agent, queue });
                }
            }
            // `Terminated`: it was connected, and left then; after a transfer the call goes on (blind-transfer).
            "member-queue-end" if e.get("CC-Cause").as_deref() == Some("Cancel") => {
                if e.get("CC-Cancel-Reason").as_deref() == Some("BREAK_OUT") {
                    self.say(at, Said::QueueAbandon { leg: leg.clone(), queue: queue.clone() });
                }
                self.say(at, Said::QueueLeave { leg, queue });
            }
            _ => {}
        }
    }

    /// There is no `BRIDGE` in a conference: who is in it is told here alone (conference).
    fn conference(&mut self, e: &Event<'_>) {
        let room = e.get("Conference-Unique-ID").or_else(|| e.get("Conference-Name")).map(Cow::into_owned);
        let id = e.get("Unique-ID").map(Cow::into_owned).filter(|id| self.legs.contains_key(id));
        let (Some(room), Some(id)) = (room, id) else { return };
        let at = e.at();
        match e.get("Action").as_deref() {
            Some("add-member") => {
                self.leaves(at, &id);
                let leg = self.leg(&id);
                if let Some(known) = self.legs.get_mut(&id) {
                    known.bridge = Some(room.clone());
                }
                self.say(at, Said::BridgeEnter { leg, bridge: room, kind: BridgeKind::Conference });
            }
            Some("del-member") if self.legs.get(&id).is_some_and(|known| known.bridge.as_ref() == Some(&room)) => {
                self.leaves(at, &id);
            }
            _ => {}
        }
    }

    /// mod_valet_parking (valet-park-retrieve).
    fn parking(&mut self, e: &Event<'_>) {
        let Some(id) = e.get("Unique-ID").map(Cow::into_owned).filter(|id| self.legs.contains_key(id)) else { return };
        let lot = format!("valet/{}", e.get("Valet-Lot-Name").unwrap_or_default());
        let at = e.at();
        match e.get("Action").as_deref() {
            Some("hold") => {
                self.leaves(at, &id);
                let leg = self.leg(&id);
                if let Some(known) = self.legs.get_mut(&id) {
                    known.bridge = Some(lot.clone());
                }
                self.say(at, Said::BridgeEnter { leg, bridge: lot, kind: BridgeKind::Parking });
            }
            Some("bridge" | "exit") if self.legs.get(&id).is_some_and(|known| known.bridge.as_ref() == Some(&lot)) => {
                self.leaves(at, &id);
            }
            _ => {}
        }
    }
}

/// A header of the caller's INVITE: sofia keeps those that begin with X- or P-, and User-to-User, as they were written (`variable_sip_h_X-Account`).
fn header<'a>(e: &'a Event<'_>, name: &str) -> Option<Cow<'a, [u8]>> {
    e.variables().find_map(|(variable, value)| {
        variable.strip_prefix(b"sip_h_").filter(|header| header.eq_ignore_ascii_case(name.as_bytes())).map(|_| value)
    })
}

/// The gateway that a channel is of, and the user who was dialled or registered, where the switch says so.
fn owner<'a>(e: &'a Event<'_>, outgoing: bool) -> (Option<Cow<'a, str>>, Option<Cow<'a, str>>) {
    let gateway = e.get("variable_sip_gateway_name").or_else(|| e.get("variable_sip_gateway"));
    (gateway, e.get(if outgoing { "variable_dialed_user" } else { "variable_user_name" }))
}

fn other_leg(e: &Event<'_>) -> Option<String> {
    e.get("Other-Leg-Unique-ID").map(Cow::into_owned)
}

fn number_shown<'a>(e: &'a Event<'_>) -> Option<Cow<'a, str>> {
    e.get("Caller-Caller-ID-Number").filter(|n| !is_stand_in(n))
}

/// What the switch writes where there is no number.
pub(super) fn is_stand_in(text: &str) -> bool {
    text.is_empty()
        || text == "0000000000"
        || text.eq_ignore_ascii_case("anonymous")
        || text.eq_ignore_ascii_case("unknown")
}

/// `trunk` of `sofia/trunk`.
fn short(name: &str) -> &str {
    name.split_once('/').map_or(name, |(_, short)| short)
}

/// `support@default`, as its own dialplan writes it `support`.
pub(super) fn queue_name(queue: &str) -> String {
    queue.split('@').next().unwrap_or(queue).to_owned()
}

/// The cause by ITU-T Q.850: where the switch says it, else by its name (`switch_channel.c`, CAUSE_CHART).
fn q850(e: &Event<'_>) -> Option<u16> {
    let said = e.get("variable_hangup_cause_q850").and_then(|n| n.parse().ok());
    said.or_else(|| {
        Some(match &*e.get("Hangup-Cause")? {
            "UNALLOCATED_NUMBER" => 1,
            "NO_ROUTE_DESTINATION" => 3,
            "NORMAL_CLEARING" | "ORIGINATOR_CANCEL" | "LOSE_RACE" | "PICKED_OFF" => 16,
            "USER_BUSY" => 17,
            "NO_USER_RESPONSE" => 18,
            "NO_ANSWER" => 19,
            "SUBSCRIBER_ABSENT" => 20,
            "CALL_REJECTED" => 21,
            "NUMBER_CHANGED" => 22,
            "DESTINATION_OUT_OF_ORDER" => 27,
            "INVALID_NUMBER_FORMAT" => 28,
            "NORMAL_UNSPECIFIED" => 31,
            "NORMAL_CIRCUIT_CONGESTION" => 34,
            "NETWORK_OUT_OF_ORDER" => 38,
            "NORMAL_TEMPORARY_FAILURE" => 41,
            "RECOVERY_ON_TIMER_EXPIRE" => 102,
            _ => return None,
        })
    })
}

/// How a call to somebody failed, by the cause of its channel's end.
fn status_of(cause: &str) -> DialStatus {
    match cause {
        "USER_BUSY" | "CALL_REJECTED" => DialStatus::Busy,
        "NO_ANSWER" | "NO_USER_RESPONSE" | "ALLOTTED_TIMEOUT" | "PROGRESS_TIMEOUT" => DialStatus::NoAnswer,
        "ORIGINATOR_CANCEL" | "LOSE_RACE" | "PICKED_OFF" | "NORMAL_CLEARING" => DialStatus::Cancel,
        "SUBSCRIBER_ABSENT"
        | "USER_NOT_REGISTERED"
        | "UNALLOCATED_NUMBER"
        | "NO_ROUTE_DESTINATION"
        | "DESTINATION_OUT_OF_ORDER"
        | "INVALID_NUMBER_FORMAT" => DialStatus::Unavailable,
        _ => DialStatus::Congestion,
    }
}
