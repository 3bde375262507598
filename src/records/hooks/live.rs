//! Sends events: no redirect is followed, no more than a status is read, and no private address is spoken to unless webhooks.yaml allows its host. What a name means is decided where the
//! connection is made, so that an answer of the name server that changes in between changes nothing.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use serde_json::{Map, json};

use super::{Webhook, Webhooks, request};
use crate::{
    connectors::{Ask, Outcome},
    files::public,
    live::now,
};

const CONNECT: Duration = Duration::from_secs(5);

/// The webhooks in use. Clones share them.
#[derive(Clone)]
pub struct Sender {
    hooks: Arc<ArcSwap<Webhooks>>,
    client: Result<reqwest::Client, String>,
}

impl Sender {
    #[must_use]
    pub fn new(hooks: Arc<Webhooks>) -> Self {
        let hooks = Arc::new(ArcSwap::new(hooks));
        let allow = hooks.clone();
        let client = crate::live::http_client_guarded(None, CONNECT, false, move |host| {
            allow.load().allow.iter().any(|allowed| allowed == host)
        });
        Self { hooks, client }
    }

    /// From now on these.
    pub fn reload(&self, hooks: Arc<Webhooks>) {
        self.hooks.store(hooks);
    }

    /// One event of the outbox, once.
    pub async fn send(&self, ask: &Ask) -> Outcome {
        let hooks = self.hooks.load_full();
        let Some(webhook) = hooks.named(&ask.system) else {
            return Outcome::Invalid { reason: format!("{} is not in webhooks.yaml any more", ask.system) };
        };
        let id = ask.inputs.get("key").and_then(|key| key.as_str()).unwrap_or_default();
        self.post(&hooks, webhook, &ask.inputs, id, ask.deadline).await
    }

    /// An event that means nothing, now and not by the outbox: what came of it, and in how many milliseconds.
    ///
    /// # Errors
    /// There is no such webhook.
    pub async fn ping(&self, name: &str) -> Result<(Outcome, u64), String> {
        let hooks = self.hooks.load_full();
        let webhook = hooks.list.iter().find(|webhook| webhook.name == name);
        let webhook = webhook.ok_or_else(|| {
            let known: Vec<&str> = hooks.list.iter().map(|webhook| webhook.name.as_str()).collect();
            format!("there is no webhook \"{name}\"; webhooks are: {}", known.join(", "))
        })?;
        let inputs = match webhook.format {
            super::Format::Standard => json!({"type": "webhook.ping", "timestamp": now().wall, "data": {}}),
            // Zammad has no event without a meaning: this one is of a call that nobody had.
            super::Format::Zammad => {
                json!({"form": {"event": "hangup", "from": "anonymous", "to": "", "direction": "in", "callId": "linecard-ping", "cause": "cancel"}})
            }
        };
        let inputs = inputs.as_object().cloned().unwrap_or_default();
        let id = format!("ping-{:032x}", rand::random::<u128>());
        let began = Instant::now();
        let outcome = self.post(&hooks, webhook, &inputs, &id, Duration::from_secs(15)).await;
        Ok((outcome, u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)))
    }

    async fn post(
        &self,
        hooks: &Webhooks,
        webhook: &Webhook,
        inputs: &Map<String, serde_json::Value>,
        id: &str,
        deadline: Duration,
    ) -> Outcome {
        let client = match &self.client {
            Ok(client) => client,
            Err(reason) => return Outcome::Broken { reason: reason.clone() },
        };
        let name = &webhook.name;
        let request = request(webhook, inputs, id, now().wall);
        // An address that is written as one is never asked of a name server. It is read as the client reads it: `2130706433` and `0x7f.1` are 127.0.0.1 as well.
        let literal = reqwest::Url::parse(request.url.expose()).ok().and_then(|url| {
            let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']').to_owned();
            Some((host.parse::<IpAddr>().ok()?, host))
        });
        if let Some((ip, host)) = literal
            && !public(ip)
            && !hooks.allow.contains(&host)
        {
            return Outcome::Denied {
                reason: format!("{name} is at a private address, which webhooks.yaml does not allow"),
            };
        }
        let mut post = client.post(request.url.expose()).timeout(deadline).body(request.body);
        for (key, value) in request.headers {
            post = post.header(key, value);
        }
        let answer = match post.send().await {
            Ok(answer) => answer,
            Err(error) if error.is_connect() => {
                return Outcome::Busy { reason: format!("{name} cannot be reached, or is at a private address") };
            }
            Err(error) if error.is_builder() => {
                return Outcome::Invalid { reason: format!("{name} has no web address") };
            }
            Err(_) => return Outcome::Unknown { reason: format!("{name} gave no answer") },
        };
        let status = answer.status().as_u16();
        let wait = answer.headers().get("retry-after").and_then(|wait| wait.to_str().ok()?.trim().parse::<u64>().ok());
        let reason = format!("{name} answered {status}");
        match status {
            200..300 => Outcome::Ok(json!({ "status": status })),
            // "Gone": whoever was there does not want it any more.
            410 => Outcome::Invalid { reason },
            429 | 503 => Outcome::RateLimited { wait_ms: wait.map(|s| s.saturating_mul(1000)) },
            300..400 => Outcome::Busy { reason: format!("{reason}: redirects are not followed") },
            _ => Outcome::Busy { reason },
        }
    }
}
