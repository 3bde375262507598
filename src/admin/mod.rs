//! The admin's HTTP: health, readiness, metrics. Loopback unless told otherwise. Beside it the door for business systems' webhooks.

pub mod console;
pub mod hint;
pub mod hooks;
pub mod http;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Address and port of health, readiness, metrics and route hints.
    pub listen: SocketAddr,
    /// Who may ask before the phone rings; default: nobody.
    pub route_hint: hint::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self { listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9090), route_hint: hint::Settings::default() }
    }
}

/// What `/readyz` says: each part that is not ready, in words; empty when all are.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Readiness {
    pub waiting_for: Vec<String>,
}
