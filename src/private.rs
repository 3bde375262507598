//! The wrapper for anything personal. Callers are people: numbers, names, notes and tokens live in
//! [`Private`], which does not print unless asked by name; [`Secret`] cannot even be serialised.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A value that logs, metrics and errors must not show. `Debug` prints a placeholder and there is no
/// `Display`; serde writes it as it is, because records and frames are where it belongs.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Private<T>(T);

impl<T> Private<T> {
    pub const fn new(value: T) -> Self {
        Self(value)
    }
    /// The one door: every use of it is a place where personal data goes on purpose.
    pub const fn expose(&self) -> &T {
        &self.0
    }
    pub fn into_inner(self) -> T {
        self.0
    }
}
impl<T> From<T> for Private<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}
impl From<&str> for Private<String> {
    fn from(value: &str) -> Self {
        Self(value.to_owned())
    }
}
impl<T> fmt::Debug for Private<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(private)")
    }
}

/// A password, key or token. It comes by reference (file, environment, systemd credential), prints as a
/// placeholder and is never serialised.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    #[must_use]
    pub const fn new(value: String) -> Self {
        Self(value)
    }
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}
