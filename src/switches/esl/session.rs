//! One connection to the event socket: login, narrow subscription, snapshot, keepalive; or commands. A still machine: bytes go in with the moment at which they
//! came, and [`Session::poll`] is drained until it says until when there is nothing to do.
//!
//! ```text
//! Greeting --auth/request--> LoggingIn --+OK--> Listing --both lists--> Ready
//! ```
//!
//! Answers carry no id: they come in the order of the commands (facts, measured on 1.10.12), events between them. We subscribe first and list then, so
//! what happens meanwhile is heard. A session that failed stays failed with its first reason; recovery is a new session and a new snapshot.

use std::{collections::VecDeque, sync::Arc};

use crate::{
    calls::{
        Attributes, Command,
        command::{Failure, RequestId},
        event::{Event as Told, Said},
    },
    private::Secret,
    switches::link::{self, Output, Reason},
    words::{Mono, Now},
};

use super::{
    callcenter::{self, Tiers},
    event,
    frame::{Frame, Framer, Kind},
    heard,
    orders::Orders,
    settings::Settings,
    snapshot::{self, Lists},
    translate::Translator,
};

/// What an answer is to, in the order of the commands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    Login,
    Events,
    Version,
    Channels,
    Calls,
    Tiers,
    Agents,
    /// All that is known of a channel that was there before we were.
    Dump(String),
    Life,
    Job(RequestId),
}

#[derive(Debug)]
enum State {
    Greeting,
    LoggingIn,
    Listing { lists: Lists, asked: Now, first: bool },
    Ready,
    Failed,
}

/// Who logs in: the socket's own password, or a user of the directory.
pub struct Login {
    /// `linecard@pbx.example.com`: may do what its entry allows, which is the better way.
    pub user: Option<String>,
    pub secret: Secret,
}

/// What a connection is for. An `api` holds up all events of its own connection until it is done (facts: `msleep 3000`, 3.0 s), so who hears does not ask.
enum Part {
    Hears { translator: Box<Translator>, subscription: String },
    Asks(Orders),
}

pub struct Session {
    login: Login,
    part: Part,
    framer: Framer,
    state: State,
    asked: VecDeque<Asked>,
    heard: Mono,
    pinged: bool,
    version: String,
    /// Events were lost on our side while a list was under way: one more.
    again: bool,
    /// Who serves which queue, until it is known how each stands.
    tiers: Option<Tiers>,
    events: Vec<Told>,
    out: VecDeque<Output>,
}

/// Events that are asked for, and no others: `ALL` is three times the bytes (facts, section 7). What is mapped comes to it.
fn subscription(attributes: &Attributes) -> String {
    let mut line = "event plain CHANNEL_CREATE CHANNEL_PROGRESS CHANNEL_PROGRESS_MEDIA CHANNEL_ANSWER CHANNEL_BRIDGE CHANNEL_UNBRIDGE CHANNEL_HOLD CHANNEL_UNHOLD \
        CHANNEL_HANGUP CHANNEL_HANGUP_COMPLETE CHANNEL_DESTROY CHANNEL_EXECUTE"
        .to_owned();
    if attributes.wants_digits() {
        line.push_str(" DTMF");
    }
    if attributes.recordings.is_some() {
        line.push_str(" RECORD_START RECORD_STOP");
    }
    // All that stands behind CUSTOM is a subclass.
    line.push_str(" CUSTOM callcenter::info conference::maintenance valet_parking::info");
    for subclass in attributes.user_events() {
        line.push(' ');
        line.push_str(subclass);
    }
    line
}

/// What a user of the directory must be allowed, for the events and for what is asked.
#[must_use]
pub fn allowed(attributes: &Attributes, dials: bool) -> (String, String) {
    let events =
        subscription(attributes).trim_start_matches("event plain ").replace(" CUSTOM ", " BACKGROUND_JOB CUSTOM ");
    let acts = "uuid_kill uuid_hold uuid_audio uuid_send_dtmf uuid_record";
    (
        events,
        format!(
            "show version uptime uuid_dump json callcenter_config {acts}{}",
            if dials { " originate uuid_transfer" } else { "" }
        ),
    )
}

/// Channels that are asked about one by one, at most: after a start there is one for each.
const DUMPS: usize = 5_000;

