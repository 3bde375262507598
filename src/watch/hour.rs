//! How each business system stood in the last hour, a point a minute: what looking beats reading for.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    connectors::Standing,
    words::{SystemId, Wall},
};

const POINTS: usize = 60;
const MINUTE_MS: u64 = 60_000;

/// The five minutes up to a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Point {
    #[schemars(with = "String")]
    pub at: Wall,
    pub asked: u64,
    pub failed: u64,
    /// Milliseconds, of the slowest operation; absent: nothing was answered.
    pub p50_ms: Option<u64>,
    pub p95_ms: Option<u64>,
    /// Callers that were found, of those that were asked for and answered.
    pub found: u64,
    pub callers: u64,
}

impl Point {
    fn of(at: Wall, one: &Standing) -> Self {
        let mut point = Self { at, asked: 0, failed: 0, p50_ms: None, p95_ms: None, found: 0, callers: 0 };
        for (name, figure) in &one.figures {
            point.asked += figure.asked();
            point.failed += figure.failed();
            point.p50_ms = point.p50_ms.max(figure.times.quantile(0.5));
            point.p95_ms = point.p95_ms.max(figure.times.quantile(0.95));
            if *name == "customer.by_phone" {
                (point.found, point.callers) = figure.matched();
            }
        }
        point
    }
}

/// Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Hour(Arc<Mutex<BTreeMap<SystemId, VecDeque<Point>>>>);

impl Hour {
    /// Keeps a point of each system if a minute is over; a system that a reload took away is gone.
    pub fn take(&self, at: Wall, standing: &[Standing]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|system, _| standing.iter().any(|one| one.system == *system));
        for one in standing {
            let points = kept.entry(one.system.clone()).or_default();
            // A clock that was set back begins anew: points stand in order.
            if points.back().is_some_and(|last| last.at > at) {
                points.clear();
            }
            if points.back().is_none_or(|last| at.since(last.at) >= MINUTE_MS) {
                points.push_back(Point::of(at, one));
                points.drain(..points.len().saturating_sub(POINTS));
            }
        }
    }

    /// Oldest first.
    #[must_use]
    pub fn all(&self) -> BTreeMap<SystemId, Vec<Point>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().map(|(system, points)| (system.clone(), points.iter().cloned().collect())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connectors::{Ask, Connectors, Outcome, Priority, Set, load};

    const FILE: &str = "connector: crm\nschema: 1\nbase_url: http://127.0.0.1:9\noperations:\n  check:\n    steps: [{name: ask, path: /, outcome: [{status: [200], is: ok}]}]\n    output: {id: body.id}\n";

    #[tokio::test]
    async fn a_point_a_minute_for_an_hour_and_none_of_what_is_gone() {
        let system = load("crm.yaml", FILE).unwrap_or_else(|problems| panic!("{problems:?}"));
        let connectors = Connectors::new(Set::new(vec![system]));
        let ask = Ask {
            tenant: "default".into(),
            system: "crm".into(),
            operation: "check".to_owned(),
            inputs: serde_json::Map::new(),
            deadline: std::time::Duration::from_secs(5),
            priority: Priority::Pop,
        };
        assert!(matches!(connectors.run(ask).await, Outcome::Busy { .. }), "nobody listens there");
        let (hour, standing) = (Hour::default(), connectors.standing());
        for second in 0..7_200 {
            hour.take(Wall(second * 1000), &standing);
        }
        let points = hour.all().remove(&SystemId::from("crm")).unwrap();
        assert_eq!((points.len(), points[0].at, points[59].at), (60, Wall(3_600_000), Wall(7_140_000)));
        assert_eq!((points[0].asked, points[0].failed, points[0].callers), (1, 1, 0));
        hour.take(Wall(5_000), &standing);
        assert_eq!(hour.all()[&SystemId::from("crm")].len(), 1, "the clock was set back");
        hour.take(Wall(70_000), &[]);
        assert_eq!(hour.all().len(), 0);
    }
}
