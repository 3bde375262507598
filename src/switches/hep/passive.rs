//! Calls, rebuilt from signalling that somebody mirrors to us.
//!
//! Two doors: [`Passive::take`] is handed packets, [`Passive::next_event`] is drained; [`Passive::deadline`] says when [`Passive::tick`] is due.
//!
//! **Order.** A mirror promises none. What makes a phone ring or a call begin is told at once; what ends, holds or transfers waits
//! 50 ms for what may have been before it, and so does an answer to a request that was not heard yet. After that a call is told
//! as far as it is known: an INVITE that was lost is made up for by its answers.
//!
//! **Bounds.** A stranger's INVITE costs a place among [`FRESH`] until somebody answers it; only an answered one becomes a call and counts against
//! [`CALLS`]. What a call may hold is bounded in `call.rs`.
//!
//! Left out: calls of a B2BUA are as many calls as it makes (joined, if at all, by keys that the admin declares); media; what an INFO says.

use core::net::IpAddr;
use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    mem,
};

use crate::{
    calls::event::{Event, Leg, Said},
    numbers::trunks::Source,
    switches::sip::wire,
    words::{Mono, Now, Wall},
};

use super::{
    call::{Answers, Call, Callee, Ending, Offer, Party, Who, is_number, name_of, trunk_name},
    heard::{Heard, Media, Method, Reason},
    order::{Clocks, Copies, Held},
    packet::Packet,
    refer::Chains,
    restart::{SILENCE_MS, lasts},
    settings::Rules,
    translate::{Out, Why, q850, verdict},
};

/// Calls known at one time: the book's own bound, counted in calls.
pub const CALLS: usize = 100_000;
/// INVITEs that nobody answered yet. 20,000 a second, each for a second.
pub const FRESH: usize = 20_000;
/// Calls at one time whose INVITE was not heard. A stranger may send answers that nobody asked for, and a mirror shows them: they shall not
/// fill the book. A lost packet in twenty loses one INVITE of 400 on both its hops.
const HEADLESS: usize = 500;
/// Registered phones whose contact is another name than the user's.
const PLACES: usize = 50_000;
/// Proxies whose both sides are mirrored.
const PROXIES: usize = 1_000;
/// Calls of one user that a lost REFER is looked for in.
const TALKS: usize = 8;
/// How soon a switch tries the next phone or trunk for the same user after one failed. It does so at once; the pop at the phone that failed
/// stays no longer than this.
const NEXT_MS: u64 = 150;

/// What became of what was mirrored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// SIP messages.
    pub messages: u64,
    /// Of those, what cannot be read.
    pub unreadable: u64,
    /// What is no call.
    pub other: u64,
    pub copies: u64,
    /// Held back because something was missing before it.
    pub held: u64,
    /// Calls whose INVITE was never heard.
    pub headless: u64,
    /// For want of room.
    pub refused: u64,
    /// Calls of which nothing more was heard.
    pub lost: u64,
}

/// The reader of one switch's mirrored signalling.
#[derive(Debug)]
pub struct Passive {
    rules: Rules,
    clocks: Clocks,
    copies: Copies,
    held: Held,
    pub(super) calls: HashMap<String, Call>,
    /// Not told yet, oldest first.
    fresh: VecDeque<String>,
    ages: BTreeSet<(Mono, String)>,
    /// Calls in which a callee's last phone failed.
    ending: VecDeque<(Mono, String)>,
    pub(super) now: Mono,
    /// Senders of INVITEs whose own INVITE, the one they send on, was heard: of these it comes, if it was not heard yet.
    proxies: HashSet<IpAddr>,
    /// Users of ours and the calls they talk in.
    pub(super) talks: HashMap<String, Vec<String>>,
    /// `user@host:port` of a registration to its user.
    places: HashMap<String, String>,
    pub(super) chains: Chains,
    pub(super) out: Out,
    /// Calls whose INVITE was not heard.
    headless: usize,
    counts: Counts,
}

