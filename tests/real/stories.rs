//! The calls. Each is played once by phones and a carrier through the real switch, while three daemons watch it: one by AMI, one by
//! ARI, one by both. Then every daemon's screens, records and tickets are looked at.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    Stage, callbacks,
    expected::Expected,
    hands::{self, Watch},
    screen::Screen,
    site::{Feed, Site},
    states, switch, verbs,
    wait::until,
};

/// What one agent's screen has to have shown of the call.
pub struct Shown {
    agent: &'static str,
    role: &'static str,
    /// Taken back for this reason; `None`: the agent had the call.
    withdrawn: Option<&'static str>,
    /// Who is at the other end.
    who: Who,
}

/// Whom a pop shows.
#[derive(Clone, Copy, PartialEq)]
enum Who {
    /// One of [`CUSTOMERS`].
    Customer,
    /// A person of our own, whom no business system is asked about.
    Colleague,
    /// No number.
    Nobody,
}

pub struct Story {
    pub name: &'static str,
    /// The recorded scenario whose `expected.json` says what the record must be.
    fixture: Option<&'static str>,
    drive: fn(&mut Stage) -> Result<(), String>,
    shown: &'static [Shown],
    /// One ticket a call stands in Redmine afterwards; else none.
    ticket: bool,
    /// Keys of the record in which the story differs from the recorded one.
    but: &'static [&'static str],
    /// What else every record must say: a JSON object as in `expected.json`. Without a fixture, one record is expected to say it.
    also: &'static str,
    /// What may stand neither in a frame nor in a record.
    nowhere: &'static [&'static str],
    /// Pops at agents who are not in `shown` are right too.
    crowd: bool,
}

const fn has(agent: &'static str, role: &'static str) -> Shown {
    Shown { agent, role, withdrawn: None, who: Who::Customer }
}
const fn lost(agent: &'static str, reason: &'static str) -> Shown {
    Shown { agent, role: "inbound", withdrawn: Some(reason), who: Who::Customer }
}
const fn colleague(agent: &'static str) -> Shown {
    Shown { agent, role: "internal", withdrawn: None, who: Who::Colleague }
}
const fn story(name: &'static str, drive: fn(&mut Stage) -> Result<(), String>, shown: &'static [Shown]) -> Story {
    Story { name, fixture: Some(name), drive, shown, ticket: false, but: &[], also: "", nowhere: &[], crowd: false }
}

