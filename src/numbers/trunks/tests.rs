//! The table as a whole: who wins, what is told, and that ten thousand rows cost no more than ten.

use std::time::{Duration, Instant};

use super::*;
use crate::files::{self, Problem};

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

fn rows(text: &str) -> Vec<TrunkRow> {
    files::read::<TrunksFile>("trunks.yaml", text).unwrap_or_else(|p| panic!("{p:?}")).value.rows
}

fn around() -> Around {
    let switch = |id: &str, attributes: &[&str]| Switch {
        id: id.into(),
        trunks: vec!["PJSIP/trunk*".to_owned()],
        attributes: attributes.iter().map(|a| (*a).to_owned()).collect(),
        no_sip: Some("set a variable in the dialplan"),
    };
    Around { switches: vec![switch("pbx1", &["line.did"]), switch("pbx2", &[])], systems: vec!["redmine".into()] }
}

fn told(text: &str) -> (Vec<String>, Vec<String>) {
    let file = files::read::<TrunksFile>("trunks.yaml", text).unwrap_or_else(|p| panic!("{p:?}"));
    let told = check(&file, &around(), &plan());
    let lines = |problems: Vec<Problem>| problems.iter().map(ToString::to_string).collect();
    (lines(told.problems), lines(told.notes))
}

/// The title of the row that wins.
fn winner(map: &TrunkMap, switch: &str, trunk: Option<&str>, dialled: Option<&str>) -> Option<String> {
    let (switch, plan, attributes) = (switch.into(), plan(), BTreeMap::new());
    let seen = Seen { switch: &switch, trunk, plan: &plan, extension: dialled, places: &[], attributes: &attributes };
    map.find(&seen)?.row.title.clone()
}

#[test]
fn the_first_row_that_fits_wins_in_any_spelling() {
    let map = TrunkMap::new(rows(FILE), &plan());
    let title = |dialled: &str, switch: &str| winner(&map, switch, Some("PJSIP/trunk"), Some(dialled));
    assert_eq!(title("+864008001234", "pbx1").as_deref(), Some("After-sales"));
    assert_eq!(title("61234567", "pbx1").as_deref(), Some("Direct line"));
    assert_eq!(title("61234567", "pbx2").as_deref(), Some("Anything else"));
    assert_eq!(winner(&map, "pbx1", None, None).as_deref(), Some("Anything else"));
}

#[test]
fn prefixes_patterns_and_ranges_take_every_spelling_and_what_they_cover_is_told() {
    let text = "rows:\n  - {dialled: '02161234500..02161234519', title: Range}\n  - {dialled: '0216123XX99', title: Pattern}\n  - {dialled: '0216123*', title: Prefix}\n  - {dialled: '400*', title: Free}\n  - {dialled: '955*', title: Bank}\n  - {dialled: '+852*', title: Hong Kong}\n  - {dialled: '8XXX', title: Inside}\n";
    assert_eq!(told(text), (vec![], vec![]));
    let map = TrunkMap::new(rows(text), &plan());
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
        assert_eq!(winner(&map, "pbx1", None, Some(dialled)).as_deref(), Some(title), "{dialled}");
    }
    for nobodys in ["13800138000", "queue8012", "li.8012@pbx.example"] {
        assert_eq!(winner(&map, "pbx1", None, Some(nobodys)), None, "{nobodys}");
    }
    for (first, second) in [
        ("0216123*", "02161234567"),
        ("0216123*", "02161234XXX"),
        ("0216*", "0216123*"),
        ("02161234500..02161234599", "+862161234510"),
        ("02161234500..02161234599", "02161234510..02161234520"),
        ("4008XXXXXX", "4008001234"),
        ("0216123*", "02161234500..02161234599"),
        ("02161234XXX", "02161234500..02161234599"),
        ("02161234500..02161234599", "021612345X7"),
    ] {
        let (found, _) = told(&format!("rows:\n  - dialled: '{first}'\n  - dialled: '{second}'\n"));
        assert!(matches!(&found[..], [one] if one.contains("can never win")), "{first} {second}: {found:?}");
        // The narrower one first is how it should be.
        assert_eq!(
            told(&format!("rows:\n  - dialled: '{second}'\n  - dialled: '{first}'\n")),
            (vec![], vec![]),
            "{first} {second}"
        );
    }
    for wrong in ["0216*23", "*", "X1Y", "02161234599..02161234500", "100..02161234500", "hello"] {
        let (found, _) = told(&format!("rows:\n  - dialled: '{wrong}'\n"));
        assert!(matches!(&found[..], [one] if one.contains("rows[0].dialled")), "{wrong}: {found:?}");
    }
}

