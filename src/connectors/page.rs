//! Walking through a list that comes in pages, still: [`Walk::turn`] says which page to ask for, [`Walk::told`] takes what it
//! held, [`Walk::troubled`] says whether and when the same page is asked for again.
//!
//! No system is believed. A total that is too small ends nothing: a full page is followed by one more question. A total that is too
//! large, a page that comes again though another was asked for, a cursor that was there before, a page on another host: the walk fails and
//! says so, and whoever keeps a list keeps the old one. A walk takes minutes and people work meanwhile: a row that is deleted moves all behind it
//! forward, so pages by offset overlap by one record, and where that record is not the known one the walk goes back. By page number the
//! same is seen by the falling total.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher as _},
};

use serde_json::{Map, Value, json};

use super::{Outcome, wire, words::Compiled};

/// A page is asked for so often, at growing intervals, before the walk fails.
const TRIES: u32 = 6;
/// A system that asks for patience gets it so often in one walk.
const PATIENCE: u32 = 500;
/// Steps back in one walk; beyond it the list changes faster than it can be read, or it has no order that stays.
const BACKS: u32 = 200;
const LONGEST_WAIT_MS: u64 = 600_000;

/// What a file says of an operation's pages.
pub struct Page {
    pub plan: Plan,
    pub total: Option<Compiled>,
    pub next: Next,
}

/// Where the answer says what comes next.
pub enum Next {
    /// It need not: pages are counted.
    Counted,
    Cursor(Compiled),
    Url(Compiled),
    Link,
}

/// How pages are counted, and what ends them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    pub by: By,
    pub size: u32,
    pub repeats_last_page: bool,
    pub max_pages: u32,
    pub pause_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Offset,
    /// Counted from here.
    Number(u64),
    Cursor,
    Url,
}

/// One page to ask for: `page` in a file's templates.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    pub offset: u64,
    pub number: u64,
    pub size: u32,
    pub cursor: Value,
    /// The whole address, where the system gave one.
    pub url: Option<String>,
}

impl Turn {
    #[must_use]
    pub fn first(plan: &Plan) -> Self {
        let number = if let By::Number(first) = plan.by { first } else { 1 };
        Self { offset: 0, number, size: plan.size, cursor: Value::Null, url: None }
    }
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({"offset": self.offset, "number": self.number, "size": self.size, "cursor": self.cursor, "url": self.url})
    }
    /// `None` where it is no turn.
    #[must_use]
    pub fn from_json(value: &Value) -> Option<Self> {
        Some(Self {
            offset: value.get("offset")?.as_u64()?,
            number: value.get("number")?.as_u64()?,
            size: u32::try_from(value.get("size")?.as_u64()?).ok()?,
            cursor: value.get("cursor")?.clone(),
            url: value.get("url")?.as_str().map(str::to_owned),
        })
    }
}

/// What one page held. It crosses as the value of an outcome, because a page is an ordinary question with an ordinary answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Held {
    /// Of every record in the answer, in order.
    pub ids: Vec<String>,
    /// Mapped; `None` for one that the file's `keep` leaves out.
    pub records: Vec<Option<Map<String, Value>>>,
    pub total: Option<u64>,
    /// A cursor, or a whole address; null ends the list.
    pub next: Value,
}

impl Held {
    #[must_use]
    pub fn into_json(self) -> Value {
        let records: Vec<Value> = self.records.into_iter().map(|r| r.map_or(Value::Null, Value::Object)).collect();
        json!({"ids": self.ids, "records": records, "total": self.total, "next": self.next})
    }
    /// `None` where it is no page.
    #[must_use]
    pub fn from_json(value: Value) -> Option<Self> {
        let Value::Object(mut map) = value else { return None };
        let ids = match map.remove("ids")? {
            Value::Array(ids) => ids.iter().map(wire::plain).collect(),
            _ => return None,
        };
        let Value::Array(records) = map.remove("records")? else { return None };
        let records = records.into_iter().map(|r| if let Value::Object(r) = r { Some(r) } else { None }).collect();
        let total = map.remove("total").and_then(|t| t.as_u64());
        Some(Self { ids, records, total, next: map.remove("next").unwrap_or_default() })
    }
}

/// What follows from a page.
#[derive(Debug, PartialEq, Eq)]
pub struct Told {
    /// Places in the page of the records that were not seen before.
    pub new: Vec<usize>,
    /// Nothing comes after it, and the list is whole.
    pub done: bool,
}

/// A walk under way. It holds 8 bytes and their hash set's share for each record, until it ends.
pub struct Walk {
    plan: Plan,
    turn: Turn,
    pages: u32,
    seen: HashSet<u64>,
    last: Option<u64>,
    total: Option<u64>,
    cursors: HashSet<u64>,
    backs: u32,
    tries: u32,
    waits: u32,
}

