//! Whether an agent takes calls: logged off, not ready with a reason, or ready (ECMA-269, AgentState), at each queue and as a whole.
//!
//! A switch that keeps queues is right about them: what it says of an agent's places is what is shown, whoever changed it, and a wish is what the switch is asked for.
//! Where no switch keeps a place of the agent, the state is kept here. Around a call it is Busy and WorkingAfterCall, by the calls themselves.
//!
//! After a call the places that take calls are paused with a reason of Linecard's own, and only a pause with that reason is taken away again when the time is over.
//! **A race is left**: between a call's end and that pause a queue may offer the next call (a `wrapuptime` of a second or more in the queue itself closes it),
//! and who pauses in the moment in which ours is taken away is not paused: the switches have no "if it is still so".

use crate::{
    calls::{
        Directory,
        ability::Ability,
        command::{Attend, Attendance, Because, Deed, Failure, Outcome, RequestId},
        event::Standing,
        members::Post,
    },
    words::{AgentId, CallId, Now, SwitchId, Wall},
};

use super::{
    super::{
        protocol::{
            AgentCondition, AgentNext, AgentSet, Availability, Code, InQueue, NextState, QueueOf, WrapupExtend,
        },
        settings::States,
    },
    About, Ask, Deeds, Due, Key, Roster,
    requests::{Asked, NOT_OFFERED, NOT_YOURS, Refusable, Waiting, done, failed, why},
    stream::{OnScreen, Stage, Work},
    verbs::NOT_YOUR_TEAM,
};

/// What an agent is, apart from calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Available {
    pub state: Availability,
    /// Why not ready, as the switch or the agent said; it may be said by nobody.
    pub reason: Option<String>,
}

/// To be kept for the next start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub is: Available,
    pub since: Wall,
}

/// What is known of one agent. Most of 140,000 have none.
#[derive(Default)]
pub(super) struct Duty {
    posts: Vec<Post>,
    is: Available,
    since: Option<Wall>,
    /// What comes after the call.
    next: Option<Available>,
    /// Places that were paused for the time after a call.
    after: Vec<Place>,
    /// Places that were left when the agent logged off here.
    left: Vec<Post>,
    change: Option<Changing>,
    overrun: bool,
    /// The condition that was told last, and since when it is.
    shown: Option<(AgentCondition, Wall)>,
}

type Place = (SwitchId, String, String);

/// A wish that switches have not answered yet.
struct Changing {
    asked: Asked,
    deed: Deed,
    /// Whose state.
    of: Key,
    open: usize,
    failure: Option<Failure>,
    to: Option<Available>,
}

/// Of an attendance that is not answered yet.
pub(super) struct Attending {
    key: Key,
    place: Place,
    /// It is part of a wish; else Linecard did it by itself.
    wished: bool,
}

fn place(post: &Post) -> Place {
    (post.switch.clone(), post.member.queue.clone(), post.member.interface.clone())
}

fn is_off(post: &Post) -> bool {
    match &post.member.standing {
        Standing::LoggedOff => true,
        Standing::Paused(pause) => pause.reason == Because::LOGGED_OFF,
        Standing::Ready => false,
    }
}

/// Its calls come, or would if no time after a call ran.
fn is_open(post: &Post) -> bool {
    match &post.member.standing {
        Standing::Ready => true,
        Standing::Paused(pause) => pause.reason == Because::AFTER_CALL,
        Standing::LoggedOff => false,
    }
}

impl Duty {
    /// What the places say together; `None`: there is none.
    fn told(&self) -> Option<Available> {
        if self.posts.is_empty() {
            return None;
        }
        if self.posts.iter().any(is_open) {
            return Some(Available::default());
        }
        let newest = self.posts.iter().filter(|post| !is_off(post)).max_by_key(|post| post.since);
        Some(match newest.map(|post| &post.member.standing) {
            Some(Standing::Paused(pause)) => Available {
                state: Availability::NotReady,
                // A switch without reasons leaves it to us.
                reason: Some(pause.reason.clone())
                    .filter(|reason| !reason.is_empty())
                    .or_else(|| self.is.reason.clone().filter(|_| self.is.state == Availability::NotReady)),
            },
            _ => Available { state: Availability::LoggedOff, reason: None },
        })
    }
}

