//! Numbers of people and lines: class, E.164, extension.

use serde::{Deserialize, Serialize};

use crate::private::Private;

/// What kind of number it is; the words of `numbers/cases.csv`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    Mobile,
    Geographic,
    /// 400, 1010xxxx: the caller pays part.
    SharedCost,
    TollFree,
    ServiceCode,
    Extension,
    Emergency,
    International,
    /// Withheld: there is no number.
    Anonymous,
    Unknown,
}

/// A number as it came, and what we made of it. Two numbers are the same line when their `e164` are equal,
/// else when their digits are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Number {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<Private<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub e164: Option<Private<String>>,
    pub class: Class,
    /// An extension behind the number (`021-61234567 ext 12`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ext: Option<Private<String>>,
}

/// How numbers are read at one switch: country, area, and which are internal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// ISO 3166 alpha-2, for example `CN`.
    pub country: String,
    /// Area code without the trunk zero, for example `21`.
    pub area: Option<String>,
}
