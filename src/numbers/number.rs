//! Numbers of people and lines: class, E.164, extension.
//!
//! What is decided here: what the digits that a switch shows or an agent types stand for, at a place with a country and an area.
//! China's national forms are read in full where calls need them (mobiles, area codes, 400/800, 95xxx, 96xxx, 1010xxxx, 10648, +86, 0086 and
//! bare 86); elsewhere by Google's metadata (`world.rs`). Nothing is ever dropped: what is not understood keeps its raw text and says so
//! in its class. Source: the national numbering plan of 2017 and RFC 3966 for `tel:`.

#![allow(clippy::string_slice, reason = "only digits are sliced, and Spelled lets through nothing but ASCII digits")]

use serde::{Deserialize, Serialize};

use super::world;
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

    /// Two spellings of one line. An extension is not compared: the line rings the same house.
    #[must_use]
    pub fn same_line(&self, other: &Number) -> bool {
        matches!((self.key(), other.key()), (Some(a), Some(b)) if a == b)
    }
}

/// How numbers are read at one switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// ISO 3166 alpha-2, for example `CN`.
    pub country: String,
    /// Area code without the trunk zero, for example `21`.
    pub area: Option<String>,
}

/// Prefixes that choose a long-distance carrier; they count only before a complete number.
const CARRIERS: [&str; 8] = ["17909", "17908", "17951", "17911", "10193", "12593", "11808", "12520"];

impl Plan {
    #[must_use]
    pub fn new(country: &str, area: Option<&str>) -> Self {
        let area = area.map(|a| a.trim_start_matches('0').to_owned()).filter(|a| !a.is_empty());
        Self { country: country.to_ascii_uppercase(), area }
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
        let mut digits = spelled.digits.as_str();
        let mut international = spelled.plus;
        if let Some(rest) = digits.strip_prefix("00").filter(|r| r.len() >= 7) {
            (digits, international) = (rest, true);
        }
        if international {
            return match digits.strip_prefix("86") {
                Some(national) => {
                    let (e164, short, class) = self.chinese(national.strip_prefix('0').unwrap_or(national), None);
                    match class {
                        Class::Invalid => number(Some(format!("+86{national}")), None, Class::Invalid),
                        _ => number(e164, short, class),
                    }
                }
                None => match world::international(digits) {
                    Some((e164, class)) => number(Some(e164), None, class),
                    None if (7..=15).contains(&digits.len()) => {
                        number(Some(format!("+{digits}")), None, Class::International)
                    }
                    None => number(None, None, Class::Invalid),
                },
            };
        }
        if self.country != "CN" {
            return match world::national(&self.country, digits) {
                Some((e164, class)) => number(Some(e164), None, class),
                None if digits.len() <= 6 => number(None, None, Class::Extension),
                None => number(None, None, Class::Unknown),
            };
        }
        let area = spelled.area.as_deref().or(self.area.as_deref());
        let (e164, short, class) = self.chinese(digits, area);
        number(e164, short, class)
    }

