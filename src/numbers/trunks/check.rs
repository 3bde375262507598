//! What a schema cannot see in trunks.yaml: names that do not exist, numbers that are none, rows that can never win, rows that share calls.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    ops::Bound,
};

use super::{
    super::{number::Plan, world},
    NoMatch, Source, TrunkRow, TrunksFile, code,
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
        let mut wrong = |key: &str, found: String, wanted: &str, (code, values): Coded<'_>| {
            told.problems.push(file.problem(&format!("rows[{i}].{key}"), found, wanted).coded(code, values));
        };
        names(row, around, &mut wrong);
        values(row, around, plan, &mut wrong);
        let own = row.plan(plan);
        read.push(match row.dialled.as_deref().map(|d| Dialled::read(d, own.as_ref().unwrap_or(plan))).transpose() {
            Ok(dialled) => Some(Asked { row, sources: row.sources(), plan: own, dialled }),
            Err((code, right)) => {
                wrong("dialled", "this is not a number that can be dialled".to_owned(), right, (code, &[]));
                None
            }
        });
    }
    late_tenants(file, rows, &mut told.problems);
    order(file, &read, &mut told);
    told
}

/// The word for it (see [`code`]), and what stands in its sentences.
type Coded<'a> = (&'static str, &'a [(&'static str, &'a str)]);

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

/// Which there are, alone and in a sentence.
fn known(what: &str, ids: impl Iterator<Item = String>) -> (String, String) {
    let ids = ids.collect::<Vec<String>>().join(", ");
    let sentence = if ids.is_empty() { format!("there is no {what} yet") } else { format!("known are: {ids}") };
    (ids, sentence)
}

