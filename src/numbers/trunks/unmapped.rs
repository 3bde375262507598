//! Numbers that were called and have no row: each is told once, and kept with its count for the admin.

use std::collections::HashMap;

use crate::words::{SwitchId, Wall};

/// A switch that is scanned from outside must not fill our memory: more than a site has lines, and a page can show.
const MOST: usize = 1000;

/// A number that calls came to and that no row of trunks.yaml takes. It is a line of the site's own, no person's number.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Line {
    pub switch: SwitchId,
    /// As the switch names the endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trunk: Option<String>,
    /// E.164, a short code, or the digits as they came.
    pub dialled: String,
    pub calls: u64,
    #[schemars(with = "String")]
    pub first: Wall,
    #[schemars(with = "String")]
    pub last: Wall,
}

/// All of them since the start.
#[derive(Debug, Default)]
pub struct Unmapped {
    lines: HashMap<(SwitchId, String), Line>,
}

impl Unmapped {
    /// A call to a number that has no row. `true` where this number is new and is to be told.
    pub fn seen(&mut self, now: Wall, switch: &SwitchId, trunk: Option<&str>, dialled: &str) -> bool {
        let key = (switch.clone(), dialled.to_owned());
        if let Some(line) = self.lines.get_mut(&key) {
            line.calls += 1;
            line.last = now;
            return false;
        }
        if self.lines.len() >= MOST {
            return false;
        }
        let (trunk, dialled) = (trunk.map(str::to_owned), dialled.to_owned());
        self.lines.insert(key, Line { switch: switch.clone(), trunk, dialled, calls: 1, first: now, last: now });
        true
    }

    /// The rows changed: what has none still is told again.
    pub fn clear(&mut self) {
        self.lines.clear();
    }

    /// Most called first.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        let mut all: Vec<Line> = self.lines.values().cloned().collect();
        all.sort_by(|a, b| b.calls.cmp(&a.calls).then_with(|| (&a.switch, &a.dialled).cmp(&(&b.switch, &b.dialled))));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_told_once_and_counted_each_time() {
        let mut unmapped = Unmapped::default();
        let mut seen = |at, dialled: &str| unmapped.seen(Wall(at), &"pbx1".into(), Some("PJSIP/trunk"), dialled);
        assert!(seen(1, "+862161230001"));
        assert!(!seen(2, "+862161230001"));
        assert!(seen(3, "+862161230002"));
        let lines = unmapped.lines();
        assert_eq!(
            lines.iter().map(|l| (l.dialled.as_str(), l.calls)).collect::<Vec<_>>(),
            [("+862161230001", 2), ("+862161230002", 1)]
        );
        assert_eq!((lines[0].first, lines[0].last), (Wall(1), Wall(2)));
        unmapped.clear();
        assert!(unmapped.seen(Wall(4), &"pbx1".into(), None, "+862161230001"));
    }

    #[test]
    fn a_scan_fills_nothing() {
        let mut unmapped = Unmapped::default();
        let told = (0..5000).filter(|n| unmapped.seen(Wall(0), &"pbx1".into(), None, &n.to_string())).count();
        assert_eq!((told, unmapped.lines().len()), (MOST, MOST));
    }
}
