//! Numbers of people and lines: class, E.164, extension.
//!
//! What is decided here: what the digits that a switch shows or an agent types stand for, at a place with a country and an area.
//! China's national forms are read in full where calls need them (trunk zeros, +86, 0086 and bare 86, carrier prefixes, lost zeros), by the
//! ranges of [`China`]; elsewhere by Google's metadata (`world.rs`). Nothing is ever dropped: what is not understood keeps its raw text and
//! says so in its class. Source of `tel:`: RFC 3966.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{China, world};
use crate::private::Private;

/// What kind of number it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    Mobile,
    Geographic,
    /// Countries that do not tell the two apart (+1).
    GeographicOrMobile,
    /// 400: the caller pays part.
    SharedCost,
    /// 800.
    TollFree,
    /// 95xxx, 96xxx, 1010xxxx, 100xx, 12xxx: a national or provincial short code, without E.164.
    Service,
    /// 110, 119, 120, 122.
    Emergency,
    /// 106...: a source of bulk messages, never a callable caller.
    SmsPort,
    /// 10648 and 140-144: a machine.
    M2m,
    /// 700 and 12 digits: stands for another person's number while an order runs (MIIT's number protection service). It can be called, but it is
    /// nobody's: a customer is never known by it.
    Masked,
    Extension,
    /// In E.164 form, of another country; of a kind of its own (VoIP, premium rate), or not valid there.
    International,
    /// Withheld: there is no number.
    Anonymous,
    /// A name of letters (`li.na@pbx.example`): letters are never stripped to dial what is left.
    SipUser,
    /// Digits that cannot be a number here.
    Invalid,
    Unknown,
}

/// A number as it came, and what we made of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Number {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<Private<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub e164: Option<Private<String>>,
    pub class: Class,
    /// The key of a short code (`95588`, whatever stood before it).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short: Option<Private<String>>,
    /// An extension behind the number (`010-85551001-8012`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ext: Option<Private<String>>,
}

impl Number {
    /// A withheld number: nothing of it is kept.
    #[must_use]
    pub const fn anonymous() -> Self {
        Self { raw: None, e164: None, class: Class::Anonymous, short: None, ext: None }
    }

    /// What tells one line from another: E.164, else the short code, else the raw text. `None` for a withheld number.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        [&self.e164, &self.short, &self.raw].into_iter().flatten().next().map(|p| p.expose().as_str())
    }

    /// Two spellings of one line. An extension is not compared: the line rings the same house. What is no number of any plan, which people
    /// store and switches send all the same, is compared as it is dialled: by its digits.
    #[must_use]
    pub fn same_line(&self, other: &Number) -> bool {
        let (Some(a), Some(b)) = (self.key(), other.key()) else { return false };
        let dialled = |number: &Number| number.class == Class::Invalid && number.e164.is_none();
        a == b || dialled(self) && dialled(other) && digits(a).next().is_some() && digits(a).eq(digits(b))
    }
}

fn digits(text: &str) -> impl Iterator<Item = char> {
    text.chars().map(ascii).filter(char::is_ascii_digit)
}

/// A digit of full width as we all write it.
fn ascii(c: char) -> char {
    match c {
        '０'..='９' => char::from(b'0' + u8::try_from(c as u32 - '０' as u32).unwrap_or(0)),
        _ => c,
    }
}

/// How numbers are read at one switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// ISO 3166 alpha-2, for example `CN`.
    pub country: String,
    /// Area code without the trunk zero, for example `21`.
    pub area: Option<String>,
    /// China's ranges as they were in force when the plan was made.
    china: Arc<China>,
}

/// E.164, short code, class.
type Meaning = (Option<String>, Option<String>, Class);

impl Plan {
    #[must_use]
    pub fn new(country: &str, area: Option<&str>) -> Self {
        Self::by(China::in_force(), country, area)
    }

    /// As [`Plan::new`], with a table that is not (yet) in force.
    #[must_use]
    pub fn by(china: Arc<China>, country: &str, area: Option<&str>) -> Self {
        let area = area.map(|a| a.trim_start_matches('0').to_owned()).filter(|a| !a.is_empty());
        Self { country: country.to_ascii_uppercase(), area, china }
    }

    /// How numbers are read at another place, by the same table.
    #[must_use]
    pub fn elsewhere(&self, country: &str, area: Option<&str>) -> Self {
        Self::by(self.china.clone(), country, area)
    }

