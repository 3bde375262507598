//! The shadow index: all numbers of a system kept here, so that a customer is found however the number is written there.
//!
//! It is an accelerator and a better reader, never a source: whom it names is asked for by id, and is shown only if the system still has
//! the customer and the customer still has the number. Where anything is in doubt (an answer that is no answer, too many who share a
//! number, nobody left) the system's own search decides, as without an index.
//!
//! `table` is the packed list; here is what an index is (a whole walk and what changed since), when it is walked again, and what
//! its hits are worth; `live` walks, keeps the files and asks.

pub mod live;
pub mod table;

use std::{collections::HashSet, sync::Arc};

use serde_json::{Map, Value};

use crate::{
    numbers::{Class, Number},
    private::Private,
    words::Wall,
};

use super::{
    Outcome, Saw, System,
    file::{IndexFile, Search},
    wire,
    words::digit,
};
use table::{Builder, Hit, Table};

/// So many customers of one number are asked for by id; beyond it the number is a switchboard's or a placeholder, and the search decides.
pub const MOST: usize = 16;
/// What changed is kept beside the whole list until it is this much, and then becomes part of it.
const LAYER: usize = 10_000;

/// A whole walk, and what changed since.
#[derive(Clone)]
pub struct Index {
    whole: Arc<Table>,
    changed: Option<Changed>,
    sizes: Sizes,
}

/// How much an index holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    pub customers: usize,
    pub numbers: usize,
    /// Written as a number, and none.
    pub odd: usize,
}

#[derive(Clone)]
struct Changed {
    table: Arc<Table>,
    /// Customers of whom the whole walk's word counts no more.
    ids: Arc<HashSet<String>>,
}

impl Index {
    #[must_use]
    pub fn new(whole: Table, changed: Option<Table>) -> Self {
        Self::of(Arc::new(whole), changed)
    }

    fn of(whole: Arc<Table>, changed: Option<Table>) -> Self {
        let (mut customers, mut numbers, mut odd) = (whole.customers(), whole.numbers(), whole.odd());
        let changed = changed.map(|table| {
            let ids: HashSet<String> = table.ids().map(str::to_owned).collect();
            if !ids.is_empty() {
                (customers, numbers, odd) = whole.sizes_without(&ids);
            }
            customers += table.customers();
            numbers += table.numbers();
            odd += table.odd();
            Changed { table: Arc::new(table), ids: Arc::new(ids) }
        });
        Self { whole, changed, sizes: Sizes { customers, numbers, odd } }
    }

    /// What changed on top of this; `true`: it became part of the whole, which has to be written anew.
    ///
    /// # Errors
    /// More than a table can hold.
    pub fn with(&self, news: &Table) -> Result<(Self, bool), String> {
        let made = news.made().cloned().ok_or("a table without a date")?;
        let nobody = HashSet::new();
        let mut builder = Builder::default();
        builder.take(news, &nobody);
        if let Some(before) = &self.changed {
            builder.take(&before.table, &news.ids().map(str::to_owned).collect());
        }
        let layer = builder.finish(made.clone())?;
        if layer.numbers().max(layer.customers()) <= LAYER.max(self.whole.numbers() / 10) {
            return Ok((Self::of(self.whole.clone(), Some(layer)), false));
        }
        let mut builder = Builder::default();
        builder.take(&self.whole, &layer.ids().map(str::to_owned).collect());
        builder.take(&layer, &nobody);
        // The date of the last whole walk stays: it alone knew of deletions.
        let whole = builder.finish(self.whole.made().cloned().unwrap_or_else(|| made.clone()))?;
        Ok((Self::new(whole, Some(Builder::default().finish(made)?)), true))
    }

    /// Who has this number, each customer once.
    #[must_use]
    pub fn find<'a>(&'a self, number: &'a str) -> Vec<Hit<'a>> {
        let mut hits: Vec<Hit<'a>> = match &self.changed {
            None => self.whole.find(number).collect(),
            Some(changed) => {
                let kept = self.whole.find(number).filter(|hit| !changed.ids.contains(hit.id));
                changed.table.find(number).chain(kept).collect()
            }
        };
        let mut seen: Vec<(&str, &str)> = Vec::with_capacity(hits.len());
        hits.retain(|hit| {
            let new = !seen.contains(&(hit.kind, hit.id));
            seen.push((hit.kind, hit.id));
            new
        });
        hits
    }

    #[must_use]
    pub fn whole(&self) -> &Table {
        &self.whole
    }
    #[must_use]
    pub fn changed(&self) -> Option<&Table> {
        self.changed.as_ref().map(|c| &*c.table)
    }
    /// When the whole list was begun to be read.
    #[must_use]
    pub fn whole_at(&self) -> Wall {
        self.whole.made().map_or(Wall(0), |m| m.at)
    }
    /// What happened at the system until then is known.
    #[must_use]
    pub fn known_at(&self) -> Wall {
        self.changed().and_then(Table::made).map_or_else(|| self.whole_at(), |m| m.at.max(self.whole_at()))
    }
    /// Of the file and address that it was made from.
    #[must_use]
    pub fn from(&self) -> &str {
        self.whole.made().map_or("", |m| &m.from)
    }
    #[must_use]
    pub const fn sizes(&self) -> Sizes {
        self.sizes
    }
}

