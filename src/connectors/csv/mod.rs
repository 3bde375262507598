//! A table in a file, still: read whole and found by the values of its columns.
//!
//! What is kept is the file's text, where each row begins, and for each column that is looked up a sorted list of hashes: 12 bytes a row and column beside the text. A
//! row is taken apart when it is asked for. A number is found in whatever spelling it stands, by the key that the index of numbers uses.

pub mod live;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use encoding_rs::{DecoderResult, Encoding};
use serde_json::{Map, Value as Json};

use super::index;
use crate::numbers::Plan;

/// How a file is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    pub path: String,
    pub charset: &'static Encoding,
    pub delimiter: u8,
    pub quote: u8,
    /// Absent: the first row names the columns.
    pub columns: Option<Vec<String>>,
    /// The columns that are looked up.
    pub find_by: Vec<(String, By)>,
    pub most: u64,
    pub numbers: Plan,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// A phone number, in any spelling.
    Number,
    /// The text, without spaces around it.
    Text,
}

/// A question to the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    pub step: String,
    pub which: Which,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Which {
    /// The rows of which one of these columns has this value.
    Where(Map<String, Json>),
    /// So many rows from this one on.
    From(u64, u64),
}

/// Where a file is faulty. Never a cell's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub line: u64,
    /// Counted in bytes for a character that is none, else in cells.
    pub column: u64,
    pub why: String,
}

/// A table that was read whole.
pub struct Table {
    text: String,
    columns: Vec<String>,
    /// Where each row begins.
    starts: Vec<u32>,
    finds: Vec<Found>,
    spec: Spec,
}

/// A column that is looked up: hashes, sorted, and beside each its row.
struct Found {
    column: usize,
    by: By,
    hashes: Vec<u64>,
    rows: Vec<u32>,
}

