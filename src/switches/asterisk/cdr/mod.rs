//! Asterisk's own call detail records: a file of `cdr_csv` (Master.csv) or `cdr_custom` with columns of one's own, or the table of
//! `cdr_sqlite3_custom` (master.db).
//!
//! Seen on 22.10.1: fields in double quotes with quotes doubled inside, numbers bare; times in the machine's zone unless `usegmtime=yes`; a row
//! is written when its pair of channels is over, in batch mode (cdr.conf) some minutes later. The table's columns are what the site wrote into
//! cdr_sqlite3_custom.conf, all texts but for its first, an INTEGER PRIMARY KEY; its times are of the machine's zone.

pub mod live;

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    calls::missed::{Disposition, Row},
    private::Private,
    words::Wall,
};

use super::ami;

/// Where the switch's own records lie.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Records {
    /// The file of `cdr_csv` or `cdr_custom` as this machine sees it. Either this or `cdr_sqlite`.
    #[serde(default)]
    pub cdr_csv: Option<PathBuf>,
    /// The database of `cdr_sqlite3_custom` as this machine sees it. Its columns are known by their names.
    #[serde(default)]
    pub cdr_sqlite: Option<PathBuf>,
    /// The table in it (`[master]`, `table =>`).
    #[serde(default = "table")]
    pub table: String,
    /// What stands in the file's columns, in order; the default is that of `cdr_csv`.
    #[serde(default = "columns")]
    pub columns: Vec<Column>,
    /// The times in it are UTC (`usegmtime=yes`), not of the switch's `zone`.
    #[serde(default)]
    pub utc: bool,
}

impl Records {
    /// The file or the database.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.cdr_csv.as_deref().or(self.cdr_sqlite.as_deref()).unwrap_or(Path::new(""))
    }

    /// In which zone its times are; `None` if this machine does not know the switch's.
    #[must_use]
    pub fn zone(&self, switch: &str) -> Option<jiff::tz::TimeZone> {
        if self.utc { Some(jiff::tz::TimeZone::UTC) } else { jiff::tz::TimeZone::get(switch).ok() }
    }
}

/// A column by the name that Asterisk gives it. Others are `other`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Column {
    AccountCode,
    Src,
    Dst,
    DContext,
    Clid,
    Channel,
    DstChannel,
    LastApp,
    LastData,
    Start,
    Answer,
    End,
    Duration,
    BillSec,
    Disposition,
    AmaFlags,
    UniqueId,
    UserField,
    PeerAccount,
    LinkedId,
    Sequence,
    Other,
}

impl Column {
    /// The column that a table calls so: the words of `${CDR(...)}`, and `calldate`, as tables call `start`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let name = if name == "calldate" { "start" } else { &name };
        Self::deserialize(serde::de::value::StrDeserializer::<serde::de::value::Error>::new(name)).ok()
    }
}

/// Columns without which a row tells nothing.
pub const NEEDED: [Column; 6] =
    [Column::Channel, Column::DstChannel, Column::Start, Column::End, Column::Disposition, Column::UniqueId];

/// Longest line; fields end at 256 characters in Asterisk, but for user fields.
pub const LINE_CAP: usize = 16 * 1024;

