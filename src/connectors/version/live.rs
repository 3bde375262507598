//! Asks each system once a day what it calls itself.

use std::{collections::HashMap, time::Duration};

use crate::{
    connectors::{Ask, Connectors, Priority},
    words::TenantId,
};

/// How often it is looked who is to be asked: a reload may have brought somebody new.
const LOOK: Duration = Duration::from_secs(20);
/// Nobody waits for it.
const DEADLINE: Duration = Duration::from_secs(30);

/// For as long as the daemon runs. Through the limits like any question, behind whatever rings.
pub async fn keep(connectors: Connectors) {
    let mut clock = tokio::time::interval(LOOK);
    loop {
        clock.tick().await;
        look(&connectors).await;
    }
}

/// Asks those who are due now.
pub async fn look(connectors: &Connectors) {
    let asked = connectors.unprobed().into_iter().map(|system| async move {
        let ask = Ask {
            tenant: TenantId::default(),
            system: system.clone(),
            operation: "version".to_owned(),
            inputs: serde_json::Map::new(),
            deadline: DEADLINE,
            priority: Priority::Background,
        };
        let outcome = connectors.run(ask).await;
        (system, outcome)
    });
    let outcomes: HashMap<_, _> = futures_util::future::join_all(asked).await.into_iter().collect();
    for (system, outcome) in outcomes {
        connectors.probed(&system, &outcome);
    }
}
