//! One connection to ARI: a WebSocket with events, and REST beside it for narrowing, snapshot and dial. A still machine like that of AMI;
//! the world opens the WebSocket first (subscribe, then list) and runs the requests that come out here.
//!
//! ARI does not replay what was missed, and a second WebSocket with the same application's name takes the events over.

use std::{collections::VecDeque, sync::Arc};

use serde::Deserialize;

use crate::{
    calls::{
        Attributes, Command,
        command::{Act, Dial, Failure, Made, Outcome, RequestId, Verb},
        event::{Event, Said},
    },
    switches::link::{self, Reason},
    words::{Mono, Now},
};

use super::{
    ari::ReadError,
    narrow, originate,
    session_ami::wanted,
    settings::{Ari, Settings},
    snapshot::AriLists,
    translate_ari,
};

/// What the world is to do.
#[derive(Debug, PartialEq)]
pub enum Output {
    Ping,
    Request(Request),
    Up { version: String },
    Events(Vec<Event>),
    Answered { request: RequestId, result: Outcome },
    Note(&'static str),
    Failed(Reason),
    Wait(Mono),
}

/// One REST request; its answer comes back by [`Session::answered`] with the same `what`.
#[derive(Debug, PartialEq)]
pub struct Request {
    pub what: What,
    pub method: Method,
    /// Behind `/ari`.
    pub path: String,
    pub query: Vec<(&'static str, String)>,
    pub body: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
    Put,
    Delete,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Info,
    Filter,
    Channels { round: u32 },
    Bridges { round: u32 },
    Dial(RequestId),
    Act(RequestId),
}

pub struct Session {
    settings: Arc<Settings>,
    attributes: Attributes,
    state: State,
    version: String,
    heard: Mono,
    pinged: bool,
    round: u32,
    again: bool,
    dials: Vec<(RequestId, Mono)>,
    events: Vec<Event>,
    out: VecDeque<Output>,
}

enum State {
    Listing { lists: Box<AriLists>, first: bool },
    Ready,
    Failed,
}

impl Session {
    /// The WebSocket was opened at `now`.
    #[must_use]
    pub fn new(settings: Arc<Settings>, ari: &Ari, now: Now) -> Self {
        let types: Vec<_> =
            narrow::ari_types(&settings).into_iter().map(|t| serde_json::json!({ "type": t })).collect();
        let filter = Request {
            what: What::Filter,
            method: Method::Put,
            path: format!("/applications/{}/eventFilter", ari.app),
            query: Vec::new(),
            body: Some(serde_json::json!({ "allowed": types }).to_string()),
        };
        let mut session = Self {
            attributes: settings.declared(),
            settings,
            state: State::Ready,
            version: String::new(),
            heard: now.mono,
            pinged: false,
            round: 0,
            again: false,
            dials: Vec::new(),
            events: Vec::new(),
            out: VecDeque::from([Output::Request(filter), Output::Request(get(What::Info, "/asterisk/info"))]),
        };
        session.list(now, true);
        session
    }

    /// A text came over the WebSocket.
    pub fn text(&mut self, now: Now, text: &str) {
        self.alive(now);
        match translate_ari::translate(text) {
            Ok(Some(event)) => {
                if let (State::Listing { lists, .. }, Said::Hangup { leg, .. }) = (&mut self.state, &event.said) {
                    lists.ended(&leg.id);
                }
                self.events.extend(wanted(&self.attributes, event));
            }
            Ok(None) => {
                if super::ari::kind(text).is_ok_and(|k| &*k.kind == "ApplicationReplaced") {
                    self.fail(Reason::Replaced);
                }
            }
            Err(ReadError::TooLong { .. }) => self.fail(Reason::Junk("longer than 64 KiB")),
            Err(ReadError::NotAnEvent { .. }) => self.fail(Reason::Junk("no event of ARI")),
        }
    }

    /// A pong, a ping or anything else that shows that somebody is there.
    pub fn alive(&mut self, now: Now) {
        self.heard = now.mono;
        self.pinged = false;
    }

    pub fn closed(&mut self, reason: Reason) {
        self.fail(reason);
    }

