//! What people do to a call besides answering it and hanging up: hold, ask a colleague, hand over, park, pick up, gather in a room; and
//! callers who key in a number or withhold theirs.

use serde_json::Value;

use crate::{
    Stage,
    site::Site,
    stories::{is_pop, left, settle},
    wait::until,
};

/// One agent's screens at all daemons, read forward.
pub struct Watch {
    agent: &'static str,
    /// Per daemon, how far it was read.
    marks: Vec<usize>,
}

impl Watch {
    /// From now on.
    pub fn of(stage: &Stage, agent: &'static str) -> Result<Self, String> {
        let mark = |site: &Site| site.look(agent).map(|screen| screen.mark());
        Ok(Self { agent, marks: stage.sites.iter().map(mark).collect::<Result<_, _>>()? })
    }

    /// The next frame that `is` it, at every daemon.
    pub fn sees(&mut self, stage: &Stage, what: &str, is: impl Fn(&Value) -> bool) -> Result<Vec<Value>, String> {
        let mut frames = Vec::new();
        for (site, mark) in stage.sites.iter().zip(&mut self.marks) {
            let told = |e: String| format!("[{}] {e}", site.feed.name());
            let (at, frame) = site.look(self.agent)?.await_place(*mark, what, &is).map_err(told)?;
            *mark = at + 1;
            frames.push(frame);
        }
        Ok(frames)
    }

    /// The agent's part in the call becomes this: `ringing`, `talking`, `holding`.
    pub fn is(&mut self, stage: &Stage, part: &str) -> Result<(), String> {
        self.sees(stage, &format!("the call as {part}"), |f| f["type"] == "call.changed" && f["leg"] == part).map(drop)
    }
}

pub fn hold(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001"])?;
    let facts = [("RING_MS", "1000"), ("TALK_MS", "2000"), ("HOLD_MS", "3000")];
    let agent = stage.phones.phone("1001", "uas_hold", 1, &facts)?;
    let mut screen = Watch::of(stage, "1001")?;
    let caller = stage.phones.customer("13800138000", "4008001234", "trunk_call", &[("TALK_MS", "9000")])?;
    for part in ["talking", "holding", "talking"] {
        screen.is(stage, part)?;
    }
    caller.done()?;
    agent.done()
}

/// 1001 asks 1002, who rings and refuses; the customer is taken back.
pub fn consult_refused(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001", "1002"])?;
    let colleague = stage.phones.phone("1002", "uas_refuse", 1, &[("RING_MS", "1000")])?;
    let facts = [("RING_MS", "1000"), ("TALK_MS", "2000"), ("HOLD_MS", "1000")];
    let agent = stage.phones.phone("1001", "uas_consult_refused", 1, &facts)?;
    let (mut first, mut second) = (Watch::of(stage, "1001")?, Watch::of(stage, "1002")?);
    let caller = stage.phones.customer("13800138000", "4008001234", "trunk_call", &[("TALK_MS", "8000")])?;
    first.is(stage, "holding")?;
    second.sees(stage, "the question as a pop with the customer", |f| is_pop(f) && f["role"] == "consult")?;
    second.sees(stage, "the question gone", |f| f["type"] == "pop.withdrawn")?;
    first.is(stage, "talking")?;
    caller.done()?;
    agent.done()?;
    colleague.done()
}

/// Blind to a queue whose members are Local channels.
pub fn blind_to_queue(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001", "1002"])?;
    let facts = [("RING_MS", "1000"), ("TALK_MS", "2500"), ("TARGET", "7000")];
    let mut first = stage.phones.phone("1001", "uas_blind", 1, &facts)?;
    let second = stage.phones.phone("1002", "uas_answer", 1, &[("RING_MS", "1500")])?;
    stage.asterisk.say("queue pause member Local/1001@queue-member/n queue sales")?;
    let caller = stage.phones.customer("13800138000", "4008001234", "trunk_call", &[("TALK_MS", "9500")])?;
    let played = caller.done().and_then(|()| first.over().map(drop)).and_then(|()| second.done());
    stage.asterisk.say("queue unpause member Local/1001@queue-member/n queue sales")?;
    played
}

/// 1001 hands the customer to 1002, who hands them on to 1003.
pub fn transfer_of_transfer(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001", "1002", "1003"])?;
    let facts = |target| [("RING_MS", "1000"), ("TALK_MS", "2000"), ("TARGET", target)];
    let mut first = stage.phones.phone("1001", "uas_blind", 1, &facts("1002"))?;
    let mut second = stage.phones.phone("1002", "uas_blind", 1, &facts("1003"))?;
    let third = stage.phones.phone("1003", "uas_answer", 1, &[("RING_MS", "1000")])?;
    let caller = stage.phones.customer("13800138000", "4008001234", "trunk_call", &[("TALK_MS", "11000")])?;
    caller.done()?;
    first.over()?;
    second.over()?;
    third.done()
}

