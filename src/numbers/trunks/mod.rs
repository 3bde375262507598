//! `config/trunks.yaml`: what a dialled number means. First match wins.

mod check;
pub mod code;
pub mod dialled;
pub mod edit;
mod index;
pub mod sheet;
pub mod target;
pub mod unmapped;

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use check::{Around, Switch, Told, check};

use crate::{
    files::{self, Problem, Read},
    private::Private,
    words::{SwitchId, SystemId, TenantId},
};

use self::{
    dialled::{Dialled, spellings},
    index::Index,
};
use super::number::{Number, Plan};

/// The text of a trunks.yaml, by itself: what stands beside it in the settings is for [`check`].
///
/// # Errors
/// All that is wrong with its shape.
pub fn read(text: &str) -> Result<Read<TrunksFile>, Vec<Problem>> {
    files::read("trunks.yaml", text)
}

/// The whole file.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrunksFile {
    #[serde(default)]
    pub rows: Vec<TrunkRow>,
}

/// One row: calls to this number, at this switch and trunk, mean this.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrunkRow {
    /// Only for calls of this switch; absent: any.
    pub switch: Option<SwitchId>,
    /// Only for calls on this trunk, named as the switch names the endpoint (`PJSIP/trunk`, or `trunk`); absent: any.
    pub trunk: Option<String>,
    /// Where this row looks for the dialled number, first found first: `extension` (the number the switch was called with), `attribute:NAME` (a
    /// channel variable or a header that the switch's file maps to this attribute), and where a switch speaks SIP itself `request-uri`, `to`,
    /// `diversion`, `history-info`, `p-called-party-id`. Absent: `extension`.
    pub dialled_from: Option<Vec<String>>,
    /// The dialled number in any spelling, quoted; or several at once: `0216123*` (a prefix), `0216123XX00` (X for a digit),
    /// `02161234500..02161234599` (a range). Absent: every number (the last row, usually).
    pub dialled: Option<String>,
    /// How the numbers of calls on this row are read, its own included: ISO 3166 alpha-2. Absent: as the switch's file says.
    pub country: Option<String>,
    /// Area code without the leading 0, quoted, likewise.
    pub area: Option<String>,
    #[serde(default)]
    pub tenant: TenantId,
    /// What the agent sees as the line's name.
    pub title: Option<String>,
    pub brand: Option<String>,
    pub language: Option<String>,
    /// IANA time zone, for example `Asia/Shanghai`.
    pub zone: Option<String>,
    /// What the agent sees as the queue's name.
    pub queue_label: Option<String>,
    /// Which systems are asked who calls, in the order of their blocks. Absent: all.
    pub connectors: Option<Vec<SystemId>>,
    /// What opens on the agent's screen: `card`, or the address of the customer's page at a business system, with places for values
    /// ({number}, {digits}, {dialled}, {call}, {queue}, {agent}, {customer}, {customer:SYSTEM}, {attribute:NAME}). Absent: `card`.
    pub target: Option<String>,
    /// What is done about a caller whom no system knows: `none`, `offer`, or `{create_after_s: 30}`. Absent: `offer`.
    #[serde(default)]
    pub no_match: NoMatch,
    /// Who sees the customer's number whole: `none` hides it from nobody, `all` from everybody, `{except: [supervisor]}` from all without one of
    /// these roles. Absent: as `agents.full_numbers` says.
    pub mask: Option<Mask>,
}

/// What is done about a caller whom no system knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoMatch {
    /// Nothing, and the page offers nothing.
    None,
    /// The agent is offered to attach the number to a customer, or to make a new one.
    #[default]
    Offer,
    /// As `offer`, and a customer is made by itself once the call was talked for so many seconds and nobody attached one.
    CreateAfterS(u32),
}

/// From whom the customer's number is hidden.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mask {
    None,
    All,
    /// All without one of these roles.
    Except(Vec<String>),
}

impl Mask {
    /// Whether somebody with these roles sees the number with its middle hidden.
    #[must_use]
    pub fn hides<R: AsRef<str>>(&self, roles: &[R]) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Except(seers) => !roles.iter().any(|role| seers.iter().any(|seer| seer == role.as_ref())),
        }
    }
}

/// Where a dialled number is found.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The number the switch was called with, before any step of its dialplan.
    Extension,
    Attribute(String),
    /// Only where the switch shows its SIP.
    RequestUri,
    To,
    Diversion,
    HistoryInfo,
    PCalledPartyId,
}

