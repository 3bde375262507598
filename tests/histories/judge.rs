//! A record held to the truth.

use linecard::{
    calls::{
        Feed, Record, What,
        change::Withdrawal,
        record::{End, Quality},
    },
    words::{CallId, Wall},
};

use super::{
    pbx::START,
    plot::{DID, Piece, Truth},
};

/// One thing is told by several events that lie some milliseconds apart.
const NEAR: i64 = 150;
/// A talk that is held again in the moment it begins is told by one feed and not by another.
const BRIEF: i64 = 20;

fn word<T: serde::Serialize>(value: T) -> String {
    serde_json::to_value(value).unwrap().as_str().unwrap_or_default().to_owned()
}

/// The records that name a channel of this call.
pub fn whose<'a>(truth: &Truth, records: &[&'a Record]) -> Vec<&'a Record> {
    let mine = |r: &&&Record| r.ids.iter().any(|id| id.kind == "uniqueid" && truth.ids.contains(&id.value));
    records.iter().filter(mine).copied().collect()
}

/// A stretch as both sides tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stretch {
    kind: String,
    who: String,
    outcome: String,
    from: i64,
    to: i64,
}

fn of_truth(truth: &Truth) -> Vec<Stretch> {
    let end = truth.end;
    let brief = |p: &&Piece| p.kind != "moved" && (p.kind != "talk" || p.to.unwrap_or(end) > p.from + BRIEF);
    let mut list: Vec<Stretch> = truth
        .pieces
        .iter()
        .filter(brief)
        .map(|p| Stretch {
            kind: if p.kind == "far" { "ring" } else { p.kind }.to_owned(),
            who: p.who.clone(),
            outcome: p.outcome.to_owned(),
            from: p.from,
            to: p.to.unwrap_or(end),
        })
        .collect();
    order(&mut list);
    list
}

fn of_record(record: &Record) -> Vec<Stretch> {
    let mut list: Vec<Stretch> = record
        .segments
        .iter()
        .map(|s| Stretch {
            kind: word(s.kind),
            who: match word(s.kind).as_str() {
                "queue" => s.queue.clone().unwrap_or_default(),
                _ => s.agent.as_ref().map(ToString::to_string).unwrap_or_default(),
            },
            outcome: s.outcome.map(word).unwrap_or_default(),
            from: ms(s.from),
            to: ms(s.to),
        })
        .filter(|s| s.kind != "ivr" && (s.kind != "talk" || s.from < 0 || s.to > s.from + BRIEF))
        .collect();
    order(&mut list);
    list
}

fn order(list: &mut [Stretch]) {
    list.sort_by(|a, b| (&a.kind, &a.who, a.from, a.to).cmp(&(&b.kind, &b.who, b.from, b.to)));
}

fn ms(at: Option<Wall>) -> i64 {
    at.map_or(-1, |w| w.0 - START)
}

/// Those who talked with the customer, in order.
fn agents(truth: &Truth) -> Vec<String> {
    let mut talks: Vec<&Piece> =
        truth.pieces.iter().filter(|p| matches!(p.kind, "talk" | "hold" | "conference") && !p.who.is_empty()).collect();
    talks.sort_by_key(|p| p.from);
    let mut list: Vec<String> = Vec::new();
    for piece in talks {
        if !list.contains(&piece.who) {
            list.push(piece.who.clone());
        }
    }
    // In an internal call the called one talked too.
    if truth.direction == "internal" && truth.answered.is_some() {
        list.extend(truth.pieces.iter().filter(|p| p.kind == "ring").map(|p| p.who.clone()));
    }
    list
}

fn union(mut list: Vec<(i64, i64)>) -> i64 {
    list.sort_unstable();
    let (mut sum, mut reach) = (0, i64::MIN);
    for (from, to) in list {
        sum += (to - from.max(reach)).max(0);
        reach = reach.max(to);
    }
    sum
}

fn sum(truth: &Truth, kinds: &[&str]) -> i64 {
    let talks =
        truth.pieces.iter().filter(|p| kinds.contains(&p.kind) && (p.kind != "conference" || !p.who.is_empty()));
    union(talks.map(|p| (p.from, p.to.unwrap_or(truth.end))).collect())
}

