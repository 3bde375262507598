//! What a viewer who may not read whole numbers is shown in place of them, wherever in a call's frames a number stands.
//!
//! Three rules, for any text and any value of a business system. The customer's own number, in any spelling and inside any text, is masked. What
//! stands under a key that says telephone (`phone`, `mobile`, `tel`, `手机`) is masked, whoever's it is. And what reads like a mobile number of
//! China, or begins with + and a country code, is masked everywhere. Money, dates and order numbers are left alone: what is none of the three stays.
//! A name is no number. What an agent types is shown back to that agent as it was typed.

use std::borrow::Cow;

use serde_json::{Value, value::RawValue};

use crate::numbers::{
    Number,
    sought::{between, digit},
};

/// Of one customer's number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shade {
    /// The last digits, which every spelling ends with.
    core: Option<Box<str>>,
    /// A number too short to look for inside others: only alone.
    short: Option<Box<str>>,
}

impl Shade {
    pub fn of(number: Option<&Number>) -> Self {
        let raw = number.and_then(|number| number.raw.as_ref().or(number.e164.as_ref()));
        let digits: String = raw.map(|raw| raw.expose().chars().filter_map(digit).collect()).unwrap_or_default();
        let skip = digits.len().saturating_sub(CORE);
        let core: Box<str> = digits.chars().skip(skip).collect();
        match core.len() {
            0..=2 => Self::default(),
            3..=6 => Self { core: None, short: Some(core) },
            _ => Self { core: Some(core), short: None },
        }
    }

    /// A text with the numbers in it masked.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.run(text, Rule::Text)
    }

    /// A candidate's id: only the customer's own number is masked in it, so that two ids never look the same.
    pub fn id<'a>(&self, id: &'a str) -> Cow<'a, str> {
        self.run(id, Rule::Id)
    }

    /// The value of a named thing.
    pub fn attribute<'a>(&self, name: &str, value: &'a str) -> Cow<'a, str> {
        self.run(value, Rule::of(name))
    }

    /// A value of a business system, changed in place; says whether anything changed.
    pub fn value(&self, value: &mut Value) -> bool {
        self.under(value, Rule::Text)
    }

    /// The same of finished bytes. What is no JSON (nobody makes such) is shown to nobody.
    pub fn raw(&self, raw: &RawValue) -> Box<RawValue> {
        let mut value: Value = serde_json::from_str(raw.get()).unwrap_or_default();
        self.value(&mut value);
        serde_json::value::to_raw_value(&value).unwrap_or_else(|_| RawValue::NULL.to_owned())
    }

    fn under(&self, value: &mut Value, rule: Rule) -> bool {
        match value {
            Value::Null | Value::Bool(_) => false,
            Value::String(text) => match self.run(text, rule) {
                Cow::Borrowed(_) => false,
                Cow::Owned(masked) => {
                    *text = masked;
                    true
                }
            },
            Value::Number(number) => {
                let text = number.to_string();
                match self.run(&text, rule) {
                    Cow::Borrowed(_) => false,
                    Cow::Owned(masked) => {
                        *value = Value::String(masked);
                        true
                    }
                }
            }
            Value::Array(list) => list.iter_mut().fold(false, |any, item| self.under(item, rule) | any),
            Value::Object(object) => {
                let rule = |key: &str| if rule == Rule::Telephone { rule } else { Rule::of(key) };
                object.iter_mut().fold(false, |any, (key, item)| self.under(item, rule(key)) | any)
            }
        }
    }

    /// Looks at each run of digits, with what people write between them.
    fn run<'a>(&self, text: &'a str, rule: Rule) -> Cow<'a, str> {
        if !text.chars().any(|c| digit(c).is_some()) {
            return Cow::Borrowed(text);
        }
        let chars: Vec<char> = text.chars().collect();
        let mut out: Option<Vec<char>> = None;
        let mut at = 0;
        while let Some(&first) = chars.get(at) {
            let plus = first == '+' && chars.get(at + 1).copied().and_then(digit).is_some();
            if digit(first).is_none() && !plus {
                at += 1;
                continue;
            }
            let mut end = at + usize::from(plus);
            let mut last = end;
            while let Some(&c) = chars.get(end) {
                if digit(c).is_some() {
                    last = end + 1;
                } else if !between(c) || end - last >= 2 {
                    break;
                }
                end += 1;
            }
            let run: Vec<char> = chars.iter().take(last).skip(at).copied().collect();
            if self.is_number(&run, plus, rule) {
                let masked = masked(&run);
                let whole = out.get_or_insert_with(|| chars.clone());
                for (place, c) in whole.iter_mut().skip(at).zip(masked) {
                    *place = c;
                }
            }
            at = last.max(at + 1);
        }
        out.map_or(Cow::Borrowed(text), |chars| Cow::Owned(chars.into_iter().collect()))
    }

    fn is_number(&self, run: &[char], plus: bool, rule: Rule) -> bool {
        let digits: String = run.iter().copied().filter_map(digit).collect();
        let mobile = |part: &[char]| {
            part.len() == 11 && part.first() == Some(&'1') && part.get(1).is_some_and(|c| ('3'..='9').contains(c))
        };
        let spelled: Vec<char> = digits.chars().collect();
        if self.core.as_deref().is_some_and(|core| digits.contains(core))
            || self.short.as_deref().is_some_and(|short| digits == short)
        {
            return true;
        }
        if rule == Rule::Id {
            return false;
        }
        (rule == Rule::Telephone && digits.len() >= 5)
            || (plus && (8..=15).contains(&digits.len()))
            || mobile(&spelled)
            || run.split(|c| digit(*c).is_none()).any(|part| {
                let part: Vec<char> = part.iter().copied().filter_map(digit).collect();
                mobile(&part) || self.short.as_deref().is_some_and(|short| part.iter().copied().eq(short.chars()))
            })
    }
}

