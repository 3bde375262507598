//! From the facts of a call to its record. One pass over few legs; nothing is invented: what no feed told is absent.

use std::cmp::Ordering;

use crate::{
    private::Private,
    words::{AgentId, SwitchId},
};

use super::{
    attributes::Recordings,
    book::Settings,
    call::{Facts, Shown},
    change::TransferKind,
    event::{DialStatus, Feed},
    facts::{self, Kind, Leg, Moment, Rooms},
    record::{
        Cause, Customer, Direction, End, EndedBy, Id, Outcome, Party, PartyRole, Quality, Record, Recording,
        RecordingState, Related, Segment, SegmentKind, SegmentOutcome, Transfer,
    },
};

type Stretch = (Moment, Moment);

/// A transfer's own events lie so far apart at most.
const BRIEF_MS: u64 = 50;

/// The shortest talk with an application that is told.
const IVR_MS: u64 = 1_000;

/// One phone, met in the middle or with a hole in what was seen of it, and nobody else: what it had been in is not known. (Left alone a moment before
/// the lists were asked for, it had talked for an hour, perhaps.)
fn met(facts: &Facts) -> bool {
    let mut real = facts.legs.iter().filter(|l| l.real());
    let one = real.next().filter(|_| real.next().is_none());
    let unseen = |l: &Leg| l.adopted && l.dial.is_none() || facts.hole && l.originated() && l.up.is_some();
    one.is_some_and(|l| l.kind == Kind::Device && unseen(l) && l.queues.is_empty())
}

/// The record as far as the facts go.
pub(super) fn record(settings: &Settings, switch: &SwitchId, facts: &Facts, shown: &Shown, revision: u32) -> Record {
    let case = Case::of(facts);
    let face = &shown.face;
    let lost = facts.legs.iter().any(|l| l.real() && l.released.is_none() && l.ended.as_ref().is_none_or(|e| e.lost));
    let adopted = facts.legs.iter().any(|l| l.real() && l.adopted);
    // Who was not watched to the end may have been answered, or not, unseen; only what was seen is said.
    let outcome = case.outcome(lost || facts.blind).filter(|o| !(facts.blind || met(facts)) || *o == Outcome::Answered);
    // Nor when it ended for the caller, or who ended it.
    let unseen = !lost && facts.blind && outcome.is_none();
    let internal = case.direction == Some(Direction::Internal);
    let agents = case.agents();
    let anonymous = face.customer.as_ref().is_some_and(|n| n.class == crate::numbers::Class::Anonymous);
    let shows = || facts.customer().and_then(|c| facts.legs.get(c)).is_some_and(|l| l.incoming && l.shows);
    let withheld = if anonymous { Some(true) } else { shows().then_some(false) };
    let line = face.line.as_ref();
    Record {
        record: 1,
        revision,
        call: shown.id,
        tenant: face.tenant.clone(),
        switch: switch.clone(),
        direction: case.direction,
        origin: facts.origin,
        reference: facts.reference.clone(),
        customer: face.customer.as_ref().filter(|_| !internal).map(|n| Customer {
            raw: n.raw.clone(),
            e164: n.e164.clone(),
            class: Some(n.class),
            withheld,
            name: face.name.clone(),
            links: Vec::new(),
            nobody: false,
        }),
        dialled: face.dialled.clone(),
        presented: face.presented.clone(),
        trunk: face.trunk.clone(),
        line: line.and_then(|l| l.title.clone()),
        brand: line.and_then(|l| l.brand.clone()),
        language: line.and_then(|l| l.language.clone()),
        zone: line
            .and_then(|l| l.zone.clone())
            .or_else(|| settings.switches.get(switch).and_then(|rules| rules.zone.clone())),
        outcome,
        end: if lost { End::Lost } else { End::Seen },
        ended_by: if lost || unseen { None } else { case.ended_by(outcome) }.filter(|by| case.proves(*by)),
        cause: if lost || unseen { None } else { case.cause(outcome) },
        queue: case.queue().map(str::to_owned),
        started_at: facts.oldest().and_then(|l| l.created.wall),
        answered_at: case.answered.and_then(|a| a.wall),
        ended_at: case.end.wall,
        wait_ms: case.wait(adopted || unseen),
        ring_ms: case.ring(adopted || unseen),
        talk_ms: if adopted || unseen || case.passed_on() { None } else { length(&case.talk_union()) },
        hold_ms: if adopted || case.passed_on() || !case.sees_holds() { None } else { case.hold_length() },
        wrap_ms: None,
        first_agent: agents.first().cloned(),
        final_agent: agents.last().cloned(),
        agents: Some(agents),
        parties: case.parties.iter().map(|(party, _)| party.clone()).collect(),
        transfers: Some(case.transfers()),
        segments: case.segments(lost),
        wrapups: Vec::new(),
        recordings: recordings(settings.switches.get(switch).and_then(|r| r.attributes.recordings.as_ref()), facts),
        attributes: face.attributes.clone(),
        attribute_faults: face.faults.clone(),
        ids: ids(switch, facts),
        related: facts
            .related
            .iter()
            .map(|r| Related { call: r.call, relation: "edge".to_owned(), certain: r.certain })
            .collect(),
        quality: if lost || adopted || facts.hole { Quality::Estimated } else { Quality::Exact },
        erased_at: None,
    }
}