impl Walk {
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        Self {
            turn: Turn::first(&plan),
            plan,
            pages: 0,
            seen: HashSet::new(),
            last: None,
            total: None,
            cursors: HashSet::new(),
            backs: 0,
            tries: 0,
            waits: 0,
        }
    }

    /// The page to ask for now.
    #[must_use]
    pub const fn turn(&self) -> &Turn {
        &self.turn
    }
    #[must_use]
    pub const fn pause_ms(&self) -> u64 {
        self.plan.pause_ms
    }
    /// Pages read, and what the system last said how many records there are.
    #[must_use]
    pub const fn so_far(&self) -> (u32, Option<u64>) {
        (self.pages, self.total)
    }

    /// Takes a page.
    ///
    /// # Errors
    /// Why the list cannot be had whole; a fragment without data of it.
    pub fn told(&mut self, page: &Held) -> Result<Told, String> {
        self.tries = 0;
        self.pages += 1;
        let hashes: Vec<u64> = page.ids.iter().map(hash).collect();
        let known = hashes.first().is_some_and(|h| self.seen.contains(h));
        let new: Vec<usize> =
            hashes.iter().enumerate().filter(|(_, h)| self.seen.insert(**h)).map(|(at, _)| at).collect();
        let print = hash(&hashes);
        let repeated = !hashes.is_empty() && self.last.replace(print) == Some(print);
        let fell = match (self.total, page.total) {
            (Some(before), Some(now)) => before.saturating_sub(now),
            _ => 0,
        };
        self.total = page.total.or(self.total);
        let short = hashes.len() < self.plan.size as usize;
        let done = match self.plan.by {
            By::Offset if self.turn.offset > 0 && !known => {
                self.back()?;
                self.turn.offset = self.turn.offset.saturating_sub(u64::from(self.plan.size));
                false
            }
            By::Number(first) if fell > 0 && self.turn.number > first => {
                self.back()?;
                let pages = fell.div_ceil(u64::from(self.plan.size));
                self.turn.number = self.turn.number.saturating_sub(pages).max(first);
                false
            }
            By::Offset | By::Number(_) if repeated && !short => {
                if self.behind() || !(self.total.is_some() || self.plan.repeats_last_page) {
                    return Err(format!("page {} is the one before it again: the page is not obeyed", self.pages));
                }
                true
            }
            By::Offset => {
                // One record of a page is the anchor of the next; a page that holds no more ends the list.
                let more = u64::try_from(hashes.len()).unwrap_or(0).saturating_sub(1);
                self.turn.offset += more;
                more == 0 || short && !self.behind()
            }
            By::Number(_) => {
                self.turn.number += 1;
                hashes.is_empty() || short && !self.behind()
            }
            By::Cursor | By::Url => match &page.next {
                _ if hashes.is_empty() => true,
                Value::Null => true,
                next if !self.cursors.insert(hash(&next.to_string())) => {
                    return Err(format!("page {} leads back to a page that was read", self.pages));
                }
                _ if repeated && new.is_empty() => {
                    return Err(format!("page {} is the one before it again", self.pages));
                }
                Value::String(url) if self.plan.by == By::Url => {
                    self.turn.url = Some(url.clone());
                    false
                }
                next => {
                    self.turn.cursor = next.clone();
                    false
                }
            },
        };
        if done && self.behind() {
            let (total, seen) = (self.total.unwrap_or(0), self.seen.len());
            return Err(format!("it says that there are {total} and gave {seen}: the list is not whole"));
        }
        if !done && self.pages >= self.plan.max_pages {
            return Err(format!("there are more than {} pages", self.plan.max_pages));
        }
        Ok(Told { new, done })
    }

    /// The page could not be had: in how many milliseconds it is asked for again.
    ///
    /// # Errors
    /// The reason why it is not.
    pub fn troubled(&mut self, outcome: &Outcome) -> Result<u64, String> {
        let reason = || outcome.reason().unwrap_or("no answer").to_owned();
        match outcome {
            Outcome::RateLimited { wait_ms } => {
                self.waits += 1;
                if self.waits > PATIENCE {
                    return Err(reason());
                }
                Ok(wait_ms.unwrap_or(30_000).clamp(50, LONGEST_WAIT_MS))
            }
            Outcome::Busy { .. } | Outcome::Unknown { .. } | Outcome::AuthExpired { .. } => {
                self.tries += 1;
                if self.tries >= TRIES { Err(reason()) } else { Ok(500 << self.tries) }
            }
            _ => Err(reason()),
        }
    }

    fn behind(&self) -> bool {
        self.total.is_some_and(|total| (self.seen.len() as u64) < total)
    }

    fn back(&mut self) -> Result<(), String> {
        self.backs += 1;
        // The page before may well come again: it is asked for.
        self.last = None;
        if self.backs > BACKS {
            return Err("the list changes faster than it can be read, or has no order that stays".to_owned());
        }
        Ok(())
    }
}