impl Source {
    #[must_use]
    pub fn read(word: &str) -> Option<Self> {
        Some(match word {
            "extension" => Self::Extension,
            "request-uri" => Self::RequestUri,
            "to" => Self::To,
            "diversion" => Self::Diversion,
            "history-info" => Self::HistoryInfo,
            "p-called-party-id" => Self::PCalledPartyId,
            _ => Self::Attribute(word.strip_prefix("attribute:").filter(|n| !n.is_empty())?.to_owned()),
        })
    }

    /// As a row writes it.
    #[must_use]
    pub fn word(&self) -> String {
        match self {
            Self::Extension => "extension".to_owned(),
            Self::Attribute(name) => format!("attribute:{name}"),
            Self::RequestUri => "request-uri".to_owned(),
            Self::To => "to".to_owned(),
            Self::Diversion => "diversion".to_owned(),
            Self::HistoryInfo => "history-info".to_owned(),
            Self::PCalledPartyId => "p-called-party-id".to_owned(),
        }
    }
}

/// What a call shows of the line it came over.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    pub switch: &'a SwitchId,
    /// The endpoint, `PJSIP/trunk`.
    pub trunk: Option<&'a str>,
    /// How the switch's numbers are read.
    pub plan: &'a Plan,
    pub extension: Option<&'a str>,
    /// Where the signalling has a number.
    pub places: &'a [(Source, Private<String>)],
    pub attributes: &'a BTreeMap<String, Private<String>>,
}

impl<'a> Seen<'a> {
    /// The first of these sources that has a number, and which it is.
    fn at<'s>(&self, sources: &'s [Source]) -> Option<(&'a str, &'s Source)> {
        sources.iter().find_map(|source| {
            let text = match source {
                Source::Extension => self.extension,
                Source::Attribute(name) => self.attributes.get(name).map(|value| value.expose().as_str()),
                Source::RequestUri | Source::To | Source::Diversion | Source::HistoryInfo | Source::PCalledPartyId => {
                    self.places.iter().find(|(place, _)| place == source).map(|(_, number)| number.expose().as_str())
                }
            };
            text.filter(|t| !t.is_empty()).map(|text| (text, source))
        })
    }

    /// Where a number stood that was found at `source`: what the switch was called with may itself be one of the signalling's places.
    #[must_use]
    pub fn place(&self, source: &Source) -> Option<Source> {
        match source {
            Source::Extension => {
                let extension = self.extension?;
                let told = self.places.iter().find(|(_, number)| number.expose() == extension);
                Some(told.map_or(Source::Extension, |(place, _)| place.clone()))
            }
            other => Some(other.clone()),
        }
    }
}

/// A row that won.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// Its place in the file, from 0.
    pub place: usize,
    pub row: &'a Arc<TrunkRow>,
    /// How the numbers of this call are read, where the row says so.
    pub plan: Option<&'a Plan>,
    /// The number that was dialled, from where this row finds it.
    pub dialled: Option<Number>,
    /// Where that stood.
    pub from: Option<Source>,
}

/// All rows in the order of the file, found by an index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrunkMap {
    rows: Vec<Arc<TrunkRow>>,
    /// Rows that look for the number at the same place and read it alike.
    groups: Vec<Group>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    from: Vec<Source>,
    /// Absent: the switch's.
    plan: Option<Plan>,
    index: Index,
    /// Trunks that its rows name; empty where one names none.
    trunks: HashSet<Box<str>>,
    open: bool,
}

impl TrunkMap {
    /// `plan` is how numbers in the file are read: where a switch of another country is meant, write `+`, or give the row its country.
    #[must_use]
    pub fn new(rows: Vec<TrunkRow>, plan: &Plan) -> Self {
        let mut map = Self::default();
        for row in rows {
            // A row whose number cannot be read takes no call: `check` has told of it, and settings that are wrong are never used.
            let own = row.plan(plan);
            let dialled = row.dialled.as_deref().map(|d| Dialled::read(d, own.as_ref().unwrap_or(plan))).transpose();
            if let Ok(dialled) = dialled {
                map.add(row, own, dialled.as_ref());
            }
        }
        map
    }

