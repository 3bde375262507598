//! All numbers of one system, packed: where a number stands is found by halving, in a list of places sorted by the number.
//!
//! A million customers with a number each are 48 bytes a number in memory and on disk, the same bytes in both (`cargo bench --bench lookup`). A hash
//! map of texts was 190. Nothing here is changed in place: a table is made by one walk and then read.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::words::Wall;

/// The first line of a file says the rest of what a person may want to know.
const FORMAT: &str = "linecard-index 1";
/// Places are 32 bits.
const LARGEST: usize = u32::MAX as usize;

/// Where a table came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// The connector, its file and its address, hashed: another file may read numbers otherwise.
    pub from: String,
    /// When the walk began: it knows nothing later.
    pub at: Wall,
    pub took_ms: u64,
}

/// One number of one customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit<'a> {
    pub id: &'a str,
    /// The customer's type at its system.
    pub kind: &'a str,
    /// The field it stands in, as the connector's file names it.
    pub field: &'a str,
    /// As it is written there.
    pub spelled: &'a str,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Head {
    format: String,
    made: Option<Made>,
    fields: Vec<String>,
    kinds: Vec<String>,
    customers: u32,
    numbers: u32,
    odd: u32,
    text: usize,
    rows: usize,
}

/// See the module's text.
pub struct Table {
    head: Head,
    /// Where each customer begins in `text`: kind, then the id up to the next customer's beginning.
    customers: Vec<u32>,
    text: Vec<u8>,
    /// Where each number begins in `rows`, sorted by number; behind them those that are no number, as they came.
    places: Vec<u32>,
    /// A row: customer (4), field, length and text of the number, length and text of the spelling (none where it is the number).
    rows: Vec<u8>,
}