#[test]
fn rows_that_share_calls_are_noted_once() {
    for (first, second) in [
        ("02161234500..02161234599", "02161234550..02161234650"),
        ("0216123XX00", "02161234*"),
        ("02161234590..02161234610", "021612345*"),
    ] {
        let (problems, notes) = told(&format!("rows:\n  - dialled: '{first}'\n  - dialled: '{second}'\n"));
        assert_eq!(problems, [] as [&str; 0], "{first} {second}");
        assert!(
            matches!(&notes[..], [one] if one.starts_with("trunks.yaml:3:5: rows[1]: some calls")),
            "{first} {second}: {notes:?}"
        );
    }
    // At two trunks they share nothing.
    let apart = "rows:\n  - {trunk: trunk-a, dialled: '02161234500..02161234599'}\n  - {trunk: trunk-b, dialled: '02161234550..02161234650'}\n";
    assert_eq!(told(apart), (vec![], vec![]));
}

#[test]
fn an_unknown_caller_is_offered_unless_the_row_says_otherwise() {
    let text = "rows:\n  - {title: A, dialled: '409*'}\n  - {dialled: '400*', no_match: none}\n  - {dialled: '401*', no_match: offer}\n  - {dialled: '402*', no_match: {create_after_s: 30}}\n  - {dialled: '403*', no_match: {create_after_s: 3601}}\n";
    let policies: Vec<NoMatch> = rows(text).iter().map(|r| r.no_match).collect();
    let after = NoMatch::CreateAfterS;
    assert_eq!(policies, [NoMatch::Offer, NoMatch::None, NoMatch::Offer, after(30), after(3601)]);
    let (problems, _) = told(text);
    assert!(
        matches!(&problems[..], [one] if one.starts_with("trunks.yaml:6:") && one.contains("create_after_s: found 3601")),
        "{problems:?}"
    );
    assert!(files::read::<TrunksFile>("trunks.yaml", "rows:\n  - {no_match: ask}\n").is_err());
}

#[test]
fn who_sees_the_number_is_said_by_role() {
    let rows = rows(
        "rows:\n  - {dialled: '401*', mask: none}\n  - {dialled: '402*', mask: all}\n  - {dialled: '403*', mask: {except: [supervisor]}}\n  - {dialled: '404*'}\n",
    );
    let hides = |i: usize, roles: &[&str]| rows[i].mask.as_ref().map(|m| m.hides(roles));
    assert_eq!((hides(0, &[]), hides(1, &["supervisor"]), hides(3, &[])), (Some(false), Some(true), None));
    assert_eq!((hides(2, &["agent"]), hides(2, &["agent", "supervisor"])), (Some(true), Some(false)));
}

#[test]
fn rows_that_cannot_work_are_told_with_their_line() {
    let text = "rows:\n  - title: All\n  - dialled: '4008001234'\n    switch: pbx9\n    connectors: [sap]\n    zone: Asia/Nowhere\n";
    let (problems, _) = told(text);
    assert_eq!(
        problems,
        [
            "trunks.yaml:4:5: rows[1].switch: there is no switch \"pbx9\"; known are: pbx1, pbx2",
            "trunks.yaml:5:18: rows[1].connectors[0]: there is no connector \"sap\"; known are: redmine",
            "trunks.yaml:6:5: rows[1].zone: \"Asia/Nowhere\" is no time zone; an IANA name such as Asia/Shanghai",
            "trunks.yaml:3:5: rows[1]: this row can never win: rows[0] takes the same calls before it; remove one, or put the narrower row first",
        ]
    );
}

