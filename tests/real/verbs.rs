//! What agents do to their calls from the page: asked for at one daemon's screen, seen at the switch and at the screens of all three.
//!
//! The daemon that has both feeds does most of it: it is the one whose account may do just what `check --manager-conf` asks for.

use serde_json::{Value, json};

use crate::{
    Stage,
    hands::{PATIENCE, Watch},
    site::Feed,
    wait::until,
};

/// Asks for a verb at the screen of one daemon; `call`: filled in as this daemon names the agent's newest call.
pub fn ask(stage: &mut Stage, feed: Feed, agent: &str, verb: &str, mut body: Value) -> Result<Value, String> {
    let site = stage.sites.iter_mut().find(|site| site.feed == feed).ok_or("no such daemon")?;
    let screen = site.screen(agent)?;
    if body.get("call").is_some_and(Value::is_null) {
        let frames = screen.since(0);
        let pop = frames.iter().rev().find(|f| f["type"] == "pop").ok_or(format!("{agent} has no call"))?;
        body["call"] = pop["call"].clone();
    }
    screen.ask(verb, body)
}

pub fn done(stage: &mut Stage, agent: &str, verb: &str, body: Value) -> Result<Value, String> {
    let answer = ask(stage, Feed::Both, agent, verb, body)?;
    if answer["type"] == "done" { Ok(answer) } else { Err(format!("{verb} was answered by {answer}")) }
}

fn this() -> Value {
    json!({ "call": null })
}

/// The channels of the switch as it lists them.
fn channels(stage: &Stage) -> Vec<String> {
    let said = stage.asterisk.say("core show channels concise").unwrap_or_default();
    said.lines().filter(|line| line.contains('!')).map(str::to_owned).collect()
}

fn channel(stage: &Stage, begin: &str) -> Result<String, String> {
    let found = channels(stage).into_iter().find(|line| line.starts_with(begin));
    found.and_then(|line| line.split('!').next().map(str::to_owned)).ok_or(format!("no channel of {begin}"))
}

fn at_the_switch(stage: &Stage, what: &str, is: impl Fn(&[String]) -> bool) -> Result<(), String> {
    until(what, PATIENCE, || is(&channels(stage)).then_some(()))
        .map_err(|e| format!("{e}; the switch has {:?}", channels(stage)))
}

fn any(channels: &[String], begin: &str) -> bool {
    channels.iter().any(|line| line.starts_with(begin))
}

/// The last row of the audit about this verb.
pub fn audited(stage: &Stage, who: &str, verb: &str, result: &str) -> Result<(), String> {
    let site = stage.sites.iter().find(|site| site.feed == Feed::Both).ok_or("no such daemon")?;
    until(&format!("{verb} of {who} in the audit as {result}"), PATIENCE, || {
        let said = site.say(&["audit", "--who", who, "--what", verb, "--limit", "1", "--json"]).ok()?;
        let row: Value = serde_json::from_str(said.lines().next()?).ok()?;
        (row["reason"] == result).then_some(())
    })
}

/// A direct call that 1001 has taken.
fn talking(
    stage: &mut Stage,
    talk_ms: &str,
    calls: u32,
) -> Result<(crate::phones::Party, crate::phones::Party), String> {
    talks(stage, "trunk_call", talk_ms, calls)
}

/// With sound on the line all the while: whoever is in by ChanSpy does not leave a line that carries none, hung up or not (22.10.1).
fn speaking(stage: &mut Stage, talk_ms: &str) -> Result<(crate::phones::Party, crate::phones::Party), String> {
    talks(stage, "trunk_speaks", talk_ms, 1)
}

fn talks(
    stage: &mut Stage,
    scenario: &str,
    talk_ms: &str,
    calls: u32,
) -> Result<(crate::phones::Party, crate::phones::Party), String> {
    let agent = stage.phones.phone("1001", "uas_answer", calls, &[("RING_MS", "800")])?;
    let mut screen = Watch::of(stage, "1001")?;
    let caller = stage.phones.customer("13800138000", "02161234567", scenario, &[("TALK_MS", talk_ms)])?;
    screen.is(stage, "talking")?;
    Ok((agent, caller))
}

