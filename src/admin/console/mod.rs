//! The console at `/admin`: how everything stands, what was not delivered and why, trunk mappings edited, tried, applied and taken back. A listener of its own, apart
//! from the one for health and metrics, because here people sign in. The page asks the same `/v1` that programs may ask; `/v1/openapi.json` describes all of it.

pub mod api;
mod flows;
pub mod http;
mod kpis;
mod links;
mod oidc;
mod people;
mod reads;
mod settings;
mod sign_in;
mod tried;
mod trunks;
mod undelivered;

use std::{
    collections::BTreeSet,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Semaphore;

pub use self::settings::Settings;
use self::{api::Trouble, oidc::Provider};
use crate::{
    access::{Accounts, Session, Sessions, Verifier},
    agents::{People, QueueNow},
    calls::Directory,
    connectors::Connectors,
    files::Problem,
    kpis as kpi,
    live::now,
    numbers::trunks::{TrunkRow, unmapped},
    store::{self, AuditRow, Called, Reader, StoreError},
    switches::{self, live::Stats},
    watch::Metrics,
    words::{
        AgentId, SwitchId, TenantId, Wall,
        refusal::{Refusal, code},
    },
};

/// What only the whole house can do: the settings folder, and a call that nobody makes.
pub trait House: Send + Sync + 'static {
    /// The text of trunks.yaml as it lies there; empty where there is none.
    ///
    /// # Errors
    /// The disk's.
    fn trunks(&self) -> std::io::Result<String>;
    /// Whether the folder would be right with this text in the place of trunks.yaml.
    ///
    /// # Errors
    /// All that would be wrong.
    fn check(&self, text: &str) -> Result<Fit, Vec<Problem>>;
    /// How many of these calls each row of the text takes, in the rows' order; `None` where the text is not right.
    fn share(&self, text: &str, called: &[Called]) -> Option<Vec<u64>>;
    /// Puts the text there, whole or not at all.
    ///
    /// # Errors
    /// The disk's.
    fn keep(&self, text: &str) -> std::io::Result<()>;
    /// The running daemon reads the folder again.
    fn reload(&self) -> Later<'_, Result<(), Vec<Problem>>>;
    /// A call that nobody makes; blocks for as long as lookups may take.
    ///
    /// # Errors
    /// What of it cannot be meant.
    fn play(&self, text: Option<&str>, call: &MadeUp) -> Result<Played, Trouble>;
    /// How these agents stand; `None`: the daemon is stopping.
    fn people(&self, of: Vec<AgentId>) -> Later<'_, Option<People>>;
    /// Queues of a tenant, or of all; one that is named with the places in it.
    fn queues(&self, tenant: Option<TenantId>, of: Option<String>) -> Later<'_, Option<Vec<QueueNow>>>;
    /// Each key of linecard.yaml that counts, with where it came from.
    ///
    /// # Errors
    /// The folder cannot be read now.
    fn in_force(&self) -> Result<Vec<InForce>, Vec<Problem>>;
    /// What the switches and the store are waited for; empty when all is up.
    fn waiting_for(&self) -> Vec<String>;
    /// Numbers that were called and have no row.
    fn unmapped(&self) -> Vec<unmapped::Line>;
}

pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Settings that would be right.
#[derive(Debug)]
pub struct Fit {
    pub rows: Vec<TrunkRow>,
    pub notes: Vec<Problem>,
}

/// A call to try trunk mappings with; nothing is written anywhere.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MadeUp {
    /// Who calls, as the switch would show it; `anonymous` is a withheld number.
    pub from: String,
    /// The number that was dialled.
    #[serde(default)]
    pub to: Option<String>,
    /// At which switch; absent: the first one.
    #[serde(default)]
    pub switch: Option<String>,
    /// Over which endpoint; absent: the first one of the switch's file.
    #[serde(default)]
    pub trunk: Option<String>,
    /// Whose phone rings; absent: the first agent who has one.
    #[serde(default)]
    pub agent: Option<String>,
    /// Ask no business system.
    #[serde(default)]
    pub offline: bool,
}

/// What would come of it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Played {
    /// Number, row, each question and its answer, as `linecard explain` tells it.
    pub lines: Vec<String>,
    /// The same as data.
    pub trace: Value,
    /// The row that took it, from 1.
    pub row: Option<usize>,
    /// The frame that the agent's screen would get.
    pub pop: Option<Value>,
}

/// One key of linecard.yaml.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct InForce {
    /// `agents.limits.ping_ms`.
    pub key: String,
    pub value: String,
    /// `default`, `linecard.yaml` or `environment`.
    pub from: &'static str,
}

