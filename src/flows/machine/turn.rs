//! How a run goes on: what is next by its marks and its file, forward or back.

use serde_json::Value;

use super::{
    super::{
        compile::{Approval, Node, Plan, Step},
        template,
        why::{self, Part},
    },
    End, Mark, Run, Stop, TaskKind, Trying, Wanted,
    sight::{Leaf, Place},
};
use crate::{
    connectors::{Idempotency, words::Compiled},
    records::judge,
    store::Next,
    words::{SystemId, Wall},
};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Behind,
    Wait,
    Failed,
}

impl Run {
    /// Everything that can be concluded now; gives what is to be sent when the run is on disk.
    pub fn turn(&mut self, plan: &Plan, now: Wall, can: impl Fn(&SystemId, &str) -> Idempotency) -> Vec<Wanted> {
        if self.end.is_some() {
            return Vec::new();
        }
        let mut wanted = Vec::new();
        if self.stop.is_none() {
            // Again where a step went no further than its inputs: what stands behind it may be next.
            loop {
                let mut ready = Vec::new();
                let way = self.walk(plan, now, &plan.nodes, "", &[], &mut ready);
                if let Some((path, reason)) = self.first_failure() {
                    self.stop = Some(Stop { at: now, step: Some(path), reason, who: None, why: None });
                    break;
                }
                if way == Way::Behind {
                    self.end = Some(End { at: now, done: true });
                    return Vec::new();
                }
                let asked = ready.len();
                let sent: Vec<_> = ready.iter().filter_map(|place| self.send(plan, place, false, now, &can)).collect();
                let all = sent.len() == asked;
                wanted.extend(sent);
                if all {
                    break;
                }
            }
        }
        if self.stop.is_some() {
            wanted.extend(self.back(plan, now, &can));
        }
        wanted
    }

    fn first_failure(&self) -> Option<(String, String)> {
        self.marks.iter().find_map(|(path, mark)| match mark {
            Mark::Failed { reason, passed: false, .. } => Some((path.clone(), reason.clone())),
            _ => None,
        })
    }

