//! Gathers the figures, has them judged, keeps what fires over a restart, and tells it: in the log, in the figures, and through connectors that notify.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    Hook, Mail, Rules, Sample, Signal, Target,
    drift::Known,
    judge::{Judge, Notice},
    trend::Trend,
};
use crate::{
    connectors::{
        Ask, Connectors, Idempotency, Outcome, Priority, Standing, beside::Kind, figures::WINDOW_S,
        limits::gate::Quota, version::Range,
    },
    live::{keep_file, now},
    reconcile::compare,
    records::hooks::{self, live::Sender},
    watch::Metrics,
    words::{SystemId, TenantId, Wall},
};

const EVERY: Duration = Duration::from_secs(10);
const DEADLINE: Duration = Duration::from_secs(8);
/// A notice that could not be told for so long is old news; it stands in the log.
const OWED_MS: u64 = 3_600_000;
const OWED: usize = 500;
/// Characters of a mail's subject.
const SUBJECT: usize = 120;
/// What is usual is a mean over about a day of windows in which enough was asked, and says something after two hours of them.
const USUAL_WINDOWS: f64 = 288.0;
const USUAL_LEAST: u32 = 24;
const USUAL_QUESTIONS: u64 = 10;
const UNMAPPED_MS: u64 = 600_000;
/// A window that is over sooner is no quota: it is full and empty again all the time.
const QUOTA_S: u64 = 300;

/// What is kept over a restart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    judge: Judge,
    /// By system: the usual part of callers that are found.
    usual: BTreeMap<String, Usual>,
    /// What systems and switches said of their versions.
    versions: BTreeMap<String, Known>,
    owed: Vec<Owed>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Usual {
    rate: f64,
    windows: u32,
    at: Wall,
}

/// A notice that one connector was not told yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Owed {
    notice: Notice,
    to: Target,
    since: Wall,
}

/// One switch as it is seen now.
#[derive(Clone, Debug, Default)]
pub struct Switch {
    pub id: String,
    /// Told since the start.
    pub events: u64,
    /// What it calls itself, by the links that say it, each with the versions that were tried.
    pub versions: Vec<(String, Option<Range>)>,
    /// When the certificate ends that it last showed.
    pub certificate_ends: Option<Wall>,
}

pub type Heard = Box<dyn Fn() -> Vec<Switch> + Send + Sync>;

/// Where the figures come from, and where what fires is kept.
pub struct Watcher {
    connectors: Connectors,
    metrics: Metrics,
    switches: Heard,
    rules: Arc<ArcSwap<Rules>>,
    file: PathBuf,
    kept: Kept,
    trends: HashMap<String, Trend>,
    /// By switch: events so far, and since when it is so many.
    heard: HashMap<String, (u64, Wall)>,
    unmapped: VecDeque<(Wall, u64)>,
    /// Our own certificates: whose they are and when they end.
    own: Vec<(String, Wall)>,
    /// How webhooks are told.
    sender: Option<Sender>,
}

impl Watcher {
    /// `folder` exists already or can be made.
    #[must_use]
    pub fn new(
        connectors: Connectors,
        metrics: Metrics,
        switches: Heard,
        rules: Arc<ArcSwap<Rules>>,
        folder: &Path,
    ) -> Self {
        let file = folder.join("alerts.json");
        let kept = match fs::read_to_string(&file) {
            Ok(text) => serde_json::from_str(&text).unwrap_or_else(|error| {
                tracing::warn!(file = %file.display(), %error, "what fired before is not readable; what is bad is told again");
                Kept::default()
            }),
            Err(_) => Kept::default(),
        };
        let (trends, heard, unmapped) = Default::default();
        let (own, sender) = (Vec::new(), None);
        Self { connectors, metrics, switches, rules, file, kept, trends, heard, unmapped, own, sender }
    }

    /// With certificates of our own to look after.
    #[must_use]
    pub fn with_certificates(mut self, own: Vec<(String, Wall)>) -> Self {
        self.own = own;
        self
    }

    /// With the webhooks of webhooks.yaml.
    #[must_use]
    pub fn telling(mut self, sender: Sender) -> Self {
        self.sender = Some(sender);
        self
    }

    pub async fn watch(mut self) {
        let mut clock = tokio::time::interval(EVERY);
        loop {
            clock.tick().await;
            self.look(now().wall).await;
        }
    }

