//! One connection to the manager interface: login, narrowing, snapshot, keepalive, dial. A still machine: bytes go in with the moment at
//! which they came, and [`Session::poll`] is drained until it says until when there is nothing to do.
//!
//! ```text
//! Greeting --banner--> LoggingIn --accepted--> Booting --FullyBooted, or 3 s--> Listing --all lists--> Ready
//! ```
//!
//! A session that failed stays failed with its first reason; recovery is a new session and a new snapshot. Any byte counts as a sign of
//! life, and a `Ping` is sent where there is none, so a half-open connection is seen in 4.5 s.

use std::collections::{HashMap, VecDeque};

use crate::{
    calls::{
        Attributes, Command,
        command::{Act, Attend, Attendance, Dial, Failure, Made, Outcome, RequestId},
        event::{Event, Leg, LegState, Said},
    },
    private::Secret,
    switches::link::{self, Output, Reason, Session as _},
    words::{Mono, Now},
};

use super::{
    act::{ACT_MS, ACTION, Doing, Next},
    ami::{Framer, Message},
    attend, narrow, originate,
    settings::{Ami, Settings},
    snapshot::{AMI_LISTS, AmiLists},
    translate_ami,
};

/// Before the channel's id, in the ActionID of a question for its SIP Call-ID.
const CALL_ID: &str = "lc-sip-";
/// Questions for Call-IDs that are under way at once, and channels that wait to be asked: after a snapshot there is one for each.
const ASKED: usize = 100;
const UNASKED: usize = 20_000;
/// How often one channel is asked.
const TRIES: u8 = 4;

/// Channels whose SIP Call-ID is wanted. An outgoing one is told before its driver is (22.10.1: an empty value, and a warning in the switch's log), so it is
/// asked at its next event, the dial; whoever gave no value is asked again at the event after.
#[derive(Default)]
struct CallIds {
    waiting: VecDeque<(String, String)>,
    /// Under way, with the channel's name and how often it was asked.
    asked: HashMap<String, (String, u8)>,
    /// To be asked at their next event.
    later: HashMap<String, (String, u8)>,
}

impl CallIds {
    fn event(&mut self, said: &Said) {
        match said {
            Said::NewLeg { leg, state: LegState::Calling, .. } => self.wait(&leg.id, &leg.name),
            // Only chan_pjsip reads them, and mirrors.
            Said::NewLeg { leg, .. } if leg.name.starts_with("PJSIP/") && self.later.len() < UNASKED => {
                self.later.insert(leg.id.clone(), (leg.name.clone(), 0));
            }
            Said::Hangup { leg, .. } => drop(self.later.remove(&leg.id)),
            _ if self.later.is_empty() => {}
            said => {
                let known =
                    said.leg().and_then(|leg| self.later.get(&leg.id).map(|(name, _)| (leg.id.clone(), name.clone())));
                if let Some((id, name)) = known {
                    self.wait(&id, &name);
                }
            }
        }
    }

    fn wait(&mut self, id: &str, name: &str) {
        if name.starts_with("PJSIP/") && self.waiting.len() < UNASKED {
            self.waiting.push_back((id.to_owned(), name.to_owned()));
        }
    }

    fn next(&mut self) -> Option<(String, String)> {
        if self.asked.len() >= ASKED {
            return None;
        }
        let (id, name) = self.waiting.pop_front()?;
        let tries = self.later.remove(&id).map_or(0, |(_, tries)| tries);
        self.asked.insert(id.clone(), (name.clone(), tries + 1));
        Some((id, name))
    }

    fn answered(&mut self, id: &str, empty: bool) {
        if let Some((name, tries)) = self.asked.remove(id).filter(|(_, tries)| empty && *tries < TRIES)
            && self.later.len() < UNASKED
        {
            self.later.insert(id.to_owned(), (name, tries));
        }
    }
}

pub struct Session {
    settings: std::sync::Arc<Settings>,
    attributes: Attributes,
    user: String,
    secret: Secret,
    framer: Framer,
    state: State,
    heard: Mono,
    pinged: bool,
    /// Counts snapshots, so that a late item of an old one is not taken for one of the new.
    round: u32,
    again: bool,
    dials: Vec<Pending>,
    /// Verbs that are being done, and until when.
    acts: Vec<(Doing, Mono)>,
    /// What is being changed at agents' places in queues, and until when.
    attending: Vec<(RequestId, Attend, Mono)>,
    call_ids: CallIds,
    events: Vec<Event>,
    out: VecDeque<Output>,
}

