//! What links to switches have in common: why one is down, how long to wait before the next try, what is counted.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
};

use super::asterisk::ami::FrameError;
use crate::{
    calls::{
        command::{Command, Outcome, RequestId},
        event::{Event, Feed, Said},
    },
    words::{Mono, Now, certificate::Ends},
};

/// A link that said nothing for so long is dead: 4.5 s leaves half a second of the 5 s in which a dead link must be seen.
pub const SILENCE_MS: u64 = 4_500;
/// A link that said nothing for so long is asked for a sign of life; two and a half tries fit before it counts as dead.
pub const PING_MS: u64 = 1_800;
/// Until the name is looked up, TCP connects and TLS agrees.
pub const CONNECT_MS: u64 = 4_000;
/// A snapshot that takes longer is given up with its link. 20,000 channels come in about 3 s over loopback.
pub const LIST_MS: u64 = 20_000;
/// Until a switch says that the leg we asked for exists, or why not.
pub const DIAL_MS: u64 = 5_000;
/// A link that was up for so long was a good one: the next try is soon again.
pub const GOOD_MS: u64 = 10_000;

/// What the still machine of a connection wants done.
#[derive(Debug, PartialEq)]
pub enum Output {
    Send(Vec<u8>),
    /// Logged in, and the snapshot comes with the next events.
    Up {
        /// What the other end says it is: `Asterisk Call Manager/11.0.0`.
        version: String,
    },
    /// What was said, in order.
    Events(Vec<Event>),
    /// The one answer to a command.
    Answered {
        request: RequestId,
        result: Outcome,
    },
    /// For the log: something is refused that we can do without.
    Note(&'static str),
    /// The connection is of no use any more; said once.
    Failed(Reason),
    /// Nothing more until this moment, or until bytes come.
    Wait(Mono),
}

/// One connection as a still machine: bytes go in with the moment at which they came, and [`Session::poll`] is drained until it says until when there is
/// nothing to do. A session that failed stays failed with its first reason; recovery is a new session and a new snapshot.
pub trait Session {
    /// What is spoken, as logs name it.
    const SPOKEN: &'static str;
    /// What is said before we go.
    const GOODBYE: &'static [u8];

