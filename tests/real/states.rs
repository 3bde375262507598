//! Agents' states on the real switch: set at the page of one daemon, on the phone and at the switch's command line, seen at the switch and on the screens of both
//! daemons that hear queues (ARI has none).

use serde_json::{Value, json};

use crate::{
    Stage,
    hands::{PATIENCE, Watch},
    site::Feed,
    verbs::{audited, done},
    wait::until,
};

/// Of the daemons that hear queues: how far each screen of 1001 was read.
struct Seen([(Feed, usize); 2]);

impl Seen {
    fn now(stage: &Stage) -> Result<Self, String> {
        let mark = |feed| Ok::<_, String>((feed, site(stage, feed)?.look("1001")?.mark()));
        Ok(Self([mark(Feed::Ami)?, mark(Feed::Both)?]))
    }

    /// The daemon with both feeds comes to say this state, as a whole, of 1001. The other has wrap-ups of earlier stories open.
    fn state(&mut self, stage: &Stage, state: &str) -> Result<Value, String> {
        let screen = site(stage, Feed::Both)?.look("1001")?;
        let (at, frame) =
            screen.await_place(self.0[1].1, state, |f| f["type"] == "agent.changed" && f["state"] == state)?;
        self.0[1].1 = at;
        Ok(frame)
    }

    /// Both come to say this of 1001's places; what the second says.
    fn places(&mut self, stage: &Stage, what: &str, is: impl Fn(&Value) -> bool) -> Result<Value, String> {
        let mut last = Value::Null;
        for (feed, mark) in &mut self.0 {
            let screen = site(stage, *feed)?.look("1001")?;
            let (at, frame) =
                screen.await_place(*mark, what, |f| f["type"] == "agent.changed" && is(f)).map_err(|e| {
                    format!(
                        "[{}] {e}; 1001 is {:?}",
                        feed.name(),
                        screen.since(0).iter().rev().find(|f| f["type"] == "agent.changed")
                    )
                })?;
            (*mark, last) = (at, frame);
        }
        Ok(last)
    }
}

fn site(stage: &Stage, feed: Feed) -> Result<&crate::site::Site, String> {
    stage.sites.iter().find(|site| site.feed == feed).ok_or("no such daemon".to_owned())
}

/// What a queue is told of a place of 1001.
fn place(frame: &Value, queue: &str) -> Option<(String, Option<String>)> {
    let all = frame["queues"].as_array()?;
    let place = all.iter().find(|place| place["queue"] == queue)?;
    Some((place["state"].as_str()?.to_owned(), place["reason"].as_str().map(str::to_owned)))
}

fn is(frame: &Value, queue: &str, state: &str, reason: Option<&str>) -> bool {
    place(frame, queue) == Some((state.to_owned(), reason.map(str::to_owned)))
}

/// How the switch lists the member of 1001 in a queue; empty: it is none.
fn member(stage: &Stage, queue: &str) -> String {
    let said = stage.asterisk.say(&format!("queue show {queue}")).unwrap_or_default();
    said.lines().find(|line| line.contains("1001")).unwrap_or_default().to_owned()
}

fn at_the_switch(stage: &Stage, queue: &str, what: &str, is: impl Fn(&str) -> bool) -> Result<(), String> {
    until(&format!("1001 in {queue}: {what}"), PATIENCE, || is(&member(stage, queue)).then_some(()))
        .map_err(|e| format!("{e}; the switch says {:?}", member(stage, queue)))
}

fn paused(stage: &Stage, queue: &str, reason: &str) -> Result<(), String> {
    at_the_switch(stage, queue, reason, |line| line.contains(&format!("paused:{reason} ")))
}

fn free(stage: &Stage, queue: &str) -> Result<(), String> {
    at_the_switch(stage, queue, "not paused", |line| !line.is_empty() && !line.contains("paused"))
}