impl Duty {
    /// Queues that have the agent, and whether their calls come.
    pub fn in_queues(&self) -> impl Iterator<Item = (&str, bool)> {
        let here = self.posts.iter().filter(|post| !is_off(post) && !post.member.queue.is_empty());
        here.map(|post| (post.member.queue.as_str(), post.member.standing == Standing::Ready))
    }
}

impl Available {
    /// # Errors
    /// A reason that is none of those there are.
    fn wanted(states: &States, state: Availability, reason: Option<&str>) -> Result<Self, (Code, &'static str)> {
        let known = reason.is_none_or(|reason| states.reasons.iter().any(|known| known.id == reason));
        if !known || (reason.is_some() && state != Availability::NotReady) {
            return Err((Code::InvalidValue, "this is no reason for it"));
        }
        Ok(Self { state, reason: reason.map(str::to_owned) })
    }

    fn because(&self) -> Option<Because> {
        Because::new(self.reason.as_deref().unwrap_or("not-ready"))
    }
}

/// What each place is to be asked for.
fn orders(states: &States, posts: &[Post], left: &[Post], to: &Available) -> Vec<(Post, Attend)> {
    let ours = |reason: &str| {
        [Because::AFTER_CALL, Because::LOGGED_OFF].contains(&reason) || states.reasons.iter().any(|r| r.id == reason)
    };
    let off = || Because::new(Because::LOGGED_OFF).map(Attend::Pause);
    let each = posts.iter().filter_map(|post| {
        let member = &post.member;
        let attend = match (to.state, &member.standing) {
            (Availability::Ready, Standing::Ready) => None,
            (Availability::Ready, _) => Some(Attend::Resume),
            // What somebody else paused stays as they paused it.
            (Availability::NotReady, Standing::Paused(pause)) if member.reasons && !ours(&pause.reason) => None,
            (Availability::NotReady, Standing::Paused(_)) if !member.reasons => None,
            (Availability::NotReady, standing) => {
                let because = to.because()?;
                let same = matches!(standing, Standing::Paused(pause) if pause.reason == because.as_str());
                (!same).then_some(Attend::Pause(because))
            }
            (Availability::LoggedOff, _) if is_off(post) => None,
            (Availability::LoggedOff, _) if member.dynamic || !member.reasons => Some(Attend::LogOff),
            (Availability::LoggedOff, _) => off(),
        };
        attend.map(|attend| (post.clone(), attend))
    });
    let back = left.iter().filter(|_| to.state == Availability::Ready).map(|post| {
        let name = post.member.name.clone();
        (post.clone(), Attend::LogOn { name })
    });
    each.chain(back).collect()
}

impl Roster {
    /// How states are to be.
    pub fn states(&mut self, states: States) {
        self.states = states;
    }

    /// When a record's page opens by itself.
    pub fn opens(&mut self, opens: super::super::settings::Opens) {
        self.opens = opens;
    }

    /// What agents choose from as the outcome of a call.
    pub fn outcomes(&mut self, outcomes: std::collections::BTreeMap<String, Vec<String>>) {
        self.outcomes = outcomes;
    }

    /// Of which queues a wrap-up is not taken without an outcome.
    pub fn outcome_required(&mut self, queues: Vec<String>) {
        self.outcome_required = super::facts::Required(queues);
    }

    /// As it was when the last run ended.
    pub fn recall_state(&mut self, now: Now, key: Key, kept: Kept) {
        self.watch_limit(now, &key, &kept.is, kept.since);
        let duty = self.duties.entry(key).or_default();
        (duty.is, duty.since) = (kept.is, Some(kept.since));
    }

