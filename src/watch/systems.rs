//! The figures of business systems for `/metrics`: over the last five minutes, so that they are right without any arithmetic at the other end.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

use super::alerts::{Rule, judge::Judge};
use crate::connectors::{Standing, beside::Kind, limits::gate::Quota};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Asked {
    pub system: String,
    pub operation: String,
    pub outcome: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Time {
    pub system: String,
    pub operation: String,
    pub quantile: &'static str,
}

/// `operation` is empty for the whole system.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Part {
    pub system: String,
    pub operation: String,
}

/// `limit`: a window's seconds, or `told`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Limit {
    pub system: String,
    pub operation: String,
    pub limit: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Alert {
    pub alert: String,
    pub subject: String,
}

type Ratio = Gauge<f64, AtomicU64>;

#[derive(Clone, Debug, Default)]
pub struct Figures {
    asked: Family<Asked, Gauge>,
    seconds: Family<Time, Ratio>,
    success: Family<Part, Ratio>,
    matched: Family<Part, Ratio>,
    limits: Family<Limit, Ratio>,
    left_alone: Family<Part, Gauge>,
    clock: Family<super::System, Ratio>,
    drift: Family<super::System, Gauge>,
    certificate: Family<super::System, Gauge>,
    stopped: Family<super::System, Gauge>,
    alerts: Family<Alert, Gauge>,
    /// The same, for boards.
    firing: Arc<Mutex<Vec<Firing>>>,
}

/// An alert that fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firing {
    pub alert: String,
    /// By language; empty where the rule has none.
    pub title: BTreeMap<String, String>,
    pub subject: String,
}

impl Figures {
    pub fn register(&self, registry: &mut Registry) {
        registry.register("system_asked", "Questions of the last 5 minutes by how they ended", self.asked.clone());
        registry.register("system_answer_seconds", "Time to an answer, of the last 5 minutes", self.seconds.clone());
        registry.register(
            "system_success_ratio",
            "Questions that did not fail, of the last 5 minutes",
            self.success.clone(),
        );
        registry.register("system_match_ratio", "Callers found, of the last 5 minutes", self.matched.clone());
        registry.register("system_limit_used_ratio", "How much of a limit is used", self.limits.clone());
        registry.register("system_left_alone", "Whether a breaker is open", self.left_alone.clone());
        registry.register("system_clock_apart_seconds", "The system's clock less ours", self.clock.clone());
        registry.register("system_version_drift", "Whether it is another version than expected", self.drift.clone());
        registry.register(
            "system_certificate_end_seconds",
            "When its certificate ends, Unix time",
            self.certificate.clone(),
        );
        registry.register("system_canary_stopped", "Whether a canary is stopped", self.stopped.clone());
        registry.register("alerts", "What fires now", self.alerts.clone());
    }

    /// Puts what is now in place of what was: a system that a reload took away is gone.
    pub fn set(&self, standing: &[Standing]) {
        self.asked.clear();
        self.seconds.clear();
        self.success.clear();
        self.matched.clear();
        self.limits.clear();
        self.left_alone.clear();
        self.clock.clear();
        self.drift.clear();
        self.certificate.clear();
        self.stopped.clear();
        for one in standing {
            let system = one.system.to_string();
            let part = |operation: Option<&str>| Part {
                system: system.clone(),
                operation: operation.unwrap_or_default().to_owned(),
            };
            for (name, figure) in &one.figures {
                let asked = figure.asked();
                if asked == 0 {
                    continue;
                }
                for (outcome, n) in &figure.ended {
                    let label =
                        Asked { system: system.clone(), operation: (*name).to_owned(), outcome: (*outcome).to_owned() };
                    self.asked.get_or_create(&label).set(i64::try_from(*n).unwrap_or(i64::MAX));
                }
                self.success.get_or_create(&part(Some(name))).set(1.0 - figure.failed() as f64 / asked as f64);
                for (quantile, of) in [("0.5", 0.5), ("0.95", 0.95), ("0.99", 0.99)] {
                    if let Some(ms) = figure.times.quantile(of) {
                        let label = Time { system: system.clone(), operation: (*name).to_owned(), quantile };
                        self.seconds.get_or_create(&label).set(ms as f64 / 1000.0);
                    }
                }
                if let (matched, of @ 1..) = figure.matched()
                    && *name == "customer.by_phone"
                {
                    self.matched.get_or_create(&part(Some(name))).set(matched as f64 / of as f64);
                }
            }
            for used in &one.used {
                let limit = match used.what {
                    Quota::Window { per_s } => per_s.to_string(),
                    Quota::Told => "told".to_owned(),
                };
                let operation = used.operation.unwrap_or_default().to_owned();
                let label = Limit { system: system.clone(), operation, limit };
                self.limits.get_or_create(&label).set(used.used as f64 / used.of.max(1) as f64);
            }
            for (operation, shown) in &one.breakers {
                self.left_alone.get_or_create(&part(*operation)).set(i64::from(shown.state != "closed"));
            }
            let label = super::System { system: system.clone() };
            if one.version.told.is_some() || one.version.drift.is_some() {
                self.drift.get_or_create(&label).set(i64::from(one.version.drift.is_some()));
            }
            if let Some(end) = one.certificate_ends {
                self.certificate.get_or_create(&label).set(end.0 / 1000);
            }
            if let Some(beside) = one.beside.as_ref().filter(|beside| beside.kind == Kind::Canary) {
                self.stopped.get_or_create(&label).set(i64::from(beside.stopped.is_some()));
            }
            if let Some(ms) = one.apart_ms {
                self.clock.get_or_create(&super::System { system: system.clone() }).set(ms as f64 / 1000.0);
            }
        }
    }

    pub fn fire(&self, judge: &Judge, rules: &[Rule]) {
        self.alerts.clear();
        for (alert, subject) in judge.firing() {
            let label = Alert { alert: alert.to_owned(), subject: subject.to_owned() };
            self.alerts.get_or_create(&label).set(1);
        }
        let title =
            |id: &str| rules.iter().find(|rule| rule.id == id).map_or_else(BTreeMap::new, |rule| rule.title.clone());
        let firing = judge.firing().map(|(alert, subject)| Firing {
            alert: alert.to_owned(),
            title: title(alert),
            subject: subject.to_owned(),
        });
        let firing = firing.collect();
        *self.firing.lock().unwrap_or_else(PoisonError::into_inner) = firing;
    }

    /// What fires now.
    #[must_use]
    pub fn firing(&self) -> Vec<Firing> {
        self.firing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
