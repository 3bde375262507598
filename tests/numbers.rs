//! Numbers as the command line tells them: the cases that calls in China bring, and Google's own examples for every region.

use std::{fs, path::Path, process::Command};

use linecard::numbers::{Class, Plan};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_linecard");

/// Rows of a file in `proto-fixtures/numbers`, without its heading. Only quotes around whole fields are known.
fn rows(file: &str) -> Vec<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto-fixtures/numbers").join(file);
    let text = fs::read_to_string(path).unwrap();
    let fields = |line: &str| {
        let (mut fields, mut quoted) = (vec![String::new()], false);
        for c in line.chars() {
            match c {
                '"' => quoted = !quoted,
                ',' if !quoted => fields.push(String::new()),
                c => fields.last_mut().unwrap().push(c),
            }
        }
        fields
    };
    text.lines().skip(1).map(fields).collect()
}

#[test]
fn every_case_by_the_command_line() {
    let mut wrong = Vec::new();
    let cases = rows("cases.csv");
    for case in &cases {
        let [id, input, country, area, e164, class, short, ext, ..] = case.as_slice() else { panic!("{case:?}") };
        let mut command = Command::new(PROGRAM);
        command.args(["number", "--json", "--country", country]);
        if !area.is_empty() {
            command.args(["--area", area]);
        }
        let output = command.arg("--").arg(input).output().unwrap();
        assert!(output.status.success(), "{id}: {}", String::from_utf8_lossy(&output.stderr));
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        for (key, want) in [("e164", e164), ("class", class), ("short", short), ("ext", ext)] {
            let got = found[key].as_str().unwrap_or_default();
            if got != want {
                wrong.push(format!("{id} {input}: {key} is {got:?}, not {want:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(cases.len(), 50);
}

/// `google.csv`: the examples of libphonenumber 9.0.43 (phonenumbers on PyPI, November 2026), dialled inside their country and from China.
#[test]
fn googles_examples_of_every_region() {
    let mut wrong = Vec::new();
    let mut regions = std::collections::BTreeSet::new();
    for row in rows("google.csv") {
        let [region, national, e164, class] = row.as_slice() else { panic!("{row:?}") };
        regions.insert(region.clone());
        // Our own rules read China's numbers, and know more of them: a subscriber number there never begins with 1 (numbering plan 2017),
        // and Google's example of a landline does.
        if region == "CN" {
            continue;
        }
        let from_abroad = e164.replace('+', "00");
        let own = Plan::new(region, None).read(national);
        let abroad = Plan::new("CN", Some("10")).read(&from_abroad);
        for (how, number) in [("inside", own), ("from abroad", abroad)] {
            let got = number.e164.as_ref().map_or("", |e| e.expose());
            let kind = serde_json::to_value(number.class).unwrap();
            if got != e164 || kind != *class {
                wrong.push(format!("{region} {national} {how}: {got} {kind}, not {e164} {class}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(regions.len() >= 240, "only {} regions", regions.len());
}

/// A country nobody knows is no reason to drop a number.
#[test]
fn what_is_not_understood_is_kept() {
    for (country, input) in [("XX", "0123456789"), ("DE", "not a number"), ("US", "999"), ("", "1234567890")] {
        let number = Plan::new(country, None).read(input);
        assert_eq!(number.raw.as_ref().map(|r| r.expose().as_str()), Some(input));
        assert!(number.e164.is_none() && number.class != Class::Mobile);
    }
}