/// 1001 parks the customer (a transfer to 700), 1002 dials the place and has them.
pub fn park(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001", "1002"])?;
    let facts = [("RING_MS", "1000"), ("TALK_MS", "2000"), ("TARGET", "700")];
    let mut first = stage.phones.phone("1001", "uas_blind", 1, &facts)?;
    let mut taker = Watch::of(stage, "1002")?;
    let caller = stage.phones.customer("13800138000", "4008001234", "trunk_call", &[("TALK_MS", "9000")])?;
    let place = until("the customer to stand in the parking lot", PATIENCE, || {
        let lot = stage.asterisk.say("parking show default").ok()?;
        ["701", "702", "703"]
            .into_iter()
            .find(|place| lot.contains(&format!("{place}\n")) || lot.contains(&format!(" {place} ")))
    })?;
    // The person who takes them needs a moment to read the place.
    std::thread::park_timeout(std::time::Duration::from_millis(1500));
    let second = stage.phones.dial("1002", place, "agent_call_wait", &[])?;
    taker.is(stage, "talking")?;
    caller.done()?;
    first.over()?;
    second.done()
}

/// A direct call rings at 1001; 1002 takes it from there.
pub fn pickup(stage: &mut Stage) -> Result<(), String> {
    picked_up(stage, "02161234567", "4000")
}

/// The same with a call that a queue offers.
pub fn pickup_from_queue(stage: &mut Stage) -> Result<(), String> {
    picked_up(stage, "4008005678", "6000")
}

fn picked_up(stage: &mut Stage, did: &str, talk_ms: &str) -> Result<(), String> {
    stage.phones.register(&["1001", "1002"])?;
    let first = stage.phones.phone("1001", "uas_noanswer", 1, &[])?;
    let (mut rings, mut taker) = (Watch::of(stage, "1001")?, Watch::of(stage, "1002")?);
    let caller = stage.phones.customer("13800138000", did, "trunk_call", &[("TALK_MS", talk_ms)])?;
    rings.sees(stage, "the pop", |f| f["type"] == "pop")?;
    // Colleagues hear it ring for a while before they take it.
    std::thread::park_timeout(std::time::Duration::from_millis(2000));
    let second = stage.phones.dial("1002", "*81001", "agent_call_wait", &[])?;
    rings.sees(stage, "the pop taken back", |f| f["type"] == "pop.withdrawn")?;
    taker.sees(stage, "a pop with the customer", is_pop)?;
    taker.is(stage, "talking")?;
    caller.done()?;
    first.done()?;
    second.done()
}

/// Both phones of one agent ring; the second is answered.
pub fn two_devices(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001", "1004"])?;
    let silent = stage.phones.phone("1001", "uas_noanswer", 1, &[])?;
    let other = stage.phones.phone("1004", "uas_answer", 1, &[("RING_MS", "1500")])?;
    let mut screen = Watch::of(stage, "1001")?;
    let marks = screen.marks.clone();
    let caller = stage.phones.customer("13800138000", "02161234570", "trunk_call", &[("TALK_MS", "3000")])?;
    screen.is(stage, "talking")?;
    caller.done()?;
    silent.done()?;
    other.done()?;
    screen.sees(stage, "the call off the screen", left)?;
    for (site, mark) in stage.sites.iter().zip(marks) {
        let frames = site.look("1001")?.since(mark);
        let count = |kind: &str| frames.iter().filter(|f| f["type"] == kind).count();
        if (count("pop"), count("pop.withdrawn")) != (1, 0) {
            return Err(format!(
                "[{}] two phones of one agent are one pop that stays; there were {} pops, {} taken back",
                site.feed.name(),
                count("pop"),
                count("pop.withdrawn")
            ));
        }
    }
    Ok(())
}

pub fn internal(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001", "1002"])?;
    let called = stage.phones.phone("1002", "uas_answer", 1, &[("RING_MS", "1500")])?;
    let caller = stage.phones.dial("1001", "1002", "agent_call", &[("TALK_MS", "3000")])?;
    caller.done()?;
    called.done()
}

/// 1001, 1002 and 1003 go to one room, one after another, and leave it one after another.
pub fn conference(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001", "1002", "1003"])?;
    let mut parties = Vec::new();
    let mut first = Watch::of(stage, "1001")?;
    for (agent, talk_ms) in [("1001", "5000"), ("1002", "2500"), ("1003", "1000")] {
        let mut screen = Watch::of(stage, agent)?;
        parties.push(stage.phones.dial(agent, "8001", "agent_call", &[("TALK_MS", talk_ms)])?);
        // Who is alone in the room talks with nobody yet.
        match agent {
            "1001" => drop(screen.sees(stage, "the room as a pop", |f| f["type"] == "pop")?),
            _ => screen.is(stage, "talking")?,
        }
    }
    first.is(stage, "talking")?;
    parties.into_iter().rev().try_for_each(crate::phones::Party::done)
}