    fn watch_limit(&mut self, now: Now, key: &Key, is: &Available, since: Wall) {
        let limit = is.reason.as_deref().filter(|_| is.state == Availability::NotReady);
        if let Some(limit) = limit.and_then(|reason| self.states.limit_ms(reason)) {
            let gone = now.wall.since(since);
            self.later(now.mono.plus_ms(limit.saturating_sub(gone)), Due::Limit(key.clone(), since));
        }
    }

    /// An agent's places in queues, all of them, when one is otherwise.
    pub fn posts(&mut self, now: Now, key: &Key, posts: Vec<Post>) {
        if posts.is_empty() && !self.duties.contains_key(key) {
            return;
        }
        let duty = self.duties.entry(key.clone()).or_default();
        let had = !duty.posts.is_empty();
        duty.posts = posts;
        let here = &duty.posts;
        // Somebody else's pause by now, or a place that is left.
        duty.after.retain(|at| here.iter().any(|post| place(post) == *at && is_open(post)));
        duty.left.retain(|old| !here.iter().any(|post| place(post) == place(old)));
        let is = match duty.told() {
            Some(is) => is,
            None if had => Available { state: Availability::LoggedOff, reason: None },
            None => return,
        };
        let since = duty.posts.iter().map(|post| post.since).max().unwrap_or(now.wall);
        self.is_now(now, key, is, since);
        // Of a run that ended in the time after a call.
        let stale: Vec<Place> = self.duties.get(key).map_or_else(Vec::new, |duty| {
            let ours =
                |post: &&Post| matches!(&post.member.standing, Standing::Paused(p) if p.reason == Because::AFTER_CALL);
            duty.posts.iter().filter(ours).map(place).filter(|at| !duty.after.contains(at)).collect()
        });
        // Seen when it is told for the first time: later it is another daemon's that watches the same switch.
        if !had && !self.is_working(key) {
            for at in stale {
                self.attend_alone(key, at, Attend::Resume);
            }
        }
        self.settle_state(now, key);
        self.tell_screens(now, key, None);
    }

    /// The state apart from calls, from now on.
    fn is_now(&mut self, now: Now, key: &Key, is: Available, since: Wall) {
        let duty = self.duties.entry(key.clone()).or_default();
        if duty.is == is && duty.since.is_some() {
            return;
        }
        // What everybody is at first needs no row.
        let first = duty.since.is_none() && is == Available::default();
        duty.overrun = false;
        (duty.is, duty.since) = (is.clone(), Some(since));
        if first {
            return;
        }
        self.watch_limit(now, key, &is, since);
        self.ask(Ask::Keep { key: key.clone(), kept: Kept { is, since }, token: None });
    }

    /// A reason's time is over.
    pub(super) fn limit(&mut self, now: Now, key: &Key, since: Wall) {
        let Some(duty) = self.duties.get_mut(key).filter(|duty| duty.since == Some(since) && !duty.overrun) else {
            return;
        };
        duty.overrun = true;
        self.ask(Ask::Overran { key: key.clone() });
        self.tell_screens(now, key, None);
    }

    /// The whole: by calls, else apart from them.
    pub(super) fn condition(&self, key: &Key) -> AgentCondition {
        let pops = self.streams.get(key).map_or(&[][..], |stream| stream.pops());
        if pops.iter().any(|pop| pop.stage.is_live()) {
            return AgentCondition::Busy;
        }
        if pops.iter().any(works) {
            return AgentCondition::WorkingAfterCall;
        }
        match self.duties.get(key).map(|duty| duty.is.state) {
            Some(Availability::LoggedOff) => AgentCondition::LoggedOff,
            Some(Availability::NotReady) => AgentCondition::NotReady,
            Some(Availability::Ready) | None => AgentCondition::Ready,
        }
    }

    /// A switch has the agent in a queue.
    pub(super) fn in_queue(&self, key: &Key) -> bool {
        self.duties.get(key).is_some_and(|duty| duty.posts.iter().any(|post| !is_off(post)))
    }

