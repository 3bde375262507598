//! Flows on screens: to who asked, to who has the call, and to supervisors who look at what waits for somebody.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    calls::Directory,
    flows::{
        Said, Starter, View, Word,
        compile::may_agree,
        start::{Press, Refused},
        view::languages,
        word::Settled,
    },
    numbers::Number,
    words::{CallId, Now},
};

use super::{
    super::{
        CoalesceKey, ScreenId,
        protocol::{
            Code, Done, FlowAgree, FlowChanged, FlowInput, FlowOffer, FlowSeen, FlowStart, FlowState, FlowStop,
            FlowTask, Flows as FlowsBody, TaskWord,
        },
        wire,
    },
    Ask, FlowAsk, Key, Output, Roster, Token, deliver, frames,
    mask::Shade,
    requests::{Asked, NOT_YOURS, Refusable, Waiting, failed},
};

/// Flows that are not over, as they were told last: some 2 kB each. More wait in the store, and are told when they go on.
const MOST: usize = 5_000;
/// In a list at most.
const LISTED: usize = 200;

#[derive(Default)]
pub(super) struct Flows {
    open: BTreeMap<Arc<str>, View>,
    /// Screens of supervisors who look at what waits for somebody.
    watch: BTreeSet<ScreenId>,
}

impl Flows {
    /// A call is on no screen any more.
    pub fn forget(&mut self, call: CallId) {
        self.open.retain(|_, view| view.call != Some(call) || !over(view));
    }

    pub fn leave(&mut self, screen: ScreenId) {
        self.watch.remove(&screen);
    }
}

impl Roster {
    /// A flow stands elsewhere than before.
    pub fn flow(&mut self, now: Now, view: View, directory: &Directory) {
        let id: Arc<str> = view.flow.as_str().into();
        let of_call = view.call.and_then(|call| self.calls.get(&call));
        let mut whose: BTreeSet<Key> = of_call.map(|call| call.agents.iter().cloned().collect()).unwrap_or_default();
        whose.extend(view.agent.clone().map(|agent| (view.tenant.clone(), agent)));
        whose.retain(|key| key.0 == view.tenant);
        for key in &whose {
            let Some(active) = self.streams.get(key).map(|stream| stream.active) else { continue };
            let roles = active.map_or_else(Vec::new, |screen| self.roles_of(screen, directory));
            let masked = self.streams.get(key).is_some_and(|stream| stream.masks(None));
            let body = FlowChanged(seen(&view, key, &roles, masked));
            if let Some(stream) = self.streams.get_mut(key) {
                stream.emit(now, Some(CoalesceKey::Flow(id.clone())), &body, &mut self.out);
            }
        }
        // What does not wait for anybody is shown too, if it did before: so it leaves the list.
        let waits = |view: &View| ["approval", "person"].contains(&view.state.as_str());
        if waits(&view) || self.flows.open.get(&id).is_some_and(waits) {
            for screen in self.flows.watch.iter().copied().collect::<Vec<_>>() {
                let Some(key) = self.key_of(screen).filter(|key| key.0 == view.tenant && !whose.contains(key)) else {
                    continue;
                };
                let masked = self.streams.get(&key).is_some_and(|stream| stream.masks(None));
                let body = FlowChanged(seen(&view, &key, &self.roles_of(screen, directory), masked));
                let tasks = !body.0.tasks.is_empty();
                let frame = wire::write(0, now.wall, &body);
                self.out.push_back(deliver(screen, Some(CoalesceKey::Flow(id.clone())), frame));
                // What a person needs for a task is in it.
                if let Some(call) = view.call.filter(|_| tasks) {
                    self.view(&key, call.to_string(), Some(call), "flow-task");
                }
            }
        }
        // What is over is looked at as long as its call is.
        if over(&view) && view.call.is_none_or(|call| !self.calls.contains_key(&call)) {
            self.flows.open.remove(&id);
        } else if self.flows.open.len() < MOST || self.flows.open.contains_key(&id) {
            self.flows.open.insert(id, view);
        }
    }

    fn roles_of(&self, screen: ScreenId, directory: &Directory) -> Vec<String> {
        let who = self.screens.get(&screen).map(|screen| frames::roles(&screen.who, directory));
        who.into_iter().flatten().map(str::to_owned).collect()
    }

    pub(super) fn list_flows(&mut self, key: &Key, screen: ScreenId, id: String, directory: &Directory) {
        if self.is_supervisor(screen, directory) {
            self.flows.watch.insert(screen);
        }
        self.out.push_back(Output::Ask(Ask::Flows { key: key.clone(), screen, id }));
    }

