//! The tail of a file or a table of records: what was added since the last look, through rotation and a restart of ours.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{BadLine, Column, LINE_CAP, Records, row, table_row};
use crate::{calls::missed::Row, switches::asterisk::ami, words::Wall};

/// Up to where a file was read. Durable together with what was made of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Of a table: 0.
    pub inode: u64,
    /// Of a table: the highest row id that was read.
    pub offset: u64,
    /// Lines before it, to name a bad one.
    pub lines: u64,
    /// Of the bytes before it, so that another file under the same inode is not taken for this one.
    pub mark: String,
}

/// What one look found.
#[derive(Debug, Default)]
pub struct Found {
    pub rows: Vec<Row>,
    /// File, line and why.
    pub bad: Vec<(PathBuf, u64, BadLine)>,
    pub position: Position,
    /// The file that was read last time is not there any more: what was written into it after that is not known.
    pub torn: bool,
    /// There is more than was read in this look.
    pub more: bool,
}

/// Bytes read in one look; 64 MiB are about 300,000 rows.
const LOOK: u64 = 64 << 20;
/// Bytes before a position that its mark is made of.
const MARK: u64 = 256;

/// Reads on from `from`; without it nothing, only where the end is now: what happened before we were first here is not ours to tell.
///
/// # Errors
/// The file cannot be read.
pub fn look(records: &Records, zone: &jiff::tz::TimeZone, from: Option<&Position>) -> io::Result<Found> {
    if let Some(path) = &records.cdr_sqlite {
        return table(records, zone, path, from).map_err(io::Error::other);
    }
    let path = records.path();
    let now = match (File::open(path), from) {
        (Ok(now), Some(_)) => now,
        (Ok(_), None) => return Ok(Found { position: end(path)?, ..Found::default() }),
        // No record yet, or none since it was rotated.
        (Err(e), from) if e.kind() == io::ErrorKind::NotFound && path.parent().is_some_and(Path::is_dir) => {
            return Ok(Found { position: from.cloned().unwrap_or_default(), ..Found::default() });
        }
        (Err(e), _) => return Err(e),
    };
    let Some(from) = from else { return Ok(Found::default()) };
    let mut found = Found { position: from.clone(), ..Found::default() };
    let meta = now.metadata()?;
    if meta.ino() == from.inode && meta.len() >= from.offset && mark(path, from.offset)? == from.mark {
        read(records, zone, path, &mut found)?;
        return Ok(found);
    }
    // Renamed beside (logrotate), or copied and cut.
    match rotated(path, from)? {
        Some(old) => read(records, zone, &old, &mut found)?,
        None => found.torn = from.offset > 0,
    }
    if !found.more {
        found.position = Position { inode: meta.ino(), ..Position::default() };
        found.position.mark = mark(path, 0)?;
        read(records, zone, path, &mut found)?;
    }
    Ok(found)
}

/// A part of the records that is compressed and not read.
#[derive(Debug)]
pub struct Compressed {
    pub path: PathBuf,
    /// When it was written last.
    pub at: Wall,
}