enum State {
    Greeting,
    LoggingIn,
    /// Logged in; the switch may still be loading its modules.
    Booting {
        until: Mono,
    },
    Listing {
        lists: Box<AmiLists>,
        first: bool,
    },
    Ready,
    Failed,
}

/// A dial that has no answer yet.
struct Pending {
    request: RequestId,
    until: Mono,
}

impl link::Session for Session {
    const SPOKEN: &'static str = "ami";
    const GOODBYE: &'static [u8] = b"Action: Logoff\r\n\r\n";

    fn read(&mut self, now: Now, bytes: &[u8]) {
        self.heard = now.mono;
        self.pinged = false;
        // The framer is lent out while its messages are taken, and given back.
        let mut framer = std::mem::take(&mut self.framer);
        framer.push(bytes);
        while !matches!(self.state, State::Failed) {
            match framer.take() {
                Ok(Some(message)) => self.message(now, &message),
                Ok(None) => break,
                Err(error) => {
                    // The first thing that comes tells a wrong port from a switch gone mad.
                    let greeting = matches!(self.state, State::Greeting);
                    self.fail(if greeting { Reason::NotSpoken("AMI") } else { error.into() });
                }
            }
        }
        self.framer = framer;
        match (&self.state, self.framer.banner().is_some()) {
            (State::Greeting, true) => self.log_in(),
            (State::Greeting | State::Failed, _) | (_, true) => {}
            (_, false) => self.fail(Reason::NotSpoken("AMI")),
        }
    }

    fn closed(&mut self) {
        self.fail(Reason::Closed);
    }

    fn resync(&mut self, now: Now) {
        match self.state {
            State::Ready => self.list(now, false),
            // The list that is under way was asked for before the loss, perhaps: one more when it is done.
            State::Listing { .. } => self.again = true,
            _ => {}
        }
    }

    fn command(&mut self, now: Now, command: &Command) {
        match command {
            Command::Dial(dial) => self.dial(now, dial),
            Command::Act(act) => self.act(now, act),
            Command::Attend(asked) => self.attend(now, asked),
        }
    }

    fn poll(&mut self, now: Now) -> Output {
        if !matches!(self.state, State::Failed) {
            self.time(now);
        }
        // Events that were heard before a failure, or prove an answer, are told before it.
        if let Some(Output::Failed(_) | Output::Answered { .. }) | None = self.out.front()
            && !self.events.is_empty()
        {
            return Output::Events(std::mem::take(&mut self.events));
        }
        match self.out.pop_front() {
            Some(Output::Up { .. }) => Output::Up { version: self.framer.banner().unwrap_or_default().to_owned() },
            Some(other) => other,
            None => Output::Wait(self.deadline()),
        }
    }
}

impl Session {
    /// The connection was made at `now`.
    #[must_use]
    pub fn new(settings: std::sync::Arc<Settings>, ami: &Ami, secret: Secret, now: Now) -> Self {
        Self {
            user: ami.user.clone(),
            attributes: settings.declared(),
            settings,
            secret,
            framer: Framer::new(),
            state: State::Greeting,
            heard: now.mono,
            pinged: false,
            round: 0,
            again: false,
            dials: Vec::new(),
            acts: Vec::new(),
            attending: Vec::new(),
            call_ids: CallIds::default(),
            events: Vec::new(),
            out: VecDeque::new(),
        }
    }

    /// Do something to a call.
    fn act(&mut self, now: Now, act: &Act) {
        if !matches!(self.state, State::Ready | State::Listing { .. }) {
            return self.answer(act.request.clone(), Err(Failure::SwitchUnavailable));
        }
        if self.acts.iter().any(|(doing, _)| doing.act.request == act.request) {
            return;
        }
        match Doing::begin(&self.settings, act) {
            Ok((doing, bytes)) => {
                self.acts.push((doing, now.mono.plus_ms(ACT_MS)));
                self.out.push_back(Output::Send(bytes));
            }
            Err(failure) => self.answer(act.request.clone(), Err(failure)),
        }
    }

    /// Change an agent's place in a queue. Its answer is all there is to wait for; what then stands otherwise is told by an event.
    fn attend(&mut self, now: Now, asked: &Attendance) {
        if !matches!(self.state, State::Ready | State::Listing { .. }) {
            return self.answer(asked.request.clone(), Err(Failure::SwitchUnavailable));
        }
        match attend::ami_action(asked) {
            Ok(bytes) => {
                let until = now.mono.plus_ms(ACT_MS);
                self.attending.push((asked.request.clone(), asked.attend.clone(), until));
                self.out.push_back(Output::Send(bytes));
            }
            Err(failure) => self.answer(asked.request.clone(), Err(failure)),
        }
    }