    /// One look. What fires is on disk before anybody is told, so that a restart in between tells it and does not begin anew.
    pub async fn look(&mut self, at: Wall) {
        let before = self.kept.clone();
        let standing = self.connectors.standing();
        self.metrics.systems.set(&standing);
        self.metrics.hour.take(at, &standing);
        let samples = self.samples(&standing, at);
        let rules = self.rules.load_full();
        for notice in self.kept.judge.judge(at, &rules.rules, &rules.zone, &samples) {
            let (alert, text) = (&notice.rule, &notice.text);
            match notice.over {
                false => tracing::warn!(%alert, %text, "an alert"),
                true => tracing::info!(%alert, %text, "an alert is over"),
            }
            for to in &notice.to {
                self.kept.owed.push(Owed { notice: notice.clone(), to: to.clone(), since: at });
            }
        }
        let more = self.kept.owed.len().saturating_sub(OWED);
        self.kept.owed.drain(..more);
        self.metrics.systems.fire(&self.kept.judge, &rules.rules);
        if self.kept != before {
            self.keep().await;
        }
        if !self.kept.owed.is_empty() {
            self.tell(at).await;
            self.keep().await;
        }
    }

    async fn tell(&mut self, at: Wall) {
        let owed = std::mem::take(&mut self.kept.owed);
        let told = owed.into_iter().map(|owed| async {
            let (outcome, keyed) = self.told(&owed.notice, &owed.to).await;
            let again = match &outcome {
                Outcome::Ok(_) | Outcome::Empty => return None,
                Outcome::Busy { .. } | Outcome::RateLimited { .. } | Outcome::AuthExpired { .. } => true,
                // It may have been told; where the system knows our key it is not told twice.
                Outcome::Unknown { .. } => keyed,
                _ => false,
            };
            if again && at.since(owed.since) < OWED_MS {
                return Some(owed);
            }
            tracing::warn!(to = %owed.to, alert = %owed.notice.rule, outcome = outcome.word(), reason = outcome.reason(), "an alert could not be told there");
            None
        });
        let left: Vec<Owed> = futures_util::future::join_all(told).await.into_iter().flatten().collect();
        self.kept.owed = left;
    }

    /// What came of telling it there, and whether it may be told twice without harm.
    async fn told(&self, notice: &Notice, to: &Target) -> (Outcome, bool) {
        let key = notice.key.as_str();
        let inputs = |more: &[(&str, &str)]| {
            let all = [("call", key), ("key", key), ("text", notice.text.as_str())];
            Map::from_iter(all.iter().chain(more).map(|(name, value)| ((*name).to_owned(), Value::from(*value))))
        };
        let (system, operation, inputs) = match to {
            Target::Connector(system) => (system.clone(), "notify", inputs(&[])),
            Target::Mail(Mail { mail, by }) => {
                let subject: String = notice.text.chars().take(SUBJECT).collect();
                (by.clone(), "mail.send", inputs(&[("to", mail), ("subject", &subject)]))
            }
            Target::Webhook(Hook { webhook }) => {
                let word = if notice.over { "alert.over" } else { "alert.firing" };
                let data = json!({"alert": notice.rule, "over": notice.over, "text": notice.text});
                let event = json!({"key": key, "type": word, "timestamp": notice.at, "data": data});
                let system = SystemId::from(format!("{}{webhook}", hooks::PREFIX).as_str());
                (system, "alert", event.as_object().cloned().unwrap_or_default())
            }
        };
        let (tenant, deadline, priority) = (TenantId::default(), DEADLINE, Priority::Background);
        let ask = Ask { tenant, system: system.clone(), operation: operation.to_owned(), inputs, deadline, priority };
        match (to, &self.sender) {
            // The receiver knows the id of an event.
            (Target::Webhook(_), Some(sender)) => (sender.send(&ask).await, true),
            (Target::Webhook(_), None) => (Outcome::Invalid { reason: "no webhook is told here".to_owned() }, false),
            _ => {
                let keyed = self.connectors.idempotency(&system, operation) != Idempotency::None;
                (self.connectors.run(ask).await, keyed)
            }
        }
    }

    async fn keep(&self) {
        let (file, text) = (self.file.clone(), serde_json::to_string(&self.kept).unwrap_or_default());
        let written = tokio::task::spawn_blocking(move || keep_file(&file, &text)).await;
        if let Ok(Err(error)) | Err(error) = written.map_err(io::Error::other) {
            tracing::warn!(file = %self.file.display(), %error, "what fires is not kept: after a restart it would be told again");
        }
    }