fn hash<T: Hash + ?Sized>(what: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

/// The address of the next page as a whole one: `next` may be whole, or relative to the page it stands on (`current`, whole). It must lie on
/// the same host by the same scheme as `base`: a list does not send our key elsewhere.
///
/// # Errors
/// A fragment that says why it is no such address; the address is not repeated.
pub fn resolve(base: &str, current: &str, next: &str) -> Result<String, String> {
    let next = next.trim();
    if next.is_empty() || next.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
        return Err("the next page has no address".to_owned());
    }
    let origin = origin(base);
    let whole = if next.contains("://") && !next.starts_with(['/', '?']) {
        next.to_owned()
    } else if next.starts_with("//") {
        format!("{}:{next}", base.split(':').next().unwrap_or_default())
    } else if next.starts_with('/') {
        return Ok(format!("{origin}{next}"));
    } else {
        let path = current.split(['?', '#']).next().unwrap_or_default();
        let path = path.get(self::origin(current).len()..).filter(|p| !p.is_empty()).unwrap_or("/");
        return Ok(match next.strip_prefix('?') {
            Some(query) => format!("{origin}{path}?{query}"),
            None => format!("{origin}{}/{next}", path.rsplit_once('/').map_or("", |(folder, _)| folder)),
        });
    };
    // The rest of what is whole begins behind the host: what stands before an @ is no part of it.
    let same = with_port(self::origin(&whole)) == with_port(origin);
    if same { Ok(whole) } else { Err("the next page lies on another host".to_owned()) }
}

/// Scheme, host and port.
fn origin(url: &str) -> &str {
    let from = url.find("://").map_or(0, |at| at + 3);
    let rest = url.get(from..).unwrap_or_default();
    let to = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    url.get(..from + to).unwrap_or(url)
}

fn with_port(origin: &str) -> String {
    let origin = origin.to_ascii_lowercase();
    let host = origin.split("://").nth(1).unwrap_or_default();
    let bare = !host.rsplit(']').next().unwrap_or_default().contains(':');
    match bare {
        true if origin.starts_with("https:") => format!("{origin}:443"),
        true => format!("{origin}:80"),
        false => origin,
    }
}

