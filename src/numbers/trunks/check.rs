//! What a schema cannot see in trunks.yaml: names that do not exist, numbers that are none, rows that can never win, rows that share calls.

use std::collections::HashSet;

use super::{
    super::{number::Plan, world},
    NoMatch, Source, TrunkRow, TrunksFile,
    dialled::{Dialled, Meeting, spellings},
    index::Index,
    target,
};
use crate::{
    files::{Problem, Read},
    words::{SwitchId, SystemId, TenantId},
};

/// A call that is talked for longer is nobody's quick hang-up any more.
const CREATE_AFTER_MAX_S: u32 = 3600;

/// What stands beside trunks.yaml in the settings.
#[derive(Clone, Debug, Default)]
pub struct Around {
    pub switches: Vec<Switch>,
    pub systems: Vec<SystemId>,
}

/// A switch, as far as rows may speak of it.
#[derive(Clone, Debug)]
pub struct Switch {
    pub id: SwitchId,
    /// Its endpoints that are trunks, `*` for any text.
    pub trunks: Vec<String>,
    /// The attributes that its file maps.
    pub attributes: Vec<String>,
    /// For a kind that does not show its SIP: how the number gets into an attribute there. Absent: it shows all of it.
    pub no_sip: Option<&'static str>,
}

/// What is wrong, and what is only worth a look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    pub problems: Vec<Problem>,
    pub notes: Vec<Problem>,
}

/// Everything at once.
#[must_use]
pub fn check(file: &Read<TrunksFile>, around: &Around, plan: &Plan) -> Told {
    let mut told = Told::default();
    let rows = &file.value.rows;
    let mut read = Vec::with_capacity(rows.len());
    for (i, row) in rows.iter().enumerate() {
        let mut wrong = |key: &str, found: String, wanted: &str| {
            told.problems.push(file.problem(&format!("rows[{i}].{key}"), found, wanted));
        };
        names(row, around, &mut wrong);
        values(row, around, plan, &mut wrong);
        let own = row.plan(plan);
        read.push(match row.dialled.as_deref().map(|d| Dialled::read(d, own.as_ref().unwrap_or(plan))).transpose() {
            Ok(dialled) => Some(Asked { row, sources: row.sources(), plan: own, dialled }),
            Err(right) => {
                wrong("dialled", "this is not a number that can be dialled".to_owned(), right);
                None
            }
        });
    }
    late_tenants(file, rows, &mut told.problems);
    order(file, &read, &mut told);
    told
}

/// A row, read.
struct Asked<'a> {
    row: &'a TrunkRow,
    sources: Vec<Source>,
    plan: Option<Plan>,
    dialled: Option<Dialled>,
}

impl<'a> Asked<'a> {
    /// Whether this row asks for no more than the other but for the number: every call of the other's switch and trunk is one of its own.
    fn around(&self, other: &Self) -> bool {
        let (own, its) = (self.row, other.row);
        (own.switch.is_none() || own.switch == its.switch)
            && (own.trunk.is_none() || own.trunk == its.trunk || bare(&own.trunk) == its.trunk.as_deref())
    }

    /// Whether there can be a call that both may take.
    fn beside(&self, other: &Self) -> bool {
        let one = |a: Option<&str>, b: Option<&str>| a.is_none() || b.is_none() || a == b;
        let switch = |row: &'a TrunkRow| row.switch.as_ref().map(SwitchId::as_str);
        one(switch(self.row), switch(other.row)) && one(bare(&self.row.trunk), bare(&other.row.trunk))
    }

    /// Both look for the number at the same place and read it alike; else nothing can be told.
    fn alike(&self, other: &Self) -> bool {
        self.sources == other.sources && self.plan == other.plan
    }
}

/// A trunk's name without technology.
fn bare(trunk: &Option<String>) -> Option<&str> {
    trunk.as_deref().map(|t| t.rsplit_once('/').map_or(t, |(_, name)| name))
}

fn known(what: &str, ids: impl Iterator<Item = String>) -> String {
    let ids: Vec<String> = ids.collect();
    if ids.is_empty() { format!("there is no {what} yet") } else { format!("known are: {}", ids.join(", ")) }
}