    fn samples(&mut self, standing: &[Standing], at: Wall) -> Vec<Sample> {
        let mut samples = Vec::new();
        for one in standing {
            let system = one.system.to_string();
            let sample = |signal, part: Option<&str>, value, questions, text| Sample {
                signal,
                of: system.clone(),
                part: part.map(str::to_owned),
                value,
                questions,
                text,
            };
            for (name, figure) in &one.figures {
                let (asked, failed) = (figure.asked(), figure.failed());
                if asked == 0 {
                    continue;
                }
                let kinds: Vec<String> = figure.ended.iter().map(|(word, n)| format!("{word} {n}")).collect();
                let minutes = WINDOW_S / 60;
                let text = format!("{failed} of {asked} questions failed within {minutes} min: {}", kinds.join(", "));
                let percent = 100.0 * failed as f64 / asked as f64;
                samples.push(sample(Signal::ErrorRate, Some(name), percent, Some(asked), text));
                let quantile = |part| figure.times.quantile(part).unwrap_or(0);
                let (p50, p95, p99) = (quantile(0.5), quantile(0.95), quantile(0.99));
                let text = format!("half of {asked} questions took up to {p50} ms, 95 % {p95} ms, 99 % {p99} ms");
                samples.push(sample(Signal::LatencyP95, Some(name), p95 as f64, Some(asked), text));
                if *name == "customer.by_phone"
                    && let (matched, of @ 1..) = figure.matched()
                {
                    let rate = matched as f64 / of as f64;
                    if let Some(usual) = usual(&mut self.kept.usual, &system, rate, of, at) {
                        let text =
                            format!("{matched} of {of} callers were found, where usually {:.0} % are", usual * 100.0);
                        samples.push(sample(Signal::MatchRateDrop, None, 100.0 * (usual - rate), Some(of), text));
                    }
                }
            }
            for (operation, shown) in &one.breakers {
                let open_s = match (shown.state, shown.since) {
                    ("closed", _) | (_, None) => 0,
                    (_, Some(since)) => at.since(since) / 1000,
                };
                let text = shown.why.clone().unwrap_or_else(|| "it is asked".to_owned());
                samples.push(sample(Signal::LeftAlone, *operation, open_s as f64, None, text));
            }
            if let Some(apart) = one.apart_ms {
                let seconds = apart.unsigned_abs() / 1000;
                let way = if apart < 0 { "behind" } else { "ahead of" };
                let text = format!("its clock is {seconds} s {way} ours");
                samples.push(sample(Signal::ClockSkew, None, seconds as f64, None, text));
            }
            if let Some((told, _)) = &one.version.told {
                self.kept.versions.entry(system.clone()).or_insert_with(|| Known::new(told, at)).saw(told, at);
            }
            let changed = || self.kept.versions.get(&system).and_then(|known| known.drift(None, at));
            let drift = one.version.drift.clone().or_else(changed);
            let good = || one.version.told.as_ref().map(|(told, _)| (0.0, format!("it is version {told}")));
            if let Some((value, text)) = drift.map(|text| (1.0, text)).or_else(good) {
                samples.push(sample(Signal::VersionDrift, None, value, None, text));
            }
            if let Some(beside) = &one.beside {
                let of = &beside.of;
                let (stopped, text) = match &beside.stopped {
                    Some(stopped) => (1.0, format!("it is asked no more in the place of {of}: {}", stopped.reason)),
                    None => (0.0, format!("it is asked in the place of {of}")),
                };
                if beside.kind == Kind::Canary {
                    samples.push(sample(Signal::CanaryStopped, None, stopped, None, text));
                }
                if let Some((percent, of)) = beside.differing.filter(|(_, of)| *of > 0) {
                    let text = format!(
                        "{percent:.0} % of {of} answers differ from those of {}; \"linecard connector compare {system}\" says where",
                        beside.of
                    );
                    samples.push(sample(Signal::ShadowDiffers, None, percent, Some(of), text));
                }
            }
            if let Some(end) = one.certificate_ends {
                let (days, text) = certificate(end, at);
                samples.push(sample(Signal::CertificateDays, Some("certificate"), days, None, text));
            }
            for (operation, notice) in &one.version.ends {
                let more = notice.link.as_ref().map(|link| format!("; see {link}")).unwrap_or_default();
                if let Some(since) = notice.deprecated {
                    let when = since.map(|at| format!(" as of {}", day(at))).unwrap_or_default();
                    let text = format!("its answers say that this way of asking is deprecated{when}{more}");
                    samples.push(sample(Signal::Deprecated, Some(operation), 1.0, None, text));
                }
                if let Some(end) = notice.sunset {
                    let days = (end.0.saturating_sub(at.0)) as f64 / 86_400_000.0;
                    let text = format!("its answers say that this way of asking ends on {}{more}", day(end));
                    samples.push(sample(Signal::SunsetDays, Some(operation), days, None, text));
                }
            }
            for used in &one.used {
                let (what, long) = match used.what {
                    Quota::Window { per_s } => (format!("within {per_s} s"), per_s >= QUOTA_S),
                    Quota::Told => ("that the system counts".to_owned(), true),
                };
                if !long {
                    continue;
                }
                let part = [used.operation.unwrap_or_default(), &what].join(" ").trim().to_owned();
                let trend = self.trends.entry(format!("{system} {part}")).or_default();
                trend.saw(at, used.used as f64);
                if let Some(minutes) = trend.minutes_to(used.of as f64) {
                    let text = format!(
                        "at this rate the quota of {} is used up in {minutes:.0} min ({} are used; a straight line through the last 10 min)",
                        used.of, used.used
                    );
                    samples.push(sample(Signal::QuotaMinutes, Some(&part), minutes, None, text));
                }
            }
        }
        self.own(&mut samples, at);
        samples
    }