/// Everything that the console's HTTP is made of.
pub struct Console {
    pub settings: Settings,
    pub house: Arc<dyn House>,
    pub store: store::Settings,
    /// Where versions of trunks.yaml are kept.
    pub history: PathBuf,
    pub watch_folder: PathBuf,
    pub accounts: ArcSwap<Accounts>,
    pub verifier: Arc<Verifier>,
    pub links: Vec<Stats>,
    pub switches: Vec<Arc<switches::Settings>>,
    pub connectors: Connectors,
    pub metrics: Metrics,
    pub kpis: kpi::Settings,
    pub directory: ArcSwap<Directory>,
    /// Switches that tell of calls which the one behind them tells too.
    pub edges: BTreeSet<SwitchId>,
    sessions: Mutex<Sessions>,
    /// Password checks at once: each costs a processor for a while.
    checks: Semaphore,
    provider: Option<Provider>,
    /// One probe of a link at a time.
    probing: tokio::sync::Mutex<()>,
    /// One change of trunks.yaml at a time.
    changing: tokio::sync::Mutex<()>,
    /// Which numbers were called, counted at that moment; by one at a time.
    called: tokio::sync::Mutex<Option<(Wall, Arc<Vec<Called>>)>>,
}

/// What [`Console::new`] takes.
pub struct Parts {
    pub settings: Settings,
    pub house: Arc<dyn House>,
    pub store: store::Settings,
    pub watch_folder: PathBuf,
    pub accounts: Accounts,
    pub verifier: Arc<Verifier>,
    pub links: Vec<Stats>,
    pub switches: Vec<Arc<switches::Settings>>,
    pub connectors: Connectors,
    pub metrics: Metrics,
    pub kpis: kpi::Settings,
    pub directory: Arc<Directory>,
    pub edges: BTreeSet<SwitchId>,
}

impl Console {
    /// # Errors
    /// A sentence: the identity provider's settings cannot be used.
    pub fn new(parts: Parts) -> Result<Self, String> {
        let Parts {
            settings,
            house,
            store,
            watch_folder,
            accounts,
            verifier,
            links,
            switches,
            connectors,
            metrics,
            kpis,
            directory,
            edges,
        } = parts;
        let provider =
            settings.oidc.clone().map(|oidc| Provider::new(oidc, settings.public_url.clone())).transpose()?;
        Ok(Self {
            history: store.path.with_file_name("history"),
            settings,
            house,
            store,
            watch_folder,
            accounts: ArcSwap::from_pointee(accounts),
            verifier,
            links,
            switches,
            connectors,
            metrics,
            kpis,
            directory: ArcSwap::new(directory),
            edges,
            sessions: Mutex::default(),
            checks: Semaphore::new(2),
            provider,
            probing: tokio::sync::Mutex::default(),
            changing: tokio::sync::Mutex::default(),
            called: tokio::sync::Mutex::default(),
        })
    }

    /// Accounts of a file that was read again: who is not in it any more, or has another line (a role, a password), is signed out.
    pub fn reload(&self, accounts: Accounts, directory: Arc<Directory>) {
        self.directory.store(directory);
        let before = self.accounts.load();
        self.sessions()
            .keep(|session| before.find(&session.who).is_none_or(|old| accounts.find(&session.who) == Some(old)));
        self.accounts.store(Arc::new(accounts));
    }

    fn sessions(&self) -> std::sync::MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the store on a thread that may wait for the disk.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Trouble> {
        let settings = self.store.clone();
        let read = move || Reader::open(&settings).and_then(|reader| work(&reader));
        match tokio::task::spawn_blocking(read).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(error.into()),
            Err(gone) => Err(Trouble::ended(gone)),
        }
    }

    /// Writes down who did what.
    async fn note(&self, who: &Session, what: &str, about: &str, reason: Option<String>) -> Result<(), Trouble> {
        let row = audit(who, what, about, reason);
        self.read(move |reader| reader.note(row)).await
    }
}

fn audit(who: &Session, what: &str, about: &str, reason: Option<String>) -> AuditRow {
    AuditRow {
        tenant: who.tenant.clone().unwrap_or_default(),
        at: now().wall,
        who: who.who.clone(),
        what: what.to_owned(),
        about: about.to_owned(),
        reason,
    }
}

/// What happened, for those who change something.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Done {
    /// In a sentence.
    pub done: String,
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Missing(why) => Self::Missing(why),
            StoreError::Refused(why) => Self::Late(why),
            other => Self::Away(Refusal::new(code::STORE_AWAY, other.to_string()).with("why", other)),
        }
    }
}

/// Only for those who see the whole site: its settings and links are no single tenant's.
fn whole_site(who: &Session) -> Result<(), Trouble> {
    match &who.tenant {
        None => Ok(()),
        Some(_) => {
            let says = "this is the whole site's, and you see one tenant";
            Err(Trouble::Missing(Refusal::new(code::WHOLE_SITE, says)))
        }
    }
}