/// One call looked at as a whole.
struct Case<'a> {
    facts: &'a Facts,
    direction: Option<Direction>,
    /// Index of the customer, or of who stands in the customer's place.
    far: Option<usize>,
    /// Everyone else who is real: (index, stretches in which they heard the far party, without holds, with holds).
    others: Vec<Other>,
    parties: Vec<(Party, Vec<usize>)>,
    /// The first person's answer (inbound), the far end's (else).
    answered: Option<Moment>,
    /// Index of the leg whose answer that was, or who is called.
    answerer: Option<usize>,
    end: Moment,
}

struct Other {
    index: usize,
    /// With the far party, holds cut out.
    talk: Vec<Stretch>,
    /// Holds while bridged with the far party.
    hold: Vec<Stretch>,
}

impl<'a> Case<'a> {
    fn of(facts: &'a Facts) -> Self {
        let rooms = Rooms::of(&facts.legs);
        let direction = facts.direction();
        let far = facts.far();
        let end = facts
            .legs
            .iter()
            .filter(|l| l.real())
            .filter_map(|l| l.released.or(l.ended.as_ref().map(|e| e.at)))
            .reduce(Moment::later)
            .filter(|_| facts.legs.iter().all(|l| !l.real() || !l.live()))
            .unwrap_or(facts.last);
        let mut others = Vec::new();
        for (index, leg) in facts.legs.iter().enumerate() {
            if Some(index) == far || !leg.real() {
                continue;
            }
            let together = match far.and_then(|f| facts.legs.get(f)) {
                Some(far) => rooms.together(leg, far, end),
                // A conference of our own people: everybody who is not alone in it talks.
                None => {
                    let others = facts.legs.iter().enumerate().filter(|(n, other)| *n != index && other.real());
                    union(others.flat_map(|(_, other)| rooms.together(leg, other, end)).collect())
                }
            };
            let holds: Vec<Stretch> =
                leg.holds.iter().map(|(_, s)| (s.from, s.end(leg.released.unwrap_or(end)))).collect();
            let mut talk = without(&together, &holds);
            // Between the retrieve and the transfer of a REFER lies a talk of no length, or of a millisecond (traces e, atxfer).
            let handed =
                |at: Moment| leg.released.is_some_and(|r| r == at || r.since(at).is_some_and(|ms| ms <= BRIEF_MS));
            talk.retain(|(from, to)| {
                let brief = to.since(*from).is_some_and(|ms| ms <= BRIEF_MS);
                !(brief && handed(*to) && holds.iter().any(|(_, retrieved)| retrieved == from))
            });
            others.push(Other { index, talk, hold: both(&together, &holds) });
        }
        let mut case = Self { facts, direction, far, others, parties: Vec::new(), answered: None, answerer: None, end };
        case.parties = case.find_parties();
        (case.answered, case.answerer) = case.find_answer();
        case
    }

