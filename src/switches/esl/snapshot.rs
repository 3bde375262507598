//! What is there now, from `show channels as json` and `show calls as json` (FreeSWITCH 1.10.12, resync).
//!
//! Rows are absent where there is none; every value is a string. The switch keeps these lists in a database that it writes later than it sends events:
//! measured, a channel was still missing 0.19 s after its PARK event. So what was heard of shortly before is not gone for not being listed.

use std::{borrow::Cow, collections::HashMap};

use serde::Deserialize;

use crate::{
    calls::event::{
        BridgeKind, Caller, Feed, Leg, LegState, Said, Snapshot, SnapshotBridge, SnapshotLeg, SnapshotWaiting,
    },
    private::Private,
    words::{Now, Wall},
};

use super::{
    event::Event,
    translate::{Translator, is_stand_in, queue_name},
};

/// How far the switch's lists may be behind its events; ten times what was measured.
const BEHIND_MS: u64 = 2_000;
/// Rows of one list; a switch has a session limit far below.
const ROWS: usize = 100_000;

/// One row of either list. What a list does not have is empty.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Row {
    pub uuid: String,
    pub direction: String,
    pub created_epoch: String,
    pub name: String,
    pub cid_name: String,
    pub cid_num: String,
    pub dest: String,
    pub application: String,
    pub application_data: String,
    pub callstate: String,
    pub callee_num: String,
    pub initial_cid_num: String,
    pub initial_dest: String,
    pub b_uuid: String,
}

/// The two lists, as far as they came.
#[derive(Clone, Debug, Default)]
pub struct Lists {
    pub channels: Option<Vec<Row>>,
    pub calls: Option<Vec<Row>>,
    /// Answers that are still to come of what was asked of single channels.
    pub awaited: usize,
    dumps: HashMap<String, Vec<u8>>,
}

impl Lists {
    /// What the switch says of one channel (`uuid_dump`, as JSON); nothing where it is gone.
    pub fn dumped(&mut self, id: String, body: &[u8]) {
        self.awaited = self.awaited.saturating_sub(1);
        if !body.is_empty() {
            self.dumps.insert(id, body.to_vec());
        }
    }
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    rows: Vec<Row>,
}

/// The rows of a list's answer; `None`: it is no list.
#[must_use]
pub fn rows(body: &[u8]) -> Option<Vec<Row>> {
    // Names in it are as callers sent them, in any character set.
    let text = String::from_utf8_lossy(body);
    let mut rows = serde_json::from_str::<Answer>(&text).ok()?.rows;
    rows.truncate(ROWS);
    Some(rows)
}

impl Translator {
    /// The switch's own view, for the book; from here on these channels are known.
    pub fn listed(&mut self, lists: Lists, asked: Now) -> Vec<Said> {
        let channels = lists.channels.as_deref().unwrap_or_default();
        let calls: Vec<&Row> =
            lists.calls.iter().flatten().filter(|c| !c.uuid.is_empty() && !c.b_uuid.is_empty()).collect();
        let pair = |call: &Row| format!("{}~{}", call.uuid, call.b_uuid);
        let mut holds = Vec::new();
        let mut legs = Vec::new();
        let mut waiting = Vec::new();
        for row in channels.iter().filter(|row| !row.uuid.is_empty()) {
            let outgoing = row.direction == "outbound";
            let call = calls.iter().copied().find(|call| call.uuid == row.uuid || call.b_uuid == row.uuid);
            let up = matches!(row.callstate.as_str(), "ACTIVE" | "HELD" | "UNHELD");
            let held = row.callstate == "HELD";
            let dump = lists.dumps.get(&row.uuid).and_then(|body| Event::json(body).ok());
            let name = self.known(row, dump.as_ref(), up, held, call.map(pair));
            let sip_call_id = dump.as_ref().and_then(|e| e.get("variable_sip_call_id")).map(Cow::into_owned);
            let leg = Leg { id: row.uuid.clone(), name, linked: None, sip_call_id };
            if held {
                holds.push(Said::Hold { leg: leg.clone() });
            }
            if row.application == "callcenter" && call.is_none() && !outgoing {
                let queue = queue_name(&row.application_data);
                waiting.push(SnapshotWaiting { leg: row.uuid.clone(), queue, wait_ms: None });
            }
            let number = if row.initial_cid_num.is_empty() { &row.cid_num } else { &row.initial_cid_num };
            let dialled = if row.initial_dest.is_empty() { &row.dest } else { &row.initial_dest };
            let private = |text: &String| (!is_stand_in(text)).then(|| Private::new(text.clone()));
            let caller = Caller {
                number: private(number).filter(|_| !outgoing),
                name: private(&row.cid_name).filter(|_| !outgoing && row.cid_name != *number),
            };
            legs.push(SnapshotLeg {
                leg,
                state: match row.callstate.as_str() {
                    _ if up => LegState::Up,
                    "RINGING" | "EARLY" if outgoing => LegState::Ringing,
                    _ if outgoing => LegState::Down,
                    _ => LegState::Calling,
                },
                created: row.created_epoch.parse().ok().map(|s: i64| Wall(s.saturating_mul(1000))),
                caller,
                connected: Caller { number: private(&row.callee_num), name: None },
                dialled: private(dialled).filter(|_| !outgoing),
                // Who was called by a channel is nobody's caller: as Asterisk's lists say it, `merge` knows it so.
                application: if outgoing { "AppDial".to_owned() } else { row.application.clone() },
                data: String::new(),
                variables: dump.as_ref().map(|e| self.mapped(e, outgoing)).unwrap_or_default(),
            });
        }
        let bridges = calls.iter().map(|call| SnapshotBridge {
            id: pair(call),
            kind: BridgeKind::Mixing,
            legs: vec![call.uuid.clone(), call.b_uuid.clone()],
        });
        let asked = crate::words::Mono(asked.mono.0.saturating_sub(BEHIND_MS * 1000));
        let snapshot = Snapshot { feed: Feed::Esl, bridges: bridges.collect(), legs, asked: Some(asked), waiting };
        std::iter::once(Said::Snapshot(snapshot)).chain(holds).collect()
    }
}
