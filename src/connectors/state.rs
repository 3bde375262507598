//! How a system stands, for figures, alerts and the command line.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    beside,
    figures::Figure,
    limits::{
        breaker::Shown,
        gate::{Quota, Used},
    },
    version,
};
use crate::words::{SystemId, Wall};

#[derive(Clone, Debug)]
pub struct Standing {
    pub system: SystemId,
    /// The system's own, and those of operations that have one.
    pub breakers: Vec<(Option<&'static str>, Shown)>,
    pub used: Vec<Used>,
    /// By operation, over the last five minutes.
    pub figures: BTreeMap<&'static str, Figure>,
    /// Its clock less ours.
    pub apart_ms: Option<i64>,
    pub version: version::Shown,
    /// When the certificate ends that it last showed.
    pub certificate_ends: Option<Wall>,
    /// How it stands beside another.
    pub beside: Option<beside::live::Shown>,
}

impl Standing {
    #[must_use]
    pub fn json(&self) -> Value {
        let breakers = self.breakers.iter().map(|(operation, shown)| {
            json!({"operation": operation, "state": shown.state, "since": shown.since, "until": shown.until, "why": shown.why})
        });
        let limits = self.used.iter().map(|used| {
            let per_s = match used.what {
                Quota::Window { per_s } => Some(per_s),
                Quota::Told => None,
            };
            json!({"operation": used.operation, "per_s": per_s, "used": used.used, "of": used.of})
        });
        let operations: Map<String, Value> = self
            .figures
            .iter()
            .map(|(name, figure)| {
                let quantile = |part| figure.times.quantile(part);
                let mut shown = json!({
                    "asked": figure.asked(), "failed": figure.failed(), "ended": figure.ended,
                    "p50_ms": quantile(0.5), "p95_ms": quantile(0.95), "p99_ms": quantile(0.99),
                });
                if *name == "customer.by_phone" {
                    let (matched, of) = figure.matched();
                    shown["matched"] = json!(matched);
                    shown["answered"] = json!(of);
                }
                ((*name).to_owned(), shown)
            })
            .collect();
        json!({
            "system": self.system, "breakers": breakers.collect::<Vec<_>>(), "limits": limits.collect::<Vec<_>>(),
            "operations": operations, "clock_apart_ms": self.apart_ms, "version": self.version.json(),
            "certificate_ends": self.certificate_ends,
            "beside": self.beside.as_ref().map(beside::live::Shown::json),
        })
    }
}