/// `138****8000`: enough to recognise, too little to keep. Short numbers show only their last digit.
pub(super) fn mask(number: &str) -> String {
    masked(&number.chars().collect::<Vec<_>>()).into_iter().collect()
}

/// The same length; what people write between digits stays.
fn masked(run: &[char]) -> Vec<char> {
    let count = run.iter().filter(|c| digit(**c).is_some() || c.is_alphabetic()).count();
    let (head, tail) = if count >= 9 { (3, 4) } else { (0, 1) };
    let mut seen = 0;
    run.iter()
        .map(|&c| {
            if digit(c).is_none() && !c.is_alphabetic() {
                return c;
            }
            seen += 1;
            if seen <= head || seen + tail > count { c } else { '*' }
        })
        .collect()
}

/// What is looked for, by the name under which a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    Text,
    Id,
    Telephone,
}

impl Rule {
    fn of(key: &str) -> Self {
        let key = key.to_lowercase();
        let words = ["phone", "mobile", "msisdn", "whatsapp", "fax", "手机", "电话", "座机", "传真"];
        let says = words.iter().any(|word| key.contains(word))
            || key.split(|c: char| !c.is_alphanumeric()).any(|word| matches!(word, "tel" | "cell" | "caller"));
        match key.as_str() {
            _ if says => Self::Telephone,
            "id" => Self::Id,
            _ => Self::Text,
        }
    }
}

/// A line within an area; areas and country codes stand before it.
const CORE: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::Plan;

    fn shade(number: &str) -> Shade {
        Shade::of(Some(&Plan::new("CN", Some("21")).read(number)))
    }

    #[test]
    fn enough_to_recognise_too_little_to_keep() {
        for (whole, shown) in [
            ("13800138000", "138****8000"),
            ("021-6123 4567", "021-**** 4567"),
            ("+8613800138000", "+861******8000"),
            ("95588", "****8"),
            ("8012", "***2"),
            ("li.na", "**.*a"),
            ("", ""),
        ] {
            assert_eq!(mask(whole), shown);
        }
    }

    #[test]
    fn the_customers_number_is_found_in_every_spelling_and_nothing_else_is() {
        let shade = shade("02161234567");
        for text in [
            "02161234567",
            "021-6123-4567",
            "+86 21 6123 4567",
            "(021) 61234567",
            "61234567",
            "call 6123 4567 back",
            "008602161234567",
            "０２１６１２３４５６７",
            "2026-11-25 02161234567",
            "02161234567 02161230000",
        ] {
            let told = shade.text(text);
            assert!(!told.replace([' ', '-', '(', ')'], "").contains("61234567"), "{told}");
            assert!(!told.contains("６１２３４５６７"), "{told}");
            assert_eq!(told.chars().count(), text.chars().count());
        }
        for text in [
            "",
            "Zhang Wei",
            "88001234",
            "1286.00",
            "2026-11-25T08:00:00Z",
            "SO2026112500017",
            "61234568",
            "order 20871",
        ] {
            assert_eq!(shade.text(text), text);
        }
    }

    #[test]
    fn other_peoples_numbers_are_masked_where_they_say_so() {
        let shade = shade("95588");
        let mut value = serde_json::json!({
            "name": "Zhang Wei", "id": 20871, "balance": "1286.00", "limit": 8000,
            "phone": "021 6123 0000", "contacts": [{"mobile": 13900139000u64, "tel": "61230001", "hotel": "61230002"}],
            "note": "ask 13900139000, or +49 30 1234567; bank 95588, invoice 955881",
        });
        assert!(shade.value(&mut value));
        assert_eq!(value["phone"], "021 **** 0000");
        assert_eq!(
            value["contacts"][0],
            serde_json::json!({"mobile": "139****9000", "tel": "*******1", "hotel": "61230002"})
        );
        assert_eq!(value["note"], "ask 139****9000, or +49 3* ***4567; bank ****8, invoice 955881");
        assert_eq!(
            (&value["id"], &value["limit"], &value["balance"]),
            (&20871.into(), &8000.into(), &"1286.00".into())
        );
        assert!(!shade.value(&mut serde_json::json!({"id": 1, "list": [null, true, "x"]})));
    }

    #[test]
    fn ids_stay_apart() {
        let shade = shade("13800138000");
        let mut value = serde_json::json!({"id": "crm:person:13800138000", "link": {"id": "13900139000"}});
        assert!(shade.value(&mut value));
        assert_eq!(value, serde_json::json!({"id": "crm:person:138****8000", "link": {"id": "13900139000"}}));
        assert_eq!(shade.id("crm:person:13800138000"), "crm:person:138****8000");
    }

    #[test]
    fn a_withheld_number_masks_only_what_reads_like_one() {
        let shade = Shade::of(None);
        assert_eq!(shade.text("acct 88001234"), "acct 88001234");
        assert_eq!(shade.text("13800138000"), "138****8000");
    }
}