    fn is_working(&self, key: &Key) -> bool {
        self.streams.get(key).is_some_and(|stream| stream.pops().iter().any(works))
    }

    /// After anything that happened to an agent's calls or places: what was put off is done, and the screens are told if the condition is another one.
    pub(super) fn settle_state(&mut self, now: Now, key: &Key) {
        self.seen(now, key);
        let condition = self.condition(key);
        if condition != AgentCondition::Busy
            && let Some(next) = self.duties.get_mut(key).and_then(|duty| duty.next.take())
        {
            self.put_off(now, key, next);
        }
        if !self.is_working(key) {
            self.work_over(key);
        }
        let condition = self.condition(key);
        let known = self.duties.get(key).and_then(|duty| duty.shown).map(|(shown, _)| shown);
        if known == Some(condition) || (known.is_none() && condition == AgentCondition::Ready) {
            return;
        }
        let apart = self.duties.get(key).and_then(|duty| duty.since);
        let since = match condition {
            AgentCondition::Busy | AgentCondition::WorkingAfterCall => now.wall,
            // Who comes back from a call is ready from now on; who was told to be not ready, since then.
            _ if matches!(known, Some(AgentCondition::Busy | AgentCondition::WorkingAfterCall)) => now.wall,
            _ => apart.unwrap_or(now.wall),
        };
        self.duties.entry(key.clone()).or_default().shown = Some((condition, since));
        self.tell_screens(now, key, None);
    }

    /// What was to come after the call. Where a switch refuses it the audit says so, and the agent sees that it is not so.
    fn put_off(&mut self, now: Now, key: &Key, to: Available) {
        let Some(duty) = self.duties.get_mut(key) else { return };
        let orders = orders(&self.states, &duty.posts, &duty.left, &to);
        if to.state == Availability::LoggedOff {
            duty.left = duty.posts.iter().filter(|post| post.member.dynamic && !is_off(post)).cloned().collect();
        }
        duty.after.clear();
        if orders.is_empty() {
            self.is_now(now, key, to, now.wall);
        }
        for (post, attend) in orders {
            self.attend_alone(key, place(&post), attend);
        }
    }

    /// The time after a call begins: where the switch keeps reasons, the places that take calls are paused.
    pub(super) fn work_begins(&mut self, key: &Key) {
        let Some(duty) = self.duties.get(key).filter(|duty| duty.next.is_none()) else { return };
        let ready = |post: &&Post| post.member.standing == Standing::Ready && post.member.reasons;
        let places: Vec<Place> = duty.posts.iter().filter(ready).map(place).collect();
        let Some(because) = Because::new(Because::AFTER_CALL) else { return };
        for at in places {
            if self.can_attend(&at.0, Deed::AgentState).is_err() {
                continue;
            }
            if let Some(duty) = self.duties.get_mut(key).filter(|duty| !duty.after.contains(&at)) {
                duty.after.push(at.clone());
            }
            self.attend_alone(key, at, Attend::Pause(because.clone()));
        }
    }

    fn work_over(&mut self, key: &Key) {
        let after = self.duties.get_mut(key).map(|duty| std::mem::take(&mut duty.after)).unwrap_or_default();
        for at in after {
            self.attend_alone(key, at, Attend::Resume);
        }
    }

    /// The time that a pop's wrap-up has is over; `at`: as it was planned, which may have been put off since.
    pub(super) fn work_ends(&mut self, now: Now, key: &Key, id: &str, at: Wall) {
        let pop = self.streams.get_mut(key).and_then(|s| s.busy().pops.iter_mut().find(|pop| *pop.id == *id));
        let Some(pop) = pop else { return };
        if let Stage::WrapUp { work, .. } = &mut pop.stage
            && *work == Work::Until(at)
        {
            *work = Work::Over;
            let call = pop.call;
            self.tell_one(now, key, call);
            self.settle_state(now, key);
        }
    }

