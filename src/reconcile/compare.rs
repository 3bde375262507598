//! What differs. Still.
//!
//! A switch's own record has whole seconds, one row a pair of channels, and ends that come late (Asterisk 22.10.1), so only that a call is there and when it ended are compared, not
//! who answered: that a queue answered is no answer of an agent. A business system is asked for what was delivered by the lookup of its connector file, with the same inputs; where a file has none, nobody
//! can say.

use std::collections::{HashMap, HashSet};

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{
    calls::{
        Record,
        missed::{self, Row},
        record::End,
    },
    connectors::Outcome,
    store::{DifferenceRow, EffectRow, State},
    words::{SwitchId, TenantId, Wall},
};

/// How far the ends of one call may be apart: the switch's rows have whole seconds and are closed a little after the last channel.
const APART_MS: u64 = 5_000;
/// What was not delivered for so long is a difference, though it is tried still.
const LATE_MS: u64 = 24 * 3_600_000;

/// What kind of difference it is; the label of the figure `linecard_consistency_errors`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The switch has a record of a call and we have none.
    Unrecorded,
    /// We have a record of a call and the switch has none.
    Unheard,
    /// Both have it, and it ended at different moments.
    Ends,
    /// Something that follows from a call was given up, needs a person, or waits for more than a day.
    Undelivered,
    /// A business system was told and does not have it.
    Missing,
    /// It has it more than once.
    Twice,
}

impl Kind {
    pub const ALL: [Self; 6] =
        [Self::Unrecorded, Self::Unheard, Self::Ends, Self::Undelivered, Self::Missing, Self::Twice];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unrecorded => "unrecorded",
            Self::Unheard => "unheard",
            Self::Ends => "ends",
            Self::Undelivered => "undelivered",
            Self::Missing => "missing",
            Self::Twice => "twice",
        }
    }

    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// What a person can do about it, for the list.
    #[must_use]
    pub const fn cure(self) -> &'static str {
        match self {
            Self::Unrecorded => "repair writes the record from the switch's rows, and what follows from it",
            Self::Unheard | Self::Ends => "look at both; accept it with a reason",
            Self::Undelivered => "repair tries it again with three fresh days",
            Self::Missing => "repair looks once more and writes it if it is still not there",
            Self::Twice => "remove one at the system, then accept it",
        }
    }
}

/// A name that is the same at each look.
fn id(tenant: &TenantId, kind: Kind, of: &str) -> String {
    let mut hash = Sha256::new();
    for part in [tenant.as_str(), kind.as_str(), of] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn row(tenant: &TenantId, kind: Kind, of: &str, at: Wall, what: String) -> DifferenceRow {
    DifferenceRow {
        tenant: tenant.clone(),
        id: id(tenant, kind, of),
        kind: kind.as_str().to_owned(),
        at,
        switch: None,
        system: None,
        call: None,
        effect: None,
        what,
        place: None,
        state: String::new(),
        seen_at: at,
    }
}

/// Between a switch and us, in a time. `rows`: each call's own, as the switch has them; `ours`: records of calls that ended in that time, and a little around it, so that neither is missed at an edge.
/// `is_call` says whether rows are of a call at all (a feature code is none).
#[must_use]
pub fn with_switch(
    tenant: &TenantId,
    switch: &SwitchId,
    (from, to): (Wall, Wall),
    rows: &[Vec<Row>],
    ours: &[Record],
    is_call: impl Fn(&[Row]) -> bool,
) -> Vec<DifferenceRow> {
    let within = |at: Wall| (from..=to).contains(&at);
    let ids = |record: &Record| {
        record.ids.iter().filter(|id| id.switch == *switch).map(|id| id.value.clone()).collect::<Vec<_>>()
    };
    let known: HashMap<String, &Record> =
        ours.iter().flat_map(|record| ids(record).into_iter().map(move |id| (id, record))).collect();
    let told: HashSet<&str> = rows.iter().flat_map(|rows| missed::ids(rows)).collect();
    let mut out = Vec::new();
    for rows in rows {
        let (Some(end), Some(first)) = (rows.iter().map(|row| row.end).max(), rows.first()) else { continue };
        let Some(record) = missed::ids(rows).find_map(|id| known.get(id)) else {
            if within(end) && is_call(rows) {
                let what = format!("the switch has a call that ended {end} and we have no record of it");
                let place = json!({"channel": first.id, "from": first.start, "to": end}).to_string();
                out.push(DifferenceRow {
                    switch: Some(switch.clone()),
                    place: Some(place),
                    ..row(tenant, Kind::Unrecorded, &format!("{switch} {}", first.id), end, what)
                });
            }
            continue;
        };
        let Some(ours) = record.ended_at.filter(|_| record.end == End::Seen) else { continue };
        let apart = ours.since(end).max(end.since(ours));
        if within(end) && apart > APART_MS {
            let what = format!("it ended {end} by the switch and {ours} by us, {} s apart", apart / 1000);
            out.push(DifferenceRow {
                switch: Some(switch.clone()),
                call: Some(record.call),
                ..row(tenant, Kind::Ends, &record.call.to_string(), end, what)
            });
        }
    }
    for record in ours.iter().filter(|record| record.switch == *switch && record.tenant == *tenant) {
        let Some(end) = record.ended_at.filter(|end| within(*end)) else { continue };
        let ids = ids(record);
        if !ids.is_empty() && !ids.iter().any(|id| told.contains(id.as_str())) {
            out.push(DifferenceRow {
                switch: Some(switch.clone()),
                call: Some(record.call),
                ..row(
                    tenant,
                    Kind::Unheard,
                    &record.call.to_string(),
                    end,
                    "the switch has no record of this call".to_owned(),
                )
            });
        }
    }
    out
}

/// What of an effect is a difference without asking anybody.
#[must_use]
pub fn undelivered(effect: &EffectRow, now: Wall) -> Option<DifferenceRow> {
    let reason = effect.reason.as_deref().unwrap_or("no reason is known");
    let what = match effect.state {
        State::Dead => format!("it was given up: {reason}"),
        State::Person => format!("a person must look: {reason}"),
        state if state.is_open() && now.since(effect.born_at) > LATE_MS => {
            format!("it waits since {}: {reason}", effect.born_at)
        }
        _ => return None,
    };
    Some(of_effect(effect, Kind::Undelivered, effect.born_at, what))
}

/// What a system's answer to the lookup of what was delivered comes to; `Err`: it cannot be asked just now.
///
/// # Errors
/// Why it is not known.
pub fn delivered(effect: &EffectRow, outcome: &Outcome) -> Result<Option<DifferenceRow>, String> {
    match outcome {
        Outcome::Ok(_) => Ok(None),
        Outcome::Empty | Outcome::NotFound => {
            let what = format!("{} {} was done and {} does not have it", effect.operation, effect.step, effect.system);
            Ok(Some(of_effect(effect, Kind::Missing, effect.updated_at, what)))
        }
        Outcome::Ambiguous { count, .. } => {
            let what = format!("{} {} is at {} {count} times", effect.operation, effect.step, effect.system);
            Ok(Some(of_effect(effect, Kind::Twice, effect.updated_at, what)))
        }
        other => Err(other.reason().map_or_else(|| other.word().to_owned(), str::to_owned)),
    }
}

fn of_effect(effect: &EffectRow, kind: Kind, at: Wall, what: String) -> DifferenceRow {
    DifferenceRow {
        system: Some(effect.system.clone()),
        call: Some(effect.call),
        effect: Some(effect.key.clone()),
        ..row(&effect.tenant, kind, &effect.key, at, what)
    }
}
