//! How a switch wants a number written that it is to dial: `dial.out` in the switch's file.
//!
//! A number may have been typed, stored or clicked in any spelling. The first rule that takes it says how it is written: with the area or
//! without, with the zero that some trunks want before mobiles of other places, with what stands for the plus, behind an access digit. A site
//! without rules dials what was typed, with 00 for a plus, as PBXs do who know nothing else. What can be called by nobody is refused with a
//! word: a withheld number, a source of messages, digits that are no number.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Class, Number, Plan,
    trunks::dialled::{Dialled, spellings},
    world,
};

/// One rule; the first that takes a number writes it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OutRule {
    /// Which numbers: kinds (`mobile`, `geographic`, `shared-cost`, `toll-free`, `service`, `emergency`, `masked`, `m2m`, `extension`, `invalid`;
    /// `foreign` for those of other countries), or numbers as in trunks.yaml (`+852*`, `0216123XX00`). Absent: all.
    pub to: Option<Vec<String>>,
    /// Not dialled: the agent is told that it is not permitted.
    pub refuse: bool,
    pub write: Write,
    /// What stands for the plus: `00`, `+`, or nothing where the carrier wants 86 in front.
    pub international: String,
    /// The zero before mobiles.
    pub mobile_zero: MobileZero,
    /// Leading digits of mobiles that are at home here (`1380013`), for `mobile_zero: elsewhere`.
    pub home_mobiles: Vec<String>,
    /// The digits that give a line (`9`), before everything but extensions.
    pub access: String,
    /// The mark between number and extension (`*`); absent: the extension is left to the agent's keypad.
    pub ext: Option<String>,
    /// By which trunk the switch sends these, as it names the endpoint: what `per_second` is about. The switch's own routing decides; this only says how.
    /// Absent: not known.
    pub trunk: Option<String>,
    /// Calls that agents may begin on that trunk in a second, over all the rules that name it; it is enough that one says it. Absent or 0: as many as the switch.
    pub per_second: Option<u32>,
}

impl Default for OutRule {
    fn default() -> Self {
        Self {
            to: None,
            refuse: false,
            write: Write::default(),
            international: "00".to_owned(),
            mobile_zero: MobileZero::default(),
            home_mobiles: Vec::new(),
            access: String::new(),
            ext: None,
            trunk: None,
            per_second: None,
        }
    }
}

/// How a number of the own country is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Write {
    /// Landlines of the own area without it (85551001), all else as `national`.
    Local,
    /// As inside the country: 01085551001, 13800138000.
    #[default]
    National,
    /// With the country's code, behind `international`.
    International,
    /// Its digits as they came, with `international` for a plus.
    Typed,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MobileZero {
    #[default]
    Never,
    /// Before those that are not at home here by `home_mobiles`.
    Elsewhere,
    Always,
}

/// Why a number is not dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the number was withheld")]
    Withheld,
    #[error("this number only sends messages and cannot be called")]
    MessagePort,
    #[error("these digits are no number that can be called")]
    Invalid,
    #[error("this is no number")]
    NoNumber,
    #[error("the rules of this switch do not permit this number")]
    ByRule,
}

/// A trunk by which calls go out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trunk {
    /// As the switch names the endpoint.
    pub name: String,
    /// Calls that may begin on it in a second; 0: as many as the switch may be given.
    pub per_second: u32,
}

/// The rules of one switch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DialOut {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    /// `None`: all numbers.
    to: Option<Vec<To>>,
    how: OutRule,
    trunk: Option<Trunk>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum To {
    Class(Class),
    Foreign,
    Numbers(Dialled),
}