/// The caller keys 8642 in the menu: it is in the first pop already.
pub fn ivr_data(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001"])?;
    let agent = stage.phones.phone("1001", "uas_answer", 1, &[("RING_MS", "1500")])?;
    let mut screen = Watch::of(stage, "1001")?;
    let caller = stage.phones.customer("13800138000", "95533", "trunk_dtmf", &[("TALK_MS", "6000")])?;
    for pop in screen.sees(stage, "the pop", |f| f["type"] == "pop")? {
        // By a channel variable, by an event of the dialplan's own, and by the keys themselves.
        if ["ivr.account", "ivr.told", "ivr.keyed"].iter().any(|name| pop["attributes"][name] != "8642") {
            return Err(format!("the first pop does not say what was keyed: {pop}"));
        }
    }
    caller.done()?;
    agent.done()
}

/// First a caller whose From is anonymous while the trusted trunk gives the number; then one without any number.
pub fn anonymous(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001"])?;
    let agent = stage.phones.phone("1001", "uas_answer", 2, &[("RING_MS", "1000")])?;
    let talk = ("TALK_MS", "3500");
    stage.phones.customer(ANONYMOUS, "4008001234", "trunk_call", &[("PRIVACY", VOUCHED), talk])?.done()?;
    let mut screen = Watch::of(stage, "1001")?;
    let caller = stage.phones.customer("<sip:[local_ip]>", "4008001234", "trunk_call", &[talk])?;
    for pop in screen.sees(stage, "the pop", |f| f["type"] == "pop")? {
        if nonempty(&pop["number"]["display"]) || nonempty(&pop["number"]["e164"]) {
            return Err(format!("a caller without a number has one: {pop}"));
        }
    }
    caller.done()?;
    agent.done()
}

/// Where the dialplan takes a withheld number off the call, it is nowhere; nor where the carrier never gave it.
pub fn withheld(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001"])?;
    let agent = stage.phones.phone("1001", "uas_answer", 2, &[("RING_MS", "1000")])?;
    let talk = ("TALK_MS", "3500");
    for (did, privacy) in [("02161234571", VOUCHED), ("4008001234", "      Privacy: id\n")] {
        let mut screen = Watch::of(stage, "1001")?;
        let caller = stage.phones.customer(ANONYMOUS, did, "trunk_call", &[("PRIVACY", privacy), talk])?;
        for pop in screen.sees(stage, "the pop", |f| f["type"] == "pop")? {
            if nonempty(&pop["number"]["display"]) || pop["card"]["candidates"].as_array().is_none_or(|c| !c.is_empty())
            {
                return Err(format!("who withholds their number is shown: {pop}"));
            }
        }
        caller.done()?;
    }
    agent.done()
}

const ANONYMOUS: &str = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";
/// The number the carrier knows, for the switch's eyes only (RFC 3325).
const VOUCHED: &str = "      P-Asserted-Identity: <sip:+8613800138000@[local_ip]>\n      Privacy: id\n";

fn nonempty(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}

/// The call came to a queue whose members are Local channels.
pub fn sales_local(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001"])?;
    let agent = stage.phones.phone("1001", "uas_answer", 1, &[("RING_MS", "1500")])?;
    let caller = stage.phones.customer("13800138000", "02161234568", "trunk_call", &[("TALK_MS", "5000")])?;
    caller.done()?;
    agent.done()
}

/// 1001 dials *78, a direct call is refused by the switch, *79.
pub fn dnd(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001"])?;
    stage.phones.dial("1001", "*78", "agent_call_wait", &[])?.done()?;
    stage.phones.customer("13800138000", "02161234567", "trunk_reject", &[("CODE", "486")])?.done()?;
    stage.phones.dial("1001", "*79", "agent_call_wait", &[])?.done()
}

/// Logins, pauses and penalties of queue members, by command and by feature code: no calls. A real one after them says when all was heard.
pub fn queue_members(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001", "1002"])?;
    stage
        .asterisk
        .say("queue add member PJSIP/1001 to callback penalty 2 as \"Agent Li\" state_interface PJSIP/1001")?;
    stage.phones.dial("1002", "*45", "agent_call_wait", &[])?.done()?;
    stage.asterisk.say("queue pause member PJSIP/1001 queue support reason lunch")?;
    stage.asterisk.say("queue unpause member PJSIP/1001 queue support")?;
    for code in ["*47", "*48"] {
        stage.phones.dial("1002", code, "agent_call_wait", &[])?.done()?;
    }
    stage.asterisk.say("queue set penalty 5 on PJSIP/1001 in callback")?;
    stage.phones.dial("1002", "*46", "agent_call_wait", &[])?.done()?;
    stage.asterisk.say("queue remove member PJSIP/1001 from callback")?;
    let customer = stage.phones.carrier("uas_busy", &[("CODE", "486")])?;
    stage.phones.dial("1001", "913800138000", "agent_call_reject", &[("CODE", "486")])?.done()?;
    customer.done()?;
    for site in &mut stage.sites {
        let records = settle(site, 1)?;
        if records.len() != 1 || records[0]["direction"] != "outbound" {
            return Err(format!("[{}] not only the one call is a call: {records:?}", site.feed.name()));
        }
    }
    Ok(())
}

/// How long a person waits for something to happen.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);