/// By each daemon in turn, so by AMI and by ARI. Then the call is no longer there to be hung up.
pub fn hang_up(stage: &mut Stage) -> Result<(), String> {
    for feed in [Feed::Ami, Feed::Ari, Feed::Both] {
        stage.phones.register(&["1001"])?;
        let agent = stage.phones.phone("1001", "uas_answer", 1, &[("RING_MS", "500")])?;
        let mut screen = Watch::of(stage, "1001")?;
        let caller = stage.phones.customer("13800138000", "02161234567", "trunk_call_wait", &[])?;
        screen.is(stage, "talking")?;
        let answer = ask(stage, feed, "1001", "call.hangup", this())?;
        if answer["type"] != "done" {
            return Err(format!("[{}] call.hangup was answered by {answer}", feed.name()));
        }
        at_the_switch(stage, "both channels to end", |all| !any(all, "PJSIP/"))?;
        screen.sees(stage, "the call off the phone", crate::stories::left)?;
        caller.done()?;
        agent.done()?;
        let again = ask(stage, feed, "1001", "call.hangup", this())?;
        if again["code"] != "call-over" {
            return Err(format!("[{}] a call that is over was answered by {again}", feed.name()));
        }
    }
    audited(stage, "1001", "call.hangup", "call-over")
}

pub fn blind_transfer(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001", "1002"])?;
    let second = stage.phones.phone("1002", "uas_answer", 1, &[("RING_MS", "800")])?;
    let (first, caller) = talking(stage, "7000", 1)?;
    // Nobody is there: the customer stays.
    for (to, code) in [("5999", "unknown-target"), ("1002\r\nAction: Hangup", "unknown-target")] {
        let answer = ask(stage, Feed::Both, "1001", "call.transfer", json!({"call": null, "to": to}))?;
        if answer["code"] != code {
            return Err(format!("a transfer to {to:?} was answered by {answer}"));
        }
    }
    let mut taker = Watch::of(stage, "1002")?;
    done(stage, "1001", "call.transfer", json!({"call": null, "to": "1002"}))?;
    taker.is(stage, "talking")?;
    at_the_switch(stage, "1002 to be alone with the customer", |all| {
        any(all, "PJSIP/1002") && any(all, "PJSIP/trunk") && !any(all, "PJSIP/1001")
    })?;
    caller.done()?;
    first.done()?;
    second.done()?;
    audited(stage, "1001", "call.transfer", "done")
}

/// 1001 asks 1002, and the two go together.
pub fn consult(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001", "1002"])?;
    let second = stage.phones.phone("1002", "uas_answer", 1, &[("RING_MS", "800")])?;
    let (first, caller) = talking(stage, "14000", 1)?;
    let mut asked = asks(stage)?;
    done(stage, "1001", "call.complete", this())?;
    at_the_switch(stage, "1001 to be free", |all| any(all, "PJSIP/1002") && !any(all, "PJSIP/1001"))?;
    asked.sees(stage, "the customer as theirs", |f| crate::stories::is_pop(f) && f["role"] == "transfer")?;
    caller.done()?;
    first.done()?;
    second.done()
}

/// 1001 asks 1002, goes back to the customer, and ends the call.
pub fn consult_and_back(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001", "1002"])?;
    let second = stage.phones.phone("1002", "uas_answer", 1, &[("RING_MS", "800")])?;
    let first = stage.phones.phone("1001", "uas_answer", 1, &[("RING_MS", "800")])?;
    let mut asker = Watch::of(stage, "1001")?;
    let caller = stage.phones.customer("13800138000", "02161234567", "trunk_call_wait", &[])?;
    asker.is(stage, "talking")?;
    asks(stage)?;
    let mut asker = Watch::of(stage, "1001")?;
    done(stage, "1001", "call.cancel", this())?;
    asker.is(stage, "talking")?;
    at_the_switch(stage, "1002 to be free again", |all| !any(all, "PJSIP/1002") && any(all, "PJSIP/1001"))?;
    done(stage, "1001", "call.hangup", this())?;
    caller.done()?;
    first.done()?;
    second.done()
}

