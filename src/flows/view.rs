//! A flow as people see it: agents' screens, the command line.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    private::Private,
    words::{AgentId, CallId, TenantId, Wall, trouble::Trouble},
};

use super::{
    compile::Plan,
    file::{Approver, Text},
    machine::{DoneThere, Leaf, Mark, Run, TaskKind},
    why,
    word::Settled,
};

/// Where a flow stands. No inputs and no answers of systems: those are in [`TaskSeen`], for who has to do with them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct View {
    pub tenant: TenantId,
    pub flow: String,
    pub name: String,
    pub title: BTreeMap<String, String>,
    /// `running`, `approval`, `undoing`, `person`, `done`, `undone`.
    pub state: String,
    pub call: Option<CallId>,
    /// Who asked for it.
    pub agent: Option<AgentId>,
    pub at: Wall,
    pub steps: Vec<StepSeen>,
    /// Why it was stopped.
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// Who may agree to what waits.
    pub approvers: Vec<Approver>,
    pub amount: Option<String>,
    pub tasks: Vec<TaskSeen>,
    /// The customer's, so that it can be hidden from those who see no whole numbers.
    #[serde(skip)]
    pub number: Option<Private<String>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepSeen {
    pub step: String,
    /// By language; empty: the name will do.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub title: BTreeMap<String, String>,
    pub state: StepState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub at: Option<Wall>,
    /// Free of personal data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The reason as a word, where it is one that we know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// For `done`: the person who did or allowed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempts: u32,
    /// For `approval` and `answer`: until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub until: Option<Wall>,
    /// What somebody answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<AnswerSeen>,
}

/// Somebody's answer from outside: plain text of at most 2,000 characters, to be shown as such.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AnswerSeen {
    #[schemars(with = "String")]
    pub text: Private<String>,
    /// Who, as people know that one.
    #[schemars(with = "String")]
    pub name: Private<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StepState {
    /// Not begun.
    Open,
    Trying,
    /// Somebody must agree.
    Approval,
    /// Somebody's answer is waited for.
    Answer,
    Done,
    Skipped,
    Failed,
    /// A person must look.
    Person,
    Undoing,
    Undone,
}

/// Something for a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskSeen {
    pub task: u32,
    pub kind: TaskKind,
    pub step: String,
    pub system: String,
    pub operation: String,
    /// By which the system knows it.
    pub key: String,
    /// What the operation was told.
    pub inputs: serde_json::Value,
    pub reason: String,
    /// The reason as a word, where it is one that we know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    #[schemars(with = "String")]
    pub at: Wall,
    /// What was done so far.
    pub done: Vec<DoneThere>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<Settled>,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// By language; one text is every language's.
#[must_use]
pub fn languages(text: Option<&Text>) -> BTreeMap<String, String> {
    match text {
        None => BTreeMap::new(),
        Some(Text::One(text)) => [("en".to_owned(), text.clone())].into(),
        Some(Text::Each(each)) => each.clone(),
    }
}

impl View {
    #[must_use]
    pub fn of(run: &Run, plan: &Plan) -> Self {
        let mut amount = None;
        let steps = run.places(plan).into_iter().map(|place| {
            let title = match place.leaf {
                Leaf::Step(step) => step.title.as_ref(),
                Leaf::Approval(approval) => approval.title.as_ref(),
                Leaf::Record(record) => record.title.as_ref(),
                Leaf::Answer(answer) => answer.title.as_ref(),
            };
            let mut seen = StepSeen {
                title: languages(title),
                state: StepState::Open,
                at: None,
                reason: None,
                trouble: None,
                by: None,
                attempts: 0,
                until: None,
                answer: None,
                step: place.path,
            };
            match run.undos.get(&seen.step).or_else(|| run.marks.get(&seen.step)) {
                None => {}
                Some(mark) => {
                    let undo = run.undos.contains_key(&seen.step);
                    match mark {
                        Mark::Skipped => seen.state = StepState::Skipped,
                        Mark::Trying(trying) => {
                            seen.state = if undo { StepState::Undoing } else { StepState::Trying };
                            (seen.at, seen.attempts) = (Some(trying.born_at), trying.attempts);
                            seen.reason.clone_from(&trying.reason);
                        }
                        Mark::Waiting { since, until, amount: sum } => {
                            (seen.state, seen.at, seen.until) = (StepState::Approval, Some(*since), Some(*until));
                            amount.clone_from(sum);
                        }
                        Mark::Listening { since, until, .. } => {
                            (seen.state, seen.at, seen.until) = (StepState::Answer, Some(*since), Some(*until));
                        }
                        Mark::Done { at, by, result, .. } => {
                            let text = |key: &str| result.expose()[key].as_str().unwrap_or_default().into();
                            let answers = matches!(place.leaf, Leaf::Answer(_)) && !undo;
                            seen.answer = answers.then(|| AnswerSeen { text: text("text"), name: text("name") });
                            seen.state = if undo { StepState::Undone } else { StepState::Done };
                            seen.at = Some(*at);
                            seen.reason = by.as_ref().map(|by| format!("by {by}"));
                            seen.by.clone_from(by);
                        }
                        Mark::Failed { at, reason, .. } => {
                            (seen.state, seen.at, seen.reason) = (StepState::Failed, Some(*at), Some(reason.clone()));
                        }
                        Mark::Person { at, reason, .. } => {
                            (seen.state, seen.at, seen.reason) = (StepState::Person, Some(*at), Some(reason.clone()));
                        }
                    }
                }
            }
            seen.trouble = seen.reason.as_deref().and_then(why::trouble);
            seen
        });
        let steps = steps.collect();
        let tasks = run.tasks.iter().map(|task| TaskSeen {
            task: task.task,
            kind: task.kind,
            step: task.step.clone(),
            system: task.system.to_string(),
            operation: task.operation.clone(),
            key: task.key.clone(),
            inputs: task.inputs.expose().clone(),
            reason: task.reason.clone(),
            trouble: why::trouble(&task.reason),
            at: task.at,
            done: task.done.clone(),
            taken: task.taken.clone(),
            settled: task.settled.as_ref().map(|settled| settled.how),
        });
        Self {
            tenant: run.tenant.clone(),
            flow: run.id.clone(),
            name: run.flow.clone(),
            title: languages(Some(&plan.title)),
            state: run.state().to_owned(),
            call: run.call,
            agent: run.cause.agent.clone(),
            at: run.born_at,
            steps,
            reason: run.stop.as_ref().map(|stop| stop.reason.clone()),
            trouble: run.stop.as_ref().and_then(|stop| why::trouble(&stop.reason)),
            approvers: run.approvers(plan),
            amount,
            tasks: tasks.collect(),
            number: run.cause.call["number"].as_str().map(Into::into),
        }
    }
}
