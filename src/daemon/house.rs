//! What the console asks of the whole house: the settings folder, read, checked and written; a call that nobody makes; a reload.

use std::{
    fs, io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
};

use super::{
    cli, layers, load,
    settings::DEFAULTS,
    verbs::{explain, trunks},
    wiring::Control,
};
use crate::{
    admin::console::{self, Fit, InForce, Later, MadeUp, Played, api::Trouble},
    agents::{People, QueueNow},
    connectors::Connectors,
    files::Problem,
    numbers::{China, trunks::unmapped},
    store::Called,
    watch::Metrics,
    words::{AgentId, TenantId},
};

/// Somebody who asks for a reload, and hears what came of it.
pub type Reload = oneshot::Sender<Result<(), Vec<Problem>>>;

/// For an answer of the core.
const PATIENCE: Duration = Duration::from_secs(5);

pub struct House {
    pub folder: PathBuf,
    pub connectors: Connectors,
    pub waiting: Arc<Mutex<Vec<String>>>,
    pub metrics: Metrics,
    pub reloads: mpsc::Sender<Reload>,
    pub control: mpsc::Sender<Control>,
    pub back: Handle,
}

impl House {
    fn load(&self, rows: Option<&str>) -> Result<load::Loaded, Vec<Problem>> {
        // Only looked at: the table of China's numbers that is in force stays so until somebody reloads.
        let before = China::in_force();
        let loaded = load::load_with(&self.folder, &[], rows);
        China::put_in_force(before);
        loaded
    }

    /// What the core says, which it does in milliseconds; a person does not wait for one that is stuck.
    async fn told<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Control) -> Option<T> {
        let (answer, heard) = oneshot::channel();
        let told = async {
            self.control.send(ask(answer)).await.ok()?;
            heard.await.ok()
        };
        tokio::time::timeout(PATIENCE, told).await.ok().flatten()
    }

    fn path(&self) -> PathBuf {
        self.folder.join("trunks.yaml")
    }
}

impl console::House for House {
    fn trunks(&self) -> io::Result<String> {
        match fs::read_to_string(self.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            read => read,
        }
    }

    fn check(&self, text: &str) -> Result<Fit, Vec<Problem>> {
        let loaded = self.load(Some(text))?;
        let rows = loaded.live.trunks.rows().map(|row| (**row).clone()).collect();
        Ok(Fit { rows, notes: loaded.notes })
    }

    fn share(&self, text: &str, called: &[Called]) -> Option<Vec<u64>> {
        let loaded = self.load(Some(text)).ok()?;
        let (trunks, switches) = (&loaded.live.trunks, load::rules_of(&loaded.switches));
        let mut shares = vec![0; trunks.rows().len()];
        for one in called {
            let Some(rules) = switches.get(&one.switch) else { continue };
            let place = trunks.place_of(&one.switch, one.trunk.as_deref(), &rules.plan, &one.dialled);
            if let Some(share) = place.and_then(|place| shares.get_mut(place)) {
                *share += one.calls;
            }
        }
        Some(shares)
    }

    fn keep(&self, text: &str) -> io::Result<()> {
        trunks::replace(&self.path(), text)
    }

    fn reload(&self) -> Later<'_, Result<(), Vec<Problem>>> {
        Box::pin(async move {
            let (answer, heard) = oneshot::channel();
            let stopping = || vec![problem("the daemon is stopping", "try again when it is up")];
            self.reloads.send(answer).await.map_err(|_| stopping())?;
            heard.await.map_err(|_| stopping())?
        })
    }

    fn play(&self, text: Option<&str>, call: &MadeUp) -> Result<Played, Trouble> {
        let loaded = self.load(text).map_err(Trouble::Unfit)?;
        let MadeUp { from, to, switch, trunk, agent, offline } = call.clone();
        let args = cli::Explain {
            folder: cli::Folder { config: self.folder.clone() },
            from: None,
            to,
            places: Vec::new(),
            switch,
            trunk,
            agent,
            account: None,
            offline,
            call: None,
            json: true,
            full: true,
        };
        let made = explain::MadeUp::new(&args, &from, &loaded).map_err(Trouble::Wrong)?;
        // By the connectors that run: their limits and sessions are one for everybody.
        let systems = (!offline).then(|| self.connectors.clone());
        let made = self.back.block_on(explain::play(made, loaded, systems)).map_err(Trouble::Wrong)?;
        Ok(Played { lines: made.trace.lines(true), trace: made.trace.json(true), row: made.row, pop: made.pop })
    }

    fn people(&self, of: Vec<AgentId>) -> Later<'_, Option<People>> {
        Box::pin(self.told(|answer| Control::People(of, answer)))
    }

    fn queues(&self, tenant: Option<TenantId>, of: Option<String>) -> Later<'_, Option<Vec<QueueNow>>> {
        Box::pin(self.told(|answer| Control::Queues(tenant, of, answer)))
    }

    fn in_force(&self) -> Result<Vec<InForce>, Vec<Problem>> {
        let text = match fs::read_to_string(self.folder.join("linecard.yaml")) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(vec![problem(&error.to_string(), "a readable text file in UTF-8")]),
        };
        let told = layers::told(DEFAULTS, text.as_deref().map(|text| ("linecard.yaml", text)))?;
        let from = |origin: &str| match origin {
            layers::DEFAULT => "default",
            "linecard.yaml" => "linecard.yaml",
            _ => "environment",
        };
        Ok(told.into_iter().map(|(key, value, origin)| InForce { key, value, from: from(&origin) }).collect())
    }

    fn waiting_for(&self) -> Vec<String> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn unmapped(&self) -> Vec<unmapped::Line> {
        self.metrics.unmapped_lines.lock().unwrap_or_else(PoisonError::into_inner).lines()
    }
}

fn problem(found: &str, wanted: &str) -> Problem {
    Problem {
        file: "linecard.yaml".to_owned(),
        line: 0,
        column: 0,
        key: String::new(),
        found: found.to_owned(),
        wanted: wanted.to_owned(),
        ..Problem::default()
    }
}
