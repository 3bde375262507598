//! Goes through what is too old, once a day.

use std::time::Duration;

use crate::{live::now, store::Store};

use super::Settings;

const DAY: Duration = Duration::from_secs(86_400);
/// Calls of one transaction, and the rest behind it: other commits go in between.
const STEP: usize = 100;
const REST: Duration = Duration::from_millis(100);

/// Until the daemon ends.
pub async fn keep(settings: Settings, store: Store) {
    if settings.keep.is_empty() {
        return;
    }
    let mut clock = tokio::time::interval(DAY);
    loop {
        clock.tick().await;
        for keep in &settings.keep {
            let (calls, audit) = keep.before(now().wall);
            let (mut gone, mut rows) = (0, 0);
            loop {
                match store.prune(keep.tenant.clone(), calls, audit, STEP).await {
                    Ok((0, 0)) => break,
                    Ok((a, b)) => (gone, rows) = (gone + a, rows + b),
                    Err(error) => {
                        tracing::warn!(%error, tenant = %keep.tenant, "what is too old could not be removed; tomorrow again");
                        break;
                    }
                }
                tokio::time::sleep(REST).await;
            }
            if gone + rows > 0 {
                tracing::info!(tenant = %keep.tenant, calls = gone, audit = rows, "what was older than the tenant keeps it was removed");
            }
        }
    }
}
