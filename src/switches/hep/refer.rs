//! Transfers: a REFER in one call, the call that comes of it, and whose place is taken there.
//!
//! Who was referred calls anew with another Call-ID, and is the same person: the new call's caller is told to be that leg. Whether it came to
//! something is known when the new call is answered, or by the NOTIFY with a sipfrag: a REFER that was answered 202 is no transfer yet.

use crate::{
    calls::event::{Leg, Said},
    private::Private,
    words::{Mono, Wall},
};

use super::{
    call::{Call, Party, Refer, Who},
    heard::{Heard, More, ReferTo, Replaces},
    passive::Passive,
};

/// How long after a REFER the call that comes of it may begin: what a transaction may take (64*T1).
pub const REFER_MS: u64 = 32_000;
/// REFERs that may still become calls, of all calls.
const REFERS: usize = 10_000;
/// REFERs of one call.
const OF_ONE: usize = 16;
/// Who was referred and whose first call has ended.
const WAITING: usize = 10_000;

/// Parties that are one person, and who waits for the call of a REFER.
#[derive(Debug, Default)]
pub struct Chains {
    next: u32,
    /// How many calls a person is in; who is in one only is not here.
    many: std::collections::HashMap<u32, u32>,
    refers: std::collections::VecDeque<(Mono, String)>,
    waiting: std::collections::VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    until: Mono,
    group: u32,
    leg: Leg,
    at: Wall,
    cause: Option<u16>,
}

impl Chains {
    pub fn new_group(&mut self) -> u32 {
        self.next = self.next.wrapping_add(1);
        self.next
    }

    /// The group of a person who was known before, by the number of that person; in one more call.
    pub fn group_of(&mut self, known: &mut std::collections::HashMap<u32, u32>, person: u32) -> u32 {
        if let Some(group) = known.get(&person) {
            self.join(*group);
            return *group;
        }
        let group = self.new_group();
        known.insert(person, group);
        group
    }

    fn join(&mut self, group: u32) {
        *self.many.entry(group).or_insert(1) += 1;
    }

    /// One call less; says whether it was the last.
    fn leave(&mut self, group: u32) -> bool {
        let Some(count) = self.many.get_mut(&group) else { return true };
        *count = count.saturating_sub(1);
        if *count <= 1 {
            self.many.remove(&group);
        }
        false
    }

    pub fn deadline(&self) -> Option<Mono> {
        self.waiting.front().map(|w| w.until)
    }
}

impl Passive {
    /// A REFER was sent inside a call.
    pub(super) fn refer(&mut self, now: Mono, call: &mut Call, heard: &Heard) {
        let Some(to) = heard.more.as_ref().and_then(|more| more.refer_to.clone()) else { return };
        let Some(by) = call.by_tag(heard.from.tag.as_deref()).filter(|_| heard.to.tag.is_some()) else { return };
        if call.refers.len() >= OF_ONE || call.refers.iter().any(|r| r.cseq == heard.cseq && r.by == by) {
            return;
        }
        call.refers.push(Refer { cseq: heard.cseq, by, to, at: heard.at(), accepted: None, done: false });
        while self.chains.refers.front().is_some_and(|(until, _)| *until <= now) || self.chains.refers.len() >= REFERS {
            self.chains.refers.pop_front();
        }
        self.chains.refers.push_back((now.plus_ms(REFER_MS), call.id.clone()));
    }

    pub(super) fn refer_answered(&mut self, call: &mut Call, heard: &Heard, status: u16) {
        let by = call.by_tag(heard.from.tag.as_deref());
        let Some(refer) = call.refers.iter_mut().find(|r| r.cseq == heard.cseq && Some(r.by) == by) else { return };
        match status {
            200..=299 => refer.accepted = refer.accepted.or(Some(heard.at())),
            300.. => refer.done = true,
            _ => {}
        }
    }