/// What is wrong in the record of a call that was watched whole.
pub fn against(truth: &Truth, record: &Record, feeds: &[Feed]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut same = |what: &str, got: String, want: String| {
        if got != want {
            wrong.push(format!("{what} is {got}, not {want}"));
        }
    };
    let option = |o: Option<String>| o.unwrap_or_else(|| "absent".to_owned());
    same("end", format!("{:?} {:?}", record.end, record.quality), format!("{:?} {:?}", End::Seen, Quality::Exact));
    same("direction", option(record.direction.map(word)), truth.direction.to_owned());
    same("outcome", option(record.outcome.map(word)), truth.outcome.to_owned());
    same("ended_by", option(record.ended_by.map(word)), truth.ended_by.to_owned());
    let inbound = truth.direction == "inbound";
    let customer = record.customer.as_ref().and_then(|c| c.raw.as_ref()).map(|n| n.expose().clone());
    if !(truth.unreached && customer.is_none() && feeds != [Feed::Ami]) {
        same("customer", option(customer), option(truth.customer.clone()));
    }
    if inbound {
        let dialled = record.dialled.as_ref().and_then(|n| n.raw.as_ref()).map(|n| n.expose().clone());
        same("dialled", option(dialled), DID.to_owned());
    }
    let told = |list: &[String]| format!("{list:?}");
    let found: Vec<String> = record.agents.iter().flatten().map(ToString::to_string).collect();
    let real = agents(truth);
    same("agents", told(&found), told(&real));
    same("first_agent", option(record.first_agent.as_ref().map(ToString::to_string)), option(real.first().cloned()));
    same("final_agent", option(record.final_agent.as_ref().map(ToString::to_string)), option(real.last().cloned()));
    let transfers: Vec<String> =
        record.transfers.iter().flatten().map(|t| format!("{} {} {}", word(t.kind), t.from, t.to.expose())).collect();
    let real: Vec<String> = truth.transfers.iter().map(|(k, f, t)| format!("{k} {f} {t}")).collect();
    same("transfers", told(&transfers), told(&real));
    let queues: Vec<&Piece> = truth.pieces.iter().filter(|p| p.kind == "queue").collect();
    let before = queues.iter().rev().find(|p| truth.answered.is_some_and(|a| p.from <= a));
    same("queue", option(record.queue.clone()), option(before.or(queues.last()).map(|p| p.who.clone())));
    let absent = |kind: &str| !record.ids.iter().any(|id| id.kind == kind);
    same("linkedid told by ARI", (feeds == [Feed::Ari] && !absent("linkedid")).to_string(), "false".to_owned());
    same("Call-ID told by AMI", (feeds == [Feed::Ami] && !absent("sip-call-id")).to_string(), "false".to_owned());
    let withheld = record.customer.as_ref().and_then(|c| c.withheld);
    same("withheld", format!("{withheld:?}"), "None".to_owned());

    let mut near = |what: &str, got: Option<i64>, want: Option<i64>| {
        let right = match (got, want) {
            (Some(a), Some(b)) => (a - b).abs() <= NEAR,
            (a, b) => a == b,
        };
        if !right {
            wrong.push(format!("{what} is {got:?}, not {want:?}"));
        }
    };
    near("started_at", record.started_at.map(|w| ms(Some(w))), Some(truth.start));
    near("ended_at", record.ended_at.map(|w| ms(Some(w))), Some(truth.end));
    near("answered_at", record.answered_at.map(|w| ms(Some(w))), truth.answered);
    let count = |n: Option<u64>| n.map(|n| i64::try_from(n).unwrap());
    let first_ring = truth.pieces.iter().find(|p| p.kind == "ring").map(|p| p.from);
    let before = |from: &i64| truth.answered.is_none_or(|a| *from <= a);
    let waits = queues.first().map(|p| p.from).filter(before).or(first_ring);
    let wait = waits.map_or(0, |from| truth.answered.unwrap_or(truth.end) - from);
    near("wait_ms", count(record.wait_ms), inbound.then_some(wait));
    near("ring_ms", count(record.ring_ms), Some(truth.ring_ms));
    near("talk_ms", count(record.talk_ms), Some(sum(truth, &["talk", "conference"])));
    near("hold_ms", count(record.hold_ms), Some(sum(truth, &["hold"])));

    let (found, real) = (of_record(record), of_truth(truth));
    let same = found.len() == real.len()
        && found.iter().zip(&real).all(|(a, b)| {
            (&a.kind, &a.who, &a.outcome) == (&b.kind, &b.who, &b.outcome)
                && (a.from - b.from).abs() <= NEAR
                && (a.to - b.to).abs() <= NEAR
        });
    if !same {
        let told = |list: &[Stretch]| {
            let line = |s: &Stretch| format!("{}/{}/{} {}-{}", s.kind, s.who, s.outcome, s.from, s.to);
            list.iter().map(line).collect::<Vec<_>>().join(", ")
        };
        wrong.push(format!("segments are {}\n      not {}", told(&found), told(&real)));
    }
    wrong
}

