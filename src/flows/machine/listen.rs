//! Waiting for an answer: when it begins, what ends it.

use serde_json::Value;

use super::{
    super::{
        answers::{Answer, Mailbox},
        compile::{self, Plan},
        template,
        why::{self, Part},
    },
    Mark, Run,
    sight::{Leaf, Place},
};
use crate::words::Wall;

/// Answers that nobody waits for yet, at most.
const EARLY: usize = 20;

impl Run {
    pub(super) fn at_answer(&mut self, plan: &Plan, now: Wall, place: &Place<'_>, wanted: &compile::Answer) {
        // Behind a pivot nothing is taken back: then it goes on without an answer.
        let passed = wanted.may_fail || self.behind_pivot(plan);
        let failed = |reason: &str| Mark::Failed { at: now, reason: reason.to_owned(), passed };
        match self.marks.get(&place.path) {
            None => {
                let context = template::context(self.context(plan, &place.loops));
                let holds = wanted.when.as_ref().map_or(Ok(true), |when| Ok(when.eval(&context)?.is_true()));
                let to = || match template::value(&wanted.to, &context) {
                    Ok(Value::String(key)) if !key.trim().is_empty() => Some(key),
                    Ok(Value::Number(key)) => Some(key.to_string()),
                    _ => None,
                };
                let mark = match holds.map_err(|_: String| ()) {
                    Ok(false) => Mark::Skipped,
                    Err(()) => failed(&Part::Condition.unworkable("")),
                    Ok(true) => match to() {
                        None => failed(why::NO_ID),
                        Some(key) => {
                            let mailbox = Mailbox::of(&wanted.system, &key);
                            if let Some(n) = self.early.iter().position(|(of, _)| *of == mailbox) {
                                let (_, answer) = self.early.remove(n);
                                return self.done(&place.path, answer.result(), None, now);
                            }
                            let until = now.plus_ms(i64::try_from(wanted.within_ms).unwrap_or(i64::MAX));
                            Mark::Listening { since: now, until, mailbox }
                        }
                    },
                };
                self.marks.insert(place.path.clone(), mark);
            }
            Some(Mark::Listening { until, .. }) if *until <= now => {
                self.marks.insert(place.path.clone(), failed(why::NO_REPLY));
            }
            Some(_) => {}
        }
    }

    /// Whether somebody's word may come before a time is over.
    pub(in crate::flows) fn awaits(&self) -> bool {
        self.marks.values().any(|mark| matches!(mark, Mark::Listening { .. } | Mark::Waiting { .. }))
    }

    pub(super) fn hear_answer(
        &mut self,
        plan: &Plan,
        mailbox: &Mailbox,
        answer: &Answer,
        now: Wall,
    ) -> Result<(), &'static str> {
        if self.stop.is_some() {
            return Err("it is being taken back");
        }
        let known = |mark: &Mark| matches!(mark, Mark::Done { result, .. } if result.expose()["event"] == answer.event.as_str());
        let answers = self.places(plan).into_iter().filter(|place| matches!(place.leaf, Leaf::Answer(_)));
        let paths: Vec<String> = answers.map(|place| place.path).collect();
        let heard = paths.iter().filter_map(|path| self.marks.get(path)).any(known);
        if heard || self.early.iter().any(|(_, early)| early.event == answer.event) {
            return Err("it was heard before");
        }
        let waits = |path: &&String| matches!(self.marks.get(*path), Some(Mark::Listening { mailbox: of, .. }) if of == mailbox);
        match paths.iter().find(waits) {
            Some(path) => self.done(path, answer.result(), None, now),
            // A later step may wait for it.
            None if self.early.len() < EARLY => self.early.push((mailbox.clone(), answer.clone())),
            None => return Err("too many answers came"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        connectors::{self, Idempotency, Outcome, Set, hook},
        flows::{
            self, Settings,
            machine::{Answered, Cause},
        },
        words::{SystemId, TenantId},
    };

    const FLOW: &str = r#"
flow: two
schema: 1
title: Two answers
on: [button: {}]
steps:
  - step: {name: ask, system: chat, operation: notify, inputs: {text: who}, save: question, undo: none, may_fail: true}
  - answer: {name: first, system: chat, to: question.id, within_ms: 1000, save: first}
  - answer: {name: second, system: chat, to: question.id, within_ms: 1000, save: second, may_fail: true, when: "first.text != 'enough'"}
"#;

    fn begun(asked: Outcome) -> (Plan, Run) {
        let chat = include_str!("../../../config/demo/connectors/chat.yaml");
        let set = Set::new(vec![connectors::load_offline("chat.yaml", chat).unwrap()]);
        let plan = flows::read("two.yaml", FLOW, &set, &std::collections::BTreeSet::new())
            .unwrap_or_else(|p| panic!("{p:#?}"));
        let mut run = Run::new("F1".into(), &plan, TenantId::default(), None, Cause::default(), Wall(1));
        let wanted = run.turn(&plan, Wall(1), |_, _| Idempotency::Key).remove(0);
        let answered = Answered { path: wanted.path, undo: false, outcome: asked, can: Idempotency::Key, dice: 0.5 };
        run.answered(&plan, answered, Wall(2), &Settings::default());
        run.turn(&plan, Wall(2), |_, _| Idempotency::Key);
        (plan, run)
    }

    fn say(run: &mut Run, plan: &Plan, event: &str, text: &str, at: Wall) -> Result<(), &'static str> {
        let told = hook::Answer { key: "m1".into(), text: text.into(), who: "u".into(), name: None };
        let mailbox = Mailbox::of(&SystemId::from("chat"), "m1");
        let heard = run.hear_answer(plan, &mailbox, &Answer::of(event.into(), &told, None), at);
        run.turn(plan, at, |_, _| Idempotency::Key);
        heard
    }