pub fn both_ways(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001", "1003"])?;
    let mut seen = Seen::now(stage)?;
    // Whatever was left open by the stories before.
    done(stage, "1001", "agent.state", json!({"state": "ready"}))?;

    // From the page, at every queue; the one behind Local channels is told by its hint.
    done(stage, "1001", "agent.state", json!({"state": "not-ready", "reason": "lunch"}))?;
    paused(stage, "support", "lunch")?;
    paused(stage, "sales", "lunch")?;
    seen.places(stage, "1001 paused for lunch", |f| {
        is(f, "support", "not-ready", Some("lunch")) && is(f, "sales", "not-ready", Some("lunch"))
    })?;
    let frame = seen.state(stage, "not-ready")?;
    if frame["reason"] != "lunch" {
        return Err(format!("not ready for another reason: {frame}"));
    }
    audited(stage, "1001", "agent.state", "done")?;

    // At the switch: one queue, and the agent gets calls again.
    stage.asterisk.say("queue unpause member PJSIP/1001 queue support")?;
    seen.places(stage, "1001 ready for support alone", |f| {
        is(f, "support", "ready", None) && is(f, "sales", "not-ready", Some("lunch"))
    })?;
    seen.state(stage, "ready")?;
    // From the page: all that is left.
    done(stage, "1001", "agent.state", json!({"state": "ready"}))?;
    free(stage, "sales")?;
    seen.places(stage, "1001 ready for both", |f| is(f, "sales", "ready", None))?;

    // From the phone, by the dialplan's codes.
    stage.phones.dial("1001", "*47", "agent_call_wait", &[])?.done()?;
    seen.places(stage, "the phone's pause", |f| is(f, "support", "not-ready", Some("lunch")))?;
    stage.phones.dial("1001", "*48", "agent_call_wait", &[])?.done()?;
    seen.places(stage, "the end of the phone's pause", |f| is(f, "support", "ready", None))?;

    // In and out of a queue, from the page; who may not, may not.
    let refused = super::verbs::ask(stage, Feed::Both, "1001", "queue.login", json!({"queue": "support2"}))?;
    if refused["code"] != "not-permitted" {
        return Err(format!("a queue that is not theirs was answered by {refused}"));
    }
    done(stage, "1001", "queue.login", json!({"queue": "callback"}))?;
    at_the_switch(stage, "callback", "a member", |line| line.contains("PJSIP/1001") && line.contains("dynamic"))?;
    seen.places(stage, "1001 in callback", |f| is(f, "callback", "ready", None))?;

    // Off: the login is left, the others are paused; and back.
    done(stage, "1001", "agent.state", json!({"state": "logged-off"}))?;
    paused(stage, "support", "linecard-logged-off")?;
    at_the_switch(stage, "callback", "left", str::is_empty)?;
    seen.places(stage, "1001 logged off", |f| is(f, "support", "logged-off", None) && place(f, "callback").is_none())?;
    seen.state(stage, "logged-off")?;
    done(stage, "1001", "agent.state", json!({"state": "ready"}))?;
    free(stage, "support")?;
    at_the_switch(stage, "callback", "back", |line| line.contains("PJSIP/1001"))?;
    seen.places(stage, "1001 back", |f| is(f, "support", "ready", None) && is(f, "callback", "ready", None))?;
    seen.state(stage, "ready")?;

    // By the supervisor of the team.
    done(stage, "1003", "agent.state", json!({"agent": "1001", "state": "not-ready", "reason": "training"}))?;
    paused(stage, "callback", "training")?;
    seen.places(stage, "1001 in training", |f| is(f, "callback", "not-ready", Some("training")))?;
    seen.state(stage, "not-ready")?;
    audited(stage, "1003", "agent.state", "done")?;
    let refused =
        super::verbs::ask(stage, Feed::Both, "1002", "agent.state", json!({"agent": "1001", "state": "ready"}))?;
    if refused["code"] != "not-permitted" {
        return Err(format!("a colleague's wish was answered by {refused}"));
    }
    done(stage, "1001", "agent.state", json!({"state": "ready"}))?;
    done(stage, "1001", "queue.logout", json!({"queue": "callback"}))?;
    at_the_switch(stage, "callback", "left", str::is_empty)?;
    free(stage, "support")?;
    free(stage, "sales")
}

/// The daemon with both feeds gives 3 s after calls of the queue `callback`.
pub fn after_a_call(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001"])?;
    done(stage, "1001", "queue.login", json!({"queue": "callback"}))?;
    let mut seen = Seen::now(stage)?;
    let call = |stage: &mut Stage| {
        let agent = stage.phones.phone("1001", "uas_answer", 1, &[("RING_MS", "500")])?;
        let mut screen = Watch::of(stage, "1001")?;
        let caller = stage.phones.customer("13800138000", "02161234573", "trunk_call", &[("TALK_MS", "3000")])?;
        screen.is(stage, "talking")?;
        Ok::<_, String>((agent, caller))
    };

    // Paused with our reason while the time runs; what somebody else put over it stays.
    let (agent, caller) = call(stage)?;
    caller.done()?;
    agent.done()?;
    paused(stage, "support", "linecard-after-call")?;
    stage.asterisk.say("queue pause member Local/1001@queue-member/n queue sales reason audit")?;
    let frame = seen.state(stage, "working-after-call")?;
    if !frame["until"].is_string() {
        return Err(format!("nothing says until when: {frame}"));
    }
    free(stage, "support")?;
    free(stage, "callback")?;
    paused(stage, "sales", "audit")?;
    seen.places(stage, "1001 free but for sales", |f| {
        is(f, "callback", "ready", None) && is(f, "sales", "not-ready", Some("audit"))
    })?;
    stage.asterisk.say("queue unpause member Local/1001@queue-member/n queue sales")?;
    free(stage, "sales")?;

    // Said in the call, done with its end.
    let (agent, caller) = call(stage)?;
    done(stage, "1001", "agent.next", json!({"state": "not-ready", "reason": "break"}))?;
    free(stage, "callback")?;
    caller.done()?;
    agent.done()?;
    for queue in ["callback", "support", "sales"] {
        paused(stage, queue, "break")?;
    }
    seen.places(stage, "1001 on a break", |f| is(f, "callback", "not-ready", Some("break")))?;
    let pop = {
        let frames = site(stage, Feed::Both)?.look("1001")?.since(0);
        frames.iter().rev().find(|f| f["type"] == "pop").map(|f| f["call"].clone()).ok_or("1001 has no call")?
    };
    done(stage, "1001", "wrapup.submit", json!({"call": pop, "disposition": ["other"]}))?;
    seen.state(stage, "not-ready")?;
    done(stage, "1001", "agent.state", json!({"state": "ready"}))?;
    done(stage, "1001", "queue.logout", json!({"queue": "callback"}))?;
    at_the_switch(stage, "callback", "left", str::is_empty)?;
    for queue in ["support", "sales"] {
        free(stage, queue)?;
    }
    Ok(())
}