/// What is wrong in the record of a call that was not watched for a while: much may be missing, nothing may be wrong.
pub fn lenient(truth: &Truth, record: &Record, feeds: &[Feed], cut: i64, back: i64) -> Vec<String> {
    if record.quality == Quality::Exact {
        return against(truth, record, feeds);
    }
    let mut wrong = Vec::new();
    let outcome = record.outcome.map(word);
    // Who talked with the customer wholly while nobody watched is not known.
    let unseen = truth
        .pieces
        .iter()
        .filter(|p| matches!(p.kind, "talk" | "hold" | "conference"))
        .all(|p| p.from > cut - NEAR && p.to.unwrap_or(truth.end) < back + NEAR);
    let hidden = truth.outcome == "answered" && unseen;
    if outcome.as_deref().is_some_and(|o| o != truth.outcome) && !hidden {
        wrong.push(format!("outcome is {outcome:?}, not {}", truth.outcome));
    }
    // A list does not say which way a leg was called once it runs the dialplan after a transfer; over ARI not even whose group it is of.
    let listed = (truth.start > cut - NEAR || feeds == [Feed::Ari]) && !truth.handed.is_empty();
    if record.direction.map(word).is_some_and(|d| d != truth.direction) && !listed {
        wrong.push(format!("direction is {:?}, not {}", record.direction, truth.direction));
    }
    let real = agents(truth);
    let found: Vec<String> = record.agents.iter().flatten().map(ToString::to_string).collect();
    if found.iter().any(|agent| !real.contains(agent)) {
        wrong.push(format!("agents are {found:?}, of {real:?}"));
    }
    for t in record.transfers.iter().flatten() {
        let known = |(kind, from): &(&str, String)| *kind == word(t.kind) && *from == t.from.to_string();
        if !truth.handed.iter().any(known) {
            wrong.push(format!("a transfer that was none: {t:?}"));
        }
    }
    let customer = record.customer.as_ref().and_then(|c| c.raw.as_ref()).map(|n| n.expose().clone());
    if customer.is_some() && customer != truth.customer {
        wrong.push(format!("customer is {customer:?}, not {:?}", truth.customer));
    }
    // A talk that is told was one, where somebody watched.
    for s in of_record(record).iter().filter(|s| s.kind == "talk" && s.from >= 0 && s.to >= 0) {
        let had = |at: i64| {
            truth.pieces.iter().any(|p| {
                matches!(p.kind, "talk" | "hold" | "conference")
                    && (p.who == s.who || truth.direction == "internal")
                    && p.from - NEAR <= at
                    && at <= p.to.unwrap_or(truth.end) + NEAR
            })
        };
        let watched = |at: i64| at < cut - NEAR || at > back + NEAR;
        let moments = [s.from, (s.from + s.to) / 2, s.to];
        if moments.into_iter().any(|at| watched(at) && !had(at)) {
            wrong.push(format!("{} talked {}-{}", s.who, s.from, s.to));
        }
    }
    wrong
}

/// Phones that rang for nothing and whose pop was not taken back for the right reason.
pub fn withdrawals(truth: &Truth, record: &Record, said: &[(CallId, What)]) -> impl Iterator<Item = String> {
    // A call that became part of this one said some of it.
    let mut calls = vec![record.call];
    for (call, what) in said.iter().rev() {
        if matches!(what, What::Absorbed { into } if calls.contains(into)) {
            calls.push(*call);
        }
    }
    let mut taken: Vec<(String, Withdrawal)> = said
        .iter()
        .filter(|(call, _)| calls.contains(call))
        .filter_map(|(_, what)| match what {
            What::Withdrawn { offer, reason, .. } => Some((offer.agent.to_string(), *reason)),
            _ => None,
        })
        .collect();
    let mut wrong = Vec::new();
    for piece in truth.pieces.iter().filter(|p| p.kind == "ring") {
        let reason = match piece.outcome {
            "no-answer" => Withdrawal::NoAnswer,
            "rejected" => Withdrawal::Rejected,
            "elsewhere" => Withdrawal::AnsweredElsewhere,
            "cancelled" => Withdrawal::CallerGone,
            _ => continue,
        };
        match taken.iter().position(|t| *t == (piece.who.clone(), reason)) {
            Some(place) => {
                taken.remove(place);
            }
            None => wrong.push(format!("{}'s pop is not withdrawn as {reason:?}: {taken:?}", piece.who)),
        }
    }
    wrong.into_iter()
}

/// A record without its number of revisions.
pub fn essence(record: &Record) -> String {
    serde_json::to_string(&Record { revision: 1, ..record.clone() }).unwrap()
}

/// For people who look at a failure.
pub fn brief(record: &Record) -> String {
    let segments: Vec<String> = of_record(record)
        .into_iter()
        .map(|s| format!("{}/{}/{} {}-{}", s.kind, s.who, s.outcome, s.from, s.to))
        .collect();
    format!(
        "record {:?} {:?} {:?} by {:?}, {:?}: {}",
        record.quality,
        record.direction.map(word),
        record.outcome.map(word),
        record.ended_by.map(word),
        record.ids.iter().filter(|id| id.kind == "uniqueid").map(|id| id.value.as_str()).collect::<Vec<_>>(),
        segments.join(", ")
    )
}