/// All records that ended in this time, of the file as it is and of those beside it that logrotate renamed since; and those files that are compressed, which are not read.
///
/// # Errors
/// The file cannot be read.
pub fn whole(
    records: &Records,
    zone: &jiff::tz::TimeZone,
    (from, to): (Wall, Wall),
) -> io::Result<(Vec<Row>, Vec<Compressed>)> {
    let within = |rows: Vec<Row>| rows.into_iter().filter(move |row| (from..=to).contains(&row.end));
    let mut rows = Vec::new();
    if let Some(path) = &records.cdr_sqlite {
        let mut position = Position::default();
        loop {
            let found = table(records, zone, path, Some(&position)).map_err(io::Error::other)?;
            rows.extend(within(found.rows));
            position = found.position;
            if !found.more {
                return Ok((rows, Vec::new()));
            }
        }
    }
    let path = records.path();
    let (mut files, mut compressed) = (Vec::new(), Vec::new());
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for entry in std::fs::read_dir(path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")))? {
        let entry = entry?;
        let other = entry.file_name().to_string_lossy().into_owned();
        let meta = entry.metadata()?;
        // Written last before that time: nothing in it ended in it.
        let old = meta.mtime().saturating_add(1).saturating_mul(1000) < from.0;
        let beside = other == name || other.strip_prefix(&name).is_some_and(|rest| rest.starts_with(['.', '-']));
        if !meta.is_file() || old || !beside {
            continue;
        }
        match [".gz", ".xz", ".zst", ".bz2"].iter().any(|ending| other.ends_with(ending)) {
            true => compressed.push(Compressed { path: entry.path(), at: Wall(meta.mtime().saturating_mul(1000)) }),
            false => files.push(entry.path()),
        }
    }
    for file in files {
        let mut found = Found::default();
        loop {
            found.more = false;
            read(records, zone, &file, &mut found)?;
            rows.extend(within(std::mem::take(&mut found.rows)));
            // Told when the file is followed.
            found.bad.clear();
            if !found.more {
                break;
            }
        }
    }
    Ok((rows, compressed))
}

/// For `check --probe`: whether the file is there and its last line is what the settings say.
///
/// # Errors
/// Why it is of no use.
pub fn probe(records: &Records, zone: &str) -> Result<String, String> {
    let path = records.path().display();
    let zone = records.zone(zone).ok_or_else(|| format!("records: the time zone {zone} is not known here"))?;
    if records.cdr_sqlite.is_some() {
        let from = look(records, &zone, None).map_err(|e| format!("records: cannot read {path}: {e}"))?.position;
        let last = Position { offset: from.offset.saturating_sub(1), ..from };
        let found = look(records, &zone, Some(&last)).map_err(|e| format!("records: cannot read {path}: {e}"))?;
        return match (found.rows.last(), found.bad.last()) {
            (Some(_), _) => Ok(format!("records: {path}: {} rows, records are in it", found.position.offset)),
            (None, Some((.., why))) => Err(format!("records: {path}: its last row is no record: {why}")),
            (None, None) => Ok(format!("records: {path} is empty")),
        };
    }
    if !records.path().exists() && records.path().parent().is_some_and(Path::is_dir) {
        return Ok(format!("records: {path} is not there yet: the switch makes it with its first record"));
    }
    let whole = end(records.path()).map_err(|e| format!("records: cannot read {path}: {e}"))?;
    let back = Position { offset: whole.offset.saturating_sub(LINE_CAP as u64), ..whole.clone() };
    let mut found = Found { position: back, ..Found::default() };
    read(records, &zone, records.path(), &mut found).map_err(|e| format!("records: cannot read {path}: {e}"))?;
    match (found.rows.last(), found.bad.last()) {
        (Some(_), _) => Ok(format!("records: {path}: {} lines, records are in it", whole.lines)),
        (None, Some((.., why))) => Err(format!("records: {path}: its last line is no record: {why}")),
        (None, None) => Ok(format!("records: {path} is empty")),
    }
}

/// The end of a file's last whole line.
fn end(path: &Path) -> io::Result<Position> {
    let file = File::open(path)?;
    let inode = file.metadata()?.ino();
    let (mut offset, mut lines) = (0, 0);
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        if line.ends_with(b"\n") {
            offset += line.len() as u64;
            lines += 1;
        }
        line.clear();
    }
    Ok(Position { inode, offset, lines, mark: mark(path, offset)? })
}

/// The file that `from` is about, under another name in the same folder.
fn rotated(path: &Path, from: &Position) -> io::Result<Option<PathBuf>> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        if meta.is_file() && meta.len() >= from.offset && from.offset > 0 {
            let same = mark(&entry.path(), from.offset).is_ok_and(|m| m == from.mark);
            if same && entry.path() != path {
                return Ok(Some(entry.path()));
            }
        }
    }
    Ok(None)
}

fn mark(path: &Path, offset: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let from = offset.saturating_sub(MARK);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(offset - from).read_to_end(&mut bytes)?;
    Ok(Sha256::digest(&bytes).iter().take(8).map(|b| format!("{b:02x}")).collect())
}