/// What is to be read now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    Whole,
    /// Who changed since this moment.
    Since(Wall),
}

/// When the next walk is due, and which. `from` is the file as it is now; `failed` how often the last walks failed, and when the last did.
#[must_use]
pub fn due(
    index: Option<&Index>,
    settings: &IndexFile,
    from: &str,
    failed: Option<(u32, Wall)>,
    at: Wall,
) -> Option<Walk> {
    if let Some((times, when)) = failed {
        // Half a minute, then twice as long each time, an hour at most.
        let wait = 30_000_u64 << times.saturating_sub(1).min(7);
        if at.since(when) < wait.min(3_600_000) {
            return None;
        }
    }
    let Some(index) = index.filter(|i| i.from() == from) else { return Some(Walk::Whole) };
    if at.since(index.whole_at()) >= settings.full_every_s.saturating_mul(1000) {
        return Some(Walk::Whole);
    }
    let every = settings.every_s?.saturating_mul(1000);
    let overlap = i64::try_from(settings.overlap_s.saturating_mul(1000)).unwrap_or(i64::MAX);
    (at.since(index.known_at()) >= every).then(|| Walk::Since(Wall(index.known_at().0.saturating_sub(overlap))))
}

/// Not older than its schedule: a walk may be under way, so one that is due for less than half of its time again is no news.
#[must_use]
pub fn current(index: &Index, settings: &IndexFile, at: Wall) -> bool {
    let every = settings.every_s.unwrap_or(settings.full_every_s).saturating_mul(1000);
    at.since(index.known_at()) <= every.saturating_add(every / 2)
}

/// How a lookup goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Those whom the index names are asked for by id; with `search` the system is searched at the same time.
    ById { search: bool },
    /// As if there were no index.
    Search,
    /// Nobody, on the index's word alone.
    Nobody,
}

#[must_use]
pub fn way(hits: usize, search: Search, current: bool) -> Way {
    match (hits, search) {
        (0, Search::Stale) if current => Way::Nobody,
        (1..=MOST, search) => Way::ById { search: search == Search::Always },
        _ => Way::Search,
    }
}

/// Customers as `customer.by_phone` gives them, and what is to be told of those that are left out.
pub type Kept = (Vec<Map<String, Value>>, Vec<Saw>);

/// The customers that were asked for by id and still have the number, as `customer.by_phone` would give them, and what is to be told of
/// the others; `None` where one of the answers is none, so that whether somebody is missing cannot be said.
#[must_use]
pub fn still_have(system: &System, asked: &String, answers: Vec<Outcome>) -> Option<Kept> {
    let phones = &system.operation("customer.by_phone")?.phones;
    let (mut kept, mut saws) = (Vec::new(), Vec::new());
    for answer in answers {
        let mut customer = match answer {
            Outcome::Ok(Value::Object(customer)) => customer,
            Outcome::Ok(Value::Array(mut list)) if list.len() == 1 => match list.pop() {
                Some(Value::Object(customer)) => customer,
                _ => return None,
            },
            Outcome::NotFound | Outcome::Empty => {
                saws.push(Saw::Refused { id: None, why: "deleted since the index was read".to_owned() });
                continue;
            }
            _ => return None,
        };
        let id = customer.get("id").map(|id| Private::new(wire::plain(id)));
        let has = |name: &str| {
            spellings(customer.get(name)).iter().any(|text| line(&system.numbers.read(text)).as_ref() == Some(asked))
        };
        match phones.iter().find(|(name, _)| has(name)) {
            Some((_, why)) => {
                saws.push(Saw::Matched { id, why: Some(why.clone()) });
                customer.entry("reason").or_insert_with(|| why.clone().into());
                kept.push(customer);
            }
            None => saws.push(Saw::Refused { id, why: "it has the number no more".to_owned() }),
        }
    }
    Some((kept, saws))
}