    fn leg(&self, index: usize) -> Option<&'a Leg> {
        self.facts.legs.get(index)
    }

    fn far_leg(&self) -> Option<&'a Leg> {
        self.leg(self.far?)
    }

    fn inbound(&self) -> bool {
        self.direction == Some(Direction::Inbound)
    }

    /// Of the other end nothing is known.
    fn hinted(&self) -> bool {
        self.far_leg().is_some_and(|l| l.kind == Kind::Unknown)
    }

    /// An edge handed it on to where nobody watched.
    fn passed_on(&self) -> bool {
        self.at_edge() && self.far_leg().is_some_and(|l| l.up.is_some())
    }

    /// Only an edge had it, and no phone that it called is known.
    fn at_edge(&self) -> bool {
        self.facts.at_edge && self.facts.legs.iter().all(|l| l.kind != Kind::Device)
    }

    /// Dialog events show a hold only where the phone says so; that there was none they do not.
    fn sees_holds(&self) -> bool {
        !self.facts.dialogs_alone() || self.facts.legs.iter().any(|l| !l.holds.is_empty())
    }

    /// That nobody asked for the end is no proof of anything where asking is not told; nor while dialog events alone have told the end of a call
    /// that a mirror tells of too: they are quicker, and say no more.
    fn proves(&self, by: EndedBy) -> bool {
        let dialogs = |leg: &Leg| leg.ended.as_ref().is_none_or(|ended| ended.feeds == Feed::Sip.bit());
        let alone = self.facts.dialogs_alone() || self.facts.legs.iter().all(dialogs);
        !alone || !matches!(by, EndedBy::Switch | EndedBy::Application)
    }

    /// Those who talked with the far party, in the order in which they began.
    fn talkers(&self) -> Vec<&Other> {
        let mut list: Vec<&Other> = self.others.iter().filter(|o| !o.talk.is_empty() || !o.hold.is_empty()).collect();
        list.sort_by(|a, b| order(began(a), began(b)));
        list
    }

    fn find_answer(&self) -> (Option<Moment>, Option<usize>) {
        if self.inbound() || self.hinted() {
            let Some(first) = self.talkers().first().map(|o| o.index) else { return (None, None) };
            let Some(leg) = self.leg(first) else { return (None, None) };
            let began = || self.talkers().first().and_then(|o| began(o));
            let at = match () {
                // The moment of an answer that nobody saw is not known.
                () if leg.adopted => None,
                // Who took the call from a colleague's phone was up before, for the feature code.
                () if leg.incoming => began(),
                () => leg.up.or_else(began),
            };
            return (at, Some(first));
        }
        let Some(far) = self.far_leg() else {
            // Of a conference: its second member's coming.
            return (self.talkers().first().and_then(|o| began(o)), None);
        };
        match far.up {
            Some(up) if !far.adopted && (self.unreached().is_none()) => (Some(up), self.far),
            _ => (None, self.far),
        }
    }

    /// The agent's own phone that the switch called and that never answered.
    fn unreached(&self) -> Option<&'a Leg> {
        let root = self.facts.root().and_then(|r| self.leg(r))?;
        // One that went unseen may have answered.
        let unseen = root.ended.as_ref().is_some_and(|e| e.lost) && self.others.len() > 1;
        (root.originated() && root.up.is_none() && !unseen).then_some(root)
    }

    fn agents(&self) -> Vec<AgentId> {
        let mut agents: Vec<AgentId> = Vec::new();
        let internal = self.direction == Some(Direction::Internal);
        for other in self.talkers() {
            let Some(agent) = self.leg(other.index).and_then(|l| l.agent.clone()) else { continue };
            if !agents.contains(&agent) {
                agents.push(agent);
            }
        }
        // In an internal call the called one talked too.
        if internal
            && !agents.is_empty()
            && let Some(agent) = self.far_leg().and_then(|l| l.agent.clone())
            && !agents.contains(&agent)
        {
            agents.push(agent);
        }
        agents
    }

    /// Legs that were offered the call: called, and not the far party.
    fn offered(&self) -> impl Iterator<Item = &'a Leg> + '_ {
        self.offered_places().filter_map(|index| self.leg(index))
    }

    /// The switch called this agent for a caller who was there.
    fn joined(&self, leg: &Leg) -> bool {
        leg.originated()
            && leg.agent.is_some()
            && self.far_leg().is_some_and(|far| far.incoming && far.kind == Kind::Trunk)
    }

    fn offered_places(&self) -> impl Iterator<Item = usize> + '_ {
        // An application that queues callers by itself lets the switch call the agent and then joins the two (FreeSWITCH, own-acd-park-originate-bridge).
        let called = |l: &Leg| !l.incoming && l.dial.as_ref().is_some_and(|d| d.by.is_some() || self.joined(l));
        self.others.iter().map(|o| o.index).filter(move |index| self.leg(*index).is_some_and(called))
    }

    fn queues(&self) -> Vec<(&'a str, Moment, Moment)> {
        let mut list: Vec<_> = self
            .facts
            .legs
            .iter()
            .filter(|l| l.real())
            .flat_map(|l| l.queues.iter())
            .map(|(name, span)| (name.as_str(), span.from, span.end(self.end)))
            .collect();
        list.sort_by(|a, b| order(Some(a.1), Some(b.1)));
        list
    }

    /// The queue behind the answer, else the last.
    fn queue(&self) -> Option<&'a str> {
        let queues = self.queues();
        // An adopted call's answer has no moment: the last queue it was in is the one.
        let before = queues.iter().rev().find(|(_, from, _)| self.answered.is_some_and(|a| from.until(a)));
        before.or(queues.last()).map(|(name, ..)| *name)
    }

    fn wait(&self, adopted: bool) -> Option<u64> {
        if !self.inbound() || adopted || self.at_edge() || self.unheard_ring() {
            return None;
        }
        let first_ring =
            || self.offered().filter_map(|l| l.ringing.or(l.dial.as_ref().map(|d| d.at))).reduce(Moment::earlier);
        // A queue behind the answer (a transfer into it) was not waited in for it.
        let before = |from: Moment| self.answered.is_none_or(|answered| from.until(answered));
        match self.queues().first().map(|q| q.1).filter(|from| before(*from)).or_else(first_ring) {
            Some(from) => self.answered.unwrap_or(self.end).since(from),
            None => Some(0),
        }
    }

    fn ring(&self, adopted: bool) -> Option<u64> {
        if adopted || self.at_edge() {
            return None;
        }
        let rang = |leg: &Leg| match leg.ringing {
            Some(from) => leg.settled().unwrap_or(self.end).later(from).since(from),
            None => (!self.facts.dialogs_alone()).then_some(0),
        };
        if self.inbound() || self.hinted() {
            let answering = self.answerer.and_then(|i| self.leg(i)).filter(|_| self.answered.is_some());
            if let Some(at) = self.answered.filter(|_| answering.is_some_and(|l| l.incoming || l.pickup)) {
                return self.picked_up(at);
            }
            let last = || self.offered().filter(|l| l.ringing.is_some()).last();
            return match answering.or_else(last) {
                Some(leg) => rang(leg),
                None => (!self.facts.dialogs_alone()).then_some(0),
            };
        }
        match self.far_leg() {
            Some(leg) => rang(leg),
            None => Some(0),
        }
    }

    /// By dialog events alone: a phone may have rung unseen, between two NOTIFYs.
    fn unheard_ring(&self) -> bool {
        let rang = |leg: &Leg| leg.ringing.is_some();
        let heard = match self.answerer.and_then(|i| self.leg(i)).filter(|_| self.answered.is_some()) {
            Some(leg) => rang(leg),
            None => self.offered().any(rang),
        };
        self.facts.dialogs_alone() && !heard
    }

    /// How long it had rung when somebody took it from the phones that rang.
    fn picked_up(&self, at: Moment) -> Option<u64> {
        let still = |l: &&Leg| l.settled().is_none_or(|end| at.until(end) || near(at, end));
        match self.offered().filter(still).filter_map(|l| l.ringing).reduce(Moment::earlier) {
            Some(from) => at.since(from),
            None => Some(0),
        }
    }

    fn talk_union(&self) -> Vec<Stretch> {
        union(self.others.iter().flat_map(|o| o.talk.iter().copied()).collect())
    }

    fn hold_length(&self) -> Option<u64> {
        let holds = union(self.others.iter().flat_map(|o| o.hold.iter().copied()).collect());
        length(&without(&holds, &self.talk_union()))
    }

    fn outcome(&self, lost: bool) -> Option<Outcome> {
        let talked = !self.talkers().is_empty();
        if self.inbound() || self.hinted() {
            return self.inbound_outcome(talked, lost);
        }
        if self.direction.is_none() {
            return talked.then_some(Outcome::Answered);
        }
        if let Some(root) = self.unreached() {
            return Some(if root.ended.is_some() || root.status.is_some() {
                Outcome::AgentUnreached
            } else {
                return None;
            });
        }
        if talked || self.answered.is_some() {
            return Some(Outcome::Answered);
        }
        if lost {
            return None;
        }
        let Some(far) = self.far_leg() else {
            // The agent's phone answered and nobody was called after that.
            return Some(if self.root_asked() { Outcome::Cancelled } else { Outcome::Failed });
        };
        let cause = far.ended.as_ref().and_then(|e| e.cause);
        let status = far.status.map(|(s, _)| s);
        if far.refused() && !(self.root_asked() && far.asked_end.is_none()) {
            return Some(match (cause, far.ringing) {
                // FreeSWITCH names its refusals: busy is USER_BUSY, whoever declines is CALL_REJECTED.
                (Some(17), _) if self.facts.told & Feed::Esl.bit() != 0 => Outcome::Busy,
                (Some(21), _) | (_, Some(_)) => Outcome::Rejected,
                (Some(17) | None, None) => Outcome::Busy,
                _ if status == Some(DialStatus::Busy) => Outcome::Busy,
                _ => Outcome::Failed,
            });
        }
        Some(match status {
            _ if self.root_asked() => Outcome::Cancelled,
            Some(DialStatus::NoAnswer) => Outcome::NoAnswer,
            Some(DialStatus::Cancel) => Outcome::Cancelled,
            _ if cause == Some(19) => Outcome::NoAnswer,
            None if self.facts.dialogs_alone() => Outcome::Unanswered,
            _ => Outcome::Failed,
        })
    }

    fn root_asked(&self) -> bool {
        self.facts.root().and_then(|r| self.leg(r)).is_some_and(|l| l.asked_end.is_some())
    }

    fn inbound_outcome(&self, talked: bool, lost: bool) -> Option<Outcome> {
        let far = self.far_leg()?;
        if talked {
            return Some(Outcome::Answered);
        }
        if lost || self.passed_on() {
            return None;
        }
        // Who gives up before anybody answered left what rang or waited behind the edge.
        if self.at_edge() && far.asked_end.is_some() {
            return Some(Outcome::Abandoned);
        }
        let offered = self.last_offer();
        let queued = !self.queues().is_empty();
        if queued || offered.is_some() {
            if far.asked_end.is_some() {
                return Some(Outcome::Abandoned);
            }
            return Some(match offered.filter(|_| !queued).map(|index| self.ring_outcome(index)) {
                Some(SegmentOutcome::Busy) => Outcome::Busy,
                Some(SegmentOutcome::Rejected) => Outcome::Rejected,
                Some(SegmentOutcome::Unreachable) => Outcome::Failed,
                _ => Outcome::Unanswered,
            });
        }
        // A phone may have rung unseen.
        if self.facts.hole || far.adopted {
            return None;
        }
        Some(match far.ended.as_ref().and_then(|e| e.cause) {
            _ if far.up.is_some() => Outcome::SelfService,
            Some(17) => Outcome::Busy,
            Some(21) => Outcome::Rejected,
            _ => Outcome::Failed,
        })
    }

    /// The offer that was decided last.
    fn last_offer(&self) -> Option<usize> {
        let settled = |index: usize| self.leg(index).and_then(Leg::settled).unwrap_or(self.end);
        self.offered_places().reduce(|a, b| if settled(a).until(settled(b)) { b } else { a })
    }

    fn ended_by(&self, outcome: Option<Outcome>) -> Option<EndedBy> {
        let far = self.far_leg();
        if outcome == Some(Outcome::AgentUnreached) {
            return Some(if self.unreached().is_some_and(Leg::refused) { EndedBy::Agent } else { EndedBy::Switch });
        }
        if outcome == Some(Outcome::Answered) {
            // Of those who were still in it, the first who asked.
            let mut asked: Vec<(Moment, EndedBy)> = Vec::new();
            if let Some(at) = far.and_then(|l| l.asked_end) {
                let internal = self.direction == Some(Direction::Internal) || self.hinted();
                asked.push((at, if internal { self.kind_of_end(self.far) } else { EndedBy::Customer }));
            }
            for other in &self.others {
                if let Some(leg) = self.leg(other.index)
                    && leg.released.is_none()
                    && let Some(at) = leg.asked_end
                    && other.talk.iter().chain(&other.hold).any(|(from, to)| from.until(at) && self.last_talk(*to))
                {
                    asked.push((at, self.kind_of_end(Some(other.index))));
                }
            }
            let first = asked.into_iter().reduce(|a, b| if a.0.until(b.0) { a } else { b });
            let stopped = self.facts.legs.iter().any(|l| l.real() && l.stopped);
            let nobody = if stopped { EndedBy::Switch } else { EndedBy::Application };
            return Some(first.map_or(nobody, |(_, by)| by));
        }
        if self.inbound() || self.hinted() {
            if far.is_some_and(|l| l.asked_end.is_some()) {
                return Some(if self.hinted() { EndedBy::Other } else { EndedBy::Customer });
            }
            let last = self.last_offer().and_then(|index| self.leg(index));
            let refused = self.queues().is_empty() && last.is_some_and(Leg::refused);
            return Some(if refused { EndedBy::Agent } else { EndedBy::Switch });
        }
        Some(match outcome {
            Some(Outcome::Busy | Outcome::Rejected) => EndedBy::Customer,
            Some(Outcome::Cancelled) => self.kind_of_end(self.facts.root()),
            _ => EndedBy::Switch,
        })
    }

    fn kind_of_end(&self, index: Option<usize>) -> EndedBy {
        match index.and_then(|i| self.leg(i)).is_some_and(|l| l.agent.is_some()) {
            true => EndedBy::Agent,
            false => EndedBy::Other,
        }
    }

    /// When this leg was in a conference: in a room made for one, or as one of three who heard each other.
    fn conferences(&self, index: usize) -> Vec<Stretch> {
        let Some(leg) = self.leg(index) else { return Vec::new() };
        let stretch = |leg: &Leg, room: &str| -> Vec<Stretch> {
            leg.bridges.iter().filter(|(r, _)| r == room).map(|(_, span)| (span.from, span.end(self.end))).collect()
        };
        let mut all = Vec::new();
        for (room, span) in &leg.bridges {
            if self.facts.conferences.contains(room) {
                all.push((span.from, span.end(self.end)));
                continue;
            }
            let mine = [(span.from, span.end(self.end))];
            // In a bridge that is no conference room there are rarely more than three; of a crowd the first tell enough.
            let with: Vec<Vec<Stretch>> = self
                .facts
                .legs
                .iter()
                .enumerate()
                .filter(|(n, l)| *n != index && l.real())
                .map(|(_, l)| both(&mine, &stretch(l, room)))
                .filter(|with| !with.is_empty())
                .take(16)
                .collect();
            for (n, one) in with.iter().enumerate() {
                all.extend(with.iter().skip(n + 1).flat_map(|two| both(one, two)));
            }
        }
        union(all)
    }

    /// The caller with the switch's own voice: from its answer to whatever comes first of a queue, a dial, a bridge and the end. Shorter than
    /// [`IVR_MS`] it is nothing: Answer() alone takes half a second (facts/asterisk.md, order, 1).
    fn ivr(&self) -> Option<(usize, Stretch)> {
        let far = self.far_leg().filter(|l| self.inbound() && !l.adopted && !self.passed_on())?;
        let from = far.up?;
        let queue = self.queues().first().map(|(_, at, _)| *at);
        let dial = self.offered().filter_map(|l| l.dial.as_ref().map(|d| d.at)).reduce(Moment::earlier);
        let bridge = far.bridges.iter().map(|(_, span)| span.from).reduce(Moment::earlier);
        let to = [queue, dial, bridge].into_iter().flatten().reduce(Moment::earlier).unwrap_or(self.end);
        (from.until(to) && to.since(from)? >= IVR_MS).then_some((self.far?, (from, to)))
    }

    /// Whether a talk that ended then was the call's last.
    fn last_talk(&self, to: Moment) -> bool {
        self.others.iter().flat_map(|o| o.talk.iter().chain(&o.hold)).all(|(_, end)| end.until(to) || near(*end, to))
    }

    fn cause(&self, outcome: Option<Outcome>) -> Option<Cause> {
        let leg = match outcome {
            Some(Outcome::AgentUnreached) => self.unreached(),
            _ => self.far_leg().or_else(|| self.facts.root().and_then(|r| self.leg(r))),
        };
        let ended = leg?.ended.as_ref()?;
        (ended.cause.is_some() || ended.text.is_some()).then(|| Cause { q850: ended.cause, raw: ended.text.clone() })
    }

    fn transfers(&self) -> Vec<Transfer> {
        let mut list: Vec<Transfer> = Vec::new();
        for t in self.facts.transfers.iter().filter(|t| !self.parks_with(t)) {
            let Some(from) = self.leg(usize::from(t.by)).and_then(|l| l.agent.clone()) else { continue };
            // Who had the customer next.
            let next = self.talkers().into_iter().find(|o| {
                o.index != usize::from(t.by) && o.talk.iter().any(|(begin, _)| t.at.until(*begin) || near(t.at, *begin))
            });
            // Where the switch itself asks (Atxfer), the target is half a pipe, and whoever is behind it had the customer next.
            let target = t.target.and_then(|target| self.leg(usize::from(target))).filter(|leg| leg.real());
            let leg = match (target, t.kind) {
                (Some(target), TransferKind::Attended) => Some(target),
                _ => next.and_then(|o| self.leg(o.index)),
            };
            // Who takes the customer along (to a conference room) hands nobody over.
            if leg.is_some_and(|l| l.incoming && l.agent.as_ref() == Some(&from)) {
                continue;
            }
            let agent = leg.and_then(|l| l.agent.as_ref()).map(|a| Private::new(a.as_str().to_owned()));
            let number = || t.number.clone().or_else(|| leg.and_then(number_of));
            let Some(to) = agent.or_else(number) else { continue };
            list.push(Transfer { kind: t.kind, from, to, at: t.at.wall, certain: !self.facts.dialogs_alone() });
        }
        list.sort_by_key(|t| t.at);
        list
    }

    /// Whether this is how the customer was parked: a transfer to the parking lot is none to anybody.
    fn parks_with(&self, transfer: &facts::Transfer) -> bool {
        let parks = self.far_leg().map(|l| l.parks.as_slice()).unwrap_or_default();
        transfer.kind == TransferKind::Blind && parks.iter().any(|(_, span)| near(transfer.at, span.from))
    }

    fn find_parties(&self) -> Vec<(Party, Vec<usize>)> {
        let mut list: Vec<(Party, Vec<usize>)> = Vec::new();
        let far = self.far.into_iter();
        let rest = self.others.iter().map(|o| o.index);
        for index in far.chain(rest) {
            let Some(leg) = self.leg(index) else { continue };
            let unknown = leg.kind == Kind::Unknown;
            let customer = Some(index) == self.far && self.direction != Some(Direction::Internal) && !unknown;
            let role = match (&leg.agent, customer) {
                (_, true) => PartyRole::Customer,
                (Some(_), false) => PartyRole::Agent,
                (None, false) => PartyRole::Other,
            };
            if let Some((_, legs)) = list.iter_mut().find(|(p, _)| {
                p.role == role
                    && p.role == PartyRole::Agent
                    && p.agent == leg.agent
                    && p.device.as_deref() == Some(&leg.endpoint)
            }) {
                legs.push(index);
                continue;
            }
            let number =
                if customer && leg.incoming { leg.number.clone().filter(|_| !leg.restricted) } else { number_of(leg) };
            let id = format!("p{}", list.len() + 1);
            let device = (!unknown).then(|| leg.endpoint.clone());
            let party = Party { id, role, agent: leg.agent.clone(), device, number };
            list.push((party, vec![index]));
        }
        // Who only listens has no leg in the call.
        for (listener, _) in self.facts.legs.iter().flat_map(|leg| &leg.listeners) {
            let device = Some(listener.device.as_str());
            if list.iter().any(|(p, _)| p.role == PartyRole::Supervisor && p.device.as_deref() == device) {
                continue;
            }
            let (id, device) = (format!("p{}", list.len() + 1), Some(listener.device.clone()));
            let party = Party { id, role: PartyRole::Supervisor, agent: listener.agent.clone(), device, number: None };
            list.push((party, Vec::new()));
        }
        list
    }

    fn party(&self, index: usize) -> Option<String> {
        self.parties.iter().find(|(_, legs)| legs.contains(&index)).map(|(p, _)| p.id.clone())
    }

    fn ring_outcome(&self, index: usize) -> SegmentOutcome {
        let Some(leg) = self.leg(index) else { return SegmentOutcome::Cancelled };
        if leg.up.is_some() {
            return SegmentOutcome::Answered;
        }
        let cause = leg.ended.as_ref().and_then(|e| e.cause);
        if leg.refused() {
            // A 486 after ringing is a refusal, without ringing the line was busy.
            return if leg.ringing.is_none() && cause != Some(21) {
                SegmentOutcome::Busy
            } else {
                SegmentOutcome::Rejected
            };
        }
        let dialler = self.facts.dialler(index);
        let elsewhere = || {
            self.facts.legs.iter().enumerate().any(|(other, l)| {
                l.real()
                    && other != index
                    && l.up.is_some_and(|up| leg.settled().is_none_or(|s| near(up, s)))
                    && self.facts.dialler(other) == dialler
                    && dialler.is_some()
            })
        };
        match (self.facts.dial_status(index), cause) {
            (_, Some(26)) => SegmentOutcome::Elsewhere,
            (Some(DialStatus::NoAnswer), _) => SegmentOutcome::NoAnswer,
            (Some(DialStatus::Unavailable | DialStatus::Congestion), _) | (_, Some(3 | 20 | 27 | 38)) => {
                SegmentOutcome::Unreachable
            }
            _ if elsewhere() => SegmentOutcome::Elsewhere,
            (Some(DialStatus::Cancel), _) => SegmentOutcome::Cancelled,
            (None, Some(19)) => SegmentOutcome::NoAnswer,
            (None, None) if leg.ended.as_ref().is_some_and(|e| e.lost) => SegmentOutcome::Lost,
            _ => SegmentOutcome::Cancelled,
        }
    }

    /// How an offer ended, as far as that was told: that it was not taken is no reason.
    fn told_outcome(&self, index: usize) -> Option<SegmentOutcome> {
        let outcome = self.ring_outcome(index);
        let guessed = outcome == SegmentOutcome::Cancelled && self.facts.dial_status(index).is_none();
        (!self.facts.dialogs_alone() || !guessed).then_some(outcome)
    }

    fn segments(&self, lost: bool) -> Vec<Segment> {
        let mut list: Vec<(Moment, Segment)> = Vec::new();
        let mut add =
            |kind, leg: Option<usize>, agent: Option<AgentId>, queue: Option<&str>, (from, to): Stretch, outcome| {
                let party = leg.and_then(|i| self.party(i));
                let queue = queue.map(str::to_owned);
                list.push((from, Segment { kind, party, agent, queue, from: from.wall, to: to.wall, outcome }));
            };
        let queues = self.queues();
        for (n, (name, from, to)) in queues.iter().enumerate() {
            // Who takes the call from a phone that the queue rings answers the queue.
            let taken = self.talkers().into_iter().filter(|o| self.leg(o.index).is_some_and(|l| l.incoming));
            let mut answers = self.offered().filter_map(|l| l.up).chain(taken.filter_map(began));
            let answered = answers.any(|up| from.until(up) && (up.until(*to) || near(up, *to)))
                && queues
                    .get(n + 1)
                    .is_none_or(|next| self.talkers().iter().any(|o| began(o).is_some_and(|b| b.until(next.1))));
            let outcome = if answered {
                SegmentOutcome::Answered
            } else if queues.get(n + 1).is_some_and(|next| {
                !self.talkers().iter().any(|o| began(o).is_some_and(|b| to.until(b) && b.until(next.1)))
            }) {
                SegmentOutcome::Overflow
            } else if lost {
                SegmentOutcome::Lost
            } else if self.far_leg().is_some_and(|l| l.asked_end.is_some_and(|at| at.until(*to) || near(at, *to))) {
                SegmentOutcome::Abandoned
            } else {
                SegmentOutcome::Timeout
            };
            add(SegmentKind::Queue, self.far, None, Some(name), (*from, *to), Some(outcome));
        }
        let rung = self.others.iter().map(|o| o.index).chain(self.far.filter(|_| !self.inbound()));
        for index in rung {
            // Who picks up was not rung.
            let Some(leg) = self.leg(index).filter(|l| !l.incoming && !l.pickup) else { continue };
            let dialled = leg.dial.as_ref().map(|d| d.at).filter(|_| !self.facts.dialogs_alone());
            let Some(from) = leg.ringing.or(dialled) else { continue };
            let to = leg.settled().unwrap_or(self.end).later(from);
            let queue = queues.iter().rev().find(|(_, qfrom, qto)| {
                qfrom.until(from)
                    && from.until(*qto)
                    && self.facts.transfers.iter().all(|t| !(qfrom.until(t.at) && t.at.until(from)))
            });
            let outcome = self.told_outcome(index);
            add(SegmentKind::Ring, Some(index), leg.agent.clone(), queue.map(|q| q.0), (from, to), outcome);
        }
        for other in &self.others {
            let agent = self.leg(other.index).and_then(|l| l.agent.clone());
            // Between the retrieve and the transfer of a REFER lies a talk of no length (trace e).
            let brief = |s: &&Stretch| other.talk.len() == 1 || s.1.since(s.0) != Some(0);
            let rooms = self.conferences(other.index);
            for talk in other.talk.iter().filter(brief) {
                let parts = if rooms.is_empty() { vec![*talk] } else { without(&[*talk], &rooms) };
                for part in parts {
                    add(SegmentKind::Talk, Some(other.index), agent.clone(), None, part, None);
                }
            }
            for hold in &other.hold {
                add(SegmentKind::Hold, Some(other.index), agent.clone(), None, *hold, None);
            }
        }
        for (index, leg) in self.facts.legs.iter().enumerate().filter(|(_, l)| l.real()) {
            let agent =
                leg.agent.as_ref().filter(|_| self.far != Some(index) || self.direction == Some(Direction::Internal));
            for stretch in self.conferences(index) {
                add(SegmentKind::Conference, Some(index), agent.cloned(), None, stretch, None);
            }
        }
        for (_, span) in self.far_leg().map(|l| l.parks.as_slice()).unwrap_or_default() {
            let parker = self.facts.transfers.iter().find(|t| near(t.at, span.from)).map(|t| usize::from(t.by));
            let agent = parker.and_then(|index| self.leg(index)?.agent.clone());
            add(SegmentKind::Park, self.far, agent, None, (span.from, span.end(self.end)), None);
        }
        for (index, leg) in self.facts.legs.iter().enumerate() {
            for (listener, span) in &leg.listeners {
                let stretch = (span.from, span.end(self.end));
                add(SegmentKind::Monitor, Some(index), listener.agent.clone(), None, stretch, None);
            }
        }
        if let Some((far, stretch)) = self.ivr() {
            add(SegmentKind::Ivr, Some(far), None, None, stretch, None);
        }
        for (index, leg) in self.facts.legs.iter().enumerate() {
            let by_leg = self.facts.dialler(index).filter(|d| self.facts.consults(*d));
            let Some(asker) = by_leg.or_else(|| self.facts.asked_through(index)).filter(|_| leg.real()) else {
                continue;
            };
            let Some(asking) = self.leg(asker) else { continue };
            let from = leg.dial.as_ref().map_or(leg.created, |d| d.at);
            // Who never answered was asked until the dial's end.
            let unanswered = leg.status.filter(|_| leg.up.is_none()).map(|(_, at)| at);
            let ends =
                [unanswered, asking.released, asking.ended.as_ref().map(|e| e.at), leg.ended.as_ref().map(|e| e.at)];
            let to = ends.into_iter().flatten().reduce(Moment::earlier).unwrap_or(self.end).later(from);
            add(SegmentKind::Consult, Some(index), asking.agent.clone(), None, (from, to), None);
        }
        list.sort_by(|a, b| order(Some(a.0), Some(b.0)));
        list.into_iter().map(|(_, segment)| segment).collect()
    }
}