impl DialOut {
    /// # Errors
    /// What cannot be meant, by its key below `out` (`[0].to[1]`), what was found and what would be right.
    pub fn new(rules: &[OutRule], plan: &Plan) -> Result<Self, Vec<(String, String, &'static str)>> {
        let mut problems = Vec::new();
        let digits = |text: &str, more: &[u8]| text.bytes().all(|b| b.is_ascii_digit() || more.contains(&b));
        let mut read = Vec::new();
        for (i, rule) in rules.iter().enumerate() {
            let mut to = rule.to.as_ref().map(|_| Vec::new());
            for (j, word) in rule.to.iter().flatten().enumerate() {
                match (To::read(word, plan), &mut to) {
                    (Some(one), Some(list)) => list.push(one),
                    _ => problems.push((
                        format!("[{i}].to[{j}]"),
                        "this is neither a kind of number nor a number".to_owned(),
                        "mobile, geographic, foreign, ... or a number as in trunks.yaml: +852*, 0216123XX00",
                    )),
                }
            }
            for (key, text, more, most) in
                [("access", &rule.access, &b"*#"[..], 8), ("international", &rule.international, &b"+"[..], 8)]
            {
                if !digits(text, more) || text.len() > most {
                    problems.push((
                        format!("[{i}].{key}"),
                        "this cannot be dialled".to_owned(),
                        "a few digits, quoted",
                    ));
                }
            }
            if let Some(mark) = rule.ext.as_deref().filter(|m| m.is_empty() || !digits(m, b"*#") || m.len() > 4) {
                problems.push((
                    format!("[{i}].ext"),
                    format!("found {} sign(s)", mark.len()),
                    "* or #, or digits, quoted",
                ));
            }
            for (j, _) in rule.home_mobiles.iter().enumerate().filter(|(_, m)| m.is_empty() || !digits(m, b"")) {
                problems.push((
                    format!("[{i}].home_mobiles[{j}]"),
                    "these are no digits".to_owned(),
                    "leading digits, quoted: 1380013",
                ));
            }
            if rule.mobile_zero == MobileZero::Elsewhere && rule.home_mobiles.is_empty() {
                problems.push((
                    format!("[{i}].mobile_zero"),
                    "which mobiles are at home is not said".to_owned(),
                    "list them in home_mobiles, or write always",
                ));
            }
            if i > 0 && rules.iter().take(i).any(|earlier| earlier.to.is_none()) {
                problems.push((
                    format!("[{i}]"),
                    "this rule can never win: one before it takes every number".to_owned(),
                    "put it first",
                ));
            }
            let trunk = rule.trunk.as_ref().map(|name| Trunk { name: name.clone(), per_second: cap(rules, name) });
            problems.extend(trunk_problems(i, rule, trunk.as_ref()));
            let mut how = rule.clone();
            how.home_mobiles.sort_unstable();
            read.push(Rule { to, how, trunk });
        }
        if problems.is_empty() { Ok(Self { rules: read }) } else { Err(problems) }
    }

    /// The digits to dial.
    ///
    /// # Errors
    /// Why it is not dialled.
    pub fn write(&self, plan: &Plan, number: &Number) -> Result<String, Refused> {
        match number.class {
            Class::Anonymous => return Err(Refused::Withheld),
            Class::SmsPort => return Err(Refused::MessagePort),
            Class::SipUser => return Err(Refused::NoNumber),
            _ => {}
        }
        let home = plan.home_digits(number);
        let Some(Rule { how: rule, .. }) = self.rule(number, home.is_some()) else {
            // Without a rule of its own a number is dialled as it came, as long as it is one.
            return typed(number, "00").ok_or(Refused::NoNumber);
        };
        if rule.refuse {
            return Err(Refused::ByRule);
        }
        let mut out = match number.class {
            _ if rule.write == Write::Typed => typed(number, &rule.international).ok_or(Refused::NoNumber)?,
            Class::Extension => return typed(number, &rule.international).ok_or(Refused::NoNumber),
            Class::Invalid => return Err(Refused::Invalid),
            Class::Service => number.short.as_ref().map(|s| s.expose().clone()).ok_or(Refused::NoNumber)?,
            _ => match (&number.e164, home) {
                (Some(e164), None) => format!("{}{}", rule.international, e164.expose().trim_start_matches('+')),
                (Some(e164), Some(_)) if rule.write == Write::International => {
                    format!("{}{}", rule.international, e164.expose().trim_start_matches('+'))
                }
                (Some(_), Some(home)) => rule.inside(plan, number, home),
                // Numbers without E.164 (110, 10648..., 700...) are dialled alike everywhere in the country.
                (None, _) => {
                    let digits = typed(number, "00").ok_or(Refused::NoNumber)?;
                    digits.strip_prefix("0086").map(str::to_owned).unwrap_or(digits)
                }
            },
        };
        out.insert_str(0, &rule.access);
        if let (Some(mark), Some(ext)) = (&rule.ext, &number.ext) {
            out.push_str(mark);
            out.push_str(ext.expose());
        }
        Ok(out)
    }