/// 1001 asks 1002, goes back to the customer, asks 1002 again, and the two go together.
pub fn consult_twice(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001", "1002"])?;
    let second = stage.phones.phone("1002", "uas_answer", 2, &[("RING_MS", "800")])?;
    let (first, caller) = talking(stage, "20000", 1)?;
    asks(stage)?;
    done(stage, "1001", "call.cancel", this())?;
    let mut asked = asks(stage)?;
    done(stage, "1001", "call.complete", this())?;
    at_the_switch(stage, "1001 to be free", |all| any(all, "PJSIP/1002") && !any(all, "PJSIP/1001"))?;
    asked.sees(stage, "the customer as theirs", |f| crate::stories::is_pop(f) && f["role"] == "transfer")?;
    caller.done()?;
    first.done()?;
    second.done()
}

/// 1001 asks 1002 about the customer, who waits: what both pages show of it.
fn asks(stage: &mut Stage) -> Result<Watch, String> {
    let mut asked = Watch::of(stage, "1002")?;
    let mark = both(stage)?.look("1001")?.mark();
    done(stage, "1001", "call.consult", json!({"call": null, "to": "1002"}))?;
    // ARI alone cannot, and its daemon offers nothing.
    both(stage)?.look("1001")?.await_frame(mark, "the ways out of a consultation", |f| offers(f, "call.complete"))?;
    asked.sees(stage, "the question as a pop with the customer", |f| {
        crate::stories::is_pop(f) && f["role"] == "consult" && f["number"]["e164"] == "+8613800138000"
    })?;
    asked.is(stage, "talking")?;
    Ok(asked)
}

/// Who asked for it has the call as theirs; daemons that were not asked see a leg that the switch dials.
fn has_it(stage: &Stage, agent: &str, role: &str) -> Result<(), String> {
    let is = |f: &Value| crate::stories::is_pop(f) && f["role"] == role && f["number"]["e164"] == "+8613800138000";
    both(stage)?.look(agent)?.await_frame(0, "the customer as theirs", is).map(drop)
}

/// The daemon with both feeds.
fn both(stage: &Stage) -> Result<&crate::site::Site, String> {
    stage.sites.iter().find(|site| site.feed == Feed::Both).ok_or("no such daemon".to_owned())
}

fn offers(frame: &Value, verb: &str) -> bool {
    frame["actions"].as_array().is_some_and(|actions| actions.contains(&verb.into()))
}

/// 1001 asks 1002, and then all three talk.
pub fn conference(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001", "1002"])?;
    let second = stage.phones.phone("1002", "uas_answer", 1, &[("RING_MS", "800")])?;
    let (first, caller) = talking(stage, "14000", 1)?;
    let mut asked = Watch::of(stage, "1002")?;
    done(stage, "1001", "call.consult", json!({"call": null, "to": "1002"}))?;
    asked.is(stage, "talking")?;
    done(stage, "1001", "call.conference", this())?;
    // Two bridges with a Local channel between them, or one with all three.
    at_the_switch(stage, "all three to be there", |all| {
        ["PJSIP/1001", "PJSIP/1002", "PJSIP/trunk"].iter().all(|name| any(all, name))
    })?;
    asked.sees(stage, "the customer as theirs too", |f| crate::stories::is_pop(f) && f["role"] == "transfer")?;
    caller.done()?;
    // The two go on without the customer, until one of them has enough.
    done(stage, "1001", "call.hangup", this())?;
    first.done()?;
    second.done()
}

/// 1001 parks the customer and takes them back; then a call that rings at 1001 is taken by 1002.
pub fn park_and_pick_up(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001"])?;
    let (first, caller) = talking(stage, "9000", 2)?;
    let mut screen = Watch::of(stage, "1001")?;
    let answer = done(stage, "1001", "call.park", this())?;
    let space = answer["space"].as_str().ok_or(format!("call.park was answered by {answer}"))?.to_owned();
    screen.sees(stage, "the call off the phone", crate::stories::left)?;
    both(stage)?.look("1001")?.await_frame(0, "that it can be fetched", |f| offers(f, "call.pickup"))?;
    let lot = stage.asterisk.say("parking show default")?;
    if !lot.contains(&space) || any(&channels(stage), "PJSIP/1001") {
        return Err(format!("the customer is not in {space} of the lot, or 1001 still has them: {lot}"));
    }
    done(stage, "1001", "call.pickup", this())?;
    screen.is(stage, "talking")?;
    caller.done()?;
    first.done()
}