    pub fn resync(&mut self, now: Now) {
        match self.state {
            State::Ready => self.list(now, false),
            State::Listing { .. } => self.again = true,
            State::Failed => {}
        }
    }

    /// Do what an agent asked; it is answered once.
    pub fn command(&mut self, now: Now, command: &Command) {
        match command {
            Command::Dial(dial) => self.dial(now, dial),
            Command::Act(act) => self.act(now, act),
            // There is no resource for a queue's members.
            Command::Attend(asked) => {
                self.out.push_back(Output::Answered {
                    request: asked.request.clone(),
                    result: Err(Failure::UnavailableHere),
                });
            }
        }
    }

    /// ARI ends any channel; all else it does to channels of its own application alone (22.10.1: 409).
    fn act(&mut self, now: Now, act: &Act) {
        let request = act.request.clone();
        let id = act.own.id.as_str();
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        let refused = match () {
            () if matches!(self.state, State::Failed) => Some(Failure::SwitchUnavailable),
            () if self.settings.control.is_none() || act.verb != Verb::HangUp => Some(Failure::UnavailableHere),
            () if !(1..=128).contains(&id.len()) || !id.bytes().all(plain) => Some(Failure::CallOver),
            () => None,
        };
        if let Some(failure) = refused {
            return self.answer(request, Err(failure));
        }
        if self.dials.iter().any(|(known, _)| *known == request) {
            return;
        }
        self.dials.push((request.clone(), now.mono.plus_ms(link::DIAL_MS)));
        self.out.push_back(Output::Request(Request {
            what: What::Act(request),
            method: Method::Delete,
            path: format!("/channels/{id}"),
            query: vec![("reason_code", "16".to_owned())],
            body: None,
        }));
    }

    fn dial(&mut self, now: Now, dial: &Dial) {
        if matches!(self.state, State::Failed) {
            return self.answer(dial.request.clone(), Err(Failure::SwitchUnavailable));
        }
        if self.dials.iter().any(|(request, _)| *request == dial.request) {
            return;
        }
        match originate::ari_request(&self.settings, dial) {
            Ok((query, body)) => {
                self.dials.push((dial.request.clone(), now.mono.plus_ms(link::DIAL_MS)));
                self.out.push_back(Output::Request(Request {
                    what: What::Dial(dial.request.clone()),
                    method: Method::Post,
                    path: format!("/channels/{}", dial.request.0),
                    query,
                    body: Some(body),
                }));
            }
            Err(failure) => self.answer(dial.request.clone(), Err(failure)),
        }
    }

    /// A request was answered; `None`: it was not.
    pub fn answered(&mut self, now: Now, what: What, answer: Option<(u16, &[u8])>) {
        match (what, answer) {
            (What::Dial(request), answer) => {
                if let Some(at) = self.dials.iter().position(|(r, _)| *r == request) {
                    self.dials.swap_remove(at);
                    let result = match answer {
                        Some((200..=299, _)) => Ok(Made { leg: Some(request.0.clone()), ..Made::default() }),
                        Some((status, body)) => Err(originate::ari_refusal(status, body)),
                        None => Err(Failure::Timeout),
                    };
                    self.answer(request, result);
                }
            }
            (What::Act(request), answer) => {
                if let Some(at) = self.dials.iter().position(|(r, _)| *r == request) {
                    self.dials.swap_remove(at);
                    let result = match answer {
                        Some((200..=299, _)) => Ok(Made::default()),
                        Some((404, _)) => Err(Failure::CallOver),
                        Some((401 | 403, _)) => Err(Failure::NotPermitted),
                        Some(_) => Err(Failure::UnavailableHere),
                        None => Err(Failure::Timeout),
                    };
                    self.answer(request, result);
                }
            }
            (_, Some((401, _))) => self.fail(Reason::AuthenticationFailed),
            (What::Filter, Some((200..=299, _))) => {}
            (What::Filter, _) => self.out.push_back(Output::Note(
                "the switch does not narrow the events of this application (read_only in ari.conf, or older than 13.26)",
            )),
            (What::Info, Some((200..=299, body))) => self.version = version(body).unwrap_or_default(),
            (What::Info, _) => {}
            (What::Channels { round } | What::Bridges { round }, _) if round != self.round => {}
            (What::Channels { .. }, Some((200..=299, body))) => self.listed(now, |lists| lists.channels(body)),
            (What::Bridges { .. }, Some((200..=299, body))) => self.listed(now, |lists| lists.bridges(body)),
            (What::Channels { .. }, Some((status, _))) => self.fail(Reason::Refused { status, path: "/channels" }),
            (What::Bridges { .. }, Some((status, _))) => self.fail(Reason::Refused { status, path: "/bridges" }),
            (What::Channels { .. } | What::Bridges { .. }, None) => self.fail(Reason::ListTimeout),
        }
    }