/// Why a line is no record. Says nothing of what stands in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLine {
    #[error("a quote is not closed")]
    Quote,
    #[error("{found} fields, at least {wanted} are needed (for uniqueid: loguniqueid=yes in cdr.conf)")]
    Fields { found: usize, wanted: usize },
    #[error("column {0} holds no time like 2026-11-25 08:00:00")]
    Time(usize),
    #[error("column {0} is empty")]
    Empty(usize),
    #[error("it is longer than 16 KiB")]
    TooLong,
    #[error("its {0} is empty")]
    NoValue(&'static str),
    #[error("its {0} is no time like 2026-11-25 08:00:00")]
    NoTime(&'static str),
}

fn table() -> String {
    "cdr".to_owned()
}

fn columns() -> Vec<Column> {
    use Column as C;
    vec![
        C::AccountCode,
        C::Src,
        C::Dst,
        C::DContext,
        C::Clid,
        C::Channel,
        C::DstChannel,
        C::LastApp,
        C::LastData,
        C::Start,
        C::Answer,
        C::End,
        C::Duration,
        C::BillSec,
        C::Disposition,
        C::AmaFlags,
        C::UniqueId,
        C::UserField,
        C::PeerAccount,
        C::LinkedId,
        C::Sequence,
    ]
}

/// One line, without its end, as a row.
///
/// # Errors
/// It is none.
pub fn row(records: &Records, zone: &jiff::tz::TimeZone, line: &[u8]) -> Result<Row, BadLine> {
    if line.len() > LINE_CAP {
        return Err(BadLine::TooLong);
    }
    // Names come in GBK where they are no UTF-8; the separators are the same in both.
    let fields = fields(&ami::text(line))?;
    let place = |column: Column| records.columns.iter().position(|c| *c == column);
    let wanted = NEEDED.iter().filter_map(|c| place(*c)).max().unwrap_or(0) + 1;
    if fields.len() < wanted {
        return Err(BadLine::Fields { found: fields.len(), wanted });
    }
    let get = |column: Column| {
        place(column).and_then(|at| fields.get(at)).map(|f| f.trim()).filter(|f| !f.is_empty()).map(str::to_owned)
    };
    let at = |column: Column| place(column).unwrap_or(0) + 1;
    made(get, zone).map_err(|missing| match missing {
        Missing::Value(column) => BadLine::Empty(at(column)),
        Missing::Time(column) => BadLine::Time(at(column)),
    })
}

/// What a row lacks.
enum Missing {
    Value(Column),
    Time(Column),
}

/// A row of what its columns hold, without blanks around it; an empty one holds nothing.
fn made(get: impl Fn(Column) -> Option<String>, zone: &jiff::tz::TimeZone) -> Result<Row, Missing> {
    let needed = |column: Column| get(column).ok_or(Missing::Value(column));
    let time = |column: Column| moment(&needed(column)?, zone).ok_or(Missing::Time(column));
    let start = time(Column::Start)?;
    // A table need not keep the end; then it has the duration in seconds.
    let end = match (get(Column::End), get(Column::Duration).and_then(|d| d.parse::<i64>().ok())) {
        (None, Some(seconds)) => start.plus_ms(seconds.clamp(0, 10_000_000).saturating_mul(1_000)),
        _ => time(Column::End)?,
    };
    Ok(Row {
        id: needed(Column::UniqueId)?,
        linked: get(Column::LinkedId),
        channel: needed(Column::Channel)?,
        other: get(Column::DstChannel).unwrap_or_default(),
        number: get(Column::Src).map(Private::new),
        dialled: get(Column::Dst).map(Private::new),
        application: get(Column::LastApp).unwrap_or_default(),
        data: Private::new(get(Column::LastData).unwrap_or_default()),
        start,
        end: end.max(start),
        disposition: match get(Column::Disposition).as_deref() {
            Some("ANSWERED" | "ANSWER") => Disposition::Answered,
            Some("FAILED" | "CONGESTION") => Disposition::Failed,
            _ => Disposition::Other,
        },
    })
}

/// One row of a table whose columns were [`Column::named`], as texts.
///
/// # Errors
/// It is none.
pub fn table_row(columns: &[Option<Column>], values: &[String], zone: &jiff::tz::TimeZone) -> Result<Row, BadLine> {
    let get = |column: Column| {
        let at = columns.iter().position(|c| *c == Some(column))?;
        values.get(at).map(|v| v.trim()).filter(|v| !v.is_empty()).map(str::to_owned)
    };
    let name = |column: Column| match column {
        Column::Start => "start",
        Column::End => "end",
        Column::UniqueId => "uniqueid",
        _ => "channel",
    };
    made(get, zone).map_err(|missing| match missing {
        Missing::Value(column) => BadLine::NoValue(name(column)),
        Missing::Time(column) => BadLine::NoTime(name(column)),
    })
}

/// `2026-11-22 11:44:06`, with or without a fraction.
fn moment(text: &str, zone: &jiff::tz::TimeZone) -> Option<Wall> {
    let time: jiff::civil::DateTime = text.parse().ok()?;
    Some(Wall(time.to_zoned(zone.clone()).ok()?.timestamp().as_millisecond()))
}

fn fields(line: &str) -> Result<Vec<String>, BadLine> {
    let mut out = Vec::new();
    let mut field = String::new();
    let mut quoted = false;
    let mut chars = line.trim_end_matches('\r').chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => out.push(std::mem::take(&mut field)),
            c => field.push(c),
        }
    }
    if quoted {
        return Err(BadLine::Quote);
    }
    out.push(field);
    Ok(out)
}