/// Switch, trunk, systems, attributes.
fn names(row: &TrunkRow, around: &Around, wrong: &mut impl FnMut(&str, String, &str, Coded<'_>)) {
    let meant: Vec<&Switch> =
        around.switches.iter().filter(|s| row.switch.as_ref().is_none_or(|id| *id == s.id)).collect();
    if let Some(switch) = row.switch.as_ref().filter(|_| meant.is_empty()) {
        let (all, sentence) = known("switch", around.switches.iter().map(|s| s.id.to_string()));
        let values = [("name", switch.as_str()), ("known", &all)];
        wrong("switch", format!("there is no switch \"{switch}\""), &sentence, (code::NO_SWITCH, &values));
    }
    if let Some(trunk) = row.trunk.as_deref().filter(|t| !meant.is_empty() && !meant.iter().any(|s| s.has_trunk(t))) {
        let (all, sentence) = known("trunk", meant.iter().flat_map(|s| s.trunks.iter().cloned()));
        let values = [("name", trunk), ("known", &all)];
        wrong("trunk", format!("no switch calls \"{trunk}\" a trunk"), &sentence, (code::NO_TRUNK, &values));
    }
    for (j, system) in row.connectors.iter().flatten().enumerate().filter(|(_, s)| !around.systems.contains(s)) {
        let (all, sentence) = known("connector", around.systems.iter().map(ToString::to_string));
        let values = [("name", system.as_str()), ("known", &all)];
        let found = format!("there is no connector \"{system}\"");
        wrong(&format!("connectors[{j}]"), found, &sentence, (code::NO_CONNECTOR, &values));
    }
    if row.dialled_from.as_ref().is_some_and(Vec::is_empty) {
        let wanted = "extension, attribute:NAME, or no list";
        wrong("dialled_from", "the list is empty".to_owned(), wanted, (code::NO_SOURCES, &[]));
    }
    for (j, word) in row.dialled_from.iter().flatten().enumerate() {
        let key = format!("dialled_from[{j}]");
        match Source::read(word) {
            None if word == "dnid" => wrong(
                &key,
                "an Asterisk tells its DNID in lists only".to_owned(),
                "extension has it there; or set a variable from CALLERID(dnid) in the dialplan, map it, and write attribute:NAME",
                (code::DNID, &[]),
            ),
            None => wrong(
                &key,
                "this is no place of a dialled number".to_owned(),
                "extension, attribute:NAME, request-uri, to, diversion, history-info or p-called-party-id",
                (code::NO_SOURCE, &[]),
            ),
            Some(Source::Extension) => {}
            Some(Source::Attribute(name)) => {
                if !meant.is_empty() && !meant.iter().any(|s| s.attributes.contains(&name)) {
                    let (all, sentence) = known("attribute", meant.iter().flat_map(|s| s.attributes.iter().cloned()));
                    let found = format!("no switch's file maps anything to the attribute \"{name}\"");
                    wrong(&key, found, &sentence, (code::NO_ATTRIBUTE, &[("name", &name), ("known", &all)]));
                }
            }
            Some(_) => {
                for (switch, way) in meant.iter().filter_map(|s| Some((&s.id, s.no_sip?))) {
                    let found = format!("the switch \"{switch}\" does not show this header");
                    wrong(&key, found, way, (code::NO_SIP, &[("switch", switch.as_str())]));
                }
            }
        }
    }
}

/// Zone, country, area, target, times.
fn values(row: &TrunkRow, around: &Around, plan: &Plan, wrong: &mut impl FnMut(&str, String, &str, Coded<'_>)) {
    if let NoMatch::CreateAfterS(s) = row.no_match
        && s > CREATE_AFTER_MAX_S
    {
        let found = format!("found {s}");
        wrong("no_match.create_after_s", found, "0 to 3600 seconds of talk", (code::TOO_LATE, &[]));
    }
    if let Some(zone) = row.zone.as_deref().filter(|z| jiff::tz::db().get(z).is_err()) {
        let found = format!("\"{zone}\" is no time zone");
        wrong("zone", found, "an IANA name such as Asia/Shanghai", (code::NO_ZONE, &[("name", zone)]));
    }
    let country = row.country.as_deref().filter(|c| !world::has(c));
    if country.is_some() {
        let found = "there is no such country".to_owned();
        wrong("country", found, "two letters of ISO 3166: CN, HK, US", (code::NO_COUNTRY, &[]));
    }
    if let (Some(area), None) = (&row.area, country) {
        let own = row.plan(plan);
        if !area.bytes().all(|b| b.is_ascii_digit()) || own.is_some_and(|p| !p.has_area()) {
            wrong(
                "area",
                format!("there is no area {area}"),
                "an area code without its zero, quoted: \"21\"; new ones go into china.csv",
                (code::NO_AREA, &[("name", area)]),
            );
        }
    }
    if let Some(text) = &row.target {
        match target::check(text) {
            Err((code, found, wanted)) => wrong("target", found, wanted, (code, &[])),
            Ok(()) => {
                for system in target::systems(text).filter(|s| !around.systems.iter().any(|known| known.as_str() == *s))
                {
                    let (all, sentence) = known("connector", around.systems.iter().map(ToString::to_string));
                    let values = [("name", system), ("known", &all)];
                    let found = format!("there is no connector \"{system}\"");
                    wrong("target", found, &sentence, (code::NO_CONNECTOR, &values));
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
            let problem = file.problem(
                &format!("rows[{i}].tenant"),
                "the tenant is settled before an attribute is known",
                "a row after this one for the same trunk, without \"dialled\" and \"dialled_from\", of the same tenant",
            );
            problems.push(problem.coded(code::LATE_TENANT, &[]));
        }
    }
}

/// Rows that can never win are wrong. Two that share some calls, with calls of their own each, may be meant so: it is said once a row.
fn order(file: &Read<TrunksFile>, read: &[Option<Asked<'_>>], told: &mut Told) {
    let mut index = Index::default();
    let mut wide = Wide::default();
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
            let begins = dialled.begins();
            for e in wide.near(&begins) {
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
            wide.add(&begins, i);
        }
        // People count rows from one.
        let number = |earlier: usize| (earlier + 1).to_string();
        match (covered, shared) {
            (Some(earlier), _) => {
                let found = format!("this row can never win: rows[{earlier}] takes the same calls before it");
                let wanted = "remove one, or put the narrower row first";
                let problem = file.problem(&format!("rows[{i}]"), found, wanted);
                told.problems.push(problem.coded(code::NEVER_WINS, &[("row", &number(earlier))]));
            }
            (None, Some(earlier)) => {
                let found = format!("some calls that this row describes are taken by rows[{earlier}] before it");
                let wanted = "nothing to do if that is meant; else narrow one of the two";
                let note = file.problem(&format!("rows[{i}]"), found, wanted);
                told.notes.push(note.coded(code::SHARES, &[("row", &number(earlier))]));
            }
            (None, None) => {}
        }
        index.add(place, asked.dialled.as_ref(), row.trunk.as_deref());
    }
}

/// Rows of many numbers by the digits that these begin with. Two rows share a number only where the beginning of one is a beginning of the other's: held against
/// each other are those alone, for all against all is a hundred million times in ten thousand rows.
#[derive(Default)]
struct Wide(BTreeMap<String, Vec<usize>>);

impl Wide {
    fn add(&mut self, begins: &[String], place: usize) {
        for begin in begins {
            self.0.entry(begin.clone()).or_default().push(place);
        }
    }

    /// In the order of the file.
    fn near(&self, begins: &[String]) -> BTreeSet<usize> {
        let longer = |begin: &str| {
            let from = self.0.range::<str, _>((Bound::Included(begin), Bound::Unbounded));
            let begin = begin.to_owned();
            from.take_while(move |(it, _)| it.starts_with(&begin)).map(|(_, places)| places)
        };
        let shorter = |begin: &str| (0..begin.len()).filter_map(|n| self.0.get(begin.get(..n)?)).collect::<Vec<_>>();
        begins.iter().flat_map(|begin| longer(begin).chain(shorter(begin))).flatten().copied().collect()
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