/// Without these no record is right.
const NEEDED: [&str; 6] = [
    "CHANNEL_CREATE",
    "CHANNEL_ANSWER",
    "CHANNEL_BRIDGE",
    "CHANNEL_UNBRIDGE",
    "CHANNEL_HANGUP",
    "CHANNEL_HANGUP_COMPLETE",
];

impl link::Session for Session {
    const SPOKEN: &'static str = "esl";
    const GOODBYE: &'static [u8] = b"exit\n\n";

    fn read(&mut self, now: Now, bytes: &[u8]) {
        self.heard = now.mono;
        self.pinged = false;
        // The framer is lent out while its frames are taken, and given back.
        let mut framer = std::mem::take(&mut self.framer);
        framer.push(bytes);
        while !matches!(self.state, State::Failed) {
            match framer.take() {
                Ok(Some(frame)) => self.frame(now, &frame),
                Ok(None) => break,
                Err(error) => {
                    // The first thing that comes tells a wrong port from a switch gone mad.
                    let greeting = matches!(self.state, State::Greeting);
                    self.fail(if greeting { Reason::NotSpoken("the event socket") } else { Reason::Frames(error) });
                }
            }
        }
        self.framer = framer;
    }

    fn closed(&mut self) {
        let lagged = self.framer.end().is_some_and(|notice| notice.contains("lost events"));
        self.fail(if lagged { Reason::Lagged } else { Reason::Closed });
    }

    fn resync(&mut self, now: Now) {
        match self.state {
            State::Ready => self.list(now, false),
            State::Listing { .. } => self.again = true,
            _ => {}
        }
    }

    fn command(&mut self, now: Now, command: &Command) {
        let request = command.request().clone();
        let line = match &mut self.part {
            Part::Asks(orders) if matches!(self.state, State::Ready) => orders.take(now, command),
            _ => Err(Failure::SwitchUnavailable),
        };
        match line {
            Ok(Some(line)) => self.ask(Asked::Job(request), &line),
            // It is under way.
            Ok(None) => {}
            Err(failure) => self.out.push_back(Output::Answered { request, result: Err(failure) }),
        }
    }

    fn poll(&mut self, now: Now) -> Output {
        if !matches!(self.state, State::Failed) {
            self.time(now);
        }
        // Events that were heard before a failure are told before it.
        if let Some(Output::Failed(_)) | None = self.out.front()
            && !self.events.is_empty()
        {
            return Output::Events(std::mem::take(&mut self.events));
        }
        self.out.pop_front().unwrap_or_else(|| Output::Wait(self.deadline()))
    }
}

impl Session {
    /// The connection was made at `now`.
    #[must_use]
    pub fn hears(settings: &Settings, login: Login, now: Now) -> Self {
        let attributes = Arc::new(settings.declared());
        let subscription = subscription(&attributes);
        let translator = Box::new(Translator::new(settings.trunks.clone(), attributes));
        Self::new(Part::Hears { translator, subscription }, login, now)
    }

    /// The other one, over which agents' commands go.
    #[must_use]
    pub fn asks(settings: Arc<Settings>, login: Login, now: Now) -> Self {
        Self::new(Part::Asks(Orders::new(settings)), login, now)
    }

    fn new(part: Part, login: Login, now: Now) -> Self {
        Self {
            login,
            part,
            framer: Framer::new(),
            state: State::Greeting,
            asked: VecDeque::new(),
            heard: now.mono,
            pinged: false,
            version: String::new(),
            again: false,
            tiers: None,
            events: Vec::new(),
            out: VecDeque::new(),
        }
    }

    fn deadline(&self) -> Mono {
        let silent = self.heard.plus_ms(if self.pinged { link::SILENCE_MS } else { link::PING_MS });
        let job = match &self.part {
            Part::Asks(orders) => orders.next(),
            Part::Hears { .. } => None,
        };
        let state = match &self.state {
            State::Listing { asked, .. } => Some(asked.mono.plus_ms(link::LIST_MS)),
            _ => None,
        };
        [job, state].into_iter().flatten().fold(silent, Mono::min)
    }