/// What the switch calls this call.
fn recordings(settings: Option<&Recordings>, facts: &Facts) -> Vec<Recording> {
    let Some(settings) = settings else { return Vec::new() };
    let mut found: Vec<(Moment, Recording)> = Vec::new();
    for leg in &facts.legs {
        for (file, span) in &leg.recordings {
            let state = match (span.to, &leg.ended) {
                (None, _) => RecordingState::Recording,
                (Some(_), Some(ended)) if ended.lost && span.to == Some(ended.at) => RecordingState::Lost,
                (Some(_), _) => RecordingState::Recorded,
            };
            let recording = Recording {
                id: Private::new(settings.id(file.expose()).to_owned()),
                from: span.from.wall,
                // Only AMI tells of a recording that is stopped before its leg ends.
                to: span.to.filter(|_| span.told_by(Feed::Ami.bit())).and_then(|at| at.wall),
                uri: Private::new(settings.uri(file.expose())),
                state,
            };
            // Several legs may be told to record into one file.
            if !found.iter().any(|(_, known)| known.id == recording.id) {
                found.push((span.from, recording));
            }
        }
    }
    found.sort_by_key(|(from, _)| (from.wall, from.order));
    found.into_iter().map(|(_, recording)| recording).collect()
}

fn ids(switch: &SwitchId, facts: &Facts) -> Vec<Id> {
    let mut list: Vec<Id> = Vec::new();
    let mut add = |kind: &str, value: &str| {
        let id = Id { switch: switch.clone(), kind: kind.to_owned(), value: value.to_owned() };
        if !list.contains(&id) {
            list.push(id);
        }
    };
    for leg in &facts.legs {
        if let Some(linked) = &leg.linked {
            add("linkedid", linked);
        }
    }
    for leg in facts.legs.iter().filter(|l| l.real()) {
        add(if facts.told & Feed::Esl.bit() == 0 { "uniqueid" } else { "uuid" }, &leg.id);
        if let Some(sip) = &leg.sip_call_id {
            add("sip-call-id", sip);
        }
    }
    for leg in facts.legs.iter().filter(|l| l.kind != Kind::Plumbing) {
        for (bridge, _) in &leg.bridges {
            add("bridge", bridge);
        }
    }
    for edge in &facts.edges {
        if let Some(value) = &edge.call_id {
            let id = Id { switch: edge.switch.clone(), kind: "sip-call-id".to_owned(), value: value.clone() };
            if !list.contains(&id) {
                list.push(id);
            }
        }
    }
    list
}