impl Table {
    #[must_use]
    pub fn made(&self) -> Option<&Made> {
        self.head.made.as_ref()
    }
    #[must_use]
    pub fn customers(&self) -> usize {
        self.customers.len()
    }
    #[must_use]
    pub fn numbers(&self) -> usize {
        self.head.numbers as usize
    }
    /// Numbers of which nothing could be made.
    #[must_use]
    pub fn odd(&self) -> usize {
        self.places.len() - self.numbers()
    }
    /// What it takes in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.customers.len() * 4 + self.text.len() + self.places.len() * 4 + self.rows.len()
    }

    /// Who has this number: E.164, or a short code.
    pub fn find<'a>(&'a self, number: &'a str) -> impl Iterator<Item = Hit<'a>> {
        let numbers = self.places.get(..self.numbers()).unwrap_or_default();
        let from = numbers.partition_point(|at| self.row(*at).is_some_and(|row| row.number < number));
        let rows = numbers.get(from..).unwrap_or_default().iter().map_while(move |at| self.row(*at));
        rows.take_while(move |row| row.number == number).filter_map(|row| self.hit(&row))
    }

    /// What was written as a number and is none.
    pub fn odd_ones(&self) -> impl Iterator<Item = Hit<'_>> {
        let odd = self.places.get(self.numbers()..).unwrap_or_default().iter();
        odd.filter_map(|at| self.row(*at)).filter_map(|row| self.hit(&row))
    }

    pub fn ids(&self) -> impl Iterator<Item = &str> {
        (0..self.customers.len()).filter_map(|n| Some(self.customer(n)?.1))
    }

    /// Customers, numbers and odd ones of everybody but these.
    #[must_use]
    pub fn sizes_without(&self, ids: &HashSet<String>) -> (usize, usize, usize) {
        let gone: Vec<bool> =
            (0..self.customers.len()).map(|n| self.customer(n).is_none_or(|(_, id)| ids.contains(id))).collect();
        let there = |at: &u32| self.row(*at).is_some_and(|row| gone.get(row.customer as usize) == Some(&false));
        let (numbers, odd) = self.places.split_at_checked(self.numbers()).unwrap_or_default();
        let count = |places: &[u32]| places.iter().filter(|at| there(at)).count();
        (gone.iter().filter(|gone| !**gone).count(), count(numbers), count(odd))
    }

    fn hit<'a>(&'a self, row: &Row<'a>) -> Option<Hit<'a>> {
        let (kind, id) = self.customer(row.customer as usize)?;
        let field = self.head.fields.get(row.field as usize)?;
        let spelled = if row.spelled.is_empty() { row.number } else { row.spelled };
        Some(Hit { id, kind, field, spelled })
    }

    fn customer(&self, n: usize) -> Option<(&str, &str)> {
        let from = *self.customers.get(n)? as usize;
        let to = self.customers.get(n + 1).map_or(self.text.len(), |to| *to as usize);
        let (kind, id) = self.text.get(from..to)?.split_first()?;
        Some((self.head.kinds.get(*kind as usize)?, std::str::from_utf8(id).ok()?))
    }

    fn row(&self, at: u32) -> Option<Row<'_>> {
        let rest = self.rows.get(at as usize..)?;
        let (customer, rest) = rest.split_first_chunk::<4>()?;
        let (field, rest) = rest.split_first()?;
        let (number, rest) = counted(rest)?;
        let (spelled, _) = counted(rest)?;
        Some(Row { customer: u32::from_le_bytes(*customer), field: *field, number, spelled })
    }

    /// The file: a line of JSON, four sections, and the SHA-256 of all that.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(&self.head).unwrap_or_default();
        bytes.reserve(self.bytes() + 64);
        bytes.push(b'\n');
        for list in [&self.customers, &self.places] {
            bytes.extend(list.iter().flat_map(|n| n.to_le_bytes()));
        }
        bytes.extend(&self.text);
        bytes.extend(&self.rows);
        let sum = Sha256::digest(&bytes);
        bytes.extend(sum);
        bytes
    }

    /// # Errors
    /// A fragment: it is damaged, or another version's.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, &'static str> {
        const DAMAGED: &str = "it is damaged";
        let (all, sum) = bytes.split_last_chunk::<32>().ok_or(DAMAGED)?;
        if <[u8; 32]>::from(Sha256::digest(all)) != *sum {
            return Err(DAMAGED);
        }
        let end = all.iter().position(|b| *b == b'\n').ok_or(DAMAGED)?;
        let head: Head = serde_json::from_slice(all.get(..end).ok_or(DAMAGED)?).map_err(|_| DAMAGED)?;
        if head.format != FORMAT {
            return Err("it is of another version");
        }
        let mut rest = all.get(end + 1..).ok_or(DAMAGED)?;
        let mut take = |n: usize| -> Result<&[u8], &'static str> {
            let (taken, left) = rest.split_at_checked(n).ok_or(DAMAGED)?;
            rest = left;
            Ok(taken)
        };
        let words = |bytes: &[u8]| -> Vec<u32> {
            bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect()
        };
        let customers = words(take(head.customers as usize * 4)?);
        let places = words(take((head.numbers + head.odd) as usize * 4)?);
        let text = take(head.text)?.to_vec();
        let rows = take(head.rows)?.to_vec();
        Ok(Self { head, customers, text, places, rows })
    }
}

struct Row<'a> {
    customer: u32,
    field: u8,
    number: &'a str,
    spelled: &'a str,
}