    /// By which trunk it goes, where a rule says so.
    #[must_use]
    pub fn trunk(&self, plan: &Plan, number: &Number) -> Option<&Trunk> {
        self.rule(number, plan.home_digits(number).is_some())?.trunk.as_ref()
    }

    fn rule(&self, number: &Number, home: bool) -> Option<&Rule> {
        self.rules.iter().find(|rule| takes(rule.to.as_deref(), number, home))
    }

    /// What was dialled on the way out, without the access digits of the rules: the record says whom, not how.
    #[must_use]
    pub fn without_access<'a>(&self, plan: &Plan, dialled: &'a str) -> &'a str {
        let says = |text: &str| {
            !matches!(plan.read(text).class, Class::Invalid | Class::Unknown | Class::Extension | Class::SipUser)
        };
        let mut accesses = self.rules.iter().map(|rule| rule.how.access.as_str()).filter(|a| !a.is_empty());
        accesses
            .find_map(|access| dialled.strip_prefix(access).filter(|rest| !says(dialled) && says(rest)))
            .unwrap_or(dialled)
    }
}

/// What the rules say of a trunk, wherever they say it.
fn cap(rules: &[OutRule], trunk: &str) -> u32 {
    rules
        .iter()
        .filter(|rule| rule.trunk.as_deref() == Some(trunk))
        .find_map(|rule| rule.per_second)
        .unwrap_or_default()
}

/// What cannot be meant in what one rule says of its trunk.
fn trunk_problems(i: usize, rule: &OutRule, trunk: Option<&Trunk>) -> Option<(String, String, &'static str)> {
    let (key, found, wanted) = match (trunk, rule.per_second) {
        (Some(trunk), _) if trunk.name.is_empty() || trunk.name.chars().any(char::is_control) => {
            ("trunk", "this is no name of an endpoint".to_owned(), "an endpoint as the switch names it: PJSIP/carrier1")
        }
        (None, Some(_)) => ("per_second", "on which trunk is not said".to_owned(), "name it: trunk: PJSIP/carrier1"),
        (Some(trunk), Some(most)) if most != trunk.per_second => {
            let found = format!("found {most}, and {} in a rule before it", trunk.per_second);
            ("per_second", found, "one cap a trunk: write it once")
        }
        _ => return None,
    };
    Some((format!("[{i}].{key}"), found, wanted))
}

impl OutRule {
    /// A number of the own country as inside it.
    fn inside(&self, plan: &Plan, number: &Number, home: String) -> String {
        if plan.country != "CN" {
            return home;
        }
        match number.class {
            Class::Geographic => match plan.area_and_subscriber(number) {
                Some((area, own)) if self.write == Write::Local && plan.area.as_deref() == Some(area) => own.to_owned(),
                _ => format!("0{home}"),
            },
            Class::Mobile => {
                let zero = match self.mobile_zero {
                    MobileZero::Never => false,
                    MobileZero::Always => true,
                    MobileZero::Elsewhere => !self.at_home(&home),
                };
                if zero { format!("0{home}") } else { home }
            }
            _ => home,
        }
    }

    /// Whether one of the sorted prefixes stands in front of a mobile. The nearest prefix at or before it in order is not enough (138 and 13800
    /// both stand before 13801...), so each length is looked for.
    fn at_home(&self, mobile: &str) -> bool {
        (1..=mobile.len())
            .filter_map(|n| mobile.get(..n))
            .any(|p| self.home_mobiles.binary_search_by(|m| m.as_str().cmp(p)).is_ok())
    }
}