/// Those whom the search found besides.
pub fn join(found: &mut Vec<Map<String, Value>>, more: Vec<Value>) {
    for customer in more {
        let Value::Object(customer) = customer else { continue };
        let same = |f: &Map<String, Value>| f.get("id") == customer.get("id") && f.get("type") == customer.get("type");
        if !found.iter().any(same) {
            found.push(customer);
        }
    }
}

/// What stands in a field of numbers: one text, or a list of them.
#[must_use]
pub fn spellings(value: Option<&Value>) -> Vec<String> {
    let list = match value {
        Some(Value::Array(list)) => list.iter().map(wire::plain).collect(),
        Some(value) => vec![wire::plain(value)],
        None => Vec::new(),
    };
    list.into_iter().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()).collect()
}

/// What a stored number is found by: E.164 or a short code. `None` where nothing is to be made of it: digits that are no number, a name,
/// an extension, something withheld.
#[must_use]
pub fn key(number: &Number) -> Option<&str> {
    let key = match number.class {
        Class::Invalid => None,
        _ => number.e164.as_ref().or(number.short.as_ref()),
    };
    key.map(|k| k.expose().as_str())
}

/// What the index finds a number by: its key, and for digits that are no number of the plan those digits, marked. A switch may show such digits,
/// and then a customer who has the same is meant.
#[must_use]
pub fn line(number: &Number) -> Option<String> {
    if let Some(key) = key(number) {
        return Some(key.to_owned());
    }
    if !matches!(number.class, Class::Invalid | Class::Unknown) {
        return None;
    }
    let written = number.e164.as_ref().or(number.raw.as_ref())?.expose();
    let digits: String = written.strip_prefix("+86").unwrap_or(written).chars().filter_map(digit).collect();
    let national = digits.trim_start_matches('0');
    (national.len() >= 7).then(|| format!("={national}"))
}

/// Puts one record of `customer.list` into a table that is being made.
pub fn put(builder: &mut Builder, system: &System, phones: &[(String, String)], record: &Map<String, Value>) {
    let text = |key: &str| record.get(key).map(wire::plain).filter(|t| !t.is_empty());
    let Some(id) = text("id") else { return };
    builder.customer(text("type").as_deref().unwrap_or("customer"), &id);
    for (field, _) in phones {
        for spelled in spellings(record.get(field)) {
            let number = system.numbers.read(&spelled);
            if let Some(line) = line(&number) {
                builder.number(field, Some(&line), &spelled);
            }
            if key(&number).is_none() {
                builder.number(field, None, &spelled);
            }
        }
    }
}

/// The file and its values that decide what a walk reads and how numbers are read.
#[must_use]
pub fn from(system: &System) -> String {
    use sha2::{Digest as _, Sha256};
    let mut sum = Sha256::new();
    for part in [system.hash.as_str(), &system.at.text()] {
        sum.update(part);
        sum.update([0]);
    }
    for (name, value) in &system.context {
        sum.update(name);
        sum.update(value.to_string());
        sum.update([0]);
    }
    sum.finalize().iter().take(16).map(|b| format!("{b:02x}")).collect()
}

