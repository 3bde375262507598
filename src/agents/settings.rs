//! The agents' door, as the settings have it.

use std::{collections::BTreeMap, path::PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{access::Tokens, calls::command::Because};

/// `agents:` of linecard.yaml.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Address and port of the agents' listener.
    #[serde(default = "listen")]
    pub listen: String,
    /// Threads that hold sockets. Absent: one for each core.
    #[serde(default)]
    pub shards: Option<u16>,
    /// Absent: plain HTTP, for loopback or behind a proxy that ends TLS.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// Exact origins of the pages that may connect, for example `https://desk.example.org`. No wildcards.
    #[serde(default)]
    pub origins: Vec<String>,
    /// Whether clients that send no Origin (programs, not browsers) may connect.
    #[serde(default)]
    pub allow_no_origin: bool,
    pub tokens: Tokens,
    /// Roles that see whole numbers. Absent: everybody does.
    #[serde(default)]
    pub full_numbers: Option<Vec<String>>,
    /// When the page of the call's record opens by itself: the line's target, else the customer's page.
    #[serde(default)]
    pub open: Opens,
    /// What agents choose from as the outcome of a call: paths like `repair/rebooked`, by queue as the switch names it; `*` for every other.
    #[serde(default)]
    pub outcomes: BTreeMap<String, Vec<String>>,
    /// Queues of which a wrap-up is not taken without an outcome; `*`: all, and calls of none.
    #[serde(default)]
    pub outcome_required: Vec<String>,
    #[serde(default)]
    pub states: States,
    #[serde(default)]
    pub limits: Limits,
}

/// When a record's page opens without a click.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Opens {
    #[default]
    Never,
    /// When the agent has answered.
    Answered,
}

/// Agents' states.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct States {
    /// Why an agent may be not ready; told to the switch word by word, for its own reports.
    pub reasons: Vec<ReasonRow>,
    pub after_call: AfterCall,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReasonRow {
    pub id: String,
    /// For the page; absent: its own words for `break`, `lunch`, `meeting` and `training`, else the id.
    #[serde(default)]
    pub label: Option<String>,
    /// After so many seconds it is told as overrun.
    #[serde(default)]
    pub limit_s: Option<u32>,
}

/// The time after a call in which no other comes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AfterCall {
    /// After calls of queues that are not named below, and of none. Absent: as long as the wrap-up is open, and no switch is told.
    pub seconds: Option<u32>,
    /// By queue, as the switch names it.
    pub queues: BTreeMap<String, u32>,
    /// So much more when an agent asks for it, and how often.
    pub extend_s: u32,
    pub extensions: u8,
}

impl Default for States {
    fn default() -> Self {
        let row = |id: &str| ReasonRow { id: id.to_owned(), label: None, limit_s: None };
        Self { reasons: ["break", "lunch", "meeting", "training"].map(row).into(), after_call: AfterCall::default() }
    }
}

impl Default for AfterCall {
    fn default() -> Self {
        Self { seconds: None, queues: BTreeMap::new(), extend_s: 60, extensions: 10 }
    }
}

impl AfterCall {
    #[must_use]
    pub fn ms(&self, queue: Option<&str>) -> Option<u64> {
        let seconds = queue.and_then(|queue| self.queues.get(queue)).copied().or(self.seconds)?;
        Some(u64::from(seconds) * 1000)
    }

    #[must_use]
    pub fn extend_ms(&self) -> u64 {
        u64::from(self.extend_s) * 1000
    }
}

impl States {
    /// How long an agent may be not ready for this reason.
    #[must_use]
    pub fn limit_ms(&self, reason: &str) -> Option<u64> {
        let row = self.reasons.iter().find(|row| row.id == reason)?;
        row.limit_s.map(|s| u64::from(s) * 1000)
    }

    fn problems(&self) -> Vec<(String, String, &'static str)> {
        let mut problems = Vec::new();
        for (i, row) in self.reasons.iter().enumerate() {
            let key = format!("states.reasons[{i}].id");
            if Because::new(&row.id).is_none() || row.id.starts_with("linecard-") {
                let wanted = "1 to 40 characters, no control character, not beginning with \"linecard-\"";
                problems.push((key, format!("{:?}", row.id), wanted));
            } else if self.reasons.iter().take(i).any(|other| other.id == row.id) {
                problems.push((key, format!("{:?} stands there twice", row.id), "each reason once"));
            }
        }
        if self.reasons.len() > 50 {
            problems.push(("states.reasons".to_owned(), format!("there are {}", self.reasons.len()), "50 at most"));
        }
        problems
    }
}