fn number_of(leg: &Leg) -> Option<Private<String>> {
    let text = leg.dial.as_ref()?.number.as_ref()?.expose();
    let text = text.split('@').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
    (!text.is_empty()).then(|| Private::new(text.to_owned()))
}

fn began(other: &Other) -> Option<Moment> {
    other.talk.iter().chain(&other.hold).map(|(from, _)| *from).reduce(Moment::earlier)
}

/// Stamps of one event's many sides differ by some milliseconds.
fn near(a: Moment, b: Moment) -> bool {
    match (a.wall, b.wall) {
        (Some(a), Some(b)) => a.0.abs_diff(b.0) <= 500,
        _ => false,
    }
}

fn order(a: Option<Moment>, b: Option<Moment>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) if a == b => Ordering::Equal,
        (Some(a), Some(b)) if a.until(b) => Ordering::Less,
        (Some(_), Some(_)) => Ordering::Greater,
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

fn both(a: &[Stretch], b: &[Stretch]) -> Vec<Stretch> {
    let mut out = Vec::new();
    for (from, to) in a {
        for (begin, end) in b {
            let (x, y) = (from.later(*begin), to.earlier(*end));
            if x.until(y) && x != y {
                out.push((x, y));
            }
        }
    }
    out
}

fn without(a: &[Stretch], cut: &[Stretch]) -> Vec<Stretch> {
    let mut left = a.to_vec();
    for (begin, end) in cut {
        let mut next = Vec::new();
        for (from, to) in left {
            if to.until(*begin) || end.until(from) {
                next.push((from, to));
                continue;
            }
            if from.until(*begin) && from != *begin {
                next.push((from, *begin));
            }
            if end.until(to) && *end != to {
                next.push((*end, to));
            }
        }
        left = next;
    }
    left
}

fn union(mut list: Vec<Stretch>) -> Vec<Stretch> {
    list.sort_by(|a, b| order(Some(a.0), Some(b.0)));
    let mut out: Vec<Stretch> = Vec::new();
    for (from, to) in list {
        match out.last_mut() {
            Some(last) if from.until(last.1) => last.1 = last.1.later(to),
            _ => out.push((from, to)),
        }
    }
    out
}

/// Milliseconds of all stretches; `None` where one has no times.
fn length(list: &[Stretch]) -> Option<u64> {
    list.iter().map(|(from, to)| to.since(*from)).sum()
}
