//! A snapshot meets what is known: what is gone is lost, what is new is adopted, what goes on goes on.

use std::collections::{HashMap, HashSet};

use crate::words::{Mono, Now};

use super::{
    board::Board,
    book::Desk,
    event::{LegState, Snapshot, SnapshotLeg},
    facts::{Dial, Kind, Moment},
};

impl Board {
    /// Takes what exists now. Calls of which nothing is left end as lost; legs that are not known are adopted.
    pub fn merge(&mut self, desk: &mut Desk, now: Now, at: Moment, snapshot: Snapshot) {
        let bit = snapshot.feed.bit();
        let listed: HashMap<&str, &SnapshotLeg> = snapshot.legs.iter().map(|l| (l.leg.id.as_str(), l)).collect();
        let waits: HashSet<&str> = snapshot.waiting.iter().map(|w| w.leg.as_str()).collect();
        self.feeds |= bit;
        // First who is there, tied to whom the switch ties them to: of a call some legs may be gone and others new.
        for found in &snapshot.legs {
            self.find(desk, now, at, bit, found);
        }
        self.lose_missing(desk, now, &listed, snapshot.asked);
        self.left_unseen(&snapshot, bit);
        for found in &snapshot.legs {
            self.tie_linked(desk, now, &found.leg);
            if found.application == "Queue" {
                let queue = found.data.split(',').next().unwrap_or_default();
                let waits = waits.contains(found.leg.id.as_str());
                self.in_queue(desk, now, at, bit, found, queue, waits);
            }
        }
        for waiting in &snapshot.waiting {
            if let Some(found) = listed.get(waiting.leg.as_str()) {
                let since =
                    at.wall.zip(waiting.wait_ms).map(|(wall, ms)| wall.plus_ms(-i64::try_from(ms).unwrap_or(0)));
                let from = Moment { wall: since.or(at.wall), ..at };
                self.in_queue(desk, now, from, bit, found, &waiting.queue, true);
            }
        }
        for bridge in &snapshot.bridges {
            for id in &bridge.legs {
                if let Some(found) = listed.get(id.as_str()) {
                    self.bridge_enter(desk, now, at, bit, found.leg.clone(), bridge.id.clone(), bridge.kind);
                }
            }
        }
        let mut keys: Vec<u32> =
            snapshot.legs.iter().filter_map(|l| self.legs.get(&l.leg.id)).map(|(key, _)| *key).collect();
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            self.dialled_by_caller(key, &listed);
        }
        let mut keys: Vec<u32> =
            snapshot.legs.iter().filter_map(|l| self.legs.get(&l.leg.id)).map(|(key, _)| *key).collect();
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            // Listed, so where it stands is known again.
            if let Some(call) = self.calls.get_mut(&key).filter(|c| c.over.is_none()) {
                call.facts.blind = false;
            }
            self.settle(desk, now, at, key);
        }
    }

    /// Legs that we know and the switch does not: nobody saw them end. Without a list of legs nothing is known of who is gone.
    fn lose_missing(&mut self, desk: &mut Desk, now: Now, listed: &HashMap<&str, &SnapshotLeg>, asked: Option<Mono>) {
        let Some(asked) = asked else { return };
        let mut gone = Vec::new();
        for (key, call) in &self.calls {
            // Heard of since the lists were asked for: the list may be older than the leg.
            if call.over.is_some() || call.heard >= asked {
                continue;
            }
            for (index, leg) in call.facts.legs.iter().enumerate() {
                if leg.ended.is_none() && !listed.contains_key(leg.id.as_str()) {
                    gone.push((*key, u16::try_from(index).unwrap_or(u16::MAX)));
                }
            }
        }
        gone.sort_unstable();
        for place in &gone {
            let Some(last) = self.calls.get(&place.0).map(|c| c.facts.last) else { continue };
            self.lose(*place, last);
        }
        let mut keys: Vec<u32> = gone.into_iter().map(|(key, _)| key).collect();
        keys.dedup();
        for key in keys {
            let Some(last) = self.calls.get(&key).map(|c| c.facts.last) else { continue };
            self.settle(desk, now, last, key);
        }
    }

    /// Who is listed and not in the bridge where we saw them left it unseen, when they were last heard of at the latest.
    fn left_unseen(&mut self, snapshot: &Snapshot, bit: u8) {
        let rooms: HashSet<(&str, &str)> =
            snapshot.bridges.iter().flat_map(|b| b.legs.iter().map(|l| (b.id.as_str(), l.as_str()))).collect();
        for found in &snapshot.legs {
            let id = found.leg.id.as_str();
            let Some(&(key, index)) = self.legs.get(id) else { continue };
            let Some(call) = self.calls.get_mut(&key) else { continue };
            // Heard of since the lists were asked for: the list may be older than the bridge.
            if snapshot.asked.is_some_and(|asked| call.heard >= asked) {
                continue;
            }
            let last = call.facts.last;
            let Some(leg) = call.facts.legs.get_mut(usize::from(index)) else { continue };
            for (bridge, span) in leg.bridges.iter_mut().chain(&mut leg.parks) {
                if span.to.is_none() && !rooms.contains(&(bridge.as_str(), id)) {
                    span.close(last, bit);
                }
            }
        }
    }

    /// One listed leg: known, or adopted as it stands.
    pub(super) fn find(&mut self, desk: &mut Desk, now: Now, at: Moment, bit: u8, found: &SnapshotLeg) {
        let known = self.legs.get(&found.leg.id).copied();
        let created = Moment { wall: found.created.or(at.wall), ..at };
        let Some(place) = known.or_else(|| self.insert(desk, &found.leg, created)) else { return };
        // Who runs `AppDial` or `AppQueue` was called; who runs anything else came in.
        let called = found.application.starts_with("AppDial")
            || found.application == "AppQueue"
            || matches!(found.state, LegState::Down | LegState::Ringing);
        if let Some(leg) = self.leg_mut(place).filter(|l| l.ended.is_none()) {
            leg.adopted |= known.is_none();
            // Also one that an event told of in passing: an event has neither who came in nor what was dialled.
            if leg.adopted {
                // Who came in over a trunk begins the group; of another's group it was called, and runs the dialplan since a transfer.
                let own =
                    leg.kind != Kind::Trunk || found.leg.linked.as_ref().is_none_or(|linked| *linked == found.leg.id);
                leg.incoming |= leg.real() && !called && own && leg.dial.is_none();
                // What the switch dials for itself (Originate) runs this.
                if found.application == "AppDial2" && leg.dial.is_none() {
                    leg.dial = Some(Dial { at: created, by: None, number: None, presented: None });
                }
                // One that is known from its first event has a better time than the list's whole second.
                if leg.number.is_none() {
                    leg.created = leg.created.earlier(created);
                }
                leg.number = leg.number.take().or_else(|| found.caller.number.clone());
                leg.shown_name = leg.shown_name.take().or_else(|| found.caller.name.clone());
                leg.dialled = leg.dialled.take().or_else(|| found.dialled.clone());
            }
            // ARI says a step again that it is in (`Queue` at a REFER, trace d): that is none then.
            if !found.application.is_empty() {
                leg.step(at, found.application.clone(), found.data.clone());
            }
            // When it came to this state is not told.
            leg.adopted |= leg.reach(found.state, at);
        }
        self.tie_linked(desk, now, &found.leg);
        for (name, value) in &found.variables {
            // When it began is not listed.
            self.recording(desk, now, Moment { wall: None, ..at }, bit, &found.leg, name, value.expose());
            // Who was called has what was inherited then; who came in has what is true now.
            let incoming =
                self.legs.get(&found.leg.id).copied().and_then(|p| self.leg_mut(p)).is_some_and(|l| l.incoming);
            let at = if incoming { at } else { created.earlier(at) };
            self.variable(desk, now, at, bit, &found.leg, name, value.expose());
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of one line of a list")]
    fn in_queue(
        &mut self,
        desk: &mut Desk,
        now: Now,
        at: Moment,
        bit: u8,
        found: &SnapshotLeg,
        queue: &str,
        waits: bool,
    ) {
        if queue.is_empty() {
            return;
        }
        let Some(&place) = self.legs.get(&found.leg.id) else { return };
        let Some(leg) = self.leg_mut(place) else { return };
        if leg.queues.iter().any(|(name, span)| name == queue && (span.to.is_none() || !waits)) {
            return;
        }
        self.queue_join(desk, now, at, bit, &found.leg, queue.to_owned());
    }

    /// A call's listed legs that were called, by a leg of the same group: the list does not say by whom, but only one can be.
    fn dialled_by_caller(&mut self, key: u32, listed: &HashMap<&str, &SnapshotLeg>) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let callers: Vec<(u16, String)> = (0..)
            .zip(&call.facts.legs)
            .filter(|(_, l)| l.real() && l.incoming && l.ended.is_none())
            .map(|(index, l)| (index, l.id.clone()))
            .collect();
        for leg in &mut call.facts.legs {
            let called = listed.contains_key(leg.id.as_str()) && leg.dial.is_none() && !leg.incoming && leg.real();
            // The group is named after who called; a colleague who is asked is in the asking agent's group.
            let own = callers.iter().find(|(_, id)| Some(id) == leg.linked.as_ref());
            if called && let Some((by, _)) = own.or(callers.first()) {
                leg.dial = Some(Dial { at: leg.created, by: Some(*by), number: None, presented: None });
            }
        }
    }
}
