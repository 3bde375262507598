//! `config/trunks.yaml`: what a dialled number means. First match wins.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    files::{Problem, Read},
    words::{SwitchId, SystemId, TenantId},
};

use super::number::{Class, Number, Plan};

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
    /// The dialled number in any spelling, quoted; or several at once: `0216123*` (a prefix), `0216123XX00` (X for a digit),
    /// `02161234500..02161234599` (a range). Absent: every number (the last row, usually).
    pub dialled: Option<String>,
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
    /// What is done about a caller whom no system knows: `none`, `offer`, or `{create_after_s: 30}`. Absent: `offer`.
    #[serde(default)]
    pub no_match: NoMatch,
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

/// A call that is talked for longer is nobody's quick hang-up any more.
const CREATE_AFTER_MAX_S: u32 = 3600;

/// All rows in the order of the file, each with its number read once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrunkMap {
    rows: Vec<(Option<Dialled>, Arc<TrunkRow>)>,
}

/// Which dialled numbers a row takes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Dialled {
    One(Number),
    /// Digits (and perhaps a plus) in front, `X` for any digit; `open`: whatever follows.
    Like {
        text: String,
        open: bool,
    },
    /// Both ends in E.164 and of one length, so that the order of text is the order of numbers.
    Range(String, String),
}

impl Dialled {
    fn read(text: &str, plan: &Plan) -> Result<Self, &'static str> {
        if let Some((from, to)) = text.split_once("..") {
            let end = |text: &str| plan.read(text).e164.map(|e| e.expose().clone());
            return match (end(from), end(to)) {
                (Some(from), Some(to)) if from.len() == to.len() && from <= to => Ok(Self::Range(from, to)),
                _ => Err(
                    "both ends of a range are whole numbers of one length, the lower first: 02161234500..02161234599",
                ),
            };
        }
        if !text.contains(['*', 'X', 'x']) {
            let number = plan.read(text);
            let none = matches!(number.class, Class::Invalid | Class::Unknown | Class::SipUser | Class::Anonymous);
            return if none { Err("write it as dialled, or with + and country code") } else { Ok(Self::One(number)) };
        }
        let (body, open) = text.strip_suffix('*').map_or((text, false), |body| (body, true));
        let body: String = body.chars().filter(|c| !matches!(c, ' ' | '-')).map(|c| c.to_ascii_uppercase()).collect();
        let digits = body.strip_prefix('+').unwrap_or(&body);
        if digits.is_empty() || !digits.chars().all(|c| c.is_ascii_digit() || c == 'X') {
            return Err("a pattern is digits, X for any digit, and at most one * at its end: 0216123*, 0216123XX00");
        }
        Ok(Self::Like { text: body, open })
    }

    fn takes(&self, number: &Number) -> bool {
        match self {
            Self::One(own) => own.same_line(number),
            Self::Range(from, to) => number.e164.as_ref().is_some_and(|e| {
                let e = e.expose();
                e.len() == from.len() && from <= e && e <= to
            }),
            Self::Like { text, open } => spellings(number).iter().any(|dialled| like(text, *open, dialled)),
        }
    }

    /// Whether everything that `other` takes is taken by this one. Where that cannot be told it is not said.
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::One(number)) => self.takes(number),
            (Self::Range(from, to), Self::Range(a, b)) => from.len() == a.len() && from <= a && b <= to,
            (Self::Like { text, open }, Self::Like { text: inner, open: inner_open }) => {
                like(text, *open, inner) && (*open || !*inner_open)
            }
            _ => false,
        }
    }
}

/// A number as a pattern may mean it: E.164, national with and without the trunk's zero, the short code, and as it came.
fn spellings(number: &Number) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(e164) = &number.e164 {
        let e164 = e164.expose();
        all.push(e164.clone());
        if let Some(national) = e164.strip_prefix("+86") {
            all.push(format!("0{national}"));
            all.push(national.to_owned());
        }
    }
    all.extend(number.short.iter().map(|short| short.expose().clone()));
    // Letters are a name's: nothing is stripped from it.
    let raw = number.raw.iter().filter(|_| number.class != Class::SipUser);
    all.extend(raw.map(|raw| raw.expose().chars().filter(|c| c.is_ascii_digit() || *c == '+').collect()));
    all
}

