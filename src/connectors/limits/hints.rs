//! What an answer says of the system's limits, in whatever words.

use std::collections::BTreeMap;

use minijinja::value::Value;

use super::file::{Dialect, Unit};
use crate::{connectors::words::Compiled, words::Wall};

/// What one answer said. All of it can only make us slower.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// It was refused for being asked too often.
    pub refused: bool,
    pub wait_ms: Option<u64>,
    /// `wait_ms` is a block that the file knows: asking before its end makes it longer.
    pub blocked: bool,
    pub remaining: Option<u64>,
    pub limit: Option<u64>,
    /// From now.
    pub reset_ms: Option<u64>,
    pub cost: Option<u64>,
    /// The answer's own clock.
    pub date: Option<Wall>,
}

/// Where a file says that hints stand.
#[derive(Default)]
pub struct Hints {
    pub dialect: Option<Dialect>,
    pub remaining: Option<Hint>,
    pub limit: Option<Hint>,
    pub reset: Option<Hint>,
    pub wait: Option<Hint>,
    pub cost: Option<Compiled>,
}

pub struct Hint {
    pub place: Place,
    pub unit: Unit,
}

pub enum Place {
    /// Lower-case.
    Header(String),
    Value(Compiled),
}

type Headers<'a> = BTreeMap<String, &'a str>;

impl Hints {
    /// `context` is the answer as expressions see it, `wall` our clock.
    #[must_use]
    pub fn read(&self, headers: &Headers, context: &Value, wall: Wall) -> Told {
        let date = sent_at(headers);
        let wall = date.unwrap_or(wall);
        let mut told = self.dialect.map_or_else(Told::default, |dialect| by_dialect(dialect, headers, wall));
        let text = |hint: &Hint| match &hint.place {
            Place::Header(name) => headers.get(name).map(|text| (*text).to_owned()),
            Place::Value(value) => {
                let value = value.eval(context).ok().filter(|v| !v.is_undefined() && !v.is_none());
                value.map(|v| v.to_string())
            }
        };
        let count = |hint: &Option<Hint>| hint.as_ref().and_then(&text).and_then(|text| whole(&text));
        let time = |hint: &Option<Hint>| hint.as_ref().and_then(|hint| from_now(&text(hint)?, hint.unit, wall));
        told.date = date;
        told.remaining = count(&self.remaining).or(told.remaining);
        told.limit = count(&self.limit).or(told.limit);
        told.reset_ms = time(&self.reset).or(told.reset_ms);
        told.wait_ms = time(&self.wait);
        if let Some(cost) = &self.cost {
            told.cost = cost.eval(context).ok().and_then(|v| whole(&v.to_string()));
        }
        told
    }
}

/// `Retry-After` in milliseconds from now: seconds or a date (RFC 9110, 10.2.3). A date is held against the answer's own `Date`, for clocks differ.
#[must_use]
pub fn retry_after(headers: &Headers, wall: Wall) -> Option<u64> {
    let text = headers.get("retry-after")?.trim();
    match text.parse::<u64>() {
        Ok(seconds) => Some(seconds.saturating_mul(1000)),
        Err(_) => Some(date(text)?.since(sent_at(headers).unwrap_or(wall))),
    }
}

fn sent_at(headers: &Headers) -> Option<Wall> {
    date(headers.get("date")?)
}

/// The three forms of RFC 9110, 5.6.7, and RFC 3339.
fn date(text: &str) -> Option<Wall> {
    let text = text.trim();
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(Wall(time.as_millisecond()));
    }
    let forms = ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    let parsed = forms.iter().find_map(|form| jiff::civil::DateTime::strptime(form, text).ok())?;
    Some(Wall(parsed.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond()))
}

/// `26`, and `26.0` as some languages write a count.
fn whole(text: &str) -> Option<u64> {
    let (digits, rest) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    if rest.bytes().all(|b| b == b'0') { digits.parse().ok() } else { None }
}