    fn attended(&mut self, id: &str, done: bool, m: &Message<'_>) {
        let Some(at) = self.attending.iter().position(|(request, ..)| request.0 == id) else { return };
        let (request, attend, _) = self.attending.swap_remove(at);
        let result = if done { Ok(()) } else { attend::refusal(&attend, &m.get("Message").unwrap_or_default()) };
        self.answer(request, result.map(|()| Made::default()));
    }

    /// What an answer, a list's item or an event means for the verbs that are under way. `id`: for one of them alone.
    fn acts(&mut self, id: Option<&str>, m: &Message<'_>) {
        let mut at = 0;
        while let Some((doing, _)) = self.acts.get_mut(at) {
            if id.is_some_and(|id| id != doing.act.request.0) {
                at += 1;
                continue;
            }
            let next = match (id, m.response()) {
                (Some(_), Some(_)) => doing.answered(&self.settings, m),
                (Some(_), None) => doing.listed(&self.settings, m),
                (None, _) => doing.event(m),
            };
            match next {
                Next::Send(bytes) => self.out.push_back(Output::Send(bytes)),
                Next::Wait => {}
                Next::Done(outcome) => {
                    let (done, _) = self.acts.swap_remove(at);
                    self.answer(done.act.request, outcome);
                    continue;
                }
            }
            at += 1;
        }
    }

    /// Place a call.
    fn dial(&mut self, now: Now, dial: &Dial) {
        if !matches!(self.state, State::Ready | State::Listing { .. }) {
            return self.answer(dial.request.clone(), Err(Failure::SwitchUnavailable));
        }
        if self.dials.iter().any(|p| p.request == dial.request) {
            return;
        }
        match originate::ami_action(&self.settings, dial) {
            Ok(bytes) => {
                self.dials.push(Pending { request: dial.request.clone(), until: now.mono.plus_ms(link::DIAL_MS) });
                self.out.push_back(Output::Send(bytes));
            }
            Err(failure) => self.answer(dial.request.clone(), Err(failure)),
        }
    }

    fn deadline(&self) -> Mono {
        let silent = self.heard.plus_ms(if self.pinged { link::SILENCE_MS } else { link::PING_MS });
        let state = match &self.state {
            State::Booting { until } => Some(*until),
            State::Listing { lists, .. } => Some(lists.asked().mono.plus_ms(link::LIST_MS)),
            _ => None,
        };
        let dial = self.dials.iter().map(|p| p.until).min();
        let act = self.acts.iter().map(|(_, until)| *until).min();
        let attend = self.attending.iter().map(|(.., until)| *until).min();
        [Some(silent), state, dial, act, attend].into_iter().flatten().min().unwrap_or(silent)
    }

    fn time(&mut self, now: Now) {
        if now.mono >= self.heard.plus_ms(link::SILENCE_MS) {
            return self.fail(Reason::Silent);
        }
        if !self.pinged && now.mono >= self.heard.plus_ms(link::PING_MS) {
            self.pinged = true;
            if !matches!(self.state, State::Greeting | State::LoggingIn) {
                self.out.push_back(Output::Send(b"Action: Ping\r\nActionID: lc-ping\r\n\r\n".to_vec()));
            }
        }
        match &self.state {
            // An account without the class system never hears FullyBooted.
            State::Booting { until } if now.mono >= *until => self.list(now, true),
            State::Listing { lists, .. } if now.mono >= lists.asked().mono.plus_ms(link::LIST_MS) => {
                self.fail(Reason::ListTimeout);
            }
            _ => {}
        }
        while let Some(at) = self.dials.iter().position(|p| p.until <= now.mono) {
            let late = self.dials.swap_remove(at);
            self.answer(late.request, Err(Failure::Timeout));
        }
        while let Some(at) = self.attending.iter().position(|(.., until)| *until <= now.mono) {
            let (late, ..) = self.attending.swap_remove(at);
            self.answer(late, Err(Failure::Timeout));
        }
        while let Some(at) = self.acts.iter().position(|(_, until)| *until <= now.mono) {
            let (late, _) = self.acts.swap_remove(at);
            let request = late.act.request.clone();
            self.answer(request, late.late());
        }
    }