/// Switch, trunk, systems, attributes.
fn names(row: &TrunkRow, around: &Around, wrong: &mut impl FnMut(&str, String, &str)) {
    let meant: Vec<&Switch> =
        around.switches.iter().filter(|s| row.switch.as_ref().is_none_or(|id| *id == s.id)).collect();
    if let Some(switch) = row.switch.as_ref().filter(|_| meant.is_empty()) {
        let all = known("switch", around.switches.iter().map(|s| s.id.to_string()));
        wrong("switch", format!("there is no switch \"{switch}\""), &all);
    }
    if let Some(trunk) = row.trunk.as_deref().filter(|t| !meant.is_empty() && !meant.iter().any(|s| s.has_trunk(t))) {
        let all = known("trunk", meant.iter().flat_map(|s| s.trunks.iter().cloned()));
        wrong("trunk", format!("no switch calls \"{trunk}\" a trunk"), &all);
    }
    for (j, system) in row.connectors.iter().flatten().enumerate().filter(|(_, s)| !around.systems.contains(s)) {
        let all = known("connector", around.systems.iter().map(ToString::to_string));
        wrong(&format!("connectors[{j}]"), format!("there is no connector \"{system}\""), &all);
    }
    if row.dialled_from.as_ref().is_some_and(Vec::is_empty) {
        wrong("dialled_from", "the list is empty".to_owned(), "extension, attribute:NAME, or no list");
    }
    for (j, word) in row.dialled_from.iter().flatten().enumerate() {
        let key = format!("dialled_from[{j}]");
        match Source::read(word) {
            None if word == "dnid" => wrong(
                &key,
                "an Asterisk tells its DNID in lists only".to_owned(),
                "extension has it there; or set a variable from CALLERID(dnid) in the dialplan, map it, and write attribute:NAME",
            ),
            None => wrong(
                &key,
                "this is no place of a dialled number".to_owned(),
                "extension, attribute:NAME, request-uri, to, diversion, history-info or p-called-party-id",
            ),
            Some(Source::Extension) => {}
            Some(Source::Attribute(name)) => {
                if !meant.is_empty() && !meant.iter().any(|s| s.attributes.contains(&name)) {
                    let all = known("attribute", meant.iter().flat_map(|s| s.attributes.iter().cloned()));
                    wrong(&key, format!("no switch's file maps anything to the attribute \"{name}\""), &all);
                }
            }
            Some(_) => {
                for (switch, way) in meant.iter().filter_map(|s| Some((&s.id, s.no_sip?))) {
                    wrong(&key, format!("the switch \"{switch}\" does not show this header"), way);
                }
            }
        }
    }
}

/// Zone, country, area, target, times.
fn values(row: &TrunkRow, around: &Around, plan: &Plan, wrong: &mut impl FnMut(&str, String, &str)) {
    if let NoMatch::CreateAfterS(s) = row.no_match
        && s > CREATE_AFTER_MAX_S
    {
        wrong("no_match.create_after_s", format!("found {s}"), "0 to 3600 seconds of talk");
    }
    if let Some(zone) = row.zone.as_deref().filter(|z| jiff::tz::db().get(z).is_err()) {
        wrong("zone", format!("\"{zone}\" is no time zone"), "an IANA name such as Asia/Shanghai");
    }
    let country = row.country.as_deref().filter(|c| !world::has(c));
    if country.is_some() {
        wrong("country", "there is no such country".to_owned(), "two letters of ISO 3166: CN, HK, US");
    }
    if let (Some(area), None) = (&row.area, country) {
        let own = row.plan(plan);
        if !area.bytes().all(|b| b.is_ascii_digit()) || own.is_some_and(|p| !p.has_area()) {
            wrong(
                "area",
                format!("there is no area {area}"),
                "an area code without its zero, quoted: \"21\"; new ones go into china.csv",
            );
        }
    }
    if let Some(text) = &row.target {
        match target::check(text) {
            Err((found, wanted)) => wrong("target", found, wanted),
            Ok(()) => {
                for system in target::systems(text).filter(|s| !around.systems.iter().any(|known| known.as_str() == *s))
                {
                    let all = known("connector", around.systems.iter().map(ToString::to_string));
                    wrong("target", format!("there is no connector \"{system}\""), &all);
                }
            }
        }
    }
}