#[test]
fn names_that_do_not_exist_are_told() {
    for (row, key, says) in [
        ("{trunk: PJSIP/other}", "trunk", "no switch calls \"PJSIP/other\" a trunk; known are: PJSIP/trunk*"),
        ("{country: QQ}", "country", "no such country"),
        ("{area: '378'}", "area", "there is no area 378"),
        ("{area: '021x'}", "area", "there is no area 021x"),
        ("{target: 'ftp://x/'}", "target", "neither the card nor an http or https address"),
        ("{target: 'https://x/{customer:odoo}'}", "target", "there is no connector \"odoo\""),
        ("{dialled_from: []}", "dialled_from", "the list is empty"),
        ("{dialled_from: [dnid]}", "dialled_from[0]", "CALLERID(dnid)"),
        ("{dialled_from: [did]}", "dialled_from[0]", "no place of a dialled number"),
        ("{switch: pbx2, dialled_from: ['attribute:line.did']}", "dialled_from[0]", "no switch's file maps"),
        (
            "{switch: pbx1, dialled_from: [extension, diversion]}",
            "dialled_from[1]",
            "\"pbx1\" does not show this header; set a variable",
        ),
        ("{tenant: acme, dialled_from: ['attribute:line.did']}", "tenant", "settled before an attribute is known"),
    ] {
        let (problems, _) = told(&format!("rows:\n  - {row}\n"));
        assert!(
            matches!(&problems[..], [one] if one.contains(&format!("rows[0].{key}: ")) && one.contains(says)),
            "{row}: {problems:?}"
        );
    }
    let good = "rows:\n  - {trunk: trunk-a, dialled_from: ['attribute:line.did', extension], dialled: '400*', tenant: acme, target: 'https://x/{customer:redmine}'}\n  - {trunk: PJSIP/trunk-a, switch: pbx1, country: hk, area: '21'}\n  - {trunk: trunk-a, tenant: acme}\n";
    assert_eq!(told(good), (vec![], vec![]));
}

/// The first place with a number counts; each row looks where it was told to.
#[test]
fn a_row_finds_the_dialled_number_where_it_was_told() {
    let text = "rows:\n  - {dialled_from: ['attribute:line.did', extension], dialled: '4008001234', title: Did}\n  - {dialled: '8000', title: Pilot}\n  - {title: Rest}\n";
    let map = TrunkMap::new(rows(text), &plan());
    let (switch, plan) = ("pbx1".into(), plan());
    let find = |extension: &str, did: Option<&str>| {
        let attributes = did.map(|d| ("line.did".to_owned(), d.into())).into_iter().collect();
        let seen = Seen {
            switch: &switch,
            trunk: None,
            plan: &plan,
            extension: Some(extension),
            places: &[],
            attributes: &attributes,
        };
        let found = map.find(&seen).unwrap();
        let dialled = found.dialled.and_then(|d| d.key().map(str::to_owned));
        (found.row.title.clone().unwrap(), dialled.unwrap(), found.row.dialled_text(&seen).map(str::to_owned))
    };
    let told = |title: &str, key: &str, text: &str| (title.to_owned(), key.to_owned(), Some(text.to_owned()));
    assert_eq!(find("8000", None), told("Pilot", "8000", "8000"));
    assert_eq!(find("8000", Some("+864008001234")), told("Did", "+864008001234", "+864008001234"));
    assert_eq!(find("8000", Some("4008005678")), told("Pilot", "8000", "8000"));
    assert_eq!(find("4008001234", Some("")), told("Did", "+864008001234", "4008001234"));
    assert_eq!(find("4008001234", Some("4008005678")), told("Rest", "+864008001234", "4008001234"));
}

/// One switch, trunks from three cities: a local number means another line on each.
#[test]
fn a_row_reads_its_numbers_by_its_own_country_and_area() {
    let text = "rows:\n  - {trunk: xiamen, area: '592', dialled: '5051234', title: Xiamen}\n  - {trunk: hongkong, country: HK, dialled: '21234567', title: Hong Kong}\n  - {dialled: '61234567', title: Shanghai}\n";
    let map = TrunkMap::new(rows(text), &plan());
    let title = |trunk: &str, dialled: &str| winner(&map, "pbx1", Some(trunk), Some(dialled));
    assert_eq!(title("PJSIP/xiamen", "5051234").as_deref(), Some("Xiamen"));
    assert_eq!(title("PJSIP/xiamen", "+865925051234").as_deref(), Some("Xiamen"));
    assert_eq!(title("PJSIP/hongkong", "21234567").as_deref(), Some("Hong Kong"));
    assert_eq!(title("PJSIP/trunk", "21234567"), None);
    assert_eq!(title("PJSIP/trunk", "61234567").as_deref(), Some("Shanghai"));
    let switch = "pbx1".into();
    let (plan, attributes) = (plan(), BTreeMap::new());
    let seen = Seen {
        switch: &switch,
        trunk: Some("PJSIP/xiamen"),
        plan: &plan,
        extension: Some("5051234"),
        places: &[],
        attributes: &attributes,
    };
    let found = map.find(&seen).unwrap();
    let caller = found.plan.unwrap().read("2061234");
    assert_eq!(caller.key(), Some("+865922061234"));
}

