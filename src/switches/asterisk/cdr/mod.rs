//! Asterisk's own call detail records as a file: `cdr_csv` (Master.csv), or `cdr_custom` with columns of one's own.
//!
//! Seen on 22.10.1: fields in double quotes with quotes doubled inside, numbers bare; times in the machine's zone unless `usegmtime=yes`; a row
//! is written when its pair of channels is over, in batch mode (cdr.conf) some minutes later.

pub mod live;

use std::path::PathBuf;

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
    /// The file as this machine sees it.
    pub cdr_csv: PathBuf,
    /// What stands in its columns, in order; the default is that of `cdr_csv`.
    #[serde(default = "columns")]
    pub columns: Vec<Column>,
    /// The times in it are UTC (`usegmtime=yes`), not of the switch's `zone`.
    #[serde(default)]
    pub utc: bool,
}

impl Records {
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
    let needed = |column: Column| get(column).ok_or(BadLine::Empty(place(column).unwrap_or(0) + 1));
    let time = |column: Column| {
        let text = needed(column)?;
        moment(&text, zone).ok_or(BadLine::Time(place(column).unwrap_or(0) + 1))
    };
    let (start, end) = (time(Column::Start)?, time(Column::End)?);
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