    /// National digits of China, most special first.
    fn chinese(&self, digits: &str, area: Option<&str>) -> (Option<String>, Option<String>, Class) {
        let e164 = |d: &str, class| (Some(format!("+86{d}")), None, class);
        let n = digits.len();
        for carrier in CARRIERS {
            if let Some(rest) = digits.strip_prefix(carrier)
                && n > 11
                && (rest.starts_with('0') || is_mobile(rest))
            {
                return self.chinese(rest, area);
            }
        }
        if is_mobile(digits) {
            return e164(digits, Class::Mobile);
        }
        if let Some(mobile) = digits.strip_prefix('0').filter(|d| is_mobile(d)) {
            return e164(mobile, Class::Mobile);
        }
        if n == 13 && digits.starts_with("86") && is_mobile(&digits[2..]) {
            return e164(&digits[2..], Class::Mobile);
        }
        // A carrier's prefix alone is that carrier's service.
        if CARRIERS.contains(&digits) {
            return (None, Some(digits.to_owned()), Class::Service);
        }
        if n == 13 && (digits.starts_with("1064") || ("140".."145").contains(&&digits[..3])) {
            return (None, None, Class::M2m);
        }
        if n >= 10 && digits.starts_with("106") {
            return (None, None, Class::SmsPort);
        }
        if ["110", "119", "120", "122"].contains(&digits) {
            return (None, None, Class::Emergency);
        }
        if let Some(class) = national_service(digits) {
            return match class {
                Class::Service => (None, Some(digits.to_owned()), class),
                _ => e164(digits, class),
            };
        }
        if let Some(rest) = digits.strip_prefix('0').filter(|r| !r.starts_with('0')) {
            // A PBX or a carrier may put 0 or an area code before a service number (01095588, 04008001234).
            if let Some(class) =
                national_service(rest).or_else(|| area_cut(rest).and_then(|cut| national_service(&rest[cut..])))
            {
                let at = if national_service(rest).is_some() { 0 } else { area_cut(rest).unwrap_or(0) };
                return match class {
                    Class::Service => (None, Some(rest[at..].to_owned()), class),
                    _ => e164(&rest[at..], class),
                };
            }
            if let Some(cut) = area_cut(rest)
                && is_subscriber(&rest[..cut], &rest[cut..])
            {
                return e164(rest, Class::Geographic);
            }
            return (None, None, Class::Invalid);
        }
        // A local number: its area is that of the trunk (or the phone-context).
        if let Some(area) = area
            && is_subscriber(area, digits)
        {
            return e164(&format!("{area}{digits}"), Class::Geographic);
        }
        // Area and number with the trunk zero lost: 10 or 2x and 8 digits; three-digit areas with the whole length.
        if let Some(cut) = area_cut(digits).filter(|_| n >= 10)
            && is_subscriber(&digits[..cut], &digits[cut..])
        {
            return e164(digits, Class::Geographic);
        }
        if n == 12 && digits.starts_with("86") {
            return self.chinese(&digits[2..], None);
        }
        match n {
            2..=6 => (None, None, Class::Extension),
            _ => (None, None, Class::Invalid),
        }
    }
}

/// 11 digits 1[3-9]x, without the machine range 140-144 and the service ranges 160, 163, 168, 169 and 179.
fn is_mobile(d: &str) -> bool {
    d.len() == 11
        && d.starts_with('1')
        && d.as_bytes()[1] >= b'3'
        && !matches!(&d[..3], "140" | "141" | "142" | "143" | "144" | "160" | "163" | "168" | "169" | "179")
}

/// How many digits of `d` are the area code: 2 for 10 and 2x, 3 for the others; `None` where no area begins like this.
fn area_cut(d: &str) -> Option<usize> {
    match d.as_bytes() {
        [b'1', b'0', ..] | [b'2', _, ..] => Some(2),
        [b'3'..=b'9', _, _, ..] => Some(3),
        _ => None,
    }
}

/// 8 digits behind 10 and 2x, 7 or 8 behind the others, never beginning 0, 1 or 9.
fn is_subscriber(area: &str, d: &str) -> bool {
    let lengths: &[usize] = if area.len() == 2 { &[8] } else { &[7, 8] };
    lengths.contains(&d.len()) && matches!(d.as_bytes()[0], b'2'..=b'8')
}

fn national_service(d: &str) -> Option<Class> {
    match (d.len(), d) {
        (10, _) if d.starts_with("400") => Some(Class::SharedCost),
        (10, _) if d.starts_with("800") => Some(Class::TollFree),
        (8, _) if d.starts_with("1010") => Some(Class::Service),
        (5..=8, _) if d.starts_with("95") => Some(Class::Service),
        (5 | 6, _) if d.starts_with("96") => Some(Class::Service),
        (5, _) if d.starts_with("100") || d.starts_with("12") || d.starts_with("11") => Some(Class::Service),
        _ => None,
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
                '０'..='９' => char::from(b'0' + u8::try_from(c as u32 - '０' as u32).unwrap_or(0)),
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
        ("17909", "10", "17909", Class::Service),
        ("+882161234567", "10", "+882161234567", Class::International),
        ("sip:anonymous@anonymous.invalid", "10", "", Class::Anonymous),
        ("unavailable", "10", "", Class::Unknown),
        ("<unknown>", "10", "", Class::Unknown),
        ("li.na@pbx.example", "10", "", Class::SipUser),
        ("", "10", "", Class::Unknown),
    ];

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
