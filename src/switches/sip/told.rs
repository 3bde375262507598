//! What the translator remembers: whose numbers are ours, and of each call the legs that were told.

use std::collections::BTreeMap;

use crate::{
    calls::{
        book::Settings,
        event::{BridgeKind, Caller, Feed, Leg, LegState, Snapshot, SnapshotBridge, SnapshotLeg},
    },
    numbers::Plan,
    private::Private,
    switches::inside::Inside,
    words::SwitchId,
};

use super::Table;

/// Whose numbers are our own.
#[derive(Clone, Debug)]
pub struct Ours {
    pub inside: Inside,
    pub plan: Plan,
    /// What the leg of somebody outside is called: a name that the switch's file calls a trunk.
    pub trunk: String,
}

impl Ours {
    /// As the book's settings have it for this switch.
    #[must_use]
    pub fn of(settings: &Settings, switch: &SwitchId) -> Option<Self> {
        let rules = settings.switches.get(switch)?;
        Some(Self {
            inside: Inside {
                switch: switch.clone(),
                technology: "SIP",
                directory: settings.directory.clone(),
                internal: rules.internal.clone(),
            },
            plan: rules.plan.clone(),
            trunk: "SIP/trunk".to_owned(),
        })
    }

    /// Under what an outside number is compared: two spellings of one number are one.
    pub(super) fn same(&self, user: &str) -> String {
        self.plan.read(user).e164.map_or_else(|| user.to_owned(), |e164| e164.expose().clone())
    }
}

/// One SIP call.
#[derive(Debug)]
pub(super) struct Told {
    /// The caller's leg; of a transferred customer that of the first call.
    pub caller: Party,
    pub called: Vec<Party>,
    /// The leg of the one outside, if one is.
    pub line: Option<String>,
    /// The caller's leg is another call's.
    pub handed: bool,
    /// Said to be a transfer.
    pub transferred: bool,
    /// The caller's own entity told of it.
    pub caller_told: bool,
    /// Call-ids of the other half, where the switch is a back-to-back user agent.
    pub halves: Vec<String>,
    /// The caller entered the bridge.
    pub up: bool,
    pub over: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Party {
    pub leg: Leg,
    pub user: Option<String>,
    pub inside: bool,
    /// Its own entity told of it.
    pub told: bool,
    /// When it was answered, in the order of our own count.
    pub up: Option<u64>,
    pub over: bool,
}

/// The leg of somebody outside.
#[derive(Debug)]
pub(super) struct Line {
    pub leg: Leg,
    pub number: Option<String>,
    /// Its calls, in their order, and how many of them live.
    pub calls: Vec<String>,
    pub live: usize,
}

/// Everything that lives, as far as it was told.
pub(super) fn snapshot(calls: &Table<String, Told>) -> Snapshot {
    let mut legs: BTreeMap<&str, SnapshotLeg> = BTreeMap::new();
    // A customer who was handed on is in the bridge that was entered last.
    let mut places: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
    for (key, call) in calls.iter().filter(|(_, call)| !call.over) {
        for (party, application) in call.called.iter().map(|p| (p, "AppDial")).chain([(&call.caller, "")]) {
            if party.over {
                continue;
            }
            let state = match (party.up.is_some(), application) {
                (true, _) => LegState::Up,
                (false, "") => LegState::Calling,
                (false, _) => LegState::Ringing,
            };
            let number = party.user.clone().filter(|_| application.is_empty()).map(Private::new);
            let leg = SnapshotLeg {
                leg: party.leg.clone(),
                state,
                created: None,
                caller: Caller { number, name: None },
                connected: Caller::default(),
                dialled: None,
                application: application.to_owned(),
                data: String::new(),
                variables: Vec::new(),
            };
            legs.entry(&party.leg.id).or_insert(leg);
            if let Some(up) = party.up {
                let place = places.entry(&party.leg.id).or_insert((up, key));
                *place = (*place).max((up, key));
            }
        }
    }
    let mut bridges: BTreeMap<&str, SnapshotBridge> = BTreeMap::new();
    for (leg, (_, key)) in places {
        let empty = || SnapshotBridge { id: key.to_owned(), kind: BridgeKind::Mixing, legs: Vec::new() };
        bridges.entry(key).or_insert_with(empty).legs.push(leg.to_owned());
    }
    Snapshot {
        feed: Feed::Sip,
        legs: legs.into_values().collect(),
        bridges: bridges.into_values().collect(),
        asked: None,
        waiting: Vec::new(),
    }
}