    /// Who says what they are now is not working after a call any more; the forms stay.
    fn work_is_over(&mut self, now: Now, key: &Key) {
        let mut calls = Vec::new();
        for pop in self.streams.get_mut(key).map(|stream| stream.busy()).into_iter().flat_map(|busy| &mut busy.pops) {
            if let Stage::WrapUp { work, .. } = &mut pop.stage
                && *work != Work::Over
            {
                *work = Work::Over;
                calls.push(pop.call);
            }
        }
        for call in calls {
            self.tell_one(now, key, call);
        }
    }

    /// How long the wrap-up of this call keeps its agent from the next; `None`: until it is submitted.
    pub(super) fn work_ms(&self, call: CallId) -> Option<u64> {
        let face = self.calls.get(&call).and_then(|call| call.face.as_deref());
        self.states.after_call.ms(face.and_then(|face| face.queue.as_deref()))
    }

    fn can_attend(&self, switch: &SwitchId, deed: Deed) -> Result<(), (Code, &'static str)> {
        match self.abilities.get(switch).map(|abilities| abilities.ability(deed)) {
            Some(Ability::Cannot(reason)) => Err((Code::UnavailableHere, reason)),
            Some(Ability::Works | Ability::Needs(_)) => Ok(()),
            None => Err((Code::SwitchUnavailable, why(Failure::SwitchUnavailable))),
        }
    }

    fn attend_alone(&mut self, key: &Key, at: Place, attend: Attend) {
        if self.can_attend(&at.0, Deed::AgentState).is_ok() {
            self.attend(key, at, attend, false);
        }
    }

    fn attend(&mut self, key: &Key, at: Place, attend: Attend, wished: bool) {
        self.count += 1;
        let request = RequestId(format!("lc-{}-{}", self.epoch, self.count));
        let (switch, queue, interface) = at.clone();
        self.attending.insert(request.clone(), Attending { key: key.clone(), place: at, wished });
        let (tenant, agent) = key.clone();
        self.ask(Ask::Attend(Attendance { request, tenant, switch, agent, queue, interface, attend }));
    }

    /// A switch did what was asked of a place, or will not.
    pub fn attended(&mut self, now: Now, request: &RequestId, outcome: &Outcome) {
        let Some(Attending { key, place, wished }) = self.attending.remove(request) else { return };
        let failure = outcome.as_ref().err().copied();
        if !wished {
            if let Some(failure) = failure {
                if let Some(duty) = self.duties.get_mut(&key) {
                    duty.after.retain(|at| *at != place);
                }
                // By nobody's wish: what it was for stands in the list of failures of the audit.
                let (tenant, agent) = key;
                let asker = (tenant, AgentId::from("linecard"));
                let about = Some(About::Agent(agent));
                self.ask(Ask::Audit(Deeds {
                    asker,
                    deed: Deed::AgentState,
                    about,
                    result: Code::from(failure).word(),
                }));
            }
            return;
        }
        let Some(changing) = self.duties.get_mut(&key).and_then(|duty| duty.change.as_mut()) else { return };
        changing.open = changing.open.saturating_sub(1);
        changing.failure = changing.failure.or(failure);
        if changing.open > 0 {
            return;
        }
        let Some(changing) = self.duties.get_mut(&key).and_then(|duty| duty.change.take()) else { return };
        match changing.failure {
            None => self.changed(now, changing),
            Some(failure) => {
                self.audit(&changing.asked.0, changing.deed, Some(About::Agent(key.1)), Err(failure.into()));
                let frame = failed(now, &changing.asked.1, failure.into(), why(failure));
                self.answer(&changing.asked, frame);
            }
        }
    }