pub fn pick_up_what_rings(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001", "1002"])?;
    let first = stage.phones.phone("1001", "uas_noanswer", 1, &[])?;
    let second = stage.phones.phone("1002", "uas_answer", 1, &[("RING_MS", "500")])?;
    let (mut rings, mut taker) = (Watch::of(stage, "1001")?, Watch::of(stage, "1002")?);
    let caller = stage.phones.customer("13800138000", "02161234567", "trunk_call", &[("TALK_MS", "5000")])?;
    rings.sees(stage, "the pop", |f| f["type"] == "pop")?;
    // 1003 is of another team.
    let stranger = ask(stage, Feed::Ami, "1002", "call.pickup", json!({"agent": "nobody"}))?;
    if stranger["code"] != "not-permitted" {
        return Err(format!("a stranger's call was answered by {stranger}"));
    }
    done(stage, "1002", "call.pickup", json!({"agent": "1001"}))?;
    rings.sees(stage, "the pop taken back", |f| f["type"] == "pop.withdrawn")?;
    taker.is(stage, "talking")?;
    at_the_switch(stage, "1002 to have the customer", |all| any(all, "PJSIP/1002") && !any(all, "PJSIP/1001"))?;
    has_it(stage, "1002", "inbound")?;
    caller.done()?;
    first.done()?;
    second.done()
}

/// 1003, who supervises 1001, listens, whispers, and takes the call; 1002, who supervises nobody, may not.
pub fn supervise(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001", "1003"])?;
    let ears = stage.phones.phone("1003", "uas_answer", 2, &[("RING_MS", "500")])?;
    let (first, caller) = speaking(stage, "12000")?;
    let refused = ask(stage, Feed::Both, "1002", "call.listen", json!({"agent": "1001"}))?;
    if refused["code"] != "not-permitted" {
        return Err(format!("who supervises nobody was answered by {refused}"));
    }
    audited(stage, "1002", "call.listen", "not-permitted")?;
    let marks: Vec<usize> =
        stage.sites.iter().map(|site| site.look("1003").map(|s| s.mark())).collect::<Result<_, _>>()?;
    done(stage, "1003", "call.whisper", json!({"agent": "1001"}))?;
    at_the_switch(stage, "1003 to listen in", |all| {
        all.iter().any(|line| line.starts_with("PJSIP/1003") && line.contains("!ChanSpy!"))
    })?;
    let spy = channel(stage, "PJSIP/1003")?;
    stage.asterisk.say(&format!("channel request hangup {spy}"))?;
    at_the_switch(stage, "1003 to have left", |all| !any(all, "PJSIP/1003"))?;
    for (site, mark) in stage.sites.iter().zip(marks) {
        if let Some(pop) = site.look("1003")?.since(mark).iter().find(|f| f["type"] == "pop") {
            return Err(format!("[{}] who listens has a call: {pop}", site.feed.name()));
        }
    }
    let (mut agent, mut taker) = (Watch::of(stage, "1001")?, Watch::of(stage, "1003")?);
    done(stage, "1003", "call.take", json!({"agent": "1001"}))?;
    taker.is(stage, "talking")?;
    agent.sees(stage, "the call off the phone", crate::stories::left)?;
    at_the_switch(stage, "1003 to have the customer", |all| any(all, "PJSIP/1003") && !any(all, "PJSIP/1001"))?;
    has_it(stage, "1003", "transfer")?;
    caller.done()?;
    first.done()?;
    ears.done()?;
    audited(stage, "1003", "call.take", "done")
}

/// 1003 hears the call of 1001, and nobody hears 1003.
pub fn listen(stage: &mut Stage) -> Result<(), String> {
    overheard(stage, "call.listen", "qES")
}

/// 1003 is heard by both.
pub fn barge(stage: &mut Stage) -> Result<(), String> {
    overheard(stage, "call.barge", "qESB")
}