    pub fn poll(&mut self, now: Now) -> Output {
        if !matches!(self.state, State::Failed) {
            self.time(now);
        }
        if let Some(Output::Failed(_) | Output::Answered { .. }) | None = self.out.front()
            && !self.events.is_empty()
        {
            return Output::Events(std::mem::take(&mut self.events));
        }
        self.out.pop_front().unwrap_or_else(|| Output::Wait(self.deadline()))
    }

    fn deadline(&self) -> Mono {
        let silent = self.heard.plus_ms(if self.pinged { link::SILENCE_MS } else { link::PING_MS });
        let list = match &self.state {
            State::Listing { lists, .. } => Some(lists.asked().mono.plus_ms(link::LIST_MS)),
            _ => None,
        };
        let dial = self.dials.iter().map(|(_, until)| *until).min();
        [Some(silent), list, dial].into_iter().flatten().min().unwrap_or(silent)
    }

    fn time(&mut self, now: Now) {
        if now.mono >= self.heard.plus_ms(link::SILENCE_MS) {
            return self.fail(Reason::Silent);
        }
        if !self.pinged && now.mono >= self.heard.plus_ms(link::PING_MS) {
            self.pinged = true;
            self.out.push_back(Output::Ping);
        }
        if let State::Listing { lists, .. } = &self.state
            && now.mono >= lists.asked().mono.plus_ms(link::LIST_MS)
        {
            return self.fail(Reason::ListTimeout);
        }
        while let Some(at) = self.dials.iter().position(|(_, until)| *until <= now.mono) {
            let (request, _) = self.dials.swap_remove(at);
            self.answer(request, Err(Failure::Timeout));
        }
    }

    fn list(&mut self, now: Now, first: bool) {
        self.round = self.round.wrapping_add(1);
        self.again = false;
        let round = self.round;
        self.out.push_back(Output::Request(get(What::Channels { round }, "/channels")));
        self.out.push_back(Output::Request(get(What::Bridges { round }, "/bridges")));
        self.state = State::Listing { lists: Box::new(AriLists::new(now)), first };
    }

    fn listed(&mut self, now: Now, take: impl FnOnce(&mut AriLists) -> Result<bool, Reason>) {
        let State::Listing { lists, first } = &mut self.state else { return };
        match take(lists) {
            Err(reason) => self.fail(reason),
            Ok(false) => {}
            Ok(true) => {
                let first = *first;
                if let State::Listing { lists, .. } = std::mem::replace(&mut self.state, State::Ready) {
                    if first {
                        self.out
                            .push_back(Output::Up { version: format!("Asterisk {}", self.version).trim().to_owned() });
                    }
                    self.events.push(Event { at: None, said: Said::Snapshot(lists.finish()) });
                    if self.again {
                        self.list(now, false);
                    }
                }
            }
        }
    }

    fn answer(&mut self, request: RequestId, result: Outcome) {
        self.out.push_back(Output::Answered { request, result });
    }