    fn add(&mut self, row: TrunkRow, plan: Option<Plan>, dialled: Option<&Dialled>) {
        let from = row.sources();
        let at = self.groups.iter().position(|g| g.from == from && g.plan == plan).unwrap_or_else(|| {
            let (index, trunks) = (Index::default(), HashSet::new());
            self.groups.push(Group { from, plan, index, trunks, open: false });
            self.groups.len() - 1
        });
        let place = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        if let Some(group) = self.groups.get_mut(at) {
            group.index.add(place, dialled, row.trunk.as_deref());
            match &row.trunk {
                Some(trunk) => drop(group.trunks.insert(trunk.as_str().into())),
                None => group.open = true,
            }
        }
        self.rows.push(Arc::new(row));
    }

    /// The first row that takes a call.
    #[must_use]
    pub fn find(&self, seen: &Seen<'_>) -> Option<Found<'_>> {
        let trunk = [seen.trunk, seen.trunk.and_then(|t| t.rsplit_once('/')).map(|(_, name)| name)];
        let mut best: Option<Found<'_>> = None;
        for group in &self.groups {
            let names = || trunk.into_iter().flatten().any(|t| group.trunks.contains(t));
            if !group.open && !names() {
                continue;
            }
            let plan = group.plan.as_ref();
            let at = seen.at(&group.from);
            let number = at.map(|(text, _)| plan.unwrap_or(seen.plan).read(text));
            let fits = |place: u32| self.rows.get(place as usize).is_some_and(|row| row.is_at(seen.switch, trunk));
            let spelt = number.as_ref().map(spellings);
            let Some(place) = group.index.first(spelt.as_ref(), trunk, fits) else { continue };
            let place = place as usize;
            if best.as_ref().is_none_or(|b| place < b.place)
                && let Some(row) = self.rows.get(place)
            {
                let from = at.and_then(|(_, source)| seen.place(source));
                best = Some(Found { place, row, plan, dialled: number, from });
            }
        }
        best
    }

    /// The place, from 0, of the row for this number, wherever the row looks for it: for a call of which no more is known than that it was for the number.
    #[must_use]
    pub fn place_of(&self, switch: &SwitchId, trunk: Option<&str>, plan: &Plan, dialled: &str) -> Option<usize> {
        let number = || Private::new(dialled.to_owned());
        let sources = || self.groups.iter().flat_map(|group| &group.from);
        let places: Vec<_> = sources().map(|source| (source.clone(), number())).collect();
        let attributes = sources().filter_map(|source| match source {
            Source::Attribute(name) => Some((name.clone(), number())),
            _ => None,
        });
        let attributes = attributes.collect();
        let (places, attributes) = (&places[..], &attributes);
        let found = self.find(&Seen { switch, trunk, plan, extension: Some(dialled), places, attributes });
        found.map(|found| found.place)
    }

    /// Whether the number is one of our own lines: some row names it as dialled, on whatever trunk.
    #[must_use]
    pub fn is_ours(&self, number: &Number) -> bool {
        let spelt = spellings(number);
        let named = |place: u32| self.rows.get(place as usize).is_some_and(|row| row.dialled.is_some());
        self.groups.iter().any(|group| {
            let mut trunks = std::iter::once(None).chain(group.trunks.iter().map(|trunk| Some(&**trunk)));
            trunks.any(|trunk| group.index.first(Some(&spelt), [trunk, None], named).is_some())
        })
    }

    #[must_use]
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &Arc<TrunkRow>> {
        self.rows.iter()
    }
}

impl TrunkRow {
    /// Where it looks for the dialled number. Words that are none are left out: `check` has told of them.
    fn sources(&self) -> Vec<Source> {
        match &self.dialled_from {
            None => vec![Source::Extension],
            Some(words) => words.iter().filter_map(|w| Source::read(w)).collect(),
        }
    }

    /// How its numbers are read, where it says so.
    fn plan(&self, file: &Plan) -> Option<Plan> {
        if self.country.is_none() && self.area.is_none() {
            return None;
        }
        let country = self.country.as_deref().unwrap_or(&file.country);
        Some(file.elsewhere(country, self.area.as_deref()))
    }

    fn is_at(&self, switch: &SwitchId, trunk: [Option<&str>; 2]) -> bool {
        self.switch.as_ref().is_none_or(|s| s == switch)
            && self.trunk.as_deref().is_none_or(|wanted| trunk.into_iter().flatten().any(|t| t == wanted))
    }

    /// The dialled number as this row finds it, before it is read; for a call that has this row already.
    #[must_use]
    pub fn dialled_text<'a>(&self, seen: &Seen<'a>) -> Option<&'a str> {
        if self.dialled_from.is_none() { seen.extension } else { seen.at(&self.sources()).map(|(text, _)| text) }
    }
}

#[cfg(test)]
mod tests;