    /// The area of one of China's landlines: its place in Chinese and in English.
    #[must_use]
    pub fn place(&self, number: &Number) -> Option<(&str, &str)> {
        let e164 = number.e164.as_ref().filter(|_| number.class == Class::Geographic)?;
        let (area, _) = self.china.area_of(e164.expose().strip_prefix("+86")?)?;
        Some((&area.zh, &area.en))
    }

    /// The area code of one of China's landlines, without the trunk zero, and the subscriber's number.
    #[must_use]
    pub fn area_and_subscriber<'a>(&self, number: &'a Number) -> Option<(&str, &'a str)> {
        let e164 = number.e164.as_ref().filter(|_| number.class == Class::Geographic)?;
        let (area, subscriber) = self.china.area_of(e164.expose().strip_prefix("+86")?)?;
        Some((&area.code, subscriber))
    }

    /// Whether the country has this area, as far as it is known: China's are, others' are not.
    #[must_use]
    pub fn has_area(&self) -> bool {
        self.country != "CN" || self.area.as_deref().is_none_or(|a| self.china.area(a).is_some())
    }

    /// Reads any spelling: digits with separators, full-width digits, `tel:` and `sip:` URIs, `+`, `00`, extension marks.
    #[must_use]
    pub fn read(&self, input: &str) -> Number {
        let spelled = Spelled::of(input);
        let raw = Some(Private::new(input.trim().to_owned())).filter(|r| !r.expose().is_empty());
        let number = |e164: Option<String>, short: Option<String>, class: Class| Number {
            raw: raw.clone(),
            e164: e164.map(Private::new),
            class,
            short: short.map(Private::new),
            ext: spelled.ext.clone().map(Private::new),
        };
        match spelled.kind {
            Kind::Withheld => return Number::anonymous(),
            Kind::Nothing => return number(None, None, Class::Unknown),
            Kind::Name => return number(None, None, Class::SipUser),
            Kind::Digits => {}
        }
        let digits = spelled.digits.as_str();
        let abroad = digits.strip_prefix("00").filter(|r| r.len() >= 7);
        let (e164, short, class) = match abroad {
            Some(rest) => self.international(rest),
            None if spelled.plus => self.international(digits),
            None if self.country == "CN" => self.chinese(digits, spelled.area.as_deref().or(self.area.as_deref())),
            None => match world::national(&self.country, digits) {
                Some((e164, class)) => (Some(e164), None, class),
                None if digits.len() <= 6 => (None, None, Class::Extension),
                None => (None, None, Class::Unknown),
            },
        };
        number(e164, short, class)
    }

    /// Digits behind a plus or 00.
    fn international(&self, digits: &str) -> Meaning {
        let Some(national) = digits.strip_prefix("86") else {
            return match world::international(digits) {
                Some((e164, class)) => (Some(e164), None, class),
                None if (7..=15).contains(&digits.len()) => (Some(format!("+{digits}")), None, Class::International),
                None => (None, None, Class::Invalid),
            };
        };
        match self.chinese(national.strip_prefix('0').unwrap_or(national), None) {
            (_, _, Class::Invalid) => (Some(format!("+86{national}")), None, Class::Invalid),
            meaning => meaning,
        }
    }

    /// National digits of China, most special first.
    fn chinese(&self, digits: &str, area: Option<&str>) -> Meaning {
        let n = digits.len();
        // A carrier's prefix counts only before a complete number; alone it is that carrier's service, by its range.
        if n > 11 {
            for rest in self.china.behind_carrier(digits) {
                let behind = match rest.strip_prefix("00") {
                    Some(abroad) => self.international(abroad),
                    None if rest.starts_with('0') || self.china.class(rest) == Some(Class::Mobile) => {
                        self.chinese(rest, area)
                    }
                    None => continue,
                };
                if behind.2 != Class::Invalid {
                    return behind;
                }
            }
        }
        if let Some(class) = self.china.class(digits) {
            return meaning(digits, class);
        }
        if n == 13
            && let Some(mobile) = digits.strip_prefix("86").filter(|d| self.china.class(d) == Some(Class::Mobile))
        {
            return meaning(mobile, Class::Mobile);
        }
        if let Some(rest) = digits.strip_prefix('0').filter(|r| !r.starts_with('0')) {
            return self.behind_zero(rest);
        }
        // A local number: its area is that of the trunk (or the phone-context).
        if let Some(area) = area.filter(|_| self.china.is_somebodys(digits)) {
            let class = if self.china.is_subscriber(area, digits) { Class::Geographic } else { Class::Invalid };
            return (Some(format!("+86{area}{digits}")), None, class);
        }
        // Area and number with the trunk zero lost: 10 or 2x and 8 digits; three-digit areas with the whole length.
        if n >= 10
            && let Some((area, subscriber)) = self.china.area_of(digits)
            && self.china.is_subscriber(&area.code, subscriber)
        {
            return meaning(digits, Class::Geographic);
        }
        if n == 12
            && let Some(national) = digits.strip_prefix("86")
        {
            return self.chinese(national, None);
        }
        match n {
            2..=6 => (None, None, Class::Extension),
            _ => (None, None, Class::Invalid),
        }
    }

    /// What follows the trunk zero: area and number, or what a PBX or a carrier put 0 or an area code before (01095588, 04008001234, 0139...).
    fn behind_zero(&self, rest: &str) -> Meaning {
        // Nobody puts a zero before a message port, and 0106... is Beijing.
        let dialled =
            |d: &str| self.china.class(d).filter(|c| !matches!(c, Class::SmsPort | Class::M2m | Class::Emergency));
        if let Some(class) = dialled(rest) {
            return meaning(rest, class);
        }
        let Some((area, behind)) = self.china.area_of(rest) else { return (None, None, Class::Invalid) };
        match dialled(behind).filter(|c| *c != Class::Mobile) {
            Some(class) => meaning(behind, class),
            None if self.china.is_subscriber(&area.code, behind) => meaning(rest, Class::Geographic),
            // A length that the area does not have: kept whole, for lengths change when cities grow.
            None if self.china.is_somebodys(behind) => meaning(rest, Class::Invalid),
            None => (None, None, Class::Invalid),
        }
    }
}