    /// All switches did it: durable, then done.
    fn changed(&mut self, now: Now, changing: Changing) {
        let Changing { asked, deed, of, to, .. } = changing;
        self.audit(&asked.0, deed, Some(About::Agent(of.1.clone())), Ok(()));
        let Some(to) = to else {
            let frame = done(now, &asked.1, None);
            return self.answer(&asked, frame);
        };
        self.work_is_over(now, &of);
        let duty = self.duties.entry(of.clone()).or_default();
        let same = duty.is == to;
        if to.state == Availability::Ready {
            duty.left.clear();
        }
        if !same {
            self.is_now(now, &of, to, now.wall);
        }
        let duty = self.duties.entry(of.clone()).or_default();
        let kept = Kept { is: duty.is.clone(), since: duty.since.unwrap_or(now.wall) };
        let token = self.wait(Waiting::Durable(asked));
        self.ask(Ask::Keep { key: of.clone(), kept, token: Some(token) });
        self.settle_state(now, &of);
        self.tell_screens(now, &of, None);
    }

    /// Whose state a request is about: the asker's own, or that of an agent of a team that the asker supervises.
    fn whose(&self, key: &Key, agent: Option<&str>, directory: &Directory) -> Result<Key, (Code, &'static str)> {
        let Some(agent) = agent.map(AgentId::from).filter(|agent| *agent != key.1) else { return Ok(key.clone()) };
        if self.supervises(key, &agent, directory) { Ok((key.0.clone(), agent)) } else { Err(NOT_YOUR_TEAM) }
    }

    /// A request about a state: a refusal is in the audit like any other answer.
    pub(super) fn ask_state(&mut self, now: Now, asked: &Asked, set: &AgentSet, directory: &Directory) -> Refusable {
        let result = self.set_state(now, asked, set, directory);
        self.refused(asked, Deed::AgentState, set.agent.as_deref(), result)
    }

    pub(super) fn ask_next(&mut self, now: Now, asked: &Asked, next: &AgentNext, directory: &Directory) -> Refusable {
        let result = self.set_next(now, asked, next, directory);
        self.refused(asked, Deed::AgentState, next.agent.as_deref(), result)
    }

    pub(super) fn ask_queue(
        &mut self,
        now: Now,
        asked: &Asked,
        log_on: bool,
        of: &QueueOf,
        directory: &Directory,
    ) -> Refusable {
        let deed = if log_on { Deed::QueueLogin } else { Deed::QueueLogout };
        let result = self.queue(now, asked, (log_on, deed), of, directory);
        self.refused(asked, deed, None, result)
    }

    fn refused(&mut self, asked: &Asked, deed: Deed, agent: Option<&str>, result: Refusable) -> Refusable {
        let about = About::Agent(agent.map_or_else(|| asked.0.1.clone(), AgentId::from));
        result.inspect_err(|(code, _)| self.audit(&asked.0, deed, Some(about), Err(*code)))
    }

    /// `agent.state`.
    fn set_state(&mut self, now: Now, asked: &Asked, set: &AgentSet, directory: &Directory) -> Refusable {
        let of = self.whose(&asked.0, set.agent.as_deref(), directory)?;
        let to = Available::wanted(&self.states, set.state, set.reason.as_deref())?;
        let duty = self.duties.entry(of.clone()).or_default();
        if duty.change.is_some() {
            return Err(PENDING);
        }
        let orders = orders(&self.states, &duty.posts, &duty.left, &to);
        for (post, _) in &orders {
            self.can_attend(&post.switch, Deed::AgentState)?;
        }
        let Some(duty) = self.duties.get_mut(&of) else { return Ok(()) };
        // Said anew is said last.
        duty.next = None;
        duty.after.clear();
        if to.state == Availability::LoggedOff {
            duty.left = duty.posts.iter().filter(|post| post.member.dynamic && !is_off(post)).cloned().collect();
        }
        let changing = Changing {
            asked: asked.clone(),
            deed: Deed::AgentState,
            of: of.clone(),
            open: orders.len(),
            failure: None,
            to: Some(to),
        };
        if orders.is_empty() {
            self.changed(now, changing);
            return Ok(());
        }
        duty.change = Some(changing);
        for (post, attend) in orders {
            self.attend(&of, place(&post), attend, true);
        }
        Ok(())
    }

