//! What somebody says: who agrees, who refuses, what a person found or did.

use serde_json::{Value, json};

use super::{
    super::{
        compile::{Approval, Plan, may_agree},
        file::Approver,
        why,
        word::{Said, Settled, Word},
    },
    Mark, Run, SettledBy, Stop, Task, TaskKind, Trying,
    sight::{Leaf, Place},
};
use crate::words::{
    Wall,
    refusal::{Refusal, code},
};

/// To a word that comes too late, or too early.
pub(in crate::flows) const NOTHING_WAITS: &str = "nothing waits there for a word";

const OVER: &str = "it is over";
const NO_WAY_BACK: &str = "there is no way back any more";
const UNDOING: &str = "what was done is being taken back already";
const NO_TASK: &str = "there is no such task";
const SETTLED: &str = "the task is settled";

/// What [`Run::hear`] told, for whoever says it in another language.
pub(in crate::flows) fn refusal(why: &'static str) -> Refusal {
    let code = match why {
        OVER => code::FLOW_OVER,
        NO_WAY_BACK => code::NO_WAY_BACK,
        UNDOING => code::FLOW_UNDOING,
        NO_TASK => code::NO_TASK,
        SETTLED => code::TASK_SETTLED,
        _ => code::NOT_NOW,
    };
    Refusal::new(code, why).with("why", why)
}

impl Run {
    /// # Errors
    /// Why it changes nothing.
    pub fn hear(&mut self, plan: &Plan, word: &Word, now: Wall) -> Result<(), &'static str> {
        if self.end.is_some() {
            return Err(OVER);
        }
        match &word.said {
            Said::Approve { step } => {
                self.may_agree(plan, step, word)?;
                let result = json!({"by": word.who});
                self.done(step, result, Some(word.by()), now);
                Ok(())
            }
            Said::Refuse { step, why } => {
                self.may_refuse(plan, step, word)?;
                let reason = why::REFUSED.to_owned();
                self.marks.insert(step.clone(), Mark::Failed { at: now, reason: reason.clone(), passed: false });
                let (step, who) = (Some(step.clone()), Some(word.by()));
                self.stop = Some(Stop { at: now, step, reason, who, why: why.clone() });
                Ok(())
            }
            Said::Answer { mailbox, answer } => self.hear_answer(plan, mailbox, answer, now),
            Said::Stop { why } => {
                if self.behind_pivot(plan) {
                    return Err(NO_WAY_BACK);
                }
                if self.stop.is_some() {
                    return Err(UNDOING);
                }
                let (who, why) = (Some(word.who.clone()), why.clone());
                self.stop = Some(Stop { at: now, step: None, reason: why::STOPPED.to_owned(), who, why });
                Ok(())
            }
            Said::Written { step } => self.heard_of(plan, step, Ok(()), now),
            Said::Unwritten { step, why } => self.heard_of(plan, step, Err(why), now),
            Said::Take { task } => {
                let task = self.open_task(*task)?;
                task.taken = Some(word.who.clone());
                Ok(())
            }
            Said::Settle { task, how, note, result } => {
                let settled = SettledBy { who: word.who.clone(), at: now, how: *how, note: note.clone() };
                let task = self.open_task(*task)?;
                task.settled = Some(settled);
                let (kind, path, who) = (task.kind, task.step.clone(), word.who.clone());
                let result = result.as_ref().map_or_else(|| json!({}), |result| result.expose().clone());
                match (kind, how) {
                    (TaskKind::Undo, Settled::Done) => {
                        let mark = Mark::Done { at: now, order: 0, result: Value::Null.into(), by: Some(who) };
                        self.undos.insert(path, mark);
                    }
                    // Surely not there, so it is no repetition.
                    (_, Settled::Again) => {
                        let trying =
                            Trying { born_at: now, due_at: now, attempts: 0, unsure: false, sent: false, reason: None };
                        self.set(&path, kind == TaskKind::Undo, Mark::Trying(trying));
                    }
                    (TaskKind::Undo, Settled::NotDone) => {
                        let reason = why::LEFT.to_owned();
                        self.undos.insert(path, Mark::Failed { at: now, reason, passed: true });
                    }
                    (_, Settled::Done) => self.done(&path, result, Some(who), now),
                    (TaskKind::Decide, Settled::NotDone) => {
                        let passed = self.behind_pivot(plan);
                        let reason = why::NOT_DONE.to_owned();
                        self.marks.insert(path, Mark::Failed { at: now, reason, passed });
                    }
                    (TaskKind::Finish, Settled::NotDone) => {
                        let reason = why::LEFT_OUT.to_owned();
                        self.marks.insert(path, Mark::Failed { at: now, reason, passed: true });
                    }
                }
                Ok(())
            }
        }
    }

    /// Who decided an approval, if somebody has, and whether they agreed.
    #[must_use]
    pub fn decided(&self, step: &str) -> Option<(bool, &str)> {
        match self.marks.get(step)? {
            Mark::Done { by, .. } => Some((true, by.as_deref()?)),
            Mark::Failed { .. } => {
                let stop = self.stop.as_ref().filter(|stop| stop.step.as_deref() == Some(step));
                Some((false, stop?.who.as_deref()?))
            }
            _ => None,
        }
    }

    fn open_task(&mut self, n: u32) -> Result<&mut Task, &'static str> {
        let task = self.tasks.iter_mut().find(|task| task.task == n).ok_or(NO_TASK)?;
        if task.settled.is_some() { Err(SETTLED) } else { Ok(task) }
    }

    /// Whether this one may agree to this step now. Four eyes: never who asked.
    ///
    /// # Errors
    /// Why not.
    pub fn may_agree(&self, plan: &Plan, step: &str, word: &Word) -> Result<(), &'static str> {
        let (approval, sum) = self.waiting(plan, step)?;
        if self.cause.agent.as_ref().is_some_and(|agent| agent.as_str() == word.who) {
            return Err("who asked for it may not agree to it");
        }
        may_agree(&approval.roles, &word.roles, sum.as_deref())
    }

    fn may_refuse(&self, plan: &Plan, step: &str, word: &Word) -> Result<(), &'static str> {
        let (approval, _) = self.waiting(plan, step)?;
        let may = approval.roles.iter().any(|approver| word.roles.contains(&approver.role));
        if may { Ok(()) } else { Err("your role may not refuse it") }
    }

    pub(super) fn waiting<'p>(
        &self,
        plan: &'p Plan,
        step: &str,
    ) -> Result<(&'p Approval, Option<String>), &'static str> {
        let Some(Mark::Waiting { amount, .. }) = self.marks.get(step).filter(|_| self.stop.is_none()) else {
            return Err(NOTHING_WAITS);
        };
        let place = self.places(plan).into_iter().find(|place| place.path == step);
        match place.map(|place| place.leaf) {
            Some(Leaf::Approval(approval)) => Ok((approval, amount.clone())),
            _ => Err(NOTHING_WAITS),
        }
    }

    /// Who may agree to what waits, for showing it to them.
    #[must_use]
    pub fn approvers(&self, plan: &Plan) -> Vec<Approver> {
        let waits = |path: &str| self.stop.is_none() && matches!(self.marks.get(path), Some(Mark::Waiting { .. }));
        let waiting = self.places(plan).into_iter().filter(|place| waits(&place.path));
        let of = |place: Place<'_>| match place.leaf {
            Leaf::Approval(approval) => approval.roles.clone(),
            Leaf::Step(_) | Leaf::Record(_) | Leaf::Answer(_) => Vec::new(),
        };
        waiting.flat_map(of).collect()
    }
}