    fn time(&mut self, now: Now) {
        if now.mono >= self.heard.plus_ms(link::SILENCE_MS) {
            return self.fail(Reason::Silent);
        }
        if let State::Listing { asked, .. } = &self.state
            && now.mono >= asked.mono.plus_ms(link::LIST_MS)
        {
            return self.fail(Reason::ListTimeout);
        }
        if let Part::Asks(orders) = &mut self.part {
            let late = orders.late(now).map(|request| Output::Answered { request, result: Err(Failure::Timeout) });
            self.out.extend(late);
        }
        if !self.pinged && now.mono >= self.heard.plus_ms(link::PING_MS) {
            self.pinged = true;
            // A switch at rest says nothing but a HEARTBEAT every 20 s.
            if !matches!(self.state, State::Greeting | State::LoggingIn) {
                self.ask(Asked::Life, "api uptime s\n\n");
            }
        }
    }

    fn frame(&mut self, now: Now, frame: &Frame<'_>) {
        match frame.kind() {
            Kind::AuthRequest => self.log_in(),
            Kind::Rejected => {
                self.fail(Reason::NotPermitted("connect: its event_socket.conf has an access list that we are not in"))
            }
            Kind::Reply | Kind::ApiResponse => self.answered(now, frame),
            Kind::Plain | Kind::Json if !matches!(self.state, State::Greeting | State::LoggingIn) => {
                // A body that is no event is one event less.
                match &mut self.part {
                    Part::Hears { translator, .. } => {
                        let _: Result<(), event::ReadError> = heard(translator, frame);
                        self.events.extend(translator.drain());
                    }
                    Part::Asks(orders) => {
                        let done = event::Event::plain(frame.body).ok().and_then(|e| orders.done(&e));
                        self.out.extend(done.map(|(request, result)| Output::Answered { request, result }));
                    }
                }
            }
            Kind::Disconnect => {
                let notice = String::from_utf8_lossy(frame.body);
                self.fail(if notice.contains("lost events") { Reason::Lagged } else { Reason::Closed });
            }
            _ if matches!(self.state, State::Greeting) => self.fail(Reason::NotSpoken("the event socket")),
            _ => {}
        }
    }

    fn log_in(&mut self) {
        if !matches!(self.state, State::Greeting) {
            return;
        }
        let line = match &self.login.user {
            Some(user) => command(&["userauth ", user, ":", self.login.secret.expose()]),
            None => command(&["auth ", self.login.secret.expose()]),
        };
        let Some(line) = line else {
            return self.fail(Reason::Settings("there is a line end in the user or the secret".to_owned()));
        };
        self.state = State::LoggingIn;
        self.ask(Asked::Login, &line);
    }

    fn answered(&mut self, now: Now, frame: &Frame<'_>) {
        let Some(asked) = self.asked.pop_front() else { return };
        let answer = frame.answer();
        let refused = answer.starts_with("-ERR");
        match asked {
            Asked::Login if refused => self.fail(Reason::AuthenticationFailed),
            Asked::Login if matches!(self.part, Part::Asks(_)) => {
                self.ask(Asked::Events, "event plain BACKGROUND_JOB\n\n");
                self.ask(Asked::Version, "api version\n\n");
            }
            Asked::Login => {
                // A user of the directory hears what its entry allows, and of the rest nobody says anything (handshake, userauth).
                let allowed = frame.header("Allowed-Events").map(String::from_utf8_lossy);
                let hears = |name: &str| {
                    allowed.as_ref().is_none_or(|list| list.split(' ').any(|one| one == name || one == "all"))
                };
                if !NEEDED.iter().all(|name| hears(name)) {
                    self.note("the user's esl-allowed-events lacks some that calls are made of");
                }
                if let Part::Hears { subscription, .. } = &self.part
                    && let Some(line) = command(&[subscription])
                {
                    self.ask(Asked::Events, &line);
                }
                self.ask(Asked::Version, "api version\n\n");
                self.list(now, true);
            }
            Asked::Events if refused => self.fail(Reason::NotPermitted("subscribe to events")),
            Asked::Version => {
                if !refused {
                    self.version = version(&answer);
                }
                if matches!(self.part, Part::Asks(_)) {
                    self.state = State::Ready;
                    self.out.push_back(Output::Up { version: self.version.clone() });
                }
            }
            Asked::Job(request) => {
                if let (Part::Asks(orders), true) = (&mut self.part, refused) {
                    let result = orders.refused(&request, &answer);
                    self.out.extend(result.map(|failure| Output::Answered { request, result: Err(failure) }));
                }
            }
            Asked::Channels | Asked::Calls if refused => {
                self.note("the user may not list channels: calls that vanished while the link was down stay open");
                self.listed(asked, b"{}");
            }
            Asked::Channels | Asked::Calls => self.listed(asked, frame.body),
            Asked::Tiers => self.tiers = callcenter::tiers(frame.body),
            Asked::Agents => {
                let members = self.tiers.take().and_then(|tiers| callcenter::members(&tiers, frame.body));
                self.events.extend(members.map(|all| Told { at: None, said: Said::Members(all) }));
            }
            Asked::Dump(id) => {
                if let State::Listing { lists, .. } = &mut self.state {
                    lists.dumped(id, if refused { b"" } else { frame.body });
                    self.complete();
                }
            }
            Asked::Events | Asked::Life => {}
        }
    }

