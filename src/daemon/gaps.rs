//! What happened while nobody watched: the switch's own records are read on, and calls in them that nobody here knows are written down.
//!
//! Every look goes the same way, after a restart, after a lost link and in quiet times (records may be written minutes late). A call
//! counts as known if any of its channels is in the book, its id at the desk, or any of its channels in a stored record of its time. The place up
//! to which was read is durable in one transaction with what was made of it, so a kill in between repeats the look and loses nothing; a place that is a
//! minute old only means that known calls are recognised again.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio::sync::{mpsc, oneshot};

use super::wiring::Control;
use crate::{
    calls::missed::{self, Row},
    live::now,
    store::{PositionRow, Store},
    switches::{
        self,
        asterisk::cdr::live::{Found, Position, look},
    },
    watch::Metrics,
    words::{SwitchId, Wall},
};

/// How often the file is looked at: a `stat` when nothing was added.
const LOOK: Duration = Duration::from_secs(2);
/// How old the durable place may be while nothing is missed.
const KEEP_MS: u64 = 60_000;
/// How far the clocks of switch and daemon may be apart where calls are compared by time.
const SKEW_MS: i64 = 600_000;

/// Until the core is gone.
pub async fn watch(settings: Arc<switches::Settings>, store: Store, control: mpsc::Sender<Control>, metrics: Metrics) {
    // No other switch keeps records that are read here.
    let switches::Settings::Asterisk(asterisk) = &*settings else { return };
    let Some(records) = asterisk.records.clone() else { return };
    let (switch, tenant) = (asterisk.id.clone(), asterisk.tenant.clone());
    let Some(zone) = records.zone(&asterisk.zone) else {
        tracing::error!(%switch, zone = asterisk.zone, "this time zone is not known here: the switch's own records are not read");
        return;
    };
    let mut clock = tokio::time::interval(LOOK);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // A place that cannot be read now is not one that was never written: that would pass over what was missed.
    let stored = loop {
        clock.tick().await;
        match store.position(tenant.clone(), switch.clone()).await {
            Ok(stored) => break stored,
            Err(error) => tracing::warn!(%switch, %error, "the place in the switch's own records cannot be read"),
        }
    };
    let mut position: Option<Position> = stored.and_then(|text| serde_json::from_str(&text).ok());
    clock.reset_immediately();
    let mut kept = now().mono;
    let mut trouble = String::new();
    loop {
        clock.tick().await;
        // While nobody watches, nobody can say which calls are known; nothing is read then.
        match unknown(&control, &switch, Vec::new()).await {
            Err(Gone) => return,
            Ok(None) => continue,
            Ok(Some(_)) => {}
        }
        let (at, from, of) = (zone.clone(), position.clone(), records.clone());
        let found = tokio::task::spawn_blocking(move || look(&of, &at, from.as_ref())).await;
        let found = match found {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                if trouble != error.to_string() {
                    trouble = error.to_string();
                    tracing::error!(%switch, file = %records.path().display(), error = trouble, "the switch's own records cannot be read");
                }
                continue;
            }
            Err(_) => continue,
        };
        trouble.clear();
        if Some(&found.position) == position.as_ref() {
            continue;
        }
        let first = position.is_none();
        let Found { rows, bad, position: next, torn, .. } = found;
        let Ok(calls) = unknown(&control, &switch, missed::calls(rows)).await else { return };
        // The link was lost meanwhile: the same look again when it is back.
        let Some(mut calls) = calls else { continue };
        if !calls.is_empty() {
            match known(&store, &switch, &calls).await {
                Ok(known) => calls.retain(|rows| !missed::ids(rows).any(|id| known.contains(id))),
                Err(error) => {
                    tracing::warn!(%switch, %error, "cannot compare the switch's own records with ours; it is tried again");
                    continue;
                }
            }
        }
        for (file, line, why) in &bad {
            tracing::warn!(%switch, "{}:{line}: this line is no record: {why}", file.display());
        }
        metrics.bad_lines.inc_by(bad.len() as u64);
        if torn {
            tracing::error!(%switch, file = %records.path().display(), "the file was replaced and the old one is not beside it: what it held last is not known");
        }
        position = Some(next);
        if first || !calls.is_empty() || torn || now().mono.since_ms(kept) >= KEEP_MS {
            kept = now().mono;
            let body = serde_json::to_string(&position).unwrap_or_default();
            let row = PositionRow { tenant: tenant.clone(), switch: switch.clone(), body };
            if control.send(Control::Missed { switch: switch.clone(), calls, position: Some(row) }).await.is_err() {
                return;
            }
        }
    }
}

struct Gone;

async fn unknown(
    control: &mpsc::Sender<Control>,
    switch: &SwitchId,
    calls: Vec<Vec<Row>>,
) -> Result<Option<Vec<Vec<Row>>>, Gone> {
    let (answer, answered) = oneshot::channel();
    control.send(Control::Unknown { switch: switch.clone(), calls, answer }).await.map_err(|_| Gone)?;
    answered.await.map_err(|_| Gone)
}

/// Channels of records that are stored already, of about the time of these calls.
pub(super) async fn known(
    store: &Store,
    switch: &SwitchId,
    calls: &[Vec<Row>],
) -> Result<HashSet<String>, crate::store::StoreError> {
    #[derive(serde::Deserialize)]
    struct Ids {
        #[serde(default)]
        ids: Vec<crate::calls::record::Id>,
    }
    let ends = || calls.iter().flatten().map(|row| row.end);
    let (Some(first), Some(last)) = (ends().min(), ends().max()) else { return Ok(HashSet::new()) };
    let stored = store.ended(Wall(first.0 - SKEW_MS), Wall(last.0 + SKEW_MS)).await?;
    let ids = stored.iter().filter_map(|body| serde_json::from_str::<Ids>(body.expose()).ok());
    Ok(ids.flat_map(|record| record.ids).filter(|id| id.switch == *switch).map(|id| id.value).collect())
}
