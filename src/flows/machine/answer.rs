//! What a system's answer means for its step.

use serde_json::{Map, Value};

use super::{
    super::{
        Settings,
        compile::{Plan, Step},
        template,
    },
    Answered, DoneThere, Mark, Run, Stop, Task, TaskKind,
    sight::{Leaf, Place},
};
use crate::{
    connectors::Outcome,
    records::judge::{self, Try},
    store::Next,
    words::Wall,
};

/// What a step's answer may weigh and be kept whole; of a larger one the id, type and address are.
const KEPT: usize = 64 * 1024;

impl Run {
    pub fn answered(&mut self, plan: &Plan, answered: Answered, now: Wall, settings: &Settings) {
        let Answered { path, undo, outcome, can, dice } = answered;
        let Some(place) = self.places(plan).into_iter().find(|place| place.path == path) else { return };
        let Leaf::Step(step) = place.leaf else { return };
        let marks = if undo { &self.undos } else { &self.marks };
        let Some(Mark::Trying(trying)) = marks.get(&path).filter(|mark| matches!(mark, Mark::Trying(t) if t.sent))
        else {
            return;
        };
        let mut trying = trying.clone();
        let within = match undo {
            true => settings.undo_within_ms,
            false => step.within_ms.unwrap_or(settings.within_ms),
        };
        let mut delivery = settings.delivery(within);
        let reads = !undo && !step.operation.writes;
        if reads {
            // What only reads may be asked again at once.
            delivery.quiet_ms = 0;
        }
        let this = Try { now, born_at: trying.born_at, attempts: trying.attempts, unsure: trying.unsure, dice };
        let next = match &outcome {
            // Asked, and it is not there: for a question that is an answer.
            Outcome::NotFound if reads => Next::Done { result: None },
            outcome => judge::judge(outcome, &can, this, &delivery),
        };
        match next {
            Next::Done { .. } => {
                let result = match outcome {
                    Outcome::Ok(value) => kept(value),
                    _ => Value::Null,
                };
                if undo {
                    let mark = Mark::Done { at: now, order: 0, result: Value::Null.into(), by: None };
                    self.undos.insert(path, mark);
                } else {
                    self.succeeded(plan, &place, step, result, now);
                }
            }
            Next::Later { due_at, reason, unsure } => {
                trying.attempts = trying.attempts.saturating_add(1);
                (trying.due_at, trying.unsure, trying.sent, trying.reason) = (due_at, unsure, false, Some(reason));
                self.set(&path, undo, Mark::Trying(trying));
            }
            // A flow's steps have no other version.
            Next::Elsewhere => self.set(&path, undo, Mark::Trying(trying)),
            Next::Back { unsure } => {
                (trying.unsure, trying.sent) = (unsure, false);
                self.set(&path, undo, Mark::Trying(trying));
            }
            Next::Dead { reason, .. } | Next::Person { reason } if undo => {
                self.hand_over(plan, &place, step, TaskKind::Undo, reason, now)
            }
            Next::Dead { reason, unsure: true } if !reads => self.unknown(plan, &place, step, reason, now),
            Next::Dead { reason, .. } => self.failed(plan, &place, step, reason, now),
            Next::Person { reason } => self.unknown(plan, &place, step, reason, now),
        }
    }

    fn succeeded(&mut self, plan: &Plan, place: &Place<'_>, step: &Step, result: Value, now: Wall) {
        let mut context = self.context(plan, &place.loops);
        context.insert("result".to_owned(), result.clone());
        let context = template::context(context);
        let missed = step.require.iter().find_map(|(that, otherwise)| match that.eval(&context) {
            Ok(value) if value.is_true() => None,
            Ok(_) => Some(otherwise.clone()),
            Err(why) => Some(format!("{otherwise} ({why})")),
        });
        match missed {
            None => self.done(&place.path, result, None, now),
            Some(reason) if step.operation.writes => {
                // It was done, if not as it should be: so it is taken back with the rest.
                self.done(&place.path, result, None, now);
                if !self.behind_pivot(plan) {
                    let step = Some(place.path.clone());
                    self.stop.get_or_insert(Stop { at: now, step, reason, who: None, why: None });
                }
            }
            Some(reason) => self.failed(plan, place, step, reason, now),
        }
    }