/// Whole lines from the position on; half a line at the end is left for the next look.
fn read(records: &Records, zone: &jiff::tz::TimeZone, path: &Path, found: &mut Found) -> io::Result<()> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(found.position.offset))?;
    let mut reader = BufReader::new(file);
    let began = found.position.offset;
    let mut line = Vec::new();
    loop {
        line.clear();
        // A line that never ends must not fill the memory.
        let n = (&mut reader).take(LINE_CAP as u64 * 4).read_until(b'\n', &mut line)?;
        if n == 0 || !line.ends_with(b"\n") {
            if n as u64 == LINE_CAP as u64 * 4 {
                found.bad.push((path.to_owned(), found.position.lines + 1, BadLine::TooLong));
                found.position.offset += n as u64;
                continue;
            }
            break;
        }
        found.position.offset += n as u64;
        found.position.lines += 1;
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        if !text.trim_ascii().is_empty() {
            match row(records, zone, text) {
                Ok(row) => found.rows.push(row),
                Err(why) => found.bad.push((path.to_owned(), found.position.lines, why)),
            }
        }
        if found.position.offset - began >= LOOK {
            found.more = true;
            break;
        }
    }
    found.position.mark = mark(path, found.position.offset)?;
    Ok(())
}

/// Rows of a table that are read in one look.
const ROWS: u64 = 100_000;

/// The same from the table of `cdr_sqlite3_custom`, whose rows are numbered. A table that was made anew counts from 1: then it is torn.
fn table(
    records: &Records,
    zone: &jiff::tz::TimeZone,
    path: &Path,
    from: Option<&Position>,
) -> Result<Found, rusqlite::Error> {
    use rusqlite::{Connection, OpenFlags, types::ValueRef};
    // The switch has not written its first record yet.
    if !path.exists() && path.parent().is_some_and(Path::is_dir) {
        return Ok(Found { position: from.cloned().unwrap_or_default(), ..Found::default() });
    }
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    // The switch writes while we read.
    db.busy_timeout(std::time::Duration::from_secs(1))?;
    let name = records.table.replace('"', "\"\"");
    let last: Option<i64> = db.query_row(&format!("SELECT max(rowid) FROM \"{name}\""), [], |row| row.get(0))?;
    let last = u64::try_from(last.unwrap_or(0)).unwrap_or(0);
    let Some(from) = from else {
        let position = Position { offset: last, lines: last, ..Position::default() };
        return Ok(Found { position, ..Found::default() });
    };
    let mut found = Found { torn: last < from.offset, ..Found::default() };
    let after = if found.torn { 0 } else { from.offset };
    found.position = Position { offset: after, lines: after, ..Position::default() };
    let sql = format!("SELECT rowid, * FROM \"{name}\" WHERE rowid > ?1 ORDER BY rowid LIMIT {ROWS}");
    let mut query = db.prepare(&sql)?;
    let columns: Vec<Option<Column>> = query.column_names().skip(1).map(Column::named).collect();
    let mut rows = query.query([i64::try_from(after).unwrap_or(i64::MAX)])?;
    while let Some(read) = rows.next()? {
        let number = u64::try_from(read.get::<_, i64>(0)?).unwrap_or(0);
        let text = |at: usize| match read.get_ref(at + 1) {
            Ok(ValueRef::Text(text) | ValueRef::Blob(text)) if text.len() <= LINE_CAP => ami::text(text).into_owned(),
            Ok(ValueRef::Integer(number)) => number.to_string(),
            Ok(ValueRef::Real(number)) => number.to_string(),
            _ => String::new(),
        };
        let values: Vec<String> = (0..columns.len()).map(text).collect();
        match table_row(&columns, &values, zone) {
            Ok(row) => found.rows.push(row),
            Err(why) => found.bad.push((path.to_owned(), number, why)),
        }
        (found.position.offset, found.position.lines) = (number, number);
    }
    found.more = found.position.offset < last;
    Ok(found)
}