    #[test]
    fn one_answer_is_one_steps_however_often_it_comes_and_the_next_one_is_the_nexts() {
        let (plan, mut run) = begun(Outcome::Ok(json!({"id": "m1"})));
        assert_eq!(run.row(Wall(2)).due_at, Some(Wall(1002)));
        assert_eq!(run.mailboxes(), [Mailbox::of(&SystemId::from("chat"), "m1")]);
        // Both before the run goes on: the second is kept for the step behind.
        let told = |text: &str| hook::Answer { key: "m1".into(), text: text.into(), who: "u".into(), name: None };
        let mailbox = run.mailboxes().remove(0);
        for (event, text) in [("e1", "one"), ("e2", "two")] {
            run.hear_answer(&plan, &mailbox, &Answer::of(event.into(), &told(text), None), Wall(3)).unwrap();
        }
        assert_eq!(say(&mut run, &plan, "e1", "one", Wall(3)), Err("it was heard before"));
        assert_eq!(run.state(), "done");
        let text = |step: &str| match &run.marks[step] {
            Mark::Done { result, .. } => result.expose()["text"].clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!((text("first"), text("second")), (json!("one"), json!("two")));
    }

    #[test]
    fn behind_a_pivot_it_goes_on_without_an_answer_and_nothing_is_taken_back() {
        let chat = include_str!("../../../config/demo/connectors/chat.yaml");
        let set = Set::new(vec![connectors::load_offline("chat.yaml", chat).unwrap()]);
        let flow = FLOW.replace("undo: none, may_fail: true", "undo: none, pivot: true");
        let none = std::collections::BTreeSet::new();
        let plan = flows::read("two.yaml", &flow, &set, &none).unwrap_or_else(|p| panic!("{p:#?}"));
        let mut run = Run::new("F1".into(), &plan, TenantId::default(), None, Cause::default(), Wall(1));
        let wanted = run.turn(&plan, Wall(1), |_, _| Idempotency::Key).remove(0);
        let outcome = Outcome::Ok(json!({"id": "m1"}));
        let answered = Answered { path: wanted.path, undo: false, outcome, can: Idempotency::Key, dice: 0.5 };
        run.answered(&plan, answered, Wall(2), &Settings::default());
        run.turn(&plan, Wall(2), |_, _| Idempotency::Key);
        run.turn(&plan, Wall(5000), |_, _| Idempotency::Key);
        assert!(
            matches!(run.marks["first"], Mark::Failed { passed: true, .. }) && run.stop.is_none(),
            "{:?}",
            run.stop
        );
    }

    #[test]
    fn nobody_answers_or_nothing_was_asked_or_it_is_taken_back() {
        let (plan, mut run) = begun(Outcome::Ok(json!({"id": "m1"})));
        run.turn(&plan, Wall(1001), |_, _| Idempotency::Key);
        assert_eq!(run.state(), "running");
        // An answer that was on disk in time counts, whenever it is heard.
        let mut late = run.clone();
        assert_eq!(say(&mut late, &plan, "e", "enough", Wall(5000)), Ok(()));
        assert_eq!(late.state(), "done");
        run.turn(&plan, Wall(1002), |_, _| Idempotency::Key);
        assert_eq!((run.state(), run.stop.as_ref().unwrap().reason.as_str()), ("undone", "nobody answered in time"));
        assert!(say(&mut run, &plan, "e", "late", Wall(1003)).is_err() && run.mailboxes().is_empty());
        let (_, run) = begun(Outcome::Invalid { reason: "no".into() });
        assert_eq!(run.stop.as_ref().unwrap().reason, "what was asked has no id, so nobody can be heard to answer it");
    }
}