/// Whose call it is is settled when the call is first seen, before any attribute is there: the row that it has by then must say the same.
fn late_tenants(file: &Read<TrunksFile>, rows: &[TrunkRow], problems: &mut Vec<Problem>) {
    let late = |row: &TrunkRow| row.dialled_from.iter().flatten().any(|w| w.starts_with("attribute:"));
    let early: HashSet<(Option<&SwitchId>, Option<&str>, &TenantId)> = rows
        .iter()
        .filter(|r| !late(r) && r.dialled.is_none())
        .map(|r| (r.switch.as_ref(), r.trunk.as_deref(), &r.tenant))
        .collect();
    for (i, row) in rows.iter().enumerate().filter(|(_, r)| late(r) && r.tenant != TenantId::default()) {
        let at = |switch, trunk| early.contains(&(switch, trunk, &row.tenant));
        let (switch, trunk) = (row.switch.as_ref(), row.trunk.as_deref());
        if !(at(switch, trunk) || at(None, trunk) || at(switch, None)) {
            problems.push(file.problem(
                &format!("rows[{i}].tenant"),
                "the tenant is settled before an attribute is known",
                "a row after this one for the same trunk, without \"dialled\" and \"dialled_from\", of the same tenant",
            ));
        }
    }
}

/// Rows that can never win are wrong. Two that share some calls, with calls of their own each, may be meant so: it is said once a row.
fn order(file: &Read<TrunksFile>, read: &[Option<Asked<'_>>], told: &mut Told) {
    let mut index = Index::default();
    let mut wide: Vec<usize> = Vec::new();
    for (i, asked) in read.iter().enumerate() {
        let Some(asked) = asked else { continue };
        let at = |e: usize| read.get(e).and_then(Option::as_ref);
        let (row, place) = (asked.row, u32::try_from(i).unwrap_or(u32::MAX));
        let covers = |e: u32| {
            let anything = |earlier: &Asked<'_>| earlier.dialled.is_none();
            at(e as usize).is_some_and(|earlier| earlier.around(asked) && (anything(earlier) || earlier.alike(asked)))
        };
        let spelt = match &asked.dialled {
            Some(Dialled::One(number)) => Some(spellings(number)),
            _ => None,
        };
        let mut covered =
            index.first(spelt.as_ref(), [row.trunk.as_deref(), bare(&row.trunk)], covers).map(|e| e as usize);
        let mut shared = None;
        if let Some(dialled) = asked.dialled.as_ref().filter(|_| spelt.is_none()) {
            for &e in &wide {
                let Some((earlier, its)) = at(e).and_then(|a| Some((a, a.dialled.as_ref()?))) else { continue };
                if covered.is_some_and(|c| c < e) || !earlier.alike(asked) {
                    continue;
                }
                match its.meets(dialled) {
                    Meeting::Covers if earlier.around(asked) => covered = Some(e),
                    // The later one has calls of its own by its switch or trunk.
                    Meeting::Covers | Meeting::Partly if shared.is_none() && earlier.beside(asked) => shared = Some(e),
                    _ => {}
                }
            }
            wide.push(i);
        }
        match (covered, shared) {
            (Some(earlier), _) => told.problems.push(file.problem(
                &format!("rows[{i}]"),
                format!("this row can never win: rows[{earlier}] takes the same calls before it"),
                "remove one, or put the narrower row first",
            )),
            (None, Some(earlier)) => told.notes.push(file.problem(
                &format!("rows[{i}]"),
                format!("some calls that this row describes are taken by rows[{earlier}] before it"),
                "nothing to do if that is meant; else narrow one of the two",
            )),
            (None, None) => {}
        }
        index.add(place, asked.dialled.as_ref(), row.trunk.as_deref());
    }
}

impl Switch {
    /// Trunks are named whole or without technology, by the patterns of the switch's file.
    fn has_trunk(&self, name: &str) -> bool {
        self.trunks.iter().any(|pattern| {
            let short = pattern.rsplit_once('/').map_or(pattern.as_str(), |(_, p)| p);
            like(pattern, name) || like(short, name)
        })
    }
}

/// `*` stands for any text.
fn like(pattern: &str, text: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == text };
    let Some(rest) = text.strip_prefix(head) else { return false };
    (0..=rest.len()).filter_map(|i| rest.get(i..)).any(|rest| like(tail, rest))
}
