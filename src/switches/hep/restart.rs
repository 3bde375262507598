//! Calls that were up when the last run ended, and how long a call may be silent.
//!
//! A mirror has no list to ask for. So a call that the book knows from before is taken for one that goes on: the next message of its
//! Call-ID is heard as if we had never been away, and its BYE ends it. Its tags were not kept; the users in From and To tell whose they are.
//!
//! The end of a call may have passed while nobody listened, or be lost on the way of the mirror. A call with a session timer (RFC 4028) says something
//! before the session runs out, or both phones take it for dead, and so do we. Any other may be silent for as long as the settings say.

use std::collections::{BTreeMap, HashMap};

use crate::{
    calls::{event::Leg, face::OpenLeg},
    words::Now,
};

use super::{
    call::{Call, Callee, Party},
    heard::{Heard, Side},
    passive::{CALLS, Passive},
};

/// How long a call is kept: one that is over, for retransmissions (64*T1); one that rings, longer than any proxy lets it (Timer C is 3 minutes,
/// RFC 3261, 16.6).
const OVER_MS: u64 = 40_000;
const RINGS_MS: u64 = 600_000;
/// One that is talked in and says nothing: longer than anybody talks. The settings may say less.
pub const SILENCE_MS: u64 = 12 * 3_600_000;
/// A session that is not refreshed is ended by its phones before it runs out (RFC 4028, 10); the BYE and a slow mirror need no more.
const GRACE_MS: u64 = 32_000;

/// How long after its last message a call is taken for lost, or forgotten if it is over.
pub fn lasts(call: &Call, silence_ms: u64) -> u64 {
    match call.session_ms {
        _ if call.over || !call.told => OVER_MS,
        _ if !call.caller_up => RINGS_MS,
        Some(session) => silence_ms.min(session.saturating_add(GRACE_MS)),
        None => silence_ms,
    }
}

impl Passive {
    /// Goes on with what was up. Before the first message.
    pub fn restore(&mut self, now: Now, open: Vec<OpenLeg>) {
        let mut dialogs: BTreeMap<String, Vec<(String, OpenLeg)>> = BTreeMap::new();
        for leg in open {
            // `a84b4c76@host/caller`, `a84b4c76@host/1001`: as they were told.
            if let Some((call, user)) = leg.id.rsplit_once('/') {
                let (call, user) = (call.to_owned(), user.to_owned());
                dialogs.entry(call).or_default().push((user, leg));
            }
        }
        // A party that calls anew has several dialogs, of which only the last one's end is its own.
        let mut groups = HashMap::new();
        for (id, mut legs) in dialogs {
            let caller = legs.iter().position(|(user, _)| user == "caller").map(|at| legs.remove(at).1);
            let Some(caller) = caller.filter(|_| !legs.is_empty() && self.calls.len() < CALLS) else { continue };
            let first = self.known(&mut groups, &id, &caller, None);
            let callees = legs.iter().map(|(user, leg)| Callee {
                party: self.known(&mut groups, &id, leg, Some(user)),
                began: leg.began,
                number: None,
                tags: Vec::new(),
                told: true,
                rang: leg.rang,
                up: leg.up,
            });
            let callees: Vec<Callee> = callees.collect();
            let answered = callees.iter().position(|callee| callee.up);
            let mut call = Call {
                answered,
                callees,
                caller_up: caller.up || answered.is_some(),
                told: true,
                seen: true,
                meets: caller.dialled.iter().map(|text| text.expose().clone()).collect(),
                restored: true,
                heard: now.mono,
                ..Call::of(&id, first, caller.began)
            };
            self.now = self.now.max(now.mono);
            call.due = now.mono.plus_ms(lasts(&call, self.silence_ms()));
            self.take_up(call);
        }
    }

    fn known(&mut self, groups: &mut HashMap<u32, u32>, call: &str, leg: &OpenLeg, user: Option<&str>) -> Party {
        let own = leg.name.strip_prefix("SIP/").filter(|user| self.inside(user));
        let number = || leg.number.as_ref().map(|number| number.expose().clone());
        Party {
            user: user.or(own).map(str::to_owned).or_else(number),
            inside: own.is_some(),
            leg: Leg { id: leg.id.clone(), name: leg.name.clone(), linked: None, sip_call_id: Some(call.to_owned()) },
            group: self.chains.group_of(groups, leg.party),
            held: leg.holding,
            over: false,
        }
    }
}

impl Call {
    /// Of a call from before a restart: whose tags these are. Who is named in From sent the request, whoever sends the message.
    pub fn meet(&mut self, heard: &Heard, inside: impl Fn(&str) -> bool) {
        if !self.restored || self.tag.is_some() {
            return;
        }
        let is = |side: &Side, user: &Option<String>| side.user.is_some() && side.user == *user;
        let called = |side: &Side| {
            let user = side.user.as_ref();
            let known = self.callees.iter().any(|callee| is(side, &callee.party.user));
            known || user.is_some_and(|user| self.meets.contains(user))
        };
        let by_caller = match (is(&heard.from, &self.caller.user), is(&heard.to, &self.caller.user)) {
            (true, false) => true,
            (false, true) => false,
            _ if called(&heard.from) != called(&heard.to) => called(&heard.to),
            // Neither is named as it was: one of them is one of us.
            _ => heard.from.user.as_deref().is_some_and(&inside) == self.caller.inside,
        };
        let (caller, callee) = if by_caller { (&heard.from, &heard.to) } else { (&heard.to, &heard.from) };
        self.tag.clone_from(&caller.tag);
        if let Some(answered) = self.answered {
            self.tagged(answered, callee.tag.as_deref());
        }
    }
}