    fn fail(&mut self, reason: Reason) {
        if matches!(self.state, State::Failed) {
            return;
        }
        self.state = State::Failed;
        for (request, _) in std::mem::take(&mut self.dials) {
            self.answer(request, Err(Failure::SwitchUnavailable));
        }
        self.out.push_back(Output::Failed(reason));
    }
}

fn get(what: What, path: &str) -> Request {
    Request { what, method: Method::Get, path: path.to_owned(), query: Vec::new(), body: None }
}

/// `system.version` of `GET /asterisk/info`.
pub(super) fn version(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Info {
        system: System,
    }
    #[derive(Deserialize)]
    struct System {
        version: String,
    }
    serde_json::from_slice::<Info>(body)
        .ok()
        .map(|i| i.system.version.chars().filter(|c| !c.is_control()).take(80).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::switches::asterisk::tests::{SETTINGS, at, dial, settings};

    const CHANNELS: &[u8] = include_bytes!("../../../proto-fixtures/ari/resync-midcall-channels.json");
    const BRIDGES: &[u8] = include_bytes!("../../../proto-fixtures/ari/resync-midcall-bridges.json");
    const INFO: &[u8] = include_bytes!("../../../proto-fixtures/ari/resync-midcall-info.json");

    fn drain(session: &mut Session, ms: u64) -> Vec<Output> {
        let mut out = Vec::new();
        loop {
            match session.poll(at(ms)) {
                Output::Wait(_) => return out,
                other => out.push(other),
            }
        }
    }

    fn session() -> Session {
        let settings = Arc::new(settings(SETTINGS));
        let ari = settings.ari.clone().unwrap();
        Session::new(settings, &ari, at(0))
    }

    fn ready() -> Session {
        let mut session = session();
        drain(&mut session, 0);
        session.answered(at(1), What::Filter, Some((403, b"")));
        session.answered(at(1), What::Info, Some((200, INFO)));
        session.answered(at(1), What::Channels { round: 1 }, Some((200, CHANNELS)));
        session.answered(at(1), What::Bridges { round: 1 }, Some((200, BRIDGES)));
        session
    }

    #[test]
    fn narrowing_snapshot_and_up() {
        let mut first = session();
        let paths: Vec<String> = drain(&mut first, 0)
            .into_iter()
            .filter_map(|o| if let Output::Request(r) = o { Some(r.path) } else { None })
            .collect();
        assert_eq!(paths, ["/applications/linecard/eventFilter", "/asterisk/info", "/channels", "/bridges"]);
        let out = drain(&mut ready(), 1);
        assert!(matches!(out[0], Output::Note(_)));
        assert_eq!(out[1], Output::Up { version: "Asterisk 22.10.1+dfsg+~cs6.17.60671434-1".into() });
        let Output::Events(events) = &out[2] else { panic!("{out:?}") };
        assert!(matches!(&events[0].said, Said::Snapshot(s) if s.legs.len() == 5));
    }

    #[test]
    fn half_a_text_another_daemon_and_silence_end_the_link() {
        let after = |text: &str| {
            let mut session = ready();
            session.text(at(2), text);
            drain(&mut session, 2).pop()
        };
        assert_eq!(after("{\"type\":\"ChannelCr"), Some(Output::Failed(Reason::Junk("no event of ARI"))));
        assert_eq!(after("{\"type\":\"ApplicationReplaced\"}"), Some(Output::Failed(Reason::Replaced)));
        let mut session = ready();
        session.alive(at(2));
        drain(&mut session, 2);
        assert_eq!(drain(&mut session, 1802), [Output::Ping]);
        assert_eq!(drain(&mut session, 4502), [Output::Failed(Reason::Silent)]);
    }

    #[test]
    fn a_dial_has_one_answer() {
        let answer = |answer: Option<(u16, &[u8])>| {
            let mut session = ready();
            drain(&mut session, 1);
            session.dial(at(2), &dial());
            assert!(matches!(&drain(&mut session, 2)[..], [Output::Request(r)] if r.path == "/channels/lc-1"));
            session.answered(at(3), What::Dial(dial().request), answer);
            let out = drain(&mut session, 3);
            let [Output::Answered { result, .. }] = &out[..] else { panic!("{out:?}") };
            result.clone()
        };
        assert_eq!(answer(Some((200, b"{}"))), Ok(Made { leg: Some("lc-1".into()), ..Made::default() }));
        assert_eq!(answer(Some((500, b"{\"message\":\"Allocation failed\"}"))), Err(Failure::NotRegistered));
        assert_eq!(answer(None), Err(Failure::Timeout));
    }
}
