//! `/v1/kpis`: what the calls of a time come to, as JSON and as CSV.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    extract::{RawQuery, State},
    http::HeaderMap,
    response::{IntoResponse, Response},
};

use super::{
    Console,
    api::{self, Ask, Doorkeeper, Nothing, Trouble},
};
use crate::{
    access::{Right, Role, Session},
    calls::directory::Agent,
    kpis::{self, Answer, Asked, Refused, Sight, Site},
    live::now,
    store::Reader,
    words::{
        AgentId,
        refusal::{Refusal, code},
    },
};

/// Of the tenant, and of these a supervisor's token those of its teams.
pub(super) fn sees_agent(who: &Session, agent: &Agent) -> bool {
    let shares = match &who.teams {
        Some(own) if who.role == Role::Supervisor => agent.teams.iter().any(|team| own.contains(team)),
        _ => true,
    };
    who.tenant.as_ref().is_none_or(|tenant| agent.tenant == *tenant && shares)
}

impl Console {
    /// Who sees the site sees everybody; who sees a tenant, its people, and of these a supervisor's token those of its teams.
    fn sight(&self, who: &Session) -> Sight {
        let Some(tenant) = &who.tenant else { return Sight::All };
        let directory = self.directory.load();
        let people = directory.agents().filter(|agent| sees_agent(who, agent));
        let people: BTreeSet<AgentId> = people.map(|agent| agent.id.clone()).collect();
        Sight::People(tenant.clone(), people)
    }

    async fn counted(&self, who: &Session, asked: Asked) -> Result<Answer, Trouble> {
        let at = now().wall;
        let query = asked.read(&self.kpis, at).map_err(|problem| {
            let why = Refusal::new(code::QUESTION, problem.to_string());
            Trouble::Wrong(why.with("part", problem.part).with("found", problem.found))
        })?;
        let (sight, directory) = (self.sight(who), self.directory.load_full());
        let (settings, edges, store) = (self.kpis.clone(), self.edges.clone(), self.store.clone());
        let count = move || {
            let reader = Reader::open(&store).map_err(Trouble::from)?;
            let site = Site { settings: &settings, directory: &directory, edges: &edges, now: at };
            kpis::answer(&reader, site, &query, &sight).map_err(|refused| match refused {
                Refused::Store(error) => error.into(),
                other @ Refused::NotYours => Trouble::Wrong(Refusal::new(code::NOT_YOUR_FIGURES, other.to_string())),
                other @ Refused::TooMany => Trouble::Wrong(Refusal::new(code::TOO_MANY_GROUPS, other.to_string())),
            })
        };
        let counted = tokio::task::spawn_blocking(count).await;
        counted.map_err(Trouble::ended)?
    }
}

pub(super) async fn answer(console: Arc<Console>, ask: Ask<Asked, Nothing>) -> Result<Answer, Trouble> {
    console.counted(&ask.who, ask.query).await
}

/// `GET /v1/kpis.csv`.
pub(super) async fn csv(
    State(console): State<Arc<Console>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let who = match console.admit(&headers, Right::See, false) {
        Ok(who) => who,
        Err(answer) => return *answer,
    };
    let counted = async { console.counted(&who, api::read_query(query.as_deref().unwrap_or_default())?).await };
    match counted.await {
        Ok(answer) => api::table("kpis.csv", kpis::csv(&answer)),
        Err(trouble) => trouble.into_response(),
    }
}