/// PEM files.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Every bound of the door, with its reason.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Sockets at most, of all shards together. Above it: 503.
    pub screens: u32,
    /// Screens of one agent at most; one more closes the oldest that is not active. Each of them is told of the others.
    pub screens_per_agent: usize,
    /// From accept to an accepted token: an idle stranger costs a descriptor.
    pub authenticate_ms: u64,
    /// New connections a second on each shard; the rest wait in the kernel's backlog. Two cores can do about 8,000 TLS handshakes
    /// a second, and pops must keep half.
    pub handshakes_per_s: u32,
    /// Between pings. 140,000 screens at 55 s cost 3 % of two cores; common proxies cut idle connections at 60 s.
    pub ping_ms: u64,
    /// Frames that may wait for one screen.
    pub queued_frames: usize,
    /// Bytes that may wait for one screen.
    pub queued_bytes: usize,
    /// Bytes that may wait for all screens together; beyond it a screen that has anything waiting is closed.
    pub queued_bytes_total: usize,
    /// The kernel's send buffer of a socket. Left alone it grows to 4 MB for a reader that has stopped.
    pub send_buffer_bytes: u32,
    /// How long sent bytes may stay unacknowledged before the kernel gives up the connection.
    pub tcp_user_timeout_ms: u64,
    /// How long the frames of an agent without a screen are kept for one that comes back.
    pub resume_ms: u64,
    /// How long a wrap-up is awaited.
    pub wrapup_ms: u64,
    /// How long a switch may take to begin a click-to-dial.
    pub dial_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            screens: 150_000,
            screens_per_agent: 8,
            authenticate_ms: 5_000,
            handshakes_per_s: 2_000,
            ping_ms: 55_000,
            queued_frames: 32,
            queued_bytes: 64 * 1024,
            queued_bytes_total: 512 * 1024 * 1024,
            send_buffer_bytes: 64 * 1024,
            tcp_user_timeout_ms: 20_000,
            resume_ms: 120_000,
            wrapup_ms: 1_800_000,
            dial_ms: 20_000,
        }
    }
}

impl Settings {
    /// What is wrong beyond the shape: key (below `agents`), found, wanted.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String, &'static str)> {
        let mut problems = Vec::new();
        if self.listen.parse::<core::net::SocketAddr>().is_err() {
            problems.push((
                "listen".to_owned(),
                format!("{:?}", self.listen),
                "address:port, for example 0.0.0.0:7780",
            ));
        }
        if self.shards == Some(0) {
            problems.push(("shards".to_owned(), "0".to_owned(), "1 or more, or leave it out"));
        }
        for (i, origin) in self.origins.iter().enumerate() {
            if !is_origin(origin) {
                let wanted = "scheme://host or scheme://host:port, lower case, no path, no wildcard";
                problems.push((format!("origins[{i}]"), format!("{origin:?}"), wanted));
            }
        }
        for (key, value) in [("authenticate_ms", self.limits.authenticate_ms), ("ping_ms", self.limits.ping_ms)] {
            if value == 0 {
                problems.push((format!("limits.{key}"), "0".to_owned(), "1 or more"));
            }
        }
        if self.limits.handshakes_per_s == 0 {
            problems.push(("limits.handshakes_per_s".to_owned(), "0".to_owned(), "1 or more"));
        }
        for (queue, paths) in &self.outcomes {
            // As the wrap-up takes them.
            let wrong = |path: &str| {
                let steps: Vec<&str> = path.split(['/', '>', '›']).map(str::trim).collect();
                steps.len() > 16 || steps.iter().any(|step| step.is_empty() || step.chars().count() > 200)
            };
            for (at, path) in paths.iter().enumerate().filter(|(_, path)| wrong(path)) {
                let wanted = "1 to 16 steps of 1 to 200 characters, with / between them";
                problems.push((format!("outcomes.{queue}[{at}]"), format!("{path:?}"), wanted));
            }
            if paths.len() > 500 {
                problems.push((format!("outcomes.{queue}"), format!("there are {}", paths.len()), "500 at most"));
            }
        }
        problems.extend(self.states.problems());
        let tokens = self.tokens.problems();
        problems.extend(tokens.into_iter().map(|(key, found, wanted)| (format!("tokens.{key}"), found, wanted)));
        problems
    }

    /// Whether a page (or, with `None`, a program) of this origin may connect.
    #[must_use]
    pub fn admits(&self, origin: Option<&str>) -> bool {
        match origin {
            Some(origin) => self.origins.iter().any(|ours| ours == origin),
            None => self.allow_no_origin,
        }
    }
}

/// The serialisation of an origin as browsers send it (RFC 6454 section 6.2), http and https only.
fn is_origin(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else { return false };
    !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._:[]".contains(&b))
}

fn listen() -> String {
    "127.0.0.1:7780".to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_outcome_is_a_path_of_words() {
        let wrong = |paths: &[&str]| -> Vec<String> {
            let tokens = json!({"issuer": "x", "keys": {"hs256": {"env": "X"}}});
            let settings = json!({"tokens": tokens, "outcomes": {"support": paths}});
            let settings: Settings = serde_json::from_value(settings).unwrap();
            settings.problems().into_iter().map(|(key, ..)| key).filter(|key| key.starts_with("outcomes")).collect()
        };
        assert!(wrong(&["repair/rebooked", "报修 › 新报修", "question"]).is_empty());
        let (long, deep) = ("x".repeat(201), "x/".repeat(16) + "x");
        assert_eq!(wrong(&["fine", "repair//x"]), ["outcomes.support[1]"]);
        assert_eq!(wrong(&[&long]), ["outcomes.support[0]"]);
        assert_eq!(wrong(&[&deep]), ["outcomes.support[0]"]);
    }
}