    fn message(&mut self, now: Now, m: &Message<'_>) {
        if let State::Greeting = self.state {
            // The banner came in the same read; that it did is looked at when the read is done.
            self.log_in();
        }
        let id = m.action_id();
        match (m.response(), id.as_deref()) {
            (Some(answer), Some("lc-login")) => self.logged_in(now, answer == "Success", m),
            (Some("Success"), Some("lc-filter" | "lc-ping")) => {}
            (Some(_), Some("lc-filter")) => {
                self.note("the user may not narrow its events (write class system): put the eventfilter lines of `linecard check` into manager.conf");
            }
            (Some(answer), Some(id)) if id.starts_with(CALL_ID) => self.call_id(id, answer == "Success", m),
            (_, Some(id)) if id.starts_with("lc-list-") => self.listed(now, id.to_owned().as_str(), m),
            (Some(answer), Some(id)) if id.starts_with(attend::ACTION) => {
                self.attended(id.trim_start_matches(attend::ACTION), answer == "Success", m);
            }
            // OriginateResponse is an event like others, and has its action's id.
            (answer, Some(id))
                if id.starts_with(ACTION) && (answer.is_some() || m.event() != Some("OriginateResponse")) =>
            {
                self.acts(id.strip_prefix(ACTION), m);
            }
            (Some(answer), Some(id)) => self.dialled(id, answer == "Success", m),
            (Some(_), None) => {}
            (None, _) => self.event(now, m),
        }
    }

    fn logged_in(&mut self, now: Now, accepted: bool, m: &Message<'_>) {
        if !matches!(self.state, State::LoggingIn) {
            return;
        }
        if !accepted {
            // Seen on 22.10.1: "Authentication failed" (wrong user, secret or address), "Login Already In Use".
            let text = m.get("Message").unwrap_or_default().to_ascii_lowercase();
            return self.fail(match () {
                () if text.contains("already") => Reason::AlreadyLoggedIn,
                () if text.contains("permission") => Reason::NotPermitted("log in"),
                () => Reason::AuthenticationFailed,
            });
        }
        for filter in narrow::ami_filters(&self.settings) {
            let action = format!("Action: Filter\r\nActionID: lc-filter\r\nOperation: Add\r\nFilter: {filter}\r\n\r\n");
            self.out.push_back(Output::Send(action.into_bytes()));
        }
        self.state = State::Booting { until: now.mono.plus_ms(3_000) };
    }

    fn event(&mut self, now: Now, m: &Message<'_>) {
        match m.event() {
            Some("FullyBooted") => match self.state {
                State::Booting { .. } => self.list(now, true),
                // It booted later than we were willing to wait.
                _ => self.resync(now),
            },
            Some("Shutdown") => {}
            _ => {
                if let State::Listing { lists, .. } = &mut self.state {
                    lists.meanwhile(m);
                }
                if !self.dials.is_empty() {
                    self.proof(m);
                }
                if !self.acts.is_empty() {
                    self.acts(None, m);
                }
                let event = translate_ami::translate(m).and_then(|e| wanted(&self.attributes, e));
                if self.settings.asks_call_ids()
                    && let Some(event) = &event
                {
                    self.call_ids.event(&event.said);
                    self.ask_more();
                }
                self.events.extend(event);
            }
        }
    }

    fn list(&mut self, now: Now, first: bool) {
        self.round = self.round.wrapping_add(1);
        self.again = false;
        let mut bytes = Vec::new();
        for (i, list) in AMI_LISTS.iter().enumerate() {
            let mut action = format!("Action: {list}\r\nActionID: lc-list-{}-{i}\r\n", self.round);
            // What was set before we came.
            if *list == "Status" && self.attributes.variables().next().is_some() {
                let names: Vec<&str> = self.attributes.variables().collect();
                action.push_str(&format!("Variables: {}\r\n", names.join(",")));
            }
            action.push_str("\r\n");
            bytes.extend_from_slice(action.as_bytes());
        }
        self.out.push_back(Output::Send(bytes));
        self.state = State::Listing { lists: Box::new(AmiLists::new(now)), first };
    }

    fn listed(&mut self, now: Now, id: &str, m: &Message<'_>) {
        let State::Listing { lists, first } = &mut self.state else { return };
        let mut parts = id.trim_start_matches("lc-list-").split('-');
        let (Some(round), Some(list)) = (parts.next(), parts.next().and_then(|l| l.parse::<usize>().ok())) else {
            return;
        };
        if round != self.round.to_string() {
            return;
        }
        if list == 0 && m.response().is_some_and(|r| r != "Success") {
            self.out.push_back(Output::Note(
                "the user may not list channels (write class system, call or reporting): calls that vanished while the link was down stay open",
            ));
        }
        match lists.item(list, m) {
            Err(reason) => self.fail(reason),
            Ok(false) => {}
            Ok(true) => {
                let first = *first;
                if let State::Listing { lists, .. } = std::mem::replace(&mut self.state, State::Ready) {
                    if first {
                        // The framer is lent out now; `poll` puts the banner in.
                        self.out.push_back(Output::Up { version: String::new() });
                    }
                    let said = lists.said();
                    for found in said.iter().flat_map(|said| match said {
                        Said::Snapshot(snapshot) => snapshot.legs.as_slice(),
                        _ => &[],
                    }) {
                        self.call_ids.wait(&found.leg.id, &found.leg.name);
                    }
                    self.ask_more();
                    self.events.extend(said.into_iter().map(|said| Event { at: None, said }));
                    if self.again {
                        self.list(now, false);
                    }
                }
            }
        }
    }