impl To {
    fn read(word: &str, plan: &Plan) -> Option<Self> {
        if word == "foreign" {
            return Some(Self::Foreign);
        }
        if word.bytes().any(|b| b.is_ascii_digit()) && word != "m2m" {
            return Dialled::read(word, plan).ok().map(Self::Numbers);
        }
        let class = serde_json::from_value(serde_json::Value::String(word.to_owned())).ok()?;
        // What is refused anyway, and what `foreign` says better.
        let none =
            matches!(class, Class::Anonymous | Class::SmsPort | Class::SipUser | Class::Unknown | Class::International);
        (!none).then_some(Self::Class(class))
    }
}

fn takes(to: Option<&[To]>, number: &Number, home: bool) -> bool {
    to.is_none_or(|to| {
        to.iter().any(|one| match one {
            To::Class(class) => number.class == *class && (home || number.e164.is_none()),
            To::Foreign => number.e164.is_some() && !home,
            To::Numbers(dialled) => dialled.takes(&spellings(number)),
        })
    })
}

/// The digits of what was typed: signs people write between digits go, a leading plus becomes what stands for it.
fn typed(number: &Number, plus: &str) -> Option<String> {
    let raw = number.raw.as_ref()?.expose();
    let text = raw.trim();
    let text = ["tel:", "sip:", "sips:"].iter().find_map(|s| text.strip_prefix(s)).unwrap_or(text);
    let text = text.split(['@', ';']).next().unwrap_or(text);
    let (mut out, rest) = match text.strip_prefix('+') {
        Some(rest) => (plus.to_owned(), rest),
        None => (String::new(), text),
    };
    let stands = out.len();
    for c in rest.chars() {
        match c {
            '0'..='9' => out.push(c),
            ' ' | '-' | '(' | ')' | '.' | '/' | '\u{a0}' => {}
            _ => return None,
        }
    }
    // A plus and nothing behind it, or the two zeros alone, is no number.
    ((2..=22).contains(&out.len()) && out.len() > stands && out != "00").then_some(out)
}

