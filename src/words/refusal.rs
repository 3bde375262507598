//! Why something that was asked is not done: a sentence, a word for it that stays the same, and what stands in the sentence by name. Whoever says it in another
//! language has a sentence for each word; the console's are `refused.*` in `web/admin/lang/`, and a test looks that none is missing.

use std::{collections::BTreeMap, fmt};

/// A closed list of words, each with its name in Rust.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $word:literal;)+) => {
        $($(#[$doc])* pub const $name: &str = $word;)+
        /// All of them.
        pub const ALL: &[&str] = &[$($word),+];
    };
}
pub(crate) use codes;

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// One of [`code`].
    pub code: &'static str,
    pub says: String,
    pub values: BTreeMap<&'static str, String>,
}

impl Refusal {
    #[must_use]
    pub fn new(code: &'static str, says: impl Into<String>) -> Self {
        Self { code, says: says.into(), values: BTreeMap::new() }
    }

    /// What stands in the sentence.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.values.insert(name, value.to_string());
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.says)
    }
}

impl From<Refusal> for String {
    fn from(refusal: Refusal) -> Self {
        refusal.says
    }
}

/// The words; beside each stands what goes with it.
pub mod code {
    codes! {
        // Who asks, and how.
        NOT_SIGNED_IN = "not-signed-in";
        /// why
        TOKEN = "token";
        NO_ROLE = "no-role";
        /// role
        OTHER_ROLE = "other-role";
        NOT_OURS = "not-ours";
        NO_CREDENTIALS = "no-credentials";
        NO_ACCOUNTS = "no-accounts";
        WRONG_PASSWORD = "wrong-password";
        /// seconds
        WAIT = "wait";
        // Sign-in at an identity provider.
        /// why
        OIDC_AWAY = "oidc-away";
        /// error
        OIDC_DENIED = "oidc-denied";
        OIDC_NOT_BEGUN = "oidc-not-begun";
        /// why
        OIDC_NOT_TAKEN = "oidc-not-taken";
        /// name, claim
        OIDC_NO_ROLE = "oidc-no-role";
        // What is there for whom.
        WHOLE_SITE = "whole-site";
        NOTHING_HERE = "nothing-here";
        NOT_THIS_WAY = "not-this-way";
        QUERY = "query";
        BODY_TYPE = "body-type";
        /// most
        BODY_LONG = "body-long";
        /// line, column
        BODY_SHAPE = "body-shape";
        /// line, column
        BODY_JSON = "body-json";
        /// name, most
        TOO_LONG = "too-long";
        /// name, most
        TOO_MANY = "too-many";
        /// most
        NO_REASON = "no-reason";
        // A part is away.
        STOPPING = "stopping";
        CORE_AWAY = "core-away";
        ENDED = "ended";
        /// why
        UNREAD = "unread";
        /// why
        UNWRITTEN = "unwritten";
        /// why
        NOT_IN_HISTORY = "not-in-history";
        /// why
        STORE_AWAY = "store-away";
        // Settings.
        UNFIT = "unfit";
        LATE = "late";
        IS_CURRENT = "is-current";
        /// revision, most
        NO_VERSION = "no-version";
        /// most
        NO_CHANGE = "no-change";
        /// row, name, known
        NO_COLUMN = "no-column";
        /// row
        EMPTY_ROW = "empty-row";
        NO_CSV = "no-csv";
        /// name, known
        NO_SWITCH = "no-switch";
        NO_SWITCHES = "no-switches";
        /// agent
        NO_AGENT = "no-agent";
        /// why
        NO_CALL = "no-call";
        // Links to switches.
        /// switch, feed
        NO_LINK = "no-link";
        NOT_PROBED = "not-probed";
        PROBING = "probing";
        // Business systems.
        /// system
        NO_CONNECTOR = "no-connector";
        /// id
        NO_CANARY = "no-canary";
        /// id
        NO_SHADOW = "no-shadow";
        /// id
        NOT_STOPPED = "not-stopped";
        /// system, known
        NOT_READING = "not-reading";
        /// operation, input
        NO_INPUT = "no-input";
        /// operation, known, most
        OTHER_INPUT = "other-input";
        // Figures.
        /// part, found
        QUESTION = "question";
        NOT_YOUR_FIGURES = "not-your-figures";
        TOO_MANY_GROUPS = "too-many-groups";
        // What lies in the store.
        NO_STORE = "no-store";
        OLD_STORE = "old-store";
        CALL_ID = "call-id";
        /// call
        NO_RECORD = "no-record";
        /// call
        NO_TRACE = "no-trace";
        /// id
        NO_EFFECT = "no-effect";
        /// id
        NO_DIFFERENCE = "no-difference";
        /// id
        NO_FLOW = "no-flow";
        /// least
        SHORT_ID = "short-id";
        /// id
        SEVERAL = "several";
        BEING_SENT = "being-sent";
        IS_DONE = "is-done";
        NOT_DONE = "not-done";
        ERASED = "erased";
        CHANGED_MEANWHILE = "changed-meanwhile";
        // Flows.
        TASK_NUMBER = "task-number";
        NO_TASK = "no-task";
        TASK_SETTLED = "task-settled";
        FLOW_OVER = "flow-over";
        NO_WAY_BACK = "no-way-back";
        FLOW_UNDOING = "flow-undoing";
        /// why
        NOT_NOW = "not-now";
    }
}