    /// `agent.next`: what comes after the call; without a call, now.
    fn set_next(&mut self, now: Now, asked: &Asked, next: &AgentNext, directory: &Directory) -> Refusable {
        let of = self.whose(&asked.0, next.agent.as_deref(), directory)?;
        let Some(state) = next.state else {
            self.duties.entry(of.clone()).or_default().next = None;
            return self.next_is_set(now, asked, &of);
        };
        if self.condition(&of) != AgentCondition::Busy {
            let set = AgentSet { state, reason: next.reason.clone(), agent: next.agent.clone() };
            return self.set_state(now, asked, &set, directory);
        }
        let to = Available::wanted(&self.states, state, next.reason.as_deref())?;
        self.duties.entry(of.clone()).or_default().next = Some(to);
        self.next_is_set(now, asked, &of)
    }

    fn next_is_set(&mut self, now: Now, asked: &Asked, of: &Key) -> Refusable {
        self.audit(&asked.0, Deed::AgentState, Some(About::Agent(of.1.clone())), Ok(()));
        let frame = done(now, &asked.1, None);
        self.answer(asked, frame);
        self.tell_screens(now, of, None);
        Ok(())
    }

    /// `queue.login` and `queue.logout`.
    fn queue(
        &mut self,
        now: Now,
        asked: &Asked,
        (log_on, deed): (bool, Deed),
        of: &QueueOf,
        directory: &Directory,
    ) -> Refusable {
        let key = &asked.0;
        let agent = directory.agent(&key.1).filter(|agent| agent.tenant == key.0);
        let Some(agent) = agent else { return Err((Code::NoDevice, "this agent is not in the directory")) };
        let named = of.switch.as_deref().map(SwitchId::from);
        let here =
            |post: &&Post| post.member.queue == of.queue && named.as_ref().is_none_or(|switch| post.switch == *switch);
        let post = self.duties.get(key).and_then(|duty| duty.posts.iter().find(here)).cloned();
        if self.duties.get(key).is_some_and(|duty| duty.change.is_some()) {
            return Err(PENDING);
        }
        let (at, attend) = match (log_on, post) {
            (true, Some(_)) | (false, None) => {
                let frame = done(now, &asked.1, None);
                self.answer(asked, frame);
                return Ok(());
            }
            (false, Some(post)) if !post.member.dynamic => {
                return Err((Code::NotOffered, "this place stands in the switch's settings: nobody leaves it"));
            }
            (false, Some(post)) => (place(&post), Attend::LogOff),
            (true, None) => {
                if !agent.queues.contains(&of.queue) {
                    return Err((Code::NotPermitted, "this is none of the agent's queues"));
                }
                let able: Vec<SwitchId> =
                    self.switches.iter().filter(|s| self.can_attend(s, deed).is_ok()).cloned().collect();
                let switch = match (named, able.as_slice()) {
                    (Some(switch), _) => switch,
                    (None, [one]) => one.clone(),
                    (None, []) => {
                        return Err((Code::UnavailableHere, "no switch here has queues that are logged in to"));
                    }
                    (None, _) => return Err((Code::BadRequest, "there are several switches: name one")),
                };
                let name = agent.name.clone().unwrap_or_else(|| agent.id.to_string());
                let device = self.phone(key, &switch, directory)?;
                // A queue calls an interface, which an extension alone is not.
                if !device.contains('/') {
                    return Err((Code::NoDevice, "the agent's phone has no technology in agents.yaml"));
                }
                ((switch, of.queue.clone(), device), Attend::LogOn { name })
            }
        };
        self.can_attend(&at.0, deed)?;
        let duty = self.duties.entry(key.clone()).or_default();
        let (asked, of) = (asked.clone(), key.clone());
        duty.change = Some(Changing { asked, deed, of: of.clone(), open: 1, failure: None, to: None });
        self.attend(&of, at, attend, true);
        Ok(())
    }

