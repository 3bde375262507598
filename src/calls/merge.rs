//! A snapshot meets what is known: what is gone is lost, what is new is adopted, what goes on goes on.

use std::collections::{HashMap, HashSet};

use crate::words::{Mono, Now};

use super::{
    board::Board,
    book::Desk,
    event::{LegState, Snapshot, SnapshotLeg},
    facts::{Dial, Moment},
};

impl Board {
    /// Takes what exists now. Calls of which nothing is left end as lost; legs that are not known are adopted.
    pub fn merge(&mut self, desk: &mut Desk, now: Now, at: Moment, snapshot: Snapshot) {
        let bit = snapshot.feed.bit();
        let listed: HashMap<&str, &SnapshotLeg> = snapshot.legs.iter().map(|l| (l.leg.id.as_str(), l)).collect();
        let waits: HashSet<&str> = snapshot.waiting.iter().map(|w| w.leg.as_str()).collect();
        self.lose_missing(desk, now, &listed, snapshot.asked);
        for found in &snapshot.legs {
            self.find(desk, now, at, found);
        }
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
            self.settle(desk, now, at, key);
        }
    }

    /// Legs that we know and the switch does not: nobody saw them end.
    fn lose_missing(&mut self, desk: &mut Desk, now: Now, listed: &HashMap<&str, &SnapshotLeg>, asked: Option<Mono>) {
        let mut gone = Vec::new();
        for (key, call) in &self.calls {
            if call.over.is_some() {
                continue;
            }
            // Heard of since the lists were asked for: the list may be older than the leg.
            let fresh = asked.is_some_and(|asked| call.heard >= asked);
            if fresh {
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

    /// One listed leg: known, or adopted as it stands.
    fn find(&mut self, desk: &mut Desk, now: Now, at: Moment, found: &SnapshotLeg) {
        if let Some(&place) = self.legs.get(&found.leg.id) {
            self.tie_linked(desk, now, &found.leg);
            if let Some(leg) = self.leg_mut(place)
                && leg.ended.is_none()
                && leg.reach(found.state, at)
            {
                // When it came up is not told.
                leg.adopted = true;
            }
            return;
        }
        let created = Moment { wall: found.created.or(at.wall), ..at };
        let Some(place) = self.insert(desk, &found.leg, created) else { return };
        // Who runs `AppDial` or `AppQueue` was called; who runs anything else came in.
        let called = found.application.starts_with("AppDial")
            || found.application == "AppQueue"
            || matches!(found.state, LegState::Down | LegState::Ringing);
        if let Some(leg) = self.leg_mut(place) {
            leg.adopted = true;
            leg.incoming = leg.real() && !called;
            leg.number.clone_from(&found.caller.number);
            leg.shown_name.clone_from(&found.caller.name);
            leg.dialled.clone_from(&found.dialled);
            leg.reach(found.state, at);
        }
        self.tie_linked(desk, now, &found.leg);
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
        let caller = call
            .facts
            .legs
            .iter()
            .position(|l| l.real() && l.incoming && l.ended.is_none())
            .and_then(|i| u16::try_from(i).ok());
        let Some(by) = caller else { return };
        for leg in &mut call.facts.legs {
            let listed = listed.contains_key(leg.id.as_str());
            if listed && leg.adopted && leg.dial.is_none() && !leg.incoming && leg.real() {
                leg.dial = Some(Dial { at: leg.created, by: Some(by), number: None, presented: None });
            }
        }
    }
}
