//! Counts and judges: the figures behind `/metrics`.
//!
//! Rooms keep their own counters where things happen; this room names them for Prometheus in one place, so that a dashboard
//! survives a refactoring. No label ever holds personal data; tenant, switch, system, outcome and stage are all there is.

pub mod alerts;
pub mod hour;
pub mod systems;
pub mod trace;

use std::sync::{Arc, Mutex};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::numbers::trunks::unmapped::Unmapped;
pub use trace::{Trace, Traces};

/// How long the stories of calls are kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Days for which `linecard explain --call` can tell of a call; 0: none is kept. A call takes about 2 kB.
    pub keep_days: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { keep_days: 14 }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Stage {
    pub stage: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Link {
    pub switch: String,
    pub feed: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Lookup {
    pub system: String,
    pub outcome: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct System {
    pub system: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Tenant {
    pub tenant: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct State {
    pub state: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Kind {
    pub kind: String,
}

/// All figures. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Seconds from the switch's bytes in hand to: `concluded` (the book changed), `framed` (the pop frame given to the shard).
    pub pop_seconds: Family<Stage, Histogram>,
    pub pops: Counter,
    /// 1 up, 0 down.
    pub link_up: Family<Link, Gauge>,
    pub link_events: Family<Link, Gauge>,
    pub link_dropped: Family<Link, Gauge>,
    pub link_reconnects: Family<Link, Gauge>,
    pub devices_unknown: Family<Link, Gauge>,
    pub devices_unregistered: Family<Link, Gauge>,
    pub link_refused: Family<Link, Gauge>,
    pub link_resyncs: Family<Link, Gauge>,
    pub lookups: Family<Lookup, Gauge>,
    pub webhooks: Family<Lookup, Counter>,
    /// The indexes of numbers: what they hold, how old it is, how long the last whole walk took, walks that failed one after the other.
    pub index_customers: Family<System, Gauge>,
    pub index_numbers: Family<System, Gauge>,
    pub index_unreadable: Family<System, Gauge>,
    pub index_age_seconds: Family<System, Gauge>,
    pub index_walk_seconds: Family<System, Gauge>,
    pub index_failures: Family<System, Gauge>,
    pub outbox: Family<State, Gauge>,
    pub outbox_oldest_seconds: Gauge,
    pub flows_open: Gauge,
    pub flows_person: Gauge,
    pub consistency_errors: Family<Kind, Gauge>,
    pub agents: Gauge,
    pub screens: Gauge,
    pub calls_open: Gauge,
    /// Customers to be called back, and for how long the oldest waits.
    pub callbacks_open: Family<Tenant, Gauge>,
    pub callbacks_oldest_seconds: Family<Tenant, Gauge>,
    pub records: Counter,
    /// Calls to a dialled number that no row of trunks.yaml takes.
    pub unmapped: Counter,
    /// The numbers themselves, for the admin: a label each would let a scan from outside fill the figures.
    pub unmapped_lines: Arc<Mutex<Unmapped>>,
    /// Records made of the switch's own, because nobody watched the call.
    pub missed: Counter,
    /// Agents who were not ready for longer than their reason allows.
    pub overruns: Counter,
    /// Lines of switches' own records that could not be read.
    pub bad_lines: Counter,
    /// Seconds in which a switch was not watched over any feed.
    pub unwatched_seconds: Counter,
    /// Frames of agents that were refused, by the code they were told.
    pub refused: Family<Kind, Counter>,
    pub reloads: Family<Kind, Counter>,
    /// Business systems over the last minutes, and what fires.
    pub systems: systems::Figures,
    /// Business systems, minute by minute, for the console.
    pub hour: hour::Hour,
    /// Links to recordings, what players asked and got, and what was too old.
    pub recordings: Family<Kind, Gauge>,
}

impl Metrics {
    /// How many differences of a kind are open.
    #[must_use]
    pub fn consistency(&self, kind: &str) -> Gauge {
        self.consistency_errors.get_or_create_owned(&Kind { kind: kind.to_owned() })
    }

    /// The figures and the registry that prints them.
    #[must_use]
    pub fn new() -> (Self, Registry) {
        let metrics = Self {
            // 16 us to 8 s: a pop within the process is tens of microseconds, a stuck one is seconds.
            pop_seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.000_016, 2.0, 20))),
            pops: Counter::default(),
            link_up: Family::default(),
            link_events: Family::default(),
            link_dropped: Family::default(),
            link_reconnects: Family::default(),
            devices_unknown: Family::default(),
            devices_unregistered: Family::default(),
            link_refused: Family::default(),
            link_resyncs: Family::default(),
            lookups: Family::default(),
            webhooks: Family::default(),
            index_customers: Family::default(),
            index_numbers: Family::default(),
            index_unreadable: Family::default(),
            index_age_seconds: Family::default(),
            index_walk_seconds: Family::default(),
            index_failures: Family::default(),
            outbox: Family::default(),
            outbox_oldest_seconds: Gauge::default(),
            flows_open: Gauge::default(),
            flows_person: Gauge::default(),
            consistency_errors: Family::default(),
            agents: Gauge::default(),
            screens: Gauge::default(),
            calls_open: Gauge::default(),
            callbacks_open: Family::default(),
            callbacks_oldest_seconds: Family::default(),
            records: Counter::default(),
            unmapped: Counter::default(),
            unmapped_lines: Arc::default(),
            missed: Counter::default(),
            overruns: Counter::default(),
            bad_lines: Counter::default(),
            unwatched_seconds: Counter::default(),
            refused: Family::default(),
            reloads: Family::default(),
            systems: systems::Figures::default(),
            hour: hour::Hour::default(),
            recordings: Family::default(),
        };
        let mut registry = Registry::with_prefix("linecard");
        let m = &metrics;
        registry.register("pop_seconds", "From switch bytes in hand to the stage", m.pop_seconds.clone());
        registry.register("pops", "Pop frames given to agents", m.pops.clone());
        registry.register("link_up", "Whether a switch link is up", m.link_up.clone());
        registry.register("link_events", "Events read from a switch", m.link_events.clone());
        registry.register("link_dropped", "Events dropped because the core was behind", m.link_dropped.clone());
        registry.register("link_reconnects", "Times a switch link was made again", m.link_reconnects.clone());
        registry.register(
            "devices_unknown",
            "Devices that are watched and of which nothing is known",
            m.devices_unknown.clone(),
        );
        registry.register(
            "devices_unregistered",
            "Devices that are known to have no phone",
            m.devices_unregistered.clone(),
        );
        registry.register("link_refused", "What came over a link and was refused", m.link_refused.clone());
        registry.register("link_resyncs", "Snapshots taken of a switch", m.link_resyncs.clone());
        registry.register("lookups", "Lookups by system and outcome", m.lookups.clone());
        registry.register("webhooks", "Webhooks that came, by system and what became of them", m.webhooks.clone());
        registry.register("index_customers", "Customers in the index of numbers", m.index_customers.clone());
        registry.register("index_numbers", "Numbers in the index", m.index_numbers.clone());
        registry.register("index_unreadable", "Stored numbers that are none", m.index_unreadable.clone());
        registry.register("index_age_seconds", "Age of what the index knows", m.index_age_seconds.clone());
        registry.register("index_walk_seconds", "Time of the last whole walk", m.index_walk_seconds.clone());
        registry.register("index_failures", "Walks that failed since one was good", m.index_failures.clone());
        registry.register("outbox", "Effects by state", m.outbox.clone());
        registry.register(
            "outbox_oldest_seconds",
            "Age of the oldest effect not yet done",
            m.outbox_oldest_seconds.clone(),
        );
        registry.register("flows_open", "Flows that are not over", m.flows_open.clone());
        registry.register("flows_person", "Flows that wait for a person", m.flows_person.clone());
        registry.register(
            "consistency_errors",
            "What our records, a switch or a business system tell differently, and nobody mended or accepted",
            m.consistency_errors.clone(),
        );
        registry.register("agents", "Agents with a screen", m.agents.clone());
        registry.register("screens", "Agent connections", m.screens.clone());
        registry.register("calls_open", "Calls going on", m.calls_open.clone());
        registry.register("callbacks_open", "Customers to be called back", m.callbacks_open.clone());
        registry.register(
            "callbacks_oldest_seconds",
            "For how long the oldest of them waits",
            m.callbacks_oldest_seconds.clone(),
        );
        registry.register("records", "Call records written", m.records.clone());
        registry.register("unmapped_calls", "Calls to a number without a trunk row", m.unmapped.clone());
        registry.register("agent_overruns", "Agents not ready for longer than their reason allows", m.overruns.clone());
        registry.register("missed_calls", "Records made of the switch's own (quality gap)", m.missed.clone());
        registry.register("cdr_bad_lines", "Lines of switches' own records that are none", m.bad_lines.clone());
        registry.register("unwatched_seconds", "Time without any link to a switch", m.unwatched_seconds.clone());
        registry.register("refused_frames", "Agent frames refused, by code", m.refused.clone());
        registry.register("reloads", "Reloads of the settings, by outcome", m.reloads.clone());
        registry.register("recordings", "Links to recordings, players and what was too old", m.recordings.clone());
        m.systems.register(&mut registry);
        (metrics, registry)
    }
}

/// The text of `/metrics` (OpenMetrics).
#[must_use]
pub fn render(registry: &Registry) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail; the encoder's error type comes from fmt.
    let _ = text::encode(&mut text, registry);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_has_a_name_under_linecard() {
        let (metrics, registry) = Metrics::new();
        metrics.pop_seconds.get_or_create(&Stage { stage: "framed" }).observe(0.000_050);
        metrics.link_up.get_or_create(&Link { switch: "pbx1".into(), feed: "ami".into() }).set(1);
        let text = render(&registry);
        assert!(
            text.contains("linecard_pop_seconds_bucket{le=\"6.4e-5\",stage=\"framed\"} 1")
                || text.contains("linecard_pop_seconds_count{stage=\"framed\"} 1"),
            "{text}"
        );
        assert!(text.contains("linecard_link_up{switch=\"pbx1\",feed=\"ami\"} 1"), "{text}");
        assert!(text.trim_end().ends_with("# EOF"));
    }
}