    /// `wrapup.extend`: so much more time before the next call.
    pub(super) fn extend(&mut self, now: Now, asked: &Asked, extend: &WrapupExtend) -> Refusable {
        let more = self.states.after_call.extend_ms();
        let stream = self.streams.get_mut(&asked.0).ok_or(NOT_YOURS)?;
        let pop = stream.busy().pops.iter_mut().find(|pop| pop.call == extend.call).ok_or(NOT_YOURS)?;
        let id = pop.id.clone();
        let Stage::WrapUp { work: Work::Until(at), extensions, .. } = &mut pop.stage else { return Err(NOT_OFFERED) };
        *extensions =
            extensions.checked_sub(1).ok_or((Code::NotOffered, "the wrap-up was extended as often as it may be"))?;
        *at = at.plus_ms(i64::try_from(more).unwrap_or(0));
        let at = *at;
        self.later(now.mono.plus_ms(at.since(now.wall)), Due::WorkEnds(asked.0.clone(), id, at));
        self.tell_one(now, &asked.0, extend.call);
        let frame = done(now, &asked.1, None);
        self.answer(asked, frame);
        Ok(())
    }

    /// For the frame of the agent's state.
    pub(super) fn shown_state<'a>(&'a self, key: &Key) -> Shown<'a> {
        let condition = self.condition(key);
        let duty = self.duties.get(key);
        let working = self.streams.get(key).map_or(&[][..], |s| s.pops()).iter().filter_map(|pop| match pop.stage {
            Stage::WrapUp { work: Work::Until(at), .. } => Some(at),
            _ => None,
        });
        let is = duty.map(|duty| &duty.is).filter(|_| condition == AgentCondition::NotReady);
        let reason = is.and_then(|is| is.reason.as_deref());
        let limit = reason.and_then(|reason| self.states.limit_ms(reason)).zip(duty.and_then(|duty| duty.since));
        Shown {
            condition,
            since: duty.and_then(|duty| duty.shown).filter(|(shown, _)| *shown == condition).map(|(_, since)| since),
            reason,
            until: match condition {
                AgentCondition::WorkingAfterCall => working.max(),
                _ => limit.map(|(ms, since)| since.plus_ms(i64::try_from(ms).unwrap_or(i64::MAX))),
            },
            overrun: duty.is_some_and(|duty| duty.overrun) && condition == AgentCondition::NotReady,
            next: duty
                .and_then(|duty| duty.next.as_ref())
                .map(|next| NextState { state: next.state, reason: next.reason.as_deref() }),
            queues: duty.map(|duty| duty.posts.iter().map(in_queue).collect()).unwrap_or_default(),
        }
    }
}

/// What a screen is told of a state.
pub(super) struct Shown<'a> {
    pub condition: AgentCondition,
    pub since: Option<Wall>,
    pub reason: Option<&'a str>,
    pub until: Option<Wall>,
    pub overrun: bool,
    pub next: Option<NextState<'a>>,
    pub queues: Vec<InQueue<'a>>,
}

pub(super) fn in_queue(post: &Post) -> InQueue<'_> {
    let reason = match &post.member.standing {
        Standing::Paused(pause) if ![Because::AFTER_CALL, Because::LOGGED_OFF].contains(&pause.reason.as_str()) => {
            Some(pause.reason.as_str()).filter(|reason| !reason.is_empty())
        }
        _ => None,
    };
    let after = matches!(&post.member.standing, Standing::Paused(pause) if pause.reason == Because::AFTER_CALL);
    InQueue {
        switch: post.switch.as_str(),
        queue: &post.member.queue,
        state: match () {
            () if is_off(post) => AgentCondition::LoggedOff,
            () if after => AgentCondition::WorkingAfterCall,
            () if post.member.standing == Standing::Ready => AgentCondition::Ready,
            () => AgentCondition::NotReady,
        },
        reason,
        since: post.since,
        may_leave: post.member.dynamic,
    }
}

/// A wrap-up that keeps its agent from the next call.
fn works(pop: &OnScreen) -> bool {
    matches!(pop.stage, Stage::WrapUp { work: Work::Open | Work::Until(_), .. })
}

const PENDING: (Code, &str) = (Code::VerbPending, "the last change is not answered yet");