    /// What became of a REFER, by the one who was referred.
    pub(super) fn reported(&mut self, call: &mut Call, heard: &Heard) {
        let status = heard.more.as_ref().and_then(|more| more.fragment);
        let by = call.by_tag(heard.to.tag.as_deref());
        let place = call.refers.iter().rposition(|r| Some(r.by) == by && !r.done);
        let (Some(status), Some(place)) = (status, place) else { return };
        match status {
            200..=299 => self.transferred(call, place, heard.at()),
            300.. => {
                if let Some(refer) = call.refers.get_mut(place) {
                    refer.done = true;
                }
            }
            _ => {}
        }
    }

    /// The call and the REFER that an INVITE comes of; of an answer to one that was lost, as far as who calls whom tells.
    pub(super) fn referrer(&self, heard: &Heard) -> Option<(String, u32)> {
        let (nothing, said) = (More::default(), heard.more.as_deref());
        let more = said.unwrap_or(&nothing);
        let fits = |call: &Call, refer: &Refer| {
            if refer.done || heard.call_id == call.id {
                return false;
            }
            match (&more.replaces, &refer.to.replaces) {
                (Some(taken), Some(wanted)) => return taken == wanted,
                (None, None) => {}
                // A switch between may do the replacing itself, and call plainly.
                (None, Some(_)) => {}
                (Some(_), None) => return false,
            }
            let referred = call.other(refer.by).and_then(|who| call.party(who));
            let target = refer.to.user.is_some() && (refer.to.user == heard.user || refer.to.user == heard.to.user);
            let by = call.party(refer.by);
            let same = |a: &Option<String>, b: Option<&Party>| a.is_some() && b.is_some_and(|b| *a == b.user);
            target && (same(&more.referred_by, by) || same(&heard.from.user, referred))
        };
        self.chains.refers.iter().rev().find_map(|(_, id)| {
            let call = self.calls.get(id)?;
            let refer = call.refers.iter().rev().find(|refer| fits(call, refer))?;
            Some((id.clone(), refer.cseq))
        })
    }

    /// The call that an INVITE comes of where the REFER itself was lost: it says by whom it was referred, or whose place it takes, and that user of
    /// ours talks with the same caller.
    pub(super) fn lost_refer(&mut self, heard: &Heard) -> Option<(String, u32)> {
        let more = heard.more.as_ref()?;
        let asked = more.replaces.as_ref().and_then(|r| self.calls.get(&r.call_id));
        let taken = asked.into_iter().flat_map(|call| call.callees.iter().map(|c| &c.party).chain([&call.caller]));
        let mut users: Vec<String> = taken.filter(|p| p.inside).filter_map(|p| p.user.clone()).take(4).collect();
        users.extend(more.referred_by.clone());
        let caller = heard.from.user.as_ref()?;
        let (id, by) = users.iter().find_map(|user| {
            self.talks.get(user)?.iter().rev().find_map(|id| {
                let call = self.calls.get(id).filter(|call| *id != heard.call_id && call.answered.is_some())?;
                let sides = [Some(Who::Caller), call.answered.map(Who::Callee)];
                let by = sides.into_iter().flatten().find(|who| {
                    let party = |who| call.party(who).and_then(|p| p.user.as_ref());
                    party(*who) == Some(user) && call.other(*who).and_then(party) == Some(caller)
                })?;
                Some((id.clone(), by))
            })
        })?;
        let call = self.calls.get_mut(&id).filter(|call| call.refers.len() < OF_ONE)?;
        // No request has this number.
        let cseq = u32::MAX - u32::try_from(call.refers.len()).unwrap_or_default();
        let to = ReferTo { user: heard.to.user.clone(), replaces: more.replaces.clone() };
        call.refers.push(Refer { cseq, by, to, at: heard.at(), accepted: Some(heard.at()), done: false });
        Some((id, cseq))
    }

    /// A new call's caller is who was referred in another call.
    pub(super) fn came_of(&mut self, call: &mut Call, of: (String, u32)) {
        let Some(other) = self.calls.get(&of.0) else { return };
        let Some(refer) = other.refers.iter().find(|r| r.cseq == of.1) else { return };
        let Some(who) = other.other(refer.by).and_then(|who| other.party(who)) else { return };
        let (group, leg) = (who.group, who.leg.clone());
        // Whose first call is over waits to be hung up, and goes on now.
        if who.over {
            self.chains.waiting.retain(|w| w.group != group);
        } else {
            self.chains.join(group);
        }
        call.caller.group = group;
        call.of = Some(of);
        self.out.say(call.began, Said::Same { leg, also: call.caller.leg.clone() });
    }

