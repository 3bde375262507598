//! What is answered: figures, each with the number of cases that it is of.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    definitions::{Definition, Unit},
    figures::Id,
    query::{Dimension, Span},
};

/// The figures of a time, as a whole and by groups, with what every figure means.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Answer {
    pub span: Span,
    /// The IANA zone in which a day is a day.
    pub zone: String,
    pub by: Vec<Dimension>,
    /// Only calls of these.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub of: BTreeMap<Dimension, Vec<String>>,
    /// Records that could not be read; they are in no figure.
    #[serde(default, skip_serializing_if = "is_none")]
    pub unreadable: u64,
    /// Of every so many customer contacts one was followed (`fcr_contact`, `fcr_ticket`), so that memory stays bounded; 1: all.
    pub followed_one_in: u64,
    pub whole: Vec<Figure>,
    pub groups: Vec<Group>,
    /// The time that it is compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Span>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub compared: Vec<Compared>,
    pub definitions: Vec<Definition>,
}

fn is_none(n: &u64) -> bool {
    *n == 0
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Group {
    /// What the group is of, in the order of `by`; null where the record does not say.
    pub key: BTreeMap<Dimension, Option<String>>,
    pub figures: Vec<Figure>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub compared: Vec<Compared>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Figure {
    pub figure: Id,
    pub unit: Unit,
    /// Absent: there is no case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Cases that it is of.
    pub n: u64,
    /// Of times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percentiles: Option<Percentiles>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// What it is made of, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parts: BTreeMap<String, u64>,
}

/// Milliseconds. Median and p90 are exact to 1/64.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Percentiles {
    pub mean: f64,
    pub median: u64,
    pub p90: u64,
    pub longest: u64,
}

/// Where the true value lies, 95 times in 100.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
    pub method: Method,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Of a share (Wilson 1927).
    Wilson,
    /// Of the median, by the ranks between which it lies (binomial).
    MedianByRanks,
    /// Of a mean or of a difference of two shares of one sample, by its standard error.
    Normal,
    /// Of a difference of two shares, from both Wilson intervals (Newcombe 1998, method 10).
    Newcombe,
    /// Of a difference of two medians, from both intervals by ranks (Price and Bonett 2002).
    PriceBonett,
}

/// One figure in two times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Compared {
    pub figure: Id,
    pub before: Figure,
    pub after: Figure,
    /// After less before; of times, of the median.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// Absent where chance cannot be told from change (plain counts, occupancy).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Higher,
    Lower,
    /// The difference may be chance.
    NotShown,
    /// Fewer than 30 cases on a side.
    TooFew,
}

impl Figure {
    #[must_use]
    pub fn new(figure: Id, unit: Unit, n: u64, value: Option<f64>) -> Self {
        Self { figure, unit, value, n, percentiles: None, interval: None, parts: BTreeMap::new() }
    }

    #[must_use]
    pub fn with(mut self, interval: Option<Interval>) -> Self {
        self.interval = interval;
        self
    }

    #[must_use]
    pub fn of(mut self, parts: impl IntoIterator<Item = (&'static str, u64)>) -> Self {
        self.parts.extend(parts.into_iter().map(|(name, n)| (name.to_owned(), n)));
        self
    }
}
