//! `csrf`, as the session that it is: the request that fetches the token, made by somebody who is signed in, and what of its answer goes with each request that
//! changes something (SAP Gateway: `X-CSRF-Token: Fetch`, with the cookies of that answer, and 403 with `x-csrf-token: Required` when it is over).

use super::file::{Csrf, Login, SessionAuth};

#[must_use]
pub fn session(csrf: &Csrf) -> SessionAuth {
    let fetch = &csrf.fetch;
    SessionAuth {
        login: Login {
            method: fetch.method,
            path: fetch.path.clone(),
            headers: fetch.headers.clone(),
            query: fetch.query.clone(),
            body: None,
            sign: None,
            decode: fetch.decode.clone(),
            charset: None,
            answer_charset: None,
            outcome: fetch.outcome.clone(),
            deadline_ms: None,
        },
        cookies: csrf.cookies.clone(),
        token: Some(csrf.token.clone()),
        lives_ms: csrf.lives_ms.clone(),
        base: None,
        expired: csrf.refused.clone(),
    }
}