    fn list(&mut self, now: Now, first: bool) {
        self.again = false;
        self.ask(Asked::Channels, "api show channels as json\n\n");
        self.ask(Asked::Calls, "api show calls as json\n\n");
        self.state = State::Listing { lists: Lists::default(), asked: now, first };
    }

    fn listed(&mut self, which: Asked, body: &[u8]) {
        let Some(rows) = snapshot::rows(body) else { return self.fail(Reason::Junk("no list of channels")) };
        let (State::Listing { lists, .. }, Part::Hears { translator, .. }) = (&mut self.state, &self.part) else {
            return;
        };
        if which != Asked::Channels {
            lists.calls = Some(rows);
            return self.complete();
        }
        // A row does not say which gateway or user a channel is of; its variables do (resync).
        let strange: Vec<String> =
            rows.iter().map(|row| &row.uuid).filter(|id| !translator.knows(id)).take(DUMPS).cloned().collect();
        lists.channels = Some(rows);
        for id in strange {
            if let Some(line) = command(&["api uuid_dump ", &id, " json"]) {
                if let State::Listing { lists, .. } = &mut self.state {
                    lists.awaited += 1;
                }
                self.ask(Asked::Dump(id), &line);
            }
        }
        self.complete();
    }

    /// When all lists are in hand, they are told.
    fn complete(&mut self) {
        let State::Listing { lists, asked, first } = &mut self.state else { return };
        if lists.channels.is_none() || lists.calls.is_none() || lists.awaited > 0 {
            return;
        }
        let (lists, asked, first) = (std::mem::take(lists), *asked, *first);
        self.state = State::Ready;
        if first {
            self.out.push_back(Output::Up { version: self.version.clone() });
        }
        if let Part::Hears { translator, .. } = &mut self.part {
            self.events.extend(translator.listed(lists, asked).into_iter().map(|said| Told { at: None, said }));
        }
        // Behind the lists of calls, which are awaited: without mod_callcenter there is nothing to wait for.
        self.ask(Asked::Tiers, callcenter::TIERS);
        self.ask(Asked::Agents, callcenter::AGENTS);
        if self.again {
            self.list(asked, false);
        }
    }

    fn ask(&mut self, asked: Asked, line: &str) {
        self.asked.push_back(asked);
        self.out.push_back(Output::Send(line.as_bytes().to_vec()));
    }

    fn note(&mut self, text: &'static str) {
        if !self.out.contains(&Output::Note(text)) {
            self.out.push_back(Output::Note(text));
        }
    }

    fn fail(&mut self, reason: Reason) {
        if !matches!(self.state, State::Failed) {
            self.state = State::Failed;
            if let Part::Asks(orders) = &mut self.part {
                let lost =
                    orders.lost().map(|request| Output::Answered { request, result: Err(Failure::SwitchUnavailable) });
                self.out.extend(lost);
            }
            self.out.push_back(Output::Failed(reason));
        }
    }
}

/// One command, its empty line behind it; `None` if a part would break out of its line.
#[must_use]
pub fn command(parts: &[&str]) -> Option<String> {
    let line = parts.concat();
    (!line.bytes().any(|b| matches!(b, b'\r' | b'\n' | 0))).then(|| line + "\n\n")
}