/// What the switch is told to let be heard is what it lets be heard: ChanSpy without `w` and `B` gives nothing of the supervisor to anybody. The call goes on
/// as it was, before and after, and both it and the record know that there was somebody.
fn overheard(stage: &mut Stage, verb: &str, options: &str) -> Result<(), String> {
    stage.phones.register(&["1001", "1003"])?;
    // Who listens leaves by hanging up, after a while.
    let ears = stage.phones.phone("1003", "uas_answer_bye", 1, &[("RING_MS", "500"), ("TALK_MS", "2500")])?;
    let (first, caller) = speaking(stage, "7000")?;
    let together = |stage: &Stage| {
        let all = channels(stage);
        let one = bridge(&all, "PJSIP/1001").filter(|one| !one.is_empty())?;
        (bridge(&all, "PJSIP/trunk") == Some(one)).then(|| one.to_owned())
    };
    let before =
        together(stage).ok_or_else(|| format!("1001 and the customer are in no bridge: {:?}", channels(stage)))?;
    let screen = both(stage)?.look("1001")?;
    let (mark, pops) = (screen.mark(), both(stage)?.look("1003")?.mark());
    done(stage, "1003", verb, json!({"agent": "1001"}))?;
    at_the_switch(stage, "1003 to be in", |all| {
        all.iter().any(|line| line.starts_with("PJSIP/1003") && field(line, APPLICATION) == "ChanSpy")
    })?;
    let all = channels(stage);
    let ear = all.iter().find(|line| line.starts_with("PJSIP/1003")).ok_or("1003 has left")?;
    let own = channel(stage, "PJSIP/1001")?;
    if field(ear, DATA) != format!("{own},{options}") || !field(ear, BRIDGE).is_empty() {
        return Err(format!("1003 is not in by {options} alone: {ear}"));
    }
    if together(stage).as_ref() != Some(&before) {
        return Err(format!("1001 and the customer are not in {before} any more: {:?}", channels(stage)));
    }
    until("1003 to be sent what is said", PATIENCE, || {
        let stats = stage.asterisk.say("pjsip show channelstats").ok()?;
        sent(&stats, "1003-").filter(|packets| *packets > 0)
    })?;
    at_the_switch(stage, "1003 to have left", |all| !any(all, "PJSIP/1003"))?;
    if together(stage).as_ref() != Some(&before) {
        return Err("the call did not go on without 1003".to_owned());
    }
    // The agent's page was told of nothing, and the supervisor's of no call.
    let told = both(stage)?.look("1001")?.since(mark);
    let pop = both(stage)?.look("1003")?.since(pops).into_iter().find(|f| f["type"] == "pop");
    // A card that became richer meanwhile tells of the customer alone.
    let told_of = |frame: &serde_json::Value| {
        let mut frame = frame.clone();
        frame.as_object_mut().map(|frame| frame.remove("card"));
        frame["type"] == "call.changed" || frame["type"] == "pop.updated" && frame.to_string().contains("1003")
    };
    if let Some(frame) = told.iter().find(|frame| told_of(frame)).or(pop.as_ref()) {
        return Err(format!("that 1003 was in shows: {frame}"));
    }
    caller.done()?;
    first.done()?;
    ears.done()?;
    // Who is in is told by AMI alone.
    for site in stage.sites.iter_mut().filter(|site| site.feed != Feed::Ari) {
        let records = crate::stories::settle(site, 1)?;
        let [record] = records.as_slice() else { return Err(format!("{} records", records.len())) };
        let has = |list: &str, kind: (&str, &str)| {
            let list = record[list].as_array();
            list.is_some_and(|list| list.iter().any(|one| one[kind.0] == kind.1 && one["agent"] == "1003"))
        };
        let heard = has("parties", ("role", "supervisor")) && has("segments", ("kind", "monitor"));
        if !heard || record["agents"] != json!(["1001"]) || record["outcome"] != "answered" {
            return Err(format!("[{}] the record does not say who was in: {record}", site.feed.name()));
        }
    }
    audited(stage, "1003", verb, "done")
}

// The fields of `core show channels concise`.
const APPLICATION: usize = 5;
const DATA: usize = 6;
const BRIDGE: usize = 12;