    /// Bytes came.
    fn read(&mut self, now: Now, bytes: &[u8]);
    /// The switch closed the connection.
    fn closed(&mut self);
    /// Take a snapshot (again): events were lost on our side.
    fn resync(&mut self, now: Now);
    /// Do what an agent asked; it is answered once.
    fn command(&mut self, now: Now, command: &Command);
    /// What is to be done, until it says [`Output::Wait`].
    fn poll(&mut self, now: Now) -> Output;
}

/// Why a link is down. The text reads well after "the link is down:".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Nobody listens there, or the name does not resolve. The text is the system's, and names no person.
    #[error("cannot connect to {at}: {why}")]
    Unreachable { at: String, why: String },
    #[error("TLS with {at} does not come about: {why}")]
    Tls { at: String, why: String },
    #[error("{0}")]
    Settings(String),
    #[error("the switch refused the user or the password")]
    AuthenticationFailed,
    #[error(
        "the user is logged in already; set \"allowmultiplelogin = yes\" for it, or give each daemon a user of its own"
    )]
    AlreadyLoggedIn,
    #[error("the user may not do this: {0}")]
    NotPermitted(&'static str),
    #[error("what answers there does not speak {0}")]
    NotSpoken(&'static str),
    #[error("the switch sent junk: {0}")]
    Frame(#[from] FrameError),
    #[error("the switch sent junk: {0}")]
    Frames(#[from] super::esl::frame::FrameError),
    /// It keeps 100,000 events for a listener, and then throws all of them away.
    #[error("the switch cut us off because we read too slowly")]
    Lagged,
    #[error("the switch sent a WebSocket message that is {0}")]
    Junk(&'static str),
    #[error("the switch said nothing for 4.5 s")]
    Silent,
    #[error("the switch closed the connection")]
    Closed,
    #[error("the list of what is there did not come whole within 20 s")]
    ListTimeout,
    #[error("the switch lists more than {0} channels")]
    TooMany(usize),
    #[error("the switch answered {status} to {path}")]
    Refused { status: u16, path: &'static str },
    /// Another program connected with the same application's name.
    #[error("another program took over the application; give each daemon a name of its own (\"app\")")]
    Replaced,
    #[error("the daemon stops")]
    Stopped,
}

impl Reason {
    /// A short word, for metrics and for pages that say it in their reader's language (`because.*` in `web/admin/lang/`).
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::Tls { .. } => "tls",
            Self::Settings(_) => "settings",
            Self::AuthenticationFailed => "authentication-failed",
            Self::AlreadyLoggedIn => "already-logged-in",
            Self::NotPermitted(_) => "not-permitted",
            Self::NotSpoken(_) => "not-spoken",
            Self::Frame(_) | Self::Frames(_) | Self::Junk(_) => "junk",
            Self::Lagged => "lagged",
            Self::Silent => "silent",
            Self::Closed => "closed",
            Self::ListTimeout => "list-timeout",
            Self::TooMany(_) => "too-many",
            Self::Refused { .. } => "refused",
            Self::Replaced => "replaced",
            Self::Stopped => "stopped",
        }
    }

    /// What stands in its sentence, by name.
    #[must_use]
    pub fn values(&self) -> BTreeMap<&'static str, String> {
        let why = |why: &dyn std::fmt::Display| BTreeMap::from([("why", why.to_string())]);
        match self {
            Self::Unreachable { at, why } | Self::Tls { at, why } => {
                BTreeMap::from([("at", at.clone()), ("why", why.clone())])
            }
            Self::Settings(what) => why(what),
            Self::NotPermitted(what) | Self::NotSpoken(what) | Self::Junk(what) => why(what),
            Self::Frame(what) => why(what),
            Self::Frames(what) => why(what),
            Self::TooMany(most) => BTreeMap::from([("most", most.to_string())]),
            Self::Refused { status, path } => {
                BTreeMap::from([("status", status.to_string()), ("path", (*path).to_owned())])
            }
            Self::AuthenticationFailed
            | Self::AlreadyLoggedIn
            | Self::Lagged
            | Self::Silent
            | Self::Closed
            | Self::ListTimeout
            | Self::Replaced
            | Self::Stopped => BTreeMap::new(),
        }
    }

    /// True when trying again at once cannot help, and may get us banned at the switch: a person must change something.
    #[must_use]
    pub const fn needs_a_person(&self) -> bool {
        matches!(
            self,
            Self::AuthenticationFailed | Self::NotPermitted(_) | Self::Settings(_) | Self::Tls { .. } | Self::Replaced
        )
    }
}

/// How long to wait before try number `attempt` (from 0): full jitter over a cap that doubles from 0.2 s to 30 s, never less than 0.2 s. A
/// refusal that needs a person starts at a cap of 12.8 s. `dice` is in `0.0..1.0`.
#[must_use]
pub fn backoff_ms(attempt: u32, needs_a_person: bool, dice: f64) -> u64 {
    const LEAST: u64 = 200;
    const MOST: u64 = 30_000;
    let attempt = if needs_a_person { attempt.max(6) } else { attempt };
    let cap = LEAST.saturating_mul(1 << attempt.min(16)).min(MOST);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let wait = (cap as f64 * dice.clamp(0.0, 1.0)) as u64;
    wait.clamp(LEAST, MOST)
}

/// Nothing more comes over this feed.
#[must_use]
pub fn lost(feed: Feed) -> Event {
    Event { at: None, said: Said::LinkLost { feed } }
}

/// Events of this feed were dropped.
#[must_use]
pub fn gap(feed: Feed) -> Event {
    Event { at: None, said: Said::Gap { feed } }
}

/// One link's counters. Written by the link, read by whoever makes metrics.
#[derive(Debug, Default)]
pub struct Stats {
    /// Events handed on, after translation.
    pub events: AtomicU64,
    /// Events dropped because the channel to the book was full.
    pub dropped: AtomicU64,
    /// Connections that came about, the first one too.
    pub connects: AtomicU64,
    /// Connections that ended or did not come about.
    pub failures: AtomicU64,
    /// Devices that are watched and of which nothing is known: not seen is not idle.
    pub unknown: AtomicU64,
    /// Devices that are known to have no phone.
    pub unregistered: AtomicU64,
    /// What came in and was refused: no HEP, a wrong key, a stranger; a message that is no SIP, a forged NOTIFY, a body that is not read.
    pub refused: AtomicU64,
    /// Snapshots taken because events were dropped.
    pub resyncs: AtomicU64,
    /// The link is logged in and its snapshot was told.
    pub up: AtomicBool,
    /// Since when it is so, ms since 1970; 0: it never was otherwise.
    pub since: AtomicI64,
    /// When it told something last, likewise.
    pub heard_at: AtomicI64,
    /// What the other end says it is.
    version: Mutex<String>,
    /// When its certificate ends.
    pub certificate: Ends,
    last: Mutex<Option<Reason>>,
}

impl Stats {
    /// Why the link was down last; `None` if it never was.
    #[must_use]
    pub fn last_reason(&self) -> Option<Reason> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the other end said it is; empty before it did.
    #[must_use]
    pub fn version(&self) -> String {
        self.version.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn is(&self, version: &str) {
        if version.is_empty() {
            return;
        }
        // It is a stranger's text, and goes into alerts.
        let version = version.chars().filter(|c| !c.is_control()).take(80).collect();
        *self.version.lock().unwrap_or_else(PoisonError::into_inner) = version;
    }

    pub(super) fn failed(&self, reason: &Reason) {
        self.up.store(false, Ordering::Relaxed);
        self.failures.fetch_add(1, Ordering::Relaxed);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.clone());
    }
}

/// The counters of both links of one Asterisk, and of what it mirrors.
#[derive(Debug, Default)]
pub struct LinkStats {
    pub ami: Arc<Stats>,
    pub ari: Arc<Stats>,
    pub hep: Arc<Stats>,
}

/// The counters of a SIP switch: its subscriptions, and what it mirrors.
#[derive(Debug, Default)]
pub struct SipStats {
    pub sip: Arc<Stats>,
    pub hep: Arc<Stats>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_sentence_in_both_languages_with_what_stands_in_it() {
        let (at, why) = ("192.0.2.1:5038".to_owned(), "refused".to_owned());
        let all = [
            Reason::Unreachable { at: at.clone(), why: why.clone() },
            Reason::Tls { at, why: why.clone() },
            Reason::Settings(why),
            Reason::AuthenticationFailed,
            Reason::AlreadyLoggedIn,
            Reason::NotPermitted("originate"),
            Reason::NotSpoken("AMI"),
            Reason::Junk("too long"),
            Reason::Lagged,
            Reason::Silent,
            Reason::Closed,
            Reason::ListTimeout,
            Reason::TooMany(20_000),
            Reason::Refused { status: 403, path: "/ari/events" },
            Reason::Replaced,
            Reason::Stopped,
        ];
        let languages = [include_str!("../../web/admin/lang/en.js"), include_str!("../../web/admin/lang/zh-CN.js")];
        for reason in all {
            let key = format!("\"because.{}\": \"", reason.word());
            for language in languages {
                let sentence =
                    language.split_once(&key).unwrap_or_else(|| panic!("no {key}")).1.split('"').next().unwrap();
                let holes: Vec<_> = sentence.split('{').skip(1).map(|rest| rest.split('}').next().unwrap()).collect();
                let values = reason.values();
                assert!(
                    holes.iter().all(|hole| values.contains_key(hole))
                        && values.keys().all(|name| holes.contains(name)),
                    "{sentence}: {values:?}"
                );
            }
        }
    }

    #[test]
    fn waits_double_to_a_cap_and_are_spread_over_the_whole_of_it() {
        assert_eq!(backoff_ms(0, false, 0.99), 200);
        assert_eq!(backoff_ms(3, false, 0.5), 800);
        assert_eq!(backoff_ms(3, false, 0.0), 200);
        assert_eq!(backoff_ms(u32::MAX, false, 0.999_999), 29_999);
        assert_eq!(backoff_ms(0, true, 0.5), 6_400);
        assert_eq!(backoff_ms(7, false, f64::NAN), 200);
    }
}
