//! One Call-ID as it is seen on its way: hops, branches, who was called, who answered.
//!
//! An INVITE through a proxy is seen once for each hop, with one more Via each time; the last hop's target is a phone or a trunk. An answer repeats the
//! Vias of its request, so a lost INVITE is still a hop. Phones that are called for one user are one party, however many there are.

use crate::{
    calls::event::Leg,
    words::{Mono, Wall},
};

use super::{
    heard::{Heard, Media, More, Reason, ReferTo},
    settings::Rules,
    translate::Why,
};

/// Hops, callees, offers and referrals of one call that are kept. A call that goes on behind them is told without them.
const HOPS: usize = 128;
const CALLEES: usize = 64;
const OFFERS: usize = 16;
const TAGS: usize = 32;

/// Somebody in a call: the caller, or all phones that were called for one user.
#[derive(Clone, Debug)]
pub struct Party {
    pub leg: Leg,
    pub user: Option<String>,
    /// One of our own people.
    pub inside: bool,
    /// The same person's parties in calls that follow one another by transfer have one number.
    pub group: u32,
    pub held: bool,
    pub over: bool,
}

#[derive(Clone, Debug)]
pub struct Callee {
    pub party: Party,
    pub began: Wall,
    /// What is dialled to reach it.
    pub number: Option<String>,
    pub tags: Vec<String>,
    pub told: bool,
    pub rang: bool,
    pub up: bool,
}

/// One INVITE on one hop.
#[derive(Clone, Debug)]
pub struct Hop {
    pub branch: String,
    pub parent: Option<String>,
    pub depth: usize,
    pub user: Option<String>,
    pub callee: Option<usize>,
    /// It had a final answer that was none.
    pub failed: bool,
    pub cancelled: bool,
}

/// A re-INVITE or UPDATE that waits for its answer.
#[derive(Clone, Debug)]
pub struct Offer {
    pub cseq: u32,
    pub tag: Option<String>,
    pub at: Wall,
    pub media: Media,
    pub branch: String,
    pub answered: bool,
}

/// What an answer to a re-INVITE or UPDATE answers.
#[derive(Clone, Debug)]
pub enum Answers {
    Offer(Offer),
    /// One that was answered already: an answer passes every hop, and a phone may write the same into each of them.
    Again,
    /// One that was not heard.
    Unknown,
}

/// How a callee would end.
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    pub callee: usize,
    pub at: Wall,
    pub why: Why,
    pub reason: Reason,
}

/// Who of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Caller,
    Callee(usize),
}

/// A REFER inside a call.
#[derive(Clone, Debug)]
pub struct Refer {
    pub cseq: u32,
    pub by: Who,
    pub to: ReferTo,
    pub at: Wall,
    pub accepted: Option<Wall>,
    /// It came to something, or to nothing.
    pub done: bool,
}

#[derive(Clone, Debug)]
pub struct Call {
    pub id: String,
    /// The caller's tag.
    pub tag: Option<String>,
    pub began: Wall,
    pub caller: Party,
    pub to: Option<String>,
    pub first: Option<Box<More>>,
    /// The fewest Vias of an INVITE: the hop nearest to the caller.
    pub depth: usize,
    pub cseq: u32,
    pub hops: Vec<Hop>,
    pub callees: Vec<Callee>,
    pub offers: Vec<Offer>,
    pub refers: Vec<Refer>,
    /// Callees of whom the last phone failed, until it is known that no other is tried for them.
    pub endings: Vec<Ending>,
    /// The call and REFER that this one came of.
    pub of: Option<(String, u32)>,
    pub told: bool,
    pub caller_up: bool,
    pub answered: Option<usize>,
    pub over: bool,
    /// Its INVITE was heard.
    pub seen: bool,
    /// From before a restart: its tags are not known yet.
    pub restored: bool,
    /// What the caller dialled, of a restored call: the user that From or To has for who is called.
    pub meets: Vec<String>,
    /// How long it lasts without a refresh (RFC 4028), as its last answer has it.
    pub session_ms: Option<u64>,
    pub heard: Mono,
    pub due: Mono,
}

impl Call {
    pub fn new(heard: &Heard, caller: Party) -> Self {
        let (tag, to) = (heard.from.tag.clone(), heard.to.user.clone());
        Self { tag, to, cseq: heard.cseq, ..Self::of(&heard.call_id, caller, heard.at()) }
    }

    /// One of which nothing was heard yet.
    pub fn of(id: &str, caller: Party, began: Wall) -> Self {
        Self {
            id: id.to_owned(),
            tag: None,
            began,
            caller,
            to: None,
            first: None,
            depth: usize::MAX,
            cseq: 0,
            hops: Vec::new(),
            callees: Vec::new(),
            offers: Vec::new(),
            refers: Vec::new(),
            endings: Vec::new(),
            of: None,
            told: false,
            caller_up: false,
            answered: None,
            over: false,
            seen: false,
            restored: false,
            meets: Vec::new(),
            session_ms: None,
            heard: Mono(0),
            due: Mono(0),
        }
    }

    pub fn party(&self, who: Who) -> Option<&Party> {
        match who {
            Who::Caller => Some(&self.caller),
            Who::Callee(index) => self.callees.get(index).map(|c| &c.party),
        }
    }

    pub fn party_mut(&mut self, who: Who) -> Option<&mut Party> {
        match who {
            Who::Caller => Some(&mut self.caller),
            Who::Callee(index) => self.callees.get_mut(index).map(|c| &mut c.party),
        }
    }