fn from_now(text: &str, unit: Unit, wall: Wall) -> Option<u64> {
    // Seconds since 1970 have been ten digits since 2001, and a wait of three years is none.
    const EPOCH_S: u64 = 100_000_000;
    const EPOCH_MS: u64 = 100_000_000_000;
    let text = text.trim();
    let at_ms = |ms: u64| Wall(i64::try_from(ms).unwrap_or(i64::MAX)).since(wall);
    let Ok(number) = text.parse::<f64>() else {
        return date(text).map(|at| at.since(wall)).filter(|_| unit == Unit::Any);
    };
    if !number.is_finite() || number < 0.0 {
        return None;
    }
    // Rounded up: a wait that is a little too short is refused again. Floats are cut at the ends of the whole numbers.
    let (units, thousands) = (number.ceil() as u64, (number * 1000.0).ceil() as u64);
    Some(match unit {
        Unit::S => thousands,
        Unit::Ms => units,
        Unit::EpochS => at_ms(thousands),
        Unit::EpochMs => at_ms(units),
        Unit::Any if units >= EPOCH_MS => at_ms(units),
        Unit::Any if units >= EPOCH_S => at_ms(thousands),
        Unit::Any => thousands,
    })
}

fn by_dialect(dialect: Dialect, headers: &Headers, wall: Wall) -> Told {
    let get = |names: &[&str]| names.iter().find_map(|name| headers.get(*name).copied());
    let time = |text: Option<&str>, unit| text.and_then(|text| from_now(text, unit, wall));
    // The older drafts let a limit go on: `100, 100;w=60`.
    let first = |text: &str| whole(text.split([',', ';']).next().unwrap_or_default());
    match dialect {
        Dialect::Ietf => {
            let policies = get(&["ratelimit-policy"]).map(items).unwrap_or_default();
            // Several policies: the one of which least is left holds us.
            let limits = get(&["ratelimit"]).map(items).unwrap_or_default();
            let Some((name, limit)) =
                limits.into_iter().filter(|(_, l)| l.contains_key("r")).min_by_key(|(_, l)| l.get("r").copied())
            else {
                return Told::default();
            };
            let policy = policies.iter().find(|(of, _)| *of == name).map(|(_, policy)| policy);
            Told {
                remaining: limit.get("r").copied(),
                reset_ms: limit.get("t").map(|s| s.saturating_mul(1000)),
                limit: policy.and_then(|p| p.get("q").copied()),
                ..Told::default()
            }
        }
        Dialect::Ratelimit => Told {
            remaining: get(&["ratelimit-remaining"]).and_then(first),
            limit: get(&["ratelimit-limit"]).and_then(first),
            reset_ms: time(get(&["ratelimit-reset"]), Unit::S),
            ..Told::default()
        },
        Dialect::XRatelimit => Told {
            remaining: get(&["x-ratelimit-remaining", "x-rate-limit-remaining"]).and_then(first),
            limit: get(&["x-ratelimit-limit", "x-ratelimit-total", "x-rate-limit-limit", "x-rate-limit"])
                .and_then(first),
            reset_ms: time(get(&["x-ratelimit-reset", "x-rate-limit-reset"]), Unit::Any),
            cost: get(&["x-ratelimit-used-currentrequest"]).and_then(whole),
            ..Told::default()
        },
    }
}