    /// No event has the SIP Call-ID of a channel, so it is asked for where somebody else tells calls by it.
    fn ask_more(&mut self) {
        if !self.settings.asks_call_ids() {
            return;
        }
        while let Some((id, name)) = self.call_ids.next() {
            let fields = [("Channel", name.as_str()), ("Variable", "CHANNEL(pjsip,call-id)")];
            match originate::action("Getvar", &format!("{CALL_ID}{id}"), &fields) {
                Some(bytes) => self.out.push_back(Output::Send(bytes)),
                None => drop(self.call_ids.asked.remove(&id)),
            }
        }
    }

    fn call_id(&mut self, id: &str, told: bool, m: &Message<'_>) {
        let id = id.trim_start_matches(CALL_ID);
        let value = m.get("Value").filter(|value| told && !value.is_empty());
        self.call_ids.answered(id, told && value.is_none());
        if let Some(value) = value {
            let leg = Leg { id: id.to_owned(), sip_call_id: Some(value.into_owned()), ..Leg::default() };
            self.events.push(Event { at: None, said: Said::CallId { leg } });
        } else if m.get("Message").is_some_and(|text| text.contains("ermission")) {
            self.note(
                "the user may not read channel variables (write class call or reporting): SIP Call-IDs are not known",
            );
        }
        self.ask_more();
    }

    /// The direct answer to an Originate. Success only means that the switch will try.
    fn dialled(&mut self, id: &str, accepted: bool, m: &Message<'_>) {
        if !accepted && self.take(id) {
            let failure = originate::ami_refusal(&m.get("Message").unwrap_or_default());
            self.answer(RequestId(id.to_owned()), Err(failure));
        }
    }

    /// An event that proves that a leg we asked for exists, or that there will be none.
    fn proof(&mut self, m: &Message<'_>) {
        let Some(id) = m.get("Uniqueid") else { return };
        match m.event() {
            Some("Newchannel") if self.take(&id) => {
                let made = Made { leg: Some(id.to_string()), ..Made::default() };
                self.answer(RequestId(id.into_owned()), Ok(made));
            }
            Some("OriginateResponse") if self.take(&id) => {
                let result = match m.bytes_of("Response") {
                    Some(b"Success") => Ok(Made { leg: Some(id.to_string()), ..Made::default() }),
                    _ => Err(originate::ami_failure(m.get("Reason").and_then(|r| r.parse().ok()))),
                };
                self.answer(RequestId(id.into_owned()), result);
            }
            _ => {}
        }
    }

    fn take(&mut self, id: &str) -> bool {
        let at = self.dials.iter().position(|p| p.request.0 == id);
        at.map(|at| self.dials.swap_remove(at)).is_some()
    }

    fn answer(&mut self, request: RequestId, result: Outcome) {
        self.out.push_back(Output::Answered { request, result });
    }

    fn note(&mut self, text: &'static str) {
        if !self.out.contains(&Output::Note(text)) {
            self.out.push_back(Output::Note(text));
        }
    }

    fn log_in(&mut self) {
        self.state = State::LoggingIn;
        // User and secret are free of line ends: the settings refuse them, and here is the last door.
        let classes = narrow::ami_classes(&self.settings);
        let fields = [("Username", self.user.as_str()), ("Secret", self.secret.expose()), ("Events", classes.as_str())];
        match originate::action("Login", "lc-login", &fields) {
            Some(bytes) => self.out.push_back(Output::Send(bytes)),
            None => self.fail(Reason::Settings("there is a line end in the user or the secret of ami".to_owned())),
        }
    }

    fn fail(&mut self, reason: Reason) {
        if matches!(self.state, State::Failed) {
            return;
        }
        self.state = State::Failed;
        for pending in std::mem::take(&mut self.dials) {
            self.answer(pending.request, Err(Failure::SwitchUnavailable));
        }
        for (doing, _) in std::mem::take(&mut self.acts) {
            self.answer(doing.act.request, Err(Failure::SwitchUnavailable));
        }
        for (request, ..) in std::mem::take(&mut self.attending) {
            self.answer(request, Err(Failure::SwitchUnavailable));
        }
        self.out.push_back(Output::Failed(reason));
    }
}