    /// The call that came of a REFER is answered.
    pub(super) fn transfer_answered(&mut self, call: &Call, at: Wall) {
        let Some((id, cseq)) = &call.of else { return };
        let Some(mut first) = self.calls.remove(id) else { return };
        if let Some(place) = first.refers.iter().position(|r| r.cseq == *cseq) {
            self.transferred(&mut first, place, at);
        }
        self.calls.insert(id.clone(), first);
    }

    /// It came to something. The one who referred is out of it from the moment the REFER was accepted (blind) or the place was taken (attended).
    fn transferred(&mut self, call: &mut Call, place: usize, at: Wall) {
        let Some(refer) = call.refers.get_mut(place).filter(|r| !r.done) else { return };
        refer.done = true;
        let refer = refer.clone();
        let Some(by) = call.party(refer.by).map(|p| (p.leg.clone(), p.user.clone())) else { return };
        let Some(customer) = call.other(refer.by).and_then(|who| call.party(who)).map(|p| p.leg.clone()) else {
            return;
        };
        let consult = refer.to.replaces.as_ref().and_then(|r| self.consulted(r, by.1.as_deref()));
        let accepted = refer.accepted.unwrap_or(refer.at);
        let at = if consult.is_some() { at } else { accepted };
        self.out.leaves(at, &by.0, &call.id);
        self.out.leaves(at, &customer, &call.id);
        let said = match consult {
            Some((second, target)) => Said::AttendedTransfer {
                first: by.0,
                second,
                customer: Some(customer),
                target: Some(target),
                success: true,
            },
            None => Said::BlindTransfer {
                by: by.0,
                customer: Some(customer),
                to: refer.to.user.map(Private::new),
                success: true,
            },
        };
        self.out.say(at, said);
    }

    /// Of the dialog whose place is taken: the leg of who transfers, and that of the other.
    fn consulted(&self, replaces: &Replaces, by: Option<&str>) -> Option<(Leg, Leg)> {
        let call = self.calls.get(&replaces.call_id)?;
        let answered = call.answered.or(Some(0)).and_then(|i| call.callees.get(i))?;
        if call.caller.user.as_deref() == by {
            Some((call.caller.leg.clone(), answered.party.leg.clone()))
        } else {
            Some((answered.party.leg.clone(), call.caller.leg.clone()))
        }
    }

    /// A party's dialog is over. Who goes on in another call is not hung up, nor who was just referred and will call in a moment.
    pub(super) fn party_over(
        &mut self,
        now: Mono,
        call: &mut Call,
        who: Who,
        at: Wall,
        asked: bool,
        cause: Option<u16>,
    ) {
        let referred = call.refers.iter().any(|r| r.accepted.is_some() && !r.done && call.other(r.by) == Some(who));
        let id = call.id.clone();
        let Some(party) = call.party_mut(who).filter(|p| !p.over) else { return };
        party.over = true;
        let (leg, group) = (party.leg.clone(), party.group);
        if !self.chains.leave(group) {
            self.out.leaves(at, &leg, &id);
            return;
        }
        if referred && !asked && self.chains.waiting.len() < WAITING {
            self.out.leaves(at, &leg, &id);
            let until = now.plus_ms(REFER_MS);
            self.chains.waiting.push_back(Waiting { until, group, leg, at, cause });
            return;
        }
        if asked {
            self.out.asks_end(at, &leg);
        }
        self.out.hangs_up(at, &leg, cause);
    }

    /// Who was referred and never called.
    pub(super) fn stop_waiting(&mut self, now: Mono) {
        while self.chains.waiting.front().is_some_and(|w| w.until <= now) {
            if let Some(w) = self.chains.waiting.pop_front() {
                self.out.hangs_up(w.at, &w.leg, w.cause);
            }
        }
    }
}