    /// What this agent may begin, and what is under way.
    pub fn flows_listed(
        &mut self,
        now: Now,
        (key, screen, id): (&Key, ScreenId, &str),
        starter: &Starter,
        directory: &Directory,
    ) {
        let roles = self.roles_of(screen, directory);
        let Some(stream) = self.streams.get(key) else { return };
        let masked = stream.masks(None);
        let inputs = |plan: &crate::flows::Plan| -> Vec<(String, BTreeMap<String, String>)> {
            plan.inputs.iter().map(|(name, input)| (name.clone(), languages(input.label.as_ref()))).collect()
        };
        let plans: Vec<_> = starter.buttons(&roles).cloned().collect();
        let labels: Vec<_> = plans.iter().map(|plan| inputs(plan)).collect();
        let offers = plans.iter().zip(&labels).map(|(plan, labels)| FlowOffer {
            name: &plan.name,
            title: languages(Some(&plan.title)),
            inputs: plan
                .inputs
                .values()
                .zip(labels)
                // What the flow finds out by itself is not asked for.
                .filter(|(input, _)| input.from.is_none())
                .map(|(input, (name, label))| FlowInput {
                    name,
                    kind: input.kind,
                    label: label.clone(),
                    required: !input.optional,
                    choices: &input.choices,
                    min: input.min.as_deref(),
                    max: input.max.as_deref(),
                })
                .collect(),
        });
        let supervisor = roles.iter().any(|role| role == "supervisor");
        let on_screen: BTreeSet<_> = stream.pops().iter().map(|pop| pop.call).collect();
        let mine = |view: &&View| {
            view.tenant == key.0
                && (view.agent.as_ref() == Some(&key.1)
                    || view.call.is_some_and(|call| on_screen.contains(&call))
                    || (supervisor && ["approval", "person"].contains(&view.state.as_str())))
        };
        let mut list: Vec<&View> = self.flows.open.values().filter(mine).collect();
        list.sort_by(|a, b| b.at.cmp(&a.at).then_with(|| a.flow.cmp(&b.flow)));
        let list: Vec<FlowSeen<'_>> =
            list.into_iter().take(LISTED).map(|view| seen(view, key, &roles, masked)).collect();
        let shown: Vec<CallId> = list.iter().filter(|one| !one.tasks.is_empty()).filter_map(|one| one.call).collect();
        let flows = Some(FlowsBody { offers: offers.collect(), list });
        let frame = wire::write(0, now.wall, &Done { flows, ..Done::of(id) });
        self.out.push_back(deliver(screen, None, frame));
        for call in shown {
            self.view(key, call.to_string(), Some(call), "flow-task");
        }
    }

    pub(super) fn start_flow(
        &mut self,
        screen: ScreenId,
        asked: &Asked,
        start: FlowStart,
        directory: &Directory,
    ) -> Refusable {
        if start.call.is_some_and(|call| !self.has(&asked.0, call)) {
            return Err(NOT_YOURS);
        }
        let (tenant, agent) = asked.0.clone();
        let roles = self.roles_of(screen, directory);
        let press = Press { tenant, agent, roles, flow: start.name, request: asked.1.clone(), inputs: start.inputs };
        let token = self.wait(Waiting::Flow(asked.clone(), None));
        self.ask(Ask::Flow(Box::new(FlowAsk::Start { call: start.call, press }), token));
        Ok(())
    }

    pub(super) fn agree(
        &mut self,
        screen: ScreenId,
        asked: &Asked,
        agrees: bool,
        of: FlowAgree,
        directory: &Directory,
    ) -> Refusable {
        let roles = self.roles_of(screen, directory);
        let view = self.known(asked, &of.flow)?;
        if agrees && view.agent.as_ref() == Some(&asked.0.1) {
            return Err((Code::NotPermitted, "who asked for it may not agree to it"));
        }
        let sum = view.amount.as_deref().filter(|_| agrees);
        let enough = match agrees {
            true => may_agree(&view.approvers, &roles, sum),
            // To refuse, no amount is too high.
            false if view.approvers.iter().any(|approver| roles.contains(&approver.role)) => Ok(()),
            false => Err("your role may not refuse it"),
        };
        enough.map_err(|why| (Code::NotPermitted, why))?;
        let said = match agrees {
            true => Said::Approve { step: of.step },
            false => Said::Refuse { step: of.step, why: of.why },
        };
        self.say(asked, of.flow, roles, said);
        Ok(())
    }

    pub(super) fn stop_flow(
        &mut self,
        screen: ScreenId,
        asked: &Asked,
        stop: FlowStop,
        directory: &Directory,
    ) -> Refusable {
        let supervisor = self.is_supervisor(screen, directory);
        let view = self.known(asked, &stop.flow)?;
        if view.agent.as_ref() != Some(&asked.0.1) && !supervisor {
            return Err((Code::NotPermitted, "it is another's"));
        }
        let roles = self.roles_of(screen, directory);
        self.say(asked, stop.flow, roles, Said::Stop { why: stop.why });
        Ok(())
    }