impl Plan {
    /// A number of the plan's country as it is known inside it, without China's trunk zero; `None` for one of another country or without E.164.
    fn home_digits(&self, number: &Number) -> Option<String> {
        let e164 = number.e164.as_ref()?.expose();
        if self.country == "CN" {
            return e164.strip_prefix("+86").map(str::to_owned);
        }
        world::inside(&self.country, e164)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    #[derive(Debug, Deserialize, JsonSchema)]
    struct File {
        out: Vec<OutRule>,
    }

    fn plan() -> Plan {
        Plan::new("CN", Some("21"))
    }

    fn out(yaml: &str) -> DialOut {
        let file = files::read::<File>("x.yaml", yaml).unwrap_or_else(|p| panic!("{p:?}"));
        DialOut::new(&file.value.out, &plan()).unwrap_or_else(|p| panic!("{p:?}"))
    }

    fn dialled(out: &DialOut, input: &str) -> Result<String, Refused> {
        out.write(&plan(), &plan().read(input))
    }

    /// What a site without rules dialled before there were any.
    #[test]
    fn without_rules_a_number_is_dialled_as_it_came() {
        let none = DialOut::default();
        for (input, digits) in [
            (" 138-0013-8000 ", "13800138000"),
            ("(021) 6123 4567", "02161234567"),
            ("+8613800138000", "008613800138000"),
            ("0085221234567", "0085221234567"),
            ("8012", "8012"),
            ("61234567", "61234567"),
            ("95588", "95588"),
            ("110", "110"),
            ("1380013800", "1380013800"),
            ("700123456789012", "700123456789012"),
        ] {
            assert_eq!(dialled(&none, input).as_deref(), Ok(digits), "{input}");
        }
        for (junk, why) in [
            ("+", Refused::NoNumber),
            ("1", Refused::NoNumber),
            ("00", Refused::NoNumber),
            ("*72", Refused::NoNumber),
            ("li.na@pbx.example", Refused::NoNumber),
            ("138\r\nAction: Logoff", Refused::NoNumber),
            ("1".repeat(40).as_str(), Refused::NoNumber),
            ("anonymous", Refused::Withheld),
            ("106575550012345", Refused::MessagePort),
        ] {
            assert_eq!(dialled(&none, junk), Err(why), "{junk}");
        }
    }

    /// A PBX behind a 9, in Shanghai, whose carrier wants a zero before mobiles of other places.
    #[test]
    fn a_switch_gets_the_digits_it_wants() {
        let out = out(
            "out:\n  - {to: [emergency], write: national}\n  - {to: ['+852*', '0755XXXXXXXX'], access: '8'}\n  - {to: [foreign], refuse: true}\n  - {write: local, access: '9', mobile_zero: elsewhere, home_mobiles: ['1380013', '139'], ext: '*'}\n",
        );
        for (input, digits) in [
            // Its own mobiles as they are, others behind a zero, however they came.
            ("13800138000", "913800138000"),
            ("+86 138 0013 8000", "913800138000"),
            ("13912345678", "913912345678"),
            ("13800228000", "9013800228000"),
            ("013800228000", "9013800228000"),
            ("8613800228000", "9013800228000"),
            // Landlines: its own area without, others with area and zero.
            ("+862161234567", "961234567"),
            ("61234567", "961234567"),
            ("1065551234", "901065551234"),
            ("05925051234", "905925051234"),
            // Services as they are, whatever stood before them.
            ("01095588", "995588"),
            ("0104008001234", "94008001234"),
            ("1010 6699", "910106699"),
            ("110", "110"),
            ("700123456789012", "9700123456789012"),
            ("1064812345678", "91064812345678"),
            // Another line for some.
            ("0085221234567", "80085221234567"),
            ("075528512345", "8075528512345"),
            // Inside: no digit for a line.
            ("8012", "8012"),
            // An extension behind its mark.
            ("010-85551001-8012", "901085551001*8012"),
            ("01085551001转8012", "901085551001*8012"),
        ] {
            assert_eq!(dialled(&out, input).as_deref(), Ok(digits), "{input}");
        }
        for (input, why) in [
            ("0012125550123", Refused::ByRule),
            ("anonymous", Refused::Withheld),
            ("106575550012345", Refused::MessagePort),
            ("1380013800", Refused::Invalid),
            ("059250512345", Refused::Invalid),
            ("li.na@pbx.example", Refused::NoNumber),
        ] {
            assert_eq!(dialled(&out, input), Err(why), "{input}");
        }
    }

    #[test]
    fn a_carrier_gets_the_code_of_the_country() {
        let plus = out("out:\n  - {to: [invalid], write: typed}\n  - {write: international, international: '+'}\n");
        assert_eq!(dialled(&plus, "02161234567").as_deref(), Ok("+862161234567"));
        assert_eq!(dialled(&plus, "13800138000").as_deref(), Ok("+8613800138000"));
        assert_eq!(dialled(&plus, "0085221234567").as_deref(), Ok("+85221234567"));
        // A private plan of ten digits: said to be dialled as it is.
        assert_eq!(dialled(&plus, "1380013800").as_deref(), Ok("1380013800"));
        let bare = out("out:\n  - {write: international, international: ''}\n");
        assert_eq!(dialled(&bare, "+86 21 6123 4567").as_deref(), Ok("862161234567"));
        let always = out("out:\n  - {mobile_zero: always}\n");
        assert_eq!(dialled(&always, "+8613800138000").as_deref(), Ok("013800138000"));
    }

    #[test]
    fn a_rule_says_by_which_trunk_and_how_many_it_bears() {
        let out = out(
            "out:\n  - {to: [emergency]}\n  - {to: [foreign], trunk: PJSIP/far, per_second: 1}\n  - {to: [mobile], trunk: PJSIP/near}\n  - {trunk: PJSIP/near, per_second: 5, access: '9'}\n",
        );
        let trunk = |number: &str| out.trunk(&plan(), &plan().read(number)).map(|t| (t.name.as_str(), t.per_second));
        assert_eq!(trunk("110"), None);
        assert_eq!(trunk("0085221234567"), Some(("PJSIP/far", 1)));
        assert_eq!(trunk("13800138000"), Some(("PJSIP/near", 5)), "said in another rule of the same trunk");
        assert_eq!(trunk("61234567"), Some(("PJSIP/near", 5)));
        assert_eq!(DialOut::default().trunk(&plan(), &plan().read("13800138000")), None);
    }

    #[test]
    fn other_countries_dial_by_their_own_rules() {
        for (country, input, digits) in [
            ("GB", "+442079460123", "02079460123"),
            ("GB", "02079460123", "02079460123"),
            ("GB", "+8613800138000", "008613800138000"),
            ("IT", "0669821234", "0669821234"),
            ("US", "+12125550123", "2125550123"),
        ] {
            let plan = Plan::new(country, None);
            let out = DialOut::new(&[OutRule::default()], &plan).unwrap();
            assert_eq!(out.write(&plan, &plan.read(input)).as_deref(), Ok(digits), "{country} {input}");
        }
    }

    #[test]
    fn the_record_says_whom_and_not_how() {
        let out = out("out:\n  - {access: '9'}\n");
        for (dialled, whom) in [
            ("9013800138000", "013800138000"),
            ("913800138000", "13800138000"),
            ("961234567", "61234567"),
            ("995588", "95588"),
            ("9110", "110"),
            ("95588", "95588"),
            ("9012", "9012"),
            ("4008001234", "4008001234"),
        ] {
            assert_eq!(out.without_access(&plan(), dialled), whom, "{dialled}");
        }
        assert_eq!(DialOut::default().without_access(&plan(), "9013800138000"), "9013800138000");
    }

    #[test]
    fn rules_that_cannot_be_meant_are_told() {
        let file = files::read::<File>(
            "x.yaml",
            "out:\n  - {to: [mobil, '12*3', international], access: 'a', international: 'x', ext: ',,', mobile_zero: elsewhere, home_mobiles: []}\n  - {}\n  - {to: [mobile], home_mobiles: [x1]}\n",
        )
        .unwrap();
        let told = DialOut::new(&file.value.out, &plan()).unwrap_err();
        let keys: Vec<&str> = told.iter().map(|(key, ..)| key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "[0].to[0]",
                "[0].to[1]",
                "[0].to[2]",
                "[0].access",
                "[0].international",
                "[0].ext",
                "[0].mobile_zero",
                "[2].home_mobiles[0]",
                "[2]"
            ]
        );
    }

    #[test]
    fn a_cap_without_a_trunk_and_two_of_one_trunk_are_told() {
        let file = files::read::<File>(
            "x.yaml",
            "out:\n  - {to: [mobile], per_second: 3}\n  - {to: [foreign], trunk: ''}\n  - {to: [m2m], trunk: a, per_second: 2}\n  - {trunk: a, per_second: 3}\n",
        )
        .unwrap();
        let told = DialOut::new(&file.value.out, &plan()).unwrap_err();
        let keys: Vec<&str> = told.iter().map(|(key, ..)| key.as_str()).collect();
        assert_eq!(keys, ["[0].per_second", "[1].trunk", "[3].per_second"]);
    }

    proptest::proptest! {
        /// Whatever is typed, what goes to a switch is digits and the signs of the settings.
        #[test]
        fn only_digits_go_out(input in "\\PC{0,30}") {
            let rules = out("out:\n  - {to: [foreign, mobile], access: '9', ext: '*'}\n");
            for out in [&rules, &DialOut::default()] {
                if let Ok(digits) = dialled(out, &input) {
                    proptest::prop_assert!(!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || b == b'*'), "{digits}");
                }
            }
        }
    }
}