impl Table {
    /// # Errors
    /// The first thing that is wrong with the file.
    pub fn read(bytes: Vec<u8>, spec: &Spec) -> Result<Self, Fault> {
        let text = decoded(&bytes, spec.charset)?;
        drop(bytes);
        let fault = |line: u64, column: usize, why: String| Fault { line, column: column as u64, why };
        if u32::try_from(text.len()).is_err() {
            return Err(fault(0, 0, "the file is larger than 4 GiB".to_owned()));
        }
        let mut reader = reader(spec).from_reader(text.as_bytes());
        let mut record = csv::ByteRecord::new();
        let mut columns = spec.columns.clone().unwrap_or_default();
        let wrong = |error: csv::Error| {
            let line = error.position().map_or(0, csv::Position::line);
            match error.kind() {
                csv::ErrorKind::UnequalLengths { expected_len, len, .. } => fault(
                    line,
                    usize::try_from(*len).unwrap_or_default(),
                    format!("the row has {len} cells, not {expected_len}"),
                ),
                _ => fault(line, 0, "the row cannot be read".to_owned()),
            }
        };
        if spec.columns.is_none() {
            reader.read_byte_record(&mut record).map_err(wrong)?;
            columns = record.iter().map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect();
        }
        for (at, name) in columns.iter().enumerate() {
            if name.is_empty() || columns.iter().take(at).any(|other| other == name) {
                return Err(fault(1, at + 1, format!("the column's name \"{name}\" is empty, or there twice")));
            }
        }
        let mut finds = Vec::new();
        for (name, by) in &spec.find_by {
            let Some(column) = columns.iter().position(|column| column == name) else {
                return Err(fault(1, 0, format!("there is no column \"{name}\"")));
            };
            finds.push((column, *by, Vec::new()));
        }
        let mut starts = Vec::new();
        let mut line = 1;
        while reader.read_byte_record(&mut record).map_err(wrong)? {
            if record.len() != columns.len() {
                let why = format!("the row has {} cells, not {}", record.len(), columns.len());
                return Err(fault(record.position().map_or(0, csv::Position::line), record.len(), why));
            }
            let row = u32::try_from(starts.len()).unwrap_or(u32::MAX);
            let (byte, at) = record.position().map_or((0, 0), |position| (position.byte(), position.line()));
            line = at;
            for (column, by, hashes) in &mut finds {
                let cell = record.get(*column).and_then(|cell| std::str::from_utf8(cell).ok()).unwrap_or_default();
                if let Some(hash) = hash(cell, *by, &spec.numbers) {
                    hashes.push((hash, row));
                }
            }
            starts.push(u32::try_from(byte).unwrap_or(u32::MAX));
        }
        // The library takes what stands behind a quote that nobody closes for a cell.
        let last = starts.last().and_then(|start| text.get(*start as usize..)).unwrap_or_default();
        if last.bytes().filter(|byte| *byte == spec.quote).count() % 2 == 1 {
            return Err(fault(line, 0, "a quote is not closed".to_owned()));
        }
        let finds = finds.into_iter().map(|(column, by, mut pairs)| {
            pairs.sort_unstable();
            let (hashes, rows) = pairs.into_iter().unzip();
            Found { column, by, hashes, rows }
        });
        let finds = finds.collect();
        Ok(Self { columns, starts, finds, spec: spec.clone(), text })
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// The rows that are asked for, each a map from column to text; at most so many.
    #[must_use]
    pub fn rows(&self, which: &Which, most: usize) -> Vec<Json> {
        match which {
            Which::From(from, count) => {
                let from = usize::try_from(*from).unwrap_or(usize::MAX);
                let count = usize::try_from(*count).unwrap_or(usize::MAX).min(most);
                (from..self.len()).take(count).filter_map(|row| self.row(row)).collect()
            }
            Which::Where(wanted) => {
                let mut rows: Vec<u32> = wanted.iter().flat_map(|(column, value)| self.find(column, value)).collect();
                rows.sort_unstable();
                rows.dedup();
                rows.into_iter().take(most).filter_map(|row| self.row(row as usize)).collect()
            }
        }
    }

    fn find(&self, column: &str, value: &Json) -> Vec<u32> {
        let found = self.finds.iter().find(|found| self.columns.get(found.column).is_some_and(|name| name == column));
        let Some(found) = found else { return Vec::new() };
        let wanted = super::wire::plain(value);
        let Some(key) = key(&wanted, found.by, &self.spec.numbers) else { return Vec::new() };
        let Some(hash) = hash(&wanted, found.by, &self.spec.numbers) else { return Vec::new() };
        let from = found.hashes.partition_point(|other| *other < hash);
        let same = found.hashes.iter().skip(from).take_while(|other| **other == hash).count();
        let rows = found.rows.get(from..from + same).unwrap_or_default();
        // Two values may have one hash.
        let is = |row: &&u32| {
            let record = self.record(**row as usize);
            let cell = record.as_ref().and_then(|record| record.get(found.column));
            cell.and_then(|cell| self::key(cell, found.by, &self.spec.numbers)).is_some_and(|other| other == key)
        };
        rows.iter().filter(is).copied().collect()
    }

    fn record(&self, row: usize) -> Option<csv::StringRecord> {
        let start = *self.starts.get(row)? as usize;
        let end = self.starts.get(row + 1).map_or(self.text.len(), |end| *end as usize);
        let mut record = csv::StringRecord::new();
        let one = self.text.get(start..end)?;
        reader(&self.spec)
            .buffer_capacity(one.len().max(1))
            .from_reader(one.as_bytes())
            .read_record(&mut record)
            .ok()?;
        Some(record)
    }

    fn row(&self, row: usize) -> Option<Json> {
        let record = self.record(row)?;
        Some(Json::Object(self.columns.iter().zip(&record).map(|(name, cell)| (name.clone(), cell.into())).collect()))
    }
}

fn reader(spec: &Spec) -> csv::ReaderBuilder {
    let mut builder = csv::ReaderBuilder::new();
    builder.has_headers(false).delimiter(spec.delimiter).quote(spec.quote);
    builder
}

/// What a cell is found by; nothing where it is empty, or no number.
fn key(cell: &str, by: By, numbers: &Plan) -> Option<String> {
    let cell = cell.trim();
    match by {
        _ if cell.is_empty() => None,
        By::Number => index::line(&numbers.read(cell)),
        By::Text => Some(cell.to_owned()),
    }
}

fn hash(cell: &str, by: By, numbers: &Plan) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    key(cell, by, numbers)?.hash(&mut hasher);
    Some(hasher.finish())
}

