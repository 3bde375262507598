//! One session with a system, shared by all its operations: what a login gave, and when there may be another login.
//!
//! A login is the one request that can do harm by being repeated: some few wrong passwords, and the system locks the account that
//! all agents depend on. So [`Keeper`] allows one at a time; who waited for one that failed takes its outcome; after a refusal there is
//! none for 5 minutes, then 10, at most an hour, however many ask; and a system that ends each session at once
//! gets five a minute, no more.

use std::{collections::VecDeque, sync::Arc};

use minijinja::value::Value;
use serde_json::{Map, Value as Json};

use crate::{private::Secret, words::Mono};

use super::{
    Outcome, System,
    oauth2::REFRESH,
    run::{Next, Request, Response, Run, Trouble},
    set::{Place, SessionAuth},
    trail::Trail,
};

/// After a refused login. Systems that lock an account do so after some five wrong passwords within a quarter of an hour or half of one;
/// this makes three in the first.
const REFUSED_MS: u64 = 300_000;
/// After one that was answered in a way the file does not know: an error page while the system starts, more likely than a refusal.
const BROKEN_MS: u64 = 15_000;
const LONGEST_MS: u64 = 3_600_000;
/// After a reload a refused login may be tried again, for somebody may have mended it over there; but not more often than this.
const RELOAD_MS: u64 = 60_000;
/// A system that ends sessions as fast as they are opened: so many logins a minute, and then we say so.
const LOGINS: usize = 5;
const WITHIN_MS: u64 = 60_000;

/// Which requests need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// The sign-in.
    All,
    /// A token against forged requests (CSRF): those that change something.
    Changes,
}

/// What a login gave. It goes into requests and nowhere else.
pub struct Session {
    /// Which login of this system it came from: 1, 2, ...
    pub number: u64,
    /// The whole `Cookie` header.
    cookie: Option<Secret>,
    token: Option<Secret>,
    until: Option<Mono>,
    /// Where requests go, if not to the file's `base_url`.
    pub base: Option<String>,
}

impl Session {
    /// What an example begins with.
    #[must_use]
    pub fn example(auth: &SessionAuth) -> Self {
        let pairs: Vec<String> = auth.cookies.iter().map(|name| format!("{name}=(secret)")).collect();
        let token = auth.token.as_ref().map(|t| Secret::new(format!("{}(secret)", t.prefix)));
        let cookie = (!pairs.is_empty()).then(|| Secret::new(pairs.join("; ")));
        Self { number: 0, cookie, token, until: None, base: None }
    }

    /// What of it is to be kept out of what is shown.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        self.cookie.iter().chain(&self.token)
    }

    pub fn header(&self, auth: &SessionAuth, headers: &mut Vec<(String, String)>) {
        if let Some(cookie) = &self.cookie {
            // One header for all of them (RFC 6265, section 5.4).
            match headers.iter_mut().find(|(name, _)| name.eq_ignore_ascii_case("cookie")) {
                Some((_, cookies)) => *cookies = format!("{cookies}; {}", cookie.expose()),
                None => headers.push(("Cookie".to_owned(), cookie.expose().to_owned())),
            }
        }
        if let (Some(token), Some(Place::Header(name))) = (&self.token, auth.token.as_ref().map(|t| &t.place)) {
            headers.push((name.clone(), token.expose().to_owned()));
        }
    }

    pub fn query(&self, auth: &SessionAuth, query: &mut Map<String, Json>) {
        if let (Some(token), Some(Place::Query(name))) = (&self.token, auth.token.as_ref().map(|t| &t.place)) {
            query.insert(name.clone(), token.expose().into());
        }
    }

    /// # Errors
    /// The body has no such place.
    pub fn body(&self, auth: &SessionAuth, body: &mut Json) -> Result<(), String> {
        if let (Some(token), Some(place)) = (&self.token, auth.token.as_ref().map(|t| &t.place)) {
            place.in_body(token.expose(), body).map_err(|why| format!("the session's token: {why}"))?;
        }
        Ok(())
    }
}

/// What a login does next.
pub enum Step {
    Send(Request),
    /// It is made by somebody who is signed in: any session, or one that is newer than the one of this number.
    SignIn {
        over: Option<u64>,
    },
    Done,
}

/// A login, still: played like an operation, it ends with a session.
pub struct Login<'a> {
    system: &'a System,
    auth: &'a SessionAuth,
    run: Run<'a>,
    /// What the answer set, the last of a name.
    cookies: Vec<(String, String)>,
}