/// What digits of China of this class are known by: E.164, or the short code, or nothing but themselves.
fn meaning(digits: &str, class: Class) -> Meaning {
    match class {
        Class::Service => (None, Some(digits.to_owned()), class),
        Class::Emergency | Class::SmsPort | Class::M2m | Class::Masked => (None, None, class),
        _ => (Some(format!("+86{digits}")), None, class),
    }
}

enum Kind {
    Digits,
    Withheld,
    Nothing,
    Name,
}

/// An input taken apart: what is written, before what it means.
struct Spelled {
    kind: Kind,
    plus: bool,
    digits: String,
    ext: Option<String>,
    /// From `;phone-context=+8610` (RFC 3966, section 5.1.5): it wins over the trunk's area.
    area: Option<String>,
}

impl Spelled {
    fn of(input: &str) -> Self {
        let mut this = Self { kind: Kind::Nothing, plus: false, digits: String::new(), ext: None, area: None };
        let text: String = input
            .trim()
            .chars()
            .map(|c| match c {
                '０'..='９' => ascii(c),
                '＋' => '+',
                '－' | '—' | '–' | '‐' => '-',
                '（' => '(',
                '）' => ')',
                '\u{3000}' | '\u{a0}' => ' ',
                _ => c,
            })
            .collect();
        let lower = text.to_ascii_lowercase();
        let (scheme, rest) = ["sips:", "sip:", "tel:"]
            .iter()
            .find_map(|s| lower.strip_prefix(s).map(|r| (*s, r)))
            .unwrap_or(("", &lower));
        let mut parameters = rest.split(';');
        let body = parameters.next().unwrap_or_default();
        for parameter in parameters {
            if let Some(ext) = parameter.strip_prefix("ext=") {
                this.ext = Some(ext.chars().filter(char::is_ascii_digit).collect());
            } else if let Some(area) = parameter.strip_prefix("phone-context=+86") {
                this.area = Some(area.to_owned());
            }
        }
        let (user, host) = match body.split_once('@') {
            Some((user, host)) => (user, host),
            None => (body, ""),
        };
        let user = user.replace("%2b", "+");
        let mut user = user.trim();
        if host == "anonymous.invalid" || matches!(user, "anonymous" | "restricted" | "withheld") {
            this.kind = Kind::Withheld;
            return this;
        }
        if matches!(user, "" | "unknown" | "<unknown>" | "unavailable" | "s") {
            return this;
        }
        for mark in ["转", ",,", "#", " ext. ", " ext ", "ext", "x"] {
            if let Some((number, ext)) = user.split_once(mark)
                && number.chars().any(|c| c.is_ascii_digit())
                && !ext.is_empty()
                && ext.trim().chars().all(|c| c.is_ascii_digit())
            {
                this.ext = Some(ext.trim().to_owned());
                user = number.trim();
                break;
            }
        }
        // The third group of area-number-extension.
        let groups: Vec<&str> = user.split('-').collect();
        if let [area, number, ext] = groups.as_slice()
            && area.starts_with('0')
            && !area.starts_with("00")
            && number.len() >= 7
            && (1..=6).contains(&ext.len())
        {
            this.ext = Some((*ext).to_owned());
            this.digits.push_str(area);
            this.digits.push_str(number);
            user = "";
            this.kind = Kind::Digits;
        }
        let user = user.replace("(0)", "");
        for c in user.chars() {
            match c {
                '0'..='9' => this.digits.push(c),
                // Brackets may stand before it: (+86) 186-0000-1111.
                '+' if this.digits.is_empty() => this.plus = true,
                ' ' | '-' | '.' | '(' | ')' | '/' => {}
                // `*` and `#` are part of feature codes; letters are names. Neither is a number with something to strip.
                _ => {
                    this.kind = if scheme == "tel:" { Kind::Nothing } else { Kind::Name };
                    return this;
                }
            }
        }
        if !this.digits.is_empty() {
            this.kind = Kind::Digits;
        }
        if this.plus {
            // A gateway's plus before a 00 number.
            if let Some(rest) = this.digits.strip_prefix("00") {
                this.digits = rest.to_owned();
            }
        }
        this
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Input, area, E.164 (or the short code), class.
    const CASES: &[(&str, &str, &str, Class)] = &[
        ("13912345678", "10", "+8613912345678", Class::Mobile),
        ("+8613912345678", "10", "+8613912345678", Class::Mobile),
        ("8613912345678", "10", "+8613912345678", Class::Mobile),
        ("008613912345678", "10", "+8613912345678", Class::Mobile),
        ("+008613912345678", "10", "+8613912345678", Class::Mobile),
        ("013912345678", "10", "+8613912345678", Class::Mobile),
        ("+86 139-1234-5678", "21", "+8613912345678", Class::Mobile),
        ("１３９１２３４５６７８", "21", "+8613912345678", Class::Mobile),
        ("sip:+8613912345678@carrier.example;user=phone", "10", "+8613912345678", Class::Mobile),
        ("17909013912345678", "10", "+8613912345678", Class::Mobile),
        ("(+86) 186-0000-1111", "10", "+8618600001111", Class::Mobile),
        ("1380013800", "10", "", Class::Invalid),
        ("01085551001", "21", "+861085551001", Class::Geographic),
        ("85551001", "10", "+861085551001", Class::Geographic),
        ("86551001", "10", "+861086551001", Class::Geographic),
        ("+8601085551001", "10", "+861085551001", Class::Geographic),
        ("1085551001", "10", "+861085551001", Class::Geographic),
        ("05925051234", "10", "+865925051234", Class::Geographic),
        ("5051234", "592", "+865925051234", Class::Geographic),
        ("0086-10-8555-1001", "10", "+861085551001", Class::Geographic),
        ("+86 (0)10 8555 1001", "10", "+861085551001", Class::Geographic),
        ("tel:85551001;phone-context=+8610", "21", "+861085551001", Class::Geographic),
        ("02161234567", "21", "+862161234567", Class::Geographic),
        ("8012", "10", "", Class::Extension),
        ("4008001234", "10", "+864008001234", Class::SharedCost),
        ("+864008001234", "10", "+864008001234", Class::SharedCost),
        ("0104008001234", "10", "+864008001234", Class::SharedCost),
        ("8008101234", "10", "+868008101234", Class::TollFree),
        ("95588", "10", "95588", Class::Service),
        ("01095588", "21", "95588", Class::Service),
        ("95105105", "10", "95105105", Class::Service),
        ("10106699", "10", "10106699", Class::Service),
        ("110", "10", "", Class::Emergency),
        ("106575550012345", "10", "", Class::SmsPort),
        ("1064812345678", "10", "", Class::M2m),
        // Beijing has many numbers that begin with 6: the zero may be lost, or stand as +86.
        ("1065551234", "21", "+861065551234", Class::Geographic),
        ("+861065551234", "21", "+861065551234", Class::Geographic),
        ("861065551234", "21", "+861065551234", Class::Geographic),
        ("01065551234", "21", "+861065551234", Class::Geographic),
        ("700123456789012", "10", "", Class::Masked),
        ("9501312345678", "10", "9501312345678", Class::Service),
        ("114", "10", "114", Class::Service),
        // Lengths by area: 592 has 7 digits, 755 has 8. What has another length keeps its key and says that it is none.
        ("059250512345", "10", "+8659250512345", Class::Invalid),
        ("07552851234", "10", "+867552851234", Class::Invalid),
        ("50512345", "592", "+8659250512345", Class::Invalid),
        ("3115051234", "10", "", Class::Invalid),
        ("5925051234", "10", "+865925051234", Class::Geographic),
        ("0378 2851234", "10", "", Class::Invalid),
        ("179090085221234567", "10", "+85221234567", Class::Geographic),
        ("12520113912345678", "10", "+8613912345678", Class::Mobile),
        ("1790912345678", "10", "", Class::Invalid),
        ("17909", "10", "17909", Class::Service),
        ("+882161234567", "10", "+882161234567", Class::International),
        ("sip:anonymous@anonymous.invalid", "10", "", Class::Anonymous),
        ("unavailable", "10", "", Class::Unknown),
        ("<unknown>", "10", "", Class::Unknown),
        ("li.na@pbx.example", "10", "", Class::SipUser),
        ("", "10", "", Class::Unknown),
    ];

    #[test]
    fn what_is_no_number_is_one_line_however_it_is_spaced_and_a_name_is_none() {
        let plan = Plan::new("CN", Some("571"));
        let same = |a: &str, b: &str| plan.read(a).same_line(&plan.read(b));
        assert_eq!(plan.read("0575-0013 8000").class, Class::Invalid);
        assert!(same("0575-0013 8000", "057500138000") && same("０５７５００１３８０００", "0575-00138000"));
        assert!(!same("0575-0013 8000", "0575-0013 8001") && !same("0575-0013 8000", "13800138000"));
        assert!(!same("1380013800", "13800138000"));
        assert!(!same("agent7@pbx.example", "desk7@pbx.example"));
        assert!(!same("", "") && !same("-", "+"));
    }

    #[test]
    fn each_spelling_is_one_line() {
        for (input, area, key, class) in CASES {
            let number = Plan::new("CN", Some(area)).read(input);
            let found = [&number.e164, &number.short].into_iter().flatten().next().map_or("", |p| p.expose().as_str());
            assert_eq!((found, number.class), (*key, *class), "{input}");
        }
    }

    #[test]
    fn extensions_are_kept_apart() {
        for input in [
            "010-85551001-8012",
            "01085551001转8012",
            "tel:+861085551001;ext=8012",
            "01085551001,,8012",
            "01085551001 ext 8012",
        ] {
            let number = Plan::new("CN", Some("10")).read(input);
            assert_eq!(number.ext.as_ref().map(|e| e.expose().as_str()), Some("8012"), "{input}");
            assert_eq!(number.e164.as_ref().map(|e| e.expose().as_str()), Some("+861085551001"), "{input}");
        }
    }

    /// Found by the random test below: a caller known as "02" ended the daemon.
    #[test]
    fn a_piece_of_an_area_code_is_no_number() {
        for piece in ["0", "02", "010", "03", "031", "2", "86", "+86", "+8602"] {
            for area in [None, Some("1"), Some("21")] {
                let class = Plan::new("CN", area).read(piece).class;
                assert!(matches!(class, Class::Invalid | Class::Extension | Class::Unknown), "{piece}: {class:?}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics_and_nothing_is_dropped(input in "\\PC{0,40}", area in "[0-9]{0,4}") {
            let number = Plan::new("CN", Some(&area)).read(&input);
            proptest::prop_assert!(number.class == Class::Anonymous || input.trim().is_empty() || number.raw.is_some());
        }
        #[test]
        fn digits_never_panic(input in "\\+?[0-9]{0,20}", area in "[1-9][0-9]{0,2}") {
            let _ = Plan::new("CN", Some(&area)).read(&input);
        }
    }
}
