//! A link to a switch, probed by hand: somebody asks whether the switch answers there now. It is asked over a connection of its own, so what comes over the link is
//! not touched.

use std::{sync::Arc, time::Instant};

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    Console,
    api::{Ask, Nothing, Trouble},
    whole_site,
};
use crate::{
    calls::event::Feed,
    switches,
    words::refusal::{Refusal, code},
};

/// What came of it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Probed {
    /// It answered, and what the daemon does there can be done.
    pub answers: bool,
    pub took_ms: u64,
    /// Who answers and what we may do there, or why not: sentences, as `linecard check --probe` has them.
    pub said: Vec<String>,
}

/// Whether there is anybody to ask.
pub(super) const fn asks(feed: Feed) -> bool {
    !matches!(feed, Feed::Hep)
}

pub(super) async fn probe(console: Arc<Console>, ask: Ask<Nothing, Nothing>) -> Result<Probed, Trouble> {
    whole_site(&ask.who)?;
    let (switch, feed) = (ask.place("switch"), ask.place("feed"));
    let mut links = console.links.iter().flat_map(|stats| stats.each());
    let link = links.find(|(of, by, _)| of.as_str() == switch && by.as_str() == feed);
    let settings = console.switches.iter().find(|settings| settings.id().as_str() == switch).cloned();
    let (Some((_, by, _)), Some(settings)) = (link, settings) else {
        let why = Refusal::new(code::NO_LINK, format!("there is no link {feed} to {switch}"));
        return Err(Trouble::Missing(why.with("switch", switch).with("feed", feed)));
    };
    if !asks(by) {
        let says = "nothing can be asked there: mirrored signalling only comes in";
        return Err(Trouble::Late(Refusal::new(code::NOT_PROBED, says)));
    }
    // One at a time: each is a sign-in at a switch, which people behind a button must not make many of.
    let Ok(_turn) = console.probing.try_lock() else {
        return Err(Trouble::Late(Refusal::new(
            code::PROBING,
            "a link is being probed already; try again in a moment",
        )));
    };
    console.note(&ask.who, "link.probed", &format!("{switch} {feed}"), None).await?;
    let begun = Instant::now();
    // What it is made of may stay on one thread only.
    let runtime = tokio::runtime::Handle::current();
    let work = move || runtime.block_on(switches::live::probe_link(&settings, by));
    let told = tokio::task::spawn_blocking(work).await.map_err(Trouble::ended)?.unwrap_or_default();
    let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let answers = !told.is_empty() && told.iter().all(Result::is_ok);
    Ok(Probed { answers, took_ms, said: told.into_iter().map(|line| line.unwrap_or_else(|why| why)).collect() })
}