    pub(super) fn set(&mut self, path: &str, undo: bool, mark: Mark) {
        let marks = if undo { &mut self.undos } else { &mut self.marks };
        marks.insert(path.to_owned(), mark);
    }

    pub(super) fn done(&mut self, path: &str, result: Value, by: Option<String>, now: Wall) {
        self.count += 1;
        let mark = Mark::Done { at: now, order: self.count, result: result.into(), by };
        self.marks.insert(path.to_owned(), mark);
    }

    /// Surely not done.
    pub(super) fn failed(&mut self, plan: &Plan, place: &Place<'_>, step: &Step, reason: String, now: Wall) {
        if !step.may_fail && self.behind_pivot(plan) {
            return self.hand_over(plan, place, step, TaskKind::Finish, reason, now);
        }
        self.marks.insert(place.path.clone(), Mark::Failed { at: now, reason, passed: step.may_fail });
    }

    /// Perhaps done. Where the flow goes on without it and there is nothing to take back, nobody need look.
    pub(super) fn unknown(&mut self, plan: &Plan, place: &Place<'_>, step: &Step, reason: String, now: Wall) {
        if step.may_fail && step.undo.is_none() {
            self.marks.insert(place.path.clone(), Mark::Failed { at: now, reason, passed: true });
        } else {
            self.hand_over(plan, place, step, TaskKind::Decide, reason, now);
        }
    }

    pub(super) fn hand_over(
        &mut self,
        plan: &Plan,
        place: &Place<'_>,
        step: &Step,
        kind: TaskKind,
        reason: String,
        now: Wall,
    ) {
        let undo = kind == TaskKind::Undo;
        let (system, operation) = match (&step.undo, undo) {
            (Some(undo), true) => (undo.system.clone(), undo.operation.name),
            _ => (step.system.clone(), step.operation.name),
        };
        let inputs = self.inputs(plan, place, step, undo).unwrap_or_default();
        let task = u32::try_from(self.tasks.len()).unwrap_or(u32::MAX).saturating_add(1);
        self.tasks.push(Task {
            task,
            kind,
            step: place.path.clone(),
            system,
            operation: operation.to_owned(),
            key: self.key(&place.path, undo).0,
            inputs: Value::Object(inputs).into(),
            reason: reason.clone(),
            at: now,
            done: self.done_so_far(plan),
            taken: None,
            settled: None,
        });
        self.set(&place.path, undo, Mark::Person { at: now, reason, task });
    }

    fn done_so_far(&self, plan: &Plan) -> Vec<DoneThere> {
        let mut done: Vec<(u32, DoneThere)> = (self.places(plan).into_iter())
            .filter_map(|place| {
                let (Leaf::Step(step), Some(Mark::Done { at, order, result, .. })) =
                    (place.leaf, self.marks.get(&place.path))
                else {
                    return None;
                };
                let undone = matches!(self.undos.get(&place.path), Some(Mark::Done { .. }));
                if !step.operation.writes || undone {
                    return None;
                }
                let id = result.expose().get("id").map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned));
                let (system, operation) = (step.system.clone(), step.operation.name.to_owned());
                Some((*order, DoneThere { step: place.path, system, operation, id: id.map(Into::into), at: *at }))
            })
            .collect();
        done.sort_by_key(|(order, _)| *order);
        done.into_iter().map(|(_, done)| done).collect()
    }
}

fn kept(value: Value) -> Value {
    if value.to_string().len() <= KEPT {
        return value;
    }
    let mut small = Map::new();
    for name in ["id", "type", "url"] {
        if let Some(part) = value.get(name).filter(|part| part.to_string().len() < 1_000) {
            small.insert(name.to_owned(), part.clone());
        }
    }
    Value::Object(small)
}
