//! What is too old, and how a record says so.
//!
//! The sweep goes through the tenant's records in the order in which their calls ended, a step at a time, and remembers how far it came. It looks at
//! the last days before that place again, for a record may be written days after its call.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    calls::{Record, record::RecordingState},
    private::Private,
    store::RecordRow,
    words::{SwitchId, Wall},
};

use super::{Keep, Settings};

const DAY_MS: i64 = 86_400_000;
/// Days before the place that was reached in which a record may have been written since: a switch's own records are read up to a week late.
const AGAIN_DAYS: i64 = 8;

/// Calls that ended before are too old.
#[must_use]
pub const fn cutoff(keep: &Keep, now: Wall) -> Wall {
    Wall(now.0.saturating_sub((keep.days as i64).saturating_mul(DAY_MS)))
}

/// Whether the recordings of this call are too old to be heard.
#[must_use]
pub fn is_too_old(settings: &Settings, record: &Record, now: Wall) -> bool {
    let at = record.ended_at.or(record.started_at);
    settings.keep(&record.tenant).zip(at).is_some_and(|(keep, at)| at < cutoff(keep, now))
}

/// How far a tenant's sweep came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    pub until: Wall,
    /// Whether files were removed on the way.
    pub removed: bool,
}

impl Reached {
    /// Where the next sweep begins. Where files are to be removed that were left before, at the very beginning.
    #[must_use]
    pub fn next(last: Option<&str>, keep: &Keep) -> Wall {
        let last: Option<Self> = last.and_then(|text| serde_json::from_str(text).ok());
        match last {
            Some(last) if last.removed || !keep.remove => last.until.plus_ms(-AGAIN_DAYS * DAY_MS),
            _ => Wall(i64::MIN),
        }
    }
}

/// A recording that a record still has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    pub at: usize,
    pub name: Private<String>,
}

/// The recordings of a record that are still there; with `remove`, also those that were left when they became too old.
#[must_use]
pub fn due(row: &RecordRow, remove: bool) -> Option<(SwitchId, Vec<Due>)> {
    // Most records have none: they are not read.
    if !row.body.expose().contains("\"recordings\"") {
        return None;
    }
    let record: Record = serde_json::from_str(row.body.expose()).ok()?;
    let there = |state| match state {
        RecordingState::Removed => false,
        RecordingState::Expired => remove,
        RecordingState::Recording | RecordingState::Recorded | RecordingState::Lost => true,
    };
    let list: Vec<Due> = record
        .recordings
        .into_iter()
        .enumerate()
        .filter(|(_, recording)| there(recording.state))
        .map(|(at, recording)| Due { at, name: recording.id })
        .collect();
    (!list.is_empty()).then_some((record.switch, list))
}

/// The record as it is from now on. Only these states are touched: what a later version wrote stays.
#[must_use]
pub fn amended(row: &RecordRow, states: &[(usize, RecordingState)]) -> Option<RecordRow> {
    let mut body: Value = serde_json::from_str(row.body.expose()).ok()?;
    let mut changed = false;
    for (at, state) in states {
        let place = body.get_mut("recordings")?.get_mut(*at)?.get_mut("state")?;
        let state = serde_json::to_value(state).ok()?;
        changed |= *place != state;
        *place = state;
    }
    let revision = row.revision.checked_add(1)?;
    body["revision"] = revision.into();
    changed.then(|| RecordRow { revision, body: Private::new(body.to_string()), ..row.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const DAY: i64 = DAY_MS;

    fn row(states: &[&str]) -> RecordRow {
        let list: Vec<Value> = states
            .iter()
            .enumerate()
            .map(|(n, s)| json!({"id": format!("{n}.wav"), "uri": "file:///x", "state": s, "to": null}))
            .collect();
        let body = json!({"record": 1, "revision": 4, "call": "01KAXS2V7R8Q4H0N5T3M1B6C9D", "tenant": "default", "switch": "pbx1",
            "origin": "phone", "end": "seen", "quality": "exact", "recordings": list, "surveys": [7]});
        RecordRow {
            tenant: "default".into(),
            call: "01KAXS2V7R8Q4H0N5T3M1B6C9D".parse().unwrap(),
            revision: 4,
            schema: 1,
            started_at: None,
            ended_at: Some(Wall(5)),
            direction: None,
            outcome: None,
            queue: None,
            body: body.to_string().into(),
        }
    }

    #[test]
    fn what_is_over_is_left_alone_and_what_was_left_is_removed_later() {
        let row = row(&["recorded", "removed", "expired", "lost"]);
        let at = |remove| due(&row, remove).unwrap().1.iter().map(|due| due.at).collect::<Vec<_>>();
        assert_eq!((at(false), at(true)), (vec![0, 3], vec![0, 2, 3]));
        assert_eq!(due(&row, true).unwrap().0, "pbx1".into());
        let none = RecordRow { body: "{\"x\":1}".into(), ..row };
        assert_eq!(due(&none, true), None);
    }

    #[test]
    fn a_record_says_what_became_of_its_recordings_and_keeps_what_we_do_not_know() {
        let row = row(&["recorded", "recorded"]);
        let new = amended(&row, &[(1, RecordingState::Removed)]).unwrap();
        let body: Value = serde_json::from_str(new.body.expose()).unwrap();
        assert_eq!((new.revision, &body["revision"]), (5, &json!(5)));
        assert_eq!(
            (&body["recordings"][0]["state"], &body["recordings"][1]["state"]),
            (&json!("recorded"), &json!("removed"))
        );
        assert_eq!(body["surveys"], json!([7]));
        assert_eq!(amended(&new, &[(1, RecordingState::Removed)]), None, "nothing new");
        assert_eq!(amended(&row, &[(9, RecordingState::Removed)]), None);
    }

    #[test]
    fn a_sweep_begins_where_the_last_one_came_to_or_at_the_beginning() {
        let keep = |remove| Keep { tenant: "default".into(), days: 30, remove };
        assert_eq!(cutoff(&keep(false), Wall(100 * DAY)), Wall(70 * DAY));
        let reached = |removed| serde_json::to_string(&Reached { until: Wall(70 * DAY), removed }).unwrap();
        assert_eq!(Reached::next(None, &keep(false)), Wall(i64::MIN));
        assert_eq!(Reached::next(Some(&reached(false)), &keep(false)), Wall(62 * DAY));
        assert_eq!(Reached::next(Some(&reached(true)), &keep(true)), Wall(62 * DAY));
        assert_eq!(Reached::next(Some(&reached(false)), &keep(true)), Wall(i64::MIN), "what was left is removed now");
        assert_eq!(Reached::next(Some("nonsense"), &keep(true)), Wall(i64::MIN));
    }
}