impl<'a> Login<'a> {
    /// `None`: this system has no sessions.
    #[must_use]
    pub fn new(system: &'a System, what: For, told: &[(&'static str, Secret)]) -> Option<Self> {
        Some(Self::of(system, what, system.session(what)?, told))
    }

    /// `told`: what else its request sees.
    #[must_use]
    pub fn of(system: &'a System, what: For, auth: &'a SessionAuth, told: &[(&'static str, Secret)]) -> Self {
        let run = match what {
            For::All => Run::login(system, auth, told),
            For::Changes => Run::csrf(system, auth),
        };
        Self { system, auth, run, cookies: Vec::new() }
    }

    /// Tells what happens.
    #[must_use]
    pub fn telling(mut self, trail: Option<&Trail>) -> Self {
        self.run = self.run.telling(trail);
        self
    }

    /// What to do now; the end is that of [`Login::session`].
    pub fn next(&mut self) -> Step {
        match self.run.next() {
            Next::Send(mut requests) => requests.pop().map_or(Step::Done, Step::Send),
            Next::LogIn { what: For::All, over } => Step::SignIn { over },
            Next::LogIn { .. } | Next::Done(_) => Step::Done,
        }
    }

    /// What [`Step::SignIn`] asked for.
    pub fn signed_in(&mut self, session: Result<Arc<Session>, Outcome>) {
        self.run.logged_in(For::All, session);
    }

    pub fn answer(&mut self, answer: Result<Response, Trouble>) {
        if let Ok(response) = &answer {
            let set = response.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
            for (name, value) in set.filter_map(|(_, value)| cookie(value)) {
                self.cookies.retain(|(known, _)| *known != name);
                self.cookies.push((name, value));
            }
        }
        self.run.answers(vec![answer]);
    }

    /// The refresh token of a good answer, whatever else is wrong with it: the one before it may be used up.
    #[must_use]
    pub fn refresh(&self) -> Option<Secret> {
        self.auth.refresh.as_ref()?;
        let token = self.run.last_answer().get_attr("body").ok()?.get_attr(REFRESH).ok()?;
        token.as_str().filter(|token| !token.is_empty()).map(|token| Secret::new(token.to_owned()))
    }

    /// # Errors
    /// How the login failed.
    pub fn session(mut self, number: u64, now: Mono) -> Result<Session, Outcome> {
        let id = &self.system.id;
        match self.run.next() {
            Next::Done(Outcome::Ok(_) | Outcome::Empty) => {}
            // There was no session yet that could have expired.
            Next::Done(Outcome::AuthExpired { reason }) => return Err(Outcome::Denied { reason }),
            Next::Done(outcome) => return Err(outcome),
            Next::Send(_) | Next::LogIn { .. } => {
                return Err(Outcome::Broken { reason: format!("the login at {id} did not end") });
            }
        }
        let broken = |what: String| Outcome::Broken { reason: format!("{id}'s login gave no {what}") };
        let mut pairs = Vec::new();
        for name in &self.auth.cookies {
            let mut found = Vec::new();
            for (n, value) in &self.cookies {
                if name == n || name.strip_suffix('*').is_some_and(|start| n.starts_with(start)) {
                    found.push(format!("{n}={value}"));
                }
            }
            if found.is_empty() {
                return Err(broken(format!("cookie {name}")));
            }
            pairs.append(&mut found);
        }
        let seen = self.run.last_answer();
        let mut token = None;
        if let Some(wanted) = &self.auth.token {
            let value = wanted.value.eval(&seen).ok().filter(|v| !v.is_undefined() && !v.is_none());
            let value = value.map(|v| v.to_string()).filter(|v| !v.is_empty() && !v.chars().any(char::is_control));
            token = Some(Secret::new(format!("{}{}", wanted.prefix, value.ok_or_else(|| broken("token".to_owned()))?)));
        }
        let lives = self.auth.lives_ms.as_ref().map(|l| l.eval(&seen).ok().and_then(whole));
        let until = match lives {
            None => None,
            Some(Some(ms)) => Some(now.plus_ms(ms)),
            Some(None) => return Err(broken("time it lives".to_owned())),
        };
        let cookie = (!pairs.is_empty()).then(|| Secret::new(pairs.join("; ")));
        let base = match &self.auth.base {
            None => None,
            Some((value, hosts)) => {
                let value = value.eval(&seen).ok().filter(|v| !v.is_undefined() && !v.is_none());
                let value = value.map(|v| v.to_string()).filter(|v| !v.is_empty());
                let plain = self.system.at.text().starts_with("http://");
                let led = |text: String| led(&text, hosts, plain);
                value.map(led).transpose().map_err(|why| Outcome::Broken { reason: format!("{id}'s login: {why}") })?
            }
        };
        Ok(Session { number, cookie, token, until, base })
    }
}

/// The address that a login names, if it is one that the file allows. `plain`: the system itself is asked without TLS.
fn led(text: &str, hosts: &[String], plain: bool) -> Result<String, &'static str> {
    const ELSEWHERE: &str = "it names a host that its file does not allow";
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://").filter(|_| plain));
    let rest = rest.ok_or("it names an address that is no https one")?.trim_end_matches('/');
    if rest.chars().any(|c| c.is_control() || c.is_whitespace() || "\\?#@".contains(c)) {
        return Err(ELSEWHERE);
    }
    let authority = rest.split('/').next().unwrap_or_default();
    if !below(authority, hosts) {
        return Err(ELSEWHERE);
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// Whether a `host` or `host:port` is one of these, or below one that begins with a dot.
#[must_use]
pub fn below(authority: &str, hosts: &[String]) -> bool {
    let authority = authority.to_ascii_lowercase();
    let good = |c: char| c.is_ascii_alphanumeric() || "-.:_".contains(c);
    !authority.is_empty()
        && authority.chars().all(good)
        && hosts.iter().any(|host| {
            let host = host.to_ascii_lowercase();
            if host.starts_with('.') {
                authority.len() > host.len() && authority.ends_with(&host)
            } else {
                authority == host
            }
        })
}

/// Milliseconds; a text of digits is as good, for some systems send that.
fn whole(value: Value) -> Option<u64> {
    u64::try_from(value.clone()).ok().or_else(|| value.to_string().trim().parse().ok())
}

/// Name and value of a `Set-Cookie`; nothing where it is taken back or is none.
fn cookie(header: &str) -> Option<(String, String)> {
    let mut parts = header.split(';');
    let (name, value) = parts.next()?.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let gone = parts.any(|p| p.trim().to_ascii_lowercase().strip_prefix("max-age=").is_some_and(|age| age == "0"));
    let bad = |c: char| c.is_control() || c == ',' || c == ' ';
    let good = !name.is_empty() && !value.is_empty() && !value.contains(bad) && !gone;
    good.then(|| (name.to_owned(), value.to_owned()))
}

/// What an ask that needs a session does now.
pub enum Way {
    Use(Arc<Session>),
    LogIn {
        number: u64,
    },
    /// There is none, and there will be none soon.
    No(Outcome),
}

/// What there is of a session, and what became of logins.
pub struct Keeper {
    name: String,
    state: State,
    /// Logins that have ended.
    ended: u64,
    /// When those of the last minute were let in.
    opened: VecDeque<Mono>,
}

enum State {
    /// Never tried, or a trouble of the line; the outcome of the try that ended last.
    Out(Option<Outcome>),
    Open(Arc<Session>),
    Refused {
        outcome: Outcome,
        tries: u32,
        at: Mono,
        until: Mono,
    },
}

impl Keeper {
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), state: State::Out(None), ended: 0, opened: VecDeque::new() }
    }

    /// How many logins have ended: an ask remembers it while it waits for its turn.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.ended
    }

    /// `over`: the number of the session that has expired. `waited`: [`Keeper::ended`] when the ask began to wait.
    #[must_use]
    pub fn ask(&self, over: Option<u64>, waited: u64, now: Mono) -> Way {
        match &self.state {
            State::Open(session)
                if over.is_none_or(|over| session.number > over) && session.until.is_none_or(|until| now < until) =>
            {
                return Way::Use(session.clone());
            }
            State::Refused { outcome, until, .. } if now < *until => {
                let left = until.since_ms(now).div_ceil(1000);
                return Way::No(told(outcome, |reason| format!("{reason}; the next login is tried in {left} s")));
            }
            State::Out(Some(outcome)) if self.ended > waited => return Way::No(outcome.clone()),
            _ => {}
        }
        let lately = self.opened.iter().filter(|at| now.since_ms(**at) < WITHIN_MS).count();
        if lately >= LOGINS {
            let reason = format!("{} ends its sessions at once: {lately} logins within a minute", self.name);
            return Way::No(Outcome::AuthExpired { reason });
        }
        Way::LogIn { number: self.ended + 1 }
    }

    /// Somebody signed in: what was refused before says nothing any more.
    pub fn anew(&mut self) {
        if matches!(self.state, State::Refused { .. }) {
            self.state = State::Out(None);
        }
    }

    /// How a login ended. What somebody must be told, with the milliseconds until the next try: a refusal.
    pub fn ends(&mut self, result: Result<Session, Outcome>, now: Mono) -> Option<(Outcome, u64)> {
        self.ended += 1;
        let outcome = match result {
            Ok(session) => {
                self.opened.push_back(now);
                while self.opened.len() > LOGINS {
                    self.opened.pop_front();
                }
                self.state = State::Open(Arc::new(session));
                return None;
            }
            Err(outcome) => outcome,
        };
        let first = match &outcome {
            // Not refused: it was not there, or had no time.
            Outcome::Busy { .. } | Outcome::RateLimited { .. } => {
                // The count of earlier refusals stays, or a flapping line would make it a storm again.
                if !matches!(self.state, State::Refused { .. }) {
                    self.state = State::Out(Some(outcome));
                }
                return None;
            }
            Outcome::Broken { .. } | Outcome::Unknown { .. } => BROKEN_MS,
            _ => REFUSED_MS,
        };
        let tries = if let State::Refused { tries, .. } = &self.state { tries + 1 } else { 1 };
        let wait = first.saturating_mul(1 << (tries - 1).min(16)).min(LONGEST_MS);
        self.state = State::Refused { outcome: outcome.clone(), tries, at: now, until: now.plus_ms(wait) };
        Some((outcome, wait))
    }

    /// A reload with the same file and credentials: somebody may have mended the account over there.
    pub fn reloaded(&mut self) {
        if let State::Refused { at, until, .. } = &mut self.state {
            *until = (*until).min(at.plus_ms(RELOAD_MS));
        }
    }
}