    fn walk<'p>(
        &mut self,
        plan: &'p Plan,
        now: Wall,
        nodes: &'p [Node],
        prefix: &str,
        loops: &[(String, &'p str, usize)],
        ready: &mut Vec<Place<'p>>,
    ) -> Way {
        for node in nodes {
            let way = match node {
                Node::Step(step) => {
                    let place =
                        Place { path: format!("{prefix}{}", step.name), leaf: Leaf::Step(step), loops: loops.to_vec() };
                    self.at_step(plan, now, place, step, ready)
                }
                Node::Approval(approval) => {
                    let leaf = Leaf::Approval(approval);
                    let place = Place { path: format!("{prefix}{}", approval.name), leaf, loops: loops.to_vec() };
                    self.at_approval(plan, now, &place, approval)
                }
                Node::Record(record) => {
                    let leaf = Leaf::Record(record);
                    let place = Place { path: format!("{prefix}{}", record.name), leaf, loops: loops.to_vec() };
                    self.at_record(plan, now, &place, record)
                }
                Node::Answer(answer) => {
                    let path = format!("{prefix}{}", answer.name);
                    let place = Place { path, leaf: Leaf::Answer(answer), loops: loops.to_vec() };
                    self.at_answer(plan, now, &place, answer);
                    self.way(&place.path)
                }
                Node::Parallel(branches) => {
                    let mut all = Way::Behind;
                    for branch in branches {
                        let way = self.walk(plan, now, std::slice::from_ref(branch), prefix, loops, ready);
                        all = match (all, way) {
                            (Way::Failed, _) | (_, Way::Failed) => Way::Failed,
                            (Way::Wait, _) | (_, Way::Wait) => Way::Wait,
                            _ => Way::Behind,
                        };
                    }
                    all
                }
                Node::ForEach(each) => {
                    let path = format!("{prefix}{}", each.name);
                    if !self.lists.contains_key(&path) {
                        let context = template::context(self.context(plan, loops));
                        let list = template::value(&each.list, &context);
                        match list {
                            Ok(Value::Array(list)) if list.len() <= each.most => {
                                self.lists.insert(path.clone(), list);
                            }
                            Ok(Value::Array(list)) => {
                                return self.no_list(&path, why::too_many(list.len(), each.most), now);
                            }
                            Ok(_) => return self.no_list(&path, why::NO_LIST.to_owned(), now),
                            Err(why) => return self.no_list(&path, why, now),
                        }
                    }
                    let items = self.lists.get(&path).map_or(0, Vec::len);
                    let mut way = Way::Behind;
                    for n in 0..items {
                        let mut inner = loops.to_vec();
                        inner.push((path.clone(), &each.item, n));
                        way = self.walk(plan, now, &each.nodes, &format!("{path}[{n}]."), &inner, ready);
                        if way != Way::Behind {
                            break;
                        }
                    }
                    way
                }
            };
            if way != Way::Behind {
                return way;
            }
        }
        Way::Behind
    }

    fn no_list(&mut self, path: &str, reason: String, now: Wall) -> Way {
        self.marks.insert(path.to_owned(), Mark::Failed { at: now, reason, passed: false });
        Way::Failed
    }

    fn at_step<'p>(
        &mut self,
        plan: &Plan,
        now: Wall,
        place: Place<'p>,
        step: &Step,
        ready: &mut Vec<Place<'p>>,
    ) -> Way {
        if let Some(path) = place.asks()
            && !matches!(self.marks.get(&path), Some(Mark::Waiting { .. }))
            && match self.marks.get(&place.path) {
                None => true,
                Some(Mark::Trying(trying)) => !trying.sent,
                Some(_) => false,
            }
        {
            // Somebody has decided, or nobody need: a card would ask for nothing.
            self.marks.insert(place.path, Mark::Skipped);
            return Way::Behind;
        }
        match self.marks.get(&place.path) {
            None => {
                let holds = step.when.as_ref().map_or(Ok(true), |when| self.holds(plan, &place, when));
                match holds {
                    Ok(false) => {
                        self.marks.insert(place.path, Mark::Skipped);
                        Way::Behind
                    }
                    Ok(true) => {
                        let trying =
                            Trying { born_at: now, due_at: now, attempts: 0, unsure: false, sent: false, reason: None };
                        self.marks.insert(place.path.clone(), Mark::Trying(trying));
                        ready.push(place);
                        Way::Wait
                    }
                    Err(why) => {
                        self.failed(plan, &place, step, Part::Condition.unworkable(&why), now);
                        self.way(&place.path)
                    }
                }
            }
            Some(Mark::Trying(trying)) => {
                if !trying.sent && trying.due_at <= now {
                    ready.push(place);
                }
                Way::Wait
            }
            Some(_) => self.way(&place.path),
        }
    }

    pub(super) fn way(&self, path: &str) -> Way {
        match self.marks.get(path) {
            Some(Mark::Done { .. } | Mark::Skipped | Mark::Failed { passed: true, .. }) => Way::Behind,
            Some(Mark::Failed { .. }) => Way::Failed,
            _ => Way::Wait,
        }
    }

    fn at_approval(&mut self, plan: &Plan, now: Wall, place: &Place<'_>, approval: &Approval) -> Way {
        match self.marks.get(&place.path) {
            None => {
                let holds = approval.when.as_ref().map_or(Ok(true), |when| self.holds(plan, place, when));
                let sum = approval.amount.as_ref().map(|sum| {
                    let context = template::context(self.context(plan, &place.loops));
                    template::value(sum, &context)
                        .map(|sum| sum.as_str().map_or_else(|| sum.to_string(), str::to_owned))
                });
                let mark = match (holds, sum.transpose()) {
                    (Ok(false), _) => Mark::Skipped,
                    (Ok(true), Ok(amount)) => {
                        let until = now.plus_ms(i64::try_from(approval.within_ms).unwrap_or(i64::MAX));
                        Mark::Waiting { since: now, until, amount }
                    }
                    (Err(why), _) | (_, Err(why)) => {
                        Mark::Failed { at: now, reason: Part::Approval.unworkable(&why), passed: false }
                    }
                };
                self.marks.insert(place.path.clone(), mark);
            }
            Some(Mark::Waiting { until, .. }) if *until <= now => {
                let reason = why::NO_AGREEMENT.to_owned();
                self.marks.insert(place.path.clone(), Mark::Failed { at: now, reason, passed: false });
            }
            Some(_) => {}
        }
        self.way(&place.path)
    }

    pub(super) fn holds(&self, plan: &Plan, place: &Place<'_>, when: &Compiled) -> Result<bool, String> {
        Ok(when.eval(&template::context(self.context(plan, &place.loops)))?.is_true())
    }