/// The example is good, and whoever copies it sees every key.
#[test]
fn the_example_shows_every_key() {
    let text = include_str!("../../../config/trunks.yaml");
    assert_eq!(told(text), (vec![], vec![]));
    let schema = schemars::schema_for!(TrunkRow);
    let keys: Vec<&String> = schema.get("properties").and_then(|p| p.as_object()).unwrap().keys().collect();
    assert!(keys.len() >= 16, "{keys:?}");
    // A key that acts stands behind a #; what stands there must be right too.
    let mut text = text.to_owned();
    for key in &keys {
        text = text.replace(&format!("\n    # {key}: "), &format!("\n    {key}: "));
    }
    assert_eq!(told(&text), (vec![], vec![]));
    for key in &keys {
        assert!(
            text.contains(&format!("    {key}: ")) || text.contains(&format!("  - {key}: ")),
            "{key} is not in config/trunks.yaml"
        );
        assert!(sheet::COLUMNS.contains(&key.as_str()), "{key} is no column of the table");
    }
    // And so does the table, which gives the same rows back.
    let all = rows(&text);
    assert_eq!(rows(&sheet::read("x.csv", sheet::write(&all).as_bytes()).unwrap().yaml), all);
}

/// What the index says is what going through the rows one by one says.
#[test]
fn the_index_finds_what_a_walk_finds() {
    use proptest::prelude::*;
    let dialled = prop_oneof![
        "400800[0-9]{2}[0-3]{2}",
        "02161[0-9X]{1,5}\\*",
        "0216123[0-9X]{4}",
        "\\+86216123[0-9X]{1,3}\\*",
        (0u32..300, 0u32..300).prop_map(|(a, b)| format!("0216123{:04}..0216123{:04}", a.min(b), a.max(b))),
    ];
    let row = (proptest::option::of(dialled), proptest::option::of("[ab]"), proptest::option::of("pbx[12]"));
    let calls = prop_oneof!["400800[0-9]{2}[0-3]{2}", "0216123[0-9]{4}", "\\+8621612300[0-9]{2}", "6123[01][0-9]{3}"];
    let call = (calls, proptest::option::of("(PJSIP/)?[abc]"), "pbx[12]");
    let mut runner = proptest::test_runner::TestRunner::default();
    let strategy = (proptest::collection::vec(row, 0..40), proptest::collection::vec(call, 1..20));
    let outcome = runner.run(&strategy, |(table, calls)| {
        let rows: Vec<TrunkRow> = table
            .into_iter()
            .map(|(dialled, trunk, switch)| TrunkRow {
                dialled,
                trunk,
                switch: switch.map(|s| s.as_str().into()),
                ..TrunkRow::default()
            })
            .collect();
        let map = TrunkMap::new(rows.clone(), &plan());
        for (dialled, trunk, switch) in calls {
            let (plan, attributes, switch) = (plan(), BTreeMap::new(), switch.as_str().into());
            let seen = Seen {
                switch: &switch,
                trunk: trunk.as_deref(),
                plan: &plan,
                extension: Some(&dialled),
                places: &[],
                attributes: &attributes,
            };
            let number = plan.read(&dialled);
            let walk = rows.iter().position(|row| {
                let names = trunk.as_deref().map(|t| [t, t.trim_start_matches("PJSIP/")]);
                row.switch.as_ref().is_none_or(|s| *s == switch)
                    && row.trunk.as_deref().is_none_or(|t| names.is_some_and(|n| n.contains(&t)))
                    && row
                        .dialled
                        .as_deref()
                        .is_none_or(|d| Dialled::read(d, &plan).unwrap().takes(&spellings(&number)))
            });
            prop_assert_eq!(map.find(&seen).map(|f| f.place), walk, "{} {:?}", dialled, trunk);
        }
        Ok(())
    });
    outcome.unwrap();
}