fn told(outcome: &Outcome, say: impl Fn(&str) -> String) -> Outcome {
    match outcome {
        Outcome::Denied { reason } => Outcome::Denied { reason: say(reason) },
        Outcome::Invalid { reason } => Outcome::Denied { reason: say(reason) },
        Outcome::Broken { reason } => Outcome::Broken { reason: say(reason) },
        other => other.clone(),
    }
}

/// An example's cookies as the header its answer would have.
#[must_use]
pub fn set_cookie(name: &str, value: &str) -> (String, String) {
    ("Set-Cookie".to_owned(), format!("{name}={value}; Path=/; HttpOnly"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(number: u64, until: Option<Mono>) -> Session {
        Session { number, cookie: None, token: None, until, base: None }
    }
    fn denied() -> Outcome {
        Outcome::Denied { reason: "desk refuses the login".to_owned() }
    }
    fn second(s: u64) -> Mono {
        Mono(s * 1_000_000)
    }

    #[test]
    fn one_session_serves_everybody_until_somebody_says_it_is_over() {
        let mut keeper = Keeper::new("desk");
        assert!(matches!(keeper.ask(None, 0, second(1)), Way::LogIn { number: 1 }));
        assert_eq!(keeper.ends(Ok(session(1, None)), second(1)), None);
        assert!(matches!(keeper.ask(None, 0, second(2)), Way::Use(s) if s.number == 1));
        // Two notice that the first is over: the second of them finds the new one.
        assert!(matches!(keeper.ask(Some(1), 1, second(3)), Way::LogIn { number: 2 }));
        keeper.ends(Ok(session(2, Some(second(60)))), second(3));
        assert!(matches!(keeper.ask(Some(1), 1, second(4)), Way::Use(s) if s.number == 2));
        // Its time is known.
        assert!(matches!(keeper.ask(None, 2, second(59)), Way::Use(_)));
        assert!(matches!(keeper.ask(None, 2, second(60)), Way::LogIn { number: 3 }));
    }

    /// Every second somebody asks, for a day, with a wrong password.
    #[test]
    fn a_wrong_password_is_tried_so_rarely_that_no_account_is_locked() {
        let mut keeper = Keeper::new("desk");
        let mut tried = Vec::new();
        for s in 0..86_400 {
            match keeper.ask(None, keeper.ended(), second(s)) {
                Way::LogIn { .. } => {
                    tried.push(s);
                    assert!(keeper.ends(Err(denied()), second(s)).is_some());
                }
                Way::No(outcome) => assert!(
                    matches!(&outcome, Outcome::Denied { reason } if reason.starts_with("desk refuses the login; the next")),
                    "{outcome:?}"
                ),
                Way::Use(_) => unreachable!("nobody was let in"),
            }
        }
        assert_eq!(tried.iter().take(5).collect::<Vec<_>>(), [&0, &300, &900, &2100, &4500]);
        for from in &tried {
            let within = tried.iter().filter(|s| (*from..from + 1800).contains(s)).count();
            assert!(within <= 3, "{within} within half an hour of {from}");
        }
        assert!(tried.len() < 30, "{}", tried.len());
    }

    #[test]
    fn a_reload_tries_a_refused_login_again_but_not_at_once() {
        let mut keeper = Keeper::new("desk");
        keeper.ends(Err(denied()), second(0));
        keeper.reloaded();
        assert!(matches!(keeper.ask(None, 1, second(59)), Way::No(_)));
        assert!(matches!(keeper.ask(None, 1, second(60)), Way::LogIn { .. }));
        // The wait goes on growing from where it was.
        keeper.ends(Err(denied()), second(60));
        assert!(matches!(keeper.ask(None, 2, second(659)), Way::No(_)));
        assert!(matches!(keeper.ask(None, 2, second(660)), Way::LogIn { .. }));
    }

    #[test]
    fn who_waited_for_a_login_that_failed_takes_its_outcome_and_who_comes_later_tries() {
        let mut keeper = Keeper::new("desk");
        let waited = keeper.ended();
        let busy = Outcome::Busy { reason: "desk cannot be reached".to_owned() };
        assert_eq!(keeper.ends(Err(busy.clone()), second(1)), None);
        assert!(matches!(keeper.ask(None, waited, second(1)), Way::No(outcome) if outcome == busy));
        assert!(matches!(keeper.ask(None, keeper.ended(), second(1)), Way::LogIn { .. }));
    }

    #[test]
    fn sessions_that_do_not_last_are_no_reason_for_a_storm() {
        let mut keeper = Keeper::new("desk");
        let mut logins = 0;
        for s in 0..60 {
            match keeper.ask(Some(logins), keeper.ended(), second(s)) {
                Way::LogIn { number } => {
                    logins = number;
                    keeper.ends(Ok(session(number, None)), second(s));
                }
                Way::No(Outcome::AuthExpired { reason }) => assert!(reason.contains("5 logins"), "{reason}"),
                _ => unreachable!("each session is over when it is used"),
            }
        }
        assert_eq!(logins, 5);
        assert!(matches!(keeper.ask(Some(logins), keeper.ended(), second(60)), Way::LogIn { .. }));
    }

    #[test]
    fn a_login_leads_only_where_its_file_allows() {
        let hosts = [".my.salesforce.com".to_owned(), "api.example.com".to_owned(), "lab.example:8443".to_owned()];
        for (text, good) in [
            ("https://acme.my.salesforce.com", true),
            ("https://acme.my.salesforce.com/services/", true),
            ("https://ACME--uat.sandbox.my.salesforce.com", true),
            ("https://lab.example:8443/x", true),
            ("https://lab.example/x", false),
            ("https://api.example.com", true),
            ("https://evil.example/.my.salesforce.com", false),
            ("https://my.salesforce.com.evil.example", false),
            ("https://.my.salesforce.com", false),
            ("https://evilmy.salesforce.com", false),
            ("https://x@acme.my.salesforce.com", false),
            ("https://evil.example#.my.salesforce.com", false),
            ("https://acme.my.salesforce.com:8443", false),
            ("http://acme.my.salesforce.com", false),
            ("ftp://acme.my.salesforce.com", false),
            ("https://acme.my.salesforce.com\\@evil.example", false),
            ("", false),
        ] {
            assert_eq!(led(text, &hosts, false).is_ok(), good, "{text}");
        }
        assert_eq!(led("http://api.example.com/v1/", &hosts, true).as_deref(), Ok("http://api.example.com/v1"));
    }

    #[test]
    fn cookies_are_read_and_those_taken_back_are_not() {
        for (header, wanted) in [
            (
                "session_id=83242ebe; Expires=Sat, 20-Feb-2027 11:35:18 GMT; Max-Age=7776000; HttpOnly; Path=/",
                Some("83242ebe"),
            ),
            ("ROUTEID=.node1; path=/b1s", Some(".node1")),
            ("session_id=; Max-Age=0", None),
            ("session_id=gone; Max-Age=0; Path=/", None),
            ("nonsense", None),
            ("a=b\r\nX: y", None),
        ] {
            assert_eq!(cookie(header).as_ref().map(|(_, v)| v.as_str()), wanted, "{header}");
        }
    }
}