/// In the order in which they are played.
pub const ALL: &[Story] = &[
    Story { fixture: None, ..story("everybody-is-known-to-everybody", probes, &[]) },
    Story { ticket: true, ..story("queue-answered", queue_answered, &[has("1001", "inbound")]) },
    story("queue-plus86", queue_plus86, &[has("1001", "inbound")]),
    story("agent-hangs-up", agent_hangs_up, &[has("1001", "inbound")]),
    Story { ticket: true, ..story("queue-abandoned", queue_abandoned, &[lost("1001", "caller-gone")]) },
    story("rna-then-other", rna_then_other, &[lost("1001", "no-answer"), has("1002", "inbound")]),
    // 1001's phone refuses without ringing: nothing is delivered there, so nothing pops.
    story("busy-overflow", busy_overflow, &[lost("1002", "no-answer"), has("1003", "inbound")]),
    story("blind-transfer", blind_transfer, &[has("1001", "inbound"), has("1002", "transfer")]),
    story("attended-transfer", attended_transfer, &[has("1001", "inbound"), has("1002", "transfer")]),
    Story {
        but: &["customer.e164", "customer.class"],
        ..story("direct-inbound", direct_inbound, &[has("1001", "inbound")])
    },
    Story { ticket: true, ..story("direct-missed", direct_missed, &[lost("1001", "caller-gone")]) },
    story("outbound", outbound, &[has("1001", "outbound")]),
    story("outbound-busy", outbound_busy, &[has("1001", "outbound")]),
    Story { name: "click-to-dial-by-ami", ..story("click-to-dial-ami", dial_by_ami, &[has("1001", "outbound")]) },
    Story { name: "click-to-dial-by-ari", ..story("click-to-dial-ari", dial_by_ari, &[has("1001", "outbound")]) },
    Story {
        name: "click-to-dial-nobody-there",
        but: &["customer.e164", "customer.class", "direction"],
        crowd: true,
        ..story("click-to-dial-no-answer", dial_nobody_there, &[])
    },
    story("hold", hands::hold, &[has("1001", "inbound")]),
    story(
        "consult-refused",
        hands::consult_refused,
        &[has("1001", "inbound"), Shown { role: "consult", ..lost("1002", "rejected") }],
    ),
    story("blind-to-queue", hands::blind_to_queue, &[has("1001", "inbound"), has("1002", "transfer")]),
    story(
        "transfer-of-transfer",
        hands::transfer_of_transfer,
        &[has("1001", "inbound"), has("1002", "transfer"), has("1003", "transfer")],
    ),
    story("park", hands::park, &[has("1001", "inbound"), has("1002", "transfer")]),
    story("pickup", hands::pickup, &[lost("1001", "answered-elsewhere"), has("1002", "inbound")]),
    story("pickup-queue", hands::pickup_from_queue, &[lost("1001", "answered-elsewhere"), has("1002", "inbound")]),
    Story {
        fixture: None,
        also: r#"{"direction": "inbound", "outcome": "answered", "end": "seen", "ended_by": "customer", "quality": "exact",
            "customer.e164": "+8613800138000", "dialled.e164": "+862161234570", "agents": ["1001"], "transfers": [],
            "ring_ms": {"near": 1500, "by": 300}, "talk_ms": {"near": 3000, "by": 300},
            "segments": {"all": [{"has": {"kind": "ring", "agent": "1001", "outcome": "answered"}},
                {"has": {"kind": "ring", "agent": "1001", "outcome": "elsewhere"}}]}}"#,
        ..story("two-phones-of-one-agent", hands::two_devices, &[has("1001", "inbound")])
    },
    Story {
        fixture: None,
        also: r#"{"direction": "inbound", "outcome": "answered", "end": "seen", "quality": "exact", "customer.e164": "+8613712345678",
            "dialled.e164": "+862161234572", "agents": ["1002"], "transfers": []}"#,
        ..story("the-dialplan-asks-who-calls", asked_first, &[has("1002", "inbound")])
    },
    Story { fixture: None, crowd: true, ..story("called-back", callbacks::called_back, &[]) },
    Story { fixture: None, ..story("verb-hang-up", verbs::hang_up, &[]) },
    Story {
        fixture: None,
        also: r#"{"outcome": "answered", "agents": ["1001", "1002"],
            "transfers": [{"kind": "blind", "from": "1001", "to": "1002", "certain": true}]}"#,
        ..story("verb-blind-transfer", verbs::blind_transfer, &[has("1001", "inbound"), has("1002", "transfer")])
    },
    Story {
        fixture: None,
        also: r#"{"outcome": "answered", "agents": ["1001", "1002"],
            "transfers": [{"kind": "attended", "from": "1001", "to": "1002", "certain": true}]}"#,
        ..story("verb-consult", verbs::consult, &[has("1001", "inbound"), has("1002", "transfer")])
    },
    Story {
        fixture: None,
        crowd: true,
        ..story("verb-consult-and-back", verbs::consult_and_back, &[has("1001", "inbound")])
    },
    Story {
        fixture: None,
        crowd: true,
        ..story("verb-consult-twice", verbs::consult_twice, &[has("1001", "inbound"), has("1002", "transfer")])
    },
    Story { fixture: None, crowd: true, ..story("verb-conference", verbs::conference, &[has("1001", "inbound")]) },
    Story {
        fixture: None,
        also: r#"{"outcome": "answered", "agents": ["1001"], "segments": {"all": [{"has": {"kind": "park"}}]}}"#,
        ..story("verb-park", verbs::park_and_pick_up, &[has("1001", "inbound")])
    },
    // Only the daemon that is asked knows of whose call the leg is that the switch dials.
    Story {
        fixture: None,
        crowd: true,
        ..story("verb-pick-up", verbs::pick_up_what_rings, &[lost("1001", "answered-elsewhere")])
    },
    Story { fixture: None, crowd: true, ..story("verb-supervise", verbs::supervise, &[has("1001", "inbound")]) },
    Story { fixture: None, crowd: true, ..story("verb-listen", verbs::listen, &[has("1001", "inbound")]) },
    Story { fixture: None, crowd: true, ..story("verb-barge", verbs::barge, &[has("1001", "inbound")]) },
    Story {
        fixture: None,
        also: r#"{"outcome": "answered", "ended_by": "customer", "agents": ["1001"], "segments": {"all": [{"has": {"kind": "hold", "agent": "1001"}}]}}"#,
        ..story("verb-phone-obeys", verbs::phone_obeys, &[has("1001", "inbound")])
    },
    Story { fixture: None, ..story("verb-mute-keys-and-recording", verbs::mute_keys_and_recording, &[]) },
    Story { fixture: None, ..story("agent-states-both-ways", states::both_ways, &[]) },
    Story { fixture: None, ..story("agent-after-call", states::after_a_call, &[has("1001", "inbound")]) },
    Story {
        fixture: None,
        also: r#"{"outcome": "answered", "agents": ["1001"]}"#,
        ..story("recording-is-heard", verbs::hear, &[has("1001", "inbound")])
    },
    story("internal", hands::internal, &[colleague("1001"), colleague("1002")]),
    story("conference", hands::conference, &[colleague("1001"), colleague("1002"), colleague("1003")]),
    Story {
        also: r#"{"attributes": {"ivr.account": "8642", "ivr.told": "8642", "ivr.keyed": "8642"}}"#,
        ..story("ivr-data", hands::ivr_data, &[has("1001", "inbound")])
    },
    story("anonymous", hands::anonymous, &[has("1001", "inbound")]),
    Story {
        nowhere: &["13800138000"],
        ..story("withheld", hands::withheld, &[Shown { who: Who::Nobody, ..has("1001", "inbound") }])
    },
    story("sales-local", hands::sales_local, &[has("1001", "inbound")]),
    Story { ticket: true, ..story("dnd", hands::dnd, &[]) },
    Story { crowd: true, ..story("queue-members", hands::queue_members, &[]) },
    Story {
        name: "link-cut-mid-call",
        ..story("link-cut", link_cut, &[has("1001", "inbound"), has("1002", "inbound")])
    },
    Story { fixture: None, ..story("daemon-killed-mid-call", daemon_killed, &[]) },
    Story { fixture: None, ..story("calls-that-nobody-watched", nobody_watched, &[]) },
    Story {
        name: "switch-restarted-mid-call",
        // The recorded one talked for two seconds; and how much AMI still tells of the end is a race that the switch has with itself.
        but: &["talk_ms", "end", "ended_by", "quality"],
        ..story("restart", switch_restarted, &[has("1001", "inbound")])
    },
    Story { name: "switch-crashed-mid-call", ..story("crash", switch_crashed, &[has("1001", "inbound")]) },
    story("queue-answered", plain_queue_call, &[has("1001", "inbound")]),
    Story { fixture: None, ..story("the-admin-can-see", admin_can_see, &[]) },
    Story { fixture: None, ..story("nothing-personal-in-the-logs", logs_are_clean, &[]) },
    Story { fixture: None, ..story("daemons-drain-and-leave", daemons_leave, &[]) },
];