/// A structured field's list of items with whole numbers as parameters (RFC 9651, 3.1), as far as the draft needs it: `"name";r=50;t=30, "other";r=3`.
fn items(text: &str) -> Vec<(String, BTreeMap<String, u64>)> {
    // A quoted name may hold commas and semicolons.
    let split = |text: &str, at: char| {
        let mut quoted = false;
        let parts = text.split(|c: char| {
            quoted ^= c == '"';
            c == at && !quoted
        });
        parts.map(|part| part.trim().to_owned()).collect::<Vec<_>>()
    };
    let items = split(text, ',').into_iter().take(32).map(|item| {
        let mut parts = split(&item, ';').into_iter();
        let name = parts.next().unwrap_or_default();
        let parameters = parts.filter_map(|p| {
            let (key, value) = p.split_once('=')?;
            Some((key.trim().to_owned(), value.trim().parse().ok()?))
        });
        (name, parameters.collect())
    });
    items.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connectors::value::from_json;

    /// 2026-11-26T12:00:00Z, and the answer's own clock a minute ahead where it has one.
    const NOW: Wall = Wall(1_795_694_400_000);

    fn headers<'a>(pairs: &[(&str, &'a str)]) -> Headers<'a> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    }

    #[test]
    fn retry_after_is_seconds_or_one_of_three_dates_by_the_answers_own_clock() {
        let wait = |pairs: &[(&str, &str)]| retry_after(&headers(pairs), NOW);
        assert_eq!(wait(&[("retry-after", "120")]), Some(120_000));
        assert_eq!(wait(&[("retry-after", "Thu, 26 Nov 2026 12:02:00 GMT")]), Some(120_000));
        assert_eq!(wait(&[("retry-after", "Thursday, 26-Nov-26 12:02:00 GMT")]), Some(120_000));
        assert_eq!(wait(&[("retry-after", "Thu Nov 26 12:02:00 2026")]), Some(120_000));
        let date = ("date", "Thu, 26 Nov 2026 12:01:00 GMT");
        assert_eq!(wait(&[("retry-after", "Thu, 26 Nov 2026 12:02:00 GMT"), date]), Some(60_000));
        // Past is no wait, and what is none of these says nothing.
        assert_eq!(wait(&[("retry-after", "Thu, 26 Nov 2026 11:02:00 GMT")]), Some(0));
        for text in ["soon", "-1", "", "Thu, 99 Nov 2026 12:02:00 GMT"] {
            assert_eq!(wait(&[("retry-after", text)]), None, "{text}");
        }
    }

    #[test]
    fn every_dialect_is_read() {
        let read = |dialect, pairs: &[(&str, &str)]| {
            let told = by_dialect(dialect, &headers(pairs), NOW);
            (told.remaining, told.limit, told.reset_ms, told.cost)
        };
        // The draft's own examples (-10, sections 3.1, 4.1), and a name that tries to be two.
        let policy = ("ratelimit-policy", "\"burst\";q=100;w=60, \"da,i;ly\";q=1000;w=86400");
        let limit = ("ratelimit", "\"burst\";r=50;t=30, \"da,i;ly\";r=7;t=3600;pk=:sdfjLJUOUH==:");
        assert_eq!(read(Dialect::Ietf, &[policy, limit]), (Some(7), Some(1000), Some(3_600_000), None));
        assert_eq!(read(Dialect::Ietf, &[("ratelimit", "\"default\";r=0")]), (Some(0), None, None, None));
        assert_eq!(read(Dialect::Ietf, &[("ratelimit", "limit=100, remaining=50")]), (None, None, None, None));
        let old = [("ratelimit-limit", "100, 100;w=60"), ("ratelimit-remaining", "3"), ("ratelimit-reset", "50")];
        assert_eq!(read(Dialect::Ratelimit, &old), (Some(3), Some(100), Some(50_000), None));
        let freshdesk = [
            ("x-ratelimit-total", "3000"),
            ("x-ratelimit-remaining", "2999"),
            ("x-ratelimit-used-currentrequest", "2"),
        ];
        assert_eq!(read(Dialect::XRatelimit, &freshdesk), (Some(2999), Some(3000), None, Some(2)));
        for (reset, ms) in [
            ("30", 30_000),
            ("0.5", 500),
            ("1795694430", 30_000),
            ("1795694430250", 30_250),
            ("2026-11-26T12:00:30Z", 30_000),
            ("Thu, 26 Nov 2026 12:00:30 GMT", 30_000),
            ("1795694000", 0),
        ] {
            let told = read(Dialect::XRatelimit, &[("x-ratelimit-reset", reset)]);
            assert_eq!(told.2, Some(ms), "{reset}");
        }
        for reset in ["-5", "nan", "inf", "tomorrow"] {
            assert_eq!(read(Dialect::XRatelimit, &[("x-ratelimit-reset", reset)]).2, None, "{reset}");
        }
    }

    #[test]
    fn expressions_and_headers_of_the_file_go_before_the_dialect() {
        let hint = |text: &str, unit| Some(Hint { place: Place::Value(Compiled::new(text).unwrap()), unit });
        let hints = Hints {
            dialect: Some(Dialect::XRatelimit),
            remaining: hint("body.extensions.cost.left", Unit::Any),
            limit: Some(Hint { place: Place::Header("x-limit".to_owned()), unit: Unit::Any }),
            reset: hint("body.time.at", Unit::EpochS),
            wait: hint("body.retry_ms", Unit::Ms),
            cost: Some(Compiled::new("body.cost").unwrap()),
        };
        let answer = serde_json::json!({"body": {
            "extensions": {"cost": {"left": 954.0}}, "time": {"at": 1_795_694_410}, "retry_ms": 836, "cost": 12,
        }});
        let headers = headers(&[("x-limit", "1000"), ("x-ratelimit-remaining", "1")]);
        let told = hints.read(&headers, &from_json(&answer), NOW);
        let wanted = Told {
            remaining: Some(954),
            limit: Some(1000),
            reset_ms: Some(10_000),
            wait_ms: Some(836),
            cost: Some(12),
            ..Told::default()
        };
        assert_eq!(told, wanted);
        // What is not there leaves the dialect's word.
        assert_eq!(hints.read(&headers, &from_json(&serde_json::json!({})), NOW).remaining, Some(1));
    }
}