/// `X` takes any digit (and an `X`, where a pattern is held against a pattern).
fn like(pattern: &str, open: bool, text: &str) -> bool {
    let fits = |(p, t): (char, char)| p == t || p == 'X' && (t.is_ascii_digit() || t == 'X');
    (if open { text.len() >= pattern.len() } else { text.len() == pattern.len() })
        && pattern.chars().zip(text.chars()).all(fits)
}

impl TrunkMap {
    /// `plan` is how numbers in the file are read: where a switch of another country is meant, write `+`.
    #[must_use]
    pub fn new(rows: Vec<TrunkRow>, plan: &Plan) -> Self {
        // A row whose number cannot be read takes no call: `check` has told of it, and settings that are wrong are never used.
        let read = |row: TrunkRow| match row.dialled.as_deref().map(|d| Dialled::read(d, plan)).transpose() {
            Ok(dialled) => Some((dialled, Arc::new(row))),
            Err(_) => None,
        };
        Self { rows: rows.into_iter().filter_map(read).collect() }
    }

    /// The first row that fits a call. `trunk` is the endpoint (`PJSIP/trunk`).
    #[must_use]
    pub fn find(&self, switch: &SwitchId, trunk: Option<&str>, dialled: Option<&Number>) -> Option<&Arc<TrunkRow>> {
        self.rows.iter().find(|(wanted, row)| fits(wanted.as_ref(), row, switch, trunk, dialled)).map(|(_, row)| row)
    }

    #[must_use]
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &Arc<TrunkRow>> {
        self.rows.iter().map(|(_, row)| row)
    }
}

fn fits(
    wanted: Option<&Dialled>,
    row: &TrunkRow,
    switch: &SwitchId,
    trunk: Option<&str>,
    dialled: Option<&Number>,
) -> bool {
    let same_trunk = |wanted: &str| trunk.is_some_and(|t| t == wanted || t.rsplit('/').next() == Some(wanted));
    row.switch.as_ref().is_none_or(|s| s == switch)
        && row.trunk.as_deref().is_none_or(same_trunk)
        && wanted.is_none_or(|w| dialled.is_some_and(|d| w.takes(d)))
}