impl Story {
    pub fn play(&self, stage: &mut Stage) -> Result<(), String> {
        let marks: Vec<Vec<usize>> = stage.sites.iter().map(|s| s.screens.iter().map(Screen::mark).collect()).collect();
        // What an earlier story left behind is not this one's.
        for site in &mut stage.sites {
            let old = site.new_records()?;
            site.settled.extend(old.iter().filter_map(|r| r["call"].as_str()).map(str::to_owned));
        }
        (self.drive)(stage)?;
        let mut wrong = Vec::new();
        if self.fixture.is_some() || !self.also.is_empty() {
            let redmine = &stage.redmine;
            for (site, marks) in stage.sites.iter_mut().zip(&marks) {
                let told = self.look(site, marks, redmine).unwrap_or_else(|e| vec![e]);
                wrong.extend(told.into_iter().map(|what| format!("[{}] {what}", site.feed.name())));
            }
        }
        for site in &stage.sites {
            for screen in &site.screens {
                wrong.extend(
                    screen.faults().into_iter().map(|f| format!("[{}] screen {}: {f}", site.feed.name(), screen.agent)),
                );
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n    ")) }
    }

    /// What is wrong at one daemon after the calls.
    fn look(&self, site: &mut Site, marks: &[usize], redmine: &crate::redmine::Redmine) -> Result<Vec<String>, String> {
        let expected = match self.fixture {
            Some(fixture) => Expected::read("asterisk", fixture, site.feed.name())?,
            None => Expected::nothing_of(1),
        };
        let expected = expected.and(self.also)?;
        let records = settle(site, expected.count())?;
        let mut wrong = expected.misses(&records, self.but);
        for record in &records {
            let call = record["call"].as_str().unwrap_or_default();
            let tickets = redmine.tickets(call)?.len();
            if tickets != usize::from(self.ticket) {
                wrong.push(format!(
                    "{tickets} tickets of call {call} stand in Redmine, {} expected",
                    usize::from(self.ticket)
                ));
            }
        }
        for shown in self.shown {
            wrong.extend(shown.fault(site, marks));
        }
        wrong.extend(left_over(site, marks));
        let lags = lags(site, marks, &records);
        if let Some(late) = lags.iter().find(|ms| **ms > SLOW_MS) {
            wrong.push(format!("a pop came {late} ms after the phone rang"));
        }
        site.lags.extend(lags);
        wrong.extend(self.unwanted(site, marks, &records));
        Ok(wrong)
    }

    /// Pops at agents who had nothing to do with the call; what must not be told.
    fn unwanted(&self, site: &Site, marks: &[usize], records: &[Value]) -> Vec<String> {
        let mut wrong = Vec::new();
        for (screen, mark) in site.screens.iter().zip(marks) {
            let frames = screen.since(*mark);
            let known = self.crowd || self.shown.iter().any(|shown| shown.agent == screen.agent);
            if let Some(pop) = frames.iter().find(|f| f["type"] == "pop" && !known) {
                wrong.push(format!("screen {}: a pop that is not this agent's: {pop}", screen.agent));
            }
            for secret in self.nowhere {
                if let Some(frame) = frames.iter().find(|f| f.to_string().contains(secret)) {
                    wrong.push(format!("screen {}: {secret} stands in {frame}", screen.agent));
                }
            }
        }
        for secret in self.nowhere {
            wrong.extend(
                records.iter().filter(|r| r.to_string().contains(secret)).map(|r| format!("{secret} stands in {r}")),
            );
        }
        wrong
    }
}

/// Waits until `count` new records are written and every effect is done; the calls are settled then.
pub fn settle(site: &mut Site, count: usize) -> Result<Vec<Value>, String> {
    let mut seen = 0;
    let records = until(&format!("{count} records"), Duration::from_secs(20), || match site.new_records() {
        Ok(records) if records.len() < count => {
            seen = records.len();
            None
        }
        answer => Some(answer),
    })
    .map_err(|e| format!("{e}; there are {seen}"))??;
    let mut waits = Vec::new();
    until("all effects to be done", Duration::from_secs(30), || match site.waiting() {
        Ok(effects) if effects.is_empty() => Some(Ok(())),
        Ok(effects) => {
            waits = effects;
            None
        }
        Err(e) => Some(Err(e)),
    })
    .map_err(|e| format!("{e}; there wait {waits:?}"))??;
    // An amendment may have come with the effects.
    let records = site.new_records().unwrap_or(records);
    site.settled.extend(records.iter().filter_map(|r| r["call"].as_str()).map(str::to_owned));
    Ok(records)
}

pub fn is_pop(frame: &Value) -> bool {
    frame["type"] == "pop" || frame["type"] == "pop.updated"
}

/// The agent's phone has the call no more.
pub fn left(frame: &Value) -> bool {
    frame["type"] == "call.changed" && frame["leg"].is_null()
}

impl Shown {
    fn fault(&self, site: &Site, marks: &[usize]) -> Option<String> {
        let (screen, mark) = site.screens.iter().zip(marks).find(|(s, _)| s.agent == self.agent)?;
        let frames = screen.since(*mark);
        let pops: Vec<&Value> = frames.iter().filter(|f| is_pop(f)).collect();
        let told = |what: String| Some(format!("screen {}: {what}", self.agent));
        if !frames.iter().any(|f| f["type"] == "pop") {
            return told("no pop came".to_owned());
        }
        let of_role: Vec<&&Value> = pops.iter().filter(|f| f["role"] == self.role).collect();
        if of_role.is_empty() {
            let roles: Vec<&Value> = pops.iter().map(|f| &f["role"]).collect();
            return told(format!("no pop in the role {}, but {roles:?}", self.role));
        }
        let shown = |pop: &Value| pop["number"]["e164"].as_str().is_some_and(|n| CUSTOMERS.contains(&n));
        let asked = |pop: &Value| pop["card"]["candidates"].as_array().is_some_and(|c| !c.is_empty());
        let right = match self.who {
            Who::Customer => of_role.iter().any(|f| shown(f)),
            Who::Colleague | Who::Nobody => of_role.iter().all(|f| !shown(f) && !asked(f)),
        };
        if !right {
            return told(format!("the pop does not show whom it should, but {of_role:?}"));
        }
        let reasons: Vec<&Value> =
            frames.iter().filter(|f| f["type"] == "pop.withdrawn").map(|f| &f["reason"]).collect();
        match self.withdrawn {
            // ARI alone does not always tell why a leg ended.
            Some(reason) if !reasons.iter().any(|r| *r == reason || site.feed == Feed::Ari) => {
                told(format!("the pop was to be withdrawn as {reason}, the reasons were {reasons:?}"))
            }
            // A number dialled may refuse before anything else can be said of the call.
            None if self.role != "outbound"
                && !frames.iter().any(|f| f["type"] == "call.changed" && f["leg"] == "talking") =>
            {
                told("the call was never shown as talking".to_owned())
            }
            _ => None,
        }
    }
}

/// A pop never waits. On a machine that does nothing else it takes a millisecond or two; this is what no pause of a scheduler explains.
const SLOW_MS: i64 = 500;

/// For each phone that rang, milliseconds from the switch's own stamp of the ringing to the stamp on the pop.
fn lags(site: &Site, marks: &[usize], records: &[Value]) -> Vec<i64> {
    let stamp = |text: &Value| Some(text.as_str()?.parse::<jiff::Timestamp>().ok()?.as_millisecond());
    let mut all = Vec::new();
    for record in records {
        for ring in record["segments"].as_array().into_iter().flatten().filter(|s| s["kind"] == "ring") {
            let Some((from, to)) = stamp(&ring["from"]).zip(stamp(&ring["to"])) else { continue };
            let Some((screen, mark)) = site.screens.iter().zip(marks).find(|(s, _)| ring["agent"] == s.agent.as_str())
            else {
                continue;
            };
            let pops = screen.since(*mark);
            let pops = pops.iter().filter(|f| f["type"] == "pop" && f["call"] == record["call"]);
            // The one of this ring, not of an earlier.
            all.extend(
                pops.filter_map(|f| stamp(&f["at"])).find(|at| (from..=to + SLOW_MS).contains(at)).map(|at| at - from),
            );
        }
    }
    all
}

/// Pops that neither were withdrawn nor ended: a dead pop that stays on a screen.
fn left_over(site: &Site, marks: &[usize]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (screen, mark) in site.screens.iter().zip(marks) {
        let frames = screen.since(*mark);
        for pop in frames.iter().filter(|f| f["type"] == "pop") {
            let id = &pop["pop"];
            let gone = frames.iter().any(|f| f["type"] == "pop.withdrawn" && f["pop"] == *id);
            let last = frames.iter().rev().find(|f| f["type"] == "call.changed" && f["pop"] == *id);
            if !gone && last.is_none_or(|f| !f["leg"].is_null()) {
                wrong.push(format!("screen {}: pop {id} stays although its call is over", screen.agent));
            }
        }
    }
    wrong
}

/// 13800138000 is two customers in Redmine, 13712345678 is one.
const CUSTOMERS: [&str; 2] = ["+8613800138000", "+8613712345678"];

fn queue_answered(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001"])?;
    let agent = stage.phones.phone("1001", "uas_answer", 1, &[("RING_MS", "2000")])?;
    let marks: Vec<usize> =
        stage.sites.iter_mut().map(|s| s.screen("1001").map(|s| s.mark())).collect::<Result<_, _>>()?;
    let caller = stage.phones.customer("13800138000", "4008001234", "trunk_call", &[("TALK_MS", "6000")])?;
    let mut calls = Vec::new();
    for (site, mark) in stage.sites.iter_mut().zip(&marks) {
        let screen = site.screen("1001")?;
        let pop = screen.await_frame(*mark, "the pop", |f| f["type"] == "pop")?;
        if pop["title"] != "After-sales" || pop["line"]["e164"] != "+864008001234" {
            return Err(format!("the pop does not name the line that was called: {pop}"));
        }
        let call = pop["call"].clone();
        let asked = screen.await_frame(*mark, "both customers with this number", |f| {
            is_pop(f) && f["call"] == call && f["card"]["answer"]["state"] == "ambiguous"
        })?;
        let candidates = asked["card"]["candidates"].as_array().cloned().unwrap_or_default();
        let wang = candidates.iter().find(|c| c["name"].as_str().is_some_and(|n| n.contains("王小明")));
        let (Some(wang), 2) = (wang, candidates.len()) else {
            return Err(format!("not the two customers: {candidates:?}"));
        };
        let chosen = screen.ask("candidate.choose", json!({"call": call, "candidate": wang["id"]}))?;
        let noted = screen.ask("notes.set", json!({"call": call, "text": "asks where the label paper is"}))?;
        if chosen["type"] != "done" || noted["type"] != "done" {
            return Err(format!("not done: {chosen} {noted}"));
        }
        calls.push(call);
    }
    caller.done()?;
    agent.done()?;
    for ((site, mark), call) in stage.sites.iter_mut().zip(&marks).zip(&calls) {
        let screen = site.screen("1001")?;
        screen.await_frame(*mark, "the wrap-up to be asked for", |f| f["call"] == *call && !f["wrapup"].is_null())?;
        let wrap =
            json!({"call": call, "disposition": ["orders", "where"], "notes": "will be called back", "ticket": true});
        let done = screen.ask("wrapup.submit", wrap)?;
        if done["type"] != "done" {
            return Err(format!("the wrap-up was not taken: {done}"));
        }
    }
    for (site, call) in stage.sites.iter_mut().zip(&calls) {
        let call = call.as_str().unwrap_or_default();
        let ticket = until("the ticket in Redmine", Duration::from_secs(30), || {
            stage.redmine.tickets(call).ok().filter(|t| !t.is_empty())
        })?;
        if !ticket[0]["custom_fields"].to_string().contains("C10001") {
            return Err(format!("[{}] the ticket is not the chosen customer's: {}", site.feed.name(), ticket[0]));
        }
        let mut notes = 0;
        until("one note of the call at the customer", Duration::from_secs(20), || {
            notes = stage.redmine.notes("C10001", &format!("Call {call}")).ok()?;
            (notes == 1).then_some(())
        })
        .map_err(|e| format!("[{}] {e}; there are {notes}", site.feed.name()))?;
    }
    Ok(())
}

/// A call like the first, and nobody types anything.
fn plain_queue_call(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001"])?;
    let agent = stage.phones.phone("1001", "uas_answer", 1, &[("RING_MS", "2000")])?;
    let caller = stage.phones.customer("13800138000", "4008001234", "trunk_call", &[("TALK_MS", "6000")])?;
    caller.done()?;
    agent.done()
}

fn queue_plus86(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001"])?;
    let agent = stage.phones.phone("1001", "uas_answer", 1, &[("RING_MS", "1000")])?;
    let from = "\"Zhang San\" <sip:+8613800138000@[local_ip]>";
    let caller = stage.phones.customer(from, "+864008001234", "trunk_call", &[("TALK_MS", "4000")])?;
    caller.done()?;
    agent.done()
}

fn agent_hangs_up(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001"])?;
    let agent = stage.phones.phone("1001", "uas_answer_bye", 1, &[("RING_MS", "1000"), ("TALK_MS", "3000")])?;
    let caller = stage.phones.customer("13800138000", "4008001234", "trunk_call_wait", &[])?;
    agent.done()?;
    caller.done()
}

fn queue_abandoned(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001"])?;
    let agent = stage.phones.phone("1001", "uas_noanswer", 1, &[])?;
    let caller = stage.phones.customer("13800138000", "4008005678", "trunk_call", &[("TALK_MS", "4000")])?;
    caller.done()?;
    agent.done()
}

fn rna_then_other(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001", "1002"])?;
    let first = stage.phones.phone("1001", "uas_noanswer", 1, &[])?;
    let second = stage.phones.phone("1002", "uas_answer", 1, &[("RING_MS", "1500")])?;
    let caller = stage.phones.customer("13800138000", "4008005678", "trunk_call", &[("TALK_MS", "13500")])?;
    caller.done()?;
    first.done()?;
    second.done()
}

fn busy_overflow(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001", "1002", "1003"])?;
    // These two are asked again and again; they are hung up when the story is over.
    let _busy = stage.phones.phone("1001", "uas_busy", 20, &[])?;
    let _away = stage.phones.phone("1002", "uas_noanswer", 20, &[])?;
    let agent = stage.phones.phone("1003", "uas_answer", 1, &[("RING_MS", "1000")])?;
    stage.asterisk.say("queue pause member PJSIP/1003 queue support")?;
    let caller = stage.phones.customer("13800138000", "4008001234", "trunk_call", &[("TALK_MS", "27000")])?;
    caller.done()?;
    agent.done()?;
    stage.asterisk.say("queue unpause member PJSIP/1003 queue support").map(|_| ())
}

fn blind_transfer(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001", "1002"])?;
    let facts = [("RING_MS", "1000"), ("TALK_MS", "2500"), ("TARGET", "1002")];
    let mut first = stage.phones.phone("1001", "uas_blind", 1, &facts)?;
    let second = stage.phones.phone("1002", "uas_answer", 1, &[("RING_MS", "1500")])?;
    let caller = stage.phones.customer("13800138000", "4008001234", "trunk_call", &[("TALK_MS", "9000")])?;
    caller.done()?;
    first.over()?;
    second.done()
}

fn attended_transfer(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001", "1002"])?;
    let facts = [("RING_MS", "1000"), ("TALK_MS", "2000"), ("CONSULT_MS", "2000"), ("TARGET", "1002")];
    let mut first = stage.phones.phone("1001", "uas_atxfer", 1, &facts)?;
    let second = stage.phones.phone("1002", "uas_answer", 1, &[("RING_MS", "1000")])?;
    let caller = stage.phones.customer("13800138000", "4008001234", "trunk_call", &[("TALK_MS", "10000")])?;
    caller.done()?;
    first.over()?;
    second.done()
}

fn direct_inbound(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001"])?;
    let agent = stage.phones.phone("1001", "uas_answer", 1, &[("RING_MS", "2000")])?;
    let marks: Vec<usize> =
        stage.sites.iter_mut().map(|s| s.screen("1001").map(|s| s.mark())).collect::<Result<_, _>>()?;
    let caller = stage.phones.customer("13712345678", "02161234567", "trunk_call", &[("TALK_MS", "4000")])?;
    for (site, mark) in stage.sites.iter_mut().zip(&marks) {
        let found = site
            .screen("1001")?
            .await_frame(*mark, "the customer 陈静", |f| is_pop(f) && f["card"]["answer"]["state"] == "found")?;
        if found["title"] != "Direct line" || !found["card"]["candidates"][0]["name"].to_string().contains("陈静") {
            return Err(format!("not the right line or customer: {found}"));
        }
    }
    caller.done()?;
    agent.done()
}

/// The dialplan rings 1002 only for whom the business system knows.
fn asked_first(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1002"])?;
    let agent = stage.phones.phone("1002", "uas_answer", 1, &[("RING_MS", "1000")])?;
    let caller = stage.phones.customer("13712345678", "02161234572", "trunk_call", &[("TALK_MS", "2000")])?;
    caller.done()?;
    agent.done()
}

fn direct_missed(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001"])?;
    let agent = stage.phones.phone("1001", "uas_noanswer", 1, &[])?;
    let caller = stage.phones.customer("13800138000", "02161234567", "trunk_cancel", &[("TALK_MS", "3000")])?;
    caller.done()?;
    agent.done()
}

fn outbound(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001"])?;
    let customer = stage.phones.carrier("uas_answer", &[("RING_MS", "2000")])?;
    let agent = stage.phones.dial("1001", "913800138000", "agent_call", &[("TALK_MS", "4000")])?;
    agent.done()?;
    customer.done()
}

fn outbound_busy(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001"])?;
    let customer = stage.phones.carrier("uas_busy", &[("CODE", "486")])?;
    let agent = stage.phones.dial("1001", "913800138000", "agent_call_reject", &[("CODE", "486")])?;
    agent.done()?;
    customer.done()
}

fn dial_by_ami(stage: &mut Stage) -> Result<(), String> {
    click_to_dial(stage, Feed::Ami)
}

fn dial_by_ari(stage: &mut Stage) -> Result<(), String> {
    click_to_dial(stage, Feed::Ari)
}

/// The agent clicks at the screen of one daemon: their phone rings first, then the customer's.
fn click_to_dial(stage: &mut Stage, feed: Feed) -> Result<(), String> {
    stage.phones.register(&["1001"])?;
    let agent = stage.phones.phone("1001", "uas_answer", 1, &[("RING_MS", "1000")])?;
    let customer = stage.phones.carrier("uas_answer_bye", &[("RING_MS", "2000"), ("TALK_MS", "3000")])?;
    if let Some(site) = stage.sites.iter_mut().find(|s| s.feed == feed) {
        let reference = json!({"system": "redmine", "type": "ticket", "id": "4711"});
        let done = site.screen("1001")?.ask("dial", json!({"number": "13800138000", "ref": reference}))?;
        let Some(call) = done["call"].as_str().map(str::to_owned) else {
            return Err(format!("dial was answered by {done}"));
        };
        customer.done()?;
        agent.done()?;
        let record = until("the dialled call's record", Duration::from_secs(20), || {
            site.new_records().ok()?.into_iter().find(|r| r["call"] == call.as_str())
        })?;
        if record["origin"] != "click-to-dial" || record["ref"] != reference {
            return Err(format!(
                "the record does not say where the call came from: {} {}",
                record["origin"], record["ref"]
            ));
        }
    }
    Ok(())
}

/// The agent's own phone is busy, then does not answer; then an agent dials whose phone is not there.
fn dial_nobody_there(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001"])?;
    for (scenario, facts) in [("uas_busy", &[("CODE", "486")][..]), ("uas_noanswer", &[])] {
        let agent = stage.phones.phone("1001", scenario, 1, facts)?;
        if let Some(site) = stage.sites.iter_mut().find(|s| s.feed == Feed::Ami) {
            let answer = site.screen("1001")?.ask("dial", json!({"number": "13800138000"}))?;
            // `done` when the leg was there before it failed, else a failure with its name.
            if answer["type"] != "done" && answer["code"] != "busy" && answer["code"] != "no-answer" {
                return Err(format!("dial was answered by {answer}"));
            }
        }
        agent.done()?;
    }
    Ok(())
}

/// SIGKILL of the daemons while the customer talks; they come back, the call is still there under its id, and one record is written.
fn daemon_killed(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001"])?;
    let agent = stage.phones.phone("1001", "uas_answer", 1, &[("RING_MS", "1000")])?;
    let marks: Vec<usize> =
        stage.sites.iter_mut().map(|s| s.screen("1001").map(|s| s.mark())).collect::<Result<_, _>>()?;
    let caller = stage.phones.customer("13800138000", "4008001234", "trunk_call", &[("TALK_MS", "14000")])?;
    let mut calls = Vec::new();
    for (site, mark) in stage.sites.iter_mut().zip(&marks) {
        let talking = |f: &Value| f["type"] == "call.changed" && f["leg"] == "talking";
        calls.push(site.screen("1001")?.await_frame(*mark, "the call to be up", talking)?["call"].clone());
    }
    // Identity is committed within milliseconds of the first sight; the call is seconds old now.
    for (site, call) in stage.sites.iter_mut().zip(&calls) {
        let places = site.kill();
        site.start(&places)?;
        let screen = site.screen("1001")?;
        let shows = |f: &Value| match f["type"].as_str() {
            Some("snapshot") => {
                f["calls"].as_array().is_some_and(|calls| calls.iter().any(|c| c["pop"]["call"] == *call))
            }
            Some("pop" | "call.changed") => f["call"] == *call,
            _ => false,
        };
        screen
            .await_frame(0, "the call again, under its id", shows)
            .map_err(|e| format!("[{}] {e}", site.feed.name()))?;
    }
    caller.done()?;
    agent.done()?;
    for (site, call) in stage.sites.iter_mut().zip(&calls) {
        let records = settle(site, 1)?;
        let feed = site.feed.name();
        if records.len() != 1
            || records[0]["call"] != *call
            || records[0]["end"] != "seen"
            || records[0]["outcome"] != "answered"
        {
            return Err(format!("[{feed}] not one answered record of call {call}: {records:?}"));
        }
        if records[0]["agents"] != json!(["1001"]) || records[0]["customer"]["e164"] != "+8613800138000" {
            return Err(format!("[{feed}] the record has lost agent or customer: {}", records[0]));
        }
    }
    Ok(())
}

/// The daemons are away while two customers call, and are killed again and again while they catch up: each call is written once, from the
/// switch's own records, and so is the next one that is watched.
fn nobody_watched(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001"])?;
    let agent = stage.phones.phone("1001", "uas_answer", 3, &[("RING_MS", "1000")])?;
    for site in &mut stage.sites {
        site.kill();
    }
    let before = stage.asterisk.written();
    for number in ["13800138000", "13712345678"] {
        stage.phones.customer(number, "02161234567", "trunk_call", &[("TALK_MS", "2500")])?.done()?;
    }
    until("the switch to write both calls down", Duration::from_secs(20), || {
        let now = stage.asterisk.written();
        (now.0 >= before.0 + 2 && now.1 >= before.1 + 2).then_some(())
    })?;
    for site in &mut stage.sites {
        let feed = site.feed.name();
        // As soon as it is ready, and the moment that anything is written.
        for _ in 0..3 {
            site.start(&[])?;
            site.kill();
        }
        site.start(&[])?;
        if site.feed != Feed::Ari {
            until("a call of the switch's own records", Duration::from_secs(20), || {
                site.new_records().ok().filter(|records| !records.is_empty())
            })
            .map_err(|e| format!("[{feed}] {e}"))?;
            site.kill();
            site.start(&[])?;
        }
    }
    stage.phones.customer("13800138000", "02161234567", "trunk_call", &[("TALK_MS", "4500")])?.done()?;
    agent.done()?;
    for site in &mut stage.sites {
        let feed = site.feed.name();
        let missed = if site.feed == Feed::Ari { 0 } else { 2 };
        let records = settle(site, missed + 1)?;
        let says = |r: &Value| {
            (r["quality"].clone(), r["customer"]["e164"].clone(), r["agents"].clone(), r["outcome"].clone())
        };
        let told: Vec<_> = records.iter().map(says).collect();
        let agents = json!(["1001"]);
        let gap = |number: &str| (json!("gap"), json!(number), agents.clone(), json!("answered"));
        let mut expected = vec![gap("+8613800138000"), gap("+8613712345678")];
        expected.truncate(missed);
        expected.push((json!("exact"), json!("+8613800138000"), agents.clone(), json!("answered")));
        if told != expected {
            return Err(format!("[{feed}] the records are {told:?}"));
        }
    }
    Ok(())
}

/// `core restart now` with a call up: the link goes and comes, the call ends (lost, or seen to end where the switch still said so).
fn switch_restarted(stage: &mut Stage) -> Result<(), String> {
    cut(stage, switch::Asterisk::restart)
}

/// SIGKILL of the switch with a call up: nobody says that it ended, so it is lost.
fn switch_crashed(stage: &mut Stage) -> Result<(), String> {
    cut(stage, switch::Asterisk::crash)
}

fn cut(stage: &mut Stage, how: fn(&mut switch::Asterisk) -> Result<(), String>) -> Result<(), String> {
    stage.phones.register(&["1001"])?;
    // sipp's phones go on believing in the cut call; they are hung up when the story is over.
    let _agent = stage.phones.phone("1001", "uas_answer", 1, &[("RING_MS", "1000")])?;
    let mut screen = Watch::of(stage, "1001")?;
    let _caller = stage.phones.customer("13800138000", "4008001234", "trunk_call_wait", &[])?;
    screen.is(stage, "talking")?;
    how(&mut stage.asterisk)?;
    screen.sees(stage, "the switch to go", link(false))?;
    screen.sees(stage, "the switch to come back", link(true))?;
    for site in &mut stage.sites {
        let told = |what: String| format!("[{}] {what}", site.feed.name());
        let records = until("the cut call's record", Duration::from_secs(20), || {
            site.new_records().ok().filter(|r| !r.is_empty())
        })
        .map_err(told)?;
        // Looked at, not settled: what else they must say is judged after this.
        for record in records.iter().filter(|r| r["end"] == "lost") {
            if record["quality"] != "estimated" || !record["ended_by"].is_null() {
                return Err(told(format!("a lost call is estimated and nobody ended it: {record}")));
            }
        }
    }
    Ok(())
}

fn link(up: bool) -> impl Fn(&Value) -> bool {
    move |f: &Value| f["type"] == "link.changed" && f["kind"] == "switch" && f["up"] == up
}

/// The wire to the switch is cut while two customers talk. One hangs up before it is mended, the other after: the first is lost from sight, the
/// second goes on, under its id, on the same screen.
fn link_cut(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001", "1002"])?;
    let first = stage.phones.phone("1001", "uas_answer", 1, &[("RING_MS", "1000")])?;
    let second = stage.phones.phone("1002", "uas_answer_bye", 1, &[("RING_MS", "1000"), ("TALK_MS", "1500")])?;
    let (mut stays, mut goes) = (Watch::of(stage, "1001")?, Watch::of(stage, "1002")?);
    let caller = stage.phones.customer("13800138000", "4008001234", "trunk_call", &[("TALK_MS", "14000")])?;
    stays.is(stage, "talking")?;
    let other = stage.phones.customer("13712345678", "02161234569", "trunk_call_wait", &[])?;
    goes.is(stage, "talking")?;
    stage.sites.iter().for_each(Site::cut);
    stays.sees(stage, "the switch to go", link(false))?;
    other.done()?;
    second.done()?;
    stage.sites.iter().for_each(Site::mend);
    stays.sees(stage, "the switch to come back", link(true))?;
    goes.sees(stage, "the call that ended unseen off the screen", left)?;
    // It was not shown to be over before the customer hung up.
    caller.done()?;
    first.done()?;
    stays.sees(stage, "the call off the screen", left).map(drop)
}

/// `check --probe` asks the real switch and the real Redmine who we are.
fn probes(stage: &mut Stage) -> Result<(), String> {
    for site in &stage.sites {
        site.say(&["check", "--probe"]).map_err(|e| format!("[{}] {e}", site.feed.name()))?;
    }
    Ok(())
}

fn admin_can_see(stage: &mut Stage) -> Result<(), String> {
    for site in &stage.sites {
        let feed = site.feed.name();
        for path in ["/healthz", "/readyz"] {
            let (status, body) = site.admin(path)?;
            if status != 200 {
                return Err(format!("[{feed}] {path} answers {status}: {body}"));
            }
        }
        let (status, figures) = site.admin("/metrics")?;
        if status != 200
            || !figures.lines().any(|l| !l.starts_with('#') && l.contains("linecard"))
            || figures.contains("13800138000")
        {
            return Err(format!("[{feed}] /metrics answers {status}: {figures}"));
        }
    }
    Ok(())
}

/// All that was logged at debug over all stories: no number, name, note, key or token in it.
fn logs_are_clean(stage: &mut Stage) -> Result<(), String> {
    let key = stage.redmine.fact("KEY").to_owned();
    for site in &stage.sites {
        let log = site.log();
        if log.lines().count() < 20 {
            return Err(format!("[{}] hardly anything was logged: this proves nothing", site.feed.name()));
        }
        for personal in [
            "13800138000",
            "13712345678",
            "王小明",
            "陈静",
            "Zhang San",
            "label paper",
            "called back",
            "linecard-ami",
            "linecard-ari",
            "eyJ",
            &key,
        ] {
            if let Some(line) = log.lines().find(|l| l.contains(personal)) {
                return Err(format!("[{}] `{personal}` stands in the log: {line}", site.feed.name()));
            }
        }
    }
    Ok(())
}

fn daemons_leave(stage: &mut Stage) -> Result<(), String> {
    let wrong: Vec<String> =
        stage.sites.iter_mut().filter_map(|s| s.stop().err().map(|e| format!("[{}] {e}", s.feed.name()))).collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n    ")) }
}
