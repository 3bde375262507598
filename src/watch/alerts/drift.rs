//! What something said it is, and that it says something else now: a switch or a system that was upgraded behaves otherwise, and nobody tells the call centre.

use serde::{Deserialize, Serialize};

use crate::{connectors::version::Range, words::Wall};

/// A change is told for a day.
const NEWS_MS: u64 = 86_400_000;

/// What one thing last said of its version; kept over a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    version: String,
    since: Wall,
    before: Option<String>,
}

impl Known {
    #[must_use]
    pub fn new(version: &str, at: Wall) -> Self {
        Self { version: version.to_owned(), since: at, before: None }
    }

    pub fn saw(&mut self, version: &str, at: Wall) {
        if self.version != version {
            let before = std::mem::replace(&mut self.version, version.to_owned());
            (self.before, self.since) = (Some(before), at);
        }
    }

    /// Why it is worth a look, if it is.
    #[must_use]
    pub fn drift(&self, tested: Option<&Range>, at: Wall) -> Option<String> {
        let version = &self.version;
        let outside = tested.filter(|range| !range.holds(version));
        let changed = self.before.as_ref().filter(|_| at.since(self.since) < NEWS_MS);
        match (outside, changed) {
            (Some(range), Some(before)) => {
                Some(format!("it is {version} now and was {before}; {range} is what Linecard was tried with"))
            }
            (Some(range), None) => Some(format!("it is {version}; {range} is what Linecard was tried with")),
            (None, Some(before)) => Some(format!("it is {version} now and was {before}")),
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_news_for_a_day_and_a_version_nobody_tried_for_as_long_as_it_runs() {
        let tested = Range { from: "16".to_owned(), to: "22".to_owned() };
        let hour = |n: i64| Wall(n * 3_600_000);
        let mut known = Known::new("Asterisk 22.10.1", hour(0));
        assert_eq!(known.drift(Some(&tested), hour(0)), None);
        known.saw("Asterisk 22.10.1", hour(1));
        known.saw("Asterisk 22.11.0", hour(2));
        assert_eq!(
            known.drift(Some(&tested), hour(3)).as_deref(),
            Some("it is Asterisk 22.11.0 now and was Asterisk 22.10.1")
        );
        assert_eq!(known.drift(Some(&tested), hour(27)), None);
        known.saw("Asterisk 23.0.0", hour(28));
        let told = known.drift(Some(&tested), hour(28)).unwrap();
        assert!(told.contains("was Asterisk 22.11.0; 16 to 22 is what"), "{told}");
        assert!(known.drift(Some(&tested), hour(1000)).unwrap().starts_with("it is Asterisk 23.0.0; 16 to 22"));
        assert_eq!(known.drift(None, hour(1000)), None);
    }
}