/// What a schema cannot see: switches and systems that do not exist, numbers that are none, rows that can never win.
#[must_use]
pub fn check(file: &Read<TrunksFile>, switches: &[SwitchId], systems: &[SystemId], plan: &Plan) -> Vec<Problem> {
    let mut problems = Vec::new();
    let rows = &file.value.rows;
    let read: Vec<Option<Result<Dialled, &str>>> =
        rows.iter().map(|r| r.dialled.as_deref().map(|d| Dialled::read(d, plan))).collect();
    let names = |ids: &[String]| {
        if ids.is_empty() { "there is none yet".to_owned() } else { format!("known are: {}", ids.join(", ")) }
    };
    let switch_names: Vec<String> = switches.iter().map(ToString::to_string).collect();
    let system_names: Vec<String> = systems.iter().map(ToString::to_string).collect();
    for (i, row) in rows.iter().enumerate() {
        if let Some(switch) = row.switch.as_ref().filter(|s| !switches.contains(s)) {
            problems.push(file.problem(
                &format!("rows[{i}].switch"),
                format!("there is no switch \"{switch}\""),
                names(&switch_names),
            ));
        }
        for (j, system) in row.connectors.iter().flatten().enumerate().filter(|(_, s)| !systems.contains(s)) {
            let key = format!("rows[{i}].connectors[{j}]");
            problems.push(file.problem(&key, format!("there is no connector \"{system}\""), names(&system_names)));
        }
        if let Some(Err(right)) = &read[i] {
            let key = format!("rows[{i}].dialled");
            problems.push(file.problem(&key, "this is not a number that can be dialled", *right));
        }
        if let NoMatch::CreateAfterS(s) = row.no_match
            && s > CREATE_AFTER_MAX_S
        {
            let key = format!("rows[{i}].no_match.create_after_s");
            problems.push(file.problem(&key, format!("found {s}"), "0 to 3600 seconds of talk"));
        }
        if let Some(zone) = row.zone.as_deref().filter(|z| !known_zone(z)) {
            problems.push(file.problem(
                &format!("rows[{i}].zone"),
                format!("\"{zone}\" is no time zone"),
                "an IANA name such as Asia/Shanghai",
            ));
        }
        // A row is covered where an earlier one asks for no more than it does.
        let covered = (0..i).find(|&e| {
            let (earlier, dialled) = (&rows[e], &read[e]);
            (earlier.switch.is_none() || earlier.switch == row.switch)
                && (earlier.trunk.is_none() || earlier.trunk == row.trunk)
                && match (dialled, &read[i]) {
                    (None, _) => true,
                    (Some(Ok(a)), Some(Ok(b))) => a.covers(b),
                    _ => false,
                }
        });
        if let Some(earlier) = covered {
            problems.push(file.problem(
                &format!("rows[{i}]"),
                format!("this row can never win: rows[{earlier}] takes the same calls before it"),
                "remove one, or put the narrower row first",
            ));
        }
    }
    problems
}