/// `FreeSWITCH Version 1.10.12-release`, without the rest of the line.
fn version(answer: &str) -> String {
    answer.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, fs, path::Path};

    use super::*;
    use crate::{
        calls::event::{Said, Snapshot},
        switches::{
            esl::tests::{SETTINGS, dial, settings},
            link::Session as _,
        },
        words::Wall,
    };

    fn recorded(name: &str) -> Vec<u8> {
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("proto-fixtures/freeswitch").join(name)).unwrap()
    }

    fn at(ms: u64) -> Now {
        Now { wall: Wall(1_795_347_340_000), mono: Mono(60_000_000).plus_ms(ms) }
    }

    fn session() -> Session {
        let login = Login { user: None, secret: Secret::new("ClueCon".into()) };
        Session::hears(&settings(SETTINGS), login, at(0))
    }

    /// What comes out until there is nothing to do.
    fn drain(session: &mut Session, now: Now) -> Vec<Output> {
        let mut all = Vec::new();
        loop {
            match session.poll(now) {
                Output::Wait(_) => return all,
                Output::Failed(reason) => {
                    all.push(Output::Failed(reason));
                    return all;
                }
                other => all.push(other),
            }
        }
    }

    /// A switch that answers each command as a real one did (resync), in order, whatever the order is.
    struct Switch {
        answers: HashMap<String, Vec<u8>>,
    }

    impl Switch {
        fn new() -> Self {
            let commands = String::from_utf8(recorded("resync/commands.txt")).unwrap();
            let commands = commands.split("[esl-resync.txt]").nth(1).unwrap();
            let names = commands.lines().filter_map(|line| line.split_once('\'')?.1.strip_suffix('\''));
            let bytes = recorded("resync/esl-resync.txt");
            let mut framer = Framer::new();
            framer.push(&bytes);
            let mut frames = Vec::new();
            while let Some(frame) = framer.take().unwrap() {
                if matches!(frame.kind(), Kind::Reply | Kind::ApiResponse) {
                    frames.push([frame.head, b"\n\n", frame.body].concat());
                }
            }
            Self { answers: names.map(str::to_owned).zip(frames).collect() }
        }

        fn answer(&self, line: &[u8]) -> Vec<u8> {
            let line = std::str::from_utf8(line).unwrap().strip_suffix("\n\n").expect("a whole command");
            if line.starts_with("api uuid_dump") && !self.answers.contains_key(line) {
                return b"Content-Type: api/response\nContent-Length: 22\n\n-ERR No such channel!\n".to_vec();
            }
            let line = if line.starts_with("event plain") {
                self.answers.keys().find(|k| k.starts_with("event plain")).unwrap()
            } else {
                line
            };
            let other = b"Content-Type: api/response\nContent-Length: 33\n\nFreeSWITCH Version 1.10.12 64bit\n";
            self.answers.get(line).cloned().unwrap_or_else(|| other.to_vec())
        }
    }

    /// Logs in to it; everything that was heard.
    fn logged_in(session: &mut Session) -> Vec<Output> {
        let switch = Switch::new();
        session.read(at(1), b"Content-Type: auth/request\n\n");
        let (mut heard, mut ms) = (Vec::new(), 1);
        loop {
            ms += 1;
            let out = drain(session, at(ms));
            let mut said = Vec::new();
            for output in out {
                match output {
                    Output::Send(line) => said.extend(switch.answer(&line)),
                    other => heard.push(other),
                }
            }
            if said.is_empty() {
                return heard;
            }
            session.read(at(ms), &said);
        }
    }

    #[test]
    fn three_calls_that_are_up_are_told_as_they_are() {
        let mut session = session();
        let heard = logged_in(&mut session);
        assert_eq!(heard[0], Output::Up { version: "FreeSWITCH Version 1.10.12".to_owned() });
        let Some(Output::Events(events)) = heard.get(1) else { panic!("{heard:?}") };
        let Said::Snapshot(Snapshot { legs, bridges, waiting, .. }) = &events[0].said else { panic!("{events:?}") };
        let seen: Vec<(&str, _, _)> = legs
            .iter()
            .map(|l| (l.leg.name.split('-').next().unwrap(), l.state, l.dialled.as_ref().map(|d| d.expose().as_str())))
            .collect();
        use crate::calls::event::LegState::Up;
        assert_eq!(
            seen,
            [
                ("sofia/trunk", Up, Some("4008001234")),
                ("sofia/2001", Up, None),
                ("sofia/trunk", Up, Some("4008001234")),
                ("sofia/trunk", Up, Some("02161234567")),
                ("sofia/2003", Up, None)
            ]
        );
        assert_eq!(legs[0].caller.number.as_ref().map(|n| n.expose().as_str()), Some("13800138000"));
        assert_eq!(legs[2].created, Some(Wall(1_795_347_330_000)));
        assert_eq!(bridges.len(), 2);
        assert_eq!((waiting.len(), waiting[0].queue.as_str(), &waiting[0].leg), (1, "support", &legs[2].leg.id));
        let Said::Hold { leg } = &events[1].said else { panic!("{events:?}") };
        assert_eq!(leg.id, legs[4].leg.id);
    }

    #[test]
    fn refusals_are_told_apart_from_a_link_that_went() {
        let ends = |file: &str| {
            let mut session = session();
            session.read(at(1), &recorded(&format!("handshake/{file}")));
            drain(&mut session, at(2)).pop()
        };
        assert_eq!(ends("server-wrong-password.txt"), Some(Output::Failed(Reason::AuthenticationFailed)));
        let Some(Output::Failed(reason @ Reason::NotPermitted(_))) = ends("server-acl-denied.txt") else { panic!() };
        assert!(reason.needs_a_person());
        assert_eq!(ends("server-idle-no-auth.txt"), Some(Output::Failed(Reason::Closed)));
    }

    #[test]
    fn who_speaks_another_language_or_nothing_is_left() {
        let mut junk = session();
        junk.read(at(1), b"SSH-2.0-x\r\n\r\n\n");
        assert_eq!(drain(&mut junk, at(2)), [Output::Failed(Reason::NotSpoken("the event socket"))]);
        let mut silent = session();
        assert_eq!(silent.poll(at(0)), Output::Wait(at(0).mono.plus_ms(link::PING_MS)));
        assert_eq!(drain(&mut silent, at(link::SILENCE_MS)), [Output::Failed(Reason::Silent)]);
        let mut ready = session();
        logged_in(&mut ready);
        let asks = drain(&mut ready, at(link::PING_MS + 100));
        assert_eq!(asks, [Output::Send(b"api uptime s\n\n".to_vec())]);
    }

    #[test]
    fn a_listener_that_was_too_slow_says_so() {
        for file in ["esl-plain-tail-mid-frame.txt", "esl-plain-tail-frame-boundary.txt"] {
            let mut session = session();
            logged_in(&mut session);
            session.read(at(20), &recorded(&format!("listener-overflow/{file}")));
            session.closed();
            assert_eq!(drain(&mut session, at(21)).pop(), Some(Output::Failed(Reason::Lagged)), "{file}");
        }
    }

    #[test]
    fn a_user_who_hears_too_little_is_noted() {
        let mut session = session();
        session.read(at(1), b"Content-Type: auth/request\n\n");
        drain(&mut session, at(2));
        let accepted =
            "Content-Type: command/reply\nReply-Text: +OK accepted\nAllowed-Events: CHANNEL_CREATE CHANNEL_ANSWER\n\n";
        session.read(at(3), accepted.as_bytes());
        assert!(
            drain(&mut session, at(4))
                .iter()
                .any(|o| matches!(o, Output::Note(text) if text.contains("esl-allowed-events")))
        );
    }

    fn asking() -> Session {
        let login = Login { user: None, secret: Secret::new("ClueCon".into()) };
        let mut session = Session::asks(Arc::new(settings(SETTINGS)), login, at(0));
        let heard = logged_in(&mut session);
        assert_eq!(heard, [Output::Up { version: "FreeSWITCH Version 1.10.12".to_owned() }]);
        session
    }

    /// What the switch sent for the job that it called `job` (click-to-dial), for another job.
    fn result(job: &str, request: &str) -> Vec<u8> {
        let bytes = recorded("click-to-dial/esl-plain.txt");
        let mut framer = Framer::new();
        framer.push(&bytes);
        while let Some(frame) = framer.take().unwrap() {
            let body = String::from_utf8_lossy(frame.body);
            if body.starts_with("Event-Name: BACKGROUND_JOB") && body.contains(&format!("Job-UUID: {job}")) {
                let body = body.replace(job, request);
                return format!("Content-Length: {}\nContent-Type: text/event-plain\n\n{body}", body.len())
                    .into_bytes();
            }
        }
        panic!("no such job")
    }

    #[test]
    fn a_dial_is_a_job_and_is_answered_once() {
        let command = Command::Dial(dial());
        let answered = |result| Output::Answered { request: dial().request, result };
        let mut session = asking();
        session.command(at(50), &command);
        session.command(at(51), &command);
        let out = drain(&mut session, at(52));
        let [Output::Send(line)] = out.as_slice() else { panic!("asked once: {out:?}") };
        let line = String::from_utf8(line.clone()).unwrap();
        assert!(
            line.starts_with("bgapi originate {origination_uuid=lc-1,") && line.ends_with("\nJob-UUID: lc-1\n\n"),
            "{line}"
        );
        session.read(at(60), b"Content-Type: command/reply\nReply-Text: +OK Job-UUID: lc-1\nJob-UUID: lc-1\n\n");
        assert_eq!(drain(&mut session, at(61)), []);
        session.read(at(70), &result("6f0e5c0a-0000-4000-8000-00000000c2d1", "lc-1"));
        session.read(at(70), &result("6f0e5c0a-0000-4000-8000-00000000c2d1", "lc-1"));
        assert_eq!(drain(&mut session, at(71)), [answered(Ok(crate::calls::command::Made::default()))]);
    }

    #[test]
    fn a_dial_that_comes_to_nothing_says_why() {
        let ends = |bytes: &[u8], ms: u64| {
            let mut session = asking();
            session.command(at(50), &Command::Dial(dial()));
            drain(&mut session, at(51));
            session.read(at(52), bytes);
            let mut out = drain(&mut session, at(ms));
            out.retain(|o| matches!(o, Output::Answered { .. }));
            out
        };
        let failed = |failure| [Output::Answered { request: dial().request, result: Err(failure) }];
        let accepted = b"Content-Type: command/reply\nReply-Text: +OK Job-UUID: lc-1\n\n".to_vec();
        let busy = result("1bf2ddd0-b276-4aea-a04e-1a1dc154548b", "lc-1");
        assert_eq!(ends(&[accepted.clone(), busy].concat(), 53), failed(Failure::Busy));
        assert_eq!(
            ends(b"Content-Type: command/reply\nReply-Text: -ERR permission denied\n\n", 53),
            failed(Failure::NotPermitted)
        );
        // It is there, and says nothing of the job.
        let mut slow = asking();
        slow.command(at(50), &Command::Dial(dial()));
        slow.read(at(4_000), &accepted);
        let out = drain(&mut slow, at(50 + link::DIAL_MS));
        assert!(failed(Failure::Timeout).iter().all(|answer| out.contains(answer)), "{out:?}");
        let notice = b"Content-Type: text/disconnect-notice\nContent-Length: 0\n\n";
        assert_eq!(ends(&[accepted, notice.to_vec()].concat(), 53), failed(Failure::SwitchUnavailable));
        // Before the login, and where nobody asks.
        let login = || Login { user: None, secret: Secret::new("x".into()) };
        for mut session in [Session::asks(Arc::new(settings(SETTINGS)), login(), at(0)), session()] {
            session.command(at(1), &Command::Dial(dial()));
            assert_eq!(drain(&mut session, at(1)), failed(Failure::SwitchUnavailable));
        }
    }

    #[test]
    fn only_what_is_mapped_is_subscribed_to() {
        let line = |list: &str| subscription(&settings(&SETTINGS.replace("attributes: []", list)).declared());
        let plain = line("attributes: []");
        assert!(
            plain.ends_with("CHANNEL_EXECUTE CUSTOM callcenter::info conference::maintenance valet_parking::info"),
            "{plain}"
        );
        let all = line(
            "attributes: [{name: a, from: {digits: {}}}, {name: b, from: {user-event: {event: 'crm::customer', header: H}}}]\n  recordings: {}",
        );
        assert!(all.contains(" DTMF RECORD_START RECORD_STOP CUSTOM ") && all.ends_with(" crm::customer"), "{all}");
    }

    #[test]
    fn nothing_breaks_out_of_its_line() {
        assert_eq!(command(&["auth ", "x"]).as_deref(), Some("auth x\n\n"));
        for bad in ["a\nb", "a\rb", "a\0b"] {
            assert_eq!(command(&["auth ", bad]), None);
        }
        let login = Login { user: Some("linecard@x".into()), secret: Secret::new("a\nexit".into()) };
        let mut session = Session::hears(&settings(SETTINGS), login, at(0));
        session.read(at(1), b"Content-Type: auth/request\n\n");
        let Some(Output::Failed(Reason::Settings(why))) = drain(&mut session, at(2)).pop() else { panic!() };
        assert!(!why.contains("exit"), "{why}");
    }
}