impl Passive {
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            clocks: Clocks::default(),
            copies: Copies::default(),
            held: Held::default(),
            calls: HashMap::new(),
            fresh: VecDeque::new(),
            ages: BTreeSet::new(),
            ending: VecDeque::new(),
            now: Mono(0),
            proxies: HashSet::new(),
            talks: HashMap::new(),
            places: HashMap::new(),
            chains: Chains::default(),
            out: Out::default(),
            headless: 0,
            counts: Counts::default(),
        }
    }

    /// New rules; calls that run keep what was concluded of them.
    pub fn reload(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// One mirrored message. `arrival` is when it came, where that is known: agents' clocks are held against it.
    pub fn take(&mut self, now: Mono, packet: &Packet<'_>, arrival: Option<Wall>) {
        self.counts.messages += 1;
        self.now = self.now.max(now);
        let Ok(message) = wire::read(&packet.payload) else {
            self.counts.unreadable += 1;
            return;
        };
        let stamp = self.clocks.right(packet.agent.unwrap_or_default(), packet.micros, arrival);
        let (source, target) = (packet.source.map(|a| a.ip()), packet.target.map(|a| a.ip()));
        let heard = stamp.and_then(|micros| Heard::of(&message, micros, source, target, &self.rules));
        match heard {
            None => self.counts.other += 1,
            Some(heard) if self.copies.is_copy(now, &heard) => self.counts.copies += 1,
            Some(heard) => {
                self.release(now);
                if self.waits(&heard) {
                    self.counts.held += 1;
                    self.held.push(now, heard);
                } else {
                    self.apply(now, heard);
                }
            }
        }
        self.release(now);
    }

    /// The next conclusion; drain until `None`.
    pub fn next_event(&mut self) -> Option<Event> {
        self.out.0.pop_front()
    }

    #[must_use]
    pub fn deadline(&self) -> Option<Mono> {
        let ages = self.ages.first().map(|(due, _)| *due);
        let ending = self.ending.front().map(|(due, _)| *due);
        [self.held.deadline(), ages, ending, self.chains.deadline()].into_iter().flatten().min()
    }

    pub fn tick(&mut self, now: Now) {
        self.now = self.now.max(now.mono);
        self.release(now.mono);
        self.end_callees(now.mono);
        self.stop_waiting(now.mono);
        self.expire(now);
    }

    /// Nothing more comes: what was held back is taken as it stands.
    pub fn finish(&mut self) {
        while let Some(heard) = self.held.next(Mono(u64::MAX)) {
            self.apply(self.now, heard);
        }
        self.end_callees(Mono(u64::MAX));
    }

    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How often an agent's clock was found to be off.
    #[must_use]
    pub fn skews(&self) -> u64 {
        self.clocks.jumps
    }

    fn release(&mut self, now: Mono) {
        while let Some(heard) = self.held.next(now) {
            self.apply(now, heard);
        }
    }

    /// What may have something before it that was not heard yet.
    fn waits(&self, heard: &Heard) -> bool {
        let call = self.calls.get(&heard.call_id);
        match (heard.method, heard.status) {
            (Method::Register, _) => false,
            (Method::Refer, None) => call.is_none(),
            (Method::Invite, None) if heard.to.tag.is_none() => {
                let more = heard.more.as_ref();
                let comes_of = more.is_some_and(|m| m.replaces.is_some() || m.referred_by.is_some());
                let proxy = heard.path.len() > 1 && heard.source.is_some_and(|ip| self.proxies.contains(&ip));
                call.is_none() && (proxy || comes_of && self.referrer(heard).is_none())
            }
            (Method::Invite, Some(100..=299)) => call.is_none_or(|call| call.hop(heard.top()).is_none()),
            _ => true,
        }
    }

    fn apply(&mut self, now: Mono, heard: Heard) {
        if heard.method == Method::Register {
            return self.registered(&heard);
        }
        let begins = heard.method == Method::Invite && heard.status.is_none() && heard.to.tag.is_none();
        let known = self.calls.remove(&heard.call_id);
        let new = known.is_none();
        let Some(mut call) = known.or_else(|| self.new_call(&heard, begins)) else { return };
        let told = call.told;
        call.meet(&heard, |user| self.inside(user));
        if matches!((heard.method, heard.status), (Method::Invite | Method::Update, Some(200..=299))) {
            call.session_ms = heard.session_s.map(|s| u64::from(s) * 1000);
        }
        match (heard.method, heard.status) {
            (Method::Invite, None) if begins => self.invited(&mut call, heard, new),
            (Method::Invite | Method::Update, None) => offered(&mut call, heard),
            (Method::Invite, Some(status)) if !call.is_inside(&heard) => self.answered(now, &mut call, &heard, status),
            (Method::Invite | Method::Update, Some(200..=299)) => self.accepted(&mut call, &heard),
            (Method::Ack, None) => self.acknowledged(&mut call, &heard),
            (Method::Cancel, None) => self.cancelled(now, &mut call, &heard),
            (Method::Bye, None | Some(200..=299)) => self.bye(now, &mut call, &heard),
            (Method::Refer, None) => self.refer(now, &mut call, &heard),
            (Method::Refer, Some(status)) => self.refer_answered(&mut call, &heard, status),
            (Method::Notify, None) => self.reported(&mut call, &heard),
            _ => {}
        }
        if new && !call.told && !begins {
            return;
        }
        call.heard = now;
        self.keep(now, call, new, told);
    }

    /// Puts a call back, with the moment to look after it.
    fn keep(&mut self, now: Mono, mut call: Call, new: bool, told: bool) {
        // It is over, or told of a session timer.
        let sooner = now.plus_ms(lasts(&call, self.silence_ms())) < call.due;
        if new || call.told != told || sooner {
            self.ages.remove(&(call.due, call.id.clone()));
            call.due = now.plus_ms(lasts(&call, self.silence_ms()));
            self.ages.insert((call.due, call.id.clone()));
        }
        self.headless += usize::from(new && call.told && !call.seen);
        if new && !call.told {
            self.fresh.push_back(call.id.clone());
            while self.fresh.len() > FRESH {
                let Some(id) = self.fresh.pop_front() else { break };
                if let Some(oldest) = self.calls.remove(&id) {
                    if oldest.told {
                        self.calls.insert(id, oldest);
                    } else {
                        self.counts.refused += 1;
                        self.ages.remove(&(oldest.due, id));
                    }
                }
            }
        }
        self.calls.insert(call.id.clone(), call);
    }

    /// One that is known from before.
    pub(super) fn take_up(&mut self, call: Call) {
        self.ages.insert((call.due, call.id.clone()));
        if call.answered.is_some() {
            self.talk(&call);
        }
        self.calls.insert(call.id.clone(), call);
    }

    pub(super) fn inside(&self, user: &str) -> bool {
        self.rules.inside.has(user)
    }

    pub(super) fn silence_ms(&self) -> u64 {
        self.rules.silence_ms.unwrap_or(SILENCE_MS)
    }

    fn new_call(&mut self, heard: &Heard, begins: bool) -> Option<Call> {
        let headless =
            matches!((heard.method, heard.status), (Method::Invite, Some(101..=299)) | (Method::Bye, Some(200..=299)));
        if !begins && !headless {
            return None;
        }
        if self.calls.len() >= CALLS || headless && self.headless >= HEADLESS {
            self.counts.refused += 1;
            return None;
        }
        let source = heard.source.filter(|_| heard.status.is_none());
        let outside = source.is_some_and(|ip| self.rules.trunk_at(ip).is_some());
        let own = heard.from.user.as_ref().filter(|user| self.rules.inside.has(user));
        let placed =
            || heard.contact.as_ref().filter(|_| heard.status.is_none()).and_then(|(_, at)| self.places.get(at));
        // At an edge that names its trunks, whoever else calls does so from inside: the PBX, with a number of ours.
        let inner = || heard.from.user.as_ref().filter(|_| self.rules.closed && source.is_some());
        let user = if outside { None } else { own.or_else(placed).or_else(inner) };
        let leg = Leg {
            id: format!("{}/caller", heard.call_id),
            name: name_of(user.map(String::as_str), trunk_name(&self.rules, source)),
            linked: None,
            sip_call_id: Some(heard.call_id.clone()),
        };
        let group = self.chains.new_group();
        let (inside, user) = (user.is_some(), user.or(heard.from.user.as_ref()).cloned());
        Some(Call::new(heard, Party { leg, user, inside, group, held: false, over: false }))
    }

    /// A phone says where it is: that name may be all that an INVITE to it has.
    fn registered(&mut self, heard: &Heard) {
        let (Some((contact, place)), Some(user)) = (&heard.contact, &heard.to.user) else { return };
        if heard.status.is_some() || contact == user || !self.rules.inside.has(user) {
            return;
        }
        // Phones register again within the hour, so an emptied table fills by itself.
        if self.places.len() >= PLACES {
            self.places.clear();
        }
        self.places.insert(place.clone(), user.clone());
    }

    /// An INVITE outside a dialog, on one of its hops.
    fn invited(&mut self, call: &mut Call, heard: Heard, new: bool) {
        if call.over || call.tag != heard.from.tag {
            return;
        }
        if new && let Some(of) = self.referrer(&heard).or_else(|| self.lost_refer(&heard)) {
            self.came_of(call, of);
        }
        let parent = heard.path.get(1).map(|branch| call.hop(branch).is_some());
        if parent == Some(true)
            && self.proxies.len() < PROXIES
            && let Some(proxy) = heard.source
        {
            self.proxies.insert(proxy);
        }
        self.headless -= usize::from(call.told && !call.seen).min(self.headless);
        call.seen = true;
        let nearest = heard.path.len() <= call.depth;
        let at = heard.at();
        let Some(hop) = call.hop_of(&heard) else { return };
        if let Some(hop) = call.hops.get_mut(hop) {
            hop.user = hop.user.take().or_else(|| heard.user.clone());
        }
        let callee = self.called(call, hop, &heard);
        if let Some(hop) = call.hops.get_mut(hop) {
            hop.callee = hop.callee.or(callee);
        }
        call.cseq = call.cseq.max(heard.cseq);
        if nearest && !call.told {
            call.began = call.began.min(at);
            call.first = heard.more;
            // What the proxy before us was called with is not what it calls.
            if parent == Some(false)
                && let Some(first) = &mut call.first
            {
                first.dialled.retain(|(place, _)| *place != Source::RequestUri);
            }
        }
        // Sent on, so somebody takes it for a call.
        if heard.path.len() > call.depth {
            self.tell(call);
        }
        if call.told {
            self.tell_callees(call);
        }
    }

    /// Who is called on a hop, where that can be told from the INVITE or from an answer to it.
    fn called(&mut self, call: &mut Call, hop: usize, heard: &Heard) -> Option<usize> {
        let at = heard.at();
        let (depth, target) = (call.hops.get(hop)?.depth, call.hops.get(hop)?.user.clone());
        let answer = heard.status.is_some();
        let to_trunk = heard.target.filter(|_| !answer).is_some_and(|ip| self.rules.trunk_at(ip).is_some());
        let placed = if answer { heard.contact.as_ref().map(|(_, at)| at) } else { heard.place.as_ref() };
        let placed = placed.and_then(|at| self.places.get(at));
        let contact = heard.contact.as_ref().filter(|_| answer).map(|(user, _)| user);
        let own = |user: &&String| self.rules.inside.has(user);
        let named = target.as_ref().filter(own).or(placed).or(contact.filter(own));
        // A registration's random text: who was meant stands in To.
        let meant = || {
            let text = target.as_ref().is_none_or(|user| !is_number(user));
            call.to.as_ref().filter(own).filter(|_| text && (depth > 1 || answer))
        };
        let inside = if to_trunk { None } else { named.or_else(meant).cloned() };
        let (user, number) = match inside {
            Some(user) => (user.clone(), Some(user)),
            None => {
                // The first hop of a call out ends at the switch, which may yet refuse it.
                let sent = depth > 1 || to_trunk || (answer && !call.goes_on(hop));
                let first = call.hops.iter().find(|h| h.depth == call.depth).and_then(|h| h.user.clone());
                if call.caller.inside {
                    let user = call.to.clone().or_else(|| target.clone())?;
                    // Or the caller tries the same once more.
                    if !sent {
                        return call.callees.iter().position(|c| c.party.user.as_ref() == Some(&user));
                    }
                    (user.clone(), Some(user))
                } else if !call.caller.inside && (to_trunk || answer) && depth > call.depth && !call.goes_on(hop) {
                    // Sent on to somebody outside.
                    let user = target.clone().filter(|user| Some(user) != first.as_ref())?;
                    (user.clone(), Some(user))
                } else {
                    return None;
                }
            }
        };
        let trunk = trunk_name(&self.rules, if answer { heard.source } else { heard.target });
        let inside = self.rules.inside.has(&user) && !to_trunk;
        let leg = Leg {
            id: format!("{}/{user}", call.id),
            name: name_of(inside.then_some(user.as_str()), trunk),
            linked: None,
            sip_call_id: Some(call.id.clone()),
        };
        let chains = &mut self.chains;
        call.callee(&user.clone(), || Callee {
            party: Party { leg, user: Some(user), inside, group: chains.new_group(), held: false, over: false },
            began: at,
            number,
            tags: Vec::new(),
            told: false,
            rang: false,
            up: false,
        })
    }

    /// Whose answer this is, with who is called made known by it where the INVITE was lost.
    fn answerer(&mut self, call: &mut Call, hop: usize, heard: &Heard) -> Option<usize> {
        let tag = heard.to.tag.as_deref();
        let mut whose = call.whose(hop, tag);
        if whose.is_none() && !call.goes_on(hop) {
            whose = self.called(call, hop, heard);
            if let Some(hop) = call.hops.get_mut(hop) {
                hop.callee = hop.callee.or(whose);
            }
        }
        if let Some(callee) = whose {
            call.tagged(callee, tag);
            self.tell_callees(call);
        }
        whose
    }

    /// An answer to the INVITE that began the call.
    fn answered(&mut self, now: Mono, call: &mut Call, heard: &Heard, status: u16) {
        if call.over {
            return;
        }
        let Some(hop) = call.hop_of(heard) else { return };
        let at = heard.at();
        // A challenge: nothing has begun, or it goes on with another CSeq.
        if matches!(status, 401 | 407) {
            if let Some(hop) = call.hops.get_mut(hop) {
                hop.failed = true;
            }
            return;
        }
        if !call.told
            && !call.seen
            && let Some(of) = self.referrer(heard)
        {
            self.came_of(call, of);
        }
        self.tell(call);
        match status {
            100 => {}
            101..=199 => {
                if let Some(callee) = self.answerer(call, hop, heard) {
                    self.rings(call, callee, at, status);
                }
            }
            200..=299 => {
                match self.answerer(call, hop, heard) {
                    Some(callee) => self.picks_up(call, callee, at),
                    // The switch itself: a voice that asks for keys, a queue.
                    None if !call.goes_on(hop) => {}
                    None => return,
                }
                self.caller_up(call, at);
            }
            _ => self.failed(now, call, heard, hop, status),
        }
    }

    fn rings(&mut self, call: &mut Call, callee: usize, at: Wall, status: u16) {
        // 181 and 182 say that it does not ring.
        if !matches!(status, 180 | 183) {
            return;
        }
        if let Some(callee) = call.callees.get_mut(callee)
            && !callee.party.over
            && !mem::replace(&mut callee.rang, true)
        {
            self.out.rings(at, &callee.party.leg);
        }
    }

    fn picks_up(&mut self, call: &mut Call, index: usize, at: Wall) {
        let Some(callee) = call.callees.get_mut(index).filter(|c| !c.party.over) else { return };
        if mem::replace(&mut callee.up, true) {
            return;
        }
        let leg = callee.party.leg.clone();
        if call.answered.is_some() {
            // Two phones answered; the caller ends one of the dialogs.
            return self.out.answers(at, &call.caller.leg, &leg);
        }
        call.answered = Some(index);
        self.talk(call);
        self.transfer_answered(call, at);
        self.out.answers(at, &call.caller.leg, &leg);
        self.caller_up(call, at);
        self.out.enters(at, &leg, &call.id);
        self.out.enters(at, &call.caller.leg, &call.id);
    }

    /// Remembers who talks in which call.
    fn talk(&mut self, call: &Call) {
        let parties = call.callees.iter().map(|c| &c.party).chain([&call.caller]).filter(|p| p.inside && !p.over);
        for user in parties.filter_map(|p| p.user.as_ref()) {
            let talks = self.talks.entry(user.clone()).or_default();
            talks.retain(|id| self.calls.contains_key(id));
            if talks.len() >= TALKS {
                talks.remove(0);
            }
            talks.push(call.id.clone());
        }
    }

    fn caller_up(&mut self, call: &mut Call, at: Wall) {
        if !mem::replace(&mut call.caller_up, true) {
            self.out.up(at, &call.caller.leg);
        }
    }

    /// A final answer that is none.
    fn failed(&mut self, now: Mono, call: &mut Call, heard: &Heard, hop: usize, status: u16) {
        let at = heard.at();
        let callee = self.answerer(call, hop, heard);
        let leaf = !call.goes_on(hop);
        let Some(known) = call.hops.get_mut(hop) else { return };
        known.failed = true;
        let (cancelled, nearest) = (known.cancelled, known.depth <= call.depth);
        // A 487 answers a CANCEL. If that was not heard, the answer to the caller says whose it was.
        let why = match status {
            487 if nearest => Some(Why::Caller),
            487 => cancelled.then(|| self.given_up(call)),
            _ => Some(Why::Status(status)),
        };
        let Some(why) = why else { return };
        if let Some(callee) = callee.filter(|_| leaf)
            && call.exhausted(callee)
        {
            self.ends(now, call, Ending { callee, at, why, reason: heard.reason });
        }
        // A redirection and a demand for another form of the same call are followed by an INVITE with the same Call-ID.
        if nearest && heard.cseq >= call.cseq && !matches!(status, 300..=399 | 422 | 494) && call.answered.is_none() {
            self.unanswered(now, call, at, why, heard.reason);
        }
    }

    fn given_up(&self, call: &Call) -> Why {
        if call.answered.is_some() { Why::Elsewhere } else { Why::Switch }
    }

    /// A callee's last phone failed. It is over when no other is tried for it.
    fn ends(&mut self, now: Mono, call: &mut Call, ending: Ending) {
        if call.answered.is_some() {
            return self.drop_callee(call, ending.callee, ending.at, ending.why, ending.reason);
        }
        call.ends(ending);
        self.ending.push_back((now.plus_ms(NEXT_MS), call.id.clone()));
    }

    fn end_callees(&mut self, now: Mono) {
        while self.ending.front().is_some_and(|(due, _)| *due <= now) {
            let Some((_, id)) = self.ending.pop_front() else { return };
            let Some(mut call) = self.calls.remove(&id) else { continue };
            self.end_of(&mut call, false);
            self.calls.insert(id, call);
        }
    }

    /// Callees that have ended; `all`: whether or not another phone is tried for them.
    fn end_of(&mut self, call: &mut Call, all: bool) {
        for ending in mem::take(&mut call.endings) {
            if all || call.exhausted(ending.callee) {
                self.drop_callee(call, ending.callee, ending.at, ending.why, ending.reason);
            }
        }
    }

    /// A callee is not called any more.
    fn drop_callee(&mut self, call: &mut Call, index: usize, at: Wall, why: Why, reason: Reason) {
        let by = call.caller.leg.clone();
        let Some(callee) = call.callees.get_mut(index).filter(|c| !c.party.over && !c.up) else { return };
        callee.party.over = true;
        let leg = callee.party.leg.clone();
        let verdict = verdict(why, callee.rang, reason);
        self.out.fails(at, &by, &leg, verdict);
    }

    /// The call ends unanswered.
    fn unanswered(&mut self, now: Mono, call: &mut Call, at: Wall, why: Why, reason: Reason) {
        self.end_of(call, true);
        for index in 0..call.callees.len() {
            self.drop_callee(call, index, at, why, reason);
        }
        let asked = why == Why::Caller;
        let cause = match why {
            Why::Status(status) => reason.q850.or(q850(status)),
            _ => reason.q850,
        };
        self.party_over(now, call, Who::Caller, at, asked, cause);
        call.over = true;
    }

    /// The caller gives up, or the switch gives up on one phone.
    fn cancelled(&mut self, now: Mono, call: &mut Call, heard: &Heard) {
        let at = heard.at();
        if call.over || call.tag != heard.from.tag {
            return;
        }
        // It goes from hop to hop and has one Via on each (RFC 3261, 9.1). If the hop is not known, the answers to the INVITE tell.
        let Some(hop) = call.hop(heard.top()).and_then(|hop| call.hops.get_mut(hop)) else { return };
        if hop.depth <= call.depth {
            if call.answered.is_none() {
                self.tell(call);
                self.unanswered(now, call, at, Why::Caller, heard.reason);
            }
            return;
        }
        hop.cancelled = true;
        let Some(callee) = hop.callee.filter(|callee| call.exhausted(*callee)) else { return };
        let why = if heard.reason.sip == Some(200) { Why::Elsewhere } else { self.given_up(call) };
        self.ends(now, call, Ending { callee, at, why, reason: heard.reason });
    }

    /// An ACK of its own transaction answers a 2xx, so there was one.
    fn acknowledged(&mut self, call: &mut Call, heard: &Heard) {
        if call.over || !call.told {
            return;
        }
        if call.is_inside(heard) {
            if let Answers::Offer(offer) = call.answered_offer(heard)
                && offer.branch != heard.top()
            {
                self.hold(call, offer.tag.as_deref(), offer.at, offer.media);
            }
            return;
        }
        if call.answered.is_some() || call.hop(heard.top()).is_some() || heard.to.tag.is_none() {
            return;
        }
        let by_user = || call.callees.iter().position(|c| c.party.user == heard.user);
        let callee = match call.by_tag(heard.to.tag.as_deref()) {
            Some(Who::Callee(index)) => Some(index),
            _ => by_user().or((call.callees.len() == 1).then_some(0)),
        };
        if let Some(callee) = callee {
            call.tagged(callee, heard.to.tag.as_deref());
            self.picks_up(call, callee, heard.at());
        }
    }

    /// A new way of the sound was agreed on.
    fn accepted(&mut self, call: &mut Call, heard: &Heard) {
        if call.over || call.answered.is_none() {
            return;
        }
        match call.answered_offer(heard) {
            Answers::Offer(offer) => self.hold(call, offer.tag.as_deref(), offer.at, offer.media),
            Answers::Again => {}
            // The offer was lost: who answers that he only listens was put on hold. One who answers so to everything (a fixed answer of a
            // script) is why the offer counts where it was heard.
            Answers::Unknown => {
                let media = match heard.media {
                    Some(Media::Listens | Media::Holds) => Media::Holds,
                    Some(Media::Open) => Media::Open,
                    None => return,
                };
                self.hold(call, heard.from.tag.as_deref(), heard.at(), media);
            }
        }
    }

    fn hold(&mut self, call: &mut Call, tag: Option<&str>, at: Wall, media: Media) {
        let Some(party) = call.by_tag(tag).and_then(|who| call.party_mut(who)) else { return };
        let holds = media == Media::Holds;
        if !party.over && mem::replace(&mut party.held, holds) != holds {
            self.out.holds(at, &party.leg, holds);
        }
    }

    /// A dialog ends.
    fn bye(&mut self, now: Mono, call: &mut Call, heard: &Heard) {
        if call.over {
            return;
        }
        if call.hops.is_empty() && !call.told {
            return self.only_the_end(call, heard);
        }
        let at = heard.at();
        let by = if call.tag == heard.from.tag { Who::Caller } else { self.sender(call, heard) };
        let other_tag = if by == Who::Caller { heard.to.tag.as_deref() } else { heard.from.tag.as_deref() };
        self.tell(call);
        // One of two phones that answered.
        if let Some(Who::Callee(index)) = call.by_tag(other_tag)
            && call.answered.is_some_and(|answered| answered != index)
        {
            self.party_over(now, call, Who::Callee(index), at, by != Who::Caller, Some(16));
            return;
        }
        // Its answer was lost.
        if call.answered.is_none() {
            let callee = match call.by_tag(other_tag) {
                Some(Who::Callee(index)) => Some(index),
                _ => (call.callees.len() == 1).then_some(0),
            };
            if let Some(callee) = callee {
                if let Some(callee) = call.callees.get(callee) {
                    self.out.say(at, Said::Unseen { leg: callee.party.leg.clone(), answer: true });
                }
                self.picks_up(call, callee, at);
            }
        }
        let cause = heard.reason.q850.or(Some(16));
        let answered = call.answered.map(Who::Callee);
        for who in [Some(by), Some(Who::Caller), answered].into_iter().flatten() {
            self.party_over(now, call, who, at, who == by, cause);
        }
        self.end_of(call, true);
        for index in 0..call.callees.len() {
            self.drop_callee(call, index, at, Why::Elsewhere, Reason::default());
        }
        call.over = true;
    }

    fn sender(&self, call: &Call, heard: &Heard) -> Who {
        call.by_tag(heard.from.tag.as_deref()).filter(|who| *who != Who::Caller).unwrap_or(Who::Callee(0))
    }

    /// Of a call that began before we listened only its end is heard: that there was one, who ended it, and nothing else.
    fn only_the_end(&mut self, call: &mut Call, heard: &Heard) {
        let at = heard.at();
        let leg = |user: Option<&String>| {
            let own = user.filter(|user| self.rules.inside.has(user));
            let (id, name) = match own {
                Some(user) => (format!("{}/{user}", call.id), name_of(Some(user), "")),
                None => (format!("{}/caller", call.id), name_of(None, "trunk")),
            };
            (own.is_some(), Leg { id, name, linked: None, sip_call_id: Some(call.id.clone()) })
        };
        let ((a_own, a), (b_own, b)) = (leg(heard.from.user.as_ref()), leg(heard.to.user.as_ref()));
        if !a_own && !b_own {
            return;
        }
        self.counts.headless += 1;
        (call.told, call.over) = (true, true);
        self.out.enters(at, &a, &call.id);
        self.out.enters(at, &b, &call.id);
        self.out.asks_end(at, &a);
        self.out.hangs_up(at, &a, Some(16));
        self.out.hangs_up(at, &b, Some(16));
    }

    /// A call is told when somebody takes its INVITE for one.
    fn tell(&mut self, call: &mut Call) {
        if mem::replace(&mut call.told, true) {
            return;
        }
        if call.of.is_some() {
            self.out.headers(call);
        } else {
            self.out.caller(call);
        }
        if !call.seen {
            self.counts.headless += 1;
            self.out.say(call.began, Said::Unseen { leg: call.caller.leg.clone(), answer: false });
        }
        self.tell_callees(call);
    }

    fn tell_callees(&mut self, call: &mut Call) {
        for index in 0..call.callees.len() {
            let Some(callee) = call.callees.get(index).filter(|c| !c.told) else { continue };
            self.out.callee(call, callee);
            if let Some(callee) = call.callees.get_mut(index) {
                callee.told = true;
            }
        }
    }

    /// What was not heard of for too long.
    fn expire(&mut self, now: Now) {
        while self.ages.first().is_some_and(|(due, _)| *due <= now.mono) {
            let Some((_, id)) = self.ages.pop_first() else { return };
            let Some(mut call) = self.calls.remove(&id) else { continue };
            let due = call.heard.plus_ms(lasts(&call, self.silence_ms()));
            if due > now.mono {
                call.due = due;
                self.ages.insert((due, id.clone()));
                self.calls.insert(id, call);
                continue;
            }
            self.headless -= usize::from(call.told && !call.seen).min(self.headless);
            for user in call.callees.iter().map(|c| &c.party).chain([&call.caller]).filter_map(|p| p.user.as_ref()) {
                if let Some(talks) = self.talks.get_mut(user) {
                    talks.retain(|id| *id != call.id);
                    if talks.is_empty() {
                        self.talks.remove(user);
                    }
                }
            }
            if call.told && !call.over {
                self.counts.lost += 1;
                for leg in call.callees.iter().map(|c| &c.party).chain([&call.caller]).filter(|p| !p.over) {
                    self.out.0.push_back(Event { at: None, said: Said::Gone { leg: leg.leg.clone() } });
                }
            }
        }
    }
}

/// A re-INVITE or UPDATE with a way of the sound.
fn offered(call: &mut Call, heard: Heard) {
    if let Some(media) = heard.media
        && !call.over
    {
        let (at, branch) = (heard.at(), heard.top().to_owned());
        call.offer(Offer { cseq: heard.cseq, tag: heard.from.tag, at, media, branch, answered: false });
    }
}

#[cfg(test)]
mod tests;
