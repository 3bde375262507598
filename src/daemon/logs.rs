//! Structured logs: one line each, message first, then fields that have the same name everywhere.
//!
//! Numbers, names, notes and tokens are never among the fields: their types do not print.

use schemars::JsonSchema;
use serde::Deserialize;
use tracing_subscriber::{EnvFilter, filter::filter_fn, fmt, layer::SubscriberExt, util::SubscriberInitExt};

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    pub format: Format,
    /// `error`, `warn`, `info`, `debug`, `trace`, or by room: `info,linecard::switches=debug`.
    pub level: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { format: Format::Text, level: "info".to_owned() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// For people and the systemd journal.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging to standard error. A second start in one process does nothing: tests share it.
///
/// # Errors
/// When `level` cannot be read.
pub fn start(settings: &Settings) -> Result<(), String> {
    let filter = EnvFilter::try_new(&settings.level).map_err(|e| format!("log.level: {e}"))?;
    // Libraries print whole messages at debug and trace (bodies, headers, tokens): below info only our own rooms are heard.
    let ours = filter_fn(|m| *m.level() <= tracing::Level::INFO || m.target().starts_with("linecard"));
    let registry = tracing_subscriber::registry().with(filter).with(ours);
    let started = match settings.format {
        Format::Text => registry.with(fmt::layer().with_writer(std::io::stderr).with_ansi(false)).try_init(),
        Format::Json => registry.with(fmt::layer().with_writer(std::io::stderr).json().flatten_event(true)).try_init(),
    };
    let _ = started;
    Ok(())
}