fn decoded(bytes: &[u8], charset: &'static Encoding) -> Result<String, Fault> {
    let mut decoder = charset.new_decoder_with_bom_removal();
    let size = decoder.max_utf8_buffer_length_without_replacement(bytes.len()).unwrap_or(bytes.len());
    let mut text = String::with_capacity(size);
    let (result, read) = decoder.decode_to_string_without_replacement(bytes, &mut text, true);
    if result == DecoderResult::InputEmpty {
        // Of Chinese text a third of the room is not used.
        text.shrink_to_fit();
        return Ok(text);
    }
    let before = bytes.get(..read).unwrap_or_default();
    let line = before.iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() as u64;
    Err(Fault { line, column, why: format!("a character that is none in {}", charset.name()) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(charset: &str) -> Spec {
        Spec {
            path: String::new(),
            charset: Encoding::for_label(charset.as_bytes()).unwrap(),
            delimiter: b',',
            quote: b'"',
            columns: None,
            find_by: vec![("手机".to_owned(), By::Number), ("code".to_owned(), By::Text)],
            most: 1 << 20,
            numbers: Plan::new("CN", None),
        }
    }

    const TEXT: &str = "code,name,手机\nC1,王小明,138 0013 8000\nC2,\"绍兴\"\"部\"\", 工坊\n二楼\",１３９００００８８８８\nC3,赵六,+86-13800138000\nC4,,\n";

    fn found(table: &Table, column: &str, value: &str) -> Vec<String> {
        let wanted = Map::from_iter([(column.to_owned(), json!(value))]);
        table.rows(&Which::Where(wanted), 100).iter().map(|row| row["code"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn rows_are_found_however_a_number_is_written() {
        let (gbk, _, lossy) = encoding_rs::GBK.encode(TEXT);
        assert!(!lossy);
        for table in [
            Table::read(gbk.to_vec(), &spec("gbk")),
            Table::read(format!("\u{feff}{TEXT}").into_bytes(), &spec("utf-8")),
        ] {
            let table = table.unwrap();
            assert_eq!(table.len(), 4);
            assert_eq!(found(&table, "手机", "13800138000"), ["C1", "C3"]);
            assert_eq!(found(&table, "手机", "+8613900008888"), ["C2"]);
            assert_eq!(found(&table, "code", "C4"), ["C4"]);
            for (column, value) in
                [("手机", "13800138001"), ("手机", ""), ("手机", "x"), ("code", "c4"), ("name", "赵六")]
            {
                assert!(found(&table, column, value).is_empty(), "{column} {value}");
            }
            let rows = table.rows(&Which::From(1, 2), 100);
            assert_eq!(
                rows[0],
                json!({"code": "C2", "name": "绍兴\"部\", 工坊\n二楼", "手机": "１３９００００８８８８"})
            );
            assert_eq!(rows.len(), 2);
            assert!(table.rows(&Which::From(9, 2), 100).is_empty());
        }
    }

    #[test]
    fn a_faulty_file_is_told_with_its_place() {
        for (text, charset, place) in [
            ("code,手机\nC1,1\nC2,1,2\n", "utf-8", (3, 3, "the row has 3 cells, not 2")),
            ("code,name\nC1,1\n", "utf-8", (1, 0, "there is no column \"手机\"")),
            ("code,手机,code\n", "utf-8", (1, 3, "the column's name \"code\" is empty, or there twice")),
            ("code,手机\nC1,1\nC2,\"12\n", "utf-8", (3, 0, "a quote is not closed")),
            ("", "utf-8", (1, 0, "there is no column \"手机\"")),
        ] {
            let fault = Table::read(text.as_bytes().to_vec(), &spec(charset)).err().unwrap_or_else(|| panic!("{text}"));
            assert_eq!((fault.line, fault.column, fault.why.as_str()), place, "{text}");
        }
        let mut torn = "code,手机\nC1,".to_owned().into_bytes();
        torn.extend([0xe5, 0xbc, b'\n']);
        let fault = Table::read(torn, &spec("utf-8")).err().unwrap();
        assert_eq!((fault.line, fault.why.as_str()), (2, "a character that is none in UTF-8"));
    }

    #[test]
    fn a_file_without_a_head_has_the_names_that_its_settings_say() {
        let spec = Spec {
            columns: Some(vec!["code".to_owned(), "手机".to_owned()]),
            delimiter: b';',
            quote: b'\'',
            ..spec("utf-8")
        };
        let table = Table::read(b"C1;'138 0013 8000'\r\nC2;\r\n".to_vec(), &spec).unwrap();
        assert_eq!(found(&table, "手机", "13800138000"), ["C1"]);
        assert_eq!(table.len(), 2);
    }
}