/// How many packets of sound a channel was sent, by `pjsip show channelstats`: behind its id stand the time, the codec, and four figures of what came from it.
fn sent(stats: &str, begin: &str) -> Option<u64> {
    let words = stats.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let of = |words: Vec<&str>| {
        let at = words.iter().position(|word| word.starts_with(begin))?;
        words.get(at + 7)?.parse().ok()
    };
    words.filter_map(of).next()
}

fn field(line: &str, at: usize) -> &str {
    line.split('!').nth(at).unwrap_or_default()
}

fn bridge<'a>(channels: &'a [String], begin: &str) -> Option<&'a str> {
    channels.iter().find(|line| line.starts_with(begin)).map(|line| field(line, BRIDGE))
}

/// Mute and unmute, keys that the customer hears, a recording that is begun, paused, resumed and stopped.
pub fn mute_keys_and_recording(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001"])?;
    let agent = stage.phones.phone("1001", "uas_answer", 1, &[("RING_MS", "800")])?;
    let mut screen = Watch::of(stage, "1001")?;
    let caller = stage.phones.customer("13800138000", "02161234567", "trunk_keys", &[])?;
    screen.is(stage, "talking")?;
    done(stage, "1001", "call.mute", this())?;
    both(stage)?.look("1001")?.await_frame(0, "that it is muted", |f| offers(f, "call.unmute"))?;
    done(stage, "1001", "call.unmute", this())?;
    done(stage, "1001", "call.digits", json!({"call": null, "digits": "4#"}))?;
    let bad = ask(stage, Feed::Both, "1001", "call.digits", json!({"call": null, "digits": "4\r\n"}))?;
    if bad["code"] != "unknown-target" {
        return Err(format!("keys that are none were answered by {bad}"));
    }
    let nothing = ask(stage, Feed::Both, "1001", "call.record.pause", this())?;
    if nothing["code"] != "not-recording" {
        return Err(format!("what is not recorded was paused: {nothing}"));
    }
    let begun = done(stage, "1001", "call.record.start", this())?;
    let file = begun["recording"].as_str().ok_or(format!("call.record.start was answered by {begun}"))?.to_owned();
    let leg = channel(stage, "PJSIP/trunk")?;
    let list = |stage: &Stage| stage.asterisk.say(&format!("mixmonitor list {leg}")).unwrap_or_default();
    // Its list cuts names.
    let begin = file.get(..30).unwrap_or(&file).to_owned();
    if !list(stage).contains(&begin) {
        return Err(format!("the switch does not write {file}: {}", list(stage)));
    }
    for verb in ["call.record.pause", "call.record.resume", "call.record.stop"] {
        done(stage, "1001", verb, this())?;
    }
    until("the recording to be over", PATIENCE, || (!list(stage).contains(&begin)).then_some(()))?;
    done(stage, "1001", "call.hangup", this())?;
    caller.done()?;
    agent.done()?;
    audited(stage, "1001", "call.record.stop", "done")
}

/// The phone is told to answer, to hold and to go on, and does it.
pub fn phone_obeys(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001"])?;
    let agent = stage.phones.phone("1001", "uas_obeys", 1, &[])?;
    let mut screen = Watch::of(stage, "1001")?;
    let caller = stage.phones.customer("13800138000", "02161234567", "trunk_call", &[("TALK_MS", "4000")])?;
    screen.sees(stage, "the pop", crate::stories::is_pop)?;
    done(stage, "1001", "call.answer", this())?;
    screen.is(stage, "talking")?;
    done(stage, "1001", "call.hold", this())?;
    screen.is(stage, "holding")?;
    done(stage, "1001", "call.retrieve", this())?;
    screen.is(stage, "talking")?;
    caller.done()?;
    agent.done()?;
    audited(stage, "1001", "call.answer", "done")
}