    /// Who has this tag; a dialog's tag that nobody showed is the answered one's.
    pub fn by_tag(&self, tag: Option<&str>) -> Option<Who> {
        let tag = tag?;
        if self.tag.as_deref() == Some(tag) {
            return Some(Who::Caller);
        }
        self.callees.iter().position(|c| c.tags.iter().any(|t| t == tag)).or(self.answered).map(Who::Callee)
    }

    /// The other side of somebody's dialog.
    pub fn other(&self, who: Who) -> Option<Who> {
        match who {
            Who::Caller => self.answered.map(Who::Callee),
            Who::Callee(_) => Some(Who::Caller),
        }
    }

    pub fn hop(&self, branch: &str) -> Option<usize> {
        self.hops.iter().position(|hop| hop.branch == branch)
    }

    /// The hop of a message's top Via, new if it was not known; the first answer to a lost INVITE makes one too.
    pub fn hop_of(&mut self, heard: &Heard) -> Option<usize> {
        if let Some(known) = self.hop(heard.top()) {
            return Some(known);
        }
        if self.hops.len() >= HOPS || heard.path.is_empty() {
            return None;
        }
        self.hops.push(Hop {
            branch: heard.top().to_owned(),
            parent: heard.path.get(1).cloned(),
            depth: heard.path.len(),
            user: heard.user.clone(),
            callee: None,
            failed: false,
            cancelled: false,
        });
        self.depth = self.depth.min(heard.path.len());
        Some(self.hops.len() - 1)
    }

    /// Whether the request was sent on from where this hop ends.
    pub fn goes_on(&self, hop: usize) -> bool {
        let Some(hop) = self.hops.get(hop) else { return false };
        self.hops.iter().any(|other| other.parent.as_deref() == Some(&hop.branch))
    }

    /// The callee for a user, new if there is none.
    pub fn callee(&mut self, user: &str, make: impl FnOnce() -> Callee) -> Option<usize> {
        let known = self.callees.iter().position(|c| c.party.user.as_deref() == Some(user));
        if known.is_some() || self.callees.len() >= CALLEES {
            return known;
        }
        self.callees.push(make());
        Some(self.callees.len() - 1)
    }

    /// Whose answer this is: of who has its tag, of who is called on its hop, or of the only one there is.
    pub fn whose(&self, hop: usize, tag: Option<&str>) -> Option<usize> {
        let tagged = tag.and_then(|tag| self.callees.iter().position(|c| c.tags.iter().any(|t| t == tag)));
        if tagged.is_some() {
            return tagged;
        }
        let own = self.hops.get(hop)?.callee;
        if own.is_some() && !self.goes_on(hop) {
            return own;
        }
        let mut live = (0..self.callees.len()).filter(|i| self.callees.get(*i).is_some_and(|c| !c.party.over));
        match (live.next(), live.next()) {
            (Some(only), None) => Some(only),
            _ => own,
        }
    }

    /// Remembers that a callee answers with this tag.
    pub fn tagged(&mut self, callee: usize, tag: Option<&str>) {
        if let (Some(callee), Some(tag)) = (self.callees.get_mut(callee), tag)
            && callee.tags.len() < TAGS
            && callee.tags.iter().all(|known| known != tag)
        {
            callee.tags.push(tag.to_owned());
        }
    }

    /// Whether no phone of this callee is called any more.
    pub fn exhausted(&self, callee: usize) -> bool {
        (0..self.hops.len())
            .filter(|hop| self.hops.get(*hop).is_some_and(|h| h.callee == Some(callee)) && !self.goes_on(*hop))
            .all(|hop| self.hops.get(hop).is_some_and(|h| h.failed || h.cancelled))
    }

    /// A callee's last phone failed; the first word counts.
    pub fn ends(&mut self, ending: Ending) {
        if self.endings.iter().all(|e| e.callee != ending.callee) {
            self.endings.push(ending);
        }
    }

    pub fn offer(&mut self, offer: Offer) {
        if self.offers.iter().any(|o| o.cseq == offer.cseq && o.tag == offer.tag) {
            return;
        }
        if self.offers.len() >= OFFERS {
            self.offers.remove(0);
        }
        self.offers.push(offer);
    }

    /// The offer that this answers.
    pub fn answered_offer(&mut self, heard: &Heard) -> Answers {
        let own = |o: &&mut Offer| o.cseq == heard.cseq && o.tag == heard.from.tag;
        let Some(offer) = self.offers.iter_mut().find(own) else { return Answers::Unknown };
        match std::mem::replace(&mut offer.answered, true) {
            true => Answers::Again,
            false => Answers::Offer(offer.clone()),
        }
    }

    /// Whether an answer to an INVITE is one to a re-INVITE.
    pub fn is_inside(&self, heard: &Heard) -> bool {
        let offered = self.offers.iter().any(|o| o.cseq == heard.cseq && o.tag == heard.from.tag);
        offered || self.tag != heard.from.tag || (self.answered.is_some() && heard.cseq > self.cseq)
    }
}

/// Whether a user part is a number that somebody dials, and not a name or the random text of a registration.
pub fn is_number(user: &str) -> bool {
    let digits = user.strip_prefix('+').unwrap_or(user);
    digits.len() >= 3 && digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'*' | b'#'))
}

/// What a leg is called: `SIP/1001` for one of our people, `SIP/` and the trunk's name for the outside.
pub fn name_of(inside: Option<&str>, trunk: &str) -> String {
    let name = inside.unwrap_or(trunk);
    // What stands behind the last `-` of a channel's name is not the endpoint's.
    if name.contains('-') { format!("SIP/{name}-") } else { format!("SIP/{name}") }
}

/// The trunk at an address, or the word for all that have no name.
pub fn trunk_name(rules: &Rules, ip: Option<core::net::IpAddr>) -> &str {
    ip.and_then(|ip| rules.trunk_at(ip)).unwrap_or("trunk")
}
