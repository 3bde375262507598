//! How a connector's file says how often its system may be asked, what is tried again, and when it is left alone.

use schemars::JsonSchema;
use serde::Deserialize;

/// How often the system may be asked. Each request counts: every step, every item of a `for_each`, every retry.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsFile {
    /// Every one must have room.
    pub windows: Vec<WindowFile>,
    /// Logins and token requests count too.
    pub logins: bool,
    /// Expression over the answer: what the request cost, where one may cost more than 1 (Freshdesk:
    /// `headers['x-ratelimit-used-currentrequest'] | int`). Less than the operation's own `cost` is not believed.
    pub cost: Option<String>,
    pub hints: HintsFile,
}

/// At most so many requests in any time of that length, wherever it begins.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WindowFile {
    pub requests: u32,
    pub per_s: u32,
    /// So many at once, and then `requests` per `per_s`: a leaky bucket (Bitrix24: 2 per second, 50 deep).
    pub burst: Option<u32>,
    /// So many are left for ringing phones: background work goes no further. Default: a tenth.
    pub kept_for_pops: Option<u32>,
}

/// The same for one operation, besides the system's.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OperationLimitsFile {
    pub windows: Vec<WindowFile>,
    /// What one request of it costs, in the system's windows and its own. Default 1.
    pub cost: Option<u32>,
    /// It is counted together with this operation, in that one's windows; then it has none of its own.
    #[serde(rename = "with")]
    pub shares: Option<String>,
    /// The system counts this operation apart (HubSpot's search): what it says of limits in these answers is meant for this operation alone.
    pub alone: bool,
}

/// What the system itself says of its limits. It can only make us slower than `windows`. `Retry-After` (RFC 9110, 10.2.3) is always obeyed.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HintsFile {
    pub dialect: Option<Dialect>,
    /// How many requests are left.
    pub remaining: Option<HintFile>,
    /// Of how many.
    pub limit: Option<HintFile>,
    /// When they are all there again.
    pub reset: Option<HintFile>,
    /// How long to stay away, where the system is not to be asked now.
    pub wait: Option<HintFile>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// `RateLimit: "default";r=50;t=30` and `RateLimit-Policy: "default";q=100;w=60` (draft-ietf-httpapi-ratelimit-headers-10).
    Ietf,
    /// `RateLimit-Limit`, `RateLimit-Remaining`, `RateLimit-Reset` in seconds (the same draft up to -06; Zendesk).
    Ratelimit,
    /// `X-RateLimit-Limit` (or `-Total`), `-Remaining`, `-Reset` (seconds from now, seconds or milliseconds since 1970, or a date), `-Used-CurrentRequest`; also
    /// spelt `X-Rate-Limit-`.
    XRatelimit,
}

/// Either a header's name or an expression over the answer.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HintFile {
    pub header: Option<String>,
    pub value: Option<String>,
    /// For `reset` and `wait`.
    #[serde(default)]
    pub unit: Unit,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// By its size: seconds from now, or seconds or milliseconds since 1970; a text is a date.
    #[default]
    Any,
    S,
    Ms,
    EpochS,
    EpochMs,
}

/// What is asked again inside its deadline: reads, and writes that are safe to repeat, where nothing came of it (no connection, 502, 503, 504, `busy`) or where the
/// system says how long to wait and there is time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetriesFile {
    /// So often at most; 0: never. All retries of a system together are at most a tenth of what was asked in the last two minutes, and three. Default 2.
    pub most: u32,
    /// The first pause is up to twice so long, each further one up to double the last. Default 100.
    pub pause_ms: u64,
}

impl Default for RetriesFile {
    fn default() -> Self {
        Self { most: 2, pause_ms: 100 }
    }
}

/// When a system that fails is left alone, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerFile {
    /// Looked at is what was asked in this time. Default 60.
    pub window_s: u32,
    /// Fewer questions than this tell nothing. Default 8.
    pub minimum: u32,
    /// Percent of them that failed: `busy`, `broken`, `unknown`. Default 50.
    pub failed_percent: u32,
    /// A ringing phone's question that took longer is slow; time spent waiting for a limit does not count. Default 10000.
    pub slow_ms: u64,
    /// Percent of a ringing phone's questions that were slow. Default 90.
    pub slow_percent: u32,
    /// Nothing is asked for so long; then one question is tried (`check`, where the file has it), and while it fails the time doubles, up to eight times this. 0: never left alone. Default 15.
    pub open_s: u32,
}

impl Default for BreakerFile {
    fn default() -> Self {
        Self { window_s: 60, minimum: 8, failed_percent: 50, slow_ms: 10_000, slow_percent: 90, open_s: 15 }
    }
}