    pub(super) fn flow_task(
        &mut self,
        screen: ScreenId,
        asked: &Asked,
        task: FlowTask,
        directory: &Directory,
    ) -> Refusable {
        if !self.is_supervisor(screen, directory) {
            return Err((Code::NotPermitted, "for supervisors"));
        }
        let view = self.known(asked, &task.flow)?;
        if !view.tasks.iter().any(|one| one.task == task.task && one.settled.is_none()) {
            return Err((Code::UnknownFlow, "there is no such task, or it is settled"));
        }
        let n = task.task;
        let settle = |how| Said::Settle { task: n, how, note: task.note.clone(), result: task.result.clone() };
        let said = match task.what {
            TaskWord::Take => Said::Take { task: n },
            TaskWord::Done => settle(Settled::Done),
            TaskWord::NotDone => settle(Settled::NotDone),
            TaskWord::Again => settle(Settled::Again),
        };
        let roles = self.roles_of(screen, directory);
        self.say(asked, task.flow, roles, said);
        Ok(())
    }

    fn known(&self, asked: &Asked, flow: &str) -> Result<&View, (Code, &'static str)> {
        let view = self.flows.open.get(flow).filter(|view| view.tenant == asked.0.0 && !over(view));
        view.ok_or((Code::UnknownFlow, "there is no such flow, or it is over"))
    }

    fn say(&mut self, asked: &Asked, flow: String, roles: Vec<String>, said: Said) {
        let (tenant, agent) = asked.0.clone();
        let word = Word::here(agent.to_string(), roles, said);
        let token = self.wait(Waiting::Flow(asked.clone(), Some(flow.clone())));
        self.ask(Ask::Flow(Box::new(FlowAsk::Say { tenant, flow, word, request: asked.1.clone() }), token));
    }

    /// It is on its way to disk under this id.
    pub fn flow_begun(&mut self, token: Token, id: &str) {
        if let Some(Waiting::Flow(_, flow)) = self.waiting.get_mut(&token) {
            *flow = Some(id.to_owned());
        }
    }

    pub fn no_flow(&mut self, now: Now, token: Token, refused: &Refused) {
        let Some(Waiting::Flow(asked, _)) = self.waiting.remove(&token) else { return };
        let frame = match refused {
            Refused::Unknown => failed(now, &asked.1, Code::UnknownFlow, "there is no such flow"),
            Refused::NotPermitted => failed(now, &asked.1, Code::NotPermitted, "your role may not begin it"),
            Refused::NotNow => failed(now, &asked.1, Code::NotOffered, "it does not fit this call"),
            Refused::Input(name, why) => failed(now, &asked.1, Code::InvalidInput, &format!("{name} {why}")),
        };
        self.answer(&asked, frame);
    }
}

fn over(view: &View) -> bool {
    ["done", "undone"].contains(&view.state.as_str())
}

/// One as this agent may see it.
fn seen<'v>(view: &'v View, key: &Key, roles: &[String], masked: bool) -> FlowSeen<'v> {
    let supervisor = roles.iter().any(|role| role == "supervisor");
    let own = view.agent.as_ref() == Some(&key.1);
    let state = match view.state.as_str() {
        "approval" => FlowState::Approval,
        "undoing" => FlowState::Undoing,
        "person" => FlowState::Person,
        "done" => FlowState::Done,
        "undone" => FlowState::Undone,
        _ => FlowState::Running,
    };
    let over = matches!(state, FlowState::Done | FlowState::Undone);
    let mut actions = Vec::new();
    if !over && !own && may_agree(&view.approvers, roles, view.amount.as_deref()).is_ok() {
        actions.push("flow.approve");
    }
    if !over && view.approvers.iter().any(|approver| roles.contains(&approver.role)) {
        actions.push("flow.refuse");
    }
    if (own || supervisor) && matches!(state, FlowState::Running | FlowState::Approval) {
        actions.push("flow.stop");
    }
    let number = || view.number.clone().map(|raw| Number { raw: Some(raw), ..Number::anonymous() });
    let steps = match masked && view.steps.iter().any(|step| step.answer.is_some()) {
        false => Cow::Borrowed(&view.steps[..]),
        true => {
            let (mut steps, shade) = (view.steps.clone(), Shade::of(number().as_ref()));
            for answer in steps.iter_mut().filter_map(|step| step.answer.as_mut()) {
                answer.text = shade.text(answer.text.expose()).into_owned().into();
            }
            Cow::Owned(steps)
        }
    };
    let open = view.tasks.iter().filter(|task| task.settled.is_none() && supervisor);
    let tasks: Vec<_> = open
        .map(|task| match masked {
            false => Cow::Borrowed(task),
            true => {
                let mut task = task.clone();
                Shade::of(number().as_ref()).value(&mut task.inputs);
                Cow::Owned(task)
            }
        })
        .collect();
    if !tasks.is_empty() {
        actions.push("flow.task");
    }
    FlowSeen {
        flow: &view.flow,
        name: &view.name,
        title: &view.title,
        state,
        call: view.call,
        agent: view.agent.as_ref().map(|agent| agent.as_str()),
        since: view.at,
        steps,
        reason: view.reason.as_deref(),
        trouble: view.trouble,
        actions,
        approvers: &view.approvers,
        amount: view.amount.as_deref(),
        tasks,
    }
}
