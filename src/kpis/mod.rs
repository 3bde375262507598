//! What the records of a time come to, in figures with their definitions beside them.
//!
//! Records are taken one at a time and kept as counts and histograms, so a day and a year take the same memory. What is not known gives no figure: a share has the number of cases that it is of,
//! and what cannot be told for a group (nobody gave up with an agent who had not answered) is left out there. Every output (text, JSON, CSV, a page) takes the words of
//! [`definitions`], so that no figure means two things.
//!
//! Still: the store's reader is handed in, and so is the time.

mod again;
mod answer;
mod callers;
mod compare;
mod definitions;
mod figures;
mod gather;
mod query;
mod seen;
mod settings;
mod sheet;
mod spread;
mod tally;
#[cfg(test)]
mod tests;
mod today;

pub use answer::{Answer, Compared, Figure, Group, Interval, Method, Percentiles, Verdict};
pub use callers::{Before, Callers, DAYS};
pub use definitions::{Definition, Unit, Words, definitions, table};
pub use figures::Id;
pub use gather::{Refused, Sight, Site, answer};
pub use query::{Asked, Dimension, Problem, Query, Span, by_day};
pub use seen::Seen;
pub use settings::{Limits, Settings};
pub use sheet::{csv, text};
pub use spread::Spread;
pub use tally::Tally;
pub use today::{Count, Day, Mine, Today, Written};

/// A call that was in hand for less is nobody's verdict: fewer cases on a side of a comparison prove nothing.
pub const CASES: u64 = 30;