/// "3 minutes", for people.
#[must_use]
pub fn age(ms: u64) -> String {
    match ms / 1000 {
        s @ 0..120 => format!("{s} s"),
        s @ 120..7_200 => format!("{} min", s / 60),
        s => format!("{} h", s / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::{table::Made, *};

    const EACH: IndexFile =
        IndexFile { every_s: Some(300), full_every_s: 86_400, overlap_s: 120, search: Search::Missed };

    fn table(at: i64, rows: &[(&str, &[&str])]) -> Table {
        let mut builder = Builder::default();
        for (id, numbers) in rows {
            builder.customer("customer", id);
            for number in *numbers {
                builder.number("mobile", Some(number), number);
            }
        }
        builder.finish(Made { from: "f".to_owned(), at: Wall(at), took_ms: 1 }).unwrap()
    }

    fn ids(index: &Index, number: &str) -> Vec<String> {
        index.find(number).iter().map(|hit| hit.id.to_owned()).collect()
    }

    #[test]
    fn what_changed_counts_before_the_whole_and_a_number_taken_away_is_gone() {
        let index = Index::new(table(0, &[("1", &["+1", "+2"]), ("2", &["+1"]), ("3", &["+3"])]), None);
        let (index, _) = index.with(&table(10, &[("1", &["+9"]), ("3", &[])])).unwrap();
        assert_eq!(ids(&index, "+1"), ["2"]);
        assert_eq!(ids(&index, "+9"), ["1"]);
        assert!(ids(&index, "+2").is_empty() && ids(&index, "+3").is_empty());
        // Again, and what the first reading said of others stays.
        let (index, _) = index.with(&table(20, &[("2", &["+9"])])).unwrap();
        assert_eq!(ids(&index, "+9"), ["2", "1"]);
        assert!(ids(&index, "+1").is_empty() && ids(&index, "+3").is_empty());
        assert_eq!((index.whole_at(), index.known_at()), (Wall(0), Wall(20)));
        assert_eq!(index.sizes(), Sizes { customers: 3, numbers: 2, odd: 0 });
    }

    #[test]
    fn many_changes_become_part_of_the_whole() {
        let index = Index::new(table(0, &[("1", &["+1"]), ("2", &["+2"])]), None);
        let names: Vec<String> = (0..=LAYER).map(|n| format!("c{n}")).collect();
        let mut rows: Vec<(&str, &[&str])> = names.iter().map(|n| (n.as_str(), &["+5"][..])).collect();
        rows.push(("2", &[]));
        let (index, whole) = index.with(&table(10, &rows)).unwrap();
        assert!(whole);
        assert_eq!(index.find("+5").len(), LAYER + 1);
        assert_eq!((ids(&index, "+1"), ids(&index, "+2")), (vec!["1".to_owned()], vec![]));
        assert_eq!((index.whole_at(), index.known_at()), (Wall(0), Wall(10)));
        assert_eq!(index.changed().map(Table::numbers), Some(0));
    }

    #[test]
    fn walks_are_due_by_their_clocks_and_later_after_failures() {
        let index = Index::new(table(1_000_000, &[]), None);
        let due = |index: Option<&Index>, from: &str, failed, at| super::due(index, &EACH, from, failed, Wall(at));
        assert_eq!(due(None, "f", None, 0), Some(Walk::Whole));
        assert_eq!(due(Some(&index), "another file", None, 1_000_001), Some(Walk::Whole));
        assert_eq!(due(Some(&index), "f", None, 1_299_999), None);
        assert_eq!(due(Some(&index), "f", None, 1_300_000), Some(Walk::Since(Wall(880_000))));
        let (later, _) = index.with(&table(1_300_000, &[])).unwrap();
        assert_eq!(due(Some(&later), "f", None, 1_300_001), None);
        assert_eq!(due(Some(&later), "f", None, 1_000_000 + 86_400_000), Some(Walk::Whole));
        let failed = |times, at| due(None, "f", Some((times, Wall(0))), at).is_some();
        assert!(!failed(1, 29_999) && failed(1, 30_000) && !failed(2, 59_999) && failed(2, 60_000));
        assert!(!failed(50, 3_599_999) && failed(50, 3_600_000));
        let only_whole = IndexFile { every_s: None, ..EACH };
        assert_eq!(super::due(Some(&index), &only_whole, "f", None, Wall(2_000_000)), None);
        assert!(current(&index, &EACH, Wall(1_450_000)) && !current(&index, &EACH, Wall(1_450_001)));
    }

    #[test]
    fn the_index_alone_says_nobody_only_where_it_may_and_is_current() {
        assert_eq!(way(0, Search::Stale, true), Way::Nobody);
        assert_eq!(way(0, Search::Stale, false), Way::Search);
        assert_eq!(way(0, Search::Missed, true), Way::Search);
        assert_eq!(way(2, Search::Missed, false), Way::ById { search: false });
        assert_eq!(way(2, Search::Always, true), Way::ById { search: true });
        assert_eq!(way(MOST + 1, Search::Stale, true), Way::Search);
    }

    #[test]
    fn what_is_no_number_has_no_key() {
        let plan = crate::numbers::Plan::new("CN", None);
        for (text, wanted) in [
            ("(+86) 186-0000-1111", Some("+8618600001111")),
            ("+86-159-0000-2222 转 806", Some("+8615900002222")),
            ("１３９００００８８８８", Some("+8613900008888")),
            ("95588", Some("95588")),
            ("8012", None),
            ("0575-0013 8000", None),
            ("unknown", None),
            ("老王的手机", None),
        ] {
            assert_eq!(key(&plan.read(text)), wanted, "{text}");
        }
        for same in ["0575-0013 8000", "０５７５００１３８０００", "+8657500138000", "0086 575 00138000"] {
            assert_eq!(line(&plan.read(same)).as_deref(), Some("=57500138000"), "{same}");
        }
        assert_eq!(line(&plan.read("95588")).as_deref(), Some("95588"));
        for none in ["8012", "老王", "", "unknown", "sip:anonymous@anonymous.invalid"] {
            assert_eq!(line(&plan.read(none)), None, "{none}");
        }
        assert_eq!(spellings(Some(&serde_json::json!(["1", " ", null, 2]))), ["1", "2"]);
    }
}