/// What nobody mapped is not for the book, even where the switch did not cut it. An inherited variable loses the `__` or `_` of its Set.
pub(super) fn wanted(attributes: &Attributes, mut event: Event) -> Option<Event> {
    let wanted = match &mut event.said {
        Said::Variable { name, .. } => {
            let bare = name.strip_prefix("__").or_else(|| name.strip_prefix('_')).unwrap_or(name);
            if bare.len() != name.len() {
                *name = bare.to_owned();
            }
            attributes.wants_variable(name)
        }
        Said::UserEvent { event, .. } => attributes.user_events().any(|wanted| wanted == event),
        Said::Digit { .. } => attributes.wants_digits(),
        Said::RecordingStop { .. } => attributes.recordings.is_some(),
        _ => true,
    };
    wanted.then_some(event)
}

/// The events that tell the book that a link is gone, or had a hole.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::switches::asterisk::tests::{SETTINGS, at, dial, settings};

    /// What Asterisk 22.10.1 listed in scenario q, with its action ids changed to ours.
    const TALK: &str = include_str!("../../../proto-fixtures/ami/resync-midcall.txt");

    fn session() -> Session {
        let settings = std::sync::Arc::new(settings(SETTINGS));
        let ami = settings.ami.clone().unwrap();
        Session::new(settings, &ami, Secret::new("open sesame".into()), at(0))
    }

    fn drain(session: &mut Session, ms: u64) -> Vec<Output> {
        let mut out = Vec::new();
        loop {
            match session.poll(at(ms)) {
                Output::Wait(_) => return out,
                other => out.push(other),
            }
        }
    }

    fn sent(out: &[Output]) -> String {
        out.iter()
            .filter_map(|o| if let Output::Send(b) = o { Some(String::from_utf8_lossy(b).into_owned()) } else { None })
            .collect()
    }

    /// The talk of the recording as it would have answered us.
    fn talk() -> String {
        let ours = [
            ("t1", "lc-login"),
            ("t3", "lc-list-1-0"),
            ("t4", "lc-list-1-1"),
            ("t5", "lc-list-1-2"),
            ("t6", "lc-list-1-3"),
        ];
        ours.iter().fold(TALK.to_owned(), |text, (theirs, id)| {
            text.replace(&format!("ActionID: {theirs}\r\n"), &format!("ActionID: {id}\r\n"))
        })
    }

    fn ready() -> Session {
        let mut session = session();
        session.read(at(1), b"Asterisk Call Manager/11.0.0\r\n");
        drain(&mut session, 1);
        session.read(at(2), talk().strip_prefix("Asterisk Call Manager/11.0.0\r\n").unwrap().as_bytes());
        let up = drain(&mut session, 2).into_iter().any(|o| matches!(o, Output::Up { .. }));
        assert!(up);
        session
    }

    #[test]
    fn only_mapped_variables_pass_and_by_their_bare_names() {
        let mut session = ready();
        session.read(at(3), b"Event: VarSet\r\nUniqueid: 1.0\r\nVariable: __CTI_ACCOUNT\r\nValue: 8642\r\n\r\nEvent: VarSet\r\nUniqueid: 1.0\r\nVariable: OTHER\r\nValue: 1\r\n\r\n");
        let out = drain(&mut session, 3);
        let [Output::Events(events)] = &out[..] else { panic!("{out:?}") };
        assert!(matches!(&events[..], [Event { said: Said::Variable { name, .. }, .. }] if name == "CTI_ACCOUNT"));
    }

    #[test]
    fn login_narrowing_snapshot_and_up() {
        let mut session = session();
        assert_eq!(drain(&mut session, 0), []);
        session.read(at(1), b"Asterisk Call Manager/11.0.0\r\n");
        assert_eq!(
            sent(&drain(&mut session, 1)),
            "Action: Login\r\nActionID: lc-login\r\nUsername: linecard\r\nSecret: open sesame\r\nEvents: system,call,agent,dialplan\r\n\r\n"
        );
        let talk = talk();
        let talk = talk.strip_prefix("Asterisk Call Manager/11.0.0\r\n").unwrap();
        session.read(at(2), talk.as_bytes());
        let out = drain(&mut session, 2);
        let text = sent(&out);
        assert!(
            text.contains("Action: Filter\r\nActionID: lc-filter\r\nOperation: Add\r\nFilter: ^Event: (FullyBooted|"),
            "{text}"
        );
        assert!(text.contains("Action: CoreShowChannels\r\nActionID: lc-list-1-0\r\n\r\n"), "{text}");
        assert!(out.contains(&Output::Up { version: "Asterisk Call Manager/11.0.0".into() }));
        let snapshots: Vec<usize> = out
            .iter()
            .filter_map(|o| if let Output::Events(events) = o { Some(events) } else { None })
            .flatten()
            .filter_map(|e| if let Said::Snapshot(s) = &e.said { Some(s.legs.len()) } else { None })
            .collect();
        assert_eq!(snapshots, [5]);
    }

    /// With a mirror beside AMI each PJSIP channel is asked for its Call-ID, those of the list too; not where nobody needs it, or ARI says it.
    #[test]
    fn call_ids_are_asked_for_where_somebody_tells_calls_by_them() {
        let asks = |text: &str| {
            let settings = std::sync::Arc::new(settings(text));
            let ami = settings.ami.clone().unwrap();
            let mut session = Session::new(settings, &ami, Secret::new("open sesame".into()), at(0));
            session.read(at(1), b"Asterisk Call Manager/11.0.0\r\n");
            drain(&mut session, 1);
            session.read(at(2), talk().strip_prefix("Asterisk Call Manager/11.0.0\r\n").unwrap().as_bytes());
            let listed = sent(&drain(&mut session, 2)).matches("Action: Getvar").count();
            session.read(at(3), b"Event: Newchannel\r\nChannel: PJSIP/trunk-9\r\nUniqueid: 9.9\r\nChannelState: 4\r\n\r\nEvent: Newchannel\r\nChannel: Local/1@q-1;1\r\nUniqueid: 9.10\r\nChannelState: 0\r\n\r\n");
            (listed, sent(&drain(&mut session, 3)), session)
        };
        let alone = SETTINGS
            .lines()
            .filter(|line| !line.contains("  ari:"))
            .map(|line| format!("{line}\n"))
            .collect::<String>();
        let mirrored = format!("{alone}  hep: {{listen: '127.0.0.1:9061', from: [127.0.0.1]}}\n");
        let (listed, asked, mut session) = asks(&mirrored);
        assert!(listed > 0);
        assert_eq!(
            asked,
            "Action: Getvar\r\nActionID: lc-sip-9.9\r\nChannel: PJSIP/trunk-9\r\nVariable: CHANNEL(pjsip,call-id)\r\n\r\n"
        );
        session.read(at(4), b"Response: Success\r\nActionID: lc-sip-9.9\r\nVariable: CHANNEL(pjsip,call-id)\r\nValue: abc@192.0.2.1\r\n\r\nResponse: Error\r\nActionID: lc-sip-9.8\r\nMessage: No such channel\r\n\r\n");
        let out = drain(&mut session, 4);
        let leg = Leg { id: "9.9".into(), sip_call_id: Some("abc@192.0.2.1".into()), ..Leg::default() };
        assert_eq!(out, [Output::Events(vec![Event { at: None, said: Said::CallId { leg } }])]);
        session.read(at(5), b"Response: Error\r\nActionID: lc-sip-9.9\r\nMessage: Permission denied\r\n\r\n");
        assert!(matches!(drain(&mut session, 5).as_slice(), [Output::Note(_)]));
        for text in [
            alone.as_str(),
            &mirrored.replace(
                "  hep:",
                "  ari: {url: 'http://127.0.0.1:8088', user: linecard, secret: {env: LINECARD_TEST}}\n  hep:",
            ),
        ] {
            assert!(!asks(text).1.contains("Getvar"), "{text}");
        }
        // One that was told before its driver was set gives no value: it is asked again at its next event.
        let (.., mut session) = asks(&mirrored);
        session.read(at(6), b"Event: Newchannel\r\nChannel: PJSIP/1001-5\r\nUniqueid: 8.1\r\nChannelState: 0\r\n\r\n");
        assert_eq!(sent(&drain(&mut session, 6)), "");
        let rings = b"Event: Newstate\r\nChannel: PJSIP/1001-5\r\nUniqueid: 8.1\r\nChannelState: 5\r\n\r\n";
        let empty = b"Response: Success\r\nActionID: lc-sip-8.1\r\nVariable: CHANNEL(pjsip,call-id)\r\nValue: \r\n\r\n";
        for _ in 0..TRIES {
            session.read(at(7), rings);
            assert!(sent(&drain(&mut session, 7)).contains("ActionID: lc-sip-8.1\r\n"));
            session.read(at(8), empty);
            assert_eq!(sent(&drain(&mut session, 8)), "");
        }
        session.read(at(9), rings);
        assert_eq!(sent(&drain(&mut session, 9)), "", "it has none");
        // However many channels there are, so many questions are under way at once.
        let (.., mut session) = asks(&mirrored);
        let many: String = (0..300)
            .map(|n| {
                format!("Event: Newchannel\r\nChannel: PJSIP/1001-{n}\r\nUniqueid: 10.{n}\r\nChannelState: 4\r\n\r\n")
            })
            .collect();
        session.read(at(6), many.as_bytes());
        let first = sent(&drain(&mut session, 6)).matches("Action: Getvar").count();
        assert!((1..=ASKED).contains(&first), "{first}");
        let answers: String = (0..50)
            .map(|n| format!("Response: Error\r\nActionID: lc-sip-10.{n}\r\nMessage: No such channel\r\n\r\n"))
            .collect();
        session.read(at(7), answers.as_bytes());
        assert_eq!(sent(&drain(&mut session, 7)).matches("Action: Getvar").count(), 50);
    }

    #[test]
    fn a_silent_switch_is_asked_and_then_given_up_within_five_seconds() {
        let mut session = ready();
        assert_eq!(session.poll(at(3)), Output::Wait(at(1802).mono));
        assert_eq!(sent(&drain(&mut session, 1802)), "Action: Ping\r\nActionID: lc-ping\r\n\r\n");
        assert_eq!(session.poll(at(4000)), Output::Wait(at(4502).mono));
        assert_eq!(drain(&mut session, 4502), [Output::Failed(Reason::Silent)]);
        // A pong in time, and all is well.
        let mut session = ready();
        drain(&mut session, 1802);
        session.read(at(4400), b"Response: Success\r\nActionID: lc-ping\r\nPing: Pong\r\n\r\n");
        assert_eq!(drain(&mut session, 4502), []);
    }

    #[test]
    fn refusals_and_junk_have_their_reasons() {
        let ends = |bytes: &[u8]| {
            let mut session = session();
            session.read(at(1), b"Asterisk Call Manager/11.0.0\r\n");
            session.read(at(1), bytes);
            drain(&mut session, 1).pop().unwrap()
        };
        let refused =
            |text: &str| ends(format!("Response: Error\r\nActionID: lc-login\r\nMessage: {text}\r\n\r\n").as_bytes());
        assert_eq!(refused("Authentication failed"), Output::Failed(Reason::AuthenticationFailed));
        assert_eq!(refused("Login Already In Use"), Output::Failed(Reason::AlreadyLoggedIn));
        assert!(matches!(ends(&[b'x'; 10_000]), Output::Failed(Reason::Frame(_))));
        let mut session = session();
        session.read(at(1), b"HTTP/1.1 400 Bad Request\r\n\r\n");
        assert_eq!(drain(&mut session, 1), [Output::Failed(Reason::NotSpoken("AMI"))]);
    }

    #[test]
    fn a_dial_is_answered_once_when_its_leg_exists_or_cannot() {
        let dial = dial();
        let answered = |result| Output::Answered { request: dial.request.clone(), result };
        let after = |text: &str, ms: u64| {
            let mut session = ready();
            session.dial(at(10), &dial);
            session.dial(at(10), &dial);
            assert_eq!(drain(&mut session, 10).len(), 1, "asked once");
            session.read(at(11), text.as_bytes());
            let mut out = drain(&mut session, ms);
            out.retain(|o| matches!(o, Output::Answered { .. }));
            out
        };
        let queued = "Response: Success\r\nActionID: lc-1\r\nMessage: Originate successfully queued\r\n\r\n";
        let leg = "Event: Newchannel\r\nUniqueid: lc-1\r\nChannel: PJSIP/1001-1\r\n\r\n";
        let failed =
            "Event: OriginateResponse\r\nActionID: lc-1\r\nResponse: Failure\r\nReason: 0\r\nUniqueid: lc-1\r\n\r\n";
        assert_eq!(after(queued, 11), []);
        assert_eq!(
            after(&format!("{queued}{leg}{failed}"), 11),
            [answered(Ok(Made { leg: Some("lc-1".into()), ..Made::default() }))]
        );
        assert_eq!(after(&format!("{queued}{failed}"), 11), [answered(Err(Failure::NotRegistered))]);
        let refused = "Response: Error\r\nActionID: lc-1\r\nMessage: Permission denied\r\n\r\n";
        assert_eq!(after(refused, 11), [answered(Err(Failure::NotPermitted))]);
        let mut session = ready();
        session.dial(at(10), &dial);
        session.closed();
        assert!(drain(&mut session, 10).contains(&answered(Err(Failure::SwitchUnavailable))));
        let mut session = ready();
        session.dial(at(10), &dial);
        session.read(at(5009), queued.as_bytes());
        assert!(drain(&mut session, 5010).contains(&answered(Err(Failure::Timeout))));
    }
}