fn counted(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = bytes.split_first()?;
    let (text, rest) = rest.split_at_checked(*length as usize)?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

/// At most 255 bytes, cut between characters.
fn push_counted(rows: &mut Vec<u8>, text: &str) {
    let end = (0..=text.len().min(255)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let text = text.get(..end).unwrap_or_default();
    rows.push(u8::try_from(text.len()).unwrap_or(0));
    rows.extend(text.as_bytes());
}

/// A table being made. Each customer comes once.
pub struct Builder {
    table: Table,
    /// Of what is no number; they go behind the others.
    odd: Vec<u32>,
}

impl Default for Builder {
    fn default() -> Self {
        let head = Head { format: FORMAT.to_owned(), ..Head::default() };
        let table = Table { head, customers: Vec::new(), text: Vec::new(), places: Vec::new(), rows: Vec::new() };
        Self { table, odd: Vec::new() }
    }
}

impl Builder {
    /// A customer; what is added next is this one's.
    pub fn customer(&mut self, kind: &str, id: &str) {
        let table = &mut self.table;
        table.customers.push(u32::try_from(table.text.len()).unwrap_or(u32::MAX));
        table.text.push(place(&mut table.head.kinds, kind));
        table.text.extend(id.as_bytes());
    }

    /// A number of the customer who came last; `None` where nothing can be made of what is written.
    pub fn number(&mut self, field: &str, number: Option<&str>, spelled: &str) {
        let table = &mut self.table;
        let at = u32::try_from(table.rows.len()).unwrap_or(u32::MAX);
        let customer = u32::try_from(table.customers.len()).unwrap_or(u32::MAX).saturating_sub(1);
        table.rows.extend(customer.to_le_bytes());
        table.rows.push(place(&mut table.head.fields, field));
        push_counted(&mut table.rows, number.unwrap_or_default());
        push_counted(&mut table.rows, if number == Some(spelled) { "" } else { spelled });
        if number.is_some() {
            table.places.push(at);
        } else {
            self.odd.push(at);
        }
    }

    /// All of a table but these customers.
    pub fn take(&mut self, from: &Table, except: &HashSet<String>) {
        // Rows of one customer lie together, in the order in which customers came; some have none.
        let mut at = 0_u32;
        for n in 0..from.customers.len() {
            let Some((kind, id)) = from.customer(n) else { return };
            let taken = !except.contains(id);
            if taken {
                self.customer(kind, id);
            }
            while let Some(row) = from.row(at).filter(|row| row.customer as usize == n) {
                let length = 4 + 1 + 1 + row.number.len() + 1 + row.spelled.len();
                at = at.saturating_add(u32::try_from(length).unwrap_or(u32::MAX));
                if taken {
                    let field = from.head.fields.get(row.field as usize).map_or("", String::as_str);
                    let spelled = if row.spelled.is_empty() { row.number } else { row.spelled };
                    self.number(field, Some(row.number).filter(|n| !n.is_empty()), spelled);
                }
            }
        }
    }

    /// # Errors
    /// There is more than a table can hold: 4 GiB.
    pub fn finish(self, made: Made) -> Result<Table, String> {
        let Self { mut table, odd } = self;
        if table.rows.len() > LARGEST || table.text.len() > LARGEST {
            return Err("an index holds 4 GiB at most".to_owned());
        }
        let mut places = std::mem::take(&mut table.places);
        places.sort_unstable_by(|a, b| {
            let number = |at: &u32| table.row(*at).map(|row| row.number);
            number(a).cmp(&number(b)).then(a.cmp(b))
        });
        table.head.numbers = u32::try_from(places.len()).unwrap_or(u32::MAX);
        table.head.odd = u32::try_from(odd.len()).unwrap_or(u32::MAX);
        places.extend(odd);
        places.shrink_to_fit();
        table.places = places;
        table.customers.shrink_to_fit();
        table.text.shrink_to_fit();
        table.rows.shrink_to_fit();
        table.head.customers = u32::try_from(table.customers.len()).unwrap_or(u32::MAX);
        table.head.text = table.text.len();
        table.head.rows = table.rows.len();
        table.head.made = Some(made);
        Ok(table)
    }
}

/// Where a word stands in a short list; the 256th and later fall on the last.
fn place(list: &mut Vec<String>, word: &str) -> u8 {
    let at = list.iter().position(|w| w == word).unwrap_or_else(|| {
        if list.len() < 256 {
            list.push(word.to_owned());
        }
        list.len() - 1
    });
    u8::try_from(at).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> Made {
        Made { from: "x".to_owned(), at: Wall(1_000), took_ms: 5 }
    }

    fn small() -> Table {
        let mut builder = Builder::default();
        builder.customer("customer", "1");
        builder.number("mobile", Some("+8613800138000"), "13800138000");
        builder.number("landline", Some("+8657187654321"), "0571-8765 4321");
        builder.customer("contact", "9");
        builder.number("mobile", Some("+8613900008888"), "１３９００００８８８８");
        builder.number("mobile", None, "see office");
        builder.customer("customer", "4");
        builder.number("mobile", Some("+8613800138000"), "+8613800138000");
        builder.finish(made()).unwrap()
    }

    fn ids<'a>(table: &'a Table, number: &'a str) -> Vec<&'a str> {
        table.find(number).map(|hit| hit.id).collect()
    }

    #[test]
    fn a_number_gives_all_who_have_it_and_nobody_else() {
        let table = small();
        assert_eq!(ids(&table, "+8613800138000"), ["1", "4"]);
        let hit = table.find("+8613900008888").next().unwrap();
        assert_eq!(hit, Hit { id: "9", kind: "contact", field: "mobile", spelled: "１３９００００８８８８" });
        for nobody in ["", "+", "+86138001380", "+8613800138001", "+861380013800000", "~", "see office"] {
            assert!(ids(&table, nobody).is_empty(), "{nobody}");
        }
        assert_eq!((table.customers(), table.numbers(), table.odd()), (3, 4, 1));
        assert_eq!(table.odd_ones().map(|hit| (hit.id, hit.spelled)).collect::<Vec<_>>(), [("9", "see office")]);
    }

    #[test]
    fn a_file_is_read_back_and_a_damaged_one_is_refused_wherever_the_damage_is() {
        let table = small();
        let bytes = table.to_bytes();
        let back = Table::from_bytes(&bytes).unwrap();
        assert_eq!(ids(&back, "+8613800138000"), ["1", "4"]);
        assert_eq!((back.made(), back.odd()), (Some(&made()), 1));
        assert_eq!(back.to_bytes(), bytes);
        for at in 0..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[at] ^= 1;
            assert!(Table::from_bytes(&wrong).is_err(), "byte {at}");
            assert!(Table::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_table_is_taken_over_without_some_customers() {
        let table = small();
        let mut builder = Builder::default();
        builder.take(&table, &HashSet::from(["1".to_owned()]));
        builder.customer("customer", "1");
        builder.number("mobile", Some("+8613700137000"), "13700137000");
        let next = builder.finish(made()).unwrap();
        assert_eq!(ids(&next, "+8613800138000"), ["4"]);
        assert_eq!(ids(&next, "+8613700137000"), ["1"]);
        assert_eq!(next.find("+8613800138000").next().unwrap().spelled, "+8613800138000");
        assert!(ids(&next, "+8657187654321").is_empty());
        assert_eq!((next.numbers(), next.odd()), (3, 1));
        let empty = Builder::default().finish(made()).unwrap();
        assert!(ids(&Table::from_bytes(&empty.to_bytes()).unwrap(), "+8613800138000").is_empty());
    }

    proptest::proptest! {
        #[test]
        fn it_finds_what_a_plain_list_finds(rows in proptest::collection::vec((0_u8..40, 0_u8..12), 0..120)) {
            let mut builder = Builder::default();
            for (customer, (number, field)) in rows.iter().enumerate() {
                builder.customer("customer", &customer.to_string());
                builder.number(&field.to_string(), Some(&format!("+86{number}")), "as written");
            }
            let table = builder.finish(made()).unwrap();
            for number in 0..41 {
                let wanted: Vec<String> = rows.iter().enumerate().filter(|(_, r)| r.0 == number).map(|(c, _)| c.to_string()).collect();
                let number = format!("+86{number}");
                proptest::prop_assert_eq!(ids(&table, &number), wanted);
            }
        }
    }
}