/// The dialplan records a call, and the agent records it too. Afterwards both are heard, whole and by ranges, by 1001 and by 1003, who supervises 1001;
/// 1002, who had no part in it, and whoever has only half a link, hear nothing.
pub fn hear(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001"])?;
    // sipp's phones say nothing: what is heard is the music while the customer is held.
    let facts = [("RING_MS", "800"), ("TALK_MS", "2500"), ("HOLD_MS", "3000")];
    let agent = stage.phones.phone("1001", "uas_hold", 1, &facts)?;
    let mut screen = Watch::of(stage, "1001")?;
    let mark = both(stage)?.look("1001")?.mark();
    let caller = stage.phones.customer("13800138000", "4008001234", "trunk_call", &[("TALK_MS", "8000")])?;
    screen.is(stage, "talking")?;
    let up = ask(stage, Feed::Both, "1001", "recording.link", this())?;
    if up["code"] != "call-up" {
        return Err(format!("a call that is up was answered by {up}"));
    }
    done(stage, "1001", "call.record.start", this())?;
    caller.done()?;
    agent.done()?;
    let over = both(stage)?.look("1001")?.await_frame(mark, "that it can be heard", |f| offers(f, "recording.link"))?;
    let of = |n: usize| json!({"call": over["call"], "recording": n});
    for (who, code) in [("1002", "not-permitted"), ("1003", "")] {
        let answer = ask(stage, Feed::Both, who, "recording.link", of(0))?;
        if answer["code"].as_str().unwrap_or_default() != code {
            return Err(format!("{who} was answered by {answer}"));
        }
    }
    let site = both(stage)?;
    let monitor = stage.asterisk.folder("var/spool/asterisk/monitor");
    let record = site.say(&["records", "show", over["call"].as_str().unwrap_or_default(), "--json", "--full"])?;
    let record: Value = serde_json::from_str(&record).map_err(|e| e.to_string())?;
    let names: Vec<String> = record["recordings"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|r| Some(r["id"].as_str()?.to_owned()))
        .collect();
    if names.len() != 2 {
        return Err(format!("two recordings, but the record has {}", record["recordings"]));
    }
    for (n, name) in names.iter().enumerate() {
        let answer = done(stage, "1001", "recording.link", of(n))?;
        let url = answer["link"]["url"].as_str().ok_or(format!("no link: {answer}"))?.to_owned();
        let site = both(stage)?;
        // The switch writes the last of it when the call is over already.
        let (file, head) = until(&format!("recording {n} to be what the switch wrote"), PATIENCE, || {
            let (status, head, body) = site.play(&url, "").ok()?;
            let file = std::fs::read(monitor.join(name)).ok()?;
            (status == 200 && body == file && file.len() > 8_000).then_some((file, head))
        })?;
        let size = file.len();
        if !head.contains("content-type: audio/wav") || !head.contains("accept-ranges: bytes") {
            return Err(format!("the head is {head}"));
        }
        for (range, first, last) in [
            ("0-43".to_owned(), 0, 43),
            ("4000-7999".to_owned(), 4_000, 7_999),
            ("-1000".to_owned(), size - 1_000, size - 1),
            (format!("{}-", size - 1), size - 1, size - 1),
        ] {
            let (status, head, body) = site.play(&url, &format!("Range: bytes={range}\r\n"))?;
            let told = format!("content-range: bytes {first}-{last}/{size}");
            if status != 206 || !head.contains(&told) || file.get(first..=last) != Some(&body[..]) {
                return Err(format!("range {range} of {size}: {status}, {} bytes, {head}", body.len()));
            }
        }
        let (status, ..) = site.play(&url, &format!("Range: bytes={size}-\r\n"))?;
        let (half, ..) = site.play(url.split("?t=").next().unwrap_or_default(), "")?;
        let (other, ..) = site.play(&url.replace("?t=", "?t=A"), "")?;
        if (status, half, other) != (416, 404, 404) {
            return Err(format!("beyond the end {status}, without a token {half}, with another one {other}"));
        }
        if site.log().contains(url.split("?t=").nth(1).unwrap_or("?")) {
            return Err("a token stands in the log".to_owned());
        }
    }
    audited(stage, "1002", "recording.link", "not-permitted")?;
    audited(stage, "1003", "recording.link", "done, 1 of 2")?;
    audited(stage, "1001", "recording.link", "done, 2 of 2")?;
    audited(stage, "1001", "recording.heard", "done")
}
