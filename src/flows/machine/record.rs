//! What a flow writes into its call's record.
//!
//! The record is the desk's, on another thread, and may have to be fetched from the disk first. So a step of this kind asks, and hears by a word that the desk
//! puts into the very transaction of the record. Until the word is there it asks again: the desk writes the same twice as once.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    super::{
        compile::{Plan, Record},
        template,
        why::{self, Part},
        word::{Said, Word},
    },
    Mark, Run, Trying,
    sight::{Leaf, Place},
    turn::Way,
};
use crate::{
    private::Private,
    store::FlowWordRow,
    words::{CallId, TenantId, Wall},
};

/// How long the desk may take before it is asked again; a call that is fetched from the disk takes milliseconds.
const AGAIN_MS: i64 = 5_000;

/// Attributes for a call's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inscription {
    pub tenant: TenantId,
    pub call: CallId,
    /// The flow's id and name, and the step of it that wants this.
    pub id: String,
    pub flow: String,
    pub step: String,
    /// Empty takes one back.
    pub values: BTreeMap<String, Private<String>>,
}

impl Inscription {
    /// The word that goes with the record.
    #[must_use]
    pub fn written(&self, at: Wall) -> FlowWordRow {
        self.word(Said::Written { step: self.step.clone() }, at)
    }

    /// The word that it is not, and never will be. `why` is free of personal data.
    #[must_use]
    pub fn refused(&self, why: String, at: Wall) -> FlowWordRow {
        self.word(Said::Unwritten { step: self.step.clone(), why }, at)
    }

    fn word(&self, said: Said, at: Wall) -> FlowWordRow {
        let word = Word { who: "linecard".to_owned(), roles: Vec::new(), via: None, said };
        word.row(&self.tenant, &self.id, format!("record {} {}", self.id, self.step), at)
    }
}

impl Run {
    /// What is to be written into the record, once the run is on disk as it is now.
    pub fn inscriptions(&mut self) -> Vec<Inscription> {
        std::mem::take(&mut self.wishes)
    }

    pub(super) fn at_record(&mut self, plan: &Plan, now: Wall, place: &Place<'_>, record: &Record) -> Way {
        let trying = match self.marks.get(&place.path) {
            None => match record.when.as_ref().map_or(Ok(true), |when| self.holds(plan, place, when)) {
                Ok(true) => Trying { born_at: now, due_at: now, attempts: 0, unsure: false, sent: false, reason: None },
                Ok(false) => {
                    self.marks.insert(place.path.clone(), Mark::Skipped);
                    return Way::Behind;
                }
                Err(why) => {
                    self.unwritten(plan, place, record, Part::Condition.unworkable(&why), now);
                    return self.way(&place.path);
                }
            },
            Some(Mark::Trying(trying)) if trying.due_at <= now => trying.clone(),
            Some(_) => return self.way(&place.path),
        };
        match self.inscription(plan, place, record) {
            Ok(wish) => {
                self.wishes.push(wish);
                let due_at = now.plus_ms(AGAIN_MS);
                let mark = Mark::Trying(Trying { due_at, attempts: trying.attempts.saturating_add(1), ..trying });
                self.marks.insert(place.path.clone(), mark);
            }
            Err(why) => self.unwritten(plan, place, record, why, now),
        }
        self.way(&place.path)
    }

    fn inscription(&self, plan: &Plan, place: &Place<'_>, record: &Record) -> Result<Inscription, String> {
        let call = self.call.ok_or(why::NO_CALL)?;
        let context = template::context(self.context(plan, &place.loops));
        let made = record.attributes.json(&plan.env, &context);
        let made = made.map_err(|why| Part::Record.unworkable(&why))?;
        let values = made.as_ref().and_then(Value::as_object).into_iter().flatten();
        let values = values.map(|(name, value)| {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Null => String::new(),
                other => other.to_string(),
            };
            (name.clone(), text.into())
        });
        Ok(Inscription {
            tenant: self.tenant.clone(),
            call,
            id: self.id.clone(),
            flow: self.flow.clone(),
            step: place.path.clone(),
            values: values.collect(),
        })
    }

    /// What the desk says of it.
    pub(super) fn heard_of(
        &mut self,
        plan: &Plan,
        step: &str,
        outcome: Result<(), &str>,
        now: Wall,
    ) -> Result<(), &'static str> {
        if !matches!(self.marks.get(step), Some(Mark::Trying(_))) {
            return Err("nothing waits there for the record");
        }
        let Some(place) = self.places(plan).into_iter().find(|place| place.path == step) else {
            return Err("there is no such step");
        };
        let Leaf::Record(record) = place.leaf else { return Err("nothing waits there for the record") };
        match outcome {
            Ok(()) => self.done(step, Value::Null, None, now),
            Err(why) => self.unwritten(plan, &place, record, why.to_owned(), now),
        }
        Ok(())
    }

    /// Behind a pivot the flow goes on without it: a person could do no more than the desk.
    fn unwritten(&mut self, plan: &Plan, place: &Place<'_>, record: &Record, reason: String, now: Wall) {
        let passed = record.may_fail || self.behind_pivot(plan);
        self.marks.insert(place.path.clone(), Mark::Failed { at: now, reason, passed });
    }
}