    /// What is no business system's.
    fn own(&mut self, samples: &mut Vec<Sample>, at: Wall) {
        let mut add = |signal, of: &str, value: f64, text: String| {
            samples.push(Sample { signal, of: of.to_owned(), part: None, value, questions: None, text });
        };
        let age = self.metrics.outbox_oldest_seconds.get();
        add(Signal::OutboxAge, "outbox", age as f64, format!("the oldest effect has been due for {age} s"));
        let errors: i64 = compare::Kind::ALL.map(|kind| self.metrics.consistency(kind.as_str()).get()).iter().sum();
        let text = format!("{errors} differences are open: `linecard reconcile list`");
        add(Signal::ConsistencyErrors, "records", errors as f64, text);
        for (name, end) in &self.own {
            let (days, text) = certificate(*end, at);
            add(Signal::CertificateDays, name, days, text);
        }
        for Switch { id: switch, events, versions, certificate_ends } in (self.switches)() {
            if let Some(end) = certificate_ends {
                let (days, text) = certificate(end, at);
                add(Signal::CertificateDays, &format!("{switch} certificate"), days, text);
            }
            for (version, tested) in versions {
                let key = format!("switch {switch} {}", version.split(['/', ' ']).next().unwrap_or_default());
                let known = self.kept.versions.entry(key).or_insert_with(|| Known::new(&version, at));
                known.saw(&version, at);
                if let Some(text) = known.drift(tested.as_ref(), at) {
                    add(Signal::VersionDrift, &switch, 1.0, text);
                }
            }
            let (count, since) = self.heard.entry(switch.clone()).or_insert((events, at));
            if *count != events {
                (*count, *since) = (events, at);
            }
            let silent = at.since(*since) / 1000;
            add(Signal::SwitchSilent, &switch, silent as f64, format!("it has said nothing for {silent} s"));
        }
        let calls = self.metrics.unmapped.get();
        while self.unmapped.front().is_some_and(|(then, _)| at.since(*then) > UNMAPPED_MS) {
            self.unmapped.pop_front();
        }
        let before = self.unmapped.front().map_or(calls, |(_, calls)| *calls);
        self.unmapped.push_back((at, calls));
        let lately = calls.saturating_sub(before);
        let text = format!(
            "{lately} calls within 10 min were to numbers without a row; \"unmapped\" of the admin's HTTP names them"
        );
        add(Signal::UnmappedCalls, "trunks", lately as f64, text);
    }
}

/// In how many days it ends, and what is said of it.
fn certificate(end: Wall, at: Wall) -> (f64, String) {
    let days = end.0.saturating_sub(at.0) as f64 / 86_400_000.0;
    (days, format!("its certificate is good until {}", day(end)))
}

fn day(at: Wall) -> String {
    at.to_string().split('T').next().unwrap_or_default().to_owned()
}

/// What is usual there, if that is known; this window becomes part of it when it is over.
fn usual(all: &mut BTreeMap<String, Usual>, system: &str, rate: f64, of: u64, at: Wall) -> Option<f64> {
    let known = all.get(system).filter(|usual| usual.windows >= USUAL_LEAST).map(|usual| usual.rate);
    if of >= USUAL_QUESTIONS && all.len() < 1_000 {
        let usual = all.entry(system.to_owned()).or_insert(Usual { rate, windows: 0, at: Wall(0) });
        if at.since(usual.at) >= WINDOW_S * 1000 {
            usual.windows = usual.windows.saturating_add(1);
            usual.rate += (rate - usual.rate) / f64::from(usual.windows).min(USUAL_WINDOWS);
            usual.at = at;
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_usual_is_learnt_slowly_and_a_bad_hour_does_not_become_it() {
        let mut all = BTreeMap::new();
        let mut at = 0;
        let mut saw = |all: &mut BTreeMap<String, Usual>, rate| {
            at += 300_000;
            usual(all, "crm", rate, 50, Wall(at))
        };
        for n in 0..300 {
            let known = saw(&mut all, if n % 2 == 0 { 0.7 } else { 0.8 });
            assert_eq!(known.is_some(), n >= 24, "{n}");
        }
        // An hour without anybody found.
        for _ in 0..12 {
            saw(&mut all, 0.0);
        }
        let known = saw(&mut all, 0.0).unwrap();
        assert!((0.70..0.76).contains(&known), "{known}");
        // Too few say nothing.
        assert_eq!(usual(&mut BTreeMap::new(), "crm", 0.5, 3, Wall(0)), None);
    }
}
