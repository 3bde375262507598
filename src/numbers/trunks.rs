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
    /// The dialled number in any spelling, quoted. Absent: every number (the last row, usually).
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
}

/// All rows in the order of the file, each with its number read once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrunkMap {
    rows: Vec<(Option<Number>, Arc<TrunkRow>)>,
}

impl TrunkMap {
    /// `plan` is how numbers in the file are read: where a switch of another country is meant, write `+`.
    #[must_use]
    pub fn new(rows: Vec<TrunkRow>, plan: &Plan) -> Self {
        let rows = rows.into_iter().map(|row| (row.dialled.as_deref().map(|d| plan.read(d)), Arc::new(row))).collect();
        Self { rows }
    }

    /// The first row that fits a call. `trunk` is the endpoint (`PJSIP/trunk`).
    #[must_use]
    pub fn find(&self, switch: &SwitchId, trunk: Option<&str>, dialled: Option<&Number>) -> Option<&Arc<TrunkRow>> {
        self.rows.iter().find(|(number, row)| fits(number.as_ref(), row, switch, trunk, dialled)).map(|(_, row)| row)
    }

    #[must_use]
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &Arc<TrunkRow>> {
        self.rows.iter().map(|(_, row)| row)
    }
}

fn fits(
    number: Option<&Number>,
    row: &TrunkRow,
    switch: &SwitchId,
    trunk: Option<&str>,
    dialled: Option<&Number>,
) -> bool {
    let same_trunk = |wanted: &str| trunk.is_some_and(|t| t == wanted || t.rsplit('/').next() == Some(wanted));
    row.switch.as_ref().is_none_or(|s| s == switch)
        && row.trunk.as_deref().is_none_or(same_trunk)
        && number.is_none_or(|n| dialled.is_some_and(|d| n.same_line(d)))
}

/// What a schema cannot see: switches and systems that do not exist, numbers that are none, rows that can never win.
#[must_use]
pub fn check(file: &Read<TrunksFile>, switches: &[SwitchId], systems: &[SystemId], plan: &Plan) -> Vec<Problem> {
    let mut problems = Vec::new();
    let rows = &file.value.rows;
    let read: Vec<Option<Number>> = rows.iter().map(|r| r.dialled.as_deref().map(|d| plan.read(d))).collect();
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
        if let Some(number) = &read[i]
            && matches!(number.class, Class::Invalid | Class::Unknown | Class::SipUser | Class::Anonymous)
        {
            let key = format!("rows[{i}].dialled");
            problems.push(file.problem(
                &key,
                "this is not a number that can be dialled",
                "write it as dialled, or with + and country code",
            ));
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
            let (earlier, number) = (&rows[e], &read[e]);
            (earlier.switch.is_none() || earlier.switch == row.switch)
                && (earlier.trunk.is_none() || earlier.trunk == row.trunk)
                && match (number, &read[i]) {
                    (None, _) => true,
                    (Some(a), Some(b)) => a.same_line(b),
                    (Some(_), None) => false,
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