    /// Marks the intent; `None`: nothing is sent, and its mark says why.
    fn send(
        &mut self,
        plan: &Plan,
        place: &Place<'_>,
        undo: bool,
        now: Wall,
        can: &impl Fn(&SystemId, &str) -> Idempotency,
    ) -> Option<Wanted> {
        let Leaf::Step(step) = place.leaf else { return None };
        let (system, operation) = match (&step.undo, undo) {
            (Some(undo), true) => (&undo.system, undo.operation),
            _ => (&step.system, step.operation),
        };
        let marks = if undo { &self.undos } else { &self.marks };
        let Some(Mark::Trying(trying)) = marks.get(&place.path) else { return None };
        let mut trying = trying.clone();
        if let Some(Next::Person { reason }) = judge::before(trying.unsure, &can(system, operation.name)) {
            match undo {
                true => self.hand_over(plan, place, step, TaskKind::Undo, reason, now),
                false => self.unknown(plan, place, step, reason, now),
            }
            return None;
        }
        match self.inputs(plan, place, step, undo) {
            Ok(inputs) => {
                trying.sent = true;
                self.set(&place.path, undo, Mark::Trying(trying));
                Some(Wanted {
                    path: place.path.clone(),
                    undo,
                    system: system.clone(),
                    operation: operation.name,
                    inputs,
                })
            }
            Err(why) => {
                let reason = Part::Inputs.unworkable(&why);
                match undo {
                    true => self.hand_over(plan, place, step, TaskKind::Undo, reason, now),
                    false => self.failed(plan, place, step, reason, now),
                }
                None
            }
        }
    }

    /// The way back: what is under way comes to its end, then what was done is undone, last first, one after the other.
    fn back(&mut self, plan: &Plan, now: Wall, can: &impl Fn(&SystemId, &str) -> Idempotency) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        let places = self.places(plan);
        let mut under_way = false;
        for place in &places {
            match self.marks.get(&place.path) {
                Some(Mark::Trying(trying)) if trying.sent => under_way = true,
                // It may have been done: that must be known before anything is taken back.
                Some(Mark::Trying(trying)) if trying.unsure => {
                    if trying.due_at <= now {
                        wanted.extend(self.send(plan, place, false, now, can));
                    }
                    under_way |= matches!(self.marks.get(&place.path), Some(Mark::Trying(_)));
                }
                Some(Mark::Trying(_) | Mark::Waiting { .. } | Mark::Listening { .. }) => {
                    let reason = why::NOT_TRIED.to_owned();
                    self.marks.insert(place.path.clone(), Mark::Failed { at: now, reason, passed: true });
                }
                _ => {}
            }
        }
        if under_way {
            return wanted;
        }
        let mut done: Vec<(u32, &Place<'_>)> = (places.iter())
            .filter(|place| matches!(place.leaf, Leaf::Step(step) if step.undo.is_some()))
            .filter_map(|place| match self.marks.get(&place.path) {
                Some(Mark::Done { order, .. }) => Some((*order, place)),
                _ => None,
            })
            .collect();
        done.sort_by_key(|(order, _)| std::cmp::Reverse(*order));
        for (_, place) in done {
            if !self.undos.contains_key(&place.path) {
                let trying =
                    Trying { born_at: now, due_at: now, attempts: 0, unsure: false, sent: false, reason: None };
                self.undos.insert(place.path.clone(), Mark::Trying(trying));
            }
            match self.undos.get(&place.path) {
                Some(Mark::Trying(trying)) if trying.sent => return wanted,
                Some(Mark::Trying(trying)) => {
                    if trying.due_at <= now {
                        wanted.extend(self.send(plan, place, true, now, can));
                    }
                    if matches!(self.undos.get(&place.path), Some(Mark::Trying(_))) {
                        return wanted;
                    }
                }
                _ => {}
            }
        }
        if self.open_tasks().next().is_none() {
            self.end = Some(End { at: now, done: false });
        }
        wanted
    }

    pub(super) fn behind_pivot(&self, plan: &Plan) -> bool {
        let done = |path: &str| matches!(self.marks.get(path), Some(Mark::Done { .. }));
        self.places(plan).iter().any(|place| matches!(place.leaf, Leaf::Step(step) if step.pivot) && done(&place.path))
    }
}
