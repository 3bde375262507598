//! One door to all kinds of switches: the closed list, once more, for what touches the world.

use std::sync::{Arc, atomic::Ordering};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Said, Settings, asterisk};
use crate::{
    calls::{Command, event::Feed},
    words::SwitchId,
};

/// The counters of one switch. Clones share them.
#[derive(Clone, Debug)]
pub enum Stats {
    Asterisk { switch: SwitchId, feeds: Vec<Feed>, links: Arc<asterisk::LinkStats> },
}

/// One link's figures at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    pub events: u64,
    pub dropped: u64,
    pub connects: u64,
    pub resyncs: u64,
}

impl Stats {
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        match settings {
            Settings::Asterisk(s) => {
                let feeds = [s.ami.is_some().then_some(Feed::Ami), s.ari.is_some().then_some(Feed::Ari)];
                Self::Asterisk {
                    switch: s.id.clone(),
                    feeds: feeds.into_iter().flatten().collect(),
                    links: Arc::default(),
                }
            }
        }
    }

    /// Each link with its figures.
    #[must_use]
    pub fn each(&self) -> Vec<(SwitchId, Feed, Counts)> {
        match self {
            Self::Asterisk { switch, feeds, links } => feeds
                .iter()
                .map(|feed| {
                    let link = if *feed == Feed::Ari { &links.ari } else { &links.ami };
                    let counts = Counts {
                        events: link.events.load(Ordering::Relaxed),
                        dropped: link.dropped.load(Ordering::Relaxed),
                        connects: link.connects.load(Ordering::Relaxed),
                        resyncs: link.resyncs.load(Ordering::Relaxed),
                    };
                    (switch.clone(), *feed, counts)
                })
                .collect(),
        }
    }
}

/// Keeps the links of one switch until `stop`.
pub async fn run(
    settings: Arc<Settings>,
    stats: Stats,
    out: mpsc::Sender<Said>,
    commands: mpsc::Receiver<Command>,
    stop: CancellationToken,
) {
    match (&*settings, stats) {
        (Settings::Asterisk(s), Stats::Asterisk { links, .. }) => {
            asterisk::run(Arc::new(s.clone()), links, out, commands, stop).await;
        }
    }
}

/// For `check --probe`: who answers, and what we may do there. `Err` is why it cannot be used.
pub async fn probe(settings: &Settings) -> Vec<Result<String, String>> {
    match settings {
        Settings::Asterisk(s) => asterisk::probe(s).await,
    }
}

/// For `check --manager-conf`: the lines the switch needs so that we see just what the settings want.
#[must_use]
pub fn conf_lines(settings: &Settings) -> String {
    match settings {
        Settings::Asterisk(s) => asterisk::manager_conf_lines(s) + &asterisk::ari_conf_lines(s),
    }
}