/// The target with `rel="next"` of a `Link` header (RFC 8288).
#[must_use]
pub fn link_next(header: &str) -> Option<&str> {
    let mut rest = header;
    while let Some((_, behind)) = rest.split_once('<') {
        let (target, parameters) = behind.split_once('>')?;
        let (own, after) = match parameters.find('<') {
            Some(at) => (parameters.get(..at)?, parameters.get(at..)?),
            None => (parameters, ""),
        };
        let next =
            own.split(';').filter_map(|p| p.trim().trim_end_matches(',').split_once('=')).any(|(name, value)| {
                name.trim().eq_ignore_ascii_case("rel")
                    && value.trim().trim_matches('"').split_ascii_whitespace().any(|r| r.eq_ignore_ascii_case("next"))
            });
        if next {
            return Some(target);
        }
        rest = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(by: By) -> Plan {
        Plan { by, size: 3, repeats_last_page: false, max_pages: 100, pause_ms: 0 }
    }

    /// A system with rows: it answers a turn, and may be changed between two pages.
    struct Shelf {
        rows: Vec<u32>,
        total: Option<u64>,
        most: usize,
    }

    impl Shelf {
        fn new(rows: u32) -> Self {
            Self { rows: (1..=rows).collect(), total: None, most: 3 }
        }
        fn page(&self, turn: &Turn, by: By) -> Held {
            let size = (turn.size as usize).min(self.most);
            let from = match by {
                By::Offset => turn.offset as usize,
                By::Number(first) => (turn.number - first) as usize * size,
                _ => turn.cursor.as_u64().unwrap_or(0) as usize,
            };
            let rows: Vec<u32> = self.rows.iter().skip(from).take(size).copied().collect();
            let next = if from + size < self.rows.len() { json!(from + size) } else { Value::Null };
            seen(&rows, self.total, next)
        }
    }

    fn seen(rows: &[u32], total: Option<u64>, next: Value) -> Held {
        let ids: Vec<String> = rows.iter().map(u32::to_string).collect();
        Held { records: ids.iter().map(|_| Some(Map::new())).collect(), ids, total, next }
    }

    /// Rows found, and the pages asked for.
    fn walk(plan: Plan, mut answer: impl FnMut(u32, &Turn) -> Held) -> Result<(Vec<u32>, u32), String> {
        let (mut walk, mut found) = (Walk::new(plan), Vec::new());
        loop {
            let page = answer(walk.pages, walk.turn());
            let told = walk.told(&page)?;
            found.extend(told.new.iter().map(|at| page.ids[*at].parse::<u32>().unwrap()));
            if told.done {
                found.sort_unstable();
                return Ok((found, walk.pages));
            }
            assert!(walk.pages < 1000, "no end");
        }
    }

    #[test]
    fn every_length_is_read_whole_and_once_by_each_kind() {
        for by in [By::Offset, By::Number(0), By::Number(1), By::Cursor] {
            for rows in 0..20 {
                for (total, most) in [(None, 3), (Some(u64::from(rows)), 3), (Some(u64::from(rows)), 2)] {
                    let shelf = Shelf { total, most, ..Shelf::new(rows) };
                    let (found, pages) = walk(plan(by), |_, turn| shelf.page(turn, by)).unwrap();
                    assert_eq!(found, shelf.rows, "{by:?} {rows} {total:?} {most}");
                    assert!(pages <= rows + 2, "{by:?} {rows} {total:?} {most}: {pages} pages");
                }
            }
        }
    }

    #[test]
    fn a_total_that_is_too_small_hides_nothing_and_one_that_is_too_large_is_told() {
        for by in [By::Offset, By::Number(1), By::Cursor] {
            let shelf = Shelf { total: Some(4), ..Shelf::new(11) };
            assert_eq!(walk(plan(by), |_, turn| shelf.page(turn, by)).unwrap().0, shelf.rows, "{by:?}");
            let shelf = Shelf { total: Some(40), ..Shelf::new(11) };
            let why = walk(plan(by), |_, turn| shelf.page(turn, by)).unwrap_err();
            assert_eq!(why, "it says that there are 40 and gave 11: the list is not whole", "{by:?}");
        }
    }

    #[test]
    fn a_page_that_repeats_is_an_end_only_where_the_file_or_the_total_says_so() {
        // Magento: past the end comes the last page again, whole pages only.
        let magento = |total: Option<u64>| {
            let shelf = Shelf { total, ..Shelf::new(6) };
            move |_: u32, turn: &Turn| {
                let turn = Turn { number: turn.number.min(2), ..turn.clone() };
                shelf.page(&turn, By::Number(1))
            }
        };
        assert_eq!(walk(plan(By::Number(1)), magento(Some(6))).unwrap().0, [1, 2, 3, 4, 5, 6]);
        let said = Plan { repeats_last_page: true, ..plan(By::Number(1)) };
        assert_eq!(walk(said, magento(None)).unwrap().0, [1, 2, 3, 4, 5, 6]);
        assert!(walk(plan(By::Number(1)), magento(None)).unwrap_err().contains("not obeyed"));
        assert!(walk(said, magento(Some(9))).unwrap_err().contains("not obeyed"));
        // A system that knows no such parameter: always the first page.
        for by in [By::Offset, By::Number(1)] {
            for total in [None, Some(11)] {
                let shelf = Shelf { total, ..Shelf::new(11) };
                let why = walk(plan(by), |_, _| shelf.page(&Turn::first(&plan(by)), by)).unwrap_err();
                assert_eq!(why, "page 2 is the one before it again: the page is not obeyed", "{by:?} {total:?}");
            }
        }
    }

    #[test]
    fn a_row_deleted_during_the_walk_costs_no_other_row() {
        for by in [By::Offset, By::Number(1)] {
            for rows in 1..14 {
                for at in 1..6 {
                    for gone in 0..rows {
                        for many in [1, 2, 5] {
                            let mut shelf = Shelf::new(rows);
                            // By number the falling total is the only sign.
                            let counts = by != By::Offset;
                            let (found, _) = walk(plan(by), |page, turn| {
                                if page == at {
                                    shelf.rows.drain((gone as usize)..(gone as usize + many).min(rows as usize));
                                }
                                shelf.total = counts.then_some(shelf.rows.len() as u64);
                                shelf.page(turn, by)
                            })
                            .unwrap_or_else(|why| panic!("{by:?} {rows} {at} {gone} {many}: {why}"));
                            for row in &shelf.rows {
                                assert!(
                                    found.contains(row),
                                    "{by:?} of {rows}, page {at}, {gone}+{many}: {row} is lost"
                                );
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_row_made_at_the_front_during_the_walk_comes_once() {
        let mut shelf = Shelf::new(10);
        let (found, _) = walk(plan(By::Offset), |page, turn| {
            if page == 2 {
                shelf.rows.insert(0, 99);
            }
            shelf.page(turn, By::Offset)
        })
        .unwrap();
        assert_eq!(found, (1..=10).collect::<Vec<_>>());
    }

    #[test]
    fn loops_caps_and_lists_without_an_order_end() {
        let turns = [json!("a"), json!("b"), json!("a")];
        let why =
            walk(plan(By::Cursor), |page, _| seen(&[page * 3], None, turns[page as usize % 3].clone())).unwrap_err();
        assert_eq!(why, "page 3 leads back to a page that was read");
        let why = walk(plan(By::Cursor), |page, _| seen(&[1, 2, 3], None, json!(page))).unwrap_err();
        assert_eq!(why, "page 2 is the one before it again");
        let few = Plan { max_pages: 4, ..plan(By::Offset) };
        let shelf = Shelf::new(100);
        assert_eq!(walk(few, |_, turn| shelf.page(turn, By::Offset)).unwrap_err(), "there are more than 4 pages");
        let mut row = 0;
        let why = walk(Plan { max_pages: 10_000, ..plan(By::Offset) }, |_, _| {
            row += 3;
            seen(&[row, row + 1, row + 2], None, Value::Null)
        })
        .unwrap_err();
        assert!(why.contains("no order that stays"), "{why}");
    }

    #[test]
    fn trouble_asks_the_same_page_again_and_then_gives_up() {
        let mut walk = Walk::new(plan(By::Offset));
        walk.told(&Shelf::new(11).page(walk.turn(), By::Offset)).unwrap();
        let before = walk.turn().clone();
        assert_eq!(walk.troubled(&Outcome::RateLimited { wait_ms: Some(1_000) }), Ok(1_000));
        let busy = Outcome::Busy { reason: "crm cannot be reached".to_owned() };
        let waits: Vec<u64> = std::iter::from_fn(|| walk.troubled(&busy).ok()).collect();
        assert_eq!(waits, [1_000, 2_000, 4_000, 8_000, 16_000]);
        assert_eq!(*walk.turn(), before, "nothing is skipped");
        walk.told(&Shelf::new(11).page(walk.turn(), By::Offset)).unwrap();
        assert!(walk.troubled(&busy).is_ok(), "a page that came makes it patient again");
        assert!(walk.troubled(&Outcome::Denied { reason: "no".to_owned() }).is_err());
    }

    #[test]
    fn the_next_page_is_on_the_same_host_or_nowhere() {
        let base = "https://crm.example/b1s/v1";
        let now = "https://crm.example/b1s/v1/Partners?$skip=20";
        for (next, whole) in [
            ("/b1s/v1/Partners?$skip=40", "https://crm.example/b1s/v1/Partners?$skip=40"),
            ("Partners?$skip=40", "https://crm.example/b1s/v1/Partners?$skip=40"),
            ("?$skip=40", "https://crm.example/b1s/v1/Partners?$skip=40"),
            ("https://crm.example/x?p=2", "https://crm.example/x?p=2"),
            ("HTTPS://CRM.example:443/x?p=2", "HTTPS://CRM.example:443/x?p=2"),
            ("//crm.example/x", "https://crm.example/x"),
        ] {
            assert_eq!(resolve(base, now, next).as_deref(), Ok(whole), "{next}");
        }
        for next in [
            "http://crm.example/x",
            "https://crm.example@evil.example/x",
            "https://crm.example.evil.example/x",
            "https://evil.example/?https://crm.example/",
            "//evil.example/x",
            "https://crm.example:8443/x",
            "https:\\\\evil.example",
            "",
            "/a b",
        ] {
            assert!(resolve(base, now, next).is_err(), "{next}");
        }
        assert_eq!(resolve("http://[::1]:80", "http://[::1]/x", "http://[::1]/y").as_deref(), Ok("http://[::1]/y"));
    }

    #[test]
    fn a_link_header_names_its_next_page() {
        let header = r#"<https://a/x?page=1>; rel="prev", <https://a/x?page=3,4>; title="n;ext"; rel="last next", <z>; rel=first"#;
        assert_eq!(link_next(header), Some("https://a/x?page=3,4"));
        assert_eq!(link_next("<a>; rel=next"), Some("a"));
        for none in ["", "<a>; rel=prev", "<a", "a; rel=next", "<a>; title=next"] {
            assert_eq!(link_next(none), None, "{none}");
        }
    }
}