/// A carrier's table: numbers, ranges, prefixes and patterns of many tenants at many trunks.
fn carriers(rows: u32) -> Vec<TrunkRow> {
    (0..rows)
        .map(|i| TrunkRow {
            dialled: Some(match i % 4 {
                0 => format!("400{:07}", i),
                1 => format!("0216{:05}00..0216{:05}49", i, i),
                2 => format!("0105{:05}*", i),
                _ => format!("07558{:04}XXX", i),
            }),
            trunk: (i % 3 == 0).then(|| format!("trunk-{}", i % 50)),
            title: Some(i.to_string()),
            ..TrunkRow::default()
        })
        .collect()
}

#[test]
fn a_look_up_in_ten_thousand_rows_is_no_walk_through_them() {
    let (switch, plan, attributes) = ("pbx1".into(), plan(), BTreeMap::new());
    let map = TrunkMap::new(carriers(10_000), &plan);
    let find_in = |map: &TrunkMap, dialled: &str| {
        let seen = Seen {
            switch: &switch,
            trunk: Some("PJSIP/trunk-7"),
            plan: &plan,
            extension: Some(dialled),
            places: &[],
            attributes: &attributes,
        };
        map.find(&seen).map(|f| f.place)
    };
    let find = |dialled: &str| find_in(&map, dialled);
    assert_eq!(find("4000009992"), Some(9992));
    assert_eq!(find("02160999749"), Some(9997));
    assert_eq!(find("13800138000"), None);
    assert_eq!(find("01050999812"), Some(9998));
    assert_eq!(find("075589995123"), Some(9995));
    let numbers = ["4000009992", "02160999749", "01050999812", "075589995123", "13800138000", "+862161234567"];
    let of = |map: &TrunkMap| {
        fastest(|| {
            for number in numbers.iter().cycle().take(600) {
                std::hint::black_box(find_in(map, number));
            }
        })
    };
    let (few, many) = (of(&TrunkMap::new(carriers(100), &plan)), of(&map));
    println!("600 look-ups: {few:?} in 100 rows, {many:?} in 10,000");
    // A walk through the rows would be a hundred times as long.
    assert!(many < few * 20, "{few:?} in 100 rows, {many:?} in 10,000");
}

/// `check` holds against each other only rows of which one begins as the other does.
#[test]
fn rows_that_share_a_number_begin_alike() {
    use proptest::prelude::*;
    let like = r"(\+86|0|)(21|2X|X1)[6X][1X]([23X]{0,3}\*|[23X]{6})";
    let range = r"(\+8621|021)61[23]{3}"
        .prop_flat_map(|head| ("[23]{3}", "[23]{3}").prop_map(move |(a, b)| format!("{head}{a}..{head}{b}")));
    let row = || prop_oneof![like, range.clone()];
    let met = std::cell::Cell::new(0);
    let dice = proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha);
    let mut runner = proptest::test_runner::TestRunner::new_with_rng(ProptestConfig::with_cases(4000), dice);
    runner
        .run(&(row(), row()), |(a, b)| {
            let read = |text: &str| Dialled::read(text, &plan()).ok().filter(|d| !matches!(d, Dialled::One(_)));
            let (Some(a), Some(b)) = (read(&a), read(&b)) else { return Ok(()) };
            let (one, other) = (a.begins(), b.begins());
            let alike = one.iter().any(|x| other.iter().any(|y| x.starts_with(y) || y.starts_with(x)));
            met.set(met.get() + usize::from(a.meets(&b) != dialled::Meeting::Apart));
            prop_assert!(alike || a.meets(&b) == dialled::Meeting::Apart, "{a:?} {b:?}");
            Ok(())
        })
        .unwrap();
    assert!(met.get() > 200, "only {} pairs met", met.get());
}

/// What it takes where nothing else took the machine meanwhile.
fn fastest(mut work: impl FnMut()) -> Duration {
    let took = |_| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    (0..7).map(took).min().unwrap()
}

#[test]
fn ten_times_the_rows_are_not_a_hundred_times_the_check() {
    let took = |rows| {
        let file = files::read::<TrunksFile>("trunks.yaml", &sheet::yaml(&carriers(rows))).unwrap();
        let told = check(&file, &around(), &plan());
        assert_eq!(told.problems.iter().filter(|p| !p.key.ends_with("trunk")).count(), 0, "{:?}", &told.problems[..1]);
        fastest(|| drop(check(&file, &around(), &plan())))
    };
    let (few, many) = (took(500), took(5000));
    println!("checks: {few:?} of 500 rows, {many:?} of 5,000");
    assert!(many < few * 40, "{few:?} for 500 rows, {many:?} for 5,000");
}