fn known_zone(name: &str) -> bool {
    jiff::tz::db().get(name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    const FILE: &str = "
rows:
  - dialled: '4008001234'
    title: 'After-sales'
    connectors: [redmine]
  - dialled: '+86 21 6123 4567'
    switch: pbx1
    title: 'Direct line'
  - title: 'Anything else'
";

    fn plan() -> Plan {
        Plan::new("CN", Some("21"))
    }

    #[test]
    fn the_first_row_that_fits_wins_in_any_spelling() {
        let file = files::read::<TrunksFile>("trunks.yaml", FILE).unwrap();
        let map = TrunkMap::new(file.value.rows, &plan());
        let title = |dialled: &str, switch: &str| {
            let number = plan().read(dialled);
            map.find(&switch.into(), Some("PJSIP/trunk"), Some(&number)).and_then(|r| r.title.clone())
        };
        assert_eq!(title("+864008001234", "pbx1").as_deref(), Some("After-sales"));
        assert_eq!(title("61234567", "pbx1").as_deref(), Some("Direct line"));
        assert_eq!(title("61234567", "pbx2").as_deref(), Some("Anything else"));
        assert_eq!(
            map.find(&"pbx1".into(), None, None).and_then(|r| r.title.clone()).as_deref(),
            Some("Anything else")
        );
    }

    #[test]
    fn prefixes_patterns_and_ranges_take_every_spelling_and_what_they_cover_is_told() {
        let text = "rows:\n  - {dialled: '02161234500..02161234519', title: Range}\n  - {dialled: '0216123XX99', title: Pattern}\n  - {dialled: '0216123*', title: Prefix}\n  - {dialled: '400*', title: Free}\n  - {dialled: '955*', title: Bank}\n  - {dialled: '+852*', title: Hong Kong}\n  - {dialled: '8XXX', title: Inside}\n";
        let file = files::read::<TrunksFile>("trunks.yaml", text).unwrap();
        assert_eq!(check(&file, &[], &[], &plan()), []);
        let map = TrunkMap::new(file.value.rows, &plan());
        for (dialled, title) in [
            ("+862161234510", "Range"),
            ("61234519", "Range"),
            ("02161234520", "Prefix"),
            ("+862161235599", "Pattern"),
            ("0086 21 6123 9999", "Pattern"),
            ("61239998", "Prefix"),
            ("4008001234", "Free"),
            ("01095588", "Bank"),
            ("0085221234567", "Hong Kong"),
            ("8012", "Inside"),
        ] {
            let found = map.find(&"pbx1".into(), None, Some(&plan().read(dialled)));
            assert_eq!(found.and_then(|r| r.title.as_deref()), Some(title), "{dialled}");
        }
        for nobodys in ["13800138000", "queue8012", "li.8012@pbx.example"] {
            assert_eq!(map.find(&"pbx1".into(), None, Some(&plan().read(nobodys))), None, "{nobodys}");
        }
        let told = |rows: &str| {
            let file = files::read::<TrunksFile>("trunks.yaml", &format!("rows:\n{rows}")).unwrap();
            check(&file, &[], &[], &plan()).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        for (first, second) in [
            ("0216123*", "02161234567"),
            ("0216123*", "02161234XXX"),
            ("0216*", "0216123*"),
            ("02161234500..02161234599", "+862161234510"),
            ("02161234500..02161234599", "02161234510..02161234520"),
            ("4008XXXXXX", "4008001234"),
        ] {
            let found = told(&format!("  - dialled: '{first}'\n  - dialled: '{second}'\n"));
            assert!(matches!(&found[..], [one] if one.contains("can never win")), "{first} {second}: {found:?}");
            // The narrower one first is how it should be.
            assert_eq!(told(&format!("  - dialled: '{second}'\n  - dialled: '{first}'\n")), [] as [&str; 0]);
        }
        for wrong in ["0216*23", "*", "X1Y", "02161234599..02161234500", "100..02161234500", "hello"] {
            let found = told(&format!("  - dialled: '{wrong}'\n"));
            assert!(matches!(&found[..], [one] if one.contains("rows[0].dialled")), "{wrong}: {found:?}");
        }
    }

    #[test]
    fn an_unknown_caller_is_offered_unless_the_row_says_otherwise() {
        let text = "rows:\n  - {title: A}\n  - {dialled: '400*', no_match: none}\n  - {dialled: '401*', no_match: offer}\n  - {dialled: '402*', no_match: {create_after_s: 30}}\n  - {dialled: '403*', no_match: {create_after_s: 3601}}\n";
        let file = files::read::<TrunksFile>("trunks.yaml", text).unwrap();
        let policies: Vec<NoMatch> = file.value.rows.iter().map(|r| r.no_match).collect();
        let after = NoMatch::CreateAfterS;
        assert_eq!(policies, [NoMatch::Offer, NoMatch::None, NoMatch::Offer, after(30), after(3601)]);
        let told: Vec<String> = check(&file, &[], &[], &plan()).iter().map(ToString::to_string).collect();
        assert!(
            told.iter().any(|t| t.starts_with("trunks.yaml:6:") && t.contains("create_after_s: found 3601")),
            "{told:?}"
        );
        assert!(files::read::<TrunksFile>("trunks.yaml", "rows:\n  - {no_match: ask}\n").is_err());
    }

    #[test]
    fn rows_that_cannot_work_are_told_with_their_line() {
        let text = "rows:\n  - title: All\n  - dialled: '4008001234'\n    switch: pbx9\n    connectors: [sap]\n    zone: Asia/Nowhere\n";
        let file = files::read::<TrunksFile>("trunks.yaml", text).unwrap();
        let told: Vec<String> = check(&file, &["pbx1".into()], &[], &plan()).iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "trunks.yaml:4:5: rows[1].switch: there is no switch \"pbx9\"; known are: pbx1",
                "trunks.yaml:5:18: rows[1].connectors[0]: there is no connector \"sap\"; there is none yet",
                "trunks.yaml:6:5: rows[1].zone: \"Asia/Nowhere\" is no time zone; an IANA name such as Asia/Shanghai",
                "trunks.yaml:3:5: rows[1]: this row can never win: rows[0] takes the same calls before it; remove one, or put the narrower row first",
            ]
        );
    }
}
